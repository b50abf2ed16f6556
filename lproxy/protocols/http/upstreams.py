# -*- test-case-name: tests.protocols.http.test_upstreams -*-
"""
In which version an upstream is spoken to, and what speaks it.

There are two stacks in each direction, one whose leases are connections of HTTP/1 and one whose leases are streams of
HTTP/2, and a request goes to one of them: to that of its service's C{protocol}, else to that of its own version. Here
is what stands at the bottom of each.
"""

from __future__ import annotations

from typing import Final

from lproxy.api import Endpoint, EndpointService, Health, Metadata, Runtime, Stack, Stream
from lproxy.config import Service
from lproxy.protocols.http.announce import announcing
from lproxy.protocols.http.h1.client import Http1Client
from lproxy.protocols.http.h2.pool import Http2Pool
from lproxy.protocols.http.metrics import HttpMetrics
from lproxy.protocols.http.pool import Connection, Entry, Pool
from lproxy.protocols.http.streams import HttpLease

#: the stack of HTTP/2; that of HTTP/1 has the protocol's own name
HTTP2: Final = "http2"


class Upstreams:
    """
    One listener's two stacks, which those of its direction share.

    @ivar http1: whose leases are connections
    @ivar http2: whose leases are streams
    """

    def __init__(self, runtime: Runtime, protocol: str, metrics: HttpMetrics) -> None:
        """
        @param protocol: the name that connections of either version are counted under
        """
        self._runtime = runtime
        self._protocol = protocol
        self._metrics = metrics
        self.http1: Stack[HttpLease] = runtime.acquire(protocol, self._http1)
        self.http2: Stack[HttpLease] = runtime.acquire(HTTP2, self._http2)

    def stack(self, service: Service, http2: bool) -> Stack[HttpLease]:
        """
        That of requests to C{service}.

        @param http2: whether they come in HTTP/2
        """
        if service.protocol is not None:
            http2 = service.protocol == "http2"
        elif service.proxy_protocol is not None:
            # its connections are one client's, whose first bytes say so
            http2 = False
        return self.http2 if http2 else self.http1

    def _http1(self, endpoint: Endpoint, metadata: Metadata, health: Health) -> EndpointService[HttpLease]:
        version = metadata.proxy_protocol
        connect = announcing(version, self._connect) if version else self._connect
        pool = Pool(self._runtime, endpoint, metadata, health, self._protocol, connect)
        self._metrics.opened(pool)
        return pool

    def _http2(self, endpoint: Endpoint, metadata: Metadata, health: Health) -> EndpointService[HttpLease]:
        counts = self._metrics.http2.upstreams
        pool = Http2Pool(self._runtime, endpoint, metadata, health, self._protocol, counts)
        self._metrics.opened(pool)
        return pool

    def _connect(self, stream: Stream, entry: Entry) -> Connection:
        connection = Http1Client(stream, entry, entry.pool.endpoint, self._runtime.limits)
        connection.start()
        return connection
