# -*- test-case-name: tests.protocols.test_taps -*-
"""
Whoever watches requests and connections as they end: told what the access log would say of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: a line of the access log, as values
Row = dict[str, Any]


class Taps:
    """
    Those who watch.

    @ivar on: whether anybody does: where nobody does, no row is made for them
    """

    __slots__ = ("_told", "on")

    def __init__(self) -> None:
        self.on = False
        self._told: dict[Callable[[Row], None], None] = {}

    def __repr__(self) -> str:
        return f"<Taps {len(self._told)}>"

    def __call__(self, row: Row) -> None:
        """Something is over."""
        for tell in list(self._told):
            tell(row)

    def add(self, tell: Callable[[Row], None]) -> None:
        """Have C{tell} told of all that is over from now on; it must not raise."""
        self._told[tell] = None
        self.on = True

    def remove(self, tell: Callable[[Row], None]) -> None:
        """It is told no more; harmless to be done twice."""
        self._told.pop(tell, None)
        self.on = bool(self._told)
