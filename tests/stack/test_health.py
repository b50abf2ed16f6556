# -*- test-case-name: tests.stack.test_health -*-
"""
Tests for L{lproxy.stack.health}.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.balancing import DEFAULT, HealthCheck
from lproxy.errors import ProxyError
from lproxy.metrics.counters import EndpointCounter
from lproxy.stack.backoff import Backoff
from lproxy.stack.health import BACKOFF, HEALTHY, PROBE_SECONDS, PROBING, EndpointHealth, ServiceHealth
from lproxy.target import Authority, Endpoint, Target
from lproxy.testing import shown
from lproxy.transport.connect import ConnectFailed, OutOfDescriptors

TARGET = Authority("web.local", 80)
ENDPOINT = Endpoint("10.0.0.1", 80)
ERROR = ConnectFailed(ENDPOINT, "ECONNREFUSED")


class Errors(ProxyError):
    """What it does while it is connected is no good."""

    reason = "errors"
    in_use = True


BAD = Errors(ENDPOINT)
#: five bad answers in a row put an endpoint down, and nothing else does
FIVE = replace(DEFAULT, max_failures=5)


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
        self.service = ServiceHealth(TARGET, self.clock, Backoff(1.0, 60.0, Random(3)), FIVE, self.observer)
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
        self.service.settings = DEFAULT
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


class PartTests(HealthCase):
    """One whose answers are bad in part."""

    def setUp(self) -> None:
        super().setUp()
        self.service.settings = replace(DEFAULT, max_failures=5, failure_ratio=0.5)
        self.other = EndpointHealth(self.service, Endpoint("10.0.0.2", 80))

    def answers(self, n: int, good: int) -> None:
        """So many at most while it is in use, the last so many of each three good ones; the other one answers well."""
        for i in range(n):
            if self.health.state is not HEALTHY:
                return
            began = self.attempt()
            self.clock.advance(0.01)
            self.other.took(0.01, self.clock.seconds())
            if i % 3 < 3 - good:
                self.health.answered_badly(BAD, began)
            else:
                self.health.took(0.01, self.clock.seconds())
                self.health.answered_well(began)

    def test_part(self) -> None:
        """Two of three put it down once there are enough, although never five in a row; one of three does not."""
        self.answers(300, 2)
        self.assertIs(HEALTHY, self.health.state)
        self.clock.advance(10.0)
        self.answers(30, 1)
        self.assertEqual((BACKOFF, 1), (self.health.state, self.health.failures))

    def test_relapse(self) -> None:
        """Back by a good answer and as bad as before, it is aside for longer each time; after a while, anew."""
        delays = []
        for _ in range(4):
            while self.health.state is HEALTHY:
                self.answers(3, 1)
            delays.append(self.backoff())
            self.clock.advance(self.backoff())
            self.health.probe()
            self.health.answered_well(self.attempt())
        self.assertTrue(all(2.0**n / 2 <= delay <= 2.0**n for n, delay in enumerate(delays)), delays)
        self.clock.advance(60.0)
        while self.health.state is HEALTHY:
            self.answers(3, 1)
        self.assertLessEqual(self.backoff(), 1.0)

    def test_probe(self) -> None:
        """Its probe is judged by itself: answered badly, it is aside for longer."""
        while self.health.state is HEALTHY:
            self.answers(3, 1)
        self.clock.advance(self.backoff())
        self.health.probe()
        self.health.answered_badly(BAD, self.attempt())
        self.assertEqual((BACKOFF, 2), (self.health.state, self.health.failures))

    def test_half(self) -> None:
        """Where half of all are down already, it stays: being answered badly is better than by nobody."""
        self.service.count, self.service.unhealthy = 4, 2
        self.answers(100, 0)
        self.assertIs(HEALTHY, self.health.state)
        self.service.settings = replace(self.service.settings, max_ejected=0.75)
        self.answers(100, 0)
        self.assertIs(BACKOFF, self.health.state)


class ChecksTests(HealthCase):
    """What checks find out: two good ones are enough, and three bad ones."""

    def setUp(self) -> None:
        super().setUp()
        self.service.settings = replace(FIVE, check=HealthCheck(healthy=2, unhealthy=3))

    def check(self, *outcomes: ProxyError | None) -> bool:
        for outcome in outcomes:
            self.clock.advance(5.0)
            self.health.checked(outcome)
        return self.health.well

    def test_first(self) -> None:
        """The first one decides: bad, and it is down; nothing good or bad is needed twice."""
        self.assertFalse(self.check(ERROR))
        self.assertEqual((HEALTHY, 1), (self.health.state, self.service.unhealthy))
        self.assertFalse(self.check(None))
        self.assertTrue(self.check(None))

    def test_in_a_row(self) -> None:
        """After that so many in a row do."""
        self.assertTrue(self.check(None, ERROR, ERROR, None, ERROR, ERROR))
        self.assertFalse(self.check(ERROR))
        self.assertFalse(self.check(None, ERROR, None))
        self.assertTrue(self.check(None))
        self.assertEqual(0, self.service.unhealthy)

    def test_said(self) -> None:
        """It is said once that it is down, and once that it is back; every outcome is counted."""
        self.check(ERROR, ERROR, ERROR, None, None)
        self.assertEqual([("down", ERROR), ("up", 20.0)], [(said[0], said[3]) for said in self.observer.said])
        counter = self.observer.one
        self.assertEqual(({"ok": 2, "connect": 3}, {"connect": 1}, 0), (counter.checks, counter.ejected, counter.down))

    def test_no_probe(self) -> None:
        """While it is down no request tries it, however long that is."""
        self.check(ERROR)
        self.health.failed(BAD)
        self.clock.advance(1000.0)
        self.assertEqual((False, inf), (self.health.due(self.clock.seconds()), self.health.due_at()))

    def test_requests_find_otherwise(self) -> None:
        """One that checks find well, and requests do not, is down until a request says otherwise; and the reverse."""
        self.check(None)
        self.health.failed(BAD)
        self.assertFalse(self.check(None, None, None))
        self.assertTrue(self.health.due(self.clock.seconds()))
        self.health.probe()
        self.health.answered_well(self.attempt())
        self.assertTrue(self.health.well)
        self.check(ERROR, ERROR, ERROR)
        self.health.failed(BAD)
        self.health.answered_well(self.attempt())
        self.assertEqual((HEALTHY, False, 1), (self.health.state, self.health.well, self.service.unhealthy))

    def test_shown(self) -> None:
        """What was found last, how often in a row, and how long ago."""
        self.check(None, ERROR, ERROR)
        self.clock.advance(2.0)
        row = shown(self.health)
        self.assertEqual({"last": "bad", "in_a_row": 2, "seconds_ago": 2.0}, row["checks"])
        self.check(ERROR)
        self.assertEqual("unhealthy", shown(self.health)["state"])

    def test_gone(self) -> None:
        """What comes late, of one that is an endpoint no more, is nobody's affair."""
        self.check(ERROR)
        self.health.gone()
        self.assertEqual(0, self.service.unhealthy)
        self.check(ERROR, ERROR, ERROR)
        self.assertEqual((0, {"connect": 1}), (self.service.unhealthy, self.observer.one.checks))


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
