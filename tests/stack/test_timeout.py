# -*- test-case-name: tests.stack.test_timeout -*-
"""
Tests for L{lproxy.stack.timeout}.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import explain
from lproxy.stack import timeout
from lproxy.stack.interfaces import Lease
from lproxy.target import Authority
from lproxy.testing import ScriptedAcquire

TARGET = Authority("web.local", 80)


class TimeoutTests(SynchronousTestCase):
    """An acquisition and its clock."""

    def setUp(self) -> None:
        self.clock, self.inner = Clock(), ScriptedAcquire()
        self.layer = timeout.layer(2.0, self.clock)(self.inner)
        self.acquire = self.layer.acquire

    def tearDown(self) -> None:
        """Whatever happened, no timer is left."""
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_too_late(self) -> None:
        """At the deadline the caller learns which target, and the work stops."""
        d = self.acquire(TARGET)
        self.clock.advance(2.0)
        error = self.failureResultOf(d, timeout.AcquireTimedOut).value
        self.assertEqual((TARGET, 2.0), (error.target, error.seconds))
        self.assertEqual([TARGET], self.inner.cancelled)

    def test_not_before(self) -> None:
        """Just before the deadline it still waits, and is served."""
        d = self.acquire(TARGET)
        self.clock.advance(1.999)
        self.assertNoResult(d)
        lease = self.inner.answer()
        self.assertIs(lease, self.successResultOf(d))

    def test_call_is_free(self) -> None:
        """What is done with a lease is on no clock of this layer: a slow answer or upload takes as long as it takes."""
        d = self.acquire(TARGET)
        lease = self.inner.answer()
        self.successResultOf(d)
        self.clock.advance(1000.0)
        lease.call("upload")
        self.assertEqual((0, []), (lease.closed, self.inner.cancelled))

    def test_warm(self) -> None:
        """What is ready this instant makes no timer and no Deferred."""
        lease = self.inner.lease()
        self.inner.warm.append(lease)
        self.assertIs(lease, self.layer.try_acquire(TARGET))
        self.assertIsNone(self.layer.try_acquire(TARGET))
        self.assertEqual([], self.inner.calls)

    def test_at_once(self) -> None:
        """Neither does an acquisition that is answered at once, well or badly."""
        self.patch(self.clock, "callLater", None)
        self.inner.at_once = self.inner.lease
        self.successResultOf(self.acquire(TARGET))
        self.inner.at_once = lambda: ValueError("no")
        self.failureResultOf(self.acquire(TARGET), ValueError)

    def test_chained(self) -> None:
        """A Deferred that waits for another has the same deadline, though it was fired."""
        inner: Deferred[Lease] = Deferred()
        outer: Deferred[Lease] = Deferred()
        outer.addCallback(lambda _: inner)
        outer.callback(self.inner.lease())
        self.patch(self.inner, "acquire", lambda target, hint: outer)
        d = self.acquire(TARGET)
        self.clock.advance(2.0)
        self.failureResultOf(d, timeout.AcquireTimedOut)

    def test_failure(self) -> None:
        """A failure in time is passed on as it is."""
        d = self.acquire(TARGET)
        error = ValueError("no")
        self.inner.fail(error)
        self.assertIs(error, self.failureResultOf(d, ValueError).value)

    def test_cancelled(self) -> None:
        """A caller that goes away is not told of a timeout, and the work stops."""
        d = self.acquire(TARGET)
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertEqual([TARGET], self.inner.cancelled)

    def test_late_result(self) -> None:
        """A lease that arrives while it is being cancelled is the caller's, never leaked."""
        self.inner.stubborn = True
        d = self.acquire(TARGET)
        self.clock.advance(2.0)
        self.assertIs(self.inner.leases[0], self.successResultOf(d))

    def test_late_failure(self) -> None:
        """A failure that arrives then explains more than a timeout would."""
        d: Deferred[Lease] = Deferred(lambda d: d.errback(ValueError("refused")))
        self.patch(self.inner, "acquire", lambda target, hint: d)
        self.acquire(TARGET)
        self.clock.advance(2.0)
        self.failureResultOf(d, ValueError)

    def test_explained(self) -> None:
        """The error names the layer, the target, the time it was given, and what it was waiting for."""

        class Waiting(CancelledError):
            pass

        d: Deferred[Lease] = Deferred(lambda d: d.errback(Waiting("waiting for endpoints")))
        self.patch(self.inner, "acquire", lambda target, hint: d)
        self.acquire(TARGET)
        self.clock.advance(2.0)
        error = self.failureResultOf(d, timeout.AcquireTimedOut).value
        self.assertEqual("acquire: web.local:80 not ready within 2 s: waiting for endpoints", explain(error))

    def test_unexplained(self) -> None:
        """Where nothing is known of the cause, nothing is said of it."""
        d = self.acquire(TARGET)
        self.clock.advance(2.0)
        error = self.failureResultOf(d).value
        self.assertEqual("acquire: web.local:80 not ready within 2 s", explain(error))
