# -*- test-case-name: tests.protocols.http.test_rescue -*-
"""
What becomes of a failure: the bytes of the answer that its error carries (L{lproxy.errors.judge}).
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

from lproxy.errors import Bug, ProxyError, explain, grpc_status, one_line
from lproxy.protocols.http.message import Rejected, Request, find


def answer(
    verdict: ProxyError, error: BaseException, waited: float, request: Request, tell: bool, close: bool
) -> bytes:
    """
    The whole answer to C{request}.

    @param verdict: what C{error} is judged to be
    @param waited: seconds since the request's head was read
    @param tell: whether the client may have the C{l5d-proxy-error} header
    @param close: whether the connection ends with it
    """
    text = str(verdict) if isinstance(verdict, Bug) else f"{explain(error)} (after {waited:.3f} s)"
    grpc = (find(request.headers, b"content-type") or b"").lower().startswith(b"application/grpc")
    fields = [f"l5d-proxy-error: {_field(text)}"] if tell else []
    if grpc:
        # gRPC looks for its status in the header block where there is no message (gRPC over HTTP/2, Responses)
        fields += [
            "content-type: application/grpc",
            f"grpc-status: {grpc_status(verdict.status)}",
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
