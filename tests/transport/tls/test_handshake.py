# -*- test-case-name: tests.transport.tls.test_handshake -*-
"""
Tests for L{lproxy.transport.tls.handshake}, on real sockets.
"""

from __future__ import annotations

import os
import socket
from datetime import timedelta

from OpenSSL import SSL

from lproxy.identity import contexts
from lproxy.identity.contexts import Context
from lproxy.testing.certificates import CODE, authority
from lproxy.testing.garbage import only_new, uncounted
from lproxy.transport.socket import SocketStream
from lproxy.transport.stream import Conn, Secured
from lproxy.transport.tls.failure import HandshakeFailed, HandshakeTimedOut
from lproxy.transport.tls.hello import Hello
from tests.identity.handshake import material, trust
from tests.transport.tls.pairs import NAME, SECONDS, SHOP, Far, TlsCase, frontend, ordinary

WEB, CART = "web.shop.mesh", "cart.shop.mesh"


def mesh(require: bool = False) -> Context:
    """A proxy that is dialled."""
    return contexts.mesh_server(material(SHOP.issue(CART), CART), trust(SHOP), require=require)


def member(**how: object) -> Context:
    """A proxy that dials, with a certificate that is issued C{how}."""
    leaf = SHOP.issue(WEB, **how)  # type: ignore[arg-type]
    return contexts.mesh_client(material(leaf, WEB), trust(SHOP))


class AcceptTests(TlsCase):
    """As a server."""

    def test_done(self) -> None:
        """There is a stream, of the same connection, which says how it is secured."""
        accepted, peer = self.tcp()
        before, fd = accepted.conn, accepted.fileno()
        shaking, far = self.accept(accepted, peer)
        self.assertEqual((1, True), (self.handshakes.open, accepted.closed))
        self.assertNoResult(shaking)
        self.both(far, until=lambda: shaking.called)
        stream = self.successResultOf(shaking)
        self.secured.append(stream)
        secured = Secured(NAME, "http/1.1", "TLSv1.3", "TLS_AES_128_GCM_SHA256")
        self.assertEqual(before._replace(tls=secured, no_tls_reason=""), stream.conn)
        self.assertEqual((fd, 0, None), (stream.fileno(), self.handshakes.open, stream.raw()))
        self.assertEqual((0, []), (stream._descriptor.interest, self.reactor.getDelayedCalls()))

    def test_identities(self) -> None:
        """Both sides' identities are known, where they have shown any."""
        stream, _ = self.pair(mesh(), member(), CART)
        assert stream.conn.tls is not None
        self.assertEqual((CART, WEB), (stream.conn.tls.local_identity, stream.conn.tls.remote_identity))
        stream, _ = self.pair(mesh(), ordinary(), CART)
        assert stream.conn.tls is not None
        self.assertEqual((CART, ""), (stream.conn.tls.local_identity, stream.conn.tls.remote_identity))

    def test_resumed(self) -> None:
        """A ticket of ours shortens the next handshake, in both versions of TLS."""
        for most in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            client = SSL.Context(SSL.TLS_CLIENT_METHOD)
            client.set_max_proto_version(most)
            session = None
            for again in (False, True, True):
                accepted, peer = self.tcp()
                far = Far(peer, client)
                if session is not None:
                    far.connection.set_session(session)
                far.step()
                shaking = self.handshakes.accept(accepted, frontend(), Hello(NAME))
                self.both(far)
                stream = self.successResultOf(shaking)
                self.secured.append(stream)
                assert stream.conn.tls is not None
                self.assertEqual(again, stream.conn.tls.resumed, most)
                session = far.connection.get_session()
                # or OpenSSL takes it for one that was cut off, and its session for one not to go on with
                far.connection.set_shutdown(SSL.SENT_SHUTDOWN | SSL.RECEIVED_SHUTDOWN)

    def test_no_identity_resumed(self) -> None:
        """Who has proved an identity proves it each time: no ticket stands for it."""
        client = member()
        session = None
        for _ in range(2):
            accepted, peer = self.tcp()
            far = Far(peer, client.ssl, sni=CART)
            if session is not None:
                far.connection.set_session(session)
            far.step()
            shaking = self.handshakes.accept(accepted, mesh(), Hello(CART))
            self.both(far)
            stream = self.successResultOf(shaking)
            self.secured.append(stream)
            assert stream.conn.tls is not None
            self.assertEqual((False, WEB), (stream.conn.tls.resumed, stream.conn.tls.remote_identity))
            session = far.connection.get_session()

    def test_first_bytes(self) -> None:
        """What a client says right behind its handshake is there to be read."""
        shaking, far = self.accept(*self.tcp())
        while not far.done:
            far.step()
            if not far.done and self.ready():
                self.hub.serve()
        far.say(b"GET /")
        self.both(far, until=lambda: shaking.called)
        stream = self.successResultOf(shaking)
        self.secured.append(stream)
        got: list[bytes] = []
        stream.attach(Collector(got))
        stream.resume()
        self.until(lambda: got)
        self.assertEqual([b"GET /"], got)


class Collector:
    """A reader that keeps what it hears."""

    def __init__(self, got: list[bytes]) -> None:
        self.data_received = got.append

    def eof_received(self) -> None: ...

    def connection_lost(self) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class RefusedTests(TlsCase):
    """Handshakes that fail say why, in a word, and leave nothing behind."""

    def refused(self, shaking: object, far: Far) -> HandshakeFailed:
        """It fails so, is counted no more, and is closed once the other side has read why, and is gone."""
        self.both(far, until=lambda: shaking.called)  # type: ignore[attr-defined]
        error = self.failureResultOf(shaking, HandshakeFailed).value  # type: ignore[arg-type]
        self.assertEqual(0, self.handshakes.open)
        self.both(far)
        far.sock.close()
        self.until(lambda: not len(self.hub))
        self.assertEqual([], self.reactor.getDelayedCalls())
        assert isinstance(error, HandshakeFailed)
        return error

    def why(self, context: Context, client: SSL.Context) -> str:
        """The word for why C{client} is not let in, who is told by an alert."""
        accepted, peer = self.tcp()
        far = Far(peer, client)
        far.step()
        error = self.refused(self.handshakes.accept(accepted, context, Hello(NAME)), far)
        self.both(far)
        self.assertIn("alert", str(far.error), error.why)
        self.assertTrue(str(error).startswith(f"tls: {'127.0.0.1'}:"), str(error))
        return error.why

    def test_certificates(self) -> None:
        """A client's certificate that is not good is named, and what is wrong with it."""
        for why, leaf in {
            "expired": SHOP.issue(WEB, lasts=timedelta(seconds=-1)),
            "not_yet_valid": SHOP.issue(WEB, begins=timedelta(hours=1)),
            "unknown_ca": authority("stranger").issue(WEB),
            "wrong_usage": SHOP.issue(WEB, usage=CODE),
            "no_identity": SHOP.issue(common_name=WEB),
        }.items():
            client = SSL.Context(SSL.TLS_CLIENT_METHOD)
            client.use_privatekey(leaf.key)
            client.use_certificate(leaf.certificate)
            self.assertEqual(why, self.why(mesh(), client))
        self.assertEqual("no_certificate", self.why(mesh(require=True), SSL.Context(SSL.TLS_CLIENT_METHOD)))

    def test_nothing_in_common(self) -> None:
        """Versions, ciphers and so on that both sides know are needed."""
        old = SSL.Context(SSL.TLS_CLIENT_METHOD)
        old.set_max_proto_version(SSL.TLS1_2_VERSION)
        self.assertEqual("no_shared_version", self.why(mesh(), old))
        old = SSL.Context(SSL.TLS_CLIENT_METHOD)
        old.set_max_proto_version(SSL.TLS1_2_VERSION)
        old.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256")
        self.assertEqual("no_shared_cipher", self.why(frontend(), old))

    def test_alert(self) -> None:
        """A client that does not like us says so by an alert, of which the word is counted."""
        accepted, peer = self.tcp()
        far = Far(peer, contexts.client(trust(authority("stranger"))).ssl)
        far.step()
        error = self.refused(self.handshakes.accept(accepted, frontend(), Hello(NAME)), far)
        self.assertEqual("alert:unknown_ca", error.why)
        self.assertIn("unknown ca", error.what())

    def test_garbage(self) -> None:
        """What comes after the hello has to be TLS."""
        accepted, peer = self.tcp()
        far = Far(peer, ordinary().ssl)
        far.step()
        peer.sendall(b"GET / HTTP/1.1\r\n\r\n" * 4)
        shaking = self.handshakes.accept(accepted, frontend(), Hello(NAME))
        self.until(lambda: shaking.called)
        self.assertEqual("not_tls", self.failureResultOf(shaking, HandshakeFailed).value.why)

    def test_random(self) -> None:
        """A hello with anything after it ends in an error that has a word."""
        for _ in range(50):
            accepted, peer = self.tcp()
            far = Far(peer, ordinary().ssl)
            far.step()
            peer.sendall(bytes([22, 3, 3, 0, 40]) + os.urandom(40))
            shaking = self.handshakes.accept(accepted, frontend(), Hello(NAME))
            self.until(lambda: shaking.called)  # noqa: B023 called at once
            self.assertTrue(self.failureResultOf(shaking, HandshakeFailed).value.why)
            peer.close()

    def test_ended(self) -> None:
        """A client may hang up, or reset, in the middle."""
        for how, why in ((socket.SHUT_WR, "eof"), (None, "reset")):
            shaking, far = self.accept(*self.tcp())
            if how is not None:
                far.sock.shutdown(how)
            else:
                far.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                far.sock.close()
            self.until(lambda: shaking.called)  # noqa: B023 called at once
            self.assertEqual(why, self.failureResultOf(shaking, HandshakeFailed).value.why)

    def test_time(self) -> None:
        """Who takes too long is closed."""
        shaking, far = self.accept(*self.tcp())
        self.reactor.advance(SECONDS - 0.1)
        self.assertNoResult(shaking)
        self.reactor.advance(0.1)
        error = self.failureResultOf(shaking, HandshakeTimedOut).value
        self.assertEqual(("timeout", "tls_timeout", 504), (error.why, error.reason, error.status))
        self.assertEqual((0, 0), (self.handshakes.open, len(self.hub)))
        self.both(far)
        self.assertIsInstance(far.error, SSL.SysCallError)

    def test_number(self) -> None:
        """Beyond so many at once, others are closed at once; each that is over makes room."""
        self.handshakes.limit = 1
        first, _ = self.accept(*self.tcp())
        second, _ = self.accept(*self.tcp())
        self.assertEqual("limit", self.failureResultOf(second, HandshakeFailed).value.why)
        first.cancel()
        self.failureResultOf(first)
        third, _ = self.accept(*self.tcp())
        self.assertNoResult(third)
        third.cancel()
        self.failureResultOf(third)
        self.assertEqual(0, self.handshakes.open)

    def test_cancelled(self) -> None:
        """Nobody waits any more: the socket is closed, and whoever counts connections is told."""
        released: list[int] = []
        here, there = socket.socketpair()
        self.addCleanup(there.close)
        here.setblocking(False)
        there.setblocking(False)
        stream = SocketStream(here, self.hub, Conn(("", 0), ("", 0)), lambda: released.append(1))
        shaking, far = self.accept(stream, there)
        shaking.cancel()
        self.failureResultOf(shaking)
        self.assertEqual(([1], -1), (released, here.fileno()))
        self.both(far)
        self.assertIsNotNone(far.error)

    def test_bug(self) -> None:
        """An exception in a callback of ours never lets a handshake pass."""
        made = SSL.Context(SSL.TLS_SERVER_METHOD)
        leaf = SHOP.issue(NAME)
        made.use_privatekey(leaf.key)
        made.use_certificate(leaf.certificate)

        def choose(connection: SSL.Connection, offered: list[bytes]) -> bytes:
            raise ZeroDivisionError

        made.set_alpn_select_callback(choose)
        shaking, far = self.accept(*self.tcp(), Context(made))
        error = self.failureResultOf(shaking, HandshakeFailed).value
        self.assertEqual("bug", error.why)
        self.assertIsInstance(error.__cause__, ZeroDivisionError)
        self.both(far)

    def test_shut_down(self) -> None:
        """The reactor goes down, and with it the handshake."""
        shaking, _ = self.accept(*self.tcp())
        self.hub.shut_down()
        self.assertEqual("shutdown", self.failureResultOf(shaking, HandshakeFailed).value.why)

    def test_half_open(self) -> None:
        """However many stall, all are closed in time, and nothing is left of them, not even garbage."""
        self.handshakes.limit = 1000
        self.enterContext(only_new())
        with uncounted() as left:
            failed: list[object] = []
            peers = []
            for _ in range(200):
                stream, peer = self.unix()
                peers.append(peer)
                self.streams.clear()
                far = Far(peer, ordinary().ssl)
                far.step()
                self.handshakes.accept(stream, frontend(), Hello(NAME)).addErrback(lambda f: failed.append(f.type))
                del stream, far
            self.assertEqual(200, self.handshakes.open)
            self.reactor.advance(SECONDS)
            self.assertEqual([HandshakeTimedOut] * 200, failed)
            self.assertEqual((0, 0), (self.handshakes.open, len(self.hub)))
            for peer in peers:
                peer.close()
            peers.clear()
            del peer
        self.assertEqual([], left)
