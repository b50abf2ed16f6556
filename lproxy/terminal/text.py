# -*- test-case-name: tests.terminal.test_text -*-
"""
Text for a terminal: without what it would obey, and as wide as there is room for.
"""

from __future__ import annotations

from unicodedata import combining, east_asian_width

#: what stands where the rest was cut off
MORE = "~"


def clean(text: object) -> str:
    """C{text} without what a terminal would obey: peers have a say in names and errors."""
    return "".join(c if c.isprintable() else "?" for c in str(text))


def width(text: str) -> int:
    """How many columns C{text} takes; it is L{clean}."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, columns: int) -> str:
    """C{text}, no wider than that."""
    if width(text) <= columns:
        return text
    while text and width(text) >= columns:
        # what is left is narrower by one column at least
        text = text[: min(len(text) - 1, max(columns, 0))]
    return text + MORE if columns > 0 else ""


def fit(text: str, columns: int) -> str:
    """C{text} in so many columns, its end cut off where it is wider."""
    text = cut(text, columns)
    return text + " " * (columns - width(text))
