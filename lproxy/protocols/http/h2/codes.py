# -*- test-case-name: tests.protocols.http.h2.test_codes -*-
"""
What a reset of a stream means on the other side of an exchange: error codes (RFC 9113, 7) from our errors, and errors
and gRPC statuses from codes.

A reset is passed on as what it was, but where that would claim too much: REFUSED_STREAM says that nothing was
processed, which nobody knows of a request that was passed on, and NO_ERROR that what there was is whole.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import CancelledError

from lproxy.errors import ProxyError
from lproxy.protocols.http.deadlines import DeadlineExceeded
from lproxy.protocols.http.h2.faults import (
    CANCEL,
    COMPRESSION_ERROR,
    CONNECT_ERROR,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    HTTP_1_1_REQUIRED,
    INADEQUATE_SECURITY,
    INTERNAL_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    SETTINGS_TIMEOUT,
    STREAM_CLOSED,
    code_name,
)
from lproxy.protocols.http.message import Rejected
from lproxy.protocols.http.streams import UpstreamLost
from lproxy.protocols.http.timeouts import BodyNotTaken, CallTimedOut, TooSlow
from lproxy.target import Endpoint

#: gRPC's statuses by number, for a stream that was reset before there was another (gRPC over HTTP/2, Errors)
GRPC: Final = {
    NO_ERROR: 13,  # INTERNAL
    PROTOCOL_ERROR: 13,
    INTERNAL_ERROR: 13,
    FLOW_CONTROL_ERROR: 13,
    SETTINGS_TIMEOUT: 13,
    STREAM_CLOSED: 13,
    FRAME_SIZE_ERROR: 13,
    REFUSED_STREAM: 14,  # UNAVAILABLE
    CANCEL: 1,  # CANCELLED
    COMPRESSION_ERROR: 13,
    CONNECT_ERROR: 13,
    ENHANCE_YOUR_CALM: 8,  # RESOURCE_EXHAUSTED
    INADEQUATE_SECURITY: 7,  # PERMISSION_DENIED
    HTTP_1_1_REQUIRED: 13,
}

#: codes that are about the connection that they came on: to others they only say that it failed
_OF_CONNECTION: Final = frozenset(
    (
        NO_ERROR,
        PROTOCOL_ERROR,
        FLOW_CONTROL_ERROR,
        SETTINGS_TIMEOUT,
        STREAM_CLOSED,
        FRAME_SIZE_ERROR,
        REFUSED_STREAM,
        COMPRESSION_ERROR,
        INADEQUATE_SECURITY,
        HTTP_1_1_REQUIRED,
    )
)


class StreamReset(UpstreamLost):
    """
    The upstream has reset the stream.

    @ivar code: with which error code
    """

    reason = "upstream_reset"
    flag = "UR"

    def __init__(
        self,
        target: Endpoint,
        code: int,
        when: str,
        answered: bool = True,
        unsent: bool = False,
        reused: bool = False,
    ) -> None:
        super().__init__(target, "", when, answered, unsent, reused)
        self.code = code

    def what(self) -> str:
        """With which code, and when."""
        return f"reset the stream ({code_name(self.code)}) {self.when}"


def code_of(error: BaseException) -> int:
    """What resets a stream whose exchange ends with C{error}."""
    if isinstance(error, StreamReset):
        return INTERNAL_ERROR if error.code in _OF_CONNECTION else error.code
    if isinstance(error, (CancelledError, CallTimedOut, DeadlineExceeded, TooSlow, BodyNotTaken)):
        return CANCEL
    if isinstance(error, Rejected):
        return PROTOCOL_ERROR
    if isinstance(error, ProxyError) and error.layer == "connect":
        return CONNECT_ERROR
    return INTERNAL_ERROR


def grpc_of(code: int) -> int:
    """The gRPC status, by number, of a call whose stream was reset with C{code}."""
    return GRPC.get(code, 13)
