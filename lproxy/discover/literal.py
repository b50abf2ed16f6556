# -*- test-case-name: tests.discover.test_literal -*-
"""
Targets that need no look-up: IP addresses, C{localhost}, C{.invalid}.

Above DNS, which must not be queried for them (RFC 6761). Below static discovery: configuration takes precedence.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from lproxy.errors import ProxyError
from lproxy.stack.interfaces import NOTHING, Discover, Watch, Watcher
from lproxy.target import Authority, Endpoint, Metadata, OriginalDst, ServiceName, Target

#: what C{localhost} means (RFC 6761, 6.3). Where only one of them is listened on, the other is passed over as any
#: endpoint that refuses
LOCALHOST = ("::1", "127.0.0.1")


class NoRoute(ProxyError):
    """There is no such target, by an authoritative answer."""

    layer = "resolve"
    reason = "no_route"
    flag = "NR"
    status = 404

    def what(self) -> str:
        """Where it would have to be defined."""
        return "is not in [services]" if isinstance(self.target, ServiceName) else "does not exist"


class Known:
    """A L{Watch} of an answer that never changes, given at once."""

    __slots__ = ()

    def __init__(
        self, watcher: Watcher, endpoints: Iterable[Endpoint], about: Mapping[Endpoint, Metadata] = NOTHING
    ) -> None:
        watcher.endpoints(endpoints, about)

    def close(self) -> None:
        """Nothing to free."""

    def refresh(self) -> None:
        """The answer never changes."""


class Refused:
    """A L{Watch} of a target that can never be resolved."""

    __slots__ = ("_cause", "_target", "_watcher")

    def __init__(self, watcher: Watcher, target: Target, cause: Exception | None = None) -> None:
        self._watcher: Watcher | None = watcher
        self._target = target
        self._cause = cause
        self.refresh()

    def close(self) -> None:
        """Tell the watcher nothing more."""
        self._watcher = None

    def refresh(self) -> None:
        """Fail again: the answer never changes."""
        if self._watcher is None:
            return
        # a new one each time: a traceback grows with every raise
        error = NoRoute(self._target)
        error.__cause__ = self._cause
        self._watcher.unresolved(error)


@dataclass(frozen=True, slots=True)
class Literal:
    """A L{Discover} of targets that need no look-up; C{otherwise} finds the rest."""

    otherwise: Discover

    def watch(self, target: Target, watcher: Watcher) -> Watch:
        """Tell C{watcher} within this call, or let C{otherwise} do so."""
        match target:
            case Endpoint():
                return Known(watcher, (target,))
            case OriginalDst(host=host, port=port):
                return Known(watcher, (Endpoint(host, port),))
            case Authority(host=host, port=port):
                if addresses := literal(host):
                    return Known(watcher, [Endpoint(address, port) for address in addresses])
                if within(host, "invalid"):
                    return Refused(watcher, target)
        return self.otherwise.watch(target, watcher)


# a configuration's are asked for whenever it is read, tried and taken: thousands of them, and mostly the same
@lru_cache(16_384)
def literal(host: str) -> tuple[str, ...]:
    """The addresses that C{host} spells or stands for; none where it is any other name."""
    if within(host, "localhost"):
        return LOCALHOST
    try:
        return (str(ipaddress.ip_address(host)),)
    except ValueError:
        return ()


def within(host: str, domain: str) -> bool:
    """Is C{host} C{domain}, or a name below it?"""
    name = host.lower().removesuffix(".")
    return name == domain or name.endswith("." + domain)
