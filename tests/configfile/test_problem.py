# -*- test-case-name: tests.configfile.test_problem -*-
"""
The one line that a user reads of a problem.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.configfile import Problem, load
from lproxy.configfile.problem import Report


class ProblemTests(SynchronousTestCase):
    def test_shared(self) -> None:
        """Of values that are equal, the first is had again."""
        report, first = Report("f"), ("a", 1)
        self.assertIs(first, report.shared(first))
        self.assertIs(first, report.shared(("a", int("1"))))
        self.assertEqual(("a", 2), report.shared(("a", 2)))

    def test_one_line_each(self) -> None:
        """Whatever stands in a file, a problem is one printable line."""
        for text in ('"a\\nb\\u001b[2J" = 1', f'"{"a" * 5000}" = 1', f'[admin]\naddress = "\\r\\n{"x" * 5000}"'):
            said = str(load(text, "f", {}).problems[0])
            self.assertTrue(said.isprintable())
            self.assertTrue(len(said) <= 1000)

    def test_problem(self) -> None:
        """A problem says where, what is wrong, and what would be right, as far as each is known."""
        self.assertEqual("f:3: a.b: bad; good", str(Problem("error", "f", 3, "a.b", "bad", "good")))
        self.assertEqual("f: warning: bad", str(Problem("warning", "f", None, "", "bad")))
