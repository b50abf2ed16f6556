# -*- test-case-name: tests.stack.test_observer -*-
"""
Who counts and logs how endpoints do: what layers see, and do not do themselves.
"""

from __future__ import annotations

from typing import Protocol

from lproxy.errors import ProxyError
from lproxy.metrics.counters import EndpointCounter
from lproxy.target import Endpoint, Target


class EndpointObserver(Protocol):
    """Is told."""

    def counter(self, target: Target, endpoint: Endpoint, /) -> EndpointCounter:
        """Where what C{endpoint} does as one of C{target}'s is counted."""

    def down(self, target: Target, endpoint: Endpoint, error: ProxyError, /) -> bool:
        """
        It has failed with C{error}, and was not said to be down yet.

        @return: whether that is said now; otherwise it is told again with the next failure
        """

    def up(self, target: Target, endpoint: Endpoint, seconds: float, /) -> None:
        """It is back, after it was said to be down C{seconds} ago."""


class Unobserved:
    """An L{EndpointObserver} who is not interested."""

    def counter(self, target: Target, endpoint: Endpoint, /) -> EndpointCounter:
        """Of its own."""
        return EndpointCounter()

    def down(self, target: Target, endpoint: Endpoint, error: ProxyError, /) -> bool:
        """Never said."""
        return False

    def up(self, target: Target, endpoint: Endpoint, seconds: float, /) -> None:
        """Never said."""
