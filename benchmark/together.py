# -*- test-case-name: tests.benchmark.test_together -*-
"""
C{python -m benchmark.together COMMAND COMMAND ...}: several commands as one process tree, for the two hops of a proxy.

Each is a JSON list of words. SIGTERM is passed on to all; when one ends, so do the others.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType


def command(*commands: Sequence[str]) -> list[str]:
    """The command line for them."""
    return [sys.executable, "-m", "benchmark.together", *(json.dumps(list(one)) for one in commands)]


def main(words: Sequence[str]) -> int:
    """The status of the first that ended, or 1 where that was its own will, with status 0."""
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        for one in started:
            one.terminate()

    started: list[subprocess.Popen[bytes]] = []
    signal.signal(signal.SIGTERM, stop)
    started += [subprocess.Popen(json.loads(word)) for word in words]
    pid, status = os.wait()
    for one in started:
        if one.pid == pid:
            one.returncode = os.waitstatus_to_exitcode(status)
        else:
            one.terminate()
            one.wait()
    return 0 if asked else os.waitstatus_to_exitcode(status) or 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
