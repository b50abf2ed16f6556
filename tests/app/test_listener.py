# -*- test-case-name: tests.app.test_listener -*-
"""
Tests for L{lproxy.app.listener}: what becomes of a listener's connections.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.api import Accepted, Detector, Match, NeedMore, NoMatch, Stream, Verdict
from lproxy.app.listener import REMEMBER, REMEMBERED, ListenerEdge
from lproxy.app.sessions import Sessions
from lproxy.metrics.counters import DetectCounter
from lproxy.protocols.tcp.detect import detect
from lproxy.protocols.tcp.factory import TcpFactory
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.target import Authority, Target
from lproxy.testing.proxy import ScriptedProxy
from lproxy.testing.upstream import CLIENT, OURS
from lproxy.testing.wire import Peer
from lproxy.transport.detect import GRACE


class EchoSession:
    """A protocol that is told apart by its first word, and says all of it again."""

    def __init__(self, factory: EchoFactory, accepted: Accepted) -> None:
        self.factory = factory
        self.accepted = accepted
        self.stream: Stream = accepted.stream

    def start(self) -> None:
        self.factory.step("start", self)
        self.stream.attach(self, self.accepted.prefix, self.accepted.eof)
        self.stream.resume()

    def drain(self) -> None:
        self.factory.step("drain", self)

    def abort(self) -> None:
        self.stream.abort()

    def describe(self) -> dict[str, Any]:
        return {"state": "echoing"}

    def data_received(self, data: bytes) -> None:
        self.factory.step("data", self)
        self.stream.write(data)

    def eof_received(self) -> None:
        self.stream.close()

    def connection_lost(self) -> None:
        self.factory.step("lost", self)
        self.factory.sessions.remove(self)

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass


class EchoFactory:
    """
    @ivar on: what to do at a session's C{make}, C{start}, C{data}, C{drain} or C{lost}
    @ivar made: what sessions were made of
    """

    detector: Detector | None = None

    def __init__(self, sessions: Any) -> None:
        self.sessions = sessions
        self.on: dict[str, Callable[[EchoSession], object]] = {}
        self.made: list[Accepted] = []

    def step(self, what: str, session: Any) -> None:
        self.on.get(what, lambda session: None)(session)

    def session(self, accepted: Accepted) -> EchoSession:
        self.made.append(accepted)
        self.step("make", None)
        return EchoSession(self, accepted)

    def start(self) -> None:
        pass

    def drain(self) -> None:
        pass

    def stop(self) -> None:
        pass


def detect_echo(prefix: bytes) -> Verdict:
    if prefix.startswith(b"echo"):
        return Match("echo/1")
    return NeedMore(4) if b"echo".startswith(prefix) else NoMatch()


def fail(error: BaseException, session: Any) -> None:
    raise error


class EdgeMixin(SynchronousTestCase):
    """A listener that detects "echo", and TCP."""

    target = "upstream.test:9000"
    protocol: str | None = None
    detectors: dict[str, Detector] = {"echo": detect_echo, "tcp": detect}
    detect: tuple[str, ...] = ("echo",)

    def setUp(self) -> None:
        self.proxy = ScriptedProxy(TcpPlugin(), target=self.target)
        self.crashes: list[tuple[str, type]] = []
        self.where: list[str] = []
        self.kinds: list[str] = []
        self.sessions = Sessions(self.crashed)
        listen = replace(self.proxy.runtime.listen, name="web", protocol=self.protocol, detect=self.detect)
        self.runtime = replace(
            self.proxy.runtime, listen=listen, crashed=self.crashed, warn=self.warn, sessions=self.sessions
        )
        self.counter = DetectCounter()
        self.factory = EchoFactory(self.sessions)
        self.tcp = TcpFactory(self.runtime)
        self.edge = self.make_edge()

    def make_edge(self) -> ListenerEdge:
        factories: Any = {"echo": self.factory, "tcp": self.tcp}
        edge = ListenerEdge(self.runtime, self.sessions, factories, self.detectors, self.tcp)
        edge.count_into(self.counter)
        return edge

    def crashed(self, name: str, failure: Failure, where: str = "") -> None:
        self.crashes.append((name, failure.type))
        self.where.append(where)

    def warn(self, kind: str, text: str, parts: object = None, /) -> None:
        self.kinds.append(kind)
        self.proxy.warnings.append(text)

    def connect(self, data: bytes = b"", original_dst: tuple[str, int] | None = None) -> Peer:
        """A client connects, and says C{data}."""
        peer = Peer()
        peer.say(data)
        self.stream = self.proxy.reactor.stream(peer, CLIENT, OURS, original_dst)
        self.edge.accepted(self.stream)
        self.proxy.settle()
        return peer

    def labels(self) -> set[str]:
        """The protocols that accepted connections are counted under."""
        return {labels[-1] for labels in self.proxy.counted if labels[1] == "src"}

    def assert_nothing_left(self) -> None:
        """No session, lease, connection, timer or counted stream."""
        self.assertEqual(([], 0), (self.proxy.left(), len(self.sessions)))

    def shown(self) -> list[Any]:
        return [{key: row[key] for key in ("state", "listener")} for row in self.sessions.describe()]


class DetectTests(EdgeMixin):
    """Without a configured protocol the first bytes tell."""

    def test_detected(self) -> None:
        """
        The protocol gets every byte and is told the variant, is counted under its name, and so is the detection.
        """
        peer = self.connect(b"ec")
        began = self.proxy.reactor.seconds()
        self.assertEqual([{"state": "detecting", "listener": "web"}], self.shown())
        self.proxy.settle(1.0)
        peer.say(b"ho hello")
        self.proxy.settle()
        self.assertEqual((b"echo hello", {"echo": 1}, {"echo"}), (peer.heard, self.counter.results, self.labels()))
        accepted = Accepted(self.stream, "echo", "echo/1", b"echo hello", since=began)
        self.assertEqual([accepted], self.factory.made)
        self.assertEqual([{"state": "echoing"}], self.sessions.describe())
        self.assertEqual([], self.proxy.warnings)
        peer.hang_up()
        self.proxy.settle()
        self.assert_nothing_left()

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
        peer.say(b"echo is what a client may say now")
        self.proxy.settle()
        self.assertEqual(b"echo is what a client may say now", upstream.heard)
        peer.reset()
        self.proxy.settle()
        self.assert_nothing_left()

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
        self.assertEqual(({"eof": 1}, set(), 0), (self.counter.results, self.labels(), len(self.sessions)))

    def test_hand_over(self) -> None:
        """From the accept to the end there is always a session of it: who waits for none is told once, at the end."""
        peer = self.connect(b"ec")
        empty = self.sessions.empty()
        peer.say(b"ho")
        self.proxy.settle()
        self.assertNoResult(empty)
        peer.hang_up()
        self.proxy.settle()
        self.successResultOf(empty)

    def test_redetect(self) -> None:
        """What is inside of what a session carries is detected anew, in its place."""
        self.connect(b"echo")
        (outer,) = self.sessions
        empty = self.sessions.empty()
        inner = Peer()
        stream = self.proxy.reactor.stream(inner, CLIENT, OURS)
        self.edge.redetect(stream, outer)
        self.assertEqual([{"state": "detecting", "listener": "web"}], self.shown())
        inner.say(b"echo inside")
        self.proxy.settle()
        self.assertEqual((b"echo inside", 1), (inner.heard, len(self.sessions)))
        self.assertNoResult(empty)


class BrokenDetectorTests(EdgeMixin):
    """A plugin's detector that does not keep its promises."""

    detectors = {"bad": lambda prefix: 1 / 0, "echo": detect_echo, "tcp": detect}  # type: ignore[dict-item,return-value]
    detect = ("bad", "echo")

    def test_raises(self) -> None:
        """One that raises is its plugin's fault; the connection is served by another."""
        peer = self.connect(b"echo")
        self.assertEqual((b"echo", [("bad", ZeroDivisionError)]), (peer.heard, self.crashes))
        self.assertEqual(["its detector; listener web, client 10.0.0.1:40000"], self.where)

    def test_told(self) -> None:
        """The log says of which connection, and what became of it."""
        for data, protocol in ((b"echo", "echo"), (b"others", "tcp")):
            self.connect(data)
            self.assertEqual(
                f"listener web: the detector of bad failed on a connection from 10.0.0.1:40000, which goes on as "
                f"{protocol}",
                self.proxy.warnings[-1],
            )


class OtherTests(EdgeMixin):
    """A listener that looks for one protocol alone."""

    detectors = {"echo": lambda prefix: NoMatch(), "tcp": detect}
    detect = ("echo",)

    def test_other(self) -> None:
        """What is anything else goes on as TCP; the log says so, and what would take it for the one that is meant."""
        self.connect(b"\xff\xff\xff\xffmore")
        self.assertEqual({"tcp": 1}, self.counter.results)
        self.assertEqual(
            [
                "listener web: a connection from 10.0.0.1 does not begin as echo does (0xffffffff): forwarded as TCP, "
                'past all that echo would do. protocol = "echo" takes whatever comes for that.'
            ],
            self.proxy.warnings,
        )


class UnspokenTests(EdgeMixin):
    """A protocol that can be recognised, and not spoken."""

    detectors = {"http": lambda prefix: Match("HTTP/2", spoken=False), "tcp": detect}
    detect = ("http",)

    def test_unspoken(self) -> None:
        """It is relayed, by its name in the log."""
        self.connect(b"PRI * HTTP/2.0")
        self.assertEqual(
            ["listener web: a connection from 10.0.0.1 speaks HTTP/2, which is forwarded as TCP for now"],
            self.proxy.warnings,
        )
        self.assertEqual(b"PRI * HTTP/2.0", self.proxy.connector.upstreams[0].heard)


class CrashTests(EdgeMixin):
    """What goes wrong in a protocol ends that connection, by the protocol's name, and leaks nothing."""

    def assert_crashed(self, peer: Peer, error: type = ZeroDivisionError) -> None:
        self.assertEqual(("reset", [("echo", error)]), (peer.ended, self.crashes))
        self.assert_nothing_left()

    def test_session(self) -> None:
        """A session that raises, wherever it does, whatever it raises."""
        for when in ("make", "start", "data", "lost"):
            for error in (ZeroDivisionError("a mistake"), SystemExit(1)):
                self.setUp()
                self.factory.on[when] = partial(fail, error)
                peer = self.connect(b"echo")
                if when == "lost":
                    self.stream.abort()
                self.assert_crashed(peer, type(error))

    def test_start_ends(self) -> None:
        """A session may be over by the end of its start: its client gone, or sent away."""
        for leave in ("abort", "close"):
            self.setUp()
            self.factory.on["start"] = lambda session, leave=leave: getattr(session.stream, leave)()
            self.factory.on["data"] = self.fail
            peer = self.connect(b"echo")
            self.assertIn(peer.ended, ("reset", "closed"))
            self.assertEqual([], self.crashes)
            self.assert_nothing_left()

    def test_waits_for_its_client(self) -> None:
        """An upstream that did not speak first is not asked again for ten minutes."""
        for clients, upstreams, passed in ((1, 1, 0.0), (3, 1, 0.0), (1, 1, REMEMBER - 20.0), (1, 2, 20.0)):
            self.proxy.settle(passed)
            peers = [self.connect() for _ in range(clients)]
            self.proxy.settle(0.05)
            self.assertEqual(upstreams, len(self.proxy.connector.upstreams))
            self.proxy.settle(0.5)
            self.assertEqual({"reset"}, {upstream.ended for upstream in self.proxy.connector.upstreams})
            for peer in peers:
                self.assertEqual("", peer.ended)
                peer.reset()
            self.proxy.settle()

    def test_dialled(self) -> None:
        """A connection that was opened for a session that never was is closed, once."""

        def session(accepted: Accepted) -> Any:
            raise ZeroDivisionError

        self.tcp.session = session  # type: ignore[method-assign]
        self.edge = self.make_edge()
        peer = self.connect()
        self.proxy.settle(0.05)
        peer.say(b"\x00")
        self.proxy.settle()
        (upstream,) = self.proxy.connector.upstreams
        self.assertEqual(("reset", "reset"), (peer.ended, upstream.ended))
        self.assertEqual([("tcp", ZeroDivisionError)], self.crashes)
        self.assert_nothing_left()

    def test_counting(self) -> None:
        """Even where it is our counting that fails, it is one connection's end."""
        self.patch(self.proxy, "transport", lambda *labels: 1 / 0)
        peer = self.connect(b"echo")
        self.assert_crashed(peer)

    def test_counting_dialled(self) -> None:
        """And that of a connection that was opened for it."""
        peer = self.connect()
        self.proxy.settle(0.05)
        self.patch(self.proxy, "transport", lambda *labels: 1 / 0)
        peer.say(b"\x00")
        self.proxy.settle()
        self.assertEqual((["reset"], "reset"), ([one.ended for one in self.proxy.connector.upstreams], peer.ended))
        self.assert_nothing_left()


class ConfiguredTests(EdgeMixin):
    """A configured protocol always beats detection."""

    protocol = "echo"

    def test_configured(self) -> None:
        """Nobody looks at the first bytes, and there is no variant."""
        peer = self.connect(b"\x00")
        self.assertEqual((b"\x00", {}, {"echo"}), (peer.heard, self.counter.results, self.labels()))
        self.assertEqual([Accepted(self.stream, "echo")], self.factory.made)

    def test_crash(self) -> None:
        """What goes wrong is told by its name here, too."""
        for when in ("make", "start"):
            self.setUp()
            self.factory.on[when] = partial(fail, ZeroDivisionError())
            self.assertEqual("reset", self.connect().ended)
            self.assertEqual([("echo", ZeroDivisionError)], self.crashes)
            self.assert_nothing_left()

    def test_draining(self) -> None:
        """One that is accepted while all drain is drained, once it has started."""
        told: list[str] = []
        for when in ("start", "drain"):
            self.factory.on[when] = lambda session, when=when: told.append(when)
        self.sessions.drain()
        self.connect(b"x")
        self.assertEqual(["start", "drain"], told)

    def test_exposed(self) -> None:
        """The connections of a further address are the protocol's that asked for it, and no detection's."""
        made: list[Accepted] = []

        def make(accepted: Accepted) -> EchoSession:
            made.append(accepted)
            return EchoSession(self.factory, accepted)

        peer = Peer()
        peer.say(b"anything")
        stream = self.proxy.reactor.stream(peer, CLIENT, OURS)
        self.edge.further("note", make)(stream)
        self.proxy.settle()
        self.assertEqual(([Accepted(stream, "note")], b"anything", {"note"}), (made, peer.heard, self.labels()))
        self.assertEqual(([], 1), (self.factory.made, len(self.sessions)))


class RedirectedTests(EdgeMixin):
    """A listener that goes by original destinations."""

    target = "authority"

    def test_redirected(self) -> None:
        """The destination is known without reading, so that a server may speak first."""
        self.connect(original_dst=("10.9.9.9", 25))
        self.proxy.settle(0.05)
        self.assertEqual(1, len(self.proxy.connector.upstreams))

    def test_not_redirected(self) -> None:
        """Nothing is known: a silent client waits, and is closed when it has been idle for too long."""
        peer = self.connect()
        self.proxy.settle(10)
        self.assertEqual("", peer.ended)
        self.proxy.settle(60)
        self.assertEqual(
            ("closed", {"timeout": 1}, []), (peer.ended, self.counter.results, self.proxy.connector.upstreams)
        )
        self.assert_nothing_left()

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

    def test_asked(self) -> None:
        """Where connections were going is asked of the kernel where it decides, and nowhere else."""
        for target, asked in (("authority", True), ("original-dst", True), ("a:1", False), ("service:a", False)):
            self.target = target
            self.setUp()
            self.assertEqual(asked, self.edge.redirected, target)


class OpaqueTests(EdgeMixin):
    """What is spoken with some targets is nobody's to detect."""

    opaque = True

    def make_edge(self) -> ListenerEdge:
        self.asked: list[Target] = []
        factories: Any = {"echo": self.factory, "tcp": self.tcp}
        edge = ListenerEdge(self.runtime, self.sessions, factories, self.detectors, self.tcp, opaque=self.is_opaque)
        edge.count_into(self.counter)
        return edge

    def is_opaque(self, target: Target) -> bool:
        self.asked.append(target)
        return self.opaque

    def test_opaque(self) -> None:
        """Their upstream is dialled at once, and gets whatever it is, though a protocol begins so."""
        peer = self.connect(b"echo hello")
        (upstream,) = self.proxy.connector.upstreams
        self.assertEqual((b"echo hello", {}, {"tcp"}), (upstream.heard, self.counter.results, self.labels()))
        self.assertEqual([Authority("upstream.test", 9000)], self.asked)
        peer.reset()
        self.proxy.settle()
        self.assert_nothing_left()

    def test_silent(self) -> None:
        """So does one that speaks first."""
        self.connect()
        self.assertEqual(1, len(self.proxy.connector.upstreams))

    def test_others(self) -> None:
        """What is spoken with others is detected."""
        self.opaque = False
        peer = self.connect(b"echo hello")
        self.assertEqual((b"echo hello", {"echo": 1}), (peer.heard, self.counter.results))


class OpaqueNowhereTests(OpaqueTests):
    """Of a connection that says itself where it goes."""

    target = "authority"

    def test_opaque(self) -> None:
        """Nothing is known before it is read: it is detected."""
        peer = self.connect(b"echo hello")
        self.assertEqual((b"echo hello", []), (peer.heard, self.asked))

    test_silent = test_opaque


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
                "listener web: closed a new connection: as many are open as there may be (limits.connections)",
                "listener web: closed a new connection: out of descriptors or memory (EMFILE)",
            ],
            self.proxy.warnings[:2],
        )

    def test_drain_undetected(self) -> None:
        """A connection that has shown nothing yet is a session: a drain waits for it, for a moment."""
        peer = self.connect()
        self.sessions.drain()
        self.proxy.settle(GRACE)
        self.assertEqual(("closed", 0), (peer.ended, len(self.sessions)))
        self.assert_nothing_left()

    def test_accepted_while_draining(self) -> None:
        """So is one that was accepted last."""
        self.sessions.drain()
        peer = self.connect()
        self.assertEqual(1, len(self.sessions))
        self.proxy.settle(GRACE)
        self.assertEqual("closed", peer.ended)
        self.assertEqual([], self.crashes)
        self.assert_nothing_left()

    def test_no_dialler(self) -> None:
        """Where TCP is not lproxy's own, nobody is dialled for a silent client."""
        factories: Any = {"echo": self.factory, "tcp": self.tcp}
        edge = ListenerEdge(self.runtime, self.sessions, factories, self.detectors, None)
        stream = self.proxy.reactor.stream(Peer(), CLIENT, OURS)
        self.assertIsNone(edge.dial(stream))
        dialling = self.edge.dial(stream)
        assert isinstance(dialling, Deferred)
        self.successResultOf(dialling).close()
        self.assert_nothing_left_upstream()

    def assert_nothing_left_upstream(self) -> None:
        self.assertEqual((0, ["reset"]), (self.proxy.open, [one.ended for one in self.proxy.connector.upstreams]))


class WaitingTests(EdgeMixin):
    """Upstreams that wait for their clients, where each connection has its own."""

    target = "original-dst"

    def to(self, n: int) -> Stream:
        """A connection to one of many upstreams."""
        stream = self.proxy.reactor.stream(Peer(), CLIENT, OURS)
        stream.conn = stream.conn._replace(original_dst=("10.1.0.1", n))
        return stream

    def asked(self, n: int) -> bool:
        """Whether such an upstream is connected to for a silent client."""
        return self.edge.dial(self.to(n)) is not None

    def test_each(self) -> None:
        """What is known of one says nothing of another."""
        self.edge.waits(self.to(1))
        self.assertEqual([False, True], [self.asked(1), self.asked(2)])

    def test_bounded(self) -> None:
        """So many are known; before there are more, all are forgotten."""
        for n in range(REMEMBERED):
            self.edge.waits(self.to(n + 1))
        self.assertFalse(self.asked(1))
        self.edge.waits(self.to(REMEMBERED + 1))
        self.assertEqual([True, False], [self.asked(1), self.asked(REMEMBERED + 1)])
