"""
Where does lproxy's time go? py-spy's flame graph of the proxy while a load runs.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmark.process import ProcessFailed, on_core

#: samples per second; not a divisor of 1000, so as not to beat with timers
RATE = 199


def py_spy() -> str | None:
    """Where py-spy is: beside this Python, else on the PATH."""
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


def record(pid: int, work: Callable[[], object], core: int, output: Path) -> None:
    """
    Write a flame graph (SVG) of process C{pid} during C{work()} to C{output}; py-spy runs on C{core}.

    It samples without stopping the process: a few stacks come out torn, and the proportions stay right.
    """
    program = py_spy()
    if program is None:
        raise ProcessFailed("py-spy is not installed: pip install py-spy")
    command = [program, "record", "--pid", str(pid), "--output", str(output), "--rate", str(RATE), "--nonblocking"]
    with on_core(core):
        spy = subprocess.Popen(
            [*command, "--duration", "unlimited"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        work()
        if spy.poll() is None:
            spy.send_signal(signal.SIGINT)  # py-spy writes its file then
        said, _ = spy.communicate(timeout=60)
    finally:
        if spy.poll() is None:
            spy.kill()
            spy.communicate()
    if not output.exists():
        raise ProcessFailed(
            f"py-spy wrote nothing (it needs the right to trace: root, or kernel.yama.ptrace_scope=0):\n{said}"
        )
