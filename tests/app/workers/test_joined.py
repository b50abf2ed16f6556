# -*- test-case-name: tests.app.workers.test_joined -*-
"""
L{lproxy.app.workers.joined}: several workers' rows as one's.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.rows import Standing
from lproxy.app.workers import joined


def service(state: str, in_flight: int, endpoint: str, **more: Any) -> dict[str, Any]:
    endpoints = [{"address": "10.0.0.1:80", "state": endpoint, "in_flight": in_flight}]
    return {
        "direction": "outbound",
        "protocol": "http",
        "target": "web",
        "state": state,
        "in_flight": in_flight,
        "waiters": 1,
        "endpoints": endpoints,
        **more,
    }


class RowTests(SynchronousTestCase):
    """Two workers'."""

    def test_services(self) -> None:
        """A service of both is there once: amounts added, the worst state, whatever only one has to say."""
        (row,) = joined.services(
            {0: [service("ready", 2, "healthy")], 1: [service("degraded", 3, "backoff", last_error="refused")]}
        )
        self.assertEqual(
            ("degraded", 5, 2, "refused"), (row["state"], row["in_flight"], row["waiters"], row["last_error"])
        )
        self.assertEqual([{"address": "10.0.0.1:80", "state": "backoff", "in_flight": 5}], row["endpoints"])

    def test_unused(self) -> None:
        """What one worker uses is not unused because others do not; what none does is, once."""
        unused = {"target": "web", "state": "unused", "in_flight": 0, "waiters": 0, "endpoints": []}
        other = {**unused, "target": "other"}
        found = joined.services({0: [unused, other], 1: [service("ready", 1, "healthy"), other]})
        self.assertEqual([("web", "ready"), ("other", "unused")], [(row["target"], row["state"]) for row in found])

    def test_unknown_state(self) -> None:
        """A state that is not known is worse than all."""
        (row,) = joined.services({0: [service("ready", 1, "healthy")], 1: [service("strange", 1, "healthy")]})
        self.assertEqual("strange", row["state"])

    def test_standing(self) -> None:
        """A service serves where it does in all workers, and is as busy as all of them are with it."""
        one = Standing("web", True, 0, 2, lambda: service("ready", 2, "healthy"))
        other = Standing("web", False, 1, 3, lambda: None)
        both = joined.standing([one, other])
        self.assertEqual(("web", False, 1, 5), both[:4])
        self.assertEqual(2, (both.row() or {})["in_flight"])
        self.assertIsNone(joined.standing([other]).row())

    def test_connections(self) -> None:
        """Each has its worker."""
        found = joined.connections({1: [{"client": "b"}], 0: [{"client": "a"}]})
        self.assertEqual([{"worker": 0, "client": "a"}, {"worker": 1, "client": "b"}], found)

    def test_failures(self) -> None:
        """The same failure of both is one, as often as both had it, and the latest comes first."""
        one = {"kind": "k", "text": "t", "key": "t", "at": 5.0, "times": 2}
        late = {**one, "at": 9.0, "times": 1, "waited_seconds": 3.0}
        found = joined.failures({0: [one], 1: [late, {**one, "text": "u", "key": "u", "at": 7.0}]})
        self.assertEqual([("t", 3, 9.0), ("u", 2, 7.0)], [(row["text"], row["times"], row["at"]) for row in found])
        self.assertEqual(3.0, found[0]["waited_seconds"], "of the latest")
        self.assertEqual((2, 1), (one["times"], late["times"]))

    def test_plugins(self) -> None:
        """A protocol is there once, with what all workers have of it."""
        one = {"name": "http", "file": "f", "sessions": 2, "leases": 1}
        (row,) = joined.plugins({0: [one], 1: [{**one, "errors": 3, "last_error": "x"}]})
        self.assertEqual((4, 2, 3, "x"), tuple(row[key] for key in ("sessions", "leases", "errors", "last_error")))
