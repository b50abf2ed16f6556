# -*- test-case-name: tests.stack.test_cache -*-
"""
Tests for L{lproxy.stack.cache}, most of them through the router that fills it.
"""

from __future__ import annotations

from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack import router
from lproxy.stack.cache import Cache, CacheFull
from lproxy.target import Authority, Target
from lproxy.testing import ScriptedLease, ScriptedService

TARGET = Authority("web.local", 80)
OTHER = Authority("other.local", 80)
IDLE = 5.0


class CacheTests(SynchronousTestCase):
    """Services that come and go."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.made: list[ScriptedService] = []
        self.cache: Cache[ScriptedLease] = Cache(3, IDLE, self.clock)
        self.router = router.CachedRouter(self.make, self.cache)

    def make(self, target: Target) -> ScriptedService:
        service = ScriptedService(target)
        service.at_once = service.lease
        self.made.append(service)
        return service

    def use(self, target: Target = TARGET) -> None:
        """A request that is over at once."""
        self.successResultOf(self.router.acquire(target)).close()

    def targets(self) -> list[Target]:
        return list(self.cache.entries)

    def test_evicted(self) -> None:
        """What was idle for the whole period is closed, once; then nothing is left, no timer either."""
        self.use()
        self.clock.pump([IDLE / 10] * 9)
        self.assertEqual((1, 0), (len(self.cache.entries), self.made[0].closed))
        self.clock.pump([IDLE / 10] * 7)
        self.assertEqual((0, 1, 1), (len(self.cache.entries), self.made[0].closed, self.cache.evictions))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_period(self) -> None:
        """It is kept for at least its period after the end of the last lease and at most half a period longer."""
        random = Random(3)
        for _ in range(50):
            self.use()
            for _ in range(random.randrange(4)):
                self.clock.advance(random.uniform(0, IDLE * 0.9))
                lease = self.successResultOf(self.router.acquire(TARGET))
                self.clock.pump([0.01] * random.randrange(300))
                lease.close()
            used, service = self.clock.seconds(), self.made[-1]
            while not service.closed:
                self.clock.advance(0.01)
            self.assertGreaterEqual(self.clock.seconds() - used, IDLE)
            self.assertLessEqual(self.clock.seconds() - used, IDLE * 1.5 + 0.05)

    def test_same_turn(self) -> None:
        """
        Whoever asks in the turn of an expiry is served: by the kept service if it asked before, by a new one if after.
        """
        self.use()
        self.clock.pump([IDLE / 2] * 2)
        # the sweep of 1.5 periods is due; a request of the same turn that comes before it...
        for lease in (self.router.try_acquire(TARGET), self.successResultOf(self.router.acquire(TARGET))):
            if lease is not None:
                lease.close()
        self.clock.advance(IDLE / 2)
        self.assertEqual((1, 0), (len(self.made), self.made[0].closed))
        # ...and one after
        self.clock.pump([IDLE / 2] * 3)
        self.assertEqual(1, self.made[0].closed)
        self.use()
        self.assertEqual([1, 0], [service.closed for service in self.made])

    def test_leased(self) -> None:
        """A service with a lease out is never evicted, however long its answer streams; afterwards it may be idle."""
        lease = self.successResultOf(self.router.acquire(TARGET))
        self.clock.pump([IDLE / 2] * 1000)
        self.assertEqual(0, self.made[0].closed)
        lease.close()
        self.clock.pump([IDLE / 10] * 9)
        self.assertEqual(0, self.made[0].closed, "the period begins with the end of the lease")
        self.clock.pump([IDLE / 2] * 3)
        self.assertEqual((1, 0, []), (self.made[0].closed, len(self.cache.entries), self.clock.getDelayedCalls()))

    def test_waited_for(self) -> None:
        """Nor is one that somebody waits for."""
        self.use()
        self.made[0].at_once = None
        d = self.router.acquire(TARGET)
        self.clock.pump([IDLE / 2] * 1000)
        self.made[0].answer()
        self.successResultOf(d).close()
        self.assertEqual(0, self.made[0].closed)

    def test_warm(self) -> None:
        """Use by the fast path is use."""
        self.use()
        for _ in range(100):
            self.clock.advance(IDLE * 0.9)
            self.assertIsNone(self.router.try_acquire(TARGET))
        self.assertEqual(0, self.made[0].closed)

    def test_capacity(self) -> None:
        """There are never more than the capacity; what was idle longest makes room, what is leased never."""
        leased = self.successResultOf(self.router.acquire(TARGET))
        for i in range(1000):
            self.use(Authority(f"host{i}.local", 80))
            self.assertLessEqual(len(self.cache.entries), 3)
        self.assertEqual([0, 0, 0], [entry.service.closed for entry in self.cache.entries.values()])
        self.assertEqual(998, sum(service.closed for service in self.made))
        self.assertIn(TARGET, self.targets())
        leased.close()
        self.clock.pump([IDLE / 2] * 4)
        self.assertEqual((0, 1001), (len(self.cache.entries), sum(service.closed for service in self.made)))

    def test_longest_idle(self) -> None:
        """The one that was not used since the last sweep goes before one that was."""
        for target in (TARGET, OTHER, Authority("third.local", 80)):
            self.use(target)
        self.clock.advance(IDLE / 2)
        self.use(TARGET)
        self.clock.advance(IDLE / 2)
        self.use(Authority("fourth.local", 80))
        self.assertNotIn(OTHER, self.targets())
        self.assertIn(TARGET, self.targets())

    def test_full(self) -> None:
        """With everything leased, there is no room, and nothing was evicted for nothing."""
        cache: Cache[ScriptedLease] = Cache(1, IDLE, self.clock)
        service = self.make(TARGET)
        cache.add(TARGET, lambda target: service)
        service.load = 1
        self.assertRaises(CacheFull, cache.add, OTHER, self.make)
        self.assertEqual((1, 0, 0), (len(cache.entries), service.closed, cache.evictions))
        cache.close()

    def test_bad_service(self) -> None:
        """One that cannot be made leaves no entry, and no timer for it."""

        def broken(target: Target) -> ScriptedService:
            raise ValueError("a plugin's mistake")

        self.assertRaises(ValueError, self.cache.add, TARGET, broken)
        self.assertEqual((0, []), (len(self.cache.entries), self.clock.getDelayedCalls()))

    def test_close(self) -> None:
        """Everything is let go of."""
        self.use()
        self.use(OTHER)
        self.cache.close()
        self.assertEqual([1, 1], [service.closed for service in self.made])
        self.assertEqual((0, []), (len(self.cache.entries), self.clock.getDelayedCalls()))
        self.assertEqual("<Cache 0 of 3>", repr(self.cache))

    def test_let_go(self) -> None:
        """Services whose place others take go step by step, those that are used once they are not any more."""
        lease = self.successResultOf(self.router.acquire(TARGET))
        self.use(OTHER)
        self.use(Authority("third.local", 80))
        self.router.renew(self.make, 3, IDLE, lambda target: target != OTHER)
        self.assertEqual([0, 0, 0], [one.closed for one in self.made])
        steps = self.router.let_go()
        next(steps)
        self.assertEqual([0, 0, 1], [one.closed for one in self.made])
        self.assertEqual([], list(steps))
        lease.close()
        self.assertEqual(1, len(list(self.router.let_go())))
        self.assertEqual([1, 0, 1], [one.closed for one in self.made])
        self.router.close()
        self.assertEqual([1, 1, 1], [one.closed for one in self.made])

    def test_let_go_later(self) -> None:
        """What nobody lets go of is when it is looked for next; also in the middle of steps."""
        self.use()
        self.use(OTHER)
        self.router.renew(self.make, 3, IDLE, lambda target: True)
        steps = self.router.let_go()
        next(steps)
        self.clock.advance(IDLE)
        self.assertEqual([1, 1], [one.closed for one in self.made])
        self.assertEqual([], list(steps))
        self.assertEqual([], self.clock.getDelayedCalls())
