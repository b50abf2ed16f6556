# -*- test-case-name: tests.protocols.http.test_check -*-
"""
Ask an endpoint whether it serves: by a GET, or by gRPC's own service for that (grpc.health.v1).

Each question has a pool of its own, for one connection: it counts neither as a request of the endpoint nor as its load,
and finds out whether one can connect, too.
"""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.defer import Deferred

from lproxy.api import Conn, Endpoint, HealthCheck, ProxyError, Stream
from lproxy.metrics.counters import EndpointCounter
from lproxy.protocols.http import grpc
from lproxy.protocols.http.message import NO_TRAILERS, Headers, Request, Response
from lproxy.protocols.http.streams import HttpLease, Responder

AGENT: Final = (b"user-agent", b"lproxy-health-check")
#: grpc.health.v1.Health, and of its HealthCheckResponse the field that is its status, with the only good value
GRPC_PATH: Final = b"/grpc.health.v1.Health/Check"
SERVING: Final = 1
STATUS_FIELD: Final = 0x08
STATUSES: Final = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
#: before each message: whether it is compressed, and its length
PREFIX: Final = 5
#: bytes of an answer to gRPC's question, which has seven
MOST: Final = 1024


class NotServing(ProxyError):
    """An endpoint has answered a health check, and not well."""

    layer = "health"
    reason = "not_serving"
    flag = "UF"
    status = 503

    def __init__(self, target: Endpoint, said: str) -> None:
        super().__init__(target)
        self.said = said

    def what(self) -> str:
        """What it said."""
        return f"answered a health check with {self.said}"


class Bottom(Protocol):
    """What gives leases on one endpoint."""

    def acquire(self) -> Deferred[HttpLease]:
        """A lease, as soon as it is connected."""

    def close(self) -> None:
        """Let go of what is idle."""


class Unheeded:
    """A L{Health<lproxy.api.Health>} of which nothing depends: that of connections which ask by themselves."""

    def __init__(self) -> None:
        self.counter = EndpointCounter()

    def failed(self, error: ProxyError, began: float | None = None, /) -> bool:
        """Whoever asked is told as well."""
        return False

    def answered_badly(self, error: ProxyError, began: float, /) -> None:
        """Likewise."""

    def answered_well(self, began: float, /) -> bool:
        """There is no need to be told."""
        return True

    def not_answered(self, began: float, /) -> None:
        """Likewise."""

    def took(self, seconds: float, now: float, /) -> None:
        """Nothing is weighed."""


class Asker(Responder):
    """
    Who waits for the answer.

    @ivar answered: fires with its status, all of its body that matters, and the fields that end it
    """

    def __init__(self, whole: bool) -> None:
        """
        @param whole: whether body and trailers matter; otherwise the head is all
        """
        self.answered: Deferred[tuple[int, bytes, Headers]] = Deferred()
        self._whole = whole
        self._status = 0
        self._body = b""

    @property
    def behalf(self) -> Conn | None:
        """Nobody's: it is the proxy itself that asks."""
        return None

    def informational(self, head: Response) -> None:
        """Not yet."""

    def respond(self, head: Response, body: bytes, end: bool, trailers: Headers) -> int:
        """The head has come."""
        self._status = head.status
        if not self._whole or (end and not body):
            self._tell(trailers or head.headers)
            return 0
        return self.data(body, end, trailers)

    def data(self, raw: bytes, end: bool, trailers: Headers) -> int:
        """More of the body."""
        self._body += raw
        if end or len(self._body) > MOST:
            self._tell(trailers)
            return 0
        return MOST

    def credit(self, n: int) -> None:
        """All was sent at once."""

    def tunnel(self, head: Response, stream: Stream, rest: bytes) -> None:
        """Nobody asked for that."""
        stream.abort()
        self._status = head.status
        self._tell(NO_TRAILERS)

    def reset(self, error: BaseException) -> None:
        """There is none."""
        if not self.answered.called:
            self.answered.errback(error)

    def _tell(self, fields: Headers) -> None:
        if not self.answered.called:
            self.answered.callback((self._status, self._body[:MOST], fields))


def ask(pool: Bottom, check: HealthCheck, endpoint: Endpoint, http2: bool) -> Deferred[None]:
    """
    Ask by a connection of C{pool}, which nobody else has.

    @param http2: whether that speaks HTTP/2, without which there is no gRPC
    """
    return Deferred.fromCoroutine(_ask(pool, check, endpoint, http2))


async def _ask(pool: Bottom, check: HealthCheck, endpoint: Endpoint, http2: bool) -> None:
    try:
        lease = await pool.acquire()
        try:
            if check.kind == "tcp" or (check.kind == "grpc" and not http2):
                return  # connected, and no more to be found out
            asker = Asker(check.kind == "grpc")
            if check.kind == "grpc":
                lease.call(*_call(check, endpoint), True, asker)
            else:
                lease.call(_get(check, endpoint), b"", True, asker)
            status, body, fields = await asker.answered
        finally:
            lease.close()
    finally:
        pool.close()
    said = _grpc(status, body, fields) if check.kind == "grpc" else "" if check.expects(status) else str(status)
    if said:
        raise NotServing(endpoint, said)


def _get(check: HealthCheck, endpoint: Endpoint) -> Request:
    host = _host(check, endpoint)
    return Request(b"GET", check.path.encode("ascii"), [(b"host", host), AGENT], 0, host, False)


def _call(check: HealthCheck, endpoint: Endpoint) -> tuple[Request, bytes]:
    name = check.service.encode()
    # HealthCheckRequest: its field 1, a string, which is left out where it is empty
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    body = b"\0" + len(message).to_bytes(4, "big") + message
    fields = [(b"content-type", b"application/grpc"), (b"te", b"trailers"), AGENT]
    request = Request(b"POST", GRPC_PATH, fields, len(body), _host(check, endpoint), False)
    # of HTTP/2, as all of gRPC is: no Host, and TE stays
    request.stream_id = 1
    request.grpc = True
    return request, body


def _host(check: HealthCheck, endpoint: Endpoint) -> bytes:
    return (check.host or str(endpoint)).encode("ascii", "replace")


def _varint(n: int) -> bytes:
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def _grpc(status: int, body: bytes, fields: Headers) -> str:
    """What is wrong with an answer to L{_call}, or nothing."""
    outcome = grpc.outcome(status, fields)
    if outcome != grpc.OK:
        return f"grpc-status {outcome}" if status == 200 else f"{status}, which is not gRPC"
    message = body[PREFIX:]
    # its only field; one that is left out is 0
    serving = message[1] if message[:1] == bytes([STATUS_FIELD]) and len(message) > 1 else 0
    return "" if serving == SERVING else STATUSES.get(serving, str(serving))
