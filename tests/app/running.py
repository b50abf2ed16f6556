# -*- test-case-name: tests.app.test_service -*-
"""
A proxy on real sockets, and clients that talk to it, in a test's own reactor.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor as real
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ReactorNotRunning
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from lproxy.app.plugins import Found
from lproxy.app.service import Proxy
from lproxy.config import Admin, Config, Listen
from lproxy.configfile.collector import at_once
from lproxy.protocols.tcp.plugin import TcpPlugin
from tests.note import Note

reactor: Any = real
ANY = "127.0.0.1:0"


class Stoppable:
    """The reactor, but for its stop: that is counted, and may be done once."""

    def __init__(self) -> None:
        self.stopped = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def stop(self) -> None:
        if self.stopped:
            raise ReactorNotRunning
        self.stopped += 1


class Client(Protocol):
    """
    Asks, and is answered.

    @ivar heard: what it was told and has not asked for
    @ivar gone: fires when the connection is closed
    """

    def __init__(self) -> None:
        self.heard = b""
        self.gone: Deferred[None] = Deferred()
        self._waiting: tuple[int, Deferred[bytes]] | None = None

    def ask(self, data: bytes, size: int) -> Deferred[bytes]:
        """Say C{data}; the next C{size} bytes that it hears, or fewer where the connection ends."""
        answer: Deferred[bytes] = Deferred()
        self._waiting = size, answer
        self.transport.write(data)  # type: ignore[union-attr]
        self._look()
        return answer

    def leave(self) -> Deferred[None]:
        """Close the connection."""
        self.transport.loseConnection()  # type: ignore[union-attr]
        return self.gone

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        self._look()

    def connectionLost(self, reason: Any = None) -> None:
        self._look(True)
        self.gone.callback(None)

    def _look(self, ended: bool = False) -> None:
        if self._waiting is not None and (ended or len(self.heard) >= self._waiting[0]):
            (size, answer), self._waiting = self._waiting, None
            told, self.heard = self.heard[:size], self.heard[size:]
            answer.callback(told)


class RunningCase(TestCase):
    """
    Real sockets: what is opened is let go of.

    @ivar note: the protocol of most listeners, beside tcp
    """

    def setUp(self) -> None:
        self.note = Note()
        self.reactor = Stoppable()

    def found(self, *more: Found) -> list[Found]:
        return [Found(f"{one.name}.py", one.name, "1", one) for one in (TcpPlugin(), self.note)] + list(more)

    def config(self, *listeners: Listen, **more: Any) -> Config:
        """Listeners on ports that the kernel chooses, an admin server too."""
        return Config(**{"admin": Admin(address=ANY), "listen": listeners or (self.listen(),), **more})

    def listen(self, name: str = "a", tag: str = "", address: str = ANY, **more: Any) -> Listen:
        """A listener of notes, whose answers begin with C{tag}."""
        return Listen(name=name, address=address, protocol="note", plugins={"note": {"tag": tag}}, **more)

    def proxy(self, config: Config) -> Proxy:
        return Proxy(config, self.found(), self.reactor)

    def start(self, config: Config) -> Proxy:
        """Start it."""
        proxy = self.proxy(config)
        proxy.privilegedStartService()
        proxy.startService()
        return proxy

    def swap_in(self, proxy: Proxy, config: Config) -> None:
        """Have it serve by C{config}."""
        proxy.swap(config, at_once(proxy.assemble(config)))

    async def stop(self, proxy: Proxy) -> None:
        """Stop it, and give sockets that are closed by the reactor their turn."""
        await proxy.stopService()
        await self.turn()

    async def turn(self, seconds: float = 0.0) -> None:
        """Let the reactor turn."""
        await deferLater(reactor, seconds)

    async def until(self, condition: Any) -> None:
        """Until C{condition()} holds; a test has its own timeout."""
        while not condition():
            await self.turn(0.001)

    async def connect(self, address: tuple[str, int]) -> Client:
        """A client of the proxy's."""
        return await TCP4ClientEndpoint(reactor, *address).connect(Factory.forProtocol(Client))

    async def knock(self, address: tuple[str, int]) -> None:
        """Connect, and wait until that is closed or reset, perhaps at once."""
        with socket.create_connection(address, 5) as client:
            client.setblocking(False)
            await self.until(lambda: _ended(client))

    def assert_clean(self) -> None:
        """Nothing of ours is left in the reactor, which has a timer of trial's and descriptors of its own."""
        self.assertEqual([], [call for call in reactor.getDelayedCalls() if "TestCase" not in str(call)])
        left = [*reactor.getReaders(), *reactor.getWriters()]
        self.assertEqual([], [one for one in left if "Waker" not in type(one).__name__])


def _ended(client: socket.socket) -> bool:
    try:
        return not client.recv(65536)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
