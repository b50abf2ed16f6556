# -*- test-case-name: tests.protocols.http.h2.test_lane -*-
"""
What the tests of HTTP/2 have in common: a handler that notes what it is told, and a peer that writes what it likes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpack import Decoder, Encoder

from lproxy.protocols.http.h2 import frames as wire
from lproxy.protocols.http.h2.engine import PREFACE, Engine, Head
from lproxy.protocols.http.h2.framing import FrameReader
from lproxy.protocols.http.message import Headers

REQUEST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"web.local")]
POST = [(b":method", b"POST"), *REQUEST[1:]]
ANSWER = [(b":status", b"200")]

NAMES = {
    wire.DATA: "DATA",
    wire.HEADERS: "HEADERS",
    wire.PRIORITY: "PRIORITY",
    wire.RST_STREAM: "RST_STREAM",
    wire.SETTINGS: "SETTINGS",
    wire.PUSH_PROMISE: "PUSH_PROMISE",
    wire.PING: "PING",
    wire.GOAWAY: "GOAWAY",
    wire.WINDOW_UPDATE: "WINDOW_UPDATE",
    wire.CONTINUATION: "CONTINUATION",
}


def split(reader: FrameReader, data: bytes) -> list[tuple[int, int, int, bytes]]:
    """The frames that are whole with C{data}."""
    reader.feed(data)
    frames = []
    while reader.next():
        frames.append((reader.kind, reader.flags, reader.stream_id, reader.payload))
    return frames


class Recorder:
    """
    A handler that notes each call, and does what C{on} says at one. Interpreted, so that it inherits from none.

    @ivar told: the calls, each its name and arguments; heads as what they say
    @ivar heads: the last head of each stream
    """

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.heads: dict[int, Head] = {}
        self.on: dict[str, Callable[..., None]] = {}

    def note(self, name: str, *arguments: Any) -> None:
        """It was called."""
        self.told.append((name, *arguments))
        if name in self.on:
            self.on[name](*arguments)

    def named(self, *names: str) -> list[tuple[Any, ...]]:
        """Those calls."""
        return [call for call in self.told if call[0] in names]

    def headers(self, stream_id: int, head: Head, end: bool) -> None:
        """See C{Handler}."""
        self.heads[stream_id] = head
        self.note("headers", stream_id, head.status or head.method, end)

    def data(self, stream_id: int, data: bytes, end: bool) -> None:
        """See C{Handler}."""
        self.note("data", stream_id, data, end)

    def trailers(self, stream_id: int, fields: Headers) -> None:
        """See C{Handler}."""
        self.note("trailers", stream_id, [tuple(field) for field in fields])

    def oversized(self, stream_id: int, end: bool) -> None:
        """See C{Handler}."""
        self.note("oversized", stream_id, end)

    def stream_reset(self, stream_id: int, code: int) -> None:
        """See C{Handler}."""
        self.note("stream_reset", stream_id, code)

    def refused(self, stream_id: int, code: int, reason: str, detail: str) -> None:
        """See C{Handler}."""
        self.note("refused", stream_id, code, reason)

    def window(self, stream_id: int) -> None:
        """See C{Handler}."""
        self.note("window", stream_id)

    def settings(self) -> None:
        """See C{Handler}."""
        self.note("settings")

    def ping_acked(self, payload: bytes) -> None:
        """See C{Handler}."""
        self.note("ping_acked", payload)

    def goaway(self, last_id: int, code: int, debug: bytes) -> None:
        """See C{Handler}."""
        self.note("goaway", last_id, code, debug)


class Peer:
    """
    The other end, which writes frames by hand and reads those that come by name.

    @ivar limit: of the fields that it decodes
    """

    def __init__(self, engine: Engine, client: bool) -> None:
        """
        @param client: whether it is the client
        """
        self.engine = engine
        self.client = client
        self.encoder, self.decoder = Encoder(), Decoder(1 << 20)
        self.reader = FrameReader(b"" if client else PREFACE)
        self._block = b""

    def begin(self, *settings: tuple[int, int]) -> Peer:
        """Say what a connection begins with, and acknowledge what the engine has said."""
        self.engine.receive((PREFACE if self.client else b"") + wire.settings(settings))
        self.engine.receive(wire.frame(wire.SETTINGS, wire.ACK, 0, b""))
        self.read()
        return self

    def frame(self, kind: int, flags: int, stream_id: int, payload: bytes = b"") -> None:
        """Send any frame."""
        self.engine.receive(wire.frame(kind, flags, stream_id, payload))

    def section(self, fields: Headers) -> bytes:
        """Fields, encoded."""
        return self.encoder.encode(fields)

    def headers(self, stream_id: int, fields: Headers, end: bool = False) -> None:
        """Send a field section."""
        flags = wire.END_HEADERS | (wire.END_STREAM if end else 0)
        self.frame(wire.HEADERS, flags, stream_id, self.section(fields))

    def data(self, stream_id: int, data: bytes, end: bool = False) -> None:
        """Send DATA."""
        self.frame(wire.DATA, wire.END_STREAM if end else 0, stream_id, data)

    def reset(self, stream_id: int, code: int = 8) -> None:
        """Send RST_STREAM."""
        self.engine.receive(wire.reset(stream_id, code))

    def window(self, stream_id: int, increment: int) -> None:
        """Send WINDOW_UPDATE."""
        self.engine.receive(wire.window_update(stream_id, increment))

    def read(self) -> list[tuple[Any, ...]]:
        """What the engine has sent: type, stream, whether that ends it, and what it says."""
        return [self.understood(*frame) for frame in split(self.reader, self.engine.take())]

    def understood(self, kind: int, flags: int, stream_id: int, payload: bytes) -> tuple[Any, ...]:
        """One frame, for comparing."""
        name = NAMES[kind]
        said: Any = payload
        if kind in (wire.HEADERS, wire.CONTINUATION):
            self._block += payload
            said = None
            if flags & wire.END_HEADERS:
                said = [tuple(field) for field in self.decoder.decode(self._block, raw=True)]
                self._block = b""
            return (name, stream_id, bool(flags & wire.END_STREAM), said)
        if kind == wire.DATA:
            return (name, stream_id, bool(flags & wire.END_STREAM), said)
        if kind in (wire.RST_STREAM, wire.WINDOW_UPDATE):
            return (name, stream_id, int.from_bytes(payload, "big"))
        if kind == wire.GOAWAY:
            last_id, code, _ = wire.read_goaway(payload)
            return (name, last_id, code)
        if kind == wire.SETTINGS:
            return (name, "ACK" if flags & wire.ACK else dict(wire.read_settings(payload)))
        if kind == wire.PING:
            return (name, bool(flags & wire.ACK), payload)
        return (name, stream_id, payload)
