# -*- test-case-name: tests.transport.tls.test_client -*-
"""
Tests for L{lproxy.transport.tls.client}, and of the connector that secures what it opens, with real servers.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred

from lproxy.errors import explain
from lproxy.identity import contexts
from lproxy.identity.contexts import Context
from lproxy.identity.pem import MaterialError
from lproxy.identity.sessions import Sessions
from lproxy.target import UNKNOWN, Endpoint, Metadata, Secure
from lproxy.testing.certificates import Leaf, authority
from lproxy.testing.garbage import only_new, uncounted
from lproxy.transport.connect import ConnectFailed, SocketConnector
from lproxy.transport.stream import Secured
from lproxy.transport.tls.client import Upstreams
from lproxy.transport.tls.failure import HandshakeFailed, HandshakeTimedOut
from lproxy.transport.tls.stream import TlsStream
from tests.identity.handshake import material, trust
from tests.transport.sockets import Recorder
from tests.transport.tls.pairs import NAME, SHOP, Far, TlsCase, called

WEB, CART = "web.shop.mesh", "cart.shop.mesh"
SECURE = Secure(NAME)
MESH = Secure(CART, identity=True)
SECONDS = 5.0


class Contexts:
    """
    What is connected with.

    @ivar wrong: why there is nothing
    """

    def __init__(self) -> None:
        self.wrong: MaterialError | None = None
        self.made: dict[object, Context] = {}
        self.trust = trust(SHOP)

    def client(self, secure: Secure, alpn: tuple[str, ...] = ()) -> Context:
        if self.wrong is not None:
            raise self.wrong
        key = (secure, alpn)
        if key not in self.made:
            self.made[key] = (
                contexts.mesh_client(material(SHOP.issue(WEB), WEB), self.trust, alpn)
                if secure.identity
                else contexts.client(self.trust, alpn=alpn)
            )
        return self.made[key]


class Counter:
    """Counts handshakes."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def succeeded(self, seconds: float, resumed: bool) -> None:
        self.told.append((seconds, resumed))

    def fail(self, reason: str) -> None:
        self.told.append(reason)


class ClientCase(TlsCase):
    """
    A connector, and a server that listens.

    @ivar endpoint: the server's
    @ivar day: the time of day
    """

    def setUp(self) -> None:
        super().setUp()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.server.close)
        self.endpoint = Endpoint(*self.server.getsockname())
        self.contexts, self.counter = Contexts(), Counter()
        self.day = 0.0
        self.tls = Upstreams(self.hub, self.contexts, SECONDS, self.counter, lambda: self.day)
        self.connector = SocketConnector(self.hub, 1.0, tls=self.tls)

    def shows(self, leaf: Leaf | None = None, alpn: tuple[str, ...] = ()) -> SSL.Context:
        """An ordinary server, which shows C{leaf}."""
        return contexts.frontend(material(leaf or SHOP.issue(NAME)), alpn).ssl

    def connect(self, context: SSL.Context, secure: Secure = SECURE) -> tuple[Deferred[Any], Far]:
        """Connect to a server that uses C{context}, and let both do what they do."""
        connecting = self.connector.connect(self.endpoint, Metadata(secure))
        sock, _ = self.server.accept()
        sock.setblocking(False)
        self.addCleanup(sock.close)
        far = Far(sock, context, server=True, sni=secure.server_name)
        self.both(far, until=lambda: called(connecting) and (far.done or far.error))
        return connecting, far

    def connected(self, context: SSL.Context, secure: Secure = SECURE) -> tuple[TlsStream, Far, Secured]:
        """A connection that stands, and what is known of it."""
        connecting, far = self.connect(context, secure)
        stream: TlsStream = self.successResultOf(connecting)
        self.secured.append(stream)
        assert stream.conn.tls is not None
        return stream, far, stream.conn.tls

    def read(self, stream: TlsStream, far: Far) -> None:
        """Have it read what is there, tickets among it."""
        far.say(b"x")
        reader = Recorder()
        stream.attach(reader)
        stream.resume()
        self.until(lambda: reader.events)


class ConnectTests(ClientCase):
    """Connections that stand."""

    def test_secured(self) -> None:
        """Whom we are connected to is known, and how; the server was told whom we want."""
        stream, far, tls = self.connected(self.shows())
        self.assertEqual(Secured(NAME, "", "TLSv1.3", "TLS_AES_128_GCM_SHA256", "", NAME, False), tls)
        self.assertEqual(NAME.encode(), far.connection.get_servername())
        self.assertEqual((self.endpoint.host, self.endpoint.port), stream.conn.peer)
        self.assertEqual([(0.0, False)], self.counter.told)
        self.assertEqual(([], 0), (self.reactor.getDelayedCalls(), stream._descriptor.interest))
        stream.write(b"hello")
        self.both(far)
        self.assertEqual(b"hello", far.heard)

    def test_mesh(self) -> None:
        """Of the mesh, both identities are known."""
        server = contexts.mesh_server(material(SHOP.issue(CART), CART), trust(SHOP), require=True)
        _, far, tls = self.connected(server.ssl, MESH)
        self.assertEqual((CART, WEB, CART), (tls.sni, tls.local_identity, tls.remote_identity))
        self.assertEqual(WEB, far.connection.get_app_data().identity)

    def test_spiffe(self) -> None:
        """An identity that is no name of a host is not asked for, but has to be there."""
        cart = "spiffe://shop/cart"
        self.contexts.made[(Secure(cart, identity=True), ())] = contexts.mesh_client(
            material(SHOP.issue("spiffe://shop/web"), "spiffe://shop/web"), trust(SHOP)
        )
        server = contexts.mesh_server(material(SHOP.issue(cart), cart), trust(SHOP))
        _, far, tls = self.connected(server.ssl, Secure(cart, identity=True))
        self.assertEqual(("", cart, None), (tls.sni, tls.remote_identity, far.connection.get_servername()))

    def test_address(self) -> None:
        """An IP address is checked, and not told (RFC 6066, 3)."""
        _, far, tls = self.connected(self.shows(SHOP.issue("127.0.0.1")), Secure("127.0.0.1"))
        self.assertEqual(("", None), (tls.sni, far.connection.get_servername()))

    def test_alpn(self) -> None:
        """What the metadata offers is offered, and what was agreed upon is known."""
        metadata = Metadata(SECURE).offering("h2", "http/1.1")
        assert metadata.secure is not None
        for alpn, agreed in ((("h2",), "h2"), (("http/1.1",), "http/1.1"), (("spdy/1",), ""), ((), "")):
            _, _, tls = self.connected(self.shows(alpn=alpn), metadata.secure)
            self.assertEqual(agreed, tls.alpn)

    def test_never_at_once(self) -> None:
        """A handshake is not done before C{try_connect} returns, which does not open anything."""
        self.assertIsNone(self.connector.try_connect(self.endpoint, Metadata(SECURE)))
        self.server.setblocking(False)
        self.assertRaises(BlockingIOError, self.server.accept)

    def test_plain(self) -> None:
        """What is not to be secured is not."""
        connecting = self.connector.connect(self.endpoint, UNKNOWN)
        self.until(partial(called, connecting))
        stream = self.successResultOf(connecting)
        self.streams.append(stream)  # type: ignore[arg-type]
        self.assertIsNone(stream.conn.tls)
        self.assertEqual(UNKNOWN, UNKNOWN.offering("h2"))


class ResumedTests(ClientCase):
    """Sessions."""

    def sessions(self, secure: Secure = SECURE) -> Sessions:
        """Those of the context that connections which are to be secured so have."""
        return self.contexts.client(secure).sessions

    def again(self, server: SSL.Context, secure: Secure = SECURE) -> tuple[bool, str]:
        """Whether the next connection resumes, and who is at its end; it reads, and is closed."""
        stream, far, tls = self.connected(server, secure)
        self.read(stream, far)
        stream.close()
        self.both(far)
        return tls.resumed, tls.remote_identity

    def test_closed(self) -> None:
        """The last session of a connection that was closed is gone on with, by whom it belongs to."""
        for most in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            made = contexts.frontend(material(SHOP.issue(NAME)))
            server = SSL.Context(SSL.TLS_SERVER_METHOD)
            leaf = SHOP.issue(NAME)
            server.use_privatekey(leaf.key)
            server.use_certificate(leaf.certificate)
            server.set_session_id(b"x")
            server.set_max_proto_version(most)
            self.sessions().forget((self.endpoint, SECURE))
            self.assertEqual([(False, NAME), (True, NAME), (True, NAME)], [self.again(server) for _ in range(3)])
            self.assertTrue(made.resumable)
        self.assertEqual((0.0, True), self.counter.told[-1])

    def test_aborted(self) -> None:
        """So is that of one that was aborted: who reads the stream has its reasons, TLS has none."""
        server = self.shows()
        stream, far, _ = self.connected(server)
        self.read(stream, far)
        stream.abort()
        self.assertEqual((True, NAME), self.again(server))

    def test_open(self) -> None:
        """Nor does it take the end of a connection, but the ticket that it has read."""
        server = self.shows()
        first, far, _ = self.connected(server)
        self.read(first, far)
        _, _, tls = self.connected(server)
        self.assertTrue(tls.resumed)

    def test_others(self) -> None:
        """Another endpoint, or another way to be secure, has sessions of its own."""
        server = self.shows(SHOP.issue(NAME, "b.test"))
        self.assertEqual([(False, NAME), (True, NAME)], [self.again(server) for _ in range(2)])
        self.assertEqual((False, "b.test"), self.again(server, Secure("b.test")))

    def test_anchors(self) -> None:
        """New anchors, or a new certificate of ours, begin with a full handshake."""
        server = self.shows()
        self.again(server)
        self.contexts.made.clear()
        self.assertEqual([(False, NAME), (True, NAME)], [self.again(server) for _ in range(2)])

    def test_expired(self) -> None:
        """With the certificate that was verified, a session expires, also one that was resumed from it."""
        leaf = SHOP.issue(NAME)
        server = self.shows(leaf)
        self.assertEqual([(False, NAME), (True, NAME)], [self.again(server) for _ in range(2)])
        self.day = leaf.certificate.not_valid_after_utc.timestamp()
        self.assertEqual((False, NAME), self.again(server))

    def test_never_of_mesh(self) -> None:
        """An identity is proved anew each time."""
        server = contexts.mesh_server(material(SHOP.issue(CART), CART), trust(SHOP)).ssl
        self.assertEqual([(False, CART)] * 2, [self.again(server, MESH) for _ in range(2)])
        self.assertEqual(0, len(self.sessions(MESH)))

    def test_forgotten(self) -> None:
        """A handshake that fails takes the session with it."""
        self.again(self.shows())
        self.assertEqual(1, len(self.sessions()))
        connecting, _ = self.connect(self.shows(authority("stranger").issue(NAME)))
        self.failureResultOf(connecting, HandshakeFailed)
        self.assertEqual(0, len(self.sessions()))


class RefusedTests(ClientCase):
    """Connections that do not come about, and why."""

    def refused(self, leaf: Leaf, secure: Secure = SECURE) -> HandshakeFailed:
        """What is wrong with a server that shows C{leaf}, which is told so by an alert."""
        connecting, far = self.connect(self.shows(leaf), secure)
        error: Any = self.failureResultOf(connecting, HandshakeFailed).value
        self.both(far)
        self.assertIn("alert", str(far.error))
        self.assertEqual((502, "tls", error.why), (error.status, error.layer, self.counter.told[-1]))
        far.sock.close()
        self.until(lambda: not len(self.hub))
        self.assertEqual([], self.reactor.getDelayedCalls())
        return error  # type: ignore[no-any-return]

    def why(self, connecting: Deferred[Any]) -> str:
        """The word for why there is no connection."""
        error = self.failureResultOf(connecting, HandshakeFailed).value
        assert isinstance(error, HandshakeFailed)
        return error.why

    def test_certificates(self) -> None:
        """Each says which certificate, which check and which name."""
        for why, leaf in {
            "expired": SHOP.issue(NAME, lasts=timedelta(seconds=-1)),
            "not_yet_valid": SHOP.issue(NAME, begins=timedelta(hours=1)),
            "unknown_ca": authority("stranger").issue(NAME),
            "wrong_name": SHOP.issue("other.test"),
        }.items():
            error = self.refused(leaf)
            self.assertEqual(why, error.why)
            self.assertIn(f"tls: {self.endpoint} TLS handshake failed ({why}): certificate of ", explain(error))
        self.assertIn("other.test", error.text)
        self.assertIn(NAME, error.text)

    def test_plain_server(self) -> None:
        """A server that speaks no TLS is told apart."""
        connecting = self.connector.connect(self.endpoint, Metadata(SECURE))
        sock, _ = self.server.accept()
        self.addCleanup(sock.close)
        sock.sendall(b"220 smtp.test ESMTP\r\n")
        self.until(partial(called, connecting))
        self.assertEqual("not_tls", self.why(connecting))

    def test_ended(self) -> None:
        """So is one that hangs up."""
        connecting = self.connector.connect(self.endpoint, Metadata(SECURE))
        sock, _ = self.server.accept()
        sock.recv(65536)
        sock.close()
        self.until(partial(called, connecting))
        self.assertEqual("eof", self.why(connecting))

    def test_time(self) -> None:
        """The handshake has a clock of its own, which begins once it is connected."""
        connecting = self.connector.connect(self.endpoint, Metadata(SECURE))
        sock, _ = self.server.accept()
        self.addCleanup(sock.close)
        self.reactor.advance(SECONDS - 0.1)
        self.assertNoResult(connecting)
        self.reactor.advance(0.1)
        self.failureResultOf(connecting, HandshakeTimedOut)
        self.assertEqual((["timeout"], 0), (self.counter.told, len(self.hub)))

    def test_cancelled(self) -> None:
        """Nobody waits any more: it is closed."""
        connecting = self.connector.connect(self.endpoint, Metadata(SECURE))
        sock, _ = self.server.accept()
        self.addCleanup(sock.close)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertEqual((["aborted"], 0), (self.counter.told, len(self.hub)))
        sock.recv(65536)
        self.assertEqual(b"", sock.recv(1))

    def test_no_material(self) -> None:
        """Without what it takes, nothing is said, least of all without TLS."""
        self.contexts.wrong = MaterialError("client.pem", "expired", "it has expired")
        connecting = self.connector.connect(self.endpoint, Metadata(SECURE))
        error: Any = self.failureResultOf(connecting, HandshakeFailed).value
        self.assertEqual(("expired", self.contexts.wrong), (error.why, error.__cause__))
        sock, _ = self.server.accept()
        self.addCleanup(sock.close)
        self.assertRaises(ConnectionResetError, sock.recv, 1)

    def test_nobody(self) -> None:
        """A connector that can secure nothing does not connect."""
        connecting = SocketConnector(self.hub, 1.0).connect(self.endpoint, Metadata(SECURE))
        self.assertEqual("not_configured", self.why(connecting))

    def test_not_connected(self) -> None:
        """An endpoint that refuses does so as always."""
        self.server.close()
        connecting = self.connector.connect(self.endpoint, Metadata(SECURE))
        if not connecting.called:
            self.until(partial(called, connecting))
        self.failureResultOf(connecting, ConnectFailed)
        self.assertEqual([], self.counter.told)

    def test_garbage(self) -> None:
        """However it ends, nothing of it waits for the garbage collector."""
        self.enterContext(only_new())
        server = self.shows()

        def done() -> None:
            stream, far, _ = self.connected(server)
            self.read(stream, far)
            stream.close()

        ends: tuple[Callable[[], object], ...] = (done, self.test_time, self.test_cancelled, self.test_ended)
        for end in ends:
            with uncounted() as left:
                self.counter.told.clear()
                end()
                self.secured.clear()
            self.assertEqual([], left, end.__name__)
