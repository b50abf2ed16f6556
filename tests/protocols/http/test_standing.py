# -*- test-case-name: tests.protocols.http.test_standing -*-
"""
L{lproxy.protocols.http.standing}: how an endpoint does; L{tests.protocols.http.test_pool} has it beneath a pool.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import ProxyError
from lproxy.metrics.counters import EndpointCounter
from lproxy.protocols.http.standing import ServerErrors, Standing
from lproxy.protocols.http.streams import UpstreamLost
from lproxy.target import Endpoint

END = Endpoint("10.0.0.9", 9000)


class ScriptedHealth:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.counter = EndpointCounter()
        self.told: list[tuple[str, float]] = []
        self.took_seconds: list[float] = []
        self.well = True

    def failed(self, error: ProxyError, began: float | None = None) -> bool:
        """A connection was lost."""
        self.told.append(("failed", began or 0.0))
        return True

    def answered_badly(self, error: ProxyError, began: float) -> None:
        """A bad answer."""
        self.told.append((str(error), began))

    def answered_well(self, began: float) -> bool:
        """A good one."""
        self.told.append(("well", began))
        return self.well

    def took(self, seconds: float, now: float) -> None:
        """An answer, in so many seconds."""
        self.took_seconds.append(seconds)

    def not_answered(self, began: float) -> None:
        """None."""
        self.told.append(("not", began))


class StandingTests(SynchronousTestCase):
    """What is counted, and what is told."""

    def setUp(self) -> None:
        self.health = ScriptedHealth()
        self.counter = self.health.counter
        self.standing = Standing(END, self.health)

    def counts(self) -> tuple[int, int, int]:
        """Good ones, bad ones, and those that took a time."""
        return self.counter.succeeded, self.counter.failed, sum(self.counter.latency.counts)

    def test_good(self) -> None:
        """A good answer is counted with its time, and told to nobody."""
        self.standing.ended(200, 1.0, 1.5)
        self.assertEqual(((1, 0, 1), 500.0, []), (self.counts(), self.counter.latency.total, self.health.told))
        self.assertEqual([0.5], self.health.took_seconds)

    def test_outrun(self) -> None:
        """What is given up for being slow has a time, and is no answer."""
        self.standing.outrun(1.0, 1.5)
        self.assertEqual(((0, 0, 0), [], [0.5]), (self.counts(), self.health.told, self.health.took_seconds))

    def test_bad(self) -> None:
        """A bad one is told, and then good ones until the health has enough of them."""
        self.standing.ended(503, 1.0, 2.0)
        self.health.well = False
        self.standing.ended(200, 2.0, 3.0)
        self.health.well = True
        self.standing.ended(200, 3.0, 4.0)
        self.standing.ended(200, 4.0, 5.0)
        bad = (str(ServerErrors(END, 503)), 1.0)
        self.assertEqual(([bad, ("well", 2.0), ("well", 3.0)], (3, 1, 4)), (self.health.told, self.counts()))

    def test_of_the_request(self) -> None:
        """One that the request is to blame for is counted as a failure, and says nothing against the endpoint."""
        self.standing.ended(501, 1.0, 2.0)
        self.assertEqual((["not"], (0, 1, 1)), ([what for what, _ in self.health.told], self.counts()))

    def test_none(self) -> None:
        """No answer is told where the health waits for one, and else to nobody."""
        self.standing.ended(0, 1.0, 2.0)
        self.assertTrue(self.standing.failed(UpstreamLost(END, "ECONNRESET", "without an answer"), 2.0))
        self.standing.ended(0, 2.0, 3.0)
        self.assertEqual(([("failed", 2.0), ("not", 2.0)], (0, 1, 0)), (self.health.told, self.counts()))
