# -*- test-case-name: tests.app.test_profile -*-
"""
C{--profile-port}: see from outside what the proxy spends its time on.

A timer of the kernel's (ITIMER_PROF) that runs with the CPU time used, not with the clock, and a signal handler that
notes who called whom at each of its ticks. So it needs no privileges and no package, costs the same for cheap functions
as for dear ones (cProfile makes cheap functions look dear), and costs nothing at all while it is stopped. Only this
process's main thread is looked at, and C functions count for whoever called them; py-spy and perf see more, where they
may.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IPullProducer
from twisted.web import server
from zope.interface import implementer

from lproxy.app.admin import JSON, PLAIN, _Command, _Get, _names, _Request, _Root, _Site
from lproxy.app.log import log
from lproxy.app.service import CannotStart
from lproxy.config import Admin

HOST = "127.0.0.1"
#: samples per second of CPU time; not a divisor of 1000, so as not to beat with timers. The kernel may have fewer ticks
RATE = 199
#: calls of a stack that are kept, counted from the innermost
DEPTH = 200
#: different stacks that are kept; a proxy under load has a few thousand. Further ones are counted together
STACKS = 50_000
OTHERS = "(further_stacks)"
#: functions that /stats lists
TOP = 40


class Sampler:
    """
    Counts stacks by the CPU time that they took.

    A tick that comes late, because a C function let no Python run, counts for all the time since the one before.

    @param cpu: the CPU time that this process has used, in nanoseconds
    """

    def __init__(self, cpu: Callable[[], int] = time.process_time_ns) -> None:
        self._cpu = cpu
        # by the identity of code objects: their hash would go through all of their content, time and again
        self._found: dict[tuple[int, ...], int] = {}
        #: keeps the code objects, too, so that no other gets their identity
        self._names: dict[int, tuple[object, str]] = {}
        self._last = 0
        self.samples = 0
        self.running = False

    def start(self) -> None:
        """Begin anew."""
        self.stop()
        self._found = {}
        self.samples = 0
        self._last = self._cpu()
        self.running = True
        signal.signal(signal.SIGPROF, self._tick)
        # no system call of a C library's is to fail because of us
        signal.siginterrupt(signal.SIGPROF, False)
        signal.setitimer(signal.ITIMER_PROF, 1 / RATE, 1 / RATE)

    def stop(self) -> None:
        """End; what was found stays."""
        if self.running:
            self.running = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            # not the default, which would end the process: a tick may be on its way
            signal.signal(signal.SIGPROF, signal.SIG_IGN)

    def _tick(self, number: int, frame: FrameType | None) -> None:
        """The signal handler: between any two steps of the main thread's, so it is short and asks nobody."""
        if not self.running:
            return
        names = self._names
        stack: list[int] = []
        while frame is not None and len(stack) < DEPTH:
            code = frame.f_code
            key = id(code)
            if key not in names:
                names[key] = code, f"{frame.f_globals.get('__name__', '?')}:{code.co_qualname}"
            stack.append(key)
            frame = frame.f_back
        now = self._cpu()
        found = tuple(stack)
        if found not in self._found and len(self._found) >= STACKS:
            found = ()
        self._found[found] = self._found.get(found, 0) + now - self._last
        self._last = now
        self.samples += 1

    def _stacks(self) -> Counter[tuple[str, ...]]:
        """Names from the outermost call to the innermost, and microseconds."""
        stacks: Counter[tuple[str, ...]] = Counter()
        # a copy: a tick may come at any time
        for found, nanoseconds in self._found.copy().items():
            stacks[tuple(self._names[key][1] for key in reversed(found)) or (OTHERS,)] += nanoseconds // 1000
        return stacks

    def folded(self) -> str:
        """A line for each stack: its calls with C{;} between them, and microseconds of CPU time."""
        # a name with a separator in it: nothing of ours has one
        lines = (
            f"{';'.join(name.replace(';', ':').replace(' ', '_') for name in stack)} {us}"
            for stack, us in self._stacks().items()
        )
        return "\n".join(sorted(lines))

    def stats(self) -> dict[str, Any]:
        """How much was seen, and the functions that took the most: by themselves, and with all that they call."""
        alone: Counter[str] = Counter()
        total: Counter[str] = Counter()
        for stack, us in self._stacks().items():
            alone[stack[-1]] += us
            for name in set(stack):
                total[name] += us
        return {
            "running": self.running,
            "samples": self.samples,
            "cpu_us": sum(alone.values()),
            "stacks": len(self._found),
            "functions": [
                {"name": name, "self_us": us, "total_us": total[name]} for name, us in alone.most_common(TOP)
            ],
        }


ABOUT = f"""\
POST /start  sample from now on, {RATE} times per second of CPU time
POST /stop   sample no more; answers with the folded stacks: calls with ; between them, and microseconds
GET /stacks  the folded stacks so far
GET /stats   the dearest functions so far
POST /quit   as /stop, and the proxy drains and ends
"""


def profile_site(sampler: Sampler, shutdown: Callable[[], None]) -> _Site:
    """
    What the profile port answers: GET to look, POST to act, to callers on this machine that are no web page.

    @param shutdown: as C{SIGTERM}
    """

    def start(request: Any) -> tuple[int, str]:
        sampler.start()
        return 200, "sampling"

    def stop(request: Any) -> tuple[int, str]:
        sampler.stop()
        return 200, sampler.folded()

    root = _Root(_names(Admin(), HOST))
    root.add("", "this page", _Get(PLAIN, ABOUT.encode))
    root.add("stacks", "folded stacks so far", _Get(PLAIN, lambda: sampler.folded().encode() + b"\n"))
    root.add("stats", "functions so far", _Get(JSON, lambda: json.dumps(sampler.stats(), indent=2).encode() + b"\n"))
    root.putChild(b"start", _Command(True, "", start))
    root.putChild(b"stop", _Command(True, "", stop))
    root.putChild(b"quit", _Quit(stop, shutdown))
    return _Site(root, _Request)


class _Quit(_Command):
    """Ends the proxy once its answer, which may be long, is on its way: what is still in a buffer then is lost."""

    def __init__(self, stop: Callable[[Any], tuple[int, str]], shutdown: Callable[[], None]) -> None:
        super().__init__(True, "", stop)
        self._shutdown = shutdown

    def render_POST(self, request: Any) -> Any:
        """The last stacks."""
        answer = super().render_POST(request)
        if request.code != 200:
            return answer
        # or the end of the last chunk would be written too late
        request.setHeader(b"content-length", b"%d" % len(answer))
        request.registerProducer(_LastWords(request, answer, self._shutdown), False)
        return server.NOT_DONE_YET


@implementer(IPullProducer)
class _LastWords:
    """Writes an answer piece by piece; does something when all is written, or nobody wants it any more."""

    PIECE = 65_536

    def __init__(self, request: Any, answer: bytes, done: Callable[[], None]) -> None:
        self._request = request
        self._rest = memoryview(answer)
        self._done = done

    def resumeProducing(self) -> None:
        """There is room for a piece."""
        if self._rest:
            piece, self._rest = bytes(self._rest[: self.PIECE]), self._rest[self.PIECE :]
            self._request.write(piece)
            return
        self._request.unregisterProducer()
        self._request.finish()
        self._done()

    def stopProducing(self) -> None:
        """The client is gone; that it wanted us to end still holds."""
        self._done()


class ProfilePort(Service):
    """Listens on 127.0.0.1 while the proxy runs. Nothing is sampled before it is told to."""

    def __init__(self, port: int, shutdown: Callable[[], None], reactor: Any) -> None:
        self._number = port
        self._shutdown = shutdown
        self._sampler = Sampler()
        self._reactor = reactor
        self._port: Any = None

    def startService(self) -> None:
        """Raises L{CannotStart}."""
        site = profile_site(self._sampler, self._shutdown)
        try:
            self._port = self._reactor.listenTCP(self._number, site, interface=HOST)
        except CannotListenError as e:
            why = getattr(e.socketError, "strerror", None) or e.socketError
            raise CannotStart(f"--profile-port: cannot listen on {HOST}:{self._number}: {why}") from e
        super().startService()  # type: ignore[no-untyped-call]
        log.info(
            "profile port on http://{host}:{port}/, process {pid}",
            host=HOST,
            port=self._port.getHost().port,
            pid=os.getpid(),
        )

    def stopService(self) -> Deferred[None]:
        """Sample and listen no more."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._sampler.stop()
        stopped: Deferred[None] = self._port.stopListening()
        return stopped
