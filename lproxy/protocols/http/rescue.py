# -*- test-case-name: tests.protocols.http.test_rescue -*-
"""
What a client is told of a failure: the answer that its error carries (L{lproxy.errors.judge}).
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

from lproxy.errors import Bug, ProxyError, explain, grpc_status, one_line
from lproxy.protocols.http.grpc import CONTENT_TYPE, is_grpc
from lproxy.protocols.http.h2.codes import StreamReset, grpc_of
from lproxy.protocols.http.message import Headers, Rejected, Request, Response, find

TEXT = (b"content-type", b"text/plain; charset=utf-8")


def rescued(
    judged: ProxyError, error: BaseException, waited: float, request: Request, tell: bool
) -> tuple[Response, bytes]:
    """As L{answer}, or L{refusal} where C{error} is that."""
    if isinstance(error, Rejected) and not request.grpc:
        return refusal(error)
    return answer(judged, error, waited, request, tell)


def answer(
    judged: ProxyError, error: BaseException, waited: float, request: Request, tell: bool
) -> tuple[Response, bytes]:
    """
    The answer to C{request}, and its body.

    @param judged: what L{judge<lproxy.errors.judge>} makes of C{error}
    @param waited: seconds since the request's head was read
    @param tell: whether the client may have the C{l5d-proxy-error} header
    """
    text = str(judged) if isinstance(judged, Bug) else f"{explain(error)} (after {waited:.3f} s)"
    told: Headers = [(b"l5d-proxy-error", _field(text))] if tell else []
    if judged.retry_after:
        told.append((b"retry-after", b"%d" % judged.retry_after))
    last = not judged.keep
    asked = find(request.headers, b"content-type") or b""
    if asked[:16].lower() == CONTENT_TYPE:
        # gRPC looks for its status in the header block where there is no message (gRPC over HTTP/2, Responses), and
        # grpc-web does as well
        told += [
            (b"content-type", CONTENT_TYPE if is_grpc(asked) else asked),
            (b"grpc-status", b"%d" % called(judged)),
            (b"grpc-message", quote(text, safe=" :/,;()").encode("ascii")),
        ]
        return _response(200, told, b"", last)
    response, body = _response(judged.status, [TEXT, *told], _content(text), last)
    return response, b"" if request.method == b"HEAD" else body


def called(judged: ProxyError) -> int:
    """The gRPC status, by number, of a call that failed so."""
    return grpc_of(judged.code) if isinstance(judged, StreamReset) else grpc_status(judged.status)


def refusal(rejected: Rejected) -> tuple[Response, bytes]:
    """The answer to a request that is not forwarded, and its body. It is the last on its connection."""
    text = f"{rejected.status} {HTTPStatus(rejected.status).phrase}: {one_line(rejected.detail)}"
    return _response(rejected.status, [TEXT], _content(text), True)


def _response(status: int, headers: Headers, body: bytes, last: bool) -> tuple[Response, bytes]:
    reason = HTTPStatus(status).phrase.encode("ascii")
    headers.append((b"content-length", b"%d" % len(body)))
    return Response(status, reason, headers, len(body), ours=True, last=last), body


def _content(text: str) -> bytes:
    return f"{text}\n".encode("utf-8", "backslashreplace")


def _field(text: str) -> bytes:
    """C{text} as a field value: one line of ASCII."""
    return one_line(text).encode("ascii", "backslashreplace")
