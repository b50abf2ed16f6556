# -*- test-case-name: tests.protocols.http.test_rescue -*-
"""
What becomes of a failure: one table from error type to status, and the answer's bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote

from lproxy.discover.host import ResolveFailed
from lproxy.discover.literal import NoRoute
from lproxy.errors import explain, one_line
from lproxy.protocols.http.client import BadResponse, UpstreamLost
from lproxy.protocols.http.message import Rejected, Request, find
from lproxy.protocols.http.recognise import NoAuthority
from lproxy.stack.admit import TooManyInFlight
from lproxy.stack.balance import NoEndpointReady
from lproxy.stack.cache import CacheFull
from lproxy.stack.failfast import FailedFast
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.transport.connect import ConnectFailed, ConnectTimedOut, LoopRefused


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    An answer for a cause.

    @ivar grpc: the status that gRPC callers get, by number
    @ivar reason: the label it is counted under
    @ivar flags: the access log's reason flags
    @ivar keep: whether the client's connection can go on
    """

    status: int
    grpc: int
    reason: str
    flags: str
    keep: bool = True


ABORTED, DEADLINE_EXCEEDED, INTERNAL, NOT_FOUND, UNAVAILABLE = 10, 4, 13, 5, 14

BUG = Verdict(500, INTERNAL, "bug", "BUG", keep=False)

#: the first that fits. An error that only reports others' (none of several endpoints) is judged by its cause
TABLE: tuple[tuple[type[BaseException], Verdict], ...] = (
    (NoRoute, Verdict(404, NOT_FOUND, "no_route", "NR")),
    (NoAuthority, Verdict(404, NOT_FOUND, "no_route", "NR")),
    (TooManyInFlight, Verdict(503, UNAVAILABLE, "in_flight", "UO")),
    (CacheFull, Verdict(503, UNAVAILABLE, "cache_full", "UO")),
    (AcquireTimedOut, Verdict(503, UNAVAILABLE, "acquire_timeout", "UT")),
    (FailedFast, Verdict(503, UNAVAILABLE, "failfast", "UH")),
    (ResolveFailed, Verdict(503, UNAVAILABLE, "resolve", "UH")),
    (ConnectTimedOut, Verdict(504, DEADLINE_EXCEEDED, "connect_timeout", "UF")),
    (ConnectFailed, Verdict(502, UNAVAILABLE, "connect", "UF")),
    (LoopRefused, Verdict(508, ABORTED, "loop", "LP", keep=False)),
    (UpstreamLost, Verdict(502, UNAVAILABLE, "upstream_lost", "UC")),
    (BadResponse, Verdict(502, UNAVAILABLE, "bad_response", "UP")),
)


@dataclass(eq=False)
class CallTimedOut(Exception):
    """A configured limit on the application's time ran out: C{response_headers} or C{stream}."""

    target: object
    setting: str
    seconds: float

    def __str__(self) -> str:
        return f"call: {self.target} did not answer within {self.seconds:g} s (timeouts.{self.setting})"


CALL_TIMED_OUT = Verdict(504, DEADLINE_EXCEEDED, "response_timeout", "UT")


def judge(error: BaseException) -> Verdict:
    """The verdict on C{error}; L{BUG} for what nobody foresaw."""
    while isinstance(error, NoEndpointReady) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, CallTimedOut):
        return CALL_TIMED_OUT
    for kind, verdict in TABLE:
        if isinstance(error, kind):
            return verdict
    return BUG


def answer(verdict: Verdict, error: BaseException, waited: float, request: Request, tell: bool, close: bool) -> bytes:
    """
    The whole answer to C{request}.

    @param waited: seconds since the request's head was read
    @param tell: whether the client may have the C{l5d-proxy-error} header
    @param close: whether the connection ends with it
    """
    text = "internal error" if verdict is BUG else f"{explain(error)} (after {waited:.3f} s)"
    grpc = (find(request.headers, b"content-type") or b"").lower().startswith(b"application/grpc")
    fields = [f"l5d-proxy-error: {_field(text)}"] if tell else []
    if grpc:
        # gRPC looks for its status in the header block where there is no message (gRPC over HTTP/2, Responses)
        fields += [
            "content-type: application/grpc",
            f"grpc-status: {verdict.grpc}",
            f"grpc-message: {quote(text, safe=' :/,;()')}",
        ]
        return _encode(200, fields, "", request.method, close)
    return _encode(
        verdict.status, ["content-type: text/plain; charset=utf-8", *fields], text + "\n", request.method, close
    )


def refusal(rejected: Rejected) -> bytes:
    """The answer to a request that is not forwarded, after which the connection is closed."""
    text = f"{rejected.status} {HTTPStatus(rejected.status).phrase}: {one_line(rejected.detail)}\n"
    return _encode(rejected.status, ["content-type: text/plain; charset=utf-8"], text, b"GET", True)


def _encode(status: int, fields: list[str], body: str, method: bytes, close: bool) -> bytes:
    content = body.encode("utf-8", "backslashreplace")
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *fields, f"content-length: {len(content)}"]
    if close:
        lines.append("connection: close")
    head = "\r\n".join(lines) + "\r\n\r\n"
    return head.encode("latin-1", "replace") + (b"" if method == b"HEAD" else content)


def _field(text: str) -> str:
    """C{text} as a field value: one line of ASCII."""
    return one_line(text).encode("ascii", "backslashreplace").decode("ascii")
