# -*- test-case-name: tests.admin.test_interface -*-
"""
What the proxy tells of itself, as far as the admin server shows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from lproxy.admin.tapping import Watched


class Standing(Protocol):
    """How a service does."""

    @property
    def target(self) -> str:
        """Its name."""

    @property
    def serves(self) -> bool:
        """Whether it does."""

    @property
    def ailing(self) -> int:
        """Endpoints that are passed over."""

    @property
    def busy(self) -> int:
        """Leases that are out, or waited for."""

    @property
    def row(self) -> Callable[[], dict[str, Any] | None]:
        """Everything there is to show; C{None} where that cannot be told."""


class Proxy(Protocol):
    """The proxy, as far as the page shows it."""

    version: str

    @property
    def taps(self) -> Watched:
        """Where readers are told what is over."""

    def ready(self) -> str | None:
        """Why it is not ready, if it is not."""

    def describe_config(self) -> dict[str, Any]:
        """The configuration in effect."""

    def glance(self) -> dict[str, Any]:
        """Of that, which one it is (C{live}), and the listeners (C{listen})."""

    def addresses(self) -> dict[str, tuple[str, int]]:
        """Where each listener accepts, by name."""

    def services(self, wanted: str = "", /) -> Iterable[dict[str, Any]]:
        """Services, used or configured, that have C{wanted} in their names."""

    def standings(self, wanted: str, /) -> Sequence[Standing]:
        """Those that are used, in short."""

    def unused(self, wanted: str, /) -> Iterable[dict[str, Any]]:
        """The others."""

    def connections(self, limit: int = ..., /) -> list[dict[str, Any]]:
        """Accepted connections, the oldest first."""

    def spoken(self) -> Counter[tuple[str, str]]:
        """How many of them there are, by listener and protocol."""

    def workers(self) -> list[dict[str, Any]]:
        """Processes that serve, where there are several."""

    def draining(self) -> list[dict[str, Any]]:
        """Processes whose place this one has taken, and that still have something to finish."""

    def failures(self) -> list[dict[str, Any]]:
        """What went wrong lately, the latest first."""
