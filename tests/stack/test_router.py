# -*- test-case-name: tests.stack.test_router -*-
"""
Tests for L{lproxy.stack.router}.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import explain
from lproxy.stack import router
from lproxy.stack.cache import CacheFull
from lproxy.target import Authority, OriginalDst, Target
from lproxy.testing import ScriptedService, shown

TARGET = Authority("web.local", 80)
OTHER = Authority("other.local", 80)


class RouterTests(SynchronousTestCase):
    """From targets to services, two at most."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.made: list[ScriptedService] = []
        self.router = router.cached(2, 5.0, self.clock)(self.make)

    def tearDown(self) -> None:
        self.router.close()
        self.assertEqual([], self.clock.getDelayedCalls())

    def make(self, target: Target) -> ScriptedService:
        service = ScriptedService(target)
        self.made.append(service)
        return service

    def test_miss(self) -> None:
        """A target's first request makes its service; to look whether one is ready makes none."""
        self.assertIsNone(self.router.try_acquire(TARGET))
        self.assertEqual([], self.made)
        d = self.router.acquire(TARGET)
        lease = self.made[0].answer()
        self.assertIs(lease, self.successResultOf(d))

    def test_keep(self) -> None:
        """A service may be made before anybody asks, and kept whether anybody does; there has to be room for it."""
        self.router.keep(TARGET)
        self.router.keep(TARGET)
        self.clock.pump([2.5] * 20)
        self.assertEqual([0], [service.closed for service in self.made])
        self.router.acquire(OTHER)
        self.router.keep(OriginalDst("third.local", 80))
        self.assertEqual(2, len(self.made))

    def test_kept_no_more(self) -> None:
        """Where others are to be kept from now on, it is idle like any other."""
        self.router.keep(TARGET)
        self.router.renew(self.make, 2, 5.0, lambda target: False)
        self.clock.pump([2.5] * 20)
        self.assertEqual([1], [service.closed for service in self.made])

    def test_serves(self) -> None:
        """Of a target without a service nothing bad is known; else it says so itself."""
        self.assertTrue(self.router.serves(TARGET))
        self.router.acquire(TARGET)
        self.made[0].down = True
        self.assertFalse(self.router.serves(TARGET))

    def test_hit(self) -> None:
        """Later ones find it, warm or not."""
        self.router.acquire(TARGET)
        self.router.acquire(TARGET)
        (service,) = self.made
        service.warm.append(service.lease())
        self.assertIs(service.leases[0], self.router.try_acquire(TARGET))
        self.assertEqual(2, service.calls)

    def test_by_target(self) -> None:
        """Each target has its own, and kinds of targets are never mixed up: neither are hosts on one port."""
        same_address = OriginalDst("web.local", 80)
        self.router.acquire(TARGET)
        self.router.acquire(same_address)
        self.assertEqual([TARGET, same_address], [service.key for service in self.made])

    def test_failure_not_kept(self) -> None:
        """A failed acquisition is one caller's; the service is kept, and the next to ask makes it try again."""
        d = self.router.acquire(TARGET)
        self.made[0].fail(ValueError("no"))
        self.failureResultOf(d, ValueError)
        d = self.router.acquire(TARGET)
        self.made[0].answer()
        self.successResultOf(d)
        self.assertEqual(1, len(self.made))

    def test_cancelled(self) -> None:
        """A cancellation reaches the service."""
        d = self.router.acquire(TARGET)
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertEqual([TARGET], self.made[0].cancelled)

    def test_full(self) -> None:
        """With all services in use a new target is refused, with the reason, and no service is made to be lost."""
        for target in (TARGET, OTHER):
            self.router.acquire(target)
        new = Authority("new.local", 80)
        error = self.failureResultOf(self.router.acquire(new), CacheFull).value
        self.assertEqual("cache: new.local:80 refused: all 2 cached services are in use", explain(error))
        self.assertEqual(2, len(self.made))
        self.made[0].answer().close()
        self.router.acquire(new)
        self.assertEqual([1, 0, 0], [service.closed for service in self.made])

    def test_describe(self) -> None:
        """Every service is shown with its target."""
        self.router.acquire(TARGET)
        self.assertEqual([{"target": "web.local:80", "in_flight": 1}], shown(self.router)["services"])
