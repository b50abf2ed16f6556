# -*- test-case-name: tests.protocols.test_outward -*-
"""
What the endpoint services of a protocol are made with, at the bottom of its stacks.

They outlive the configuration that they were made in, with their connections, as long as nothing that they keep to has
changed: so they are given this, and not the runtime of a listener, which goes with its configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.config import Limits, Timeouts
from lproxy.metrics.caps import Cap
from lproxy.metrics.counters import TransportCounter
from lproxy.metrics.family import Family
from lproxy.metrics.series import Counted, Series
from lproxy.transport.connect import Connector
from lproxy.transport.stream import DISABLED, Secured, Stream

C = TypeVar("C", bound=Counted)
T = TypeVar("T")


class Crashed(Protocol):
    """Is told of exceptions of protocols' code."""

    def __call__(self, protocol: str, failure: Failure, where: str = "", /) -> None:
        """
        C{protocol} has raised.

        @param where: the listener and the client that it cost, where that is known
        """


class Counters(Protocol):
    """Where a plugin gets what it counts into; see L{lproxy.metrics.plugin}."""

    def transport(
        self,
        direction: str,
        peer: str,
        src_addr: str,
        dst_addr: str,
        protocol: str,
        tls: Secured | None = None,
        no_tls_reason: str = DISABLED,
        /,
    ) -> TransportCounter:
        """Connections with these labels."""

    def cap(self) -> Cap:
        """A new bound for the values of a label of one's own, as wide as C{metrics.target_cap} says."""

    def series(self, make: Callable[[], C], *capped: str) -> Series[C]:
        """
        Counters of one's own by label set: each label in C{capped} is capped, and a series goes that is idle for long.

        @param make: a new counter
        """

    def families(self, source: Callable[[], Iterable[Family]]) -> None:
        """
        Have C{source} asked, at each scrape, for families of one's own. Listeners may show samples of the same ones.

        What it raises, or gets wrong, costs its rows of that scrape and is logged with the plugin's name.
        """


@dataclass(frozen=True, slots=True)
class Outward:
    """
    The way out, as one protocol's endpoint services have it in one direction.

    @ivar direction: inbound or outbound
    @ivar timeouts: those that connections to upstreams keep to, and C{limits} likewise
    @ivar clock: the time, and timers
    @ivar connector: opens connections, as the configuration of the moment says; never to ourselves
    @ivar counters: where they count, whatever configuration comes next
    @ivar crashed: told of an exception, by the protocol's name
    """

    direction: str
    timeouts: Timeouts
    limits: Limits
    clock: IReactorTime
    connector: Connector
    counters: Counters
    crashed: Crashed
    _made: dict[object, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, make: Callable[[Outward], T]) -> T:
        """What C{make} has made of this: one for all who ask by the same C{make}, for as long as the proxy runs."""
        made: T | None = self._made.get(make)
        if made is None:
            made = self._made[make] = make(self)
        return made

    def opened(self, stream: Stream, endpoint: object, protocol: str) -> None:
        """Count a connection that was opened to C{endpoint}, and what its protocol breaks."""
        conn = stream.conn
        stream.counted(
            self.counters.transport(
                self.direction, "dst", conn.local[0], str(endpoint), protocol, conn.tls, conn.no_tls_reason
            )
        )
        stream.on_crash = partial(self.crashed, protocol)
