# -*- test-case-name: tests.discover.test_lookup -*-
"""
Tests for L{lproxy.discover.lookup}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from lproxy.discover.lookup import MAX_ALIASES, Absent, Failed, Outcome, look_up
from lproxy.discover.records import Answer
from tests.discover.doubles import (
    DOMAIN_ERROR,
    NODATA,
    NXDOMAIN,
    SERVFAIL,
    ScriptedResolver,
    a,
    aaaa,
    cname,
)

GOOD = Answer(("10.0.0.1",), 60)


class LookUpTests(SynchronousTestCase):
    """One look-up of a host."""

    def setUp(self) -> None:
        self.resolver = ScriptedResolver()
        self.found: list[Any] = []

    def start(self, *names: str) -> Deferred[Outcome]:
        return Deferred.fromCoroutine(look_up(self.resolver, names, lambda *args: self.found.append(args)))

    def outcome(self, v4: Any, v6: Any) -> Outcome:
        """What becomes of these two answers."""
        d = self.start("web")
        self.resolver.both("web", v4, v6)
        return self.successResultOf(d)

    def test_at_once(self) -> None:
        """Both families are asked for together, and each is told as soon as it is known."""
        d = self.start("web")
        self.assertEqual([("A", "web"), ("AAAA", "web")], self.resolver.take())
        self.resolver.answer("AAAA", "web", aaaa("web", "fd00::1"))
        self.assertEqual([("web", 28, Answer(("fd00::1",), 60))], self.found)
        self.assertNoResult(d)
        self.resolver.answer("A", "web", a("web", "10.0.0.1"))
        self.assertEqual(Outcome(GOOD, Answer(("fd00::1",), 60)), self.successResultOf(d))

    def test_good(self) -> None:
        """One good family is an answer, whatever the other one says."""
        for other in (NODATA, NXDOMAIN, SERVFAIL):
            outcome = self.outcome(a("web", "10.0.0.1"), other)
            self.assertEqual(([GOOD], None), (outcome.answers, outcome.absence))

    def test_absent(self) -> None:
        """Absent is what those who know say of the name, or of both families."""
        for v4, v6 in (
            (NXDOMAIN, NXDOMAIN),
            (NXDOMAIN, SERVFAIL),
            (SERVFAIL, NXDOMAIN),
            (NODATA, NXDOMAIN),
            (NODATA, NODATA),
            (DOMAIN_ERROR, NODATA),
        ):
            outcome = self.outcome(v4, v6)
            self.assertIsInstance(outcome.absence, Absent)
            self.assertIdentical(NXDOMAIN in (v4, v6), outcome.absence.error is NXDOMAIN)
        self.assertEqual("web has no A record", str(self.outcome(NODATA, NODATA).absence.error))

    def test_failed(self) -> None:
        """Where one family is unknown and the other has no data, nothing is certain."""
        for v4, v6 in ((SERVFAIL, SERVFAIL), (NODATA, SERVFAIL), (SERVFAIL, NODATA)):
            outcome = self.outcome(v4, v6)
            self.assertEqual((None, [], SERVFAIL), (outcome.absence, outcome.answers, outcome.error))

    def test_raises(self) -> None:
        """A resolver that raises, or answers nonsense, fails in order."""
        self.patch(self.resolver, "lookupAddress", lambda name: 1 / 0)
        self.patch(self.resolver, "lookupIPV6Address", lambda name: "nonsense")
        outcome = self.successResultOf(self.start("web"))
        self.assertIsInstance(outcome.error, ZeroDivisionError)
        self.assertIsInstance(outcome.aaaa, Failed)

    def test_alias(self) -> None:
        """A CNAME that leads out of its answer is asked for; what is found is the first name's, for the shorter TTL."""
        d = self.start("web")
        self.resolver.both("web", cname("web", "www", ttl=9), cname("web", "www"))
        self.resolver.both("www", a("www", "10.0.0.1"), NODATA)
        answer = Answer(("10.0.0.1",), 9)
        self.assertEqual(answer, self.successResultOf(d).a)
        self.assertEqual([("web", 1, answer)], self.found)

    def test_endless_aliases(self) -> None:
        """A chain of CNAMEs without end is a failure, and so is one to a name that is none."""
        d = self.start("n0")
        self.resolver.answer("AAAA", "n0", cname("n0", b"a b"))
        for i in range(MAX_ALIASES):
            self.resolver.answer("A", f"n{i}", cname(f"n{i}", f"n{i + 1}"))
        outcome = self.successResultOf(d)
        self.assertEqual("more than 8 CNAMEs", str(outcome.a.error))
        self.assertIsInstance(outcome.aaaa, Failed)

    def test_search(self) -> None:
        """The next candidate is asked for where the one before does not exist, or has no address."""
        d = self.start("web.a", "web.b", "web")
        self.resolver.both("web.a", NXDOMAIN, NXDOMAIN)
        self.resolver.both("web.b", NODATA, NODATA)
        self.resolver.both("web", a("web", "10.0.0.1"), NODATA)
        self.assertEqual([GOOD], self.successResultOf(d).answers)
        self.assertEqual([("web", 1, GOOD)], self.found)

    def test_search_fails(self) -> None:
        """A failure ends the search: a namesake is not what was meant."""
        d = self.start("web.a", "web")
        self.resolver.both("web.a", SERVFAIL, NODATA)
        self.assertIdentical(SERVFAIL, self.successResultOf(d).error)
        self.assertEqual({}, self.resolver.waiting)

    def test_cancel(self) -> None:
        """Cancelled, it ends at once with what there is, and asks nobody else."""
        d = self.start("web.a", "web")
        self.resolver.answer("A", "web.a", a("web.a", "10.0.0.1"))
        d.cancel()
        outcome = self.successResultOf(d)
        self.assertEqual([GOOD], outcome.answers)
        self.assertIsInstance(outcome.error, CancelledError)
        self.assertEqual(([("AAAA", "web.a")], {}), (self.resolver.cancelled, self.resolver.waiting))
