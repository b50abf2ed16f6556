# -*- test-case-name: tests.protocols.http.test_upstreams -*-
"""
In which version an upstream is spoken to, and what speaks it.

There are two stacks in each direction, and each request goes to one of them: that of HTTP/1.1, whose leases are
connections, or that of HTTP/2, whose leases are streams. A service's C{protocol} decides; else what is agreed upon with
it where it has TLS, which stands at the bottom of the second (L{lproxy.protocols.http.agreed}); else the version in
which the request came, where that says anything about the upstream (L{native}).
"""

from __future__ import annotations

from functools import partial
from typing import Final

from lproxy.api import Endpoint, EndpointService, Health, Metadata, Runtime, Secured, Stack, Stream
from lproxy.config import Http2Engine, Service
from lproxy.protocols.http.agreed import ALPN_HTTP1, ALPN_HTTP2, Agreed, Bottom
from lproxy.protocols.http.announce import announcing
from lproxy.protocols.http.h1.client import Http1Client
from lproxy.protocols.http.h2.pool import Http2Pool
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.metrics import HttpMetrics
from lproxy.protocols.http.pool import Connection, Dial, Entry, Pool
from lproxy.protocols.http.streams import HttpLease

#: the stacks of HTTP/2, as listeners share one only where they agree on what reads its frames; that of HTTP/1 has the
#: protocol's own name
STREAMS: Final[dict[Http2Engine, str]] = {"lane": "http/2", "reference": "http/2/reference"}


def single(request: Request) -> bool:
    """
    Whether C{request} wants a connection for itself, as HTTP/1.1 has it: to become a WebSocket, which servers offer on
    HTTP/2 by exception alone, or to authenticate it.
    """
    return request.upgrade or bool(request.protocol) or request.private


def native(request: Request, tls: Secured | None) -> bool:
    """
    Whether C{request} is of HTTP/2 and nothing else, so that its upstream is taken to speak that, too: a call of gRPC,
    which there is nowhere else, or from a client that came by HTTP/2 unasked. One that was offered both in its
    handshake takes HTTP/2 whatever there is behind.

    @param tls: what its client came by
    """
    if request.original:
        return request.original == 2
    return request.stream_id != 0 and (request.grpc or tls is None or tls.alpn != ALPN_HTTP2)


class Upstreams:
    """
    One listener's two stacks, which those of its direction share.

    @ivar http1: whose leases are connections
    @ivar http2: whose leases are streams, or what was agreed upon instead
    """

    def __init__(self, runtime: Runtime, protocol: str, metrics: HttpMetrics) -> None:
        """
        @param protocol: the name that connections of either version are counted under
        """
        self._runtime = runtime
        self._protocol = protocol
        self._metrics = metrics
        self.http1: Stack[HttpLease] = runtime.acquire(protocol, self._http1)
        self.http2: Stack[HttpLease] = runtime.acquire(STREAMS[runtime.listen.http2_engine], self._http2)

    def stack(self, service: Service, request: Request, tls: Secured | None = None) -> Stack[HttpLease]:
        """That of C{request}, which goes to C{service}, from a client that came by C{tls}."""
        if service.protocol is not None:
            http2 = service.protocol == "http2"
        elif service.proxy_protocol is not None:
            # its connections are one client's, whose first bytes say so
            http2 = False
        elif service.tls or service.identity:
            http2 = not single(request)
        else:
            http2 = native(request, tls)
        return self.http2 if http2 else self.http1

    def _http1(self, endpoint: Endpoint, metadata: Metadata, health: Health) -> EndpointService[HttpLease]:
        return self._pool(endpoint, metadata, health, self._dial(endpoint, metadata, ALPN_HTTP1))

    def _http2(self, endpoint: Endpoint, metadata: Metadata, health: Health) -> EndpointService[HttpLease]:
        if metadata.secure is None or metadata.protocol:
            return self._streams(endpoint, metadata, health, self._dial(endpoint, metadata, ALPN_HTTP2))
        dial = self._dial(endpoint, metadata, ALPN_HTTP2, ALPN_HTTP1)
        return Agreed(dial, partial(self._either, endpoint, metadata, health))

    def _dial(self, endpoint: Endpoint, metadata: Metadata, *alpn: str) -> Dial:
        return partial(self._runtime.connector.connect, endpoint, metadata.offering(*alpn))

    def _either(self, endpoint: Endpoint, metadata: Metadata, health: Health, http2: bool, dial: Dial) -> Bottom:
        make = self._streams if http2 else self._pool
        return make(endpoint, metadata, health, dial)

    def _pool(self, endpoint: Endpoint, metadata: Metadata, health: Health, dial: Dial) -> Pool:
        version = metadata.proxy_protocol
        connect = announcing(version, self._connect) if version else self._connect
        pool = Pool(self._runtime, endpoint, dial, health, self._protocol, connect)
        self._metrics.opened(pool)
        return pool

    def _streams(self, endpoint: Endpoint, metadata: Metadata, health: Health, dial: Dial) -> Http2Pool:
        counts = self._metrics.http2.upstreams
        meshed = metadata.secure is not None and metadata.secure.identity
        pool = Http2Pool(self._runtime, endpoint, dial, health, self._protocol, counts, meshed)
        self._metrics.opened(pool)
        return pool

    def _connect(self, stream: Stream, entry: Entry) -> Connection:
        connection = Http1Client(stream, entry, entry.pool.endpoint, self._runtime.limits)
        connection.start()
        return connection
