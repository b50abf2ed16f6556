# -*- test-case-name: tests.app.test_secure -*-
"""
Tests for L{lproxy.app.secure}: TLS that is ended, passed on, or closed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from lproxy.app.listener import ListenerEdge
from lproxy.app.secure import UNRECOGNIZED_NAME, Securing
from lproxy.identity.policy import ANYBODY, Policy
from lproxy.identity.refusal import Refusal
from lproxy.metrics.counters import HandshakeCounter
from lproxy.target import Authority, Target
from lproxy.testing.upstream import CLIENT, OURS
from lproxy.testing.wire import MemoryStream, Peer
from lproxy.transport.stream import Conn, Secured
from lproxy.transport.tls.failure import HandshakeFailed
from tests.app.hello import hello
from tests.app.test_listener import EchoFactory, EdgeMixin
from tests.app.test_proxied import KernelStream

#: what ends here
TLS = Secured("web.test")


class ShownNames:
    """Contexts for some names, which are the names themselves."""

    def __init__(self, *names: str, default: str | None = None) -> None:
        self.names = names
        self.default: Any = default

    def find(self, name: str) -> Any:
        return name if name in self.names else None


class ScriptedHandshakes:
    """
    Handshakes that end when a test says so.

    @ivar begun: stream, context and hello of each, and what it has come to
    """

    def __init__(self) -> None:
        self.begun: list[tuple[Any, Any, Any, Deferred[Any]]] = []
        self.full = False

    def accept(self, stream: Any, context: Any, hello: Any) -> Deferred[Any]:
        if self.full:
            return fail(HandshakeFailed(stream.conn.peer, Refusal("limit", "too many")))
        # its socket is the handshake's
        stream.closed = True
        d: Deferred[Any] = Deferred(lambda d: None)
        self.begun.append((stream, context, hello, d))
        return d


class SecureCase(EdgeMixin):
    """A listener that has a certificate of C{web.test}."""

    tls: Any = "detect"
    listen: dict[str, Any] = {}
    policies: dict[str | None, Policy] = {}

    def setUp(self) -> None:
        super().setUp()
        self.handshakes = ScriptedHandshakes()
        self.counts = HandshakeCounter()
        listen = replace(self.runtime.listen, **self.listen)
        self.runtime = replace(
            self.runtime,
            listen=listen,
            tls=self.tls,
            policy=self.policy,
            denied=self.denied,
        )
        self.factory = EchoFactory(self.sessions)
        self.edge = self.make_edge()

    def denied(self, reason: str) -> None:
        self.edge.denied(reason)

    def policy(self, target: Target | None) -> Policy:
        return self.policies.get(None if target is None else str(target), ANYBODY)

    def make_edge(self) -> ListenerEdge:
        if not hasattr(self, "handshakes"):
            return super().make_edge()
        shown: Any = ShownNames("web.test", default="web.test") if self.tls != "passthrough" else None
        handshakes: Any = self.handshakes
        securing = Securing(self.runtime, self.sessions, shown, handshakes, self.counts)
        factories: dict[str, Any] = {"echo": self.factory}
        if self.protocol in (None, "tcp"):
            factories["tcp"] = self.tcp
        edge = ListenerEdge(self.runtime, self.sessions, factories, self.detectors, self.tcp, securing, True)
        edge.count_into(self.counter)
        return edge

    def arrive(self, data: bytes = b"", to: Callable[[Any], None] | None = None) -> Peer:
        """A client connects, and says C{data}."""
        peer = Peer()
        peer.say(data)
        self.stream = KernelStream(self.proxy.reactor, peer, Conn(CLIENT, OURS))
        (to or self.edge.accepted)(self.stream)
        self.proxy.settle()
        return peer

    def inside(self, data: bytes = b"", tls: Secured = TLS) -> Peer:
        """The latest handshake comes to a good end, and C{data} is inside."""
        stream, _, _, d = self.handshakes.begun[-1]
        peer = Peer()
        peer.say(data)
        inner = MemoryStream(self.proxy.reactor, peer, stream.conn._replace(tls=tls))
        d.callback(inner)
        self.proxy.settle()
        return peer


class EndedTests(SecureCase):
    """TLS that ends here."""

    def test_inside(self) -> None:
        """Who asks for a name of ours has a handshake, and what is inside is detected as anything is."""
        self.arrive(hello("web.test"))
        ((stream, context, said, _),) = self.handshakes.begun
        self.assertEqual((self.stream, "web.test", "web.test"), (stream, context, said.sni))
        (row,) = self.sessions.describe()
        self.assertEqual(("handshake", "web.test", "web"), (row["state"], row["sni"], row["listener"]))
        peer = self.inside(b"echo in here")
        self.assertEqual((b"echo in here", {"tls": 1, "echo": 1}), (peer.heard, self.counter.results))
        self.assertEqual((1, 0, {}), (self.counts.done, self.counts.resumed, self.counts.failed))
        peer.hang_up()
        self.proxy.settle()
        self.assert_nothing_left()

    def test_untouched(self) -> None:
        """Of the hello not a byte is read: OpenSSL does that."""
        said = hello("web.test")
        self.arrive(said)
        self.assertEqual(said, self.stream.peek(65536))

    def test_server_first(self) -> None:
        """A client that says nothing inside is waited for, as without TLS: the upstream may speak first."""
        self.arrive(hello("web.test"))
        peer = self.inside()
        self.proxy.settle(0.1)
        (upstream,) = self.proxy.connector.upstreams
        upstream.say(b"220 ready")
        self.proxy.settle()
        self.assertEqual((b"220 ready", {"tls": 1, "server_first": 1}), (peer.heard, self.counter.results))
        peer.hang_up()
        upstream.hang_up()
        self.proxy.settle()
        self.assert_nothing_left()

    def test_dialled(self) -> None:
        """What was opened to an upstream for a silent client is closed where TLS comes after all."""
        peer = self.arrive()
        self.proxy.settle(0.1)
        (upstream,) = self.proxy.connector.upstreams
        peer.say(hello("web.test"))
        self.proxy.settle()
        self.assertEqual(1, len(self.handshakes.begun))
        self.assertIn(upstream.ended, ("closed", "reset", "eof"))

    def test_resumed(self) -> None:
        """A handshake that goes on with a session is counted as such."""
        self.arrive(hello("web.test"))
        self.inside(tls=Secured(resumed=True))
        self.assertEqual((0, 1), (self.counts.done, self.counts.resumed))

    def test_failed(self) -> None:
        """One that fails costs a line, and is counted by reason."""
        self.arrive(hello("web.test"))
        d = self.handshakes.begun[-1][3]
        d.errback(Failure(HandshakeFailed("client", Refusal("unknown_ca", "nobody knows it"))))
        self.assertEqual((["tls-unknown_ca"], {"unknown_ca": 1}), (self.kinds, self.counts.failed))
        self.assertIn("listener web: a client at 10.0.0.1: TLS handshake failed (unknown_ca)", self.proxy.warnings[0])
        self.assertEqual((0, []), (len(self.sessions), self.crashes))

    def test_at_once(self) -> None:
        """So does one that was not even begun."""
        self.handshakes.full = True
        self.arrive(hello("web.test"))
        self.assertEqual(({"limit": 1}, 0), (self.counts.failed, len(self.sessions)))

    def test_bug(self) -> None:
        """A mistake of ours is one, and told."""
        self.arrive(hello("web.test"))
        self.handshakes.begun[-1][3].errback(Failure(ZeroDivisionError()))
        self.assertEqual([("tls", ZeroDivisionError)], self.crashes)
        self.assertEqual(0, len(self.sessions))

    def test_aborted(self) -> None:
        """A shutdown that does not wait cancels it; one that waits leaves it alone, and drains what is inside."""
        self.arrive(hello("web.test"))
        self.sessions.drain()
        self.assertEqual(1, len(self.sessions))
        self.sessions.abort()
        self.assertEqual(({"aborted": 1}, 0), (self.counts.failed, len(self.sessions)))


class PassedTests(SecureCase):
    """TLS that is not ours."""

    def test_past(self) -> None:
        """Who asks for another name is joined with where the listener leads, untouched, and counted as opaque."""
        said = hello("other.test")
        self.arrive(said)
        (upstream,) = self.proxy.connector.upstreams
        self.assertEqual((said, {"tls": 1}), (upstream.heard, self.counter.results))
        self.assertEqual("opaque", self.stream.conn.no_tls_reason)
        self.assertEqual([], self.handshakes.begun)

    def test_dialled(self) -> None:
        """What was opened for it while it was silent is used."""
        peer = self.arrive()
        self.proxy.settle(0.1)
        peer.say(hello("other.test"))
        self.proxy.settle()
        (upstream,) = self.proxy.connector.upstreams
        self.assertEqual(hello("other.test")[:3], upstream.heard[:3])


class ByNameTests(SecureCase):
    """C{target = "sni"}."""

    target = "sni"
    tls = "passthrough"

    def test_routed(self) -> None:
        """It goes to the name that it asks for: here nobody knows it, so to the port of https."""
        self.arrive(hello("db.test"))
        self.assertEqual([Authority("db.test", 443)], self.proxy.targets)

    def test_nameless(self) -> None:
        """Who asks for no name goes nowhere, and is told so."""
        peer = self.arrive(hello())
        self.assertEqual((["tls-nowhere"], {"nowhere": 1}), (self.kinds, self.counts.failed))
        self.assertEqual((UNRECOGNIZED_NAME, "closed"), (peer.heard, peer.ended))
        self.assertIn("it asks for no name, and there is nowhere to pass it on to", self.proxy.warnings[0])
        self.assertEqual((True, 0), (self.stream.closed, len(self.sessions)))


class NowhereTests(SecureCase):
    """A listener whose requests say where they go."""

    target = "authority"

    def test_nowhere(self) -> None:
        """TLS for another name has nowhere to go, and is told what would send it there."""
        self.arrive(hello("other.test"))
        self.assertIn(
            "closed: it asks for other.test, of which there is no certificate here, and there is nowhere to pass it on "
            'to; target = "sni" sends it to whom it asks for',
            self.proxy.warnings[0],
        )
        self.assertEqual((True, 0), (self.stream.closed, len(self.sessions)))


class TerminateTests(SecureCase):
    """A listener that speaks TLS alone."""

    tls = "terminate"

    def test_all(self) -> None:
        """All of it ends here, whatever name it asks for."""
        for name in ("web.test", "other.test", None):
            self.arrive(hello(name))
            self.assertEqual("web.test", self.handshakes.begun[-1][1])
            self.inside(b"echo")

    def test_plain(self) -> None:
        """What is none is closed with a line; nothing is opened for it, not even while it is silent."""
        for data in (b"echo hello", b"\0\1\2"):
            peer = self.arrive(data)
            self.assertEqual((b"", "closed"), (peer.heard, peer.ended))
        self.arrive()
        self.proxy.settle(20.0)
        self.assertEqual([], self.proxy.connector.upstreams)
        self.assertIn("speaks TLS alone", self.proxy.warnings[0])
        self.assertEqual(2, self.counter.denied["plain"])
