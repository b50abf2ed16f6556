# -*- test-case-name: tests.stack.test_report -*-
"""
What stacks have to show: numbers for a scrape, and rows for people.

A report is handed down through the layers. Each adds what it has, and hands it on to what it knows below: as a part of
its own, where there are several.
"""

from __future__ import annotations

from typing import Any

#: of a number: its name, and what it is about, such as a target; C{None} where it is summed over all
Key = tuple[str, object]


class Report:
    """
    One look at a stack, or at a part of it.

    @ivar counts: numbers, summed over everything that reports; shared by all parts
    @ivar rows: whether people are to see it. Where only the numbers are wanted, which is often, there are neither rows
        nor parts: they cost far more
    @ivar about: what this part is about
    @ivar probing: whether a probe acquires, and nobody else does: it is not shown as in flight
    """

    def __init__(self, rows: bool = False) -> None:
        self.rows = rows
        self.about: object = None
        self.probing = False
        self.counts: dict[Key, int] = {}
        self._values: dict[str, Any] = {}
        self._parts: dict[str, list[Report]] = {}

    def count(self, name: str, n: int, of: object = None) -> None:
        """Add C{n} to a number."""
        key = (name, of)
        self.counts[key] = self.counts.get(key, 0) + n

    def total(self, name: str) -> int:
        """What was counted under C{name}, for nothing in particular."""
        return self.counts.get((name, None), 0)

    def show(self, **values: Any) -> None:
        """Add to the row, as JSON values. Where they are costly to come by, ask first whether there are C{rows}."""
        self._values.update(values)

    def part(self, kind: str, name: str, about: object) -> Report:
        """
        A report on one of several things below. C{part("endpoints", "address", endpoint)} is a row that begins with its
        address, among the endpoints of this row; or this report itself where there are no rows.
        """
        if not self.rows:
            return self
        part = Report(True)
        part.about = about
        part.counts = self.counts
        part.show(**{name: str(about)})
        self._parts.setdefault(kind, []).append(part)
        return part

    def parts(self, kind: str) -> list[Report]:
        """Those that there are by now."""
        return self._parts.get(kind, [])

    def row(self) -> dict[str, Any]:
        """What was shown, with the rows of all parts by their kind."""
        return {**self._values, **{kind: [part.row() for part in parts] for kind, parts in self._parts.items()}}
