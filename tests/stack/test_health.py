# -*- test-case-name: tests.stack.test_health -*-
"""
Tests for L{lproxy.stack.health}.
"""

from __future__ import annotations

from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import ProxyError
from lproxy.metrics.counters import EndpointCounter
from lproxy.stack.backoff import Backoff
from lproxy.stack.health import BACKOFF, HEALTHY, PROBE_SECONDS, PROBING, EndpointHealth, ServiceHealth
from lproxy.target import Authority, Endpoint, Target
from lproxy.transport.connect import ConnectFailed, OutOfDescriptors

TARGET = Authority("web.local", 80)
ENDPOINT = Endpoint("10.0.0.1", 80)
ERROR = ConnectFailed(ENDPOINT, "ECONNREFUSED")


class Errors(ProxyError):
    """What it does while it is connected is no good."""

    reason = "errors"
    in_use = True


BAD = Errors(ENDPOINT)


class Observer:
    """
    An L{EndpointObserver<lproxy.stack.health.EndpointObserver>} who takes notes.

    @ivar silent: whether it says nothing at the moment
    """

    def __init__(self) -> None:
        self.one = EndpointCounter()
        self.said: list[object] = []
        self.silent = False

    def counter(self, target: Target, endpoint: Endpoint, /) -> EndpointCounter:
        return self.one

    def down(self, target: Target, endpoint: Endpoint, error: ProxyError, /) -> bool:
        if not self.silent:
            self.said.append(("down", target, endpoint, error))
        return not self.silent

    def up(self, target: Target, endpoint: Endpoint, seconds: float, /) -> None:
        self.said.append(("up", target, endpoint, seconds))


class HealthCase(SynchronousTestCase):
    """One endpoint among others."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.observer = Observer()
        self.service = ServiceHealth(TARGET, self.clock, Backoff(1.0, 60.0, Random(3)), 5, self.observer)
        self.health = EndpointHealth(self.service, ENDPOINT)
        # there is another
        self.service.count = 2

    def attempt(self) -> float:
        return self.clock.seconds()

    def backoff(self) -> float:
        return self.health.retry_at - self.clock.seconds()


class HealthTests(HealthCase):
    """What fails, and what does not."""

    def test_healthy(self) -> None:
        """Until it fails it is healthy, and counts as such; to succeed is nothing new."""
        self.health.succeeded()
        self.assertEqual((HEALTHY, 0), (self.health.state, self.service.unhealthy))
        self.assertFalse(self.health.due(self.clock.seconds()))

    def test_concurrent(self) -> None:
        """A hundred attempts that fail together are one failure: one step of backoff, and the latest error is known."""
        for _ in range(5):
            began = [self.attempt() for _ in range(100)]
            self.clock.advance(0.3)
            before = self.health.failures
            for one in began:
                self.health.attempt_failed(ERROR, one)
            last = ConnectFailed(ERROR.target, "EPIPE")
            self.health.failed(last)
            self.assertEqual((before + 1, last), (self.health.failures, self.health.last_error))
            self.assertEqual(1, self.service.unhealthy)
            self.clock.advance(self.backoff())
        self.assertEqual(5, self.health.failures)

    def test_not_its_fault(self) -> None:
        """What the endpoint cannot help, as that we have no descriptor left, is remembered and not held against it."""
        for n in range(100):
            error = OutOfDescriptors(ERROR.target, "EMFILE")
            self.health.attempt_failed(error, self.attempt())
            self.clock.advance(n)
        self.assertEqual((HEALTHY, 0, error), (self.health.state, self.service.unhealthy, self.health.last_error))

    def test_grows_with_time(self) -> None:
        """A blip under load makes for one short backoff, however many requests run into it, and however often."""
        for _ in range(1000):
            self.health.attempt_failed(ERROR, self.attempt())
            self.clock.advance(0.0001)
        self.assertLess(self.backoff(), 1.0)
        self.assertEqual(1, self.health.failures)

    def test_row_of_failures(self) -> None:
        """One after the other, each after its backoff, they are passed over longer and longer, but not without end."""
        delays = []
        for _ in range(12):
            self.health.attempt_failed(ERROR, self.attempt())
            delays.append(self.backoff())
            self.clock.advance(self.backoff())
        for n, delay in enumerate(delays):
            longest = min(60.0, 2.0**n)
            self.assertTrue(longest / 2 <= delay <= longest, delays)

    def test_probe(self) -> None:
        """When its backoff is over one probe is due, and no second while that is under way; well or badly it ends."""
        self.health.attempt_failed(ERROR, self.attempt())
        self.assertFalse(self.health.due(self.clock.seconds()))
        self.clock.advance(self.backoff())
        self.assertTrue(self.health.due(self.clock.seconds()))
        self.health.probe()
        self.assertEqual((PROBING, False), (self.health.state, self.health.due(self.clock.seconds())))
        began = self.attempt()
        self.clock.advance(0.1)
        self.health.attempt_failed(ERROR, began)
        self.assertEqual((BACKOFF, 2, 1), (self.health.state, self.health.failures, self.service.unhealthy))
        self.clock.advance(self.backoff())
        self.health.probe()
        self.health.succeeded()
        self.assertEqual((HEALTHY, 0, 0), (self.health.state, self.health.failures, self.service.unhealthy))

    def test_probe_given_up(self) -> None:
        """A probe whose client goes away says nothing: another is due."""
        self.health.attempt_failed(ERROR, self.attempt())
        self.clock.advance(self.backoff())
        self.health.probe()
        self.health.probe_ended()
        self.assertTrue(self.health.due(self.clock.seconds()))
        self.health.succeeded()
        self.health.probe_ended()
        self.assertIs(HEALTHY, self.health.state)

    def test_stale(self) -> None:
        """An attempt from before the backoff that fails during a probe is old news."""
        old = self.attempt()
        self.clock.advance(0.1)
        self.health.attempt_failed(ERROR, self.attempt())
        self.clock.advance(self.backoff())
        self.health.probe()
        self.health.attempt_failed(ERROR, old)
        self.assertEqual((PROBING, 1), (self.health.state, self.health.failures))

    def test_gone(self) -> None:
        """An endpoint that is no longer one is not among the unhealthy."""
        self.health.failed(ERROR)
        self.health.gone()
        self.assertEqual(0, self.service.unhealthy)

    def test_repr(self) -> None:
        """Its state can be seen."""
        self.health.failed(ERROR)
        self.assertRegex(repr(self.health), r"^<EndpointHealth backoff failures=1 retry_at=1000")


class AnswersTests(HealthCase):
    """One that can be connected to, and is no good."""

    def bad(self, n: int = 1) -> None:
        """So many bad answers, one after the other."""
        for _ in range(n):
            began = self.attempt()
            self.clock.advance(0.01)
            self.health.answered_badly(BAD, began)

    def probe(self) -> float:
        """When it is due, a request is sent; returns when."""
        self.clock.advance(self.backoff())
        self.assertTrue(self.health.due(self.clock.seconds()))
        self.health.probe()
        self.health.succeeded()
        self.assertEqual((PROBING, 1), (self.health.state, self.service.unhealthy), "a lease proves nothing")
        return self.attempt()

    def test_in_a_row(self) -> None:
        """So many in a row put it down; each is remembered as its latest error."""
        self.bad(4)
        self.assertEqual((HEALTHY, BAD), (self.health.state, self.health.last_error))
        self.bad()
        self.assertEqual((BACKOFF, 1, 1), (self.health.state, self.service.unhealthy, self.health.failures))
        self.assertLessEqual(self.backoff(), 1.0)

    def test_interrupted(self) -> None:
        """One good answer in between, and they begin anew."""
        for _ in range(10):
            self.bad(4)
            self.assertTrue(self.health.answered_well(self.attempt()))
        self.assertIs(HEALTHY, self.health.state)

    def test_concurrent(self) -> None:
        """Hundreds of requests that were under way together are answered badly once."""
        began = self.attempt()
        self.clock.advance(1.0)
        for _ in range(500):
            self.health.answered_badly(BAD, began)
        self.assertIs(HEALTHY, self.health.state)
        self.bad(4)
        self.assertIs(BACKOFF, self.health.state)

    def test_off(self) -> None:
        """The limit may be none."""
        self.service.max_failures = 0
        self.bad(100)
        self.assertIs(HEALTHY, self.health.state)

    def test_last(self) -> None:
        """The last that is healthy is never put down for its answers; it is, as soon as there is another."""
        self.service.unhealthy = 1
        self.bad(100)
        self.assertIs(HEALTHY, self.health.state)
        self.service.unhealthy = 0
        self.bad()
        self.assertIs(BACKOFF, self.health.state)

    def test_grows(self) -> None:
        """
        It is passed over for longer from probe to probe, although each is connected; one good answer makes it well, and
        the next time it begins anew.
        """
        self.bad(5)
        delays = [self.backoff()]
        for _ in range(8):
            began = self.probe()
            self.health.answered_badly(BAD, began)
            delays.append(self.backoff())
        for n, delay in enumerate(delays):
            longest = min(60.0, 2.0**n)
            self.assertTrue(longest / 2 <= delay <= longest, delays)
        self.assertTrue(self.health.answered_well(self.probe()))
        self.assertEqual((HEALTHY, 0), (self.health.state, self.service.unhealthy))
        self.bad(4)
        self.assertIs(HEALTHY, self.health.state)
        self.bad()
        self.assertLessEqual(self.backoff(), 1.0)

    def test_lost_in_use(self) -> None:
        """One that is connected to and then loses its requests is no better: its backoff grows likewise."""
        self.assertTrue(self.health.failed(BAD, self.attempt()))
        delays = []
        for _ in range(4):
            self.health.failed(BAD, self.probe())
            delays.append(self.backoff())
        self.assertGreater(min(delays[3] / delays[1], delays[2] / delays[0]), 1.9)
        self.health.attempt_failed(ERROR, self.probe())
        self.clock.advance(self.backoff())
        self.health.succeeded()
        self.assertIs(PROBING, self.health.state, "connected to again, it has still to answer")

    def test_one_probe(self) -> None:
        """While its answer is awaited no other is due, until it takes too long; one that ends without is made again."""
        self.bad(5)
        began = self.probe()
        self.clock.advance(PROBE_SECONDS - 0.1)
        self.assertFalse(self.health.due(self.clock.seconds()))
        self.health.not_answered(began)
        self.assertTrue(self.health.due(self.clock.seconds()))
        self.health.succeeded()
        self.assertEqual((PROBING, False), (self.health.state, self.health.due(self.clock.seconds())))
        self.clock.advance(PROBE_SECONDS)
        self.assertTrue(self.health.due(self.clock.seconds()))

    def test_old_answers(self) -> None:
        """What was under way before it went down, and is answered later, changes nothing."""
        old = self.attempt()
        self.bad(5)
        self.assertFalse(self.health.answered_well(old))
        self.health.not_answered(old)
        self.health.answered_badly(BAD, old)
        self.assertEqual((BACKOFF, 1), (self.health.state, self.health.failures))
        self.probe()
        self.health.not_answered(old)
        self.health.answered_badly(BAD, old)
        self.assertEqual((PROBING, 1), (self.health.state, self.health.failures))

    def test_needed_all_the_same(self) -> None:
        """Where there is nothing better it is asked before its time: a good answer counts, a bad one is no news."""
        self.bad(5)
        self.bad(10)
        self.assertEqual(1, self.health.failures)
        self.assertTrue(self.health.reachable)
        self.assertTrue(self.health.answered_well(self.attempt()))
        self.assertIs(HEALTHY, self.health.state)


class ObserverTests(HealthCase):
    """What is told of it."""

    def test_down_and_back(self) -> None:
        """That it is down, once, with the first cause; and that it is back, and after how long. It is counted, too."""
        for _ in range(3):
            self.health.attempt_failed(ERROR, self.attempt())
            self.assertEqual(1, self.observer.one.down)
            self.clock.advance(self.backoff())
        self.health.succeeded()
        self.health.succeeded()
        down, up = self.observer.said
        self.assertEqual(("down", TARGET, ENDPOINT, ERROR), down)
        self.assertEqual(("up", TARGET, ENDPOINT), up[:3])
        self.assertGreater(up[3], 3.0)
        self.assertEqual((0, {"connect": 1}), (self.observer.one.down, self.observer.one.ejected))

    def test_not_said(self) -> None:
        """What could not be said at first is said with the next failure; what never was needs no end."""
        self.observer.silent = True
        self.health.attempt_failed(ERROR, self.attempt())
        self.health.succeeded()
        self.health.attempt_failed(ERROR, self.attempt())
        self.clock.advance(self.backoff())
        self.assertEqual([], self.observer.said)
        self.observer.silent = False
        self.health.attempt_failed(ERROR, self.attempt())
        self.health.succeeded()
        self.assertEqual(["down", "up"], [said[0] for said in self.observer.said])

    def test_gone(self) -> None:
        """Of one that is gone nobody says that it is back."""
        self.health.failed(ERROR)
        self.health.gone()
        self.assertEqual((["down"], 0), ([said[0] for said in self.observer.said], self.observer.one.down))

    def test_gone_and_failing(self) -> None:
        """What its last leases, or who was still connecting, find out afterwards is nobody's affair any more."""
        began = self.attempt()
        self.health.gone()
        self.service.count = 1
        self.assertTrue(self.health.failed(ERROR), "there is another")
        self.health.attempt_failed(ERROR, began)
        for _ in range(5):
            self.health.answered_badly(BAD, self.attempt())
        self.assertEqual((HEALTHY, 0), (self.health.state, self.service.unhealthy))
        self.assertEqual(([], 0, {}), (self.observer.said, self.observer.one.down, self.observer.one.ejected))

    def test_not_to_blame(self) -> None:
        """What it cannot help puts it down for nobody."""
        self.health.attempt_failed(OutOfDescriptors(ENDPOINT, "EMFILE"), self.attempt())
        self.assertEqual(([], 0, {}), (self.observer.said, self.observer.one.down, self.observer.one.ejected))
