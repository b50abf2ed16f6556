# -*- test-case-name: tests.configfile.test_units -*-
"""
Durations and sizes, as text and back.

What is written is read back as the same number, so that defaults in the docs can be copied into a file.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

from lproxy.configfile.problem import Wrong, did_you_mean, show

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "kB": 1000, "MB": 1000**2}

DURATION_EXAMPLE = 'write a duration such as "300ms", "10s", "2m" or "1h"'
SIZE_EXAMPLE = 'write a number of bytes, or a size such as "64KiB" or "1MiB"'

#: ASCII digits alone: float() and int() also take signs, exponents, underscores and foreign digits
NUMBER_UNIT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")
COUNT_UNIT = re.compile(r"([0-9]{1,18})\s*([A-Za-z]*)")


def read_duration(value: object) -> float:
    """
    Seconds, from text such as C{"300ms"}.

    @raise Wrong: not such a text, not more than zero, or beyond all numbers
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        suggestion = f'"{show(value)}s"' if 0 < value < 1e6 else '"10s"'
        raise Wrong(f"{show(value)} has no unit", f"write {suggestion}")
    if not isinstance(value, str):
        raise Wrong(f"must be a duration, not {type_name(value)}", DURATION_EXAMPLE)
    match = NUMBER_UNIT.fullmatch(value)
    if match is None:
        raise Wrong(f"{show(value)} is no duration", DURATION_EXAMPLE)
    number, unit = match.groups()
    if not unit:
        raise Wrong(f"{show(value)} has no unit", f'write "{number[:20]}s"')
    if unit not in SECONDS:
        raise Wrong(f"{show(value)} has an unknown unit", "units are ms, s, m and h")
    # a division, not a product, for ms: 300/1000 is 0.3 and 300*0.001 is not
    seconds = float(number) / 1000 if unit == "ms" else float(number) * SECONDS[unit]
    if not math.isfinite(seconds):
        raise Wrong("is not finite", DURATION_EXAMPLE)
    if seconds <= 0:
        raise Wrong(f"{show(value)} is not more than zero", DURATION_EXAMPLE)
    return seconds


def write_duration(seconds: float) -> str:
    """C{seconds} as a file would have it, in the largest unit that needs no fraction."""
    for unit in ("h", "m", "s", "ms"):
        number = round(seconds * 1000) if unit == "ms" else int(seconds / SECONDS[unit])
        if number and read_duration(text := f"{number}{unit}") == seconds:
            return text
    return f"{Decimal(repr(seconds)):f}s"


def read_size(value: object) -> int:
    """
    Bytes, from a whole number of them or text such as C{"64KiB"}.

    @raise Wrong: neither, or not more than zero
    """
    if not isinstance(value, str):
        return read_count(value, "size", SIZE_EXAMPLE)
    match = COUNT_UNIT.fullmatch(value)
    if match is None:
        raise Wrong(f"{show(value)} is no size", SIZE_EXAMPLE)
    number, unit = match.groups()
    if unit in ("KB", "K", "k", "M", "G"):
        binary, decimal = unit[0].upper() + "iB", {"K": "kB", "M": "MB"}.get(unit[0].upper())
        others = f' or "{number}{decimal}" ({int(number) * BYTES[decimal]})' if decimal else ""
        raise Wrong(
            f"{show(value)} may mean two things", f'write "{number}{binary}" ({int(number) * BYTES[binary]}){others}'
        )
    if unit and unit not in BYTES:
        raise Wrong(f"{show(value)} has an unknown unit", did_you_mean(unit, BYTES) or f"units are {', '.join(BYTES)}")
    return read_count(int(number) * BYTES[unit or "B"], "size", SIZE_EXAMPLE)


def write_size(size: int) -> int | str:
    """C{size} as a file would have it."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % BYTES[unit] == 0:
            return f"{size // BYTES[unit]}{unit}"
    return size


def read_count(value: object, noun: str = "whole number", example: str = "write a number such as 100") -> int:
    """
    A whole number above zero.

    @raise Wrong: it is not
    """
    # bool is an int to Python, and true is no number of anything
    if not isinstance(value, int) or isinstance(value, bool):
        raise Wrong(f"must be a {noun}, not {type_name(value)}", example)
    if value <= 0:
        raise Wrong(f"{show(value)} is not more than zero", example)
    if value >= 2**63:
        raise Wrong("is beyond 64 bits", example)
    return value


def type_name(value: object) -> str:
    """What TOML calls the type of C{value}, with its article."""
    names = {bool: "a boolean", int: "an integer", float: "a float", str: "a string", list: "an array", dict: "a table"}
    return names.get(type(value), "a date or time")
