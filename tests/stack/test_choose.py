# -*- test-case-name: tests.stack.test_choose -*-
"""
Tests for L{lproxy.stack.choose}: who gets the requests, by simulation.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from lproxy.balancing import DEFAULT, Balancing, HealthCheck
from lproxy.stack.interfaces import Hint
from lproxy.target import Endpoint
from lproxy.testing import shown
from lproxy.transport.connect import ConnectFailed
from tests.stack.service import Simulation, about

ENDS = [Endpoint(f"10.0.0.{n}", 80) for n in range(12)]


class ChooseCase(SynchronousTestCase):
    """A service."""

    settings = DEFAULT
    backoff = 0.1

    def setUp(self) -> None:
        self.sim = Simulation(self.settings, backoff=self.backoff)
        self.addCleanup(self.sim.close)

    def lose(self, *endpoints: Endpoint) -> None:
        """Connections to them are lost, and they are passed over for a while."""
        for endpoint in endpoints:
            self.sim.health[endpoint].failed(ConnectFailed(endpoint, "ECONNRESET"))

    def near(self, wanted: float, is_: float, delta: float = 0.04) -> None:
        self.assertTrue(wanted - delta < is_ < wanted + delta, f"{is_}, not {wanted}")


class WeightTests(ChooseCase):
    """Three endpoints, of weights 6, 3 and 1."""

    def setUp(self) -> None:
        super().setUp()
        self.weights = dict(zip(ENDS[:3], (6, 3, 1), strict=True))
        self.sim.set(*self.weights, about={end: about(weight=n) for end, n in self.weights.items()})

    def test_parts(self) -> None:
        """Each gets its part."""
        asked = self.sim.run_for(10.0)
        for end, weight in self.weights.items():
            self.near(weight / 10, asked[end] / 5000)

    def test_a_bit_slower(self) -> None:
        """Also where one is a bit slower than another: it is not the quickest that has it all."""
        self.sim.rate = 50
        self.sim.takes.update(zip(ENDS[:3], (0.006, 0.005, 0.004), strict=True))
        asked = self.sim.run_for(60.0)
        for end, weight in self.weights.items():
            self.near(weight / 10, asked[end] / 3000)

    def test_slow(self) -> None:
        """One that becomes slow loses its part, whatever its weight."""
        self.sim.run_for(5.0)
        self.sim.takes[ENDS[0]] = 0.5
        self.sim.run_for(1.0)
        self.assertLess(self.sim.share(ENDS[0], 5.0), 0.03)

    def test_changed(self) -> None:
        """Other weights hold at once, and the connections stay."""
        before = dict(self.sim.services)
        self.sim.set(*self.weights, about={ENDS[0]: about(weight=1)})
        self.assertEqual(before, self.sim.services)
        asked = self.sim.run_for(10.0)
        self.assertTrue(all(0.25 < n / 5000 < 0.42 for n in asked.values()), asked)

    def test_little(self) -> None:
        """One of very little weight gets that little."""
        self.sim.set(*ENDS[:2], about={ENDS[0]: about(weight=1000), ENDS[1]: about(weight=1)})
        asked = self.sim.run_for(20.0)
        self.assertTrue(2 <= asked[ENDS[1]] <= 40, asked)
        self.assertEqual({"weight": 1000}, {"weight": shown(self.sim.service)["endpoints"][0]["weight"]})


class SlowStartTests(ChooseCase):
    """Three endpoints that serve, and one that joins; slow start takes ten seconds."""

    settings = replace(DEFAULT, slow_start=10.0)

    def setUp(self) -> None:
        super().setUp()
        self.sim.set(*ENDS[:3], takes=0.002)

    def test_first(self) -> None:
        """Those of the beginning are not eased in: there is nobody who would serve instead."""
        self.assertTrue(all(0.2 < n / 500 < 0.5 for n in self.sim.run_for(1.0).values()))

    def test_new(self) -> None:
        """One that is new gets a little, more and more, and after ten seconds as much as anybody."""
        self.sim.run_for(5.0)
        self.sim.set(*ENDS[:4], takes=0.002)
        shares = [self.sim.share(ENDS[3], 1.0) for _ in range(20)]
        self.assertTrue(0.005 < shares[0] < 0.08, shares)
        self.assertTrue(0.05 < shares[4] < 0.19, shares)
        self.assertLess(shares[0], shares[3])
        self.assertLess(shares[3], shares[7])
        self.assertTrue(0.15 < sum(shares[10:]) / 10 < 0.35, shares)

    def test_back(self) -> None:
        """So does one that is back."""
        self.sim.run_for(5.0)
        self.sim.health[ENDS[0]].failed(ConnectFailed(ENDS[0], "ECONNRESET"))
        self.assertEqual(0.0, self.sim.share(ENDS[0], 0.04))
        self.sim.run_for(0.2)
        (row, *_) = shown(self.sim.service)["endpoints"]
        self.assertTrue(0.0 < row["eased_in"] < 0.2, row)
        shares = [self.sim.share(ENDS[0], 1.0) for _ in range(20)]
        self.assertTrue(shares[0] < 0.15 < sum(shares[12:]) / 8, shares)
        self.assertNotIn("eased_in", shown(self.sim.service)["endpoints"][0])

    def test_all_new(self) -> None:
        """Where all are eased in, they share everything all the same."""
        self.sim.run_for(1.0)
        for end in ENDS[:3]:
            self.sim.health[end].failed(ConnectFailed(end, "ECONNRESET"))
        self.sim.run_for(0.5)
        self.assertTrue(all(0.2 < n / 1000 < 0.5 for n in self.sim.run_for(2.0).values()))


class ZoneTests(ChooseCase):
    """Ten endpoints in two zones, one of them our own."""

    settings = replace(DEFAULT, zone="here")
    backoff = 1000.0

    def setUp(self) -> None:
        super().setUp()
        self.ours, self.far = ENDS[:5], ENDS[5:10]
        known = {end: about(zone="here" if end in self.ours else "there") for end in ENDS[:10]}
        self.sim.set(*ENDS[:10], about=known)

    def here(self, seconds: float = 5.0) -> float:
        asked = self.sim.run_for(seconds)
        return sum(asked[end] for end in self.ours) / (seconds * self.sim.rate)

    def test_near(self) -> None:
        """As long as most of the own ones are well, they serve all."""
        self.assertEqual(1.0, self.here())
        self.lose(ENDS[0])
        self.assertEqual(1.0, self.here())

    def test_spills(self) -> None:
        """Of fewer, others get what these cannot take; with none, all. Once they are back, nothing."""
        self.lose(*ENDS[:3])
        self.near(2 / 5 / 0.7, self.here())
        self.lose(*ENDS[3:5])
        self.assertEqual(0.0, self.here(1.0))
        for end in self.ours:
            self.sim.services[end].health.succeeded()
        self.assertEqual(1.0, self.here())

    def test_no_others(self) -> None:
        """Where the others are down as well, who is well here serves all."""
        self.lose(*self.far, *ENDS[:4])
        self.assertEqual({ENDS[4]}, set(self.sim.run_for(0.05)))

    def test_nobody_here(self) -> None:
        """A zone without endpoints is no reason not to serve."""
        self.sim.set(*self.far, about={end: about(zone="there") for end in self.far})
        self.assertEqual(set(self.far), set(self.sim.run_for(1.0)))

    def test_shown(self) -> None:
        """The zone can be seen."""
        self.assertEqual("here", shown(self.sim.service)["endpoints"][0]["zone"])


class KeyTests(ChooseCase):
    """Requests with keys, ten endpoints."""

    backoff = 5.0

    def setUp(self) -> None:
        super().setUp()
        self.sim.set(*ENDS[:10])
        self.sim.run_for(1.0)

    def homes(self, n: int = 400) -> list[Endpoint]:
        """Whose each of so many keys is."""
        found = []
        for i in range(n):
            self.sim.hint = lambda i=i: Hint(b"client-%d" % i)
            found.append(self.sim.one())
        return found

    def test_same(self) -> None:
        """A key's requests go to one endpoint, however busy that is; all keys together to all."""
        first = self.homes()
        self.assertEqual((first, 10), (self.homes(), len(set(first))))
        self.sim.services[first[0]].load = 1000
        self.assertEqual(first, self.homes())

    def test_joins(self) -> None:
        """One that joins takes about its part, and nothing moves elsewhere."""
        before = self.homes(1000)
        self.sim.set(*ENDS[:11])
        after = self.homes(1000)
        moved = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
        self.assertEqual({ENDS[10]}, {b for _, b in moved})
        self.assertTrue(50 < len(moved) < 140, len(moved))

    def test_down(self) -> None:
        """The keys of one that is down go elsewhere, to the same each time, and come back; others stay."""
        before = self.homes()
        self.lose(ENDS[4])
        while_down = self.homes(100)
        self.assertEqual(while_down, self.homes(100))
        self.assertNotIn(ENDS[4], while_down)
        kept = [(a, b) for a, b in zip(before, while_down, strict=False) if a != ENDS[4]]
        self.assertTrue(all(a == b for a, b in kept))
        self.sim.clock.advance(10.0)
        self.assertEqual(before, self.homes(), "its own request is its probe")

    def test_avoid(self) -> None:
        """Tried again, it goes to the next, always the same; where there is no other, to the same once more."""
        home = self.homes(1)[0]
        self.sim.hint = lambda: Hint(b"client-0", (home,))
        (second,) = {self.sim.one() for _ in range(20)}
        self.assertNotEqual(home, second)
        self.sim.hint = lambda: Hint(b"client-0", tuple(ENDS))
        self.assertEqual({home}, {self.sim.one() for _ in range(20)})


class AvoidTests(ChooseCase):
    """Further tries."""

    backoff = 5.0

    def test_elsewhere(self) -> None:
        """They go to others, well and badly balanced alike, and probe nobody."""
        self.sim.set(*ENDS[:3])
        self.sim.hint = lambda: Hint(avoid=(ENDS[0],))
        asked = self.sim.run_for(1.0)
        self.assertEqual({ENDS[1], ENDS[2]}, set(asked))
        self.lose(ENDS[1])
        self.sim.clock.advance(10.0)
        self.assertEqual({ENDS[2]}, set(self.sim.run_for(1.0)))
        self.sim.hint = lambda: None
        self.assertEqual(ENDS[1], self.sim.one(), "its probe is the next first try")


class CheckedTests(ChooseCase):
    """What checks find out; here the test says that, and nobody else is in time for it."""

    settings = replace(DEFAULT, check=HealthCheck(healthy=2, unhealthy=3, interval=1e9))

    def down(self, *endpoints: Endpoint) -> None:
        for end in endpoints:
            for _ in range(3):
                self.sim.services[end].health.checked(ConnectFailed(end, "ECONNREFUSED"))

    def test_left_out(self) -> None:
        """One that is down by its checks gets nothing, for however long, until they say otherwise."""
        self.sim.set(*ENDS[:3])
        self.down(ENDS[0])
        self.sim.clock.advance(1000.0)
        self.assertEqual({ENDS[1], ENDS[2]}, set(self.sim.run_for(1.0)))
        self.sim.services[ENDS[0]].health.checked(None)
        self.assertEqual({ENDS[1], ENDS[2]}, set(self.sim.run_for(1.0)))
        self.sim.services[ENDS[0]].health.checked(None)
        self.assertEqual(set(ENDS[:3]), set(self.sim.run_for(1.0)))

    def test_all_down(self) -> None:
        """Where all are, checks are believed no more than that: all serve, but for those that cannot be reached."""
        self.sim.set(*ENDS[:3])
        self.down(*ENDS[:3])
        self.assertEqual(set(ENDS[:3]), set(self.sim.run_for(1.0)))
        self.assertEqual("down", shown(self.sim.service)["state"])
        self.sim.health[ENDS[0]].failed(ConnectFailed(ENDS[0], "ECONNRESET"))
        self.assertEqual({ENDS[1], ENDS[2]}, set(self.sim.run_for(1.0)))


class FailingTests(ChooseCase):
    """One of ten endpoints answers with errors, ten times as fast as the others answer."""

    settings = replace(Balancing(), max_failures=5, slow_start=None)

    def setUp(self) -> None:
        super().setUp()
        self.sim.set(*ENDS[:10])
        self.sim.run_for(5.0)
        self.sim.takes[ENDS[0]] = 0.0005

    def test_all_errors(self) -> None:
        """It is aside at once, and gets its probes alone."""
        self.sim.fails[ENDS[0]] = lambda: True
        self.sim.run_for(1.0)
        self.assertLess(self.sim.share(ENDS[0], 10.0), 0.005)

    def test_most_errors(self) -> None:
        """One that answers well now and then is, too: by the part of its errors."""
        self.sim.fails[ENDS[0]] = lambda: self.sim.random.random() < 0.6
        self.sim.run_for(2.0)
        self.assertLess(self.sim.share(ENDS[0], 20.0), 0.03)

    def test_some_errors(self) -> None:
        """Fewer errors are not held against it; but neither does it attract anybody by being so quick at them."""
        self.sim.fails[ENDS[0]] = lambda: self.sim.random.random() < 0.3
        self.sim.takes[ENDS[0]] = 0.005
        self.sim.run_for(2.0)
        self.assertLess(self.sim.share(ENDS[0], 20.0), 0.13)

    def test_everybody_fails(self) -> None:
        """Where all fail alike none is an outlier, and more than half of them serve whatever happens."""
        for end in ENDS[:10]:
            self.sim.takes[end] = 0.005
            self.sim.fails[end] = lambda: self.sim.random.random() < 0.6
        self.sim.run_for(5.0)
        down = [row for row in shown(self.sim.service)["endpoints"] if row["state"] != "healthy"]
        self.assertLessEqual(len(down), 5)
        self.assertGreaterEqual(len(self.sim.run_for(1.0)), 5)

    def test_back(self) -> None:
        """One that has recovered gets its part again, and keeps it."""
        self.sim.fails[ENDS[0]] = lambda: True
        self.sim.run_for(10.0)
        self.sim.takes[ENDS[0]] = 0.005
        del self.sim.fails[ENDS[0]]
        self.sim.run_for(60.0)
        shares = [self.sim.share(ENDS[0], 2.0) for _ in range(10)]
        self.assertTrue(all(0.05 < share < 0.16 for share in shares), shares)

    def test_blip(self) -> None:
        """A hundred requests that fail together are one failure: it is aside for no longer than after one."""
        health = self.sim.health[ENDS[0]]
        self.sim.run_for(1.0)
        for _ in range(100):
            health.failed(ConnectFailed(ENDS[0], "ECONNRESET"))
        (row, *_) = shown(self.sim.service)["endpoints"]
        self.assertLessEqual(row["backoff_seconds"], 0.1)
