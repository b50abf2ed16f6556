# -*- test-case-name: tests.admin.test_server -*-
"""
The admin server, fed with raw HTTP in memory.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from types import SimpleNamespace
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock, Cooperator
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy import config
from lproxy.admin.server import admin_site
from lproxy.app.rows import Standing
from lproxy.metrics.registry import Metrics
from lproxy.protocols.taps import Taps

PATHS = ("/", "/metrics", "/ready", "/live", "/config", "/services", "/connections", "/plugins", "/workers")
COMMANDS = ("/shutdown", "/reload", "/log-level")


class FakeProxy:
    """What a proxy would show; rows may be exceptions."""

    version = "1.2<3"

    def __init__(self) -> None:
        self.taps = Taps()
        self.reason: str | None = None
        self.rows: list[Any] = []
        self.done: list[str] = []
        self.reloading: list[Deferred[Any]] | None = None

    def ready(self) -> str | None:
        return self.reason

    def describe_config(self) -> dict[str, Any]:
        return {"zebra": 1, "apple": {"pear": [1, 2]}}

    def glance(self) -> dict[str, Any]:
        return {}

    def services(self, wanted: str = "") -> list[dict[str, Any]]:
        if self.rows and isinstance(self.rows[0], Exception):
            raise self.rows[0]
        return [row for row in self.rows if wanted in row.get("target", "")]

    def standings(self, wanted: str) -> list[Standing]:
        return [Standing(row.get("target", ""), True, 0, 0, partial(dict, row)) for row in self.services(wanted)]

    def unused(self, wanted: str) -> list[dict[str, Any]]:
        return []

    def connections(self, limit: int = 1_000) -> list[dict[str, Any]]:
        return self.services()[:limit]

    def spoken(self) -> Counter[tuple[str, str]]:
        return Counter()

    def draining(self) -> list[dict[str, Any]]:
        return []

    def failures(self) -> list[dict[str, Any]]:
        return []

    def addresses(self) -> dict[str, tuple[str, int]]:
        return {"web": ("127.0.0.1", 80)}

    def workers(self) -> list[dict[str, str]]:
        return []

    def plugins(self) -> list[dict[str, str]]:
        return []

    def reload(self) -> Deferred[Any]:
        self.done.append("reload")
        said = SimpleNamespace(well=self.reason is None, text=self.reason or "the file is live")
        if self.reloading is None:
            return succeed(said)
        self.reloading.append(Deferred())
        return self.reloading[-1]

    def shutdown(self) -> None:
        self.done.append("shutdown")

    def set_log_level(self, name: str) -> None:
        if name != "debug":
            raise ValueError(f"{name!r} is no log level; there is debug")
        self.done.append(name)


class Answer:
    """One parsed response."""

    def __init__(self, raw: bytes) -> None:
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *fields = head.decode("ascii").split("\r\n")
        self.status = int(first.split()[1])
        self.fields = {k.lower(): v for k, v in (field.split(": ", 1) for field in fields)}
        self.whole = True
        if self.fields.get("transfer-encoding") == "chunked":
            self.whole = body.endswith(b"0\r\n\r\n")
            parts, at = [], 0
            while at < len(body):
                end = body.index(b"\r\n", at)
                size = int(body[at:end], 16)
                parts.append(body[end + 2 : end + 2 + size])
                at = end + 4 + size
            body = b"".join(parts)
        self.body = body
        self.text = body.decode(errors="replace")


class AdminCase(SynchronousTestCase):
    """A site on 127.0.0.1 whose long answers go on whenever the clock does."""

    settings = config.Admin(shutdown=True, log_level=True, reload=True)
    host = "127.0.0.1"

    def setUp(self) -> None:
        self.clock = Clock()
        self.proxy = FakeProxy()
        self.metrics = Metrics(config.Metrics(), self.clock)
        self.site = self.make(self.settings, self.host)

    def make(self, settings: config.Admin, host: str) -> Any:
        """Another site for the same proxy."""
        turns = Cooperator(lambda: lambda: True, lambda f: self.clock.callLater(0.001, f))
        site = admin_site(self.proxy, self.metrics, settings, host, self.clock, self.clock.seconds, turns.cooperate)
        site.reactor = self.clock
        return site

    def connect(self, peer: str = "127.0.0.1") -> tuple[Any, StringTransport]:
        """A client."""
        address = (IPv6Address if ":" in peer else IPv4Address)("TCP", peer, 50000)
        transport = StringTransport(peerAddress=address)
        channel = self.site.buildProtocol(address)
        channel.makeConnection(transport)
        return channel, transport

    def raw(self, request: bytes, peer: str = "127.0.0.1") -> Answer:
        """What is said to these bytes, in the end."""
        channel, transport = self.connect(peer)
        channel.dataReceived(request)
        for _ in range(100):
            self.clock.advance(0.001)
        answer = Answer(transport.value())
        channel.connectionLost(Failure(ConnectionDone()))
        return answer

    def ask(
        self, request: str, *fields: str, host: str | None = "localhost", body: str = "", peer: str = "127.0.0.1"
    ) -> Answer:
        """C{request} is a method and a path."""
        lines = [f"{request} HTTP/1.1", *([f"Host: {host}"] if host is not None else []), *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return self.raw(("\r\n".join(lines) + "\r\n\r\n" + body).encode(), peer)
