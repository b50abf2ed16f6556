# -*- test-case-name: tests.protocols.http.test_trace -*-
"""
The spans of an exchange whose trace is sampled: one of the whole, as its client sees it, and in it one for each time
that a service was acquired, and one for each call.

Names and attributes are those of OpenTelemetry's semantic conventions for HTTP. A query is never told: it may have
secrets in it.
"""

from __future__ import annotations

from typing import Final

from lproxy.api import Conn
from lproxy.protocols.http.account import Account
from lproxy.protocols.http.client_fields import USER_AGENT, said
from lproxy.protocols.http.context import Context, fields, without
from lproxy.protocols.http.grpc import NO_CALL, OK, http_status
from lproxy.protocols.http.guard import by_https
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.record import Ended, text
from lproxy.protocols.tracing import Kind, Parent, Span, Tracer
from lproxy.target import split_host_port

#: methods that are told as they are (HTTP semantic conventions)
_METHODS: Final = frozenset((b"CONNECT", b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT", b"TRACE"))
_OTHER: Final = "_OTHER"
#: characters of what peers say that are told: thousands of spans may wait, and heads may be long
LONGEST: Final = 1024
Values = dict[str, str | int]


class Trace:
    """
    Of one exchange.

    @ivar trace_id: 32 digits
    """

    __slots__ = (
        "_account",
        "_beside",
        "_call",
        "_debug",
        "_formats",
        "_offset",
        "_random",
        "_request",
        "_server",
        "_state",
        "_tracer",
        "trace_id",
    )

    def __init__(
        self, tracer: Tracer, request: Request, account: Account, context: Context, trace_id: bytes, formats: list[str]
    ) -> None:
        self._tracer = tracer
        self._request = request
        self._account = account
        self._formats = formats
        self._random = context.random
        self._debug = context.debug
        self._state = context.state
        # the exchange's clock is none that others have
        self._offset = tracer.now() - account.asked
        self.trace_id = trace_id.decode("ascii")
        self._call: Span | None = None
        self._beside: Span | None = None
        parent = Parent(self.trace_id, context.span_id.decode("ascii"))
        self._server: Span = tracer.span(_method(request), "server", tracer.now(), parent)
        self._tell(self._server)

    def __repr__(self) -> str:
        return f"<Trace {self.trace_id}>"

    def epoch(self, seconds: float) -> float:
        """From the exchange's clock to seconds of the epoch."""
        return seconds + self._offset

    def call(self, now: float) -> None:
        """A service was acquired, and the request is about to be sent: it says which call it is."""
        self._acquired(now, self._account.tries, "")
        request = self._request
        self._call = self._span(_method(request), "client", now)
        self._tell(self._call)

    def again(self, now: float, error: str, status: int, upstream: str | None) -> None:
        """
        What was called has failed, and there is another try.

        @param status: of its answer; 0: there was none
        @param upstream: whom it was sent to
        """
        call, self._call = self._call, None
        self._both_failed(now, error)
        if call is not None:
            values = self._called(upstream)
            if status:
                values["http.response.status_code"] = status
            self._end(call, now, values, error)

    def beside(self) -> None:
        """It is about to be sent a second time, and the first goes on."""
        now = self._tracer.now()
        self._beside = self._tracer.span(_method(self._request), "client", now, self._parent())
        self._tell(self._beside)

    def won(self, second: bool) -> None:
        """One of the two is answered. The other is no failure: it was not needed."""
        beside, self._beside = self._beside, None
        if beside is None or self._call is None:
            return
        late = self._call if second else beside
        self._call = beside if second else self._call
        late.end(self._tracer.now(), {**self._called(None), "lproxy.hedge": "late"})

    def over(self, exchange: Ended, conn: Conn) -> None:
        """The exchange is."""
        error = exchange.account.error or exchange.flags
        status, grpc = exchange.status, exchange.grpc
        failed = error or (str(status) if status >= 500 else "")
        if grpc != NO_CALL and http_status(grpc) >= 500:
            failed = failed or str(grpc)
        account = self._account
        self._both_failed(exchange.ended, error)
        if self._call is None and account.is_out():
            # a CONNECT that we have answered
            self._acquired(account.dispatched, account.tries, "")
        elif self._call is None:
            self._acquired(exchange.ended, account.tries + 1, error)
        else:
            values = {**self._called(exchange.upstream), **_outcome(exchange)}
            # to a caller, 4xx is a failure, too, and of gRPC all that is not OK
            wrong = failed or (str(grpc) if grpc > OK else str(status) if status >= 400 else "")
            self._end(self._call, exchange.ended, values, wrong)
        self._end(self._server, exchange.ended, {**self._asked(exchange, conn), **_outcome(exchange)}, failed)

    def _both_failed(self, now: float, error: str) -> None:
        beside, self._beside = self._beside, None
        if beside is not None:
            self._end(beside, now, self._called(None), error)

    def _end(self, span: Span, at: float, values: Values, error: str) -> None:
        if error:
            values["error.type"] = error
        span.end(self.epoch(at), values, error)

    def _span(self, name: str, kind: Kind, at: float) -> Span:
        return self._tracer.span(name, kind, self.epoch(at), self._parent())

    def _parent(self) -> Parent:
        return Parent(self.trace_id, self._server.span_id)

    def _acquired(self, now: float, n: int, error: str) -> None:
        span = self._span("acquire", "internal", self._account.asked)
        self._end(span, now, {"lproxy.try": n}, error)

    def _tell(self, span: Span) -> None:
        """Whoever the request is sent to is told that this span has sent it."""
        trace_id, span_id = self.trace_id.encode(), span.span_id.encode()
        context = fields(self._formats, trace_id, span_id, True, self._random, self._debug)
        self._request.headers = [*without(self._request.headers, self._state), *context]

    def _asked(self, exchange: Ended, conn: Conn) -> Values:
        """What the client wanted."""
        request = self._request
        values: Values = {
            **_names(request, *(request.asked or (request.authority, request.target))),
            "url.scheme": "https" if by_https(conn.tls) else "http",
            "network.protocol.version": "2" if request.stream_id else "1.0" if request.old else "1.1",
            "client.address": conn.peer[0],
            "network.peer.address": conn.peer[0],
            "network.peer.port": conn.peer[1],
        }
        agent = said(request.headers)[USER_AGENT]
        if agent is not None:
            values["user_agent.original"] = _shown(agent)
        if exchange.destination is not None:
            values["lproxy.target"] = str(exchange.destination.target)
        if exchange.plan is not None and exchange.plan.name:
            values["http.route"] = exchange.plan.name
        return values

    def _called(self, upstream: str | None) -> Values:
        """Who was called."""
        values = _names(self._request, self._request.authority, self._request.target)
        tries = self._account.tries
        if tries > 1:
            values["http.request.resend_count"] = tries - 1
        if upstream is not None:
            values |= _address("network.peer", upstream)
        return values


def _method(request: Request) -> str:
    return text(request.method) if request.method in _METHODS else "HTTP"


def _names(request: Request, authority: bytes, target: bytes) -> Values:
    """What both sides are told of a request, which may have asked for something else."""
    known = request.method in _METHODS
    values: Values = {
        "http.request.method": text(request.method) if known else _OTHER,
        "url.path": _shown(target.partition(b"?")[0]),
        **_address("server", _shown(authority)),
    }
    if not known:
        values["http.request.method_original"] = _shown(request.method)
    if request.grpc:
        service, _, method = _shown(target)[1:].rpartition("/")
        values |= {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
    return values


def _shown(raw: bytes) -> str:
    return text(raw[:LONGEST])


def _outcome(exchange: Ended) -> Values:
    values: Values = {}
    if exchange.status:
        values["http.response.status_code"] = exchange.status
    if exchange.grpc != NO_CALL:
        values["rpc.grpc.status_code"] = exchange.grpc
    return values


def _address(name: str, authority: str) -> Values:
    """C{authority} as address and port."""
    if not authority:
        return {}
    try:
        host, port = split_host_port(authority)
    except ValueError:
        return {f"{name}.address": authority}
    return {f"{name}.address": host, f"{name}.port": port}
