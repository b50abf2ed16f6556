# -*- test-case-name: tests.protocols.http -*-
"""
A listener of HTTP in memory, a client or more in front of it and upstreams behind it, all at a test's command.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Limits, Timeouts
from lproxy.protocols.http.factory import HttpFactory
from lproxy.protocols.http.plugin import HttpPlugin
from lproxy.protocols.http.pool import Pool
from lproxy.target import UNKNOWN
from lproxy.testing import Peer, ScriptedProxy
from lproxy.testing.wire import MemoryStream
from lproxy.transport.stream import Secured

HOST = "web.test"
GET = b"GET / HTTP/1.1\r\nHost: web.test\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def get(path: str = "/", *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    """A request without a body."""
    lines = [f"{method} {path} HTTP/{version}", "Host: web.test", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def post(body: bytes = b"", *fields: str, length: int | None = None, method: str = "POST") -> bytes:
    """A request with a body of C{length}, or only the beginning of it."""
    return get("/", f"Content-Length: {len(body) if length is None else length}", *fields, method=method) + body


def ok(body: bytes = b"ok", *fields: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """An answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *fields]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Tuned(HttpPlugin):
    """The built-in plugin, for a listener that is changed a little."""

    def __init__(self, **changes: Any) -> None:
        self.changes = changes

    def factory(self, runtime: Any, config: None) -> Any:
        """As the plugin's."""
        listen = replace(runtime.listen, **self.changes.pop("listen", {}))
        kept = {name: value for name, value in self.changes.items() if name in ("limits", "timeouts")}
        outward = replace(runtime.outward, **kept)
        self.runtime = replace(runtime, listen=listen, outward=outward, **self.changes)
        return HttpFactory(self.runtime)


class HttpTestCase(SynchronousTestCase):
    """
    Tests of one listener. At the end of each all clients leave, and nothing may be left over.

    @ivar crashed: exceptions that a test expects
    """

    target = "upstream.test:9000"
    timeouts = Timeouts()
    limits = Limits()
    listen: dict[str, Any] = {}
    metadata = UNKNOWN
    crashed = 0

    def setUp(self) -> None:
        self.clients: list[Peer] = []
        self.start()

    def start(self, **changes: Any) -> None:
        """Begin anew, with a listener of other settings."""
        changes = {"timeouts": self.timeouts, "limits": self.limits, "listen": dict(self.listen), **changes}
        self.proxy = ScriptedProxy(Tuned(**changes), target=self.target, metadata=self.metadata)
        self.factory: HttpFactory = self.proxy.factory
        self.factory.start()
        self.clients.clear()

    def tearDown(self) -> None:
        for client in self.clients:
            client.reset()
        self.settle()
        self.assertEqual({}, self.factory.listener.clients)
        self.factory.stop()
        crashes, self.proxy.crashes = self.proxy.crashes, []
        self.assertEqual([], self.proxy.left())
        self.assertEqual(self.crashed, len(crashes), [crash.getTraceback() for crash in crashes])

    def settle(self) -> None:
        """All that can happen now happens."""
        self.proxy.settle()

    def wait(self, seconds: float, step: float = 0.05) -> None:
        """Time passes, and everything takes its turn in it."""
        for _ in range(round(seconds / step)):
            self.proxy.settle(step)

    def client(self, *data: bytes, tls: Secured | None = None) -> Peer:
        """A client that has said C{data}, piece by piece."""
        client = self.proxy.client(tls=tls)
        self.clients.append(client)
        for piece in data:
            self.say(client, piece)
        return client

    def say(self, peer: Peer, data: bytes) -> None:
        """C{peer} says something, and it is read."""
        peer.say(data)
        self.settle()

    def heard(self, peer: Peer) -> bytes:
        """What C{peer} has heard since it was last asked."""
        self.settle()
        heard, peer.heard = peer.heard, b""
        return heard

    @property
    def ups(self) -> list[Peer]:
        """Upstream connections, in order."""
        return self.proxy.connector.upstreams

    @property
    def up(self) -> Peer:
        """The latest of them."""
        return self.ups[-1]

    @property
    def open(self) -> list[Peer]:
        """Those that have not ended."""
        return [up for up in self.ups if up.ended not in ("closed", "reset")]

    @property
    def idle(self) -> int:
        """Connections that are kept for later requests."""
        return len(self.pool.idle)

    @property
    def pool(self) -> Pool:
        """Of the upstream."""
        service = self.proxy.acquires["http"].service
        assert isinstance(service, Pool)
        return service

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The access log: status and flags."""
        return [(row["status"], row["flags"]) for row in self.proxy.records]

    @property
    def errors(self) -> dict[str, int]:
        """Answers of our own, by reason."""
        return self.factory.listener.record.faults.errors

    @property
    def rejected(self) -> dict[str, int]:
        """Input refused, by reason."""
        return self.factory.listener.record.faults.rejected

    def session(self) -> Any:
        """The only one."""
        (session,) = self.proxy.sessions
        return session

    def stream(self, peer: Peer) -> MemoryStream:
        """The proxy's side of the connection with C{peer}."""
        (stream,) = (stream for stream in self.proxy.reactor.streams if stream.peer is peer)
        return stream
