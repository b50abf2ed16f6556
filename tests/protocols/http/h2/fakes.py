# -*- test-case-name: tests.protocols.http.h2 -*-
"""
An engine that only notes what it is told to send, under windows that a test sets.
"""

from __future__ import annotations

from typing import Any

from lproxy.api import Conn
from lproxy.protocols.http.h2.counts import PeerCounts
from lproxy.protocols.http.h2.link import Link
from lproxy.protocols.http.message import Headers
from lproxy.testing import Peer
from lproxy.testing.wire import MemoryStream, ScriptedReactor


class NotingEngine:
    """
    As much of an L{Engine<lproxy.protocols.http.h2.engine.Engine>} as who sends needs.

    @ivar said: what it was told, in order
    @ivar windows: by stream; a stream not among them is over
    @ivar window: the connection's
    """

    def __init__(self, **windows: int) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.windows = {int(name[1:]): window for name, window in windows.items()}
        self.window = 1 << 20

    def take(self) -> bytes:
        """What was said since, for a peer to hear."""
        said, self.said = self.said, []
        return b"".join(b"%r\n" % (one,) for one in said)

    def credit(self, stream_id: int) -> int:
        """Of both windows."""
        return min(self.window, self.windows.get(stream_id, 0))

    def send_data(self, stream_id: int, data: bytes, end: bool) -> int:
        """As far as there is credit."""
        if stream_id not in self.windows:
            return len(data)
        n = min(len(data), self.credit(stream_id))
        self.windows[stream_id] -= n
        self.window -= n
        if n or (end and not data):
            self.said.append(("data", stream_id, data[:n], end and n == len(data)))
        return n

    def send_headers(self, stream_id: int, fields: Headers, end: bool) -> None:
        """Noted."""
        self.said.append(("headers", stream_id, fields, end))

    def reset(self, stream_id: int, code: int, provoked: bool = False) -> None:
        """Noted."""
        self.windows.pop(stream_id, None)
        self.said.append(("reset", stream_id, code))

    def consumed(self, stream_id: int, n: int) -> None:
        """Noted."""
        self.said.append(("consumed", stream_id, n))


def linked(engine: NotingEngine, high_water: int = 65536) -> tuple[Link, MemoryStream, Peer]:
    """A link of C{engine}'s, on a stream to a peer."""
    peer = Peer()
    stream = MemoryStream(ScriptedReactor(), peer, Conn(("10.0.0.1", 1), ("10.0.0.2", 2)))
    stream.high_water = high_water
    link = Link(engine, stream, PeerCounts())  # type: ignore[arg-type]
    return link, stream, peer
