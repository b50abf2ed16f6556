# -*- test-case-name: tests.stack.test_lock -*-
"""
Tests for L{lproxy.stack.lock}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import explain
from lproxy.stack import lock, timeout
from lproxy.stack.interfaces import Lease
from lproxy.stack.report import Report
from lproxy.target import Authority
from lproxy.testing import ScriptedAcquire, ScriptedLease, reported
from tests.stack.fuzz import LockFuzz

TARGET = Authority("web.local", 80)
OTHER = Authority("other.local", 80)


class LockTests(SynchronousTestCase):
    """One permit."""

    concurrency = 1

    def setUp(self) -> None:
        self.clock, self.inner = Clock(), ScriptedAcquire()
        self.lock: lock.Lock = lock.layer(self.clock, self.concurrency)(self.inner)

    def tearDown(self) -> None:
        """Whatever happened, once all is over nothing is left of any queue."""
        while self.inner.waiting:
            self.inner.answer()
        for lease in self.inner.leases:
            if not lease.closed:
                lease.close()
        self.assertEqual([], self.clock.getDelayedCalls())

    def ask(self, n: int = 1) -> list[Deferred[Lease]]:
        return [self.lock.acquire(TARGET) for _ in range(n)]

    def test_order(self) -> None:
        """The next is let in when the one before is done, in order of arrival."""
        callers = self.ask(3)
        for i, d in enumerate(callers):
            self.assertEqual((i + 1, 2 - i), (len(self.inner.calls), self.lock.waiting))
            inner = self.inner.answer()
            self.successResultOf(d).close()
            self.assertEqual(1, inner.closed)
        self.assertEqual("<Lock 0 held, 0 waiting>", repr(self.lock))

    def test_dispatch_releases(self) -> None:
        """A permit is held until the request is dispatched, not until its answer comes or its lease ends."""
        first, second = self.ask(2)
        calls = []

        def dispatch(lease: ScriptedLease) -> ScriptedLease:
            calls.append(len(self.inner.calls))
            lease.call("request")
            calls.append(len(self.inner.calls))
            return lease

        first.addCallback(dispatch)
        inner = self.inner.answer()
        self.assertEqual([1, 1], calls)
        self.assertEqual((["request"], 2, 0), (inner.requests, len(self.inner.calls), inner.closed))
        self.assertIs(inner, self.successResultOf(first), "itself: nothing is wrapped around it")
        self.inner.answer()
        self.successResultOf(second)

    def test_never_dispatched(self) -> None:
        """Whoever is given a lease and does nothing with it keeps nobody waiting."""
        first, second = self.ask(2)
        self.inner.answer()
        self.assertEqual(2, len(self.inner.calls))
        self.inner.answer()
        for d in (first, second):
            self.successResultOf(d).close()

    def test_dispatch_fails(self) -> None:
        """Nor does one whose dispatch raises."""
        first, second = self.ask(2)
        first.addCallback(lambda lease: 1 // 0)
        self.inner.answer()
        self.failureResultOf(first, ZeroDivisionError)
        self.inner.answer()
        self.successResultOf(second)

    def test_by_target(self) -> None:
        """Targets do not wait for each other."""
        self.ask(2)
        self.lock.acquire(OTHER)
        self.assertEqual([TARGET, OTHER], self.inner.calls)

    def test_no_permit_without_request(self) -> None:
        """A client that sends nothing more after its request holds nothing: the next one is served."""
        first = self.ask()[0]
        self.inner.answer()
        idle = self.successResultOf(first)
        idle.call("the only request of a keep-alive connection")
        second = self.ask()[0]
        self.inner.answer()
        self.successResultOf(second).call("request")
        idle.close()

    def test_unused(self) -> None:
        """Of three, the one that was granted goes away without a request; the next one runs, and the third."""
        callers = self.ask(3)
        self.inner.answer()
        self.successResultOf(callers[0]).close()
        self.inner.answer()
        self.successResultOf(callers[1]).close()
        self.inner.answer()
        self.successResultOf(callers[2]).call("request")
        self.assertEqual(0, self.lock.waiting)

    def test_cancelled_waiting(self) -> None:
        """One that goes away is never granted, is told how many were before it, and nobody else notices."""
        callers = self.ask(4)
        callers[2].cancel()
        error = self.failureResultOf(callers[2], CancelledError).value
        self.assertEqual("queued behind 2 others", str(error))
        self.assertEqual(([], 2), (self.inner.cancelled, self.lock.waiting))
        for d in (callers[0], callers[1], callers[3]):
            self.inner.answer()
            self.successResultOf(d).close()
        self.assertEqual(3, len(self.inner.calls))

    def test_cancelled_acquiring(self) -> None:
        """One that goes away while it acquires stops the work; that is only its own affair, and the next is let in."""
        first, second = self.ask(2)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertEqual([TARGET], self.inner.cancelled)
        self.assertNoResult(second)
        self.inner.answer()
        self.successResultOf(second)

    def test_late_lease(self) -> None:
        """A lease that comes although it was cancelled is the caller's; it can end it."""
        self.inner.stubborn = True
        first, second = self.ask(2)
        first.cancel()
        self.successResultOf(first).close()
        self.assertEqual(1, self.inner.leases[0].closed)
        self.inner.answer()
        self.successResultOf(second)

    def test_deaf(self) -> None:
        """A lease that comes after its caller was told of the cancellation is closed, and the next is let in."""
        deaf: Deferred[Lease] = Deferred()
        self.patch(deaf, "cancel", lambda: None)
        self.inner.acquire = lambda target, hint: deaf  # type: ignore[method-assign]
        first, second = self.ask(2)
        del self.inner.acquire  # type: ignore[method-assign]
        first.cancel()
        self.failureResultOf(first, CancelledError)
        late = self.inner.lease()
        deaf.callback(late)
        self.assertEqual(1, late.closed)
        self.inner.answer()
        self.successResultOf(second)

    def test_failure_for_all(self) -> None:
        """A failure is told to all who wait for the same, at once, and to nobody else; who comes then starts anew."""
        callers = self.ask(100)
        other = self.lock.acquire(OTHER)
        error = ValueError("no")
        self.inner.fail(error)
        for d in callers:
            self.assertIs(error, self.failureResultOf(d, ValueError).value)
        self.assertNoResult(other)
        self.assertEqual((2, 0), (len(self.inner.calls), self.lock.waiting))
        late = self.ask()[0]
        self.inner.answer()
        self.inner.answer()
        self.successResultOf(other)
        self.successResultOf(late)

    def test_raising(self) -> None:
        """A layer below that raises instead of failing does no harm to the queue."""

        def broken() -> Any:
            raise ValueError("a mistake")

        self.inner.at_once = broken
        self.failureResultOf(self.ask()[0], ValueError)
        self.inner.at_once = None
        d = self.ask()[0]
        self.inner.answer()
        self.successResultOf(d)

    def test_told_cancels_others(self) -> None:
        """One that is told of a failure may cancel others that are about to be told: everybody is told once."""
        callers = self.ask(4)
        errors: list[Any] = []
        callers[1].addErrback(lambda failure: callers[2].cancel())
        for d in callers:
            d.addErrback(errors.append)
        self.inner.fail(ValueError("no"))
        self.assertEqual([ValueError, CancelledError, ValueError], [failure.type for failure in errors])
        self.assertEqual(0, self.lock.waiting)

    def test_reentrant(self) -> None:
        """A holder that acquires the same again while it has its permit waits like others, and deadlocks nobody."""
        inside: list[Deferred[Lease]] = []
        first, second = self.ask(2)
        first.addCallback(lambda lease: (inside.extend(self.ask()), lease.call("request")))
        self.inner.answer()
        self.assertEqual(1, self.lock.waiting)
        for d in (second, inside[0]):
            self.inner.answer()
            self.successResultOf(d).close()

    def test_thousands(self) -> None:
        """Thousands of waiters that are done at once follow each other without a stack of their own."""
        callers = self.ask(10_000)
        done: list[Any] = []
        for d in callers:
            d.addCallback(lambda lease: (lease.call("request"), lease.close(), done.append(lease)))
        self.inner.at_once = self.inner.lease
        self.inner.answer()
        self.assertEqual((10_000, 0, 0), (len(done), self.lock.waiting, self.inner.open))

    def test_thousands_retry(self) -> None:
        """Nor do thousands that fail, each of which tries again and fails at once."""
        errors: list[Any] = []

        def again(failure: Any) -> Any:
            return self.ask()[0]

        for d in self.ask(10_000):
            d.addErrback(again).addErrback(errors.append)
        self.inner.at_once = lambda: ValueError("no")
        self.inner.fail(ValueError("no"))
        self.assertEqual((10_000, 0), (len(errors), self.lock.waiting))

    def test_thousands_leave(self) -> None:
        """Thousands that give up leave nothing behind but those who stay."""
        stays, *leave = self.ask(5_000)
        last = self.ask()[0]
        for d in leave:
            d.cancel()
            self.failureResultOf(d, CancelledError)
        self.assertEqual(1, self.lock.waiting)
        for d in (stays, last):
            self.inner.answer()
            self.successResultOf(d).close()

    def test_warm(self) -> None:
        """What is ready goes straight through, even while somebody acquires; but not past those who wait."""
        lease = self.inner.lease()
        self.inner.warm.append(lease)
        self.assertIs(lease, self.lock.try_acquire(TARGET), "itself: nothing is wrapped around it")
        first = self.ask()[0]
        self.inner.warm.append(lease)
        self.assertIs(lease, self.lock.try_acquire(TARGET))
        second = self.ask()[0]
        self.inner.warm.append(lease)
        self.assertIsNone(self.lock.try_acquire(TARGET))
        self.assertIs(lease, self.lock.try_acquire(OTHER))
        for d in (first, second):
            self.inner.answer()
            self.successResultOf(d).call("request")

    def test_deadline(self) -> None:
        """Waiting for a permit spends the same budget as all other waiting, and says so."""
        acquire = timeout.layer(2.0, self.clock)(self.lock).acquire
        self.ask(3)
        d = acquire(TARGET)
        self.clock.advance(2.0)
        error = self.failureResultOf(d, timeout.AcquireTimedOut).value
        wanted = "acquire: web.local:80 not ready within 2 s: queued behind 3 others"
        self.assertEqual(wanted, explain(error))
        self.assertEqual(2, self.lock.waiting)

    def test_describe(self) -> None:
        """It can be seen who waits, and for whom, and how long already."""

        def row() -> dict[str, Any]:
            report = Report(rows=True)
            service = report.part("services", "target", TARGET)
            self.lock.report(report)
            return service.row()

        self.assertEqual({"target": str(TARGET), "waiters": 0, "lock": "free"}, row())
        self.ask(3)
        self.clock.advance(1.5)
        self.assertEqual((2, {"holders": 1, "held_seconds": 1.5}), (row()["waiters"], row()["lock"]))
        self.inner.answer()
        self.assertEqual((1, {"holders": 1, "held_seconds": 0.0}), (row()["waiters"], row()["lock"]))
        self.assertEqual(1, reported(self.lock).total("lock_waiters"))


class ConcurrencyTests(SynchronousTestCase):
    """Several permits."""

    def test_so_many(self) -> None:
        """As many acquire at once as there are permits, and no more."""
        inner = ScriptedAcquire()
        layer = lock.layer(Clock(), 3)(inner)
        callers = [layer.acquire(TARGET) for _ in range(7)]
        self.assertEqual((3, 4), (len(inner.calls), layer.waiting))
        inner.answer()
        self.successResultOf(callers[0]).call("request")
        self.assertEqual((4, 3), (len(inner.calls), layer.waiting))
        callers[1].cancel()
        self.failureResultOf(callers[1], CancelledError)
        self.assertEqual((5, 2), (len(inner.calls), layer.waiting))

    def test_failure(self) -> None:
        """A failure is told to those who wait; those who acquire by themselves have their own answer to come."""
        inner = ScriptedAcquire()
        layer = lock.layer(Clock(), 2)(inner)
        callers = [layer.acquire(TARGET) for _ in range(4)]
        inner.fail(ValueError("no"))
        for i in (0, 2, 3):
            self.failureResultOf(callers[i], ValueError)
        self.assertNoResult(callers[1])
        inner.answer()
        self.successResultOf(callers[1])


class FuzzTests(SynchronousTestCase):
    """
    100,000 steps by chance: arrivals, answers, failures, dispatches, ends and cancellations at any point, from outside
    and from within callbacks. Nobody is lost, nobody is served twice, the order is kept, nothing is left.
    """

    def run_fuzz(self, concurrency: int) -> None:
        fuzz = LockFuzz(concurrency, seed=20200131 + concurrency)
        for _ in range(100_000):
            fuzz.step()
        fuzz.finish()
        for outcome in ("served", "failed", "cancelled", "late", "warm"):
            self.assertGreater(fuzz.outcomes[outcome], 100, outcome)

    def test_one(self) -> None:
        """With one permit."""
        self.run_fuzz(1)

    def test_three(self) -> None:
        """With three."""
        self.run_fuzz(3)

    def test_hundred(self) -> None:
        """With a hundred, as configured by default."""
        self.run_fuzz(100)
