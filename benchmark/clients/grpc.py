# -*- test-case-name: tests.benchmark.clients.test_grpc -*-
"""
The gRPC upstream: every message comes back at once, whatever the method; the status (0) when the client has ended.

So it is a unary server, where one message is sent, and a streaming one. It reads no header block.
"""

import argparse
import gc
import select
import socket
from collections import deque

from benchmark.clients.common import HOST
from benchmark.clients.wire import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADER_TABLE_SIZE,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PREFACE,
    RST_STREAM,
    Closed,
    Wire,
    frame,
    window_update,
)

#: what we let others send on a stream before they hear from us
WINDOW = 1_048_576
#: C{:status: 200}, then C{content-type: application/grpc}: into the table, and from there, before and after the status
HEAD = b"\x88\x5f\x10application/grpc"
HEAD_AGAIN = (b"\x88\xbe", b"\x88\xbf")
#: C{grpc-status: 0}, likewise
STATUS = b"\x40\x0bgrpc-status\x010"
STATUS_AGAIN = b"\xbe"
#: the same for those who keep no table, as nginx does not: literals, and once before them that the table's size is 0
NO_TABLE, HEAD_PLAIN, STATUS_PLAIN = b"\x20", b"\x88\x0f\x10\x10application/grpc", b"\x00\x0bgrpc-status\x010"


class Server:
    """One connection: streams are named here from their HEADERS to our end of them."""

    def __init__(self, connection: socket.socket) -> None:
        self.wire = Wire(connection, WINDOW)
        self.preface = b""
        self.headed = self.ended = False
        self.taken: dict[int, int] = {}
        self.held: deque[tuple[int, bytes, bool]] = deque()

    def step(self) -> None:
        """Read once and answer. Raises L{Closed}."""
        if len(self.preface) < len(PREFACE):
            self.preface += self.wire.connection.recv(len(PREFACE) - len(self.preface))
            if not PREFACE.startswith(self.preface) or not self.preface:
                raise Closed("no HTTP/2")
            return
        for kind, flags, stream, payload in self.wire.read():
            if kind == HEADERS:
                self.begin(stream)
                if flags & END_STREAM:
                    self.held.append((stream, b"", True))
            elif kind == RST_STREAM:
                self.taken.pop(stream, None)
                self.wire.credit.pop(stream, None)
            elif stream in self.taken:
                self.take(stream, len(payload))
                self.held.append((stream, payload, bool(flags & END_STREAM)))
        self.answer()
        self.wire.flush()

    def begin(self, stream: int) -> None:
        """The head of an answer."""
        self.taken[stream] = 0
        self.wire.credit[stream] = self.wire.peer[INITIAL_WINDOW_SIZE]
        if self.wire.peer[HEADER_TABLE_SIZE]:
            block = HEAD_AGAIN[self.ended] if self.headed else HEAD
        else:
            block = HEAD_PLAIN if self.headed else NO_TABLE + HEAD_PLAIN
        self.headed = True
        self.wire.out += frame(HEADERS, END_HEADERS, stream, block)

    def take(self, stream: int, size: int) -> None:
        """Renew a stream's window in time."""
        taken = self.taken[stream] + size
        if taken > WINDOW // 2:
            self.wire.out += window_update(stream, taken)
            taken = 0
        self.taken[stream] = taken

    def answer(self) -> None:
        """Give back what the windows let pass; the rest stays in its order."""
        wire, left = self.wire, deque[tuple[int, bytes, bool]]()
        shut: set[int] = set()
        while self.held:
            stream, payload, end = self.held.popleft()
            if stream not in self.taken:
                continue
            if stream in shut or len(payload) > min(wire.window, wire.credit[stream]):
                left.append((stream, payload, end))
                shut.add(stream)
                continue
            if payload:
                wire.window -= len(payload)
                wire.credit[stream] -= len(payload)
                wire.out += frame(DATA, 0, stream, payload)
            if end:
                known = STATUS_AGAIN if self.ended else STATUS
                block = known if wire.peer[HEADER_TABLE_SIZE] else STATUS_PLAIN
                self.ended = True
                wire.out += frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
                del self.taken[stream], wire.credit[stream]
        self.held = left


def serve(port: int) -> None:
    """Answer on C{port} for ever."""
    gc.disable()
    listener = socket.create_server((HOST, port), backlog=4096)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    live: dict[int, Server] = {}
    while True:
        for descriptor, _ in poll.poll():
            one = live.get(descriptor)
            if one is None:
                made = Server(listener.accept()[0])
                live[made.wire.fileno()] = made
                poll.register(made.wire.fileno(), select.EPOLLIN)
                continue
            try:
                one.step()
            except OSError:
                del live[descriptor]
                one.wire.connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=f"gRPC server on a port of {HOST} that sends every message back.")
    parser.add_argument("port", type=int)
    serve(parser.parse_args().port)


if __name__ == "__main__":
    main()
