# -*- test-case-name: tests.discover.test_host -*-
"""
Tests for L{lproxy.discover.host}, through L{lproxy.discover.dns}, with a clock and a scripted resolver.
"""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Dns as Config
from lproxy.discover.dns import Dns
from lproxy.discover.host import RETRY_MAX, RETRY_MIN, TRIES, ResolveFailed
from lproxy.discover.literal import NoRoute
from lproxy.discover.system import System
from lproxy.errors import explain
from lproxy.target import Authority
from tests.discover.doubles import NODATA, NXDOMAIN, SERVFAIL, ScriptedResolver, Told, a, aaaa

WEB = Authority("web", 80)
#: one look-up of it
ASKED = [("A", "web"), ("AAAA", "web")]
#: what the watcher of C{WEB} is told about 10.0.0.1 and .2
ONE, TWO = ["10.0.0.1:80"], ["10.0.0.2:80"]


class HostCase(SynchronousTestCase):
    """A DNS discovery whose time and whose answers are the test's."""

    config = Config(ttl_min=5.0, ttl_max=300.0, timeout=1.0)

    def setUp(self) -> None:
        self.clock, self.resolver, self.told = Clock(), ScriptedResolver(), Told()
        system = System("/nonexistent/hosts", "/nonexistent/resolv.conf")
        self.dns = Dns(self.config, self.clock, self.resolver, system, random.Random(1))

    def tearDown(self) -> None:
        """At most one timer for each host that is watched, and one look-up."""
        self.assertLessEqual(len(self.clock.getDelayedCalls()), len(self.dns._hosts))
        self.assertLessEqual(len(self.resolver.waiting), 2 * len(self.dns._hosts))

    def resolved(self, *addresses: str, ttl: int = 60) -> Any:
        """A watch of C{WEB} that has been told C{addresses}."""
        watch = self.dns.watch(WEB, self.told)
        self.resolver.both("web", a("web", *addresses, ttl=ttl))
        self.told.take()
        self.resolver.take()
        return watch

    def pass_ttl(self, ttl: float = 60.0) -> None:
        """Now the next look-up has begun."""
        self.clock.advance(ttl)
        self.assertEqual(ASKED, self.resolver.take())

    def next_after(self, ttl: int) -> float:
        """Seconds until then, for an answer of C{ttl}."""
        watch = self.resolved("10.0.0.1", ttl=ttl)
        (call,) = self.clock.getDelayedCalls()
        watch.close()
        return call.getTime() - self.clock.seconds()

    def failed(self, kind: type[Exception], text: str) -> None:
        """The watcher was told of one failure and nothing else."""
        (error,) = self.told.take()
        self.assertIsInstance(error, kind)
        self.assertEqual((WEB, text), (error.target, explain(error)))


class AnswerTests(HostCase):
    """What watchers are told."""

    def test_answer(self) -> None:
        """A and AAAA together are the endpoints, at the target's port."""
        self.dns.watch(WEB, self.told)
        self.assertEqual((ASKED, []), (self.resolver.take(), self.told.take()))
        self.resolver.both("web", a("web", "10.0.0.1", "10.0.0.2"), aaaa("web", "fd00::1"))
        self.assertEqual(["10.0.0.1:80", "10.0.0.2:80", "[fd00::1]:80"], self.told.take()[-1])

    def test_slow_family(self) -> None:
        """A dead AAAA query delays a good A answer by nothing, nor the next look-up for ever."""
        self.dns.watch(WEB, self.told)
        self.resolver.answer("A", "web", a("web", "10.0.0.1"))
        self.assertEqual([ONE], self.told.take())
        self.clock.advance(TRIES)
        self.assertEqual([("AAAA", "web")], self.resolver.cancelled)
        self.assertEqual([], self.told.take())
        self.resolver.take()
        self.pass_ttl()

    def test_late_family(self) -> None:
        """A slow AAAA answer joins, and a failure there the next time takes nothing away."""
        self.dns.watch(WEB, self.told)
        self.resolver.answer("A", "web", a("web", "10.0.0.1"))
        self.clock.advance(0.5)
        self.resolver.answer("AAAA", "web", aaaa("web", "fd00::1"))
        self.assertEqual([ONE, ["10.0.0.1:80", "[fd00::1]:80"]], self.told.take())
        self.resolver.take()
        self.pass_ttl()
        self.resolver.both("web", a("web", "10.0.0.2"), SERVFAIL)
        self.assertEqual([["10.0.0.2:80", "[fd00::1]:80"]], self.told.take())
        # no failure: it was answered
        self.clock.advance(RETRY_MAX)
        self.assertEqual([], self.resolver.take())

    def test_family_gone(self) -> None:
        """A family without data any more is believed at once where the other one has some."""
        self.dns.watch(WEB, self.told)
        self.resolver.both("web", a("web", "10.0.0.1"), aaaa("web", "fd00::1"))
        self.resolver.take()
        self.told.take()
        self.pass_ttl()
        self.resolver.both("web", a("web", "10.0.0.1"), NODATA)
        self.assertEqual([ONE], self.told.take())

    def test_change(self) -> None:
        """Watchers are told of changes, and of changes alone: another order is none."""
        self.resolved("10.0.0.1", "10.0.0.2")
        self.pass_ttl()
        self.resolver.both("web", a("web", "10.0.0.2", "10.0.0.1"))
        self.assertEqual([], self.told.take())
        self.pass_ttl()
        self.resolver.both("web", a("web", "10.0.0.2"))
        self.assertEqual([TWO], self.told.take())

    def test_shared(self) -> None:
        """However many watch, at whatever port and in whatever case, there is one look-up and one timer."""
        others = [Told() for _ in range(3)]
        self.dns.watch(WEB, self.told)
        self.dns.watch(WEB, others[0])
        self.dns.watch(Authority("WEB", 81), others[1])
        self.assertEqual(ASKED, self.resolver.take())
        self.resolver.both("web", a("web", "10.0.0.1"))
        self.dns.watch(WEB, others[2])
        self.assertEqual([[ONE], [ONE], [["10.0.0.1:81"]], [ONE]], [t.events for t in (self.told, *others)])
        self.assertEqual(([], 1), (self.resolver.take(), len(self.clock.getDelayedCalls())))

    def test_at_once(self) -> None:
        """A resolver that answers at once is told of within C{watch}."""
        self.resolver.at_once = {("A", "web"): a("web", "10.0.0.1"), ("AAAA", "web"): NODATA}
        self.dns.watch(WEB, self.told)
        self.assertEqual([ONE], self.told.take())

    def test_close_when_told(self) -> None:
        """A watcher may close its watch while it is told; the last one to do so ends all."""

        class Closer(Told):
            def endpoints(self, endpoints, about={}):  # noqa: B006 - never changed
                super().endpoints(endpoints)
                for watch in watches:
                    watch.close()

        watches = [self.dns.watch(WEB, Closer()), self.dns.watch(WEB, self.told)]
        self.resolver.answer("A", "web", a("web", "10.0.0.1"))
        self.assertEqual([], self.told.take())
        self.assertEqual(([], {}), (self.clock.getDelayedCalls(), self.resolver.waiting))

    def test_watcher_raises(self) -> None:
        """A watcher that raises does not stop the look-ups."""

        class Broken(Told):
            def endpoints(self, endpoints, about={}):  # noqa: B006 - never changed
                raise ZeroDivisionError

        self.dns.watch(WEB, Broken())
        self.resolver.both("web", a("web", "10.0.0.1"))
        self.resolver.take()
        self.clock.advance(RETRY_MIN)
        self.assertEqual(ASKED, self.resolver.take())


class TimeTests(HostCase):
    """When the next look-up is."""

    def test_ttl(self) -> None:
        """It comes when the TTL ends, or up to a tenth of it sooner."""
        for _ in range(50):
            self.assertTrue(90 <= self.next_after(100) <= 100)

    def test_floor(self) -> None:
        """But not before the floor: a TTL of zero does not spin."""
        for _ in range(50):
            self.assertTrue(5 <= self.next_after(0) <= 5.5)

    def test_ceiling(self) -> None:
        """Nor after the ceiling."""
        for _ in range(50):
            self.assertTrue(270 <= self.next_after(2**32 - 1) <= 300)

    def test_jitter(self) -> None:
        """Names do not come back in step, not even those at the floor or the ceiling."""
        for ttl in (0, 5, 60, 300, 9999):
            self.assertEqual(20, len({self.next_after(ttl) for _ in range(20)}), ttl)

    def test_shortest(self) -> None:
        """The shortest TTL of both families counts."""
        self.dns.watch(WEB, self.told)
        self.resolver.both("web", a("web", "10.0.0.1", ttl=100), aaaa("web", "fd00::1", ttl=20))
        (call,) = self.clock.getDelayedCalls()
        self.assertTrue(18 <= call.getTime() <= 20)

    def test_zero(self) -> None:
        """A TTL of zero for five minutes is at most a look-up in five seconds."""
        self.resolver.at_once = {("A", "web"): a("web", "10.0.0.1", ttl=0), ("AAAA", "web"): NODATA}
        self.dns.watch(WEB, self.told)
        self.clock.pump([0.1] * 3000)
        self.assertTrue(54 <= len(self.resolver.take()) / 2 <= 61)


class NoFloorTests(HostCase):
    """A configuration without a floor, and with a ceiling of nothing."""

    config = Config(ttl_min=0.0, ttl_max=0.0)

    def test_zero(self) -> None:
        """Not even that spins."""
        self.assertEqual(0.5, self.next_after(0))
        self.assertEqual(0.5, self.next_after(100))


class FailureTests(HostCase):
    """What happens without an answer."""

    def test_no_route(self) -> None:
        """A name that does not exist is C{NoRoute}, from what the server said."""
        self.dns.watch(WEB, self.told)
        self.resolver.both("web", NXDOMAIN, NXDOMAIN)
        self.failed(NoRoute, "resolve: web:80 does not exist: NXDOMAIN")

    def test_no_address(self) -> None:
        """So is one without an address."""
        self.dns.watch(WEB, self.told)
        self.resolver.both("web", NODATA, NODATA)
        self.failed(NoRoute, "resolve: web:80 does not exist: web has no A record")

    def test_failed(self) -> None:
        """Where nobody could say it is C{ResolveFailed}, and each watcher is told of its own target."""
        other = Told()
        self.dns.watch(Authority("web", 81), other)
        self.dns.watch(WEB, self.told)
        self.resolver.both("web", SERVFAIL, NODATA)
        self.failed(ResolveFailed, "resolve: web:80 could not be resolved: SERVFAIL")
        self.assertEqual("web:81", str(other.events[0].target))

    def test_silence(self) -> None:
        """A look-up that does not end is ended."""
        self.dns.watch(WEB, self.told)
        self.clock.advance(TRIES)
        self.assertEqual((ASKED, {}), (self.resolver.cancelled, self.resolver.waiting))
        self.failed(ResolveFailed, "resolve: web:80 could not be resolved: no answer within 6 s")

    def test_known_failure(self) -> None:
        """Who comes later is told of the failure within C{watch}, and nobody is asked for that."""
        self.dns.watch(WEB, Told())
        self.resolver.both("web", NXDOMAIN, NXDOMAIN)
        self.resolver.take()
        self.dns.watch(WEB, self.told)
        self.failed(NoRoute, "resolve: web:80 does not exist: NXDOMAIN")
        self.assertEqual([], self.resolver.take())

    def test_backoff(self) -> None:
        """Failures are retried, ever more rarely up to a bound, and never in step."""
        self.dns.watch(WEB, self.told)
        delays = []
        for _ in range(12):
            self.resolver.both("web", SERVFAIL, SERVFAIL)
            (call,) = self.clock.getDelayedCalls()
            delays.append(call.getTime() - self.clock.seconds())
            self.resolver.take()
            self.pass_ttl(delays[-1])
        for i, delay in enumerate(delays):
            exact = min(RETRY_MAX, RETRY_MIN * 2**i)
            self.assertTrue(exact / 2 <= delay <= exact, (i, delay))
        self.assertEqual(12, len(set(delays)))
        # and an answer begins it anew
        self.resolver.both("web", a("web", "10.0.0.1"))
        self.pass_ttl()
        self.resolver.both("web", SERVFAIL, SERVFAIL)
        self.pass_ttl(RETRY_MIN)

    def test_recovery(self) -> None:
        """The answer that comes in the end is told, without anybody asking."""
        self.dns.watch(WEB, self.told)
        self.resolver.both("web", SERVFAIL, SERVFAIL)
        self.told.take()
        self.clock.advance(RETRY_MIN)
        self.resolver.both("web", a("web", "10.0.0.1"))
        self.assertEqual([ONE], self.told.take())

    def test_refresh(self) -> None:
        """Whoever waits has a failed name looked up now; one look-up for all of them."""
        watch = self.dns.watch(WEB, self.told)
        watch.refresh()  # under way already
        self.assertEqual(ASKED, self.resolver.take())
        self.resolver.both("web", SERVFAIL, SERVFAIL)
        watch.refresh()
        watch.refresh()
        self.assertEqual(ASKED, self.resolver.take())
        self.resolver.both("web", a("web", "10.0.0.1"))
        self.assertEqual(ONE, self.told.take()[-1])
        watch.refresh()  # nothing failed
        self.assertEqual([], self.resolver.take())

    def test_refresh_closed(self) -> None:
        """A closed watch refreshes nothing."""
        watch = self.dns.watch(WEB, self.told)
        self.resolver.both("web", SERVFAIL, SERVFAIL)
        self.resolver.take()
        self.dns.watch(WEB, Told())
        watch.close()
        watch.refresh()
        self.assertEqual([], self.resolver.take())

    def test_refresh_when_told(self) -> None:
        """A watcher may refresh while it is told: all end up with the newest."""

        class Eager(Told):
            def unresolved(self, error):
                super().unresolved(error)
                resolver.at_once = {("A", "web"): a("web", "10.0.0.1"), ("AAAA", "web"): NODATA}
                watch.refresh()

        resolver, eager = self.resolver, Eager()
        watch = self.dns.watch(WEB, eager)
        self.dns.watch(WEB, self.told)
        resolver.both("web", SERVFAIL, SERVFAIL)
        self.assertEqual((ONE, [ONE]), (eager.events[-1], self.told.take()))


class LastGoodTests(HostCase):
    """What becomes of a good answer when the next ones are not."""

    def test_kept(self) -> None:
        """Where nobody can say, it stands, however long; watchers are told nothing, those who come get it."""
        self.resolved("10.0.0.1")
        self.pass_ttl()
        for _ in range(20):
            self.resolver.both("web", SERVFAIL, SERVFAIL)
            self.resolver.take()
            self.pass_ttl(RETRY_MAX)
        self.clock.advance(TRIES)
        self.assertEqual([], self.told.take())
        late = Told()
        self.dns.watch(WEB, late)
        self.assertEqual([ONE], late.events)

    def test_doubted(self) -> None:
        """That it is gone is not believed once: a resolver may have restarted."""
        self.resolved("10.0.0.1")
        self.pass_ttl()
        self.resolver.both("web", NXDOMAIN, NXDOMAIN)
        self.pass_ttl(RETRY_MIN)
        self.resolver.both("web", a("web", "10.0.0.1"))
        self.pass_ttl()
        self.resolver.both("web", NODATA, NODATA)
        self.pass_ttl(RETRY_MIN)
        self.resolver.both("web", SERVFAIL, SERVFAIL)
        self.assertEqual([], self.told.take())

    def test_gone(self) -> None:
        """Said twice in a row, it is believed: no endpoints, and the reason for who waits."""
        self.resolved("10.0.0.1")
        self.pass_ttl()
        self.resolver.both("web", NXDOMAIN, NXDOMAIN)
        self.pass_ttl(RETRY_MIN)
        self.resolver.both("web", NXDOMAIN, NXDOMAIN)
        empty, error = self.told.take()
        self.assertEqual([], empty)
        self.assertIsInstance(error, NoRoute)
        # it may come back
        self.pass_ttl(2 * RETRY_MIN)
        self.resolver.both("web", a("web", "10.0.0.2"))
        self.assertEqual([TWO], self.told.take())


class CloseTests(HostCase):
    """Nothing is kept after the last watch closes."""

    def nothing(self) -> None:
        self.assertEqual("<Dns 0 hosts>", repr(self.dns))
        self.assertEqual(([], {}), (self.clock.getDelayedCalls(), self.resolver.waiting))

    def test_while_asking(self) -> None:
        """The look-up under way is cancelled."""
        watch = self.dns.watch(WEB, self.told)
        watch.close()
        self.assertEqual((ASKED, []), (self.resolver.cancelled, self.told.take()))
        self.nothing()

    def test_while_resolved(self) -> None:
        """The timer is."""
        self.resolved("10.0.0.1").close()
        self.nothing()

    def test_last(self) -> None:
        """Not before the last one; and a watch closes once."""
        first, second = self.dns.watch(WEB, Told()), self.dns.watch(WEB, self.told)
        first.close()
        first.close()
        self.resolver.both("web", a("web", "10.0.0.1"))
        self.assertEqual([ONE], self.told.take())
        second.close()
        second.close()
        first.close()
        self.nothing()

    def test_again(self) -> None:
        """Who watches afterwards begins anew, and an old watch does not disturb it."""
        old = self.resolved("10.0.0.1")
        old.close()
        self.dns.watch(WEB, self.told)
        old.close()
        self.assertEqual((ASKED, []), (self.resolver.take(), self.told.take()))
        self.assertEqual(1, len(self.dns._hosts))

    def test_many(self) -> None:
        """10,000 names that nobody watches any more leave nothing."""
        for i in range(10_000):
            self.dns.watch(Authority(f"h{i}", 80), self.told).close()
        self.nothing()
