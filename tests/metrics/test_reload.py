# -*- test-case-name: tests.metrics.test_reload -*-
"""
L{lproxy.metrics.reload}: the families of reloads.
"""

from __future__ import annotations

from lproxy.metrics.reload import APPLIED, FAILED, INVALID, OUTCOMES, UNCHANGED
from tests.metrics.case import MetricsCase


class ReloadsTests(MetricsCase):
    """One series for each outcome, from the beginning."""

    def last(self) -> list[float]:
        return self.values("config_last_reload_success")

    def test_outcomes(self) -> None:
        """Each is counted by itself; a rate of those that did not happen yet is zero, and not missing."""
        self.assertEqual([0.0] * 4, [self.values("config_reload_total", outcome=word)[0] for word in OUTCOMES])
        for word in (APPLIED, INVALID, INVALID):
            self.metrics.reloads.done(word)
        self.assertEqual([2], self.values("config_reload_total", outcome=INVALID))
        self.assertEqual([1], self.values("config_reload_total", outcome=APPLIED))

    def test_last(self) -> None:
        """An alert needs to know of the latest alone."""
        self.assertEqual([1], self.last())
        for word, success in ((INVALID, 0), (UNCHANGED, 1), (FAILED, 0), (APPLIED, 1)):
            self.metrics.reloads.done(word)
            self.assertEqual([success], self.last(), word)

    def test_inherited(self) -> None:
        """A worker that follows another does not take back what that had to say of the latest."""
        self.metrics.reloads.inherit(False)
        self.assertEqual(([0], 0.0), (self.last(), self.values("config_reload_total", outcome=INVALID)[0]))
        self.metrics.reloads.inherit(True)
        self.assertEqual([1], self.last())

    def test_since(self) -> None:
        """Since when it is live."""
        self.metrics.reloads.live_since = 1_700_000_000.5
        self.assertEqual([1_700_000_000.5], self.values("config_live_since_timestamp_seconds"))
