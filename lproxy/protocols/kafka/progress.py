# -*- test-case-name: tests.protocols.kafka.test_progress -*-
"""
Does a connection move? A frame that has begun must go on, and a connection must be used.
"""

from __future__ import annotations

#: bytes read from and written to the client, and the broker
Counts = tuple[int, int, int, int]


class Progress:
    """
    What was seen of a connection, each time that somebody looked.

    @param frame_progress: seconds for which a frame may stand still
    @param idle: seconds without any byte
    """

    __slots__ = ("_frame_progress", "_idle", "_moved", "_seen", "_since_broker", "_since_client")

    def __init__(self, frame_progress: float, idle: float, now: float) -> None:
        self._frame_progress = frame_progress
        self._idle = idle
        self._seen: Counts = (-1, -1, -1, -1)
        self._moved = now
        #: since when each side does not go on, C{None} where it does
        self._since_client: float | None = None
        self._since_broker: float | None = None

    def look(self, now: float, seen: Counts, on_client: bool, on_broker: bool) -> str:
        """
        Called now and then.

        @param seen: bytes so far
        @param on_client: a request has begun, and it is the client that does not go on
        @param on_broker: as well of a response and the broker
        @return: why the connection is to be closed: C{idle}, C{stalled} or C{upstream_stalled}; empty where it is not
        """
        before, self._seen = self._seen, seen
        if seen != before:
            self._moved = now
        elif now - self._moved >= self._idle:
            return "idle"
        self._since_client = self._since(self._since_client, on_client and seen[0] == before[0], now)
        self._since_broker = self._since(self._since_broker, on_broker and seen[2] == before[2], now)
        if self._too_long(self._since_client, now):
            return "stalled"
        return "upstream_stalled" if self._too_long(self._since_broker, now) else ""

    def _since(self, since: float | None, still: bool, now: float) -> float | None:
        if not still:
            return None
        return now if since is None else since

    def _too_long(self, since: float | None, now: float) -> bool:
        return since is not None and now - since >= self._frame_progress
