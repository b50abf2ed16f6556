# -*- test-case-name: tests.benchmark.test_profile -*-
"""
Where do lproxy's time and memory go? A profile of the proxy while a scenario runs; its figures count nowhere.

C{cpu}: py-spy samples the Python stacks (with C{native}, C's too). C{perf}: Linux perf, which sees the kernel and every
library, and Python's functions from Python 3.12 on. C{heap}: memray, what was in memory when most was.

A profiler changes the command line that the proxy is started with, does something while it runs, and makes files and a
few lines to print when it has ended.

Over 300 lines: three tools, and what each needs to be there and to be allowed.
"""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from benchmark import flame
from benchmark.flame import Stack
from benchmark.peer import Peer, Setting
from benchmark.process import PROJECT, ProcessFailed, on_core, run

#: samples per second; not a divisor of 1000, so as not to beat with timers
RATE = 199
#: py-spy stops the proxy to follow C's stacks; so that it still gets something done
NATIVE_RATE = 49
#: what a tool may take to write its file, and to make a picture of it
WRITE_SECONDS = 60.0
DRAW_SECONDS = 180.0
#: a profile in which less of the time was in our functions shows mostly waiting
OURS = 0.2

Work = Callable[[], object]


@dataclass(frozen=True)
class Profiler:
    """
    One way to look at the proxy.

    @ivar missing: in words why it cannot be used on this machine, and how to get it; or None
    @ivar options: what to put between C{python} and C{-m twisted} on the proxy's command line; the path is what all of
        the profile's files are named after
    @ivar during: does the work while process C{pid} is looked at from a core
    @ivar finish: once the proxy has ended: makes what is still to be made, and returns lines to print
    """

    name: str
    missing: Callable[[], str | None]
    options: Callable[[Path], list[str]]
    during: Callable[[int, Work, int, Path], None]
    finish: Callable[[Path], list[str]]

    def wrapped(self, peer: Peer, output: Path) -> Peer:
        """C{peer}, started so that it can be profiled."""
        inner = peer.command
        assert inner is not None, f"{peer.name} has no process"
        output.parent.mkdir(parents=True, exist_ok=True)
        return replace(peer, command=lambda setting: self._command(inner, setting, output))

    def _command(self, inner: Callable[[Setting], list[str]], setting: Setting, output: Path) -> list[str]:
        return inserted(inner(setting), self.options(output.absolute()))


def inserted(command: Sequence[str], options: Sequence[str]) -> list[str]:
    """C{command} with C{options} before its C{-m twisted}, or as it is where there are none."""
    if not options:
        return list(command)
    for at in range(len(command) - 1):
        if tuple(command[at : at + 2]) == ("-m", "twisted"):
            return [*command[:at], *options, *command[at:]]
    raise ProcessFailed(f"to profile it, lproxy must be started by python -m twisted, not {' '.join(command)}")


def beside(output: Path, ending: str) -> Path:
    """The profile's file with that ending."""
    return output.with_name(f"{output.name}.{ending}")


@contextmanager
def recording(command: Sequence[str], core: int, file: Path, hint: str) -> Iterator[None]:
    """Run a tool that writes C{file} on SIGINT; fail, with what it said and C{hint}, when it did not."""
    file.unlink(missing_ok=True)
    # a file: a pipe that nobody reads could fill up
    with tempfile.TemporaryFile("w+") as said:
        with on_core(core):
            tool = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            yield
            if tool.poll() is None:
                tool.send_signal(signal.SIGINT)
            tool.wait(WRITE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ProcessFailed(f"{command[0]} did not end within {WRITE_SECONDS:.0f} s") from error
        finally:
            if tool.poll() is None:
                tool.kill()
                tool.wait()
        said.seek(0)
        if not file.exists() or not file.stat().st_size:
            raise ProcessFailed(f"{Path(command[0]).name} wrote nothing ({hint}):\n{said.read()[-1500:]}")


def draw(stacks: dict[Stack, int], output: Path, title: str) -> list[str]:
    """Write the folded stacks and their picture."""
    if not stacks:
        raise ProcessFailed(f"{title}: not one stack was seen")
    folded, picture = beside(output, "folded"), beside(output, "svg")
    folded.write_text("".join(f"{';'.join(stack)} {count}\n" for stack, count in sorted(stacks.items())))
    picture.write_text(flame.svg(stacks, title))
    ours = flame.share(stacks, "lproxy")
    return [
        f"{picture} and {folded.name}: {sum(stacks.values())} samples, {ours:.0%} of them within lproxy's functions"
    ]


def judged(stacks: dict[Stack, int], what: str) -> list[str]:
    """A note when little of the time was in our functions, which a light load explains; a failure when none was."""
    share = flame.share(stacks, "lproxy")
    if not share:
        raise ProcessFailed(f"{what}: not one sample within lproxy's functions: was there any load?")
    return [] if share >= OURS else ["note: lproxy was mostly waiting"]


# py-spy


def py_spy() -> str | None:
    """Where py-spy is: beside this Python, else on the PATH."""
    here = Path(sys.executable).with_name("py-spy")
    return str(here) if here.exists() else shutil.which("py-spy")


def py_spy_missing() -> str | None:
    return None if py_spy() else "py-spy is not installed: pip install py-spy"


def py_spy_during(pid: int, work: Work, core: int, output: Path, native: bool = False) -> None:
    """
    Without C{native} it looks on while the proxy runs: a few stacks come out torn, and the proportions stay right.
    C's stacks can only be followed while it stands still.
    """
    program = py_spy()
    if program is None:
        raise ProcessFailed(str(py_spy_missing()))
    command = [program, "record", "--pid", str(pid), "--format", "raw", "--function", "--duration", "unlimited"]
    command += ["--native", "--rate", str(NATIVE_RATE)] if native else ["--nonblocking", "--rate", str(RATE)]
    file = beside(output, "folded")
    hint = "it needs the right to trace: root, or kernel.yama.ptrace_scope=0, or in a container CAP_SYS_PTRACE"
    with recording([*command, "--output", str(file.absolute())], core, file, hint):
        work()


def py_spy_finish(output: Path, native: bool = False) -> list[str]:
    stacks = flame.parse(beside(output, "folded").read_text().splitlines())
    lines = draw(stacks, output, f"lproxy, CPU{' with native calls' if native else ''} (py-spy)")
    return [*lines, *judged(stacks, lines[0])]


# perf

#: a call in what C{perf script} prints: address, symbol with offset, library
PERF_CALL = re.compile(r"^\s+[0-9a-f]+ (?P<symbol>.+?)(\+0x[0-9a-f]+)? \((?P<library>.*)\)$")
#: how Python's trampoline names a function
TRAMPOLINE = re.compile(r"^py::(?P<name>.+?):(?P<file>.+)$")


def perf_missing() -> str | None:
    """A record of one short program tells more than any setting."""
    if shutil.which("perf") is None:
        return "perf is not installed: apt-get install linux-perf (Ubuntu: linux-tools-$(uname -r))"
    with tempfile.TemporaryDirectory() as directory:
        command = ["perf", "record", "-e", "cpu-clock", "-o", f"{directory}/data", sys.executable, "-c", "0"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        except subprocess.TimeoutExpired:
            return "perf does not come to an end here"
    if done.returncode == 0:
        return None
    why = next((line.strip() for line in done.stderr.splitlines() if line.strip()), f"status {done.returncode}")
    return f"perf may not record here ({why}): be root, or sysctl kernel.perf_event_paranoid=1"


def has_frame_pointers() -> bool:
    """Whether this Python was built so that perf can follow its stacks by frame pointers."""
    flags = f"{sysconfig.get_config_var('PY_CORE_CFLAGS')} {sysconfig.get_config_var('CONFIGURE_CFLAGS')}"
    return "-fno-omit-frame-pointer" in flags


def perf_mode() -> tuple[list[str], str, str]:
    """Python's options, perf's way to follow stacks, and in words what is lacking."""
    running = tuple(sys.version_info[:2])
    version = ".".join(map(str, running))
    if running < (3, 12) or not getattr(sys, "is_stack_trampoline_active", None):
        return [], "dwarf", f"Python {version} does not tell perf its functions, 3.12 does: native symbols only"
    if has_frame_pointers():
        return ["-X", "perf"], "fp", ""
    if running >= (3, 13):
        return ["-X", "perf_jit"], "dwarf", ""
    lack = "built without -fno-omit-frame-pointer: callers are missing from many stacks (3.13 needs no such build)"
    return ["-X", "perf"], "fp", f"Python {version} was {lack}"


def perf_options(output: Path) -> list[str]:
    return perf_mode()[0]


def perf_during(pid: int, work: Work, core: int, output: Path) -> None:
    """With C{cpu-clock}, which needs no counters in the hardware: virtual machines have none."""
    follow = {"fp": "fp", "dwarf": "dwarf,32768"}[perf_mode()[1]]
    file = beside(output, "perf.data")
    command = ["perf", "record", "-e", "cpu-clock", "-F", str(RATE), "-k", "mono", "--call-graph", follow]
    with recording([*command, "-p", str(pid), "-o", str(file.absolute())], core, file, "may we?"):
        work()


def perf_stacks(lines: Iterable[str]) -> dict[Stack, int]:
    """The stacks in what C{perf script} prints: a headline for each sample, its calls from the innermost, a blank."""
    stacks: dict[Stack, int] = {}
    calls: list[str] = []
    for line in chain(lines, [""]):
        if found := PERF_CALL.match(line):
            calls.append(perf_name(found["symbol"], found["library"]))
        elif not line.strip() and calls:
            stack = without_interpreter(calls[::-1])
            stacks[stack] = stacks.get(stack, 0) + 1
            calls = []
    return stacks


def without_interpreter(stack: Sequence[str]) -> Stack:
    """Where Python's functions are seen: they, and what C does for the innermost one; not how one calls the other."""
    python = [at for at, name in enumerate(stack) if flame.kind(name) != "native"]
    if not python:
        return tuple(stack)
    return (*(stack[at] for at in python), *stack[python[-1] + 1 :])


def perf_name(symbol: str, library: str) -> str:
    """A call as the graph names it: Python's as py-spy writes them, others with their library."""
    if found := TRAMPOLINE.match(symbol):
        return f"{found['name']} ({shortened(found['file'])})".replace(";", ":")
    return f"{symbol} ({Path(library).name.strip('[]')})".replace(";", ":")


def shortened(file: str) -> str:
    """A source file's path from its package on."""
    for root in ("/site-packages/", f"/python{sys.version_info[0]}.{sys.version_info[1]}/", f"{PROJECT}/"):
        if root in file:
            return file.rpartition(root)[2]
    return file


def perf_finish(output: Path) -> list[str]:
    options, _, lack = perf_mode()
    data = beside(output, "perf.data")
    core = min(os.sched_getaffinity(0))
    if "perf_jit" in options:
        told = data.with_suffix(".jit")
        run(["perf", "inject", "-i", str(data.absolute()), "--jit", "-o", str(told.absolute())], core, DRAW_SECONDS)
        told.replace(data)
    printed = run(["perf", "script", "-i", str(data.absolute()), "-F", "comm,tid,ip,sym,dso"], core, DRAW_SECONDS)
    stacks = perf_stacks(printed.splitlines())
    lines = draw(stacks, output, "lproxy, CPU (perf)")
    if options:
        lines += judged(stacks, f"{lines[0]}: is {' '.join(options)} in effect?")
    return [*lines, *([f"note: {lack}"] if lack else []), f"{data}: for perf report"]


# memray


def memray_missing() -> str | None:
    if importlib.util.find_spec("memray") is None:
        return "memray is not installed: pip install memray (or lproxy[benchmark])"
    return None


def memray_options(output: Path) -> list[str]:
    """Aggregated, or every allocation of the run would go to the disk."""
    file = beside(output, "memray")
    return ["-m", "memray", "run", "--aggregate", "--quiet", "--force", "--output", str(file)]


def memray_during(pid: int, work: Work, core: int, output: Path) -> None:
    work()


#: of the file that memray wrote: bytes in use when most were
MEMRAY_PEAK = "import sys, memray; print(memray.FileReader(sys.argv[1]).metadata.peak_memory)"


def memray_finish(output: Path) -> list[str]:
    file, page = beside(output, "memray"), beside(output, "html")
    if not file.exists():
        raise ProcessFailed(f"memray wrote nothing to {file}: did the proxy end by itself?")
    core = min(os.sched_getaffinity(0))
    python = sys.executable
    # all in one file: without a network the page would be empty
    command = [python, "-m", "memray", "flamegraph", "--no-web", "--force", "--output", str(page.absolute())]
    run([*command, str(file.absolute())], core, DRAW_SECONDS)
    peak = int(run([python, "-c", MEMRAY_PEAK, str(file.absolute())], core, DRAW_SECONDS))
    return [f"{page} and {file.name}: high water {peak / 2**20:.1f} MiB"]


def nothing(output: Path) -> list[str]:
    """No options."""
    return []


def native_during(pid: int, work: Work, core: int, output: Path) -> None:
    py_spy_during(pid, work, core, output, native=True)


def native_finish(output: Path) -> list[str]:
    return py_spy_finish(output, native=True)


PROFILERS: dict[str, Profiler] = {
    profiler.name: profiler
    for profiler in (
        Profiler("cpu", py_spy_missing, nothing, py_spy_during, py_spy_finish),
        Profiler("native", py_spy_missing, nothing, native_during, native_finish),
        Profiler("perf", perf_missing, perf_options, perf_during, perf_finish),
        Profiler("heap", memray_missing, memray_options, memray_during, memray_finish),
    )
}
