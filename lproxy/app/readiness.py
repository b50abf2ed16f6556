# -*- test-case-name: tests.app.test_readiness -*-
"""
Whether an assembly is ready, as far as its protocols know.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.failure import Failure

from lproxy.errors import one_line
from lproxy.protocols.outward import Crashed


class Readiness:
    """Asks protocols why they are not ready. One that raises is told of, and keeps nobody waiting."""

    def __init__(self, crashed: Crashed) -> None:
        """
        @param crashed: told of what a source raised, by its protocol's name
        """
        self._crashed = crashed
        self._sources: list[tuple[str, Callable[[], str | None]]] = []

    def add(self, protocol: str, source: Callable[[], str | None]) -> None:
        """C{source} of C{protocol} says why it is not ready, C{None} where it is."""
        self._sources.append((protocol, source))

    def clear(self) -> None:
        """Ask nobody any more."""
        self._sources.clear()

    def why_not(self) -> str | None:
        """The first reason that there is, on one line."""
        for protocol, source in self._sources:
            try:
                reason = source()
                if reason is not None:
                    return one_line(f"{protocol}: {reason}")
            except BaseException:
                self._crashed(protocol, Failure())
        return None
