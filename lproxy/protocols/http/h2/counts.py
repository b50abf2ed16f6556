# -*- test-case-name: tests.protocols.http.h2.test_counts -*-
"""
What is counted of HTTP/2 connections beneath their requests, and the metric families that this becomes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lproxy.metrics.family import Family, Labels
from lproxy.protocols.http.h2.faults import code_name

#: who reset a stream, or said GOAWAY
PEER: Final = "peer"
US: Final = "us"


class PeerCounts:
    """
    Connections with clients, or with upstreams.

    @ivar open: connections that there are
    @ivar connections: connections that there were
    @ivar streams: requests on them
    @ivar waits: how often a stream had something to send, and no credit
    @ivar resets: streams reset, by who did it and the code's name
    @ivar goaways: likewise
    """

    __slots__ = ("connections", "goaways", "open", "resets", "streams", "waits")

    def __init__(self) -> None:
        self.open = 0
        self.connections = 0
        self.streams = 0
        self.waits = 0
        self.resets: dict[tuple[str, str], int] = {}
        self.goaways: dict[tuple[str, str], int] = {}

    def reset(self, by: str, code: int) -> None:
        """A stream was reset."""
        key = (by, code_name(code))
        self.resets[key] = self.resets.get(key, 0) + 1

    def goaway(self, by: str, code: int) -> None:
        """A connection is to end."""
        key = (by, code_name(code))
        self.goaways[key] = self.goaways.get(key, 0) + 1


def families(own: Labels, counts: PeerCounts) -> Iterator[Family]:
    """
    Of one side, as of now; where nobody has spoken HTTP/2, they are empty.

    @param own: whose they are, and which side (C{peer}): with clients (C{src}), or with upstreams (C{dst})
    """
    shown = (counts,) if counts.connections else ()
    yield Family(
        "h2_connections",
        "gauge",
        "HTTP/2 connections that are open: with clients (src) and with upstreams (dst), which listeners of one "
        "direction share.",
        [(own, counts.open) for counts in shown],
    )
    yield Family(
        "h2_connections_total",
        "counter",
        "HTTP/2 connections that were opened.",
        [(own, counts.connections) for counts in shown],
    )
    yield Family(
        "h2_streams_total",
        "counter",
        "HTTP/2 streams: requests, and tunnels.",
        [(own, counts.streams) for counts in shown],
    )
    yield Family(
        "h2_flow_control_waits_total",
        "counter",
        "How often an HTTP/2 stream had to wait for its receiver's credit.",
        [(own, counts.waits) for counts in shown],
    )
    yield Family(
        "h2_resets_total",
        "counter",
        "HTTP/2 streams reset, by error code and by who did it: the peer, or us.",
        [((*own, ("by", by), ("code", code)), n) for (by, code), n in list(counts.resets.items())],
    )
    yield Family(
        "h2_goaways_total",
        "counter",
        "HTTP/2 connections ended by GOAWAY, by error code and by who said it: the peer, or us.",
        [((*own, ("by", by), ("code", code)), n) for (by, code), n in list(counts.goaways.items())],
    )
