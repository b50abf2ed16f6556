# -*- test-case-name: tests.benchmark.test_profile -*-
"""
The profilers: command lines, what perf prints, and a real profile of a small busy program.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import profile
from benchmark.peers import PEERS
from benchmark.process import ProcessFailed
from benchmark.profile import PROFILERS, beside, inserted, perf_stacks, recording, shortened
from tests import components

#: as C{perf script -F comm,tid,ip,sym,dso} prints it: Python 3.13 with -X perf_jit, in the middle of a system call
PERF = """\
python3.13 15790\x20
\tffffffff9a1b2c3d tcp_sendmsg+0x1d ([kernel.kallsyms])
\t    7f36810b1f27 __libc_send+0x17 (/usr/lib/x86_64-linux-gnu/libc.so.6)
\t    7f3681434a11 _PyEval_EvalFrameDefault+0x4a1 (/opt/python/lib/libpython3.13.so.1.0)
\t    7f36816bd0a0 py::Stream.write:/srv/lproxy/transport/socket.py+0xb (/tmp/jitted-15790-44.so)
\t    7f3681434a11 _PyEval_EvalFrameDefault+0x4a1 (/opt/python/lib/libpython3.13.so.1.0)
\t    7f36816bd0a0 py::Hub.doRead:/opt/venv/lib/python3.13/site-packages/lproxy/transport/hub.py+0xb (/tmp/jitted.so)
\t    7f3680e4524a __libc_start_call_main+0x7a (/usr/lib/x86_64-linux-gnu/libc.so.6)

python3.13 15790\x20
\t    7f3681434a11 _PyEval_EvalFrameDefault+0x4a1 (/opt/python/lib/libpython3.13.so.1.0)
\t    7f3680e4524a [unknown] (/usr/lib/x86_64-linux-gnu/libc.so.6)
"""

BUSY = """
import time
from tests.components import missing
def lproxy_spins():
    until = time.monotonic() + 60
    while time.monotonic() < until:
        sum(range(100))
print("ready", flush=True)
lproxy_spins()
"""


class CommandTests(SynchronousTestCase):
    """How the proxy is started."""

    def test_inserted(self) -> None:
        """What a profiler adds stands before C{-m twisted}, whatever stands around it."""
        command = ["env", "-C", "../old", "python", "-m", "twisted", "lproxy", "--config", "x"]
        self.assertEqual([*command[:4], "-X", "perf", *command[4:]], inserted(command, ["-X", "perf"]))
        self.assertEqual(command, inserted(command, []))

    def test_other(self) -> None:
        """Another command line is refused in words, where something must be added."""
        self.assertEqual(["nginx"], inserted(["nginx"], []))
        self.assertRaises(ProcessFailed, inserted, ["nginx"], ["-X", "perf"])

    def test_heap(self) -> None:
        """memray runs lproxy and writes the profile's file."""
        options = PROFILERS["heap"].options(Path("/x/http"))
        self.assertEqual(["-m", "memray", "run"], options[:3])
        self.assertEqual("/x/http.memray", options[-1])

    def test_wrapped(self) -> None:
        """A peer is the same but for its command line; the folder for the files is made."""
        output = Path(self.mktemp(), "http")
        peer = PROFILERS["heap"].wrapped(PEERS["lproxy"], output)
        self.assertEqual(("lproxy", True), (peer.name, peer.ours))
        self.assertTrue(output.parent.is_dir())
        self.assertEqual("http.svg", beside(output, "svg").name)

    def test_missing(self) -> None:
        """A tool that is not there is named with the way to get it."""
        self.patch(profile.shutil, "which", lambda name: None)
        self.patch(profile.sys, "executable", "/nowhere/python")
        self.patch(profile.importlib.util, "find_spec", lambda name: None)
        for name, want in (
            ("cpu", "pip install py-spy"),
            ("native", "pip install py-spy"),
            ("perf", "apt-get install linux-perf"),
            ("heap", "pip install memray"),
        ):
            self.assertIn(want, PROFILERS[name].missing() or "")

    def test_not_permitted(self) -> None:
        """perf that is there and may not record: its own reason, and the setting."""
        self.patch(profile.shutil, "which", lambda name: f"/usr/bin/{name}")
        denied = subprocess.CompletedProcess([], 255, "", "\nError:\nAccess to performance monitoring is limited\n")
        self.patch(profile.subprocess, "run", lambda *args, **more: denied)
        self.assertRegex(PROFILERS["perf"].missing() or "", r"may not record here \(Error:.*perf_event_paranoid")


class PerfTests(SynchronousTestCase):
    """What perf saw."""

    def test_stacks(self) -> None:
        """Python's functions stand under their names, with what C does for the innermost; a stack without any is left
        as it is."""
        python, native = perf_stacks(PERF.splitlines())
        self.assertEqual(
            (
                "Hub.doRead (lproxy/transport/hub.py)",
                "Stream.write (/srv/lproxy/transport/socket.py)",
                "_PyEval_EvalFrameDefault (libpython3.13.so.1.0)",
                "__libc_send (libc.so.6)",
                "tcp_sendmsg (kernel.kallsyms)",
            ),
            python,
        )
        self.assertEqual(("[unknown] (libc.so.6)", "_PyEval_EvalFrameDefault (libpython3.13.so.1.0)"), native)

    def test_shortened(self) -> None:
        """A file is named from its package on."""
        self.assertEqual("lproxy/tap.py", shortened(str(profile.PROJECT / "lproxy/tap.py")))
        self.assertEqual("twisted/x.py", shortened("/v/lib/python3.11/site-packages/twisted/x.py"))

    def test_old_python(self) -> None:
        """Before Python 3.12 perf sees native symbols only, and the page says so."""
        self.patch(profile.sys, "version_info", (3, 11, 7, "final", 0))
        options, _, lack = profile.perf_mode()
        self.assertEqual([], options)
        self.assertIn("native symbols only", lack)


class RecordingTests(SynchronousTestCase):
    """A tool that runs beside the load."""

    def record(self, program: str, hint: str = "be root") -> Path:
        file = Path(self.mktemp()).absolute()
        with recording([sys.executable, "-c", program, str(file)], 0, file, hint):
            until = time.monotonic() + 20
            while not file.with_suffix(".up").exists() and time.monotonic() < until:
                time.sleep(0.02)
        return file

    def test_written(self) -> None:
        """It is told to end, and has written its file then."""
        program = (
            "import sys, time, pathlib; p = pathlib.Path(sys.argv[1])\n"
            "try:\n  p.with_suffix('.up').touch(); time.sleep(60)\n"
            "except KeyboardInterrupt:\n  p.write_text('stacks')\n"
        )
        self.assertEqual("stacks", self.record(program).read_text())

    def test_refused(self) -> None:
        """One that writes nothing is a failure, with its own words and what it needs."""
        program = "import sys, pathlib; pathlib.Path(sys.argv[1]).with_suffix('.up').touch(); sys.exit('not permitted')"
        error = self.assertRaises(ProcessFailed, self.record, program)
        self.assertIn("be root", str(error))
        self.assertIn("not permitted", str(error))

    def test_never_ends(self) -> None:
        """One that does not end is killed."""
        self.patch(profile, "WRITE_SECONDS", 0.2)
        program = (
            "import sys, time, pathlib, signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
            "pathlib.Path(sys.argv[1]).with_suffix('.up').touch(); time.sleep(60)"
        )
        self.assertIn("did not end", str(self.assertRaises(ProcessFailed, self.record, program)))


class RealTests(SynchronousTestCase):
    """py-spy with a program that is busy."""

    def test_waiting(self) -> None:
        """A proxy that mostly waited is a note; one whose functions were never seen is a failure."""
        ours, others = ("run (lproxy/app.py)",), ("poll (twisted/internet/epollreactor.py)",)
        self.assertEqual([], profile.judged({ours: 1, others: 1}, "x"))
        self.assertEqual(["note: lproxy was mostly waiting"], profile.judged({ours: 1, others: 99}, "x"))
        self.assertRaises(ProcessFailed, profile.judged, {others: 99}, "x")

    def test_cpu(self) -> None:
        """Its function has its name in the folded stacks and in the picture."""
        if missing := PROFILERS["cpu"].missing():
            components.missing(missing)
        program = Path(self.mktemp()).absolute()
        program.mkdir()
        (program / "lproxy").mkdir()
        (program / "lproxy" / "__init__.py").touch()
        (program / "lproxy" / "busy.py").write_text(BUSY)
        busy = subprocess.Popen([sys.executable, "-m", "lproxy.busy"], cwd=program, stdout=subprocess.PIPE)
        self.addCleanup(busy.wait)
        self.addCleanup(busy.kill)
        assert busy.stdout is not None
        self.addCleanup(busy.stdout.close)
        busy.stdout.readline()
        output = program / "busy"
        core = min(profile.os.sched_getaffinity(0))
        try:
            PROFILERS["cpu"].during(busy.pid, lambda: time.sleep(1.0), core, output)
        except ProcessFailed as error:
            missing(str(error))
        (line,) = PROFILERS["cpu"].finish(output)
        self.assertIn("busy.svg", line)
        for ending in ("folded", "svg"):
            self.assertIn("lproxy_spins", beside(output, ending).read_text())
        self.assertIsNone(busy.poll(), "it runs on")
        busy.send_signal(signal.SIGKILL)
