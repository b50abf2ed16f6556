"""
What tests of transport have in common: a reader that remembers, and real sockets under a hub that the test polls.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.address import clean_address
from lproxy.transport.hub import Descriptor, EpollHub
from lproxy.transport.socket import SocketStream
from lproxy.transport.stream import Conn

#: what the kernel keeps for a peer that does not read: a few KiB
LITTLE = 4096
#: turns after which nothing comes to rest any more
FOR_EVER = 10_000


class Recorder:
    """
    A reader that remembers.

    @ivar events: bytes, C{eof}, C{lost}, C{pause} and C{resume}
    @ivar then: what is done, or raised, at the event of that name; bytes are C{data}
    """

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.then: dict[str, Callable[[], object] | BaseException] = {}

    def _event(self, name: str, what: Any) -> None:
        self.events.append(what)
        then = self.then.get(name)
        if isinstance(then, BaseException):
            raise then
        if then is not None:
            then()

    @property
    def heard(self) -> bytes:
        """All bytes so far."""
        return b"".join(event for event in self.events if isinstance(event, bytes))

    def data_received(self, data: bytes) -> None:
        self._event("data", data)

    def eof_received(self) -> None:
        self._event("eof", "eof")

    def connection_lost(self) -> None:
        self._event("lost", "lost")

    def pause_writing(self) -> None:
        self._event("pause", "pause")

    def resume_writing(self) -> None:
        self._event("resume", "resume")


class FakeReactor(Clock):
    """Knows its readers."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        assert reader not in self.readers
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        if reader in self.readers:
            self.readers.remove(reader)

    def getReaders(self) -> list[Any]:
        return list(self.readers)


class ScriptedHub(Clock):
    """
    A hub whose descriptors are ready when the test says so.

    @ivar wanted: what each descriptor waits for
    """

    def __init__(self) -> None:
        super().__init__()
        self.wanted: dict[Descriptor, int] = {}

    def want(self, descriptor: Descriptor, interest: int) -> None:
        descriptor.interest = interest
        self.wanted[descriptor] = interest
        if not interest:
            del self.wanted[descriptor]

    def forget(self, descriptor: Descriptor) -> None:
        self.want(descriptor, 0)
        descriptor.events = None

    def served(self, descriptor: Descriptor) -> bool:
        return descriptor in self.wanted

    def call_later(self, delay: float, f: Any, *args: Any) -> Any:
        return self.callLater(delay, f, *args)


class SocketCase(SynchronousTestCase):
    """Streams on real sockets, in a real epoll that only the test polls."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.hub = EpollHub(self.reactor)
        self.streams: list[SocketStream] = []
        self.addCleanup(self._clean_up)

    def _clean_up(self) -> None:
        for stream in self.streams:
            stream.abort()
        self.assertEqual(([], 0), (self.reactor.readers, len(self.hub)))
        self.hub.close()

    def unix(self, little: bool = False) -> tuple[SocketStream, socket.socket]:
        """
        A stream and its peer, whose bytes are there as soon as they are sent.

        @param little: whether the kernel takes but little of what the stream writes
        """
        return self._stream(*socket.socketpair(), little)

    def tcp(self) -> tuple[SocketStream, socket.socket]:
        """The same by TCP, which knows resets, and may take a moment."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            there = socket.create_connection(server.getsockname())
            here, _ = server.accept()
        for sock in (here, there):
            # as listeners and connectors set it: nothing waits for what was sent before to be confirmed
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._stream(here, there, False)

    def _stream(self, here: socket.socket, there: socket.socket, little: bool) -> tuple[SocketStream, socket.socket]:
        if little:
            here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LITTLE)
        self.addCleanup(there.close)
        for sock in (here, there):
            sock.setblocking(False)
        conn = Conn(clean_address(here.getpeername()), clean_address(here.getsockname()))
        stream = SocketStream(here, self.hub, conn)
        self.streams.append(stream)
        return stream, there

    def ready(self, seconds: float = 0.0) -> bool:
        """Whether the kernel has anything to tell, now or within C{seconds}."""
        return bool(select.select([self.hub.fileno()], [], [], seconds)[0])

    def settle(self) -> None:
        """Serve until there is nothing more."""
        for _ in range(FOR_EVER):
            if not self.ready():
                return
            self.hub.serve()
        self.fail("never comes to rest")

    def until(self, condition: Callable[[], object]) -> None:
        """Serve until C{condition}, however long the kernel takes."""
        while not condition():
            self.assertTrue(self.ready(10), "nothing happens")
            self.hub.serve()


def drain(sock: socket.socket, most: int = 1 << 30) -> bytes:
    """Read what is there, C{most} bytes at most."""
    got = bytearray()
    while len(got) < most:
        try:
            data = sock.recv(min(65536, most - len(got)))
        except BlockingIOError:
            break
        if not data:
            break
        got += data
    return bytes(got)
