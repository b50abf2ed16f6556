# -*- test-case-name: tests.profiles.test_quantity -*-
"""
Durations and quantities.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.configfile.problem import Wrong
from lproxy.profiles.quantity import MAX_WEIGHT, gateway_duration, go_duration, quantity, weights


class QuantityTests(SynchronousTestCase):
    def refused(self, read: Callable[[str], Any], *texts: str, says: str) -> None:
        for text in texts:
            self.assertIn(says, self.assertRaises(Wrong, read, text).wrong, text)

    def test_go(self) -> None:
        """Go's durations: several parts, fractions, all units."""
        for text, seconds in (
            *(("300ms", 0.3), ("10s", 10.0), ("1m30s", 90.0), ("1.5h", 5400.0), (".5s", 0.5), ("+1s", 1.0)),
            *(("1h1m1s1ms", 3661.001), ("100us", 0.0001), ("100µs", 0.0001)),
        ):
            self.assertAlmostEqual(seconds, go_duration(text), 9, text)
        self.assertEqual(0.3, go_duration("300ms"))
        self.refused(go_duration, "", "10", "s", "10 s", "10S", "1d", "-1s", "1s-", "1_0s", "١s", says="is no duration")
        self.refused(go_duration, "0s", "0h0m", "0.0s", says="is not more than zero")
        self.refused(go_duration, "9000h", "1" * 30 + "s", says="more than a year")

    def test_gateway(self) -> None:
        """Those of the Gateway API are whole numbers, and zero turns a timeout off."""
        self.assertEqual(5400.5, gateway_duration("1h30m500ms"))
        for text in ("0s", "0h0m0s"):
            self.assertIsNone(gateway_duration(text))
        self.refused(gateway_duration, "1.5s", "", "1", "+1s", "1us", "123456s", "1h1m1s1ms1s", says="is no duration")

    def test_quantity(self) -> None:
        """Kubernetes' quantities: thousandths, thousands, powers of two, exponents."""
        for text, value in (
            *(("1", "1"), ("500m", "0.5"), ("2k", "2000"), ("1Ki", "1024"), ("0.5", "0.5"), ("1e3", "1000")),
            *(("0", "0"), ("-0", "0"), (".5", "0.5"), ("1.", "1")),
        ):
            self.assertEqual(Decimal(value), quantity(text), text)
        self.refused(quantity, "", "m", "1x", "1 m", "0x1", "1e999", "NaN", "1K", says="is no quantity")
        self.refused(quantity, "-1", "-500m", says="is negative")

    def test_weights(self) -> None:
        """The same as small whole numbers, none of which is lost."""
        for given, wanted in (
            (["900m", "100m"], [9, 1]),
            (["1", "500m"], [2, 1]),
            (["0", "1"], [0, 1]),
            (["0", "0"], [0, 0]),
            (["99", "1"], [99, 1]),
            (["1e18", "1"], [MAX_WEIGHT - 1, 1]),
            (["1n", "3n"], [1, 3]),
            ([], []),
        ):
            self.assertEqual(wanted, weights([quantity(one) for one in given]), given)
