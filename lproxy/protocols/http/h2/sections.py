# -*- test-case-name: tests.protocols.http.h2.test_sections -*-
"""
Field sections as they come (RFC 9113, 4.3): from HEADERS and CONTINUATION frames to heads and trailers.

Many sections are the same bytes again. As long as the table that they refer to is the same too, so is what they say:
that is remembered, when they come for the second time, and neither decoded nor judged once more.
"""

from __future__ import annotations

from typing import Any, Final

from lproxy.protocols.http.h2 import frames as wire
from lproxy.protocols.http.h2.engine import Head
from lproxy.protocols.http.h2.faults import (
    FRAME,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    TOO_LARGE,
    ConnectionFault,
    StreamFault,
)
from lproxy.protocols.http.h2.fields import request_head, response_head, trailer_section
from lproxy.protocols.http.h2.guard import Guard, flood
from lproxy.protocols.http.h2.hpack import Decoder
from lproxy.protocols.http.h2.limits import Limits
from lproxy.protocols.http.message import Headers

#: sections that are remembered, of each connection, and how long they may be
MEMO: Final = 64
SHORT: Final = 256


class Sections:
    """
    The field sections of one connection's peer, one at a time.

    @ivar stream_id: of the section that has not come whole, or 0
    @ivar end: whether the stream ends with it
    @ivar own_parent: whether its stream is said to depend on itself (RFC 7540, 5.3.1)
    """

    __slots__ = (
        "_block",
        "_changes",
        "_client",
        "_decoder",
        "_guard",
        "_heads",
        "_limits",
        "_once",
        "_pieces",
        "_size",
        "_trailers",
        "end",
        "own_parent",
        "stream_id",
    )

    def __init__(self, client: bool, limits: Limits, guard: Guard) -> None:
        self._client = client
        self._limits = limits
        self._guard = guard
        self._decoder = Decoder(limits.header_list)
        self._block = b""
        self._pieces: list[bytes] = []
        self._size = 0
        self._changes = 0
        self._heads: dict[bytes, Head] = {}
        self._trailers: dict[bytes, Headers] = {}
        self._once: dict[bytes, bool] = {}
        self.stream_id = 0
        self.end = False
        self.own_parent = False

    def headers(self, flags: int, stream_id: int, payload: bytes) -> bool:
        """HEADERS have come. Whether that is the whole section."""
        if flags & wire.PADDED:
            payload = wire.unpadded(payload, "HEADERS")
        self.own_parent = False
        if flags & wire.PRIORITISED:
            if len(payload) < 5:
                raise ConnectionFault(FRAME_SIZE_ERROR, FRAME, "HEADERS without their priority")
            self.own_parent = int.from_bytes(payload[:4], "big") & wire.IDS == stream_id
            payload = payload[5:]
        self.end = flags & wire.END_STREAM != 0
        if payload:
            self._guard.empties = 0
        elif not self.end:
            self._guard.empty()
        if flags & wire.END_HEADERS:
            self._block = payload
            return True
        self.stream_id = stream_id
        self._pieces = [payload]
        self._size = len(payload)
        return False

    def continuation(self, flags: int, payload: bytes) -> bool:
        """CONTINUATION has come. Whether the section is whole."""
        if payload:
            self._guard.empties = 0
        else:
            self._guard.empty()
        pieces = self._pieces
        pieces.append(payload)
        self._size += len(payload)
        if len(pieces) > self._limits.continuations + 1:
            raise flood(f"CONTINUATION frames: more than {self._limits.continuations}")
        if self._size > 4 * self._limits.header_list:
            raise flood(f"bytes of a field section: {self._size}")
        if not flags & wire.END_HEADERS:
            return False
        self._block = b"".join(pieces)
        self._pieces = []
        self.stream_id = 0
        return True

    def skip(self) -> None:
        """Decode the section, as the table has to be kept in step, and no more."""
        self._decoder.decode(self._block)

    def _decode(self) -> list[Any]:
        fields = self._decoder.decode(self._block)
        if self._decoder.changes != self._changes:
            self._changes = self._decoder.changes
            self._heads.clear()
            self._trailers.clear()
            self._once.clear()
        return fields

    def _comes_again(self, changes: int) -> bool:
        """Whether the section has come before, and is worth remembering: it did not change the table."""
        block, once = self._block, self._once
        if len(block) > SHORT or changes != self._changes:
            return False
        if block in once:
            return True
        if len(once) >= MEMO:
            once.clear()
        once[block] = True
        return False

    def head(self) -> Head:
        """
        The section is a message's head.

        @raise StreamFault: it is malformed, or with L{TOO_LARGE} too large
        """
        known = self._heads.get(self._block)
        if known is not None:
            return known.copy()
        changes, limits = self._changes, self._limits
        fields = self._decode()
        if self._client:
            head = response_head(fields, limits.header_count)
        else:
            head = request_head(fields, limits.header_count, limits.connect_protocol)
        if self._decoder.oversized:
            raise self._too_large()
        if self._comes_again(changes):
            if len(self._heads) >= MEMO:
                self._heads.clear()
            self._heads[self._block] = head.copy()
        return head

    def trailers(self) -> Headers:
        """
        The section is a message's trailers.

        @raise StreamFault: they are malformed, or too large
        """
        known = self._trailers.get(self._block)
        if known is not None:
            return known.copy()
        changes = self._changes
        fields = trailer_section(self._decode(), self._limits.header_count)
        if self._decoder.oversized:
            raise self._too_large()
        if self._comes_again(changes):
            if len(self._trailers) >= MEMO:
                self._trailers.clear()
            self._trailers[self._block] = fields.copy()
        return fields

    def _too_large(self) -> StreamFault:
        return StreamFault(PROTOCOL_ERROR, TOO_LARGE, f"fields of more than {self._limits.header_list} bytes")
