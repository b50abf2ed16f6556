# -*- test-case-name: tests.benchmark.clients.test_caller -*-
"""
What the HTTP/2 load programs have in common: a connection that makes calls, GET or gRPC, none like the other.

The first call on each connection is looked at with a real decoder; of all that follow the frames are counted.
"""

import select
from collections.abc import Iterable, Iterator, Sequence

from hpack import Decoder

from benchmark.clients.blocks import Blocks
from benchmark.clients.common import HOST, connect
from benchmark.clients.wire import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PREFACE,
    RST_STREAM,
    Closed,
    Wire,
    frame,
)

#: as most clients of either kind: all that is sent is read
WIDE = 2**30
#: C{:status: 200} of the static table, with which every good answer begins
OK = 0x88
#: stop waiting for the last answers after this long
GRACE_SECONDS = 2.0


def message(size: int) -> bytes:
    """A gRPC message of so many bytes, with its prefix."""
    return b"\x00" + size.to_bytes(4, "big") + b"x" * size


class Caller:
    """
    One connection; a call is a GET, or gRPC where there is something to send.

    @ivar wire: its frames
    @ivar sent: the frames' payload that each call sends; empty for GET
    @ivar expected: bytes of DATA in an answer
    """

    def __init__(self, port: int, path: bytes, sent: bytes = b"", window: int = WIDE) -> None:
        authority = (b":authority", b"%s:%d" % (HOST.encode(), port))
        grpc = [(b"content-type", b"application/grpc"), (b"te", b"trailers"), (b"user-agent", b"benchmark/1.0")]
        method = (b":method", b"POST" if sent else b"GET")
        rest = grpc if sent else [(b"accept", b"*/*"), (b"user-agent", b"benchmark/1.0")]
        self.blocks = Blocks([method, (b":scheme", b"http"), authority, *rest], path)
        self.grpc, self.sent, self.expected = bool(sent), sent, 0
        self.wire = Wire(connect(port), window)
        self.wire.connection.sendall(PREFACE)
        self.stream = -1

    def open(self, payload: bytes, end: bool) -> int:
        """Begin a call; returns its stream. The frames gather until the wire is flushed."""
        self.stream = stream = self.stream + 2
        last = END_STREAM if end else 0
        out = self.wire.out
        out += frame(HEADERS, END_HEADERS | (0 if payload or not end else last), stream, self.blocks.next())
        if payload:
            out += frame(DATA, last, stream, payload)
            self.wire.window -= len(payload)
        return stream

    def call(self) -> int:
        """A whole one."""
        return self.open(self.sent, True)

    def may_call(self) -> bool:
        """Whether the connection's window holds one more."""
        return self.wire.window >= len(self.sent)

    def first(self) -> None:
        """Make one call and look at its answer closely; raises L{ValueError} when it is not what it should be."""
        stream, decoder = self.call(), Decoder()
        self.wire.flush()
        fields: list[list[tuple[str, str]]] = []
        got, ended = 0, False
        while not ended:
            for kind, flags, on, payload in self.wire.read():
                if on != stream or kind == RST_STREAM:
                    raise ValueError(f"frame {kind} on stream {on}: {payload!r}")
                if kind == HEADERS:
                    if not flags & END_HEADERS:
                        raise ValueError("a header block in pieces")
                    fields.append([(str(name), str(value)) for name, value in decoder.decode(payload)])
                else:
                    got += len(payload)
                ended = bool(flags & END_STREAM)
            self.wire.flush()
        status = dict(fields[0]).get(":status")
        rpc = dict(fields[-1]).get("grpc-status")
        if status != "200" or (self.grpc and (rpc != "0" or len(fields) < 2)):
            raise ValueError(f"not a good answer: {fields}")
        self.expected = got

    def close(self) -> None:
        self.wire.connection.close()


def callers(count: int, port: int, path: bytes, sent: bytes) -> list[Caller]:
    """So many connections; the proxy's to its upstream exist from now on."""
    made = [Caller(port, path, sent) for _ in range(count)]
    for one in made:
        one.first()
    return made


class Answers:
    """
    What has come back on some connections.

    @ivar bodies: bytes of DATA so far
    @ivar errors: streams that were reset, or whose answer does not begin with 200
    """

    def __init__(self, made: Sequence[Caller]) -> None:
        self.by_descriptor = {one.wire.fileno(): one for one in made}
        self.bodies = self.errors = 0
        self.descriptors = list(self.by_descriptor)

    def ready(self, timeout: float) -> Iterator[Caller]:
        """Those with something to read."""
        # select, for its timeout counts microseconds where epoll's counts milliseconds
        for descriptor in select.select(self.descriptors, (), (), timeout)[0]:
            yield self.by_descriptor[descriptor]

    def ended(self, one: Caller) -> Iterable[int]:
        """Read from a connection: the streams that ended well. A reset one is an error and gone."""
        for kind, flags, stream, payload in one.wire.read():
            if kind == DATA:
                self.bodies += len(payload)
            elif kind == RST_STREAM:
                self.errors += 1
                continue
            elif not flags & END_STREAM and payload[:1] != b"\x88":
                self.errors += 1
            if flags & END_STREAM:
                yield stream


__all__ = ["GRACE_SECONDS", "INITIAL_WINDOW_SIZE", "Answers", "Caller", "Closed", "callers", "message"]
