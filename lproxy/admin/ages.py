# -*- test-case-name: tests.admin.test_ages -*-
"""
How long something took, or has been, for people.
"""

from __future__ import annotations

DAY = 86_400


def took(seconds: float) -> str:
    """A time, as exactly as it matters."""
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def span(seconds: float) -> str:
    """A time, by its two largest units."""
    if seconds < 0:
        return f"-{span(-seconds)}"
    if seconds < 60:
        return f"{seconds:.0f} s"
    for unit, length, less, shorter in (("d", DAY, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= length:
            n, rest = divmod(int(seconds), length)
            return f"{n} {unit} {rest // shorter} {less}"
    return "0 s"
