# -*- test-case-name: tests.protocols.http.h2.test_table -*-
"""
Which streams of a connection are open, were open, and never were (RFC 9113, 5.1).

All are opened by the client, as nobody may push: an even number is always wrong.
"""

from __future__ import annotations

from typing import Final

from lproxy.protocols.http.h2.faults import FRAME, PROTOCOL_ERROR, ConnectionFault
from lproxy.protocols.http.h2.flow import StreamState

#: so many of the streams that were reset are remembered, for what is still on its way for them
REMEMBERED: Final = 1000


class StreamTable:
    """
    The streams of one connection.

    @ivar open: those that are, by their ids
    @ivar highest: the highest that ever was
    """

    __slots__ = ("_reset", "highest", "open")

    def __init__(self) -> None:
        self.open: dict[int, StreamState] = {}
        self.highest = -1
        self._reset: dict[int, bool] = {}

    def add(self, stream: StreamState) -> None:
        """It is open."""
        self.open[stream.id] = stream
        self.highest = stream.id

    def remember(self, stream_id: int) -> None:
        """It was reset: what comes yet is late, and no mistake."""
        if len(self._reset) >= REMEMBERED:
            self._reset.pop(next(iter(self._reset)))
        self._reset[stream_id] = True

    def was_reset(self, stream_id: int) -> bool:
        """Whether it is one of those that are remembered."""
        return stream_id in self._reset

    def not_idle(self, stream_id: int, what: str) -> None:
        """
        A frame has come for a stream that is not open.

        @raise ConnectionFault: it never was, so that it does not come late
        """
        if stream_id > self.highest or not stream_id & 1:
            raise ConnectionFault(PROTOCOL_ERROR, FRAME, f"{what} on stream {stream_id}, which is not open")
