# -*- test-case-name: tests.protocols.test_runtime -*-
"""
Tests for L{lproxy.protocols.runtime}.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.runtime import fixed_target
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.target import Authority, Endpoint, OriginalDst, ServiceName
from lproxy.testing.proxy import CLIENT, OURS, ScriptedProxy
from lproxy.testing.wire import Peer
from lproxy.transport.socket import Stream


class FixedTargetTests(SynchronousTestCase):
    """What a listener's target names."""

    def test_each(self) -> None:
        """A keyword names none, a service or a place does."""
        for text, target in (
            ("authority", None),
            ("original-dst", None),
            ("service:db", ServiceName("db")),
            ("db.local:5432", Authority("db.local", 5432)),
            ("[::1]:80", Authority("::1", 80)),
        ):
            self.assertEqual(target, fixed_target(text))

    def test_nonsense(self) -> None:
        """A place has a port."""
        self.assertRaises(ValueError, fixed_target, "db.local")


class RuntimeTests(SynchronousTestCase):
    """A listener as its protocols see it."""

    def start(self, target: str) -> tuple[ScriptedProxy, Stream]:
        proxy = ScriptedProxy(TcpPlugin(), target=target)
        return proxy, proxy.reactor.stream(Peer(), CLIENT, OURS)

    def test_destination(self) -> None:
        """The listener's own, else where the connection was going, else nowhere."""
        proxy, stream = self.start("db.local:5432")
        stream.original_dst = ("10.9.9.9", 25)
        self.assertEqual(Authority("db.local", 5432), proxy.runtime.destination(stream))
        for target in ("authority", "original-dst"):
            proxy, stream = self.start(target)
            self.assertIsNone(proxy.runtime.destination(stream))
            stream.original_dst = ("10.9.9.9", 25)
            self.assertEqual(OriginalDst("10.9.9.9", 25), proxy.runtime.destination(stream))

    def test_accepted(self) -> None:
        """An accepted connection is counted by its client and by who was meant to accept it."""
        proxy, stream = self.start("authority")
        proxy.runtime.accepted(stream, "redis")
        redirected = proxy.reactor.stream(Peer(), CLIENT, OURS)
        redirected.original_dst = ("fd00::9", 25)
        proxy.runtime.accepted(redirected, "redis")
        self.assertEqual(
            {
                ("outbound", "src", "10.0.0.1", "10.0.0.2:4140", "redis"),
                ("outbound", "src", "10.0.0.1", "[fd00::9]:25", "redis"),
            },
            set(proxy.counted),
        )

    def test_opened(self) -> None:
        """One that was opened is counted by its endpoint; what its protocol breaks is told by the protocol's name."""
        proxy, stream = self.start("authority")
        told: list[Any] = []
        object.__setattr__(proxy.runtime, "crashed", lambda name, failure: told.append((name, failure.type)))
        proxy.runtime.opened(stream, Endpoint("10.0.0.9", 9000), "redis")
        self.assertEqual([("outbound", "dst", "10.0.0.2", "10.0.0.9:9000", "redis")], list(proxy.counted))

        class Broken(Protocol):
            def connectionMade(self) -> None:
                raise ZeroDivisionError

        stream.attach(Broken())
        proxy.settle()
        self.assertEqual([("redis", ZeroDivisionError)], told)

    def test_frozen(self) -> None:
        """It is shared by all connections of a listener, and nobody's to change."""
        proxy, _ = self.start("authority")
        self.assertEqual("outbound", proxy.runtime.direction)
        with self.assertRaises(FrozenInstanceError):
            proxy.runtime.access = None  # type: ignore[misc]
