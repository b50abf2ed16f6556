# -*- test-case-name: tests.protocols.http.test_record -*-
"""
What is counted, logged and shown of exchanges and of their clients' connections.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.python.failure import Failure

from lproxy.api import Conn, ProxyError, Runtime, Target, explain, join_host_port
from lproxy.errors import Bug, Failed, in_parts
from lproxy.protocols.connection import add_tls
from lproxy.protocols.http.account import Account
from lproxy.protocols.http.client_fields import FORWARDED_FOR, REFERER, REQUEST_ID, USER_AGENT, said, trace_id
from lproxy.protocols.http.grpc import NO_CALL
from lproxy.protocols.http.message import Rejected, Request
from lproxy.protocols.http.metrics import HttpCounter, HttpFaults
from lproxy.protocols.http.phase import TUNNEL
from lproxy.protocols.http.profile.plan import Plan
from lproxy.protocols.taps import Taps

#: what is not known of bytes that were no request
UNKNOWN: Final = ("method", "authority", "path", "protocol", "upstream")


class Routed(Protocol):
    """Where an exchange went."""

    __slots__ = ()

    @property
    def target(self) -> Target:
        """That."""

    @property
    def counter(self) -> HttpCounter:
        """Where it is counted."""


class Ended(Protocol):
    """An L{Exchange<lproxy.protocols.http.exchange.Exchange>} that is over; its attributes are described there."""

    __slots__ = ()

    account: Account
    began: float
    ended: float
    flags: str
    grpc: int
    request: Request
    state: int
    status: int
    upstream: str | None

    @property
    def destination(self) -> Routed | None:
        """Where it went."""

    @property
    def plan(self) -> Plan | None:
        """Its route's."""


class Recorder:
    """
    Where the exchanges of one listener are counted and logged.

    @ivar access: writes a line of the access log; C{None} where it is off
    @ivar taps: who watches requests
    @ivar faults: answers of ours, and input refused
    """

    __slots__ = ("_h2c", "_listener", "_outbound", "_protocol", "_runtime", "access", "faults", "taps")

    def __init__(self, runtime: Runtime, protocol: str, faults: HttpFaults) -> None:
        self._runtime = runtime
        self._protocol = protocol
        self._listener = runtime.listen.name
        self._h2c = False
        self._outbound = runtime.direction == "outbound"
        self.access: Callable[[dict[str, Any]], None] | None = runtime.access
        self.taps: Taps = runtime.taps
        self.faults = faults

    def may_tell(self, conn: Conn) -> bool:
        """Whether a client is the application next door, or another proxy, and may know what went wrong."""
        known = conn.tls is not None and conn.tls.remote_identity != ""
        return known or self._outbound or conn.peer[0] in ("127.0.0.1", "::1")

    def failed(self, judged: ProxyError, error: BaseException, conn: Conn, exchange: Ended) -> None:
        """C{exchange} failed with C{error}, of which L{judge<lproxy.errors.judge>} makes C{judged}."""
        if isinstance(judged, Rejected):
            self.rejected(judged, conn)
            return
        self.faults.error(judged.reason)
        if isinstance(judged, Bug):
            self.crashed(error)
        else:
            request, destination = exchange.request, exchange.destination
            named = f" (request {text(request.id)})" if request.id else ""
            target = destination.target if destination is not None else None
            parts = in_parts(error, target, exchange.ended - exchange.began)
            self._warn(f"http-{judged.reason}", explain(error) + named, conn, parts)

    def rejected(self, rejected: ProxyError, conn: Conn) -> None:
        """Input was refused."""
        self.faults.reject(rejected.reason)
        parts = in_parts(rejected, f"listener {self._listener}", None)
        self._warn(f"http-rejected-{rejected.reason}", rejected.what(), conn, parts)

    def does_not_read(self, seconds: float | None, conn: Conn) -> None:
        """A client took none of its answer for too long."""
        self.faults.reject("slow")
        why = f"took none of its answer for {seconds:g} s: closed (timeouts.write)"
        self._warn("http-slow", why, conn, Failed("http", f"client {conn.peer[0]}", why, seconds))

    def no_h2c(self, conn: Conn) -> None:
        """A client asks for HTTP/2 on an HTTP/1 connection, which is not passed on: said once."""
        if not self._h2c:
            self._h2c = True
            why = (
                "asks for Upgrade: h2c, which is taken out as HTTP/2 (RFC 9113) has no upgrade any more; who speaks it "
                'with the first bytes (prior knowledge) is understood; protocol = "tcp" passes everything on'
            )
            self._warn("http-h2c", why, conn, Failed("http", f"listener {self._listener}", why, None))

    def crashed(self, error: BaseException) -> None:
        """A mistake of ours."""
        self._runtime.crashed(self._protocol, Failure(error, type(error), error.__traceback__))

    def _warn(self, kind: str, text: str, conn: Conn, parts: Failed) -> None:
        self._runtime.warn(kind, f"listener {self._listener}: client {conn.peer[0]}: {text}", parts)

    def over(self, conn: Conn, exchange: Ended) -> None:
        """C{exchange} is: end its spans, and write its line of the access log."""
        trace = exchange.account.trace
        if trace is not None:
            # it knows the account: no cycle for the collector
            exchange.account.trace = None
            trace.over(exchange, conn)
            # of a tunnel it was counted how long it took to begin
            if exchange.status and exchange.destination is not None and exchange.state != TUNNEL:
                took, at = (exchange.ended - exchange.began) * 1000.0, trace.epoch(exchange.ended)
                exchange.destination.counter.latency.exemplify(took, trace.trace_id, at)
                if exchange.plan is not None:
                    exchange.plan.counter.latency.exemplify(took, trace.trace_id, at)
        if self.access is not None:
            self.access(self._line(conn, exchange))
        elif self.taps.on:
            self.taps(self._line(conn, exchange))

    def _line(self, conn: Conn, exchange: Ended) -> dict[str, Any]:
        request, account, ended = exchange.request, exchange.account, exchange.ended
        destination = exchange.destination
        authority, target = request.asked or (request.authority, request.target)
        found = said(request.headers)
        row: dict[str, Any] = {
            "kind": "request",
            "listener": self._listener,
            "client": join_host_port(*conn.peer),
            "method": text(request.method),
            "authority": text(authority),
            "path": text(target),
            "protocol": "HTTP/2" if request.stream_id else "HTTP/1.0" if request.old else "HTTP/1.1",
            "status": exchange.status,
            "grpc_status": exchange.grpc if exchange.grpc != NO_CALL else None,
            "target": str(destination.target) if destination is not None else None,
            "route": (exchange.plan.name or None) if exchange.plan is not None else None,
            "upstream": exchange.upstream,
            "tries": account.tries,
            "seconds": rounded(ended - exchange.began),
            "acquire_seconds": rounded(account.acquiring(ended)),
            "upstream_head_seconds": rounded(account.to_head()),
            "upstream_seconds": rounded(account.to_end(ended)),
            "bytes_in": account.received,
            "bytes_out": account.sent,
            "user_agent": said_text(found[USER_AGENT]),
            "referer": said_text(found[REFERER]),
            "forwarded_for": said_text(found[FORWARDED_FOR]),
            "request_id": said_text(found[REQUEST_ID]),
            "trace_id": said_text(trace_id(found)),
            "flags": exchange.flags,
        }
        if conn.tls is not None:
            add_tls(row, conn.tls)
        if request.stream_id:
            row["stream"] = request.stream_id
        return row

    def log_refused(self, conn: Conn, status: int, flags: str, size: int = 0) -> None:
        """
        The same of what was read and became no request, and so took no time.

        @param status: zero where there was no answer
        @param size: bytes of its body
        """
        write = self._runtime.writer()
        if write is None:
            return
        row: dict[str, Any] = {
            "kind": "request",
            "listener": self._listener,
            "client": join_host_port(*conn.peer),
            **dict.fromkeys(UNKNOWN),
            "status": status,
            "seconds": 0.0,
            "bytes_in": 0,
            "bytes_out": size,
            "flags": flags,
        }
        if conn.tls is not None:
            add_tls(row, conn.tls)
        write(row)

    def row(self, conn: Conn, state: str) -> dict[str, Any]:
        """What begins a row of C{/connections}; L{shown} goes on."""
        return {
            "listener": self._listener,
            "protocol": self._protocol,
            "client": join_host_port(*conn.peer),
            "state": state,
        }


def shown(exchange: Ended | None, now: float) -> dict[str, Any]:
    """What a row of C{/connections} has of an exchange; C{None}: there is none."""
    if exchange is None:
        return dict.fromkeys(("target", "request", "request_seconds", "route", "upstream", "tries"))
    request, destination, plan = exchange.request, exchange.destination, exchange.plan
    return {
        "target": str(destination.target) if destination is not None else None,
        "request": f"{text(request.method)} {text(request.target)}",
        "request_seconds": round(now - exchange.began, 3),
        "route": (plan.name or None) if plan is not None else None,
        "upstream": exchange.upstream,
        "tries": exchange.account.tries,
    }


def rounded(seconds: float | None) -> float | None:
    """To the microsecond, in less time than C{round}."""
    return int(seconds * 1e6 + 0.5) / 1e6 if seconds is not None else None


def said_text(raw: bytes | None) -> str | None:
    """As L{text}, of what may not have been said."""
    return text(raw) if raw is not None else None


def text(raw: bytes) -> str:
    """Bytes of a peer, as text that is one line wherever it is shown."""
    return raw.decode("ascii", "backslashreplace")
