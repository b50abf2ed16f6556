# -*- test-case-name: tests.protocols.test_runtime -*-
"""
Tests for L{lproxy.protocols.runtime}.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.runtime import NoProfiles, Runtime, fixed_target
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.target import Authority, Endpoint, OriginalDst, ServiceName
from lproxy.testing.proxy import ScriptedProxy
from lproxy.testing.upstream import CLIENT, OURS
from lproxy.testing.wire import Peer


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

    def start(self, target: str) -> ScriptedProxy:
        return ScriptedProxy(TcpPlugin(), target=target)

    def stream(self, proxy: ScriptedProxy, original_dst: tuple[str, int] | None = None) -> Any:
        return proxy.reactor.stream(Peer(), CLIENT, OURS, original_dst)

    def test_destination(self) -> None:
        """The listener's own, else where the connection was going, else nowhere."""
        proxy = self.start("db.local:5432")
        conn = self.stream(proxy, ("10.9.9.9", 25)).conn
        self.assertEqual(Authority("db.local", 5432), proxy.runtime.destination(conn))
        for target in ("authority", "original-dst"):
            runtime = self.start(target).runtime
            self.assertIsNone(runtime.destination(self.stream(proxy).conn))
            self.assertEqual(OriginalDst("10.9.9.9", 25), runtime.destination(conn))

    def test_fixed(self) -> None:
        """What the listener's target names is known, also of a copy for another protocol."""
        runtime = self.start("service:db").runtime
        self.assertEqual(ServiceName("db"), runtime.fixed)
        self.assertEqual(ServiceName("db"), replace(runtime, access=None).fixed)

    def test_accepted(self) -> None:
        """An accepted connection is counted by its client and by who was meant to accept it."""
        proxy = self.start("authority")
        proxy.runtime.accepted(self.stream(proxy), "redis")
        proxy.runtime.accepted(self.stream(proxy, ("fd00::9", 25)), "redis")
        self.assertEqual(
            {
                ("outbound", "src", "10.0.0.1", "10.0.0.2:4140", "redis"),
                ("outbound", "src", "10.0.0.1", "[fd00::9]:25", "redis"),
            },
            set(proxy.counted),
        )

    def crash(self, proxy: ScriptedProxy, tell: Any) -> list[Any]:
        """What is told of an exception of a stream's reader, for which C{tell} has been called."""
        told: list[Any] = []
        for one in (proxy.runtime, proxy.runtime.outward):
            object.__setattr__(one, "crashed", lambda name, failure, where="": told.append((name, failure.type)))
        stream = self.stream(proxy)
        tell(stream)
        stream.attach(Broken(), b"x")
        proxy.settle()
        return told

    def test_accepted_crash(self) -> None:
        """What its protocol breaks is told by the protocol's name."""
        proxy = self.start("authority")
        runtime: Runtime = proxy.runtime
        told = self.crash(proxy, lambda stream: runtime.accepted(stream, "redis"))
        self.assertEqual([("redis", ZeroDivisionError)], told)

    def test_opened(self) -> None:
        """One that was opened is counted by its endpoint; what its protocol breaks is told by the protocol's name."""
        proxy = self.start("authority")
        endpoint = Endpoint("10.0.0.9", 9000)
        told = self.crash(proxy, lambda stream: proxy.runtime.opened(stream, endpoint, "redis"))
        self.assertEqual([("outbound", "dst", "10.0.0.2", "10.0.0.9:9000", "redis")], list(proxy.counted))
        self.assertEqual([("redis", ZeroDivisionError)], told)

    def test_frozen(self) -> None:
        """It is shared by all connections of a listener, and nobody's to change."""
        proxy = self.start("authority")
        self.assertEqual("outbound", proxy.runtime.direction)
        with self.assertRaises(FrozenInstanceError):
            proxy.runtime.access = None  # type: ignore[misc]


class Broken:
    """A reader that raises."""

    def data_received(self, data: bytes) -> None:
        raise ZeroDivisionError

    def connection_lost(self) -> None:
        pass

    def test_contained(self) -> None:
        """What a timer or a Deferred of a plugin's calls costs one connection, whatever it raises, and is told."""
        for error in (ValueError("no such board"), SystemExit(3), KeyboardInterrupt()):
            proxy = self.start("db.local:5432")
            stream, other = self.stream(proxy), self.stream(proxy)

            def broken(n: int, error: BaseException = error) -> None:
                raise error

            proxy.runtime.clock.callLater(1.0, proxy.runtime.contained(stream, "memo", broken), 7)
            proxy.settle(1.0)
            self.assertEqual([error], [failure.value for failure in proxy.crashes])
            self.assertEqual([True, False], [stream.closed, other.closed])
            d = succeed(20)
            d.addCallback(proxy.runtime.contained(other, "memo", lambda n: n + 1))
            self.assertEqual(21, self.successResultOf(d))


class ProfilesTests(SynchronousTestCase):
    """What is known of how requests are treated."""

    def test_none(self) -> None:
        """Where nobody says otherwise it is nothing, and stays so."""
        profiles = ScriptedProxy(TcpPlugin(), target="db.local:5432").runtime.profiles
        self.assertIsInstance(profiles, NoProfiles)
        self.assertIsNone(profiles.of(Authority("db.local", 5432)))
        profiles.watch(self.fail)()
