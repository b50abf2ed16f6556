# -*- test-case-name: tests.metrics.test_profiles -*-
"""
The families of profiles' files: how many are in use, and what became of those that changed.
"""

from __future__ import annotations

from collections.abc import Iterator

from lproxy.metrics.family import Family

#: what is in a file is in use; it is not, and what was before still is; there is no such file any more
APPLIED, REFUSED, REMOVED = OUTCOMES = ("applied", "refused", "removed")


class ProfileFiles:
    """
    One for all configurations.

    @ivar used: files that something is in use of
    @ivar refused: files that have something in them which is not used
    """

    def __init__(self) -> None:
        self._counts = dict.fromkeys(OUTCOMES, 0)
        self._latest = 0.0
        self.used = 0
        self.refused = 0

    def done(self, outcome: str, now: float) -> None:
        """
        A file was read, with one of L{OUTCOMES}.

        @param now: seconds of the epoch
        """
        self._counts[outcome] += 1
        if outcome != REFUSED:
            self._latest = now

    def families(self) -> Iterator[Family]:
        """As of now."""
        yield Family(
            "profile_reload_total",
            "counter",
            "Files of profiles that were read, first or anew, by what came of it: applied, refused (what it said "
            "before still holds) or removed.",
            [((("outcome", outcome),), n) for outcome, n in self._counts.items()],
        )
        yield Family(
            "profile_files",
            "gauge",
            "Files of profiles by state: used are those that something is in use of, refused those of which what is in "
            "them now is not; one can be both.",
            [((("state", "used"),), self.used), ((("state", "refused"),), self.refused)],
        )
        yield Family(
            "profile_last_success_timestamp_seconds",
            "gauge",
            "When what is in a file of profiles was last taken into use, in seconds of the epoch.",
            [((), self._latest)],
        )
