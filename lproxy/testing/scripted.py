# -*- test-case-name: tests.testing.test_scripted -*-
"""
Doubles of the stack's shapes: they record what is asked of them and answer on command.

Over 300 lines: the doubles of one small set of interfaces, which are used together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from lproxy.balancing import HealthCheck
from lproxy.errors import ProxyError
from lproxy.profile import RetryBudget
from lproxy.stack.budget import Budget, Budgets
from lproxy.stack.interfaces import NOTHING, Health, Hint, Watcher
from lproxy.stack.lease import FREE, Hold, ended
from lproxy.stack.report import Report
from lproxy.target import UNKNOWN, Endpoint, Metadata, Target

#: what answers an acquisition at once; None has it wait
AtOnce = Callable[[], "ScriptedLease | Exception | None"]


class ScriptedLease:
    """
    A L{Lease<lproxy.stack.interfaces.Lease>} that is strict about its end.

    @ivar requests: what it was called with
    @ivar closed: how often it was closed
    @ivar answer: what C{call} returns
    """

    def __init__(self, answer: Any = None, on_end: Callable[[], None] = lambda: None) -> None:
        self.hold: Hold = FREE
        self.requests: list[Any] = []
        self.closed = 0
        self.answer = answer
        self._on_end = on_end

    def __repr__(self) -> str:
        return f"<ScriptedLease calls={len(self.requests)} closed={self.closed}>"

    def call(self, request: Any) -> Any:
        """Remember C{request}; an error where there was one before, or the lease has ended."""
        if self.requests or self.closed:
            raise AssertionError(f"{self!r} cannot be called any more")
        self.requests.append(request)
        return self.answer

    def close(self) -> None:
        """End it; an error where it has ended already."""
        self.closed += 1
        if self.closed > 1:
            raise AssertionError(f"{self!r} was closed twice")
        ended(self)
        self._on_end()


class _Script:
    """
    Acquisitions that wait, oldest first, and what was made of them.

    @ivar warm: what C{try_acquire} gives, the first first
    @ivar at_once: answers each C{acquire}, where it has an answer
    @ivar stubborn: whether what is cancelled is answered with a lease all the same
    @ivar leases: all that were given by L{answer}
    @ivar failed: how many were failed by L{fail}
    """

    def __init__(self) -> None:
        self.warm: list[ScriptedLease] = []
        self.at_once: AtOnce | None = None
        self.stubborn = False
        self.leases: list[ScriptedLease] = []
        self.failed = 0
        self.load = 0
        self._waiting: dict[Deferred[ScriptedLease], Any] = {}

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def open(self) -> int:
        """Leases that were given by L{answer} and have not ended."""
        return sum(not lease.closed for lease in self.leases)

    def lease(self, answer: Any = None) -> ScriptedLease:
        """A new lease, as L{answer} gives it, for C{warm} and C{at_once}."""
        lease = ScriptedLease(answer, self._ended)
        self.load += 1
        self.leases.append(lease)
        return lease

    def answer(self) -> ScriptedLease:
        """Grant the one that has waited longest."""
        d, lease = self._next(), self.lease()
        d.callback(lease)
        return lease

    def fail(self, error: Exception) -> None:
        """Fail the one that has waited longest."""
        self.failed += 1
        self._next().errback(Failure(error))

    def _next(self) -> Deferred[ScriptedLease]:
        if not self._waiting:
            raise AssertionError("nobody waits")
        d = next(iter(self._waiting))
        del self._waiting[d]
        self.load -= 1
        return d

    def _ended(self) -> None:
        self.load -= 1

    def _try(self) -> ScriptedLease | None:
        return self.warm.pop(0) if self.warm else None

    def _acquire(self, what: Any, cancelled: list[Any]) -> Deferred[ScriptedLease]:
        d: Deferred[ScriptedLease] = Deferred(lambda d: self._cancel(d, cancelled))
        result = self.at_once() if self.at_once is not None else None
        if isinstance(result, Exception):
            d.errback(Failure(result))
        elif result is not None:
            d.callback(result)
        else:
            self._waiting[d] = what
            self.load += 1
        return d

    def _cancel(self, d: Deferred[ScriptedLease], cancelled: list[Any]) -> None:
        cancelled.append(self._waiting.pop(d))
        self.load -= 1
        if self.stubborn:
            d.callback(self.lease())


class ScriptedAcquire(_Script):
    """
    A L{Stack<lproxy.stack.interfaces.Stack>}, or any L{Acquire<lproxy.stack.interfaces.Acquire>} within one.

    @ivar tried: targets of C{try_acquire}
    @ivar calls: targets of C{acquire} and C{again}
    @ivar cancelled: targets of those that were cancelled
    @ivar hints: what came with each of both
    @ivar retried: errors of C{again}
    @ivar down: targets that do not serve
    @ivar endpoints: of targets, who serves them, where that matters
    @ivar kept: those that are to be kept
    @ivar budgets: what further tries draw on
    @ivar closed: how often it was closed
    """

    seconds = inf

    def __init__(self) -> None:
        super().__init__()
        self.tried: list[Target] = []
        self.calls: list[Target] = []
        self.cancelled: list[Target] = []
        self.hints: list[Hint | None] = []
        self.retried: list[ProxyError] = []
        self.down: list[Target] = []
        self.endpoints: dict[Target, set[Endpoint]] = {}
        self.kept: list[Target] = []
        self.budgets = Budgets(Clock())
        self.closed = 0

    def try_acquire(self, target: Target, hint: Hint | None = None) -> ScriptedLease | None:
        """The first of C{warm}."""
        self.tried.append(target)
        self.hints.append(hint)
        return self._try()

    def acquire(self, target: Target, hint: Hint | None = None) -> Deferred[ScriptedLease]:
        """Waits for L{answer}, L{fail} or its cancellation, unless C{at_once} has an answer."""
        self.calls.append(target)
        self.hints.append(hint)
        return self._acquire(target, self.cancelled)

    def again(self, target: Target, error: ProxyError, hint: Hint | None = None) -> Deferred[ScriptedLease]:
        """As C{acquire}; remembers C{error}."""
        self.retried.append(error)
        return self.acquire(target, hint)

    def budget(self, target: Target, settings: RetryBudget | None = None) -> Budget:
        """Of a clock that stands still."""
        return self.budgets.of(target, settings)

    def keep(self, target: Target) -> None:
        """Remember it."""
        self.kept.append(target)

    def serves(self, target: Target, avoid: tuple[Endpoint, ...] = ()) -> bool:
        """Unless it is among C{down}, or all of its C{endpoints} are to be avoided."""
        left = self.endpoints.get(target)
        return target not in self.down and (left is None or not left.issubset(avoid))

    def report(self, report: Report) -> None:
        """Nothing."""

    def close(self) -> None:
        """Count that."""
        self.closed += 1


class ScriptedService(_Script):
    """
    A L{Service<lproxy.stack.interfaces.Service>}, of an endpoint or of a target.

    @ivar key: whom it serves
    @ivar load: leases that are out or waited for; a test may set it
    @ivar calls: how often C{acquire} was called
    @ivar hints: what came with each of these, and of C{try_acquire}
    @ivar down: whether it says that it does not serve
    @ivar cancelled: one C{key} for each that was cancelled
    @ivar closed: how often it was closed
    @ivar on_ready: as of L{Service<lproxy.stack.interfaces.Service>}
    @ivar metadata: what is known of the endpoint besides
    @ivar health: where it may report failures, as an endpoint
    @ivar checks: those that were asked for, the oldest first, for the test to answer
    """

    def __init__(self, key: Target, metadata: Metadata = UNKNOWN, health: Health | None = None) -> None:
        super().__init__()
        self.metadata = metadata
        self.key = key
        self.health = health
        self.on_ready: Callable[[], None] | None = None
        self.tried = 0
        self.checks: list[Deferred[None]] = []
        self.calls = 0
        self.hints: list[Hint | None] = []
        self.down = False
        self.cancelled: list[Target] = []
        self.closed = 0

    def __repr__(self) -> str:
        return f"<ScriptedService {self.key} load={self.load} closed={self.closed}>"

    def try_acquire(self, hint: Hint | None = None) -> ScriptedLease | None:
        """The first of C{warm}."""
        self.tried += 1
        self.hints.append(hint)
        return self._try()

    def acquire(self, hint: Hint | None = None) -> Deferred[ScriptedLease]:
        """Waits for L{answer}, L{fail} or its cancellation, unless C{at_once} has an answer."""
        self.calls += 1
        self.hints.append(hint)
        return self._acquire(self.key, self.cancelled)

    def ailing(self) -> int:
        """None, or the only one."""
        return 1 if self.down else 0

    def serves(self, avoid: tuple[Endpoint, ...] = ()) -> bool:
        """Unless C{down}."""
        return not self.down

    def check(self, check: HealthCheck) -> Deferred[None]:
        """Waits for the test's answer."""
        asked: Deferred[None] = Deferred()
        self.checks.append(asked)
        return asked

    def busy(self) -> int:
        """Its load."""
        return self.load

    def close(self) -> None:
        """Count that."""
        self.closed += 1

    def report(self, report: Report) -> None:
        """Its load."""
        report.show(in_flight=self.load)


class ScriptedWatch:
    """A L{Watch<lproxy.stack.interfaces.Watch>}."""

    def __init__(self, target: Target, watcher: Watcher, refresh: Callable[[ScriptedWatch], None]) -> None:
        self.target = target
        self.watcher = watcher
        self.closed = 0
        self.refreshed = 0
        self._refresh = refresh

    def close(self) -> None:
        """Count that; nothing more is told."""
        self.closed += 1

    def refresh(self) -> None:
        """Count that, and do what the test wants."""
        self.refreshed += 1
        self._refresh(self)


class ScriptedDiscover:
    """
    A L{Discover<lproxy.stack.interfaces.Discover>}.

    @ivar known: what new watchers are told at once, and C{about} what with it
    @ivar watches: all there ever were
    @ivar on_refresh: called with the watch that is to be refreshed
    """

    def __init__(self) -> None:
        self.known: dict[Target, tuple[Endpoint, ...] | Exception] = {}
        self.about: dict[Target, Mapping[Endpoint, Metadata]] = {}
        self.watches: list[ScriptedWatch] = []
        self.on_refresh: Callable[[ScriptedWatch], None] = lambda watch: None

    def watch(self, target: Target, watcher: Watcher) -> ScriptedWatch:
        """Tell C{watcher} what is known, within this call."""
        watch = ScriptedWatch(target, watcher, lambda watch: self.on_refresh(watch))  # noqa: PLW0108 - as it is then
        self.watches.append(watch)
        self._tell(watch)
        return watch

    @property
    def open(self) -> int:
        """How many watches were not closed."""
        return sum(not watch.closed for watch in self.watches)

    def set(self, target: Target, endpoints: Iterable[Endpoint], about: Mapping[Endpoint, Metadata] = NOTHING) -> None:
        """C{endpoints} serve C{target}, of which C{about} is known besides: watchers are told."""
        self.known[target] = tuple(endpoints)
        self.about[target] = about
        self._tell_all(target)

    def fail(self, target: Target, error: Exception) -> None:
        """C{target} cannot be resolved: watchers are told."""
        self.known[target] = error
        self._tell_all(target)

    def _tell_all(self, target: Target) -> None:
        for watch in self.watches:
            if watch.target == target and not watch.closed:
                self._tell(watch)

    def _tell(self, watch: ScriptedWatch) -> None:
        answer = self.known.get(watch.target)
        if isinstance(answer, Exception):
            watch.watcher.unresolved(answer)
        elif answer is not None:
            watch.watcher.endpoints(answer, self.about.get(watch.target, NOTHING))
