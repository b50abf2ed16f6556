# -*- test-case-name: tests.benchmark.test_compiled -*-
"""
L{benchmark.compiled}: the compiled build as a proxy under test. That one is built for real is for C{.ci/run}.
"""

import builtins
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmark import compiled
from benchmark.peer import Ports, Setting
from benchmark.process import ProcessFailed
from benchmark.session import ALL_PEERS
from benchmark.upstreams import Upstreams


class CompiledTests(SynchronousTestCase):
    """A project of three files, and a pip that packs them."""

    def setUp(self) -> None:
        self.project = Path(self.mktemp()).absolute()
        for name in (*compiled.SETTINGS, "lproxy/__init__.py", "lproxy/hot.py"):
            (self.project / name).parent.mkdir(parents=True, exist_ok=True)
            (self.project / name).write_text("1")
        environment = {"XDG_CACHE_HOME": str(Path(self.mktemp()).absolute())}
        self.patch(compiled.os, "environ", environment)
        self.patch(compiled.subprocess, "run", self.run_pip)
        self.patch(builtins, "print", lambda *words, **rest: None)
        self.calls: list[tuple[list[str], dict[str, str]]] = []
        self.status = 0

    def run_pip(self, command: list[str], env: dict[str, str], **rest: Any) -> subprocess.CompletedProcess[str]:
        self.calls.append((command, env))
        if not self.status:
            out = Path(command[command.index("-w") + 1])
            with zipfile.ZipFile(out / "lproxy-1-cp311-cp311-linux_x86_64.whl", "w") as wheel:
                wheel.writestr("lproxy/hot.so", "compiled")
        return subprocess.CompletedProcess(command, self.status, "", "hot.py:7: error: no such type")

    def test_built_before(self) -> None:
        """A wheel that is there already is taken, and nothing is built."""
        elsewhere = Path(self.mktemp())
        elsewhere.mkdir()
        compiled.build(self.project, str(elsewhere))
        (wheel,) = elsewhere.glob("*.whl")
        compiled.os.environ[compiled.WHEEL] = str(wheel)
        self.patch(compiled, "build", None)
        self.assertTrue((compiled.ensure(self.project) / compiled.COMPLETE).exists())

    def test_built(self) -> None:
        """It is built from the project as a compiled wheel, and unpacked."""
        path = compiled.ensure(self.project)
        self.assertEqual("compiled", (path / "lproxy" / "hot.so").read_text())
        ((command, env),) = self.calls
        self.assertEqual(([sys.executable, "-m", "pip"], str(self.project)), (command[:3], command[-1]))
        self.assertEqual("1", env["LPROXY_COMPILE"])

    def test_once(self) -> None:
        """As long as nothing has changed it is not built again; a change of any file leaves nothing of the old one."""
        path = compiled.ensure(self.project)
        self.assertEqual(path, compiled.ensure(self.project))
        self.assertEqual(1, len(self.calls))
        for number, name in enumerate(("lproxy/hot.py", "setup.cfg", "backend/lproxy_build.py", "lproxy/new.py"), 2):
            (path / "stale").touch()
            (self.project / name).write_text("2")
            self.assertEqual(path, compiled.ensure(self.project))
            self.assertEqual((number, False), (len(self.calls), (path / "stale").exists()), name)

    def test_interrupted(self) -> None:
        """What was left without its mark is made anew."""
        path = compiled.ensure(self.project)
        (path / compiled.COMPLETE).unlink()
        compiled.ensure(self.project)
        self.assertEqual(2, len(self.calls))

    def test_forgotten(self) -> None:
        """What was compiled from a checkout that is gone goes, when another is compiled."""
        old = compiled.ensure(self.project)
        gone = self.project.rename(self.project.with_name("moved"))
        new = compiled.ensure(gone)
        self.assertEqual((False, True), (old.exists(), new.exists()))

    def test_broken(self) -> None:
        """Sources that do not compile are a proxy that is left out, with the compiler's words."""
        self.status = 1
        with self.assertRaises(ProcessFailed) as caught:
            compiled.ensure(self.project)
        self.assertIn("hot.py:7: error", str(caught.exception))
        self.assertIn("hot.py:7: error", compiled.missing())

    def test_slow(self) -> None:
        """A compiler that never ends is stopped, and said."""

        def run(command: list[str], **rest: Any) -> None:
            raise subprocess.TimeoutExpired(command, rest["timeout"])

        self.patch(compiled.subprocess, "run", run)
        self.assertIn("over 1800 s", compiled.missing())

    def test_places(self) -> None:
        """Two checkouts do not build over each other."""
        self.assertNotEqual(compiled.place(self.project), compiled.place(self.project / "lproxy"))

    def test_peer(self) -> None:
        """It runs where it was unpacked, on the Python of the pure one, and is lproxy in every table."""
        directory = Path(self.mktemp())
        directory.mkdir()
        peer = ALL_PEERS["lproxy-compiled"]
        assert peer.command is not None
        command = peer.command(Setting(directory, Ports(1, 2, 3, 4), Upstreams(11, 12, 13), 10))
        place = str(compiled.place())
        self.assertEqual(["env", "-C", place, sys.executable, "-m", "twisted", "lproxy", "--config"], command[:-1])
        self.assertTrue(Path(command[-1]).is_absolute())
        self.assertEqual(("lproxy", True, "epoll"), (peer.product, peer.ours, peer.reactor))
        self.assertTrue(peer.version().endswith(", compiled"))
