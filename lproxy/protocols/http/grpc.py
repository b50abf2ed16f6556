# -*- test-case-name: tests.protocols.http.test_grpc -*-
"""
What gRPC says by means of HTTP/2: that a request is a call, how long its caller waits for it, and what came of it.

All of it is passed on as it is. What is read here is counted and acted upon: a call's deadline ends it, and whether it
went well is what its grpc-status says, not the status 200 that every answer has (gRPC over HTTP/2; HTTP to gRPC Status
Code Mapping).
"""

from __future__ import annotations

from typing import Final

from lproxy.protocols.http.message import Headers, Request

# statuses
OK: Final = 0
CANCELLED: Final = 1
UNKNOWN: Final = 2
INTERNAL: Final = 13
#: of a request that is no call
NO_CALL: Final = -1

#: as HTTP has them (google.rpc.Code); what is 500 or above is counted as a failure, and is held against the endpoint
#: unless it speaks of the request: 501
HTTP: Final = {
    OK: 200,
    CANCELLED: 499,
    UNKNOWN: 500,
    3: 400,  # INVALID_ARGUMENT
    4: 504,  # DEADLINE_EXCEEDED
    5: 404,  # NOT_FOUND
    6: 409,  # ALREADY_EXISTS
    7: 403,  # PERMISSION_DENIED
    8: 429,  # RESOURCE_EXHAUSTED
    9: 400,  # FAILED_PRECONDITION
    10: 409,  # ABORTED
    11: 400,  # OUT_OF_RANGE
    12: 501,  # UNIMPLEMENTED
    INTERNAL: 500,
    14: 503,  # UNAVAILABLE
    15: 500,  # DATA_LOSS
    16: 401,  # UNAUTHENTICATED
}
#: what the answer of a server that does not speak gRPC means to a caller; UNKNOWN, where it is not among these
OF_HTTP: Final = {400: INTERNAL, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}

#: units of grpc-timeout, in seconds
UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
#: digits that it may have
DIGITS: Final = 8

CONTENT_TYPE: Final = b"application/grpc"
#: as nearly all say it
USUAL: Final = (CONTENT_TYPE, b"application/grpc+proto")
#: what may follow: the message's encoding, or a parameter; grpc-web is another protocol
SUFFIXES: Final = (b"", b"+", b";", b" ")


def is_grpc(content_type: bytes) -> bool:
    """Whether messages of that type are gRPC's."""
    return content_type[:16].lower() == CONTENT_TYPE and content_type[16:17] in SUFFIXES


def timeout(value: bytes) -> float | None:
    """The seconds that a grpc-timeout gives a call; C{None} where it is malformed: that is for the server to refuse."""
    digits, unit = value[:-1], UNITS.get(value[-1:])
    if unit is None or not digits.isdigit() or len(digits) > DIGITS:
        return None
    return int(digits) * unit


def recognise(request: Request) -> None:
    """Have C{request}, of HTTP/2, know whether it is a call, and its deadline."""
    seconds: float | None = None
    for name, value in request.headers:
        if name == b"content-type":
            request.grpc = value in USUAL or is_grpc(value)
        elif name == b"grpc-timeout":
            seconds = timeout(value)
    if request.grpc:
        request.timeout = seconds


def status_of(fields: Headers) -> int:
    """
    The grpc-status among C{fields}, trailers or those of an answer without a message; UNKNOWN where there is none that
    means anything.
    """
    for name, value in fields:
        if name == b"grpc-status":
            return int(value) if value.isdigit() and int(value[:3]) <= 16 else UNKNOWN
    return UNKNOWN


#: of a call that went well
_WELL: Final = (b"grpc-status", b"0")


def outcome(status: int, fields: Headers) -> int:
    """
    What came of a call.

    @param status: of HTTP
    @param fields: those in which gRPC has its own: the trailers, or the head's where that is all
    """
    if status != 200:
        return OF_HTTP.get(status, UNKNOWN)
    return OK if _WELL in fields else status_of(fields)


def http_status(status: int) -> int:
    """C{status}, of gRPC, as HTTP has it."""
    return HTTP.get(status, 500)
