# -*- test-case-name: tests.benchmark.clients.test_wire -*-
"""
HTTP/2 for load programs (RFC 9113): one end of a connection, as frames; nobody's library, so that it costs little.

It keeps to the windows and answers SETTINGS and PING. It does not read header blocks: a load program looks at the first
answer with a real decoder and counts frames from then on.
"""

import socket
import struct
from collections.abc import Iterator, Mapping

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM = ACK = 1
END_HEADERS = 4
HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE = 1, 4
#: settings by their identifier, where nothing is said
DEFAULTS = {HEADER_TABLE_SIZE: 4096, 2: 1, 3: 2**31 - 1, INITIAL_WINDOW_SIZE: 65_535, 5: 16_384}
#: length (in two parts), kind, flags, stream
HEAD = struct.Struct(">HBBBI")
SETTING = struct.Struct(">HI")
#: what one read takes at most
READ = 262_144


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame, whole."""
    length = len(payload)
    return HEAD.pack(length >> 8, length & 0xFF, kind, flags, stream) + payload


def settings(values: Mapping[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(SETTING.pack(*one) for one in values.items()))


def window_update(stream: int, more: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, more.to_bytes(4, "big"))


class Closed(ConnectionError):
    """The other end has closed the connection, or announced that with GOAWAY."""


class Wire:
    """
    One end of a connection on a blocking socket: what is to be written gathers in C{out} until L{flush}.

    @ivar window: bytes that the other end lets us send on the connection
    @ivar credit: stream -> bytes that it lets us send there, of the streams whose owner has put them in
    @ivar peer: its settings
    @ivar taken: bytes of DATA that came since the connection's window was last renewed
    """

    def __init__(self, connection: socket.socket, window: int) -> None:
        """C{window}: what we let the other end send, on each stream and on the connection; at least 65,535."""
        self.connection, self.own = connection, window
        self.window, self.credit = 65_535, dict[int, int]()
        self.peer = dict(DEFAULTS)
        self.taken, self.rest, self.out = 0, b"", bytearray()
        self.out += settings({INITIAL_WINDOW_SIZE: window})
        if window > 65_535:
            self.out += window_update(0, window - 65_535)

    def fileno(self) -> int:
        return self.connection.fileno()

    def flush(self) -> None:
        """Send what has gathered."""
        if self.out:
            self.connection.sendall(self.out)
            self.out.clear()

    def read(self) -> Iterator[tuple[int, int, int, bytes]]:
        """
        What one C{recv} brings of frames that concern streams: kind, flags, stream, payload.

        The connection's own are dealt with; their answers gather like everything else. Raises L{Closed}.
        """
        data = self.connection.recv(READ)
        if not data:
            raise Closed("the connection was closed")
        data = self.rest + data if self.rest else data
        at, there = 0, len(data)
        while there - at >= HEAD.size:
            high, low, kind, flags, stream = HEAD.unpack_from(data, at)
            start = at + HEAD.size
            end = start + (high << 8 | low)
            if end > there:
                break
            at = end
            if kind == DATA:
                self.taken += end - start
                yield kind, flags, stream, data[start:end]
            elif kind in (HEADERS, RST_STREAM):
                yield kind, flags, stream, data[start:end]
            else:
                self.control(kind, flags, stream, data[start:end])
        self.rest = data[at:]
        if self.taken > self.own // 2:
            self.out += window_update(0, self.taken)
            self.taken = 0

    def control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """A frame that is about the connection, or about a window."""
        if kind == WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if not stream:
                self.window += more
            elif stream in self.credit:
                self.credit[stream] += more
        elif kind == PING and not flags & ACK:
            self.out += frame(PING, ACK, 0, payload)
        elif kind == SETTINGS and not flags & ACK:
            told = dict(SETTING.iter_unpack(payload))
            change = told.get(INITIAL_WINDOW_SIZE, self.peer[INITIAL_WINDOW_SIZE]) - self.peer[INITIAL_WINDOW_SIZE]
            self.credit = {stream: credit + change for stream, credit in self.credit.items()}
            self.peer |= told
            self.out += frame(SETTINGS, ACK, 0)
        elif kind == GOAWAY:
            raise Closed(f"GOAWAY, error {int.from_bytes(payload[4:8], 'big')}: {payload[8:200]!r}")
