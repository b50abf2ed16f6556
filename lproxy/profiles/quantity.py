# -*- test-case-name: tests.profiles.test_quantity -*-
"""
Durations and quantities as Kubernetes, Go and Linkerd write them: C{1m30s}, C{500m}, C{2k}.
"""

from __future__ import annotations

import re
from decimal import Decimal
from math import gcd
from typing import Final

from lproxy.configfile.problem import Wrong, show

#: of Go's time.ParseDuration, in seconds
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_GO: Final = re.compile(rf"\+?(?:{_PART.pattern})+")
#: of GEP-2257: no fractions, and no more than four parts
_GATEWAY: Final = re.compile(r"(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}")

#: of a quantity, as a power of ten or of two
_SUFFIXES: Final = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{suffix: Decimal(10) ** (3 * n) for n, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Decimal(1024) ** n for n, suffix in enumerate("KMGTPE", 1)},
}
_QUANTITY: Final = re.compile(
    r"([+-]?)([0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,2}))?"
)

#: beyond all durations that anybody means, in seconds: a year
_LONGEST: Final = 366 * 24 * 3600.0
#: weights of one split are brought below this sum
MAX_WEIGHT: Final = 1_000_000


def go_duration(text: str) -> float:
    """
    Seconds, from C{text} as Go has durations.

    @raise Wrong: it is none, or not more than zero
    """
    if not _GO.fullmatch(text):
        raise Wrong(f"{show(text)} is no duration", "write one such as 300ms, 10s or 1m30s")
    return _some(text)


def gateway_duration(text: str) -> float | None:
    """
    Seconds, from C{text} as the Gateway API has durations (GEP-2257); C{None}: zero, which turns a timeout off.

    @raise Wrong: it is none
    """
    if not _GATEWAY.fullmatch(text):
        raise Wrong(f"{show(text)} is no duration", "write one such as 300ms, 10s or 1m30s: whole numbers with units")
    return _some(text) if text.strip("0hms") else None


def _some(text: str) -> float:
    seconds = 0.0
    for number, unit in _PART.findall(text):
        # a division, not a product, where that is exact: 300/1000 is 0.3
        seconds += float(number) / 1000 if unit == "ms" else float(number) * _UNITS[unit]
    if seconds <= 0:
        raise Wrong(f"{show(text)} is not more than zero", "leave it out")
    if seconds > _LONGEST:
        raise Wrong(f"{show(text)} is more than a year")
    return seconds


def quantity(text: str) -> Decimal:
    """
    A number, from C{text} as Kubernetes has quantities: C{500m} is a half.

    @raise Wrong: it is none, or negative
    """
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise Wrong(f"{show(text)} is no quantity", "write a number, or thousandths such as 500m")
    sign, number, suffix, exponent = found.groups()
    value = Decimal(number) * (Decimal(10) ** int(exponent) if exponent else _SUFFIXES[suffix or ""])
    if sign == "-" and value:
        raise Wrong(f"{show(text)} is negative", "write a number such as 90, or 900m")
    return value


def weights(quantities: list[Decimal]) -> list[int]:
    """The same as the smallest whole numbers; where those would be very large, nearly the same."""
    total = sum(quantities)
    if not total:
        return [0] * len(quantities)
    thousandths = [int(one * 1000) for one in quantities]
    exact = all(one * 1000 == whole for one, whole in zip(quantities, thousandths, strict=True))
    if not exact or sum(thousandths) > MAX_WEIGHT * 1000:
        # whatever had a weight keeps one
        thousandths = [max(int(one * MAX_WEIGHT / total), 1) if one else 0 for one in quantities]
    common = gcd(*thousandths)
    return [one // common for one in thousandths]
