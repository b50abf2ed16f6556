# -*- test-case-name: tests.app.test_edge -*-
"""
Tests for L{lproxy.app.edge}: what becomes of a listener's connections.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app import edge as module
from lproxy.app.edge import ListenerEdge
from lproxy.interfaces import Match, NeedMore, NoMatch, Verdict
from lproxy.metrics.counters import DetectCounter
from lproxy.protocols.tcp.detect import detect
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.testing.proxy import CLIENT, OURS, ScriptedProxy
from lproxy.testing.wire import Peer
from lproxy.transport.peek import GRACE


class Echo(Protocol):
    """A protocol that is told apart by its first word."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr]


class EchoFactory(Factory):
    """
    @ivar broken: what goes wrong: building a session, its beginning, or there is none
    """

    protocol = Echo
    noisy = False

    def __init__(self) -> None:
        self.broken = ""
        self.drained = False

    def buildProtocol(self, addr: Any) -> Any:
        if self.broken == "build":
            raise ZeroDivisionError
        return None if self.broken == "none" else super().buildProtocol(addr)

    def drain(self) -> None:
        self.drained = True


def detect_echo(prefix: bytes) -> Verdict:
    if prefix.startswith(b"echo"):
        return Match("echo")
    return NeedMore(4) if b"echo".startswith(prefix) else NoMatch()


class EdgeMixin(SynchronousTestCase):
    """A listener that detects "echo", and TCP."""

    target = "upstream.test:9000"
    protocol: str | None = None

    def setUp(self) -> None:
        self.proxy = ScriptedProxy(TcpPlugin(), target=self.target)
        self.crashes: list[tuple[str, type]] = []
        listen = replace(self.proxy.runtime.listen, name="web", protocol=self.protocol, detect=("echo",))
        self.kinds: list[str] = []
        runtime = replace(
            self.proxy.runtime,
            listen=listen,
            crashed=lambda name, failure: self.crashes.append((name, failure.type)),
            warn=self.warn,
        )
        self.counter = DetectCounter()
        self.factory = EchoFactory()
        tcp: Any = TcpPlugin().factory(runtime, None)
        factories: Any = {"echo": self.factory, "tcp": tcp}
        self.edge = ListenerEdge(runtime, factories, {"echo": detect_echo, "tcp": detect}, self.counter)
        self.redirected_to: tuple[str, int] | None = None
        self.patch(module, "original_dst", lambda sock: self.redirected_to)

    def warn(self, kind: str, text: str) -> None:
        self.kinds.append(kind)
        self.proxy.warnings.append(text)

    def connect(self, data: bytes = b"") -> Peer:
        """A client connects, and says C{data}."""
        peer = Peer()
        peer.say(data)
        self.stream = self.proxy.reactor.stream(peer, CLIENT, OURS)
        self.edge.accepted(self.stream)
        self.proxy.settle()
        return peer

    def labels(self) -> set[str]:
        """The protocols that accepted connections are counted under."""
        return {labels[-1] for labels in self.proxy.counted if labels[1] == "src"}


class DetectTests(EdgeMixin):
    """Without a configured protocol the first bytes tell."""

    def test_detected(self) -> None:
        """The protocol gets every byte, is counted under its name, and so is the detection."""
        peer = self.connect(b"ec")
        self.assertEqual([{"state": "detecting", "listener": "web"}], self.shown())
        peer.say(b"ho hello")
        self.proxy.settle()
        self.assertEqual((b"echo hello", {"echo": 1}, {"echo"}), (peer.heard, self.counter.results, self.labels()))
        self.assertEqual([], self.proxy.sessions)
        self.assertEqual([], self.proxy.warnings)

    def shown(self) -> list[Any]:
        rows = [session.describe() for session in self.proxy.sessions]
        return [{key: row[key] for key in ("state", "listener")} for row in rows]

    def test_tcp(self) -> None:
        """Everything else is relayed."""
        self.connect(b"\x00\x01")
        (upstream,) = self.proxy.connector.upstreams
        self.assertEqual((b"\x00\x01", {"tcp": 1}, {"tcp"}), (upstream.heard, self.counter.results, self.labels()))
        self.assertEqual([{"state": "relaying", "listener": "web"}], self.shown())

    def test_server_first(self) -> None:
        """The connection on which the upstream spoke is the one that is relayed."""
        peer = self.connect()
        self.proxy.settle(0.05)
        (upstream,) = self.proxy.connector.upstreams
        upstream.say(b"220 hello\r\n")
        self.proxy.settle()
        self.assertEqual((b"220 hello\r\n", {"server_first": 1}), (peer.heard, self.counter.results))
        self.assertIsNone(self.stream.dialled)
        peer.say(b"echo is what a client may say now")
        self.proxy.settle()
        self.assertEqual(b"echo is what a client may say now", upstream.heard)
        peer.reset()
        self.proxy.settle()
        self.assertEqual([], self.proxy.left())

    def test_not_server_first(self) -> None:
        """A connection that was opened for nothing is closed."""
        peer = self.connect()
        self.proxy.settle(0.05)
        peer.say(b"echo")
        self.proxy.settle()
        (upstream,) = self.proxy.connector.upstreams
        self.assertEqual(("reset", b"echo", 0), (upstream.ended, peer.heard, self.proxy.open))

    def test_slow(self) -> None:
        """What showed nothing in time is TCP, and the log says which setting avoids that."""
        self.connect(b"ec")
        self.proxy.settle(10)
        self.assertEqual({"timeout": 1}, self.counter.results)
        self.assertEqual(["detect-timeout"], self.kinds)
        self.assertEqual(
            [
                "listener web: a connection from 10.0.0.1 showed no protocol in 10.0 s (2 bytes): forwarded as TCP. "
                'protocol = "tcp" (or another) for this listener avoids the wait; timeouts.detect bounds it.'
            ],
            self.proxy.warnings,
        )
        (upstream,) = self.proxy.connector.upstreams
        self.assertEqual(b"ec", upstream.heard)

    def test_eof(self) -> None:
        """What ended too early is TCP, with its end, and the log says so; an empty connection is not worth a line."""
        peer = self.connect(b"ec")
        peer.hang_up()
        self.proxy.settle()
        (upstream,) = self.proxy.connector.upstreams
        self.assertEqual((b"ec", "eof", ["detect-eof"]), (upstream.heard, upstream.ended, self.kinds))
        peer = Peer()
        peer.hang_up()
        self.edge.accepted(self.proxy.reactor.stream(peer, CLIENT, OURS))
        self.proxy.settle()
        self.assertEqual(({"eof": 2}, ["detect-eof"]), (self.counter.results, self.kinds))

    def test_lost(self) -> None:
        """One that broke before counts as a detection, and under no protocol."""
        peer = self.connect(b"ec")
        peer.reset()
        self.proxy.settle()
        self.assertEqual(({"eof": 1}, set(), []), (self.counter.results, self.labels(), self.proxy.sessions))

    def test_detector_crashes(self) -> None:
        """A detector that raises is its plugin's fault; the connection is served by another."""
        self.patch(
            self.edge,
            "_peek",
            replace(self.edge._peek, detectors=(("bad", lambda prefix: 1 / 0), ("echo", detect_echo))),
        )
        peer = self.connect(b"echo")
        self.assertEqual((b"echo", [("bad", ZeroDivisionError)]), (peer.heard, self.crashes))

    def test_unspoken(self) -> None:
        """What can only be recognised is relayed, by its name in the log."""
        detectors = (("http", lambda prefix: Match("HTTP/2", spoken=False)),)
        self.patch(self.edge, "_peek", replace(self.edge._peek, detectors=detectors))
        self.connect(b"PRI * HTTP/2.0")
        self.assertEqual(
            ["listener web: a connection from 10.0.0.1 speaks HTTP/2, which is forwarded as TCP for now"],
            self.proxy.warnings,
        )


class CrashTests(EdgeMixin):
    """What goes wrong in a protocol ends that connection, by the protocol's name, and leaks nothing."""

    def test_session(self) -> None:
        """A session that raises."""
        self.patch(Echo, "dataReceived", lambda self, data: 1 / 0)
        peer = self.connect(b"echo")
        self.assertEqual(("reset", [("echo", ZeroDivisionError)]), (peer.ended, self.crashes))

    def test_factory(self) -> None:
        """A factory that raises, or has no session to give."""
        self.factory.broken = "build"
        peer = self.connect(b"echo")
        self.assertEqual(("reset", [("echo", ZeroDivisionError)]), (peer.ended, self.crashes))
        self.factory.broken = "none"
        peer = self.connect(b"echo")
        self.assertEqual(("closed", 1), (peer.ended, len(self.crashes)))
        self.assertEqual([], self.proxy.sessions)

    def test_dialled(self) -> None:
        """A connection that was opened for a session that never was is closed."""
        for broken in ("build", "none"):
            self.setUp()
            peer = self.connect()
            self.proxy.settle(0.05)
            tcp: Any = self.edge.factories["tcp"]
            if broken == "none":
                tcp.buildProtocol = lambda addr: None
            else:
                tcp.buildProtocol = lambda addr: 1 / 0
            peer.say(b"\x00")
            self.proxy.settle()
            (upstream,) = self.proxy.connector.upstreams
            self.assertEqual(("reset", 0, []), (upstream.ended, self.proxy.open, self.proxy.sessions))
            self.assertIsNone(self.stream.dialled)

    def test_counting(self) -> None:
        """Even where it is our counting that fails, it is one connection's end."""
        self.patch(self.proxy, "transport", lambda *labels: 1 / 0)
        peer = self.connect(b"echo")
        self.assertEqual(("reset", [("echo", ZeroDivisionError)]), (peer.ended, self.crashes))


class ConfiguredTests(EdgeMixin):
    """A configured protocol always beats detection."""

    protocol = "echo"

    def test_configured(self) -> None:
        """Nobody looks at the first bytes."""
        peer = self.connect(b"\x00")
        self.assertEqual((b"\x00", {}, {"echo"}), (peer.heard, self.counter.results, self.labels()))

    def test_crash(self) -> None:
        """What goes wrong is told by its name here, too."""
        self.factory.broken = "build"
        self.assertEqual("reset", self.connect().ended)
        self.assertEqual([("echo", ZeroDivisionError)], self.crashes)


class RedirectedTests(EdgeMixin):
    """A listener that goes by original destinations."""

    target = "authority"

    def test_redirected(self) -> None:
        """The destination is known without reading, so that a server may speak first."""
        self.redirected_to = ("10.9.9.9", 25)
        self.connect()
        self.proxy.settle(0.05)
        self.assertEqual((1, ("10.9.9.9", 25)), (len(self.proxy.connector.upstreams), self.stream.original_dst))

    def test_not_redirected(self) -> None:
        """Nothing is known: a silent client waits, and is closed when it has been idle for too long."""
        peer = self.connect()
        self.proxy.settle(10)
        self.assertEqual("", peer.ended)
        self.proxy.settle(60)
        self.assertEqual(
            ("closed", {"timeout": 1}, []), (peer.ended, self.counter.results, self.proxy.connector.upstreams)
        )
        self.assertEqual([], self.proxy.sessions)

    def test_bytes_for_nobody(self) -> None:
        """Bytes that nobody knows where to send are refused with a clear line."""
        peer = self.connect(b"\x00")
        self.assertEqual(("reset", ["no-destination"]), (peer.ended, self.kinds))
        self.assertIn("listener web: a tcp connection from 10.0.0.1 was not redirected here", self.proxy.warnings[0])

    def test_health_check(self) -> None:
        """A connection that is closed without a word is not worth one."""
        peer = self.connect()
        peer.hang_up()
        self.proxy.settle()
        self.assertEqual(("closed", []), (peer.ended, self.proxy.warnings))

    def test_fixed(self) -> None:
        """A listener with a target of its own does not ask."""
        self.target = "upstream.test:9000"
        self.setUp()
        self.redirected_to = ("10.9.9.9", 25)
        self.connect()
        self.assertIsNone(self.stream.original_dst)


class ListenerTests(EdgeMixin):
    """What else a listener is told."""

    def test_refused(self) -> None:
        """Connections that were closed at accept are counted by reason, and the log says which limit it was."""
        for reason in ("limit", "EMFILE", "EMFILE"):
            self.edge.refused(reason)
        self.assertEqual({"limit": 1, "EMFILE": 2}, self.counter.refused)
        self.assertEqual(["accept-limit", "accept-EMFILE", "accept-EMFILE"], self.kinds)
        self.assertEqual(
            [
                "listener web: closed a new connection: limits.connections are open",
                "listener web: closed a new connection: out of descriptors or memory (EMFILE)",
            ],
            self.proxy.warnings[:2],
        )

    def test_drain(self) -> None:
        """Factories that want to know of a drain do."""
        self.edge.drain()
        self.assertTrue(self.factory.drained)

    def test_drain_undetected(self) -> None:
        """A connection that has shown nothing yet is a session: a drain waits for it, for a moment."""
        peer = self.connect()
        (session,) = self.proxy.sessions
        session.drain()
        self.proxy.settle(GRACE)
        self.assertEqual(("closed", []), (peer.ended, self.proxy.sessions))
        self.assertEqual([], self.proxy.left())
