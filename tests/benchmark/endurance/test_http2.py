# -*- test-case-name: tests.benchmark.endurance.test_http2 -*-
"""
L{benchmark.endurance.http2}: streams that are counted, and what a connection's end means to them.
"""

from asyncio import StreamReader, StreamWriter

from hpack import Encoder
from twisted.trial.unittest import SynchronousTestCase

from benchmark.clients.wire import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    frame,
    settings,
)
from benchmark.endurance import http2
from tests.benchmark.endurance.talking import Serve, counted, one_lost


def serving(most: int, end: bytes = b"") -> Serve:
    """A gRPC server that sends messages back on so many streams, and says C{end} to the next, but ends those."""

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readexactly(len(PREFACE))
        writer.write(settings({}) + frame(PING, 0, 0, bytes(8)))
        encoder, live = Encoder(), 0
        while True:
            high, low, kind, flags, stream = HEAD.unpack(await reader.readexactly(HEAD.size))
            payload = await reader.readexactly(high << 8 | low)
            if stream > 2 * most:
                if kind == HEADERS:
                    writer.write(end.replace(b"STRM", stream.to_bytes(4, "big")))
                if end and end[3] == GOAWAY and not live:
                    return
            elif kind == HEADERS:
                live += 1
                writer.write(frame(HEADERS, END_HEADERS, stream, encoder.encode([(":status", "200")])))
            elif kind == DATA:
                writer.write(frame(DATA, 0, stream, payload))
                if flags & END_STREAM:
                    live -= 1
                    last = encoder.encode([("grpc-status", "0")])
                    writer.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, last))

    return serve


class Http2Tests(SynchronousTestCase):
    """Calls of gRPC, short and long."""

    def setUp(self) -> None:
        for name, value in {"THINK": 0.0, "LONG": 2, "MESSAGES": 3, "BETWEEN": 0.001}.items():
            self.patch(http2, name, value)

    def make(self, port: int) -> http2.Client:
        return http2.calls(port, grpc=True)

    def test_done(self) -> None:
        """Calls are done, many at a time."""
        self.assertEqual([], counted(self.make, serving(1_000_000), lambda tally: tally.done >= 40).losses)

    def test_going_away(self) -> None:
        """Of a connection that goes away what was begun is finished, and what was not is sent again: no loss."""
        goaway = frame(GOAWAY, 0, 0, (2 * 20 - 1).to_bytes(4, "big") + bytes(4))
        tally = counted(self.make, serving(20, goaway), lambda tally: tally.done >= 60)
        self.assertEqual([], tally.losses)
        self.assertGreaterEqual(tally.again, 1)
        self.assertGreaterEqual(tally.begun, tally.done)

    def test_lost(self) -> None:
        """A stream that is reset, and a connection that goes away because of an error."""
        reset = frame(RST_STREAM, 0, 0, (2).to_bytes(4, "big"))
        reset = reset[:5] + b"STRM" + reset[9:]
        error = frame(GOAWAY, 0, 0, bytes(4) + (1).to_bytes(4, "big"))
        self.assertEqual("reset, error 2", one_lost(self.make, serving(2, reset)))
        self.assertEqual("GOAWAY, error 1", one_lost(self.make, serving(2, error)))

    def test_refused(self) -> None:
        """A stream that is refused may be sent again."""
        refused = frame(RST_STREAM, 0, 0, (7).to_bytes(4, "big"))
        refused = refused[:5] + b"STRM" + refused[9:]
        tally = counted(self.make, serving(2, refused), lambda tally: tally.again >= 2)
        self.assertEqual([], tally.losses)
