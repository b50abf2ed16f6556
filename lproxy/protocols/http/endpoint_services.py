# -*- test-case-name: tests.protocols.http.test_endpoint_services -*-
"""
The endpoint services of HTTP, in either version: what stands at the bottom of its two stacks.

They outlive the listener for which they were made, and know nothing of it.
"""

from __future__ import annotations

from functools import partial

from lproxy.api import Endpoint, EndpointService, Health, Metadata, Outward, Stream
from lproxy.config import Http2Engine
from lproxy.protocols.http.agreed import ALPN_HTTP1, ALPN_HTTP2, Agreed, Bottom
from lproxy.protocols.http.announce import announcing
from lproxy.protocols.http.h1.client import Http1Client
from lproxy.protocols.http.h2.pool import Http2Pool
from lproxy.protocols.http.metrics import UpstreamMetrics
from lproxy.protocols.http.pool import Connection, Dial, Entry, Pool
from lproxy.protocols.http.streams import HttpLease


class Bottoms:
    """Makes them."""

    def __init__(self, outward: Outward, protocol: str, engine: Http2Engine) -> None:
        """
        @param protocol: the name that connections of either version are counted under
        @param engine: what reads the frames of HTTP/2
        """
        self._outward = outward
        self._protocol = protocol
        self._engine: Http2Engine = engine
        self._metrics = outward.once(UpstreamMetrics)

    def http1(self, endpoint: Endpoint, metadata: Metadata, health: Health) -> EndpointService[HttpLease]:
        """Of one endpoint, whose leases are connections."""
        return self._pool(endpoint, metadata, health, self._dial(endpoint, metadata, ALPN_HTTP1))

    def http2(self, endpoint: Endpoint, metadata: Metadata, health: Health) -> EndpointService[HttpLease]:
        """Of one endpoint, whose leases are streams, or what was agreed upon with it instead."""
        if metadata.secure is None or metadata.protocol:
            return self._streams(endpoint, metadata, health, self._dial(endpoint, metadata, ALPN_HTTP2))
        dial = self._dial(endpoint, metadata, ALPN_HTTP2, ALPN_HTTP1)
        return Agreed(dial, partial(self._either, endpoint, metadata, health))

    def _dial(self, endpoint: Endpoint, metadata: Metadata, *alpn: str) -> Dial:
        return partial(self._outward.connector.connect, endpoint, metadata.offering(*alpn))

    def _either(self, endpoint: Endpoint, metadata: Metadata, health: Health, http2: bool, dial: Dial) -> Bottom:
        make = self._streams if http2 else self._pool
        return make(endpoint, metadata, health, dial)

    def _pool(self, endpoint: Endpoint, metadata: Metadata, health: Health, dial: Dial) -> Pool:
        version = metadata.proxy_protocol
        connect = announcing(version, self._connect) if version else self._connect
        pool = Pool(self._outward, endpoint, dial, health, self._protocol, connect)
        self._metrics.opened(pool)
        return pool

    def _streams(self, endpoint: Endpoint, metadata: Metadata, health: Health, dial: Dial) -> Http2Pool:
        counts, engine = self._metrics.http2, self._engine
        meshed = metadata.secure is not None and metadata.secure.identity
        pool = Http2Pool(self._outward, endpoint, dial, health, self._protocol, counts, engine, meshed)
        self._metrics.opened(pool)
        return pool

    def _connect(self, stream: Stream, entry: Entry) -> Connection:
        connection = Http1Client(stream, entry, entry.pool.endpoint, self._outward.limits)
        connection.start()
        return connection
