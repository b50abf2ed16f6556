# -*- test-case-name: tests.metrics.test_profiles -*-
"""
The families of profiles' files.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.metrics.profiles import APPLIED, REFUSED, REMOVED, ProfileFiles


class ProfileFilesTests(SynchronousTestCase):
    def test_counts(self) -> None:
        """What became of files is counted, and when one was last taken into use."""
        files = ProfileFiles()
        for outcome, now in ((APPLIED, 5.0), (REFUSED, 6.0), (REFUSED, 7.0), (REMOVED, 8.0), (REFUSED, 9.0)):
            files.done(outcome, now)
        files.used, files.refused = 3, 1
        shown = {(family.name, labels): value for family in files.families() for labels, value in family.samples}
        self.assertEqual(
            {
                ("profile_reload_total", (("outcome", "applied"),)): 1,
                ("profile_reload_total", (("outcome", "refused"),)): 3,
                ("profile_reload_total", (("outcome", "removed"),)): 1,
                ("profile_files", (("state", "used"),)): 3,
                ("profile_files", (("state", "refused"),)): 1,
                ("profile_last_success_timestamp_seconds", ()): 8.0,
            },
            shown,
        )
