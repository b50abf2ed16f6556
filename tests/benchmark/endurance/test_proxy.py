# -*- test-case-name: tests.benchmark.endurance.test_proxy -*-
"""
L{benchmark.endurance.proxy}: files that lproxy takes, a disk that can be filled, and who is in charge.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmark import certificates
from benchmark.endurance import proxy
from benchmark.endurance.proxy import Proxy, until
from benchmark.process import ProcessFailed
from lproxy.configfile import load

NAMES = ("admin", "web", "tls", "grpc", "tcp", "kafka", "spare")
PORTS = dict(zip(NAMES, range(1_001, 2_000), strict=False)) | {"base": 3_000}
BEHIND = [{name: base + at for at, name in enumerate(("web", "tcp", "grpc", "kafka"))} for base in (2_001, 2_101)]


class ProxyTests(SynchronousTestCase):
    """Without processes."""

    @contextmanager
    def made(self, mounts: bool) -> Iterator[Proxy]:
        self.patch(proxy, "may_mount", lambda: mounts)
        with tempfile.TemporaryDirectory() as name:
            files = [certificates.make(Path(name))]
            yield Proxy(Path(name), 2, PORTS, BEHIND, files)

    def test_texts(self) -> None:
        """Each file is good, and another than the one before; now and then there is a listener more."""
        taken: Any = {"http": lambda table: None, "tcp": lambda table: None, "kafka": lambda table: None}
        with self.made(True) as one:
            loaded = [load(one.text(n), "x", taken) for n in range(5)]
        self.assertEqual([()] * 5, [file.problems for file in loaded])
        configs = [file.config for file in loaded]
        self.assertEqual([5, 6, 5, 6, 5], [len(config.listen) for config in configs if config is not None])
        self.assertEqual(5, len({str(config) for config in configs}))

    def test_written(self) -> None:
        """The file is replaced whole, by the next one or by what is said."""
        with self.made(True) as one:
            one.write()
            file = one.disk.parent / "lproxy.toml"
            self.assertEqual(one.text(1), file.read_text())
            one.write("nonsense")
            self.assertEqual(("nonsense", 1), (file.read_text(), one.n))

    def test_full(self) -> None:
        """Where there is no leave to mount anything, the access log is on a disk that is full, until there is room."""
        said: list[str] = []
        for mounts, full in ((True, False), (False, True)):
            with self.made(mounts) as one:
                self.patch(Proxy, "reload", lambda self: said.append(self.text(1)) or "")  # type: ignore[func-returns-value]
                one.fill()
                self.assertEqual(full, "/dev/full" in one.text(1))
                one.clear()
                self.assertNotIn("/dev/full", one.text(1))
        self.assertEqual(2, len(said))

    def test_in_charge(self) -> None:
        """Whoever would hand over, as the admin server says; another is when all of its workers serve."""
        live = {"takeover": "@lproxy-7-abc"}
        table = [{"pid": 8, "state": "serving"}, {"pid": 9, "state": "starting"}]
        with self.made(True) as one:
            self.patch(one, "live", lambda: live)
            self.patch(one, "table", lambda: table)
            self.assertEqual(7, one.in_charge())
            self.assertEqual([False, False], [one._other(6), one._other(7)])
            table[1]["state"] = "serving"
            self.assertEqual([True, False], [one._other(6), one._other(7)])

    def test_mount(self) -> None:
        """It is tried whether there may be a disk of our own, and not believed."""
        for status, expected in ((0, True), (32, False)):
            self.patch(proxy.shutil, "which", lambda name: name)
            done = subprocess.CompletedProcess([], status)
            self.patch(proxy.subprocess, "run", lambda *a, done=done, **k: done)
            self.assertEqual(expected, proxy.may_mount())
        self.patch(proxy.shutil, "which", lambda name: None)
        self.assertFalse(proxy.may_mount())

    def test_until(self) -> None:
        """What is waited for comes, or it is said what does not."""
        looks = [True, False]
        until(looks.pop, "a thing")
        self.assertRaisesRegex(ProcessFailed, "not within 0 s: a thing", until, lambda: False, "a thing", 0.0)
