# -*- test-case-name: tests.metrics.test_acquisition -*-
"""
L{lproxy.metrics.acquisition}: the families of the stacks.
"""

from __future__ import annotations

from tests.metrics.case import MetricsCase


class AcquisitionTests(MetricsCase):
    """By direction."""

    def test_values(self) -> None:
        """What was counted is what is shown; those that did not wait took no time."""
        acquire = self.metrics.acquire("inbound")
        self.assertIs(acquire, self.metrics.acquire("inbound"))
        acquire.ready = 7
        acquire.done("waited", 0.25)
        acquire.retried("acquired")
        acquire.retried("acquired")
        for name, outcome, expected in (
            ("acquire_total", "ready", [7]),
            ("acquire_total", "waited", [1]),
            ("acquire_duration_seconds_count", "ready", [7]),
            ("acquire_duration_seconds_sum", "ready", [0]),
            ("acquire_duration_seconds_sum", "waited", [0.25]),
            ("acquire_retries_total", "acquired", [2]),
            ("acquire_retries_total", "waited", []),
        ):
            self.assertEqual(expected, self.values(name, direction="inbound", outcome=outcome), name)

    def test_for_good(self) -> None:
        """Directions keep their series, and an outcome that happened once is never forgotten."""
        self.metrics.acquire("inbound").done("failed", 0.0)
        for _ in range(3):
            self.clock.advance(100_000)
            self.text()
        self.assertEqual([1], self.values("acquire_total", outcome="failed"))


class StateTests(MetricsCase):
    """Families whose values the stacks hold."""

    def test_watch(self) -> None:
        """Sources are asked at each scrape, and together make the family."""
        value = [1.0]
        self.metrics.watch(lambda: [("in_flight", (), value[0])])
        self.metrics.watch(lambda: [("failfast_state", (("target", "a"),), 1.0)])
        self.metrics.watch(lambda: [("failfast_state", (("target", "b"),), 0.0)])
        self.assertEqual([1], self.values("in_flight"))
        value[0] = 0.0
        self.assertEqual([0], self.values("in_flight"))
        self.assertEqual([1, 0], self.values("failfast_state"))

    def test_sum(self) -> None:
        """
        While one set of stacks makes way for the next, both together are shown, and no series twice. Then what is, is
        the next one's; what was counted stays.
        """
        end = self.metrics.watch(lambda: [("in_flight", (), 2), ("failfast_total", (("target", "a"),), 1)])
        self.metrics.watch(lambda: [("in_flight", (), 3), ("failfast_total", (("target", "a"),), 1)])
        self.assertEqual(([5], [2]), (self.values("in_flight"), self.values("failfast_total")))
        end()
        self.assertEqual(([3], [2]), (self.values("in_flight"), self.values("failfast_total")))

    def test_state(self) -> None:
        """A state stays 0 or 1, however many report it."""
        for value in (1, 1, 0):
            self.metrics.watch(lambda value=value: [("failfast_state", (("target", "a"),), value)])  # type: ignore[misc]
        self.assertEqual([1], self.values("failfast_state"))

    def test_broken(self) -> None:
        """One that raises is named, and costs its own rows alone."""
        self.metrics.watch(lambda: [("in_flight", (), 2)])
        self.metrics.watch(lambda: [("in_flight", (), 1 // 0)])
        self.metrics.watch(lambda: [("unheard_of", (), 1)])
        self.assertEqual([2], self.values("in_flight"))
        self.assertEqual(["lproxy", "lproxy"], [name for name, _ in self.failures])
