# -*- test-case-name: tests.protocols.http.h2.test_faults -*-
"""
How HTTP/2 says what went wrong: error codes (RFC 9113, 7), the words that refusals are counted under, and the error
that ends a connection.
"""

from __future__ import annotations

from typing import Final

from lproxy.errors import ProxyError

# error codes, RFC 9113, 7
NO_ERROR: Final = 0x0
PROTOCOL_ERROR: Final = 0x1
INTERNAL_ERROR: Final = 0x2
FLOW_CONTROL_ERROR: Final = 0x3
SETTINGS_TIMEOUT: Final = 0x4
STREAM_CLOSED: Final = 0x5
FRAME_SIZE_ERROR: Final = 0x6
REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8
COMPRESSION_ERROR: Final = 0x9
CONNECT_ERROR: Final = 0xA
ENHANCE_YOUR_CALM: Final = 0xB
INADEQUATE_SECURITY: Final = 0xC
HTTP_1_1_REQUIRED: Final = 0xD

#: for people and metric labels; peers may send others
CODE_NAMES: Final = {
    NO_ERROR: "NO_ERROR",
    PROTOCOL_ERROR: "PROTOCOL_ERROR",
    INTERNAL_ERROR: "INTERNAL_ERROR",
    FLOW_CONTROL_ERROR: "FLOW_CONTROL_ERROR",
    SETTINGS_TIMEOUT: "SETTINGS_TIMEOUT",
    STREAM_CLOSED: "STREAM_CLOSED",
    FRAME_SIZE_ERROR: "FRAME_SIZE_ERROR",
    REFUSED_STREAM: "REFUSED_STREAM",
    CANCEL: "CANCEL",
    COMPRESSION_ERROR: "COMPRESSION_ERROR",
    CONNECT_ERROR: "CONNECT_ERROR",
    ENHANCE_YOUR_CALM: "ENHANCE_YOUR_CALM",
    INADEQUATE_SECURITY: "INADEQUATE_SECURITY",
    HTTP_1_1_REQUIRED: "HTTP_1_1_REQUIRED",
}

# the words that refusals are counted under
FIELD: Final = "h2_field"
PSEUDO: Final = "h2_pseudo"
LENGTH: Final = "h2_length"
FLOOD: Final = "h2_flood"
FRAME: Final = "h2_frame"
FLOW: Final = "h2_flow"
HPACK: Final = "h2_hpack"
STREAMS: Final = "h2_streams"
TOO_LARGE: Final = "too_large"


def code_name(code: int) -> str:
    """C{code} by its name; an unknown one is C{other}, for peers choose them."""
    return CODE_NAMES.get(code, "other")


class ConnectionFault(ProxyError):
    """
    The peer broke a rule that a connection cannot go on after, or did too much of what is allowed.

    GOAWAY is queued when it is raised: fetch it with L{Engine.take}, write it, close. The engine is dead then.

    @ivar code: the error code of the GOAWAY
    @ivar reason: the word it is counted under
    @ivar detail: what was wrong, for people
    @ivar flood: whether a limit was broken, and not the grammar
    """

    layer = "http"
    reason = "rejected"
    flag = "IH"
    status = 400
    keep = False

    def __init__(self, code: int, reason: str, detail: str) -> None:
        super().__init__("")
        self.code = code
        self.reason = reason  # type: ignore[misc]
        self.detail = detail
        self.flood = reason == FLOOD

    def what(self) -> str:
        """What is wrong."""
        return f"HTTP/2 connection refused ({self.reason}, {code_name(self.code)}): {self.detail}"


class StreamFault(Exception):
    """The peer broke a rule of one stream, which is reset. Engines keep it to themselves: C{Handler.refused} tells."""

    def __init__(self, code: int, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.reason = reason
        self.detail = detail
