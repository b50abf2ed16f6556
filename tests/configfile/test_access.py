# -*- test-case-name: tests.configfile.test_access -*-
"""
L{lproxy.configfile.access}: formats of the access log.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import AccessLog
from lproxy.configfile.access import check_access_log
from lproxy.configfile.problem import Report


class FormatTests(SynchronousTestCase):
    """They are looked at when the file is."""

    def says(self, **settings: str) -> list[str]:
        """What is wrong with it."""
        report = Report("f")
        check_access_log(AccessLog(path="a.log", **settings), report)
        return [str(problem) for problem in report.problems]

    def test_good(self) -> None:
        """Presets and texts of known fields."""
        for format in ("json", "combined", "envoy", "{client} {seconds:ms}"):
            self.assertEqual([], self.says(format=format))
        self.assertEqual([], self.says(connections="{client} {protocol}"))

    def test_no_format(self) -> None:
        """A word that is none, with the nearest."""
        self.assertEqual(
            ['f: access_log.format: "combinde" is no format; did you mean "combined"?'], self.says(format="combinde")
        )
        (wrong,) = self.says(format="$remote_addr")
        self.assertIn('write json, combined, envoy or a text with fields, such as "{client} {seconds}"', wrong)
        (wrong,) = self.says(connections="json")
        self.assertIn("access_log.connections", wrong)

    def test_no_field(self) -> None:
        """A field that there is not, with the nearest, or with all of them."""
        self.assertEqual(
            ["f: access_log.format: there is no field 'user-agent'; did you mean \"user_agent\"?"],
            self.says(format="{user-agent}"),
        )
        (wrong,) = self.says(connections="{zzz}")
        self.assertIn("fields are time, start_time, ", wrong)
        self.assertTrue(wrong.endswith("client_id, node"), wrong)
        (wrong,) = self.says(format="{status")
        self.assertIn("a single {; write {{ for itself", wrong)

    def test_unused(self) -> None:
        """A format for connections, where nothing is logged."""
        report = Report("f")
        check_access_log(AccessLog(connections="{client}"), report)
        self.assertEqual(["warning"], [problem.severity for problem in report.problems])
