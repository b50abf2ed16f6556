# -*- test-case-name: tests.sidecar.test_dialect -*-
"""
Tests for L{lproxy.sidecar.dialect}.
"""

from __future__ import annotations

import yaml
from twisted.trial.unittest import SynchronousTestCase

from lproxy.sidecar.dialect import Dumper, IndentedDumper, Loader, Reader, dump


class ReadTests(SynchronousTestCase):
    """Both readers read the same."""

    def test_equals_sign(self) -> None:
        """A bare C{=} is what it looks like."""
        for loader in (Loader, Reader):
            self.assertEqual({"a": ["=", "=="]}, yaml.load("a: [=, ==]", loader))


class WriteTests(SynchronousTestCase):
    """What is written is read as it was meant, by whoever reads it."""

    def test_numbers(self) -> None:
        """Strings that YAML 1.1 or 1.2 takes for numbers, or for something else, are in quotes; others are not."""
        for text in ("1", "1e3", "-1E+5", ".5", "1.", "0o17", "017", "1_000", "yes", "null", "~", "=", "2001-01-01"):
            self.assertEqual(f"'{text}'", dump(text, Dumper))
        for text in ("1e", "e3", "0o9x", "10m", "1.2.3", "a"):
            self.assertEqual(text, dump(text, Dumper))
        self.assertEqual(["1", "1.5"], [dump(value, Dumper) for value in (1, 1.5)])

    def test_lists(self) -> None:
        """Lists are indented or not, and what is said twice is written twice."""
        same = ["x"]
        self.assertEqual("a:\n- x\nb:\n- x", dump({"a": same, "b": same}, Dumper))
        self.assertEqual("a:\n  - x\nb:\n  - x", dump({"a": same, "b": same}, IndentedDumper))
