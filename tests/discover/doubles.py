# -*- test-case-name: tests.discover -*-
"""
Doubles for the tests of discovery.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.names import dns
from twisted.names.error import DNSNameError, DNSServerError, DomainError
from twisted.python.failure import Failure

from lproxy.stack.interfaces import NOTHING, Watch, Watcher
from lproxy.target import Endpoint, Metadata, Target


class Told:
    """
    A L{Watcher} that remembers.

    @ivar about: what was told of endpoints besides, last
    @ivar events: a sorted list of addresses for each C{endpoints}, the error for each C{unresolved}
    """

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.about: dict[Endpoint, Metadata] = {}

    def endpoints(self, endpoints: Iterable[Endpoint], about: Mapping[Endpoint, Metadata] = NOTHING) -> None:
        self.about = dict(about)
        self.events.append(sorted(str(endpoint) for endpoint in endpoints))

    def unresolved(self, error: Exception) -> None:
        self.events.append(error)

    def take(self) -> list[Any]:
        """What came since the last time."""
        events, self.events = self.events, []
        return events


class Elsewhere:
    """A L{Discover} that remembers who was asked for."""

    def __init__(self) -> None:
        self.watched: list[Target] = []

    def watch(self, target: Target, watcher: Watcher) -> Watch:
        self.watched.append(target)
        return self

    def close(self) -> None:
        pass

    def refresh(self) -> None:
        pass


def a(name: str, *addresses: str, ttl: int = 60) -> list[dns.RRHeader]:
    return [dns.RRHeader(name, dns.A, ttl=ttl, payload=dns.Record_A(address, ttl)) for address in addresses]


def aaaa(name: str, *addresses: str, ttl: int = 60) -> list[dns.RRHeader]:
    return [dns.RRHeader(name, dns.AAAA, ttl=ttl, payload=dns.Record_AAAA(address, ttl)) for address in addresses]


def cname(name: str, other: str | bytes, ttl: int = 60) -> list[dns.RRHeader]:
    return [dns.RRHeader(name, dns.CNAME, ttl=ttl, payload=dns.Record_CNAME(other, ttl))]


NXDOMAIN = DNSNameError("NXDOMAIN")
NODATA: list[dns.RRHeader] = []
SERVFAIL = DNSServerError("SERVFAIL")
DOMAIN_ERROR = DomainError("nothing")


class ScriptedResolver:
    """
    An C{IResolver} whose answers come when the test says.

    @ivar asked: every query so far, as C{("A", name)}
    @ivar waiting: those without an answer yet
    @ivar at_once: answers given without waiting, by query
    @ivar cancelled: queries whose Deferreds were cancelled
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.waiting: dict[tuple[str, str], Deferred[Any]] = {}
        self.at_once: dict[tuple[str, str], Any] = {}
        self.cancelled: list[tuple[str, str]] = []

    def lookupAddress(self, name: str, timeout: Any = None) -> Deferred[Any]:
        return self._query("A", name)

    def lookupIPV6Address(self, name: str, timeout: Any = None) -> Deferred[Any]:
        return self._query("AAAA", name)

    def _query(self, kind: str, name: str) -> Deferred[Any]:
        key = (kind, name)
        if key in self.waiting:
            raise AssertionError(f"{key} is asked for twice at once")
        self.asked.append(key)
        self.waiting[key] = Deferred(lambda d: self._cancel(key))
        d = self.waiting[key]
        if key in self.at_once:
            self.answer(kind, name, self.at_once[key])
        return d

    def _cancel(self, key: tuple[str, str]) -> None:
        self.cancelled.append(key)
        del self.waiting[key]

    def answer(self, kind: str, name: str, what: Any) -> None:
        """Answer the query for C{name} with records or an exception."""
        d = self.waiting.pop((kind, name))
        if isinstance(what, Exception):
            d.errback(Failure(what))
        else:
            d.callback((what, [], []))

    def both(self, name: str, v4: Any, v6: Any = NODATA) -> None:
        """Answer both families."""
        self.answer("A", name, v4)
        self.answer("AAAA", name, v6)

    def take(self) -> list[tuple[str, str]]:
        """What was asked since the last time."""
        asked, self.asked = self.asked, []
        return asked
