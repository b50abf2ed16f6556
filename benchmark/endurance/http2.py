# -*- test-case-name: tests.benchmark.endurance.test_http2 -*-
"""
Counting clients of HTTP/2 and gRPC: many streams on a connection, of which a new one is opened when the other end says
that it goes away (GOAWAY); what it has begun is to be finished. In clear and over TLS.

A call is one message there and back, or a stream of them with pauses, which is under way whatever happens.
"""

import asyncio
import ssl
from itertools import count

from hpack import Decoder, Encoder, HPACKError

from benchmark.clients.wire import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
    settings,
    window_update,
)
from benchmark.endurance.talk import PATIENCE, Client, Talk, opened, pause
from benchmark.endurance.tally import Lost, Tally

#: the error of a stream that nobody has begun with
REFUSED_STREAM = 7
#: streams at a time
STREAMS = 8
#: seconds between two calls on each of them
THINK = 0.25
#: one call in so many is a stream of messages, with pauses
LONG, MESSAGES, BETWEEN = 8, 10, 0.1

_numbers = count(1)


class Refused(Exception):
    """The other end has not begun with a stream: it may be sent again."""


class Stream:
    """One call; C{status} and C{grpc} are its answer's."""

    def __init__(self) -> None:
        self.status = self.grpc = ""
        self.body = bytearray()
        self.ended = False
        self.error: Exception | None = None
        self.changed = asyncio.Event()

    async def until(self, size: int, end: bool) -> None:
        """Wait for so many bytes of the body, or for its end; raises L{Lost} or L{Refused}."""
        while len(self.body) < size or (end and not self.ended):
            if self.error is not None:
                raise self.error
            if self.ended:
                raise Lost(f"ended early, {self.status or 'without a status'}, gRPC {self.grpc or 'without one'}")
            self.changed.clear()
            try:
                async with asyncio.timeout(PATIENCE):
                    await self.changed.wait()
            except TimeoutError:
                raise Lost("no answer in time") from None


class Connection:
    """
    One, as a client (RFC 9113). What it sends is so little that no window is ever full.

    @ivar going: whether no more streams may be begun
    """

    def __init__(self, talk: Talk, grpc: bool) -> None:
        self.talk = talk
        self._kind = [("content-type", "application/grpc"), ("te", "trailers")] if grpc else []
        self._encoder, self._decoder = Encoder(), Decoder()
        self._streams: dict[int, Stream] = {}
        self._last = -1
        self.going = False
        talk.writer.write(PREFACE + settings({}))
        self._reading = asyncio.create_task(self._read())

    def __len__(self) -> int:
        return len(self._streams)

    def begin(self, path: str) -> int:
        """A call; its stream."""
        self._last = number = self._last + 2
        self._streams[number] = Stream()
        pseudo = [(":method", "POST"), (":scheme", "http"), (":authority", "web.local"), (":path", path)]
        self.talk.writer.write(frame(HEADERS, END_HEADERS, number, self._encoder.encode([*pseudo, *self._kind])))
        return number

    def send(self, number: int, data: bytes, end: bool) -> None:
        """Raises what has become of the stream, if it is over."""
        error = self._streams[number].error
        if error is not None:
            raise error
        self.talk.writer.write(frame(DATA, END_STREAM if end else 0, number, data))

    def stream(self, number: int) -> Stream:
        """It, until it is forgotten."""
        return self._streams[number]

    def forget(self, number: int) -> None:
        """It is over."""
        self._streams.pop(number, None)
        if self.going and not self._streams:
            self.close()

    def close(self) -> None:
        """Let go of it."""
        self.going = True
        self._reading.cancel()
        self.talk.close()

    async def _read(self) -> None:
        reader, why = self.talk.reader, "closed"
        try:
            while True:
                high, low, kind, flags, number = HEAD.unpack(await reader.readexactly(HEAD.size))
                self._frame(kind, flags, number, await reader.readexactly(high << 8 | low))
        except asyncio.IncompleteReadError:
            pass
        except (OSError, HPACKError) as e:
            why = type(e).__name__
        self.going = True
        self._fail_above(0, Lost(why))

    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind in (SETTINGS, PING) and not flags & ACK:
            self.talk.writer.write(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind == GOAWAY:
            self.going = True
            error = int.from_bytes(payload[4:8], "big")
            if error:
                self._fail_above(0, Lost(f"GOAWAY, error {error}"))
            self._fail_above(int.from_bytes(payload[:4], "big"), Refused())
        elif kind == HEADERS:
            # of streams that nobody looks at any more, too: the table goes by all of them
            fields = dict(self._decoder.decode(payload))
            self._of_stream(kind, flags, number, b"", {str(name): str(value) for name, value in fields.items()})
        elif kind in (DATA, RST_STREAM):
            self._of_stream(kind, flags, number, payload, {})

    def _of_stream(self, kind: int, flags: int, number: int, payload: bytes, fields: dict[str, str]) -> None:
        if kind == DATA and payload:
            self.talk.writer.write(window_update(0, len(payload)))
        stream = self._streams.get(number)
        if stream is None:
            return
        if kind == RST_STREAM:
            error = int.from_bytes(payload, "big")
            self._fail(stream, Refused() if error == REFUSED_STREAM else Lost(f"reset, error {error}"))
        elif kind == DATA:
            stream.body += payload
        else:
            stream.status = fields.get(":status", stream.status)
            stream.grpc = fields.get("grpc-status", stream.grpc)
        stream.ended = stream.ended or (kind != RST_STREAM and bool(flags & END_STREAM))
        stream.changed.set()

    def _fail_above(self, last: int, error: Exception) -> None:
        for number, stream in self._streams.items():
            if number > last:
                self._fail(stream, error)

    def _fail(self, stream: Stream, error: Exception) -> None:
        if not stream.ended:
            stream.error = stream.error or error
        stream.changed.set()


def calls(port: int, grpc: bool = False, context: ssl.SSLContext | None = None) -> Client:
    """So many streams at a time, on one connection for as long as that takes more."""

    async def client(tally: Tally) -> None:
        current: list[Connection] = []
        old: list[Connection] = []
        opening = asyncio.Lock()

        async def connection() -> Connection | None:
            async with opening:
                if current and current[0].going:
                    old.append(current.pop())
                    old[:] = [one for one in old if len(one)]
                if not current:
                    talk = await opened(tally, port, context)
                    if talk is not None:
                        current.append(Connection(talk, grpc))
                return current[0] if current else None

        async def stream() -> None:
            while True:
                if (one := await connection()) is not None:
                    await call(tally, one, grpc)
                await pause(THINK)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(STREAMS):
                    group.create_task(stream())
        finally:
            for one in (*current, *old):
                one.close()

    return client


async def call(tally: Tally, one: Connection, grpc: bool) -> None:
    """One, long or short."""
    number = next(_numbers)
    messages = MESSAGES if number % LONG == 0 else 1
    stream = 0
    refused = False
    path = f"/count.Echo/{number}"
    with tally.trial(one.talk.opened, one.talk.port):
        try:
            stream = one.begin(path)
            said = b""
            for turn in range(messages):
                text = b"%d.%d" % (number, turn)
                message = b"\x00" + len(text).to_bytes(4, "big") + text
                said += message
                last = turn == messages - 1
                one.send(stream, message, last)
                if grpc or last:
                    await one.stream(stream).until(len(said) if grpc else 0, last)
                if not last:
                    await asyncio.sleep(BETWEEN)
            check(one.stream(stream), said if grpc else f"{path} {len(said)}".encode(), grpc)
        except Refused:
            refused = True
        finally:
            one.forget(stream)
    if refused:
        # nobody has begun with it: the next is its second try
        tally.begun, tally.done, tally.again = tally.begun - 1, tally.done - 1, tally.again + 1


def check(stream: Stream, expected: bytes, grpc: bool) -> None:
    """Look closely: gRPC's upstream says the same, HTTP/1's how much it was. Raises L{Lost}."""
    if stream.status != "200":
        raise Lost(f"answered {stream.status}")
    if grpc and stream.grpc != "0":
        raise Lost(f"gRPC {stream.grpc or 'without a status'}")
    if bytes(stream.body) != expected:
        raise Lost("another's answer")
