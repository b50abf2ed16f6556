# -*- test-case-name: tests.metrics.test_caps -*-
"""
No unbounded label: how many distinct values one may have.
"""

from __future__ import annotations

#: the value beyond a cap
OTHER = "other"
#: characters of a value that a client chose; a DNS name with its port is shorter
LONGEST = 261


class Cap:
    """
    Bounds a label: C{most} distinct values, none longer than L{LONGEST}; further ones are L{OTHER}.

    @ivar values: those that have a place
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.values: set[str] = set()

    def __call__(self, value: str) -> str:
        """C{value}, cut to its length, or C{other}."""
        value = value[:LONGEST]
        if value in self.values or value == OTHER:
            return value
        if len(self.values) >= self.most:
            return OTHER
        self.values.add(value)
        return value
