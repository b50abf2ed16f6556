# -*- test-case-name: tests.metrics.test_reload -*-
"""
The families of reloads: how often the configuration was read anew, and what came of that.
"""

from __future__ import annotations

from collections.abc import Iterator

from lproxy.metrics.family import Family

#: the new configuration serves; it is the one that does already; it is wrong; it cannot be started
APPLIED, UNCHANGED, INVALID, FAILED = OUTCOMES = ("applied", "unchanged", "invalid", "failed")


class Reloads:
    """
    One for all.

    @ivar live_since: seconds of the epoch, since when the present configuration serves; 0 before the first does
    """

    def __init__(self) -> None:
        self._counts = dict.fromkeys(OUTCOMES, 0)
        self._last = True
        self.live_since = 0.0

    def done(self, outcome: str) -> None:
        """Count one, with one of L{OUTCOMES}."""
        self._counts[outcome] += 1
        self._last = outcome in (APPLIED, UNCHANGED)

    def inherit(self, well: bool) -> None:
        """The latest one, before there was this process, went well or not: an alert outlasts a worker."""
        self._last = well

    def families(self) -> Iterator[Family]:
        """As of now."""
        yield Family(
            "config_reload_total",
            "counter",
            "Times that the configuration was read anew, by what came of it.",
            [((("outcome", outcome),), n) for outcome, n in self._counts.items()],
        )
        yield Family(
            "config_last_reload_success",
            "gauge",
            "0 where the latest reload was refused, and what was live before still is; 1 otherwise.",
            [((), int(self._last))],
        )
        yield Family(
            "config_live_since_timestamp_seconds",
            "gauge",
            "When the configuration in effect began to serve, in seconds of the epoch.",
            [((), self.live_since)],
        )
