# -*- test-case-name: tests.stack.test_balance -*-
"""
Tests for L{lproxy.stack.balance}.
"""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.balancing import DEFAULT
from lproxy.errors import ProxyError, explain, judge
from lproxy.stack import balance
from lproxy.stack.backoff import Backoff
from lproxy.stack.interfaces import Health, Lease
from lproxy.stack.report import Report
from lproxy.target import UNKNOWN, Authority, Endpoint, Metadata, Secure
from lproxy.testing import ScriptedDiscover, ScriptedService, shown
from lproxy.transport.connect import LoopRefused

TARGET = Authority("web.local", 80)
ENDPOINTS = [Endpoint(f"10.0.0.{n}", 80) for n in range(10)]
#: five bad answers in a row put an endpoint down
FIVE = replace(DEFAULT, max_failures=5)


class Refused(ProxyError):
    """An endpoint refuses."""

    layer = "connect"

    def what(self) -> str:
        return "refused"


class Errors(ProxyError):
    """An endpoint answers, and cannot serve."""

    layer = "upstream"
    in_use = True

    def what(self) -> str:
        return "answered 503"


class Unknown(ProxyError):
    """Discovery fails."""

    layer = "resolve"

    def what(self) -> str:
        return "does not exist"


class BalanceMixin:
    """A service whose endpoints a test commands."""

    def setUp(self) -> None:
        self.clock, self.discover, self.random = Clock(), ScriptedDiscover(), Random(5)
        self.made: dict[Endpoint, ScriptedService] = {}
        self.all: list[ScriptedService] = []
        backoff = Backoff(1.0, 60.0, self.random)
        new_service = balance.layer(self.discover, self.clock, backoff, lambda target: FIVE)(self.new_endpoint)
        self.service: balance.Balance = new_service(TARGET)

    def tearDown(self) -> None:
        """It has no timers of its own, and once closed nothing is watched or kept."""
        self.service.close()
        self.assertEqual((0, []), (self.discover.open, self.clock.getDelayedCalls()))
        self.assertEqual({1}, {service.closed for service in self.all} | {1}, "each is closed once")

    def new_endpoint(self, endpoint: Endpoint, metadata: Metadata, health: Health) -> ScriptedService:
        service = self.made[endpoint] = ScriptedService(endpoint, metadata, health)
        self.all.append(service)
        return service

    def set(self, *endpoints: Endpoint) -> None:
        self.discover.set(TARGET, endpoints)

    def serve(self, *endpoints: Endpoint) -> None:
        """These are connected to at once."""
        for endpoint in endpoints:
            self.made[endpoint].at_once = self.made[endpoint].lease

    def refuse(self, *endpoints: Endpoint) -> None:
        """These refuse."""
        for endpoint in endpoints:
            self.made[endpoint].at_once = lambda endpoint=endpoint: Refused(endpoint)

    def ends(self, service: Any) -> list[Any]:
        return [row["address"] for row in shown(service)["endpoints"]]


class OneTests(BalanceMixin, SynchronousTestCase):
    """One endpoint, as most services have."""

    def setUp(self) -> None:
        super().setUp()
        self.set(ENDPOINTS[0])
        self.only = self.made[ENDPOINTS[0]]

    def test_warm(self) -> None:
        """What it has ready is given as it is."""
        self.assertIsNone(self.service.try_acquire())
        lease = self.only.lease()
        self.only.warm.append(lease)
        self.assertIs(lease, self.service.try_acquire())

    def test_waits(self) -> None:
        """Otherwise it is waited for."""
        d = self.service.acquire()
        self.assertNoResult(d)
        self.assertIs(self.only.answer(), self.successResultOf(d))

    def test_metadata(self) -> None:
        """Whoever serves knows what is known; where that changes, what was opened before is not used any more."""
        self.assertIs(UNKNOWN, self.only.metadata)
        secure = Metadata(Secure("web.shop.mesh", identity=True))
        self.discover.set(TARGET, [ENDPOINTS[0]], {ENDPOINTS[0]: secure})
        self.assertEqual((1, secure), (self.only.closed, self.made[ENDPOINTS[0]].metadata))
        self.discover.set(TARGET, [ENDPOINTS[0]], {ENDPOINTS[0]: secure._replace()})
        self.assertEqual(2, len(self.all))

    def test_fails(self) -> None:
        """Its own error is told; it is tried again for every request, since there is no other."""
        self.refuse(ENDPOINTS[0])
        for n in range(1, 4):
            error = self.failureResultOf(self.service.acquire(), Refused).value
            self.assertEqual("connect: 10.0.0.0:80 refused", explain(error))
            self.assertEqual(n, self.only.calls)

    def test_cancelled(self) -> None:
        """The work stops; whoever asks why is told what it was waiting for, and what went wrong lately."""
        d = self.service.acquire()
        d.cancel()
        self.assertEqual("while connecting to 10.0.0.0:80", explain(self.failureResultOf(d, CancelledError).value))
        self.assertEqual([ENDPOINTS[0]], self.only.cancelled)
        self.refuse(ENDPOINTS[0])
        self.failureResultOf(self.service.acquire(), Refused)
        self.only.at_once = None
        d = self.service.acquire()
        d.cancel()
        wanted = "while connecting to 10.0.0.0:80; lately: connect: 10.0.0.0:80 refused"
        self.assertEqual(wanted, explain(self.failureResultOf(d).value))

    def test_unexpected(self) -> None:
        """An error that is a plugin's mistake is passed on, and leaves nothing behind that looks busy."""
        self.only.at_once = lambda: ValueError("a mistake")
        self.failureResultOf(self.service.acquire(), ValueError)
        self.assertEqual(0, self.service.busy())


class SeveralTests(BalanceMixin, SynchronousTestCase):
    """Several endpoints."""

    def setUp(self) -> None:
        super().setUp()
        self.set(*ENDPOINTS)
        self.serve(*ENDPOINTS)

    def test_distributes(self) -> None:
        """Equal endpoints get equal shares, nearly."""
        for _ in range(1000):
            self.successResultOf(self.service.acquire())
        counts = [service.load for service in self.made.values()]
        self.assertLess(max(counts) - min(counts), 10, counts)

    def test_prefers_idle(self) -> None:
        """The less loaded of two is taken: the most loaded is never asked while all others have less to do."""
        self.made[ENDPOINTS[3]].load = 100
        for _ in range(200):
            self.successResultOf(self.service.acquire()).close()
        self.assertEqual(0, self.made[ENDPOINTS[3]].calls)
        self.assertTrue(all(self.made[e].calls for e in ENDPOINTS if e is not ENDPOINTS[3]))

    def test_warm(self) -> None:
        """The fast path chooses likewise."""
        for service in self.made.values():
            service.warm.extend(service.lease() for _ in range(1000))
            service.load = 0
        self.made[ENDPOINTS[3]].load = 10_000
        for _ in range(1000):
            lease = self.service.try_acquire()
            assert lease is not None
        tried = Counter({endpoint: service.tried for endpoint, service in self.made.items()})
        self.assertEqual(0, tried.pop(ENDPOINTS[3]))
        self.assertGreater(min(tried.values()), 60)
        self.assertTrue(all(service.calls == 0 for service in self.made.values()))

    def test_two(self) -> None:
        """Of two, both are compared every time."""
        self.set(*ENDPOINTS[:2])
        self.made[ENDPOINTS[0]].load = 1
        for _ in range(100):
            self.successResultOf(self.service.acquire()).close()
        self.assertEqual([0, 100], [self.made[e].calls for e in ENDPOINTS[:2]])

    def test_passed_over(self) -> None:
        """An endpoint that refuses is passed over for a while, the request goes to another; then it is tried again."""
        bad = self.made[ENDPOINTS[0]]
        self.refuse(ENDPOINTS[0])
        for _ in range(200):
            self.successResultOf(self.service.acquire()).close()
        self.assertEqual(1, bad.calls)
        self.clock.advance(1.0)
        for _ in range(200):
            self.successResultOf(self.service.acquire()).close()
        self.assertEqual(2, bad.calls)
        self.clock.advance(1.0 - 0.001)
        self.serve(ENDPOINTS[0])
        self.clock.advance(60.0)
        for _ in range(200):
            self.successResultOf(self.service.acquire()).close()
        self.assertGreater(bad.calls, 10, "as any other")

    def test_all_fail(self) -> None:
        """Where all refuse, each is tried once; the error names how many, the target, one of them and the cause."""
        self.refuse(*ENDPOINTS)
        error = self.failureResultOf(self.service.acquire(), balance.NoEndpointReady).value
        self.assertEqual([1] * 10, [service.calls for service in self.made.values()])
        told = r"none of 10 endpoints could be connected to, one of them: connect: 10.0.0.\d:80 refused"
        self.assertRegex(explain(error), rf"balance: web.local:80 {told}")
        self.assertEqual((TARGET, 10), (error.target, error.tried))

    def test_lasting(self) -> None:
        """What will not change is told, whichever endpoint was tried last: the proxy itself, say."""
        self.refuse(*ENDPOINTS)
        itself = ENDPOINTS[3]
        self.made[itself].at_once = lambda: LoopRefused(itself)
        for _ in range(20):
            error = self.failureResultOf(self.service.acquire(), balance.NoEndpointReady).value
            self.assertIsInstance(judge(error), LoopRefused)

    def test_stale_refusals(self) -> None:
        """Refusals of a moment ago help nobody: where all have failed, they are tried nevertheless."""
        self.refuse(*ENDPOINTS)
        self.failureResultOf(self.service.acquire())
        self.serve(ENDPOINTS[7])
        self.successResultOf(self.service.acquire())

    def test_recovers(self) -> None:
        """One success makes up for all failures before: the next is its first again."""
        bad = self.made[ENDPOINTS[0]]
        self.set(*ENDPOINTS[:2])
        self.made[ENDPOINTS[1]].load = 100
        for _ in range(5):
            self.refuse(ENDPOINTS[0])
            self.successResultOf(self.service.acquire())
            self.serve(ENDPOINTS[0])
            self.clock.advance(1.0)
            calls = bad.calls
            self.successResultOf(self.service.acquire())
            self.assertEqual(calls + 1, bad.calls, "passed over for one backoff of the shortest kind")

    def test_no_grudge(self) -> None:
        """One that was connected to again before its time has come is as good as any other from then on."""
        bad, busy = ENDPOINTS[:2]
        self.set(bad)
        self.refuse(bad)
        self.failureResultOf(self.service.acquire(), Refused)
        self.serve(bad)
        self.successResultOf(self.service.acquire()).close()
        self.set(bad, busy)
        self.serve(busy)
        self.made[busy].load = 100
        self.successResultOf(self.service.acquire())
        self.assertEqual(3, self.made[bad].calls)

    def test_least_bad(self) -> None:
        """Where all have failed, the one whose time comes first is tried first."""
        worse, better = ENDPOINTS[:2]
        self.set(worse)
        self.refuse(worse)
        for _ in range(5):
            self.failureResultOf(self.service.acquire(), Refused)
            self.clock.advance(60.0)
        self.failureResultOf(self.service.acquire(), Refused)
        self.set(worse, better)
        self.refuse(better)
        self.failureResultOf(self.service.acquire(), balance.NoEndpointReady)
        self.serve(worse, better)
        self.successResultOf(self.service.acquire())
        self.assertEqual([7, 2], [self.made[endpoint].calls for endpoint in (worse, better)])

    def test_slow_then_refused(self) -> None:
        """A request that waited for one goes on to the next; cancelled, it says for whom it waits now."""
        self.set(*ENDPOINTS[:2])
        for endpoint in ENDPOINTS[:2]:
            self.made[endpoint].at_once = None
        d = self.service.acquire()
        first = next(service for service in self.made.values() if service.waiting)
        first.fail(Refused(first.key))  # type: ignore[arg-type]
        second = next(service for service in self.made.values() if service.waiting)
        self.assertIsNot(first, second)
        d.cancel()
        self.assertEqual(f"while connecting to {second.key}", explain(self.failureResultOf(d).value))
        self.assertEqual((1, 0), (len(second.cancelled), self.service.busy()))

    def test_unexpected(self) -> None:
        """A plugin's mistake is passed on, and leaves nothing behind that looks busy."""
        for service in self.made.values():
            service.at_once = lambda: ValueError("a mistake")
        self.failureResultOf(self.service.acquire(), ValueError)
        self.assertEqual(0, self.service.busy())


class HealthTests(BalanceMixin, SynchronousTestCase):
    """Two endpoints, one of which fails: what becomes of the requests to the other, and how it comes back."""

    def setUp(self) -> None:
        super().setUp()
        self.set(*ENDPOINTS[:2])
        self.bad, self.good = (self.made[endpoint] for endpoint in ENDPOINTS[:2])
        self.serve(ENDPOINTS[1])

    def warm(self, *services: ScriptedService) -> None:
        """Each has many idle connections; none is in use, and all have answered as quickly."""
        for service in services:
            service.warm[:] = [service.lease() for _ in range(1000)]
            service.load = 0
            assert service.health is not None
            for _ in range(2):
                service.health.took(0.03, self.clock.seconds())

    def take(self, n: int) -> Counter[Any]:
        """Who served C{n} warm requests; C{None} for those that had to wait."""
        served: Counter[Any] = Counter()
        for _ in range(n):
            lease = self.service.try_acquire()
            served[lease and (self.bad if lease in self.bad.leases else self.good).key] += 1
        return served

    def lost(self, endpoint: Endpoint) -> None:
        """A connection in use to it is lost."""
        health = self.made[endpoint].health
        assert health is not None
        health.failed(Refused(endpoint))

    def test_warm_path_stays(self) -> None:
        """With one endpoint down, those who go to the other are served at once, all of them, for as long as it is."""
        self.refuse(ENDPOINTS[0])
        self.bad.load = -1  # the better one, if it were not for its health
        self.successResultOf(self.service.acquire()).close()
        self.warm(self.good)
        self.assertEqual({ENDPOINTS[1]: 500}, self.take(500))
        self.assertEqual((1, 0), (self.bad.calls, self.bad.tried))

    def test_in_use(self) -> None:
        """A connection in use that is lost says as much: requests leave the endpoint alone, a retry included."""
        self.warm(self.bad, self.good)
        self.assertGreater(self.take(100)[ENDPOINTS[0]], 20)
        self.lost(ENDPOINTS[0])
        self.assertEqual({ENDPOINTS[1]: 100}, self.take(100))
        calls = self.good.calls
        self.successResultOf(self.service.acquire()).close()
        self.assertEqual((calls + 1, 0), (self.good.calls, self.bad.calls))

    def answer_badly(self, n: int = 1) -> None:
        """The bad one answers so many requests, one after the other, with errors; the other one well, as quickly."""
        for _ in range(n):
            self.clock.advance(0.001)
            now = self.clock.seconds()
            self.bad.health.answered_badly(Errors(ENDPOINTS[0]), now)
            self.good.health.took(0.03, now)

    def test_answers_badly(self) -> None:
        """One that only ever answers with errors, as fast as can be, gets no more requests, but for its probes."""
        self.warm(self.bad, self.good)
        self.answer_badly(4)
        self.assertGreater(self.take(100)[ENDPOINTS[0]], 20)
        self.answer_badly()
        self.assertEqual({ENDPOINTS[1]: 200}, self.take(200))
        self.assertEqual("degraded", shown(self.service)["state"])
        for n in range(1, 5):
            self.warm(self.bad, self.good)
            self.clock.advance(2.0**n)
            self.assertEqual(
                {ENDPOINTS[0]: 1, ENDPOINTS[1]: 99}, self.take(100), "one, and no second before its answer"
            )
            self.answer_badly()
            self.assertEqual({ENDPOINTS[1]: 100}, self.take(100))

    def test_answers_again(self) -> None:
        """A probe that is answered well, and it is as good as any."""
        self.warm(self.bad, self.good)
        self.answer_badly(5)
        self.clock.advance(1.0)
        self.take(1)
        self.assertTrue(self.bad.health.answered_well(self.clock.seconds()))
        self.assertGreater(self.take(100)[ENDPOINTS[0]], 20)
        self.assertIsNone(shown(self.service).get("state"))

    def test_probe_has_to_connect(self) -> None:
        """The probe of one that answered badly may have to connect first: others go elsewhere until it is answered."""
        self.warm(self.good)
        self.answer_badly(5)
        self.clock.advance(1.0)
        d = self.service.acquire()
        self.assertEqual((1, {ENDPOINTS[1]: 50}), (self.bad.waiting, self.take(50)))
        self.bad.answer()
        self.successResultOf(d)
        self.assertEqual({ENDPOINTS[1]: 50}, self.take(50))
        self.bad.health.not_answered(self.clock.seconds())
        self.service.acquire().addErrback(lambda _: None)
        self.assertEqual(2, self.bad.calls, "it was given up unanswered, and another is made")

    def test_all_answer_badly(self) -> None:
        """The last is not passed over; one that answers badly is still better than one that does not answer at all."""
        self.warm(self.bad, self.good)
        self.answer_badly(5)
        for _ in range(100):
            self.good.health.answered_badly(Errors(ENDPOINTS[1]), self.clock.seconds())
        self.assertEqual({ENDPOINTS[1]: 50}, self.take(50))
        self.lost(ENDPOINTS[1])
        self.assertEqual("down", shown(self.service)["state"])
        self.assertEqual({ENDPOINTS[0]: 50}, self.take(50))

    def test_long_outage(self) -> None:
        """However long it was down while the other served, it is in use from its next probe on."""
        self.warm(self.bad, self.good)
        self.refuse(ENDPOINTS[0])
        self.lost(ENDPOINTS[0])
        self.bad.warm.clear()
        for _ in range(3600):
            self.clock.advance(1.0)
            self.successResultOf(self.service.acquire()).close()
        self.serve(ENDPOINTS[0])
        self.clock.advance(60.0)
        self.successResultOf(self.service.acquire()).close()
        self.warm(self.bad, self.good)
        self.assertGreater(self.take(100)[ENDPOINTS[0]], 20)

    def test_many_lost(self) -> None:
        """A hundred connections that are lost together are one failure: it is back after one short backoff."""
        for _ in range(100):
            self.lost(ENDPOINTS[0])
        (row, _) = shown(self.service)["endpoints"]
        self.assertLessEqual(row["backoff_seconds"], 1.0)
        self.clock.advance(1.0)
        self.warm(self.bad, self.good)
        self.assertGreater(self.take(100)[ENDPOINTS[0]], 20)

    def test_many_refused(self) -> None:
        """The same of a hundred that are connecting, and each of them is served by the other."""
        waiting = [self.service.acquire() for _ in range(200)]
        connecting = self.bad.waiting
        self.assertGreater(connecting, 50)
        for _ in range(connecting):
            self.bad.fail(Refused(ENDPOINTS[0]))
        for d in waiting:
            self.successResultOf(d)
        (row, _) = shown(self.service)["endpoints"]
        self.assertLessEqual(row["backoff_seconds"], 1.0)

    def test_one_probe(self) -> None:
        """
        When its backoff is over one request tries it. As long as that is not connected, others keep to the healthy one,
        warm and cold; then both are used again.
        """
        self.lost(ENDPOINTS[0])
        self.clock.advance(1.0)
        self.warm(self.good)
        self.assertEqual({None: 1}, self.take(1), "it is to be connected to, and that takes its time")
        probe = self.service.acquire()
        self.assertEqual((1, 0), (self.bad.waiting, self.good.calls))
        self.assertEqual({ENDPOINTS[1]: 100}, self.take(100))
        for _ in range(20):
            self.successResultOf(self.service.acquire()).close()
        self.assertEqual((1, 20), (self.bad.calls, self.good.calls))
        self.bad.answer()
        self.successResultOf(probe).close()
        self.warm(self.bad, self.good)
        self.assertGreater(min(self.take(100)[endpoint] for endpoint in ENDPOINTS[:2]), 20)

    def test_probe_fails(self) -> None:
        """A probe that fails is served by the other one, and the endpoint is passed over for longer."""
        self.refuse(ENDPOINTS[0])
        self.lost(ENDPOINTS[0])
        for n in range(1, 6):
            self.clock.advance(60.0)
            self.successResultOf(self.service.acquire()).close()
            (row, _) = shown(self.service)["endpoints"]
            self.assertGreaterEqual(row["backoff_seconds"], 2.0**n / 2)
            for _ in range(20):
                self.successResultOf(self.service.acquire()).close()
            self.assertEqual(n, self.bad.calls)

    def test_probe_given_up(self) -> None:
        """Where the request that probes goes away, the next one does it."""
        self.lost(ENDPOINTS[0])
        self.clock.advance(1.0)
        d = self.service.acquire()
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.serve(ENDPOINTS[0])
        self.successResultOf(self.service.acquire()).close()
        self.assertEqual((2, 0), (self.bad.calls, self.good.calls))

    def test_probe_breaks(self) -> None:
        """So it is where a probe comes upon a plugin's mistake."""
        self.lost(ENDPOINTS[0])
        self.clock.advance(1.0)
        self.bad.at_once = lambda: ZeroDivisionError("a mistake")
        self.failureResultOf(self.service.acquire(), ZeroDivisionError)
        self.serve(ENDPOINTS[0])
        self.successResultOf(self.service.acquire()).close()
        self.assertEqual((2, 0), (self.bad.calls, self.good.calls))

    def test_warm_probe(self) -> None:
        """An idle connection will do for a probe."""
        self.lost(ENDPOINTS[0])
        self.clock.advance(1.0)
        self.warm(self.bad, self.good)
        self.assertEqual({ENDPOINTS[0]: 1}, self.take(1))
        self.assertGreater(min(self.take(100)[endpoint] for endpoint in ENDPOINTS[:2]), 20)

    def test_never_the_last(self) -> None:
        """Where all fail, they are used nevertheless, the one whose backoff is over first; and so is an only one."""
        self.warm(self.bad, self.good)
        for endpoint in ENDPOINTS[:2]:
            self.lost(endpoint)
        self.assertNotIn(None, self.take(10))
        self.set(ENDPOINTS[0])
        self.lost(ENDPOINTS[0])
        self.warm(self.bad)
        self.assertEqual({ENDPOINTS[0]: 10}, self.take(10))

    def test_replaced(self) -> None:
        """One that fails and goes away leaves the others as healthy as they are; back again, it starts anew."""
        self.lost(ENDPOINTS[0])
        self.set(*ENDPOINTS[1:3])
        self.warm(self.good, self.made[ENDPOINTS[2]])
        self.assertNotIn(None, self.take(100))


class ServesTests(BalanceMixin, SynchronousTestCase):
    """Whether it is worth a try."""

    def test_serves(self) -> None:
        """As long as one is well, or awaits its probe; and as long as nobody knows better."""
        self.assertTrue(self.service.serves(), "not resolved yet")
        self.discover.fail(TARGET, Unknown(TARGET))
        self.assertFalse(self.service.serves())
        self.set(*ENDPOINTS[:2])
        for endpoint, serves in zip(ENDPOINTS[:2], (True, False), strict=True):
            health = self.made[endpoint].health
            assert health is not None
            health.failed(Refused(endpoint))
            self.assertEqual(serves, self.service.serves())
        self.clock.advance(1.0)
        self.assertTrue(self.service.serves())

    def test_avoided(self) -> None:
        """Where some are to be avoided, as long as one of the others is."""
        one, two = ENDPOINTS[:2]
        self.set(one, two)
        for avoid, serves in (((), True), ((one,), True), ((one, two), False), ((one, two, ENDPOINTS[2]), False)):
            self.assertEqual(serves, self.service.serves(avoid), avoid)
        health = self.made[two].health
        assert health is not None
        health.failed(Refused(two))
        self.assertEqual([False, True], [self.service.serves((avoided,)) for avoided in (one, two)])
        self.clock.advance(1.0)
        self.assertTrue(self.service.serves((one,)))


class DiscoveryTests(BalanceMixin, SynchronousTestCase):
    """Endpoints that come and go."""

    def test_empty(self) -> None:
        """Without endpoints everybody waits, and is served as soon as there is one."""
        waiting = [self.service.acquire() for _ in range(10)]
        self.assertEqual((10, None), (self.service.busy(), self.service.try_acquire()))
        self.set()
        for d in waiting:
            self.assertNoResult(d)
        self.patch(self, "new_endpoint", None)
        self.discover.watches[0].watcher._new_endpoint = self.ready  # type: ignore[attr-defined]
        self.set(ENDPOINTS[0])
        for d in waiting:
            self.successResultOf(d).close()
        self.assertEqual(0, self.service.busy())

    def ready(self, endpoint: Endpoint, metadata: Metadata, health: Health) -> ScriptedService:
        service = self.made[endpoint] = ScriptedService(endpoint, metadata, health)
        service.at_once = service.lease
        self.all.append(service)
        return service

    def test_cancelled_while_empty(self) -> None:
        """One that gives up is forgotten, and told that there were no endpoints."""
        d = self.service.acquire()
        d.cancel()
        self.assertEqual("waiting for endpoints", explain(self.failureResultOf(d, CancelledError).value))
        self.assertEqual(0, self.service.busy())

    def test_unresolved(self) -> None:
        """Where nobody knows the target, all who wait are told so, and whoever comes has it looked up again."""
        waiting = [self.service.acquire() for _ in range(3)]
        error = Unknown(TARGET)
        self.discover.fail(TARGET, error)
        for d in waiting:
            self.assertIs(error, self.failureResultOf(d, Unknown).value)
        self.assertEqual(0, self.discover.watches[0].refreshed)
        late = self.service.acquire()
        self.assertEqual(1, self.discover.watches[0].refreshed)
        late.cancel()
        wanted = "waiting for endpoints; lately: resolve: web.local:80 does not exist"
        self.assertEqual(wanted, explain(self.failureResultOf(late).value))
        self.assertEqual("resolve: web.local:80 does not exist", shown(self.service)["last_error"])

    def test_refresh_answers(self) -> None:
        """An answer within that very call will do, good or bad."""
        self.discover.fail(TARGET, Unknown(TARGET))
        self.discover.on_refresh = lambda watch: watch.watcher.unresolved(Unknown(TARGET))
        self.failureResultOf(self.service.acquire(), Unknown)
        self.discover.on_refresh = lambda watch: watch.watcher.endpoints([ENDPOINTS[0]])
        d = self.service.acquire()
        self.made[ENDPOINTS[0]].answer()
        self.successResultOf(d)
        self.assertNotIn("last_error", shown(self.service))

    def test_told_cancels_others(self) -> None:
        """One that is told may cancel others that are about to be told: everybody is told once."""
        waiting = [self.service.acquire() for _ in range(4)]
        errors: list[Any] = []
        waiting[1].addErrback(lambda failure: waiting[2].cancel())
        for d in waiting:
            d.addErrback(errors.append)
        self.discover.fail(TARGET, Unknown(TARGET))
        self.assertEqual([Unknown, balance.GaveUp, Unknown], [failure.type for failure in errors])

    def test_stay(self) -> None:
        """Endpoints that stay keep their connections and their history, whatever comes beside them."""
        self.set(*ENDPOINTS[:2])
        before = self.made[ENDPOINTS[0]]
        self.set(ENDPOINTS[2], ENDPOINTS[0])
        self.set(*ENDPOINTS)
        self.assertIs(before, self.made[ENDPOINTS[0]])
        self.assertEqual((0, 11), (before.closed, len(self.all)), "the one that came back is a new one")

    def test_twice(self) -> None:
        """One that is named twice is one."""
        self.set(ENDPOINTS[0], ENDPOINTS[0])
        self.assertEqual(["10.0.0.0:80"], self.ends(self.service))

    def test_smaller(self) -> None:
        """Of a smaller set, what is gone is closed, once, and never connected to again."""
        self.set(*ENDPOINTS)
        self.serve(*ENDPOINTS)
        self.set(ENDPOINTS[4])
        self.assertEqual([service.key != ENDPOINTS[4] for service in self.all], [s.closed == 1 for s in self.all])
        for _ in range(100):
            self.successResultOf(self.service.acquire()).close()
        self.assertEqual(100, sum(service.calls for service in self.all))
        self.assertEqual(100, self.made[ENDPOINTS[4]].calls)

    def test_gone_with_leases(self) -> None:
        """A lease on an endpoint that is gone lives on, and keeps the service from being evicted."""
        self.set(*ENDPOINTS[:1])
        self.serve(ENDPOINTS[0])
        lease = self.successResultOf(self.service.acquire())
        for _ in range(3):
            self.set(ENDPOINTS[1])
        self.assertEqual(1, self.service.busy())
        lease.close()
        self.assertEqual(0, self.service.busy())
        self.set(ENDPOINTS[1])
        self.assertEqual([], self.service._gone)

    def test_changed_meanwhile(self) -> None:
        """A request whose endpoint refused late goes on to those that there are by then, not to those that were."""
        self.set(*ENDPOINTS[:3])
        d = self.service.acquire()
        first = next(service for service in self.all if service.waiting)
        self.set(ENDPOINTS[5])
        self.serve(ENDPOINTS[5])
        first.fail(Refused(first.key))  # type: ignore[arg-type]
        self.successResultOf(d)
        self.assertEqual(1, self.made[ENDPOINTS[5]].calls)
        self.assertEqual(2, sum(service.calls for service in self.all))
        report = Report(rows=True)
        self.service.report(report)
        self.assertNotIn("state", report.row(), "what refused is none of its endpoints any more")

    def test_all_gone_meanwhile(self) -> None:
        """Where there are none by then, it fails with what it knows."""
        self.set(*ENDPOINTS[:3])
        d = self.service.acquire()
        first = next(service for service in self.all if service.waiting)
        self.set()
        first.fail(Refused(first.key))  # type: ignore[arg-type]
        self.failureResultOf(d, Refused)

    def test_idle_updates(self) -> None:
        """10,000 updates while nobody sends anything: the set is right, the gone are closed, memory is flat."""

        def churn(n: int) -> int:
            for i in range(n):
                self.set(*(ENDPOINTS[(i + k) % 10] for k in range(1 + i % 4)))
                self.all = [service for service in self.all if not service.closed]
            gc.collect()
            return len(gc.get_objects())

        churn(1000)
        first = churn(1000)
        self.assertLess(churn(10_000) - first, 100)
        self.set(*ENDPOINTS[2:5])
        self.assertEqual(["10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"], self.ends(self.service))
        self.all = [service for service in self.all if not service.closed]
        self.assertEqual(3, len(self.all))

    def test_unresolved_for_ever(self) -> None:
        """10,000 requests that cannot be resolved, all told the same error: memory is flat."""
        self.discover.fail(TARGET, error := Unknown(TARGET))
        self.discover.on_refresh = lambda watch: watch.watcher.unresolved(error)

        def some(n: int) -> int:
            for _ in range(n):
                self.failureResultOf(self.service.acquire(), Unknown)
            gc.collect()
            return len(gc.get_objects())

        some(1000)
        first = some(1000)
        self.assertLess(some(10_000) - first, 100)

    def test_after_close(self) -> None:
        """Who is closed hears nothing more."""
        self.set(*ENDPOINTS)
        self.service.close()
        self.assertEqual([1] * 10, [service.closed for service in self.all])
        self.set(*ENDPOINTS)
        self.assertEqual(10, len(self.all))
        self.all.clear()
        self.service._list.clear()

    def test_describe(self) -> None:
        """Every endpoint can be seen, with its latest error and for how long it is passed over."""
        self.set(*ENDPOINTS[:2])
        self.refuse(ENDPOINTS[0])
        self.serve(ENDPOINTS[1])
        self.made[ENDPOINTS[1]].load = 1
        lease: Lease = self.successResultOf(self.service.acquire())
        row = shown(self.service)
        self.assertEqual(2, row["in_flight"])
        bad, good = row["endpoints"]
        self.assertEqual({"address": "10.0.0.1:80", "state": "healthy", "latency_ms": 30.0, "in_flight": 2}, good)
        self.assertEqual(("backoff", "connect: 10.0.0.0:80 refused"), (bad["state"], bad["last_error"]))
        self.assertGreaterEqual(bad["backoff_seconds"], 0.5)
        lease.close()
        self.clock.advance(1.0)
        bad = shown(self.service)["endpoints"][0]
        self.assertEqual(("backoff", 1.0, False), (bad["state"], bad["last_error_seconds"], "backoff_seconds" in bad))
