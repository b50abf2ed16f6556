# -*- test-case-name: tests.protocols.http.h2.test_flow -*-
"""
Flow control as credit (RFC 9113, 5.2 and 6.9), and what else an engine knows of a stream.

Credit that we give is told in few WINDOW_UPDATE frames: when half a window has been used up.
"""

from __future__ import annotations

from typing import Final

#: the largest window
MAXIMUM: Final = 2**31 - 1
#: each window's size before anything is said
DEFAULT: Final = 65_535


class Flow:
    """
    The two windows of a stream or a connection. Either may be below zero for a while, after SETTINGS.

    @ivar sendable: bytes that the peer takes
    @ivar receivable: bytes that it may still send
    """

    __slots__ = ("_half", "_returned", "receivable", "sendable")

    def __init__(self, sendable: int, receivable: int) -> None:
        self.sendable = sendable
        self.receivable = receivable
        self._returned = 0
        self._half = receivable >> 1

    def widen(self, change: int) -> None:
        """What the peer may have sent at once changes, by SETTINGS of ours or from the beginning."""
        self.receivable += change
        self._half = max(self._half + (change >> 1), 1)

    def used(self, n: int) -> bool:
        """C{n} bytes have come. Whether they were allowed."""
        self.receivable -= n
        return self.receivable >= 0

    def returned(self, n: int) -> int:
        """
        C{n} bytes may come again.

        @return: what to tell the peer now, or 0
        """
        self._returned += n
        increment = self._returned
        if increment < self._half or not increment:
            return 0
        self._returned = 0
        self.receivable += increment
        return increment

    def passed(self, n: int) -> int:
        """
        C{n} bytes have come, and as many may come again.

        @return: what to tell the peer now, or 0; below that, they were not allowed
        """
        if n > self.receivable:
            return -1
        self.receivable -= n
        self._returned += n
        return self.returned(0) if self._returned >= self._half else 0

    def granted(self, n: int) -> bool:
        """The peer takes C{n} bytes more. Whether it may say so."""
        self.sendable += n
        return self.sendable <= MAXIMUM


class StreamState(Flow):
    """
    A stream that is open.

    @ivar id: its number
    @ivar left: bytes of the peer's message that must still come, or -1 if it has not said
    @ivar headed: whether the message's head has come (client: the final one)
    @ivar ended: whether we have sent END_STREAM
    @ivar peer_ended: whether the peer has
    @ivar method: of our request (client)
    """

    __slots__ = ("ended", "headed", "id", "left", "method", "peer_ended")

    def __init__(self, stream_id: int, sendable: int, receivable: int) -> None:
        # what Flow does, but for a call: there is one of these for each request
        self.sendable = sendable
        self.receivable = receivable
        self._returned = 0
        self._half = receivable >> 1
        self.id = stream_id
        self.left = -1
        self.headed = False
        self.ended = False
        self.peer_ended = False
        self.method = b""
