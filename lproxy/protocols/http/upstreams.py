# -*- test-case-name: tests.protocols.http.test_upstreams -*-
"""
In which version an upstream is spoken to, and what speaks it.

There are two stacks in each direction, and each request goes to one of them: that of HTTP/1.1, whose leases are
connections, or that of HTTP/2, whose leases are streams. A service's C{protocol} decides; else what is agreed upon with
it where it has TLS, which stands at the bottom of the second (L{lproxy.protocols.http.agreed}); else the version in
which the request came, where that says anything about the upstream (L{native}).
"""

from __future__ import annotations

from typing import Final

from lproxy.api import Runtime, Secured, Stack
from lproxy.config import Http2Engine, Service
from lproxy.protocols.http.agreed import ALPN_HTTP2
from lproxy.protocols.http.endpoint_services import Bottoms
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.streams import HttpLease
from lproxy.target import Target

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

    def __init__(self, runtime: Runtime, protocol: str) -> None:
        """
        @param protocol: the name that connections of either version are counted under
        """
        engine = runtime.listen.http2_engine
        bottoms = Bottoms(runtime.outward, protocol, engine)
        self.http1: Stack[HttpLease] = runtime.acquire(protocol, bottoms.http1)
        self.http2: Stack[HttpLease] = runtime.acquire(STREAMS[engine], bottoms.http2)

    def keep(self, target: Target, service: Service) -> None:
        """Have the endpoints of C{target}, which C{service} is, checked from now on, as requests are sent there."""
        request = Request(b"GET", b"/", [], 0, b"", False)
        if service.health is not None and service.health.kind == "grpc":
            request.grpc, request.stream_id = True, 1
        self.stack(service, request).keep(target)

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
