# -*- test-case-name: tests.stack.test_lock -*-
"""
Take turns at acquiring a target's service, in order of arrival.

Above: the timeout, so that waiting in line spends the same budget. Below: the cached router. A turn lasts until the
request is dispatched, not until its answer comes. So many turns are had at once per target as C{concurrency} says
(never one line for all targets): with one, connections to a distant upstream would be opened one round trip after
the other. A warm service is not locked at all while nobody stands in line for it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.stack.interfaces import Acquire, Layer, Lease
from lproxy.target import Target


class WaitedInLine(CancelledError):
    """A waiter's time ran out, or its client went away, before its turn."""


class _Turn:
    """A holder of a target's lock: while it acquires, and then until its request is dispatched."""

    __slots__ = ("caller", "inner", "since")

    def __init__(self, caller: Deferred[Lease], since: float) -> None:
        self.caller = caller
        self.since = since
        self.inner: Deferred[Lease] | None = None


class _Line:
    """A target's holders and those behind them, oldest first. It exists while there is a holder."""

    __slots__ = ("advancing", "turns", "waiting")

    def __init__(self) -> None:
        self.turns: dict[Deferred[Lease], _Turn] = {}
        self.waiting: OrderedDict[Deferred[Lease], None] = OrderedDict()
        self.advancing = False


class _HeldLease:
    """A lease whose dispatch, or end, lets the next in line."""

    __slots__ = ("_inner", "_line", "_lock", "_target", "_turn")

    def __init__(self, inner: Lease, lock: Lock, target: Target, line: _Line, turn: _Turn) -> None:
        self._inner = inner
        self._lock = lock
        self._target = target
        self._line = line
        self._turn = turn

    def call(self, request: Any) -> Any:
        try:
            return self._inner.call(request)
        finally:
            self._lock._release(self._target, self._line, self._turn)

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            self._lock._release(self._target, self._line, self._turn)


class Lock:
    """An L{Acquire} that lets C{concurrency} callers per target through to C{inner}."""

    def __init__(self, inner: Acquire, clock: IReactorTime, concurrency: int) -> None:
        self.inner = inner
        self._clock = clock
        self._concurrency = concurrency
        self._lines: dict[Target, _Line] = {}

    def __repr__(self) -> str:
        return f"<Lock {len(self._lines)} held, {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        """How many callers stand in line, for all targets."""
        return sum(len(line.waiting) for line in self._lines.values())

    def describe(self, target: Target) -> dict[str, Any]:
        """Who waits for C{target}, and how long its oldest holder has held the lock, in seconds."""
        line = self._lines.get(target)
        if line is None or not line.turns:
            return {"waiters": 0, "lock": "free"}
        oldest = next(iter(line.turns.values()))
        doing = "acquiring" if oldest.inner is not None else "dispatching"
        held = round(self._clock.seconds() - oldest.since, 3)
        return {
            "waiters": len(line.waiting),
            "lock": {"holders": len(line.turns), "oldest": doing, "held_seconds": held},
        }

    def try_acquire(self, target: Target) -> Lease | None:
        """Straight through, unless somebody waits in line for the same."""
        if self._lines:
            line = self._lines.get(target)
            if line is not None and line.waiting:
                return None
        return self.inner.try_acquire(target)

    def acquire(self, target: Target) -> Deferred[Lease]:
        """
        A lease in one's turn. A failure to acquire is everybody's who was waiting for the same; a cancellation is
        only the canceller's.
        """
        caller: Deferred[Lease] = Deferred(lambda d: self._cancelled(target, d))
        line = self._lines.get(target)
        if line is None:
            line = self._lines[target] = _Line()
        line.waiting[caller] = None
        self._advance(target, line)
        return caller

    def _cancelled(self, target: Target, caller: Deferred[Lease]) -> None:
        line = self._lines.get(target)
        if line is None:
            return
        if caller in line.waiting:
            ahead = len(line.turns) + next(i for i, waiter in enumerate(line.waiting) if waiter is caller)
            # unlinked before it fires, so that it can never be granted
            del line.waiting[caller]
            caller.errback(WaitedInLine(f"waiting in line behind {ahead} others"))
        elif (turn := line.turns.get(caller)) is not None and turn.inner is not None:
            turn.inner.cancel()

    def _release(self, target: Target, line: _Line, turn: _Turn) -> None:
        if line.turns.pop(turn.caller, None) is not None:
            self._advance(target, line)

    def _advance(self, target: Target, line: _Line) -> None:
        """
        Let in the next, as long as there is one and a turn to be had.

        A loop, not a recursion: those let in may be done before this returns, thousands of them in a row.
        """
        if line.advancing:
            return
        line.advancing = True
        while line.waiting and len(line.turns) < self._concurrency:
            caller, _ = line.waiting.popitem(last=False)
            turn = line.turns[caller] = _Turn(caller, self._clock.seconds())
            try:
                turn.inner = inner = self.inner.acquire(target)
            except Exception:
                # a layer below that raises where it should fail: the same to those who wait
                self._failed(Failure(), target, line, turn)
                continue
            inner.addCallbacks(
                self._granted, self._failed, callbackArgs=(target, line, turn), errbackArgs=(target, line, turn)
            )
        line.advancing = False
        if not line.turns and not line.waiting and self._lines.get(target) is line:
            del self._lines[target]

    def _granted(self, lease: Lease, target: Target, line: _Line, turn: _Turn) -> None:
        turn.inner = None
        held = _HeldLease(lease, self, target, line, turn)
        if turn.caller.called:
            held.close()  # cancelled, and what is below had it all the same
        else:
            turn.caller.callback(held)

    def _failed(self, failure: Failure, target: Target, line: _Line, turn: _Turn) -> None:
        del line.turns[turn.caller]
        concerned = [turn.caller]
        if not failure.check(CancelledError):
            concerned.extend(line.waiting)
            line.waiting.clear()
        for caller in concerned:
            if not caller.called:  # one that was told may cancel others
                caller.errback(failure)
        self._advance(target, line)


def layer(clock: IReactorTime, concurrency: int = 1) -> Layer:
    """A line for each target, and C{concurrency} turns."""
    return lambda inner: Lock(inner, clock, concurrency)
