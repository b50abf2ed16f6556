# -*- test-case-name: tests.protocols.http.h2.test_outbox -*-
"""
Frames that wait to be written, of one connection.
"""

from __future__ import annotations

from typing import Any

from lproxy.protocols.http.h2 import frames as wire
from lproxy.protocols.http.h2.engine import PREFACE
from lproxy.protocols.http.h2.flow import DEFAULT, Flow, StreamState
from lproxy.protocols.http.h2.frames import DATA, END_HEADERS, END_STREAM, HEADERS, pack_header
from lproxy.protocols.http.h2.guard import Guard
from lproxy.protocols.http.h2.hpack import Encoder
from lproxy.protocols.http.h2.limits import Limits
from lproxy.protocols.http.h2.settings import ours


class Outbox:
    """
    Frames in their order, joined once when they are taken.

    @ivar encoder: of field sections
    """

    __slots__ = ("_control", "_flow", "_guard", "_pieces", "_queued", "encoder")

    def __init__(self, guard: Guard, flow: Flow) -> None:
        """
        @param flow: the connection's
        """
        self._guard = guard
        self._flow = flow
        self._pieces: list[bytes] = []
        self._queued = 0
        self._control = 0
        self.encoder = Encoder()

    def begin(self, client: bool, limits: Limits) -> None:
        """Queue what a connection begins with (RFC 9113, 3.4), its window included."""
        if client:
            self.send(PREFACE)
        self.send(wire.settings(ours(limits, client)))
        more = limits.connection_window - DEFAULT
        if more > 0:
            self.send(wire.window_update(0, more))

    def send(self, frame: bytes) -> None:
        """Queue a frame."""
        self._pieces.append(frame)
        self._queued += 1

    def acknowledge(self, frame: bytes) -> None:
        """Queue one of those that a peer can cause without end."""
        self.send(frame)
        self._control += 1
        self.check()

    def check(self) -> None:
        """Have it counted what waits."""
        self._guard.queued(self._control, self._queued)

    def section(self, stream_id: int, fields: Any, end: bool, most: int) -> None:
        """Queue a field section, in frames of at most C{most} bytes."""
        block = self.encoder.encode(fields)
        size = len(block)
        if size <= most:
            flags = END_HEADERS | END_STREAM if end else END_HEADERS
            self._pieces.append(pack_header(size >> 8, size & 0xFF, HEADERS, flags, stream_id))
            self._pieces.append(block)
            self._queued += 1
        else:
            for frame in wire.section(stream_id, block, end, most):
                self.send(frame)

    def data(self, stream: StreamState, data: bytes, end: bool, most: int) -> int:
        """
        Queue as much of C{data} as there is credit for, in frames of at most C{most} bytes.

        @return: how much that is; with all of it, and C{end}, the stream ends
        """
        size = len(data)
        if size:
            credit = min(stream.sendable, self._flow.sendable)
            if size > credit:
                if credit <= 0:
                    return 0
                data, size, end = data[:credit], credit, False
            stream.sendable -= size
            self._flow.sendable -= size
        elif not end:
            return 0
        if size > most:
            for start in range(0, size - most, most):
                self._piece(stream.id, data[start : start + most], False)
            data = data[(size - 1) // most * most :]
        self._piece(stream.id, data, end)
        return size

    def _piece(self, stream_id: int, data: bytes, end: bool) -> None:
        """A frame whose payload is not copied before all are joined."""
        size = len(data)
        self._pieces.append(pack_header(size >> 8, size & 0xFF, DATA, END_STREAM if end else 0, stream_id))
        self._pieces.append(data)
        self._queued += 1
        self._guard.data_sent += 1

    def take(self) -> bytes:
        """All of it."""
        pieces = self._pieces
        if not pieces:
            return b""
        self._pieces = []
        self._queued = 0
        self._control = 0
        return b"".join(pieces)
