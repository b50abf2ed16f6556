"""
L{benchmark.together}: several processes as one.
"""

import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import together
from benchmark.process import PROJECT

#: says that it is there, and when it is told to end
WAITS = """
import pathlib, signal, sys, time
path = pathlib.Path(sys.argv[1])
def stop(*_):
    path.write_text("told")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
path.write_text("there")
time.sleep(60)
"""


class TogetherTests(SynchronousTestCase):
    def started(self, *commands: list[str]) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(together.command(*commands), cwd=PROJECT)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def waits(self) -> tuple[Path, list[str]]:
        path = Path(self.mktemp()).absolute()
        return path, [sys.executable, "-c", WAITS, str(path)]

    def until(self, path: Path, word: str) -> None:
        end = time.monotonic() + 20
        while not path.exists() or path.read_text() != word:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def test_term(self) -> None:
        """SIGTERM reaches all of them, and all have ended when it ends, well."""
        both = [self.waits() for _ in range(2)]
        process = self.started(*(command for _, command in both))
        for path, _ in both:
            self.until(path, "there")
        process.terminate()
        self.assertEqual(0, process.wait(20))
        self.assertEqual(["told", "told"], [path.read_text() for path, _ in both])

    def test_one_ends(self) -> None:
        """When one of them ends the others are ended, and its status is told; that it ended well is no excuse."""
        for status, told in ((3, 3), (0, 1)):
            path, command = self.waits()
            ends = f"import pathlib, sys, time\nwhile not pathlib.Path({str(path)!r}).exists(): time.sleep(0.01)"
            process = self.started(command, [sys.executable, "-c", f"{ends}\nsys.exit({status})"])
            self.assertEqual(told, process.wait(20))
            self.until(path, "told")
