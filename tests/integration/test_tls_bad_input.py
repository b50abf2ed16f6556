# -*- test-case-name: tests.integration.test_tls_bad_input -*-
"""
Bad hellos, bad certificates and bad manners through the whole proxy: the connection ends, the reason is counted,
nothing is logged that looks like a mistake, and not a byte arrives upstream.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import time
import warnings
from dataclasses import replace
from datetime import timedelta

from OpenSSL import SSL

from lproxy.config import Config
from lproxy.testing.certificates import CODE, SERVER, Leaf, authority, rsa_key
from tests.app.hello import hello
from tests.integration.http_case import GET, OK, Wire, eventually, threaded
from tests.integration.secure_case import FRIEND, OWN, SHOP, WWW, TlsCase, records, with_sni

#: seconds that a handshake may take here
HANDSHAKE = 0.8
#: a TLS alert in a record of its own: type 21
ALERT = b"\x15\x03"


class BadHelloTests(TlsCase):
    """What is no handshake, or none that comes to an end."""

    def config(self) -> Config:
        """One whose patience is short."""
        config = super().config()
        outbound = replace(config.outbound, handshake=HANDSHAKE, detect=HANDSHAKE)
        return replace(config, outbound=outbound, inbound=replace(config.inbound, handshake=HANDSHAKE))

    def ends(self, client: Wire, row: object) -> bytes:
        """The proxy ends it, whether with FIN or RST, and soon; what it has said."""
        heard = b""
        try:
            while piece := client.sock.recv(1 << 16):
                heard += piece
        except ConnectionError:
            pass
        except TimeoutError:
            self.fail(f"still open: {row}")
        client.close()
        return heard

    def failed(self, data: bytes, reasons: set[str], row: object, port: str = "edge") -> bytes:
        """C{data} ends its connection, and is counted once, under one of C{reasons}."""
        heard = self.ends(self.client(data, port=port), row)
        found = eventually(lambda: self.handshakes, f"{row} is counted")
        self.assertEqual([1], list(found.values()), row)
        self.assertIn(next(iter(found)), reasons, row)
        self.forget()
        return heard

    @threaded
    def test_plain_http(self) -> None:
        """HTTP without TLS, where there has to be, is told so; what is not HTTP is closed."""
        heard = self.ends(self.client(GET, port="edge"), "plain")
        self.assertIn(b"HTTP/1.1 400 ", heard)
        self.assertIn(b"TLS", heard.partition(b"\r\n\r\n")[2])
        self.assertEqual(b"", self.ends(self.client(b"SSH-2.0-x\r\n", port="edge"), "ssh"))
        self.assertEqual(b"", self.ends(self.client(b"\x80\x2e\x01\0\2" + bytes(60), port="edge"), "SSL 2"))
        self.well()

    @threaded
    def test_malformed(self) -> None:
        """Hellos that nobody can read."""
        good = hello(WWW)
        for row, data in {
            "a record without a hello": b"\x16\x03\x01\0\0",
            "another message": good[:5] + b"\2" + good[6:],
            "half, then HTTP": good[:100] + GET,
            "too long a session": good[:43] + b"\xff" + good[44:],
            "alert": b"\x15\x03\x01\0\2\2\x28",
            "application data": b"\x17\x03\x03\0\5hello",
            "ciphers beyond the end": good[:76] + b"\xff\xff" + good[78:],
            "endless records": b"\x16\x03\x01\0\1\1" * 20_000,
            "100 KB": b"\x16\x03\x01\x40\0\1\1\x86\xa0\3\3" + bytes(16378) + (b"\x16\x03\x01\x40\0" + bytes(16384)) * 5,
        }.items():
            client = self.client(port="edge")
            with contextlib.suppress(OSError):
                client.send(data)
            heard = self.ends(client, row)
            self.assertIn(heard[:2], (b"", ALERT, b"HT"), row)
        self.well()

    @threaded
    def test_hello_and_more(self) -> None:
        """A good hello, then garbage, a record that is too long, or another hello."""
        good = hello(WWW)
        for row, more in {
            "garbage": os.urandom(1000),
            "overflow": b"\x17\x03\x03\xff\xff" + bytes(65535),
            "plain HTTP": GET,
            "another hello": good,
        }.items():
            self.failed(good + more, {"protocol", "not_tls", "alert:decode_error"}, row)
        self.well()

    @threaded
    def test_stalled(self) -> None:
        """A hello that does not come to its end, or that nothing follows: closed within the handshake's time."""
        good = hello(WWW)
        for row, data in {"half": good[:100], "one byte": good[:1], "no answer": good}.items():
            began = time.monotonic()
            client = self.client(data, port="edge")
            self.ends(client, row)
            self.assertLess(time.monotonic() - began, HANDSHAKE * 10, row)
        eventually(lambda: self.handshakes.get("timeout"), "counted")
        self.well()

    @threaded
    def test_gone(self) -> None:
        """A client that goes away in the middle: FIN, or RST, before and after its hello is whole."""
        good = hello(WWW)
        for data in (good[:1], good[:100], good):
            client = self.client(data, port="edge").fin()
            self.ends(client, len(data))
            self.client(data, port="edge").reset()
        eventually(lambda: sum(self.handshakes.values()) >= 2, "counted")
        self.assertEqual(set(), set(self.handshakes) - {"eof", "reset", "protocol"})
        self.well()

    @threaded
    def test_names(self) -> None:
        """Names that are none: junk, NUL, an address, letters beyond ASCII; in capitals it is the same name."""
        bare = hello()
        for row, name in {
            "junk": b"x" * 60_000,
            "NUL": b"www.shop.test\0.evil",
            "address": b"127.0.0.1",
            "letters": "bücher.test".encode(),
            "empty": b"",
            "dots": b"..",
        }.items():
            data = with_sni(bare, name)
            client = self.client(data, port="edge")
            # whoever asks for nobody is shown the default, or nothing: either is the end of its hello
            heard = self.ends(client, row)
            self.assertIn(heard[:1], (b"", b"\x16", b"\x15"), row)
        capitals = self.secure(GET, sni="WWW.Shop.TEST")
        up = self.upstream.accept()
        up.message()
        up.send(OK)
        self.assertEqual(OK, capitals.message())
        up.close()

    @threaded
    def test_fragments(self) -> None:
        """A hello of 16 KB in sixty records, each a segment of its own, byte by byte at its beginning: it is served."""
        context = self.context()
        context.set_alpn_protocols(["http/1.1", *(f"protocol-{number}-{'x' * 200}" for number in range(75))])
        for sizes in (300, 1):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = context.wrap_bio(incoming, outgoing, server_hostname=WWW)
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
            whole = outgoing.read()
            self.assertGreater(len(whole), 15_000)
            wire = self.client(port="edge")
            if sizes == 1:
                for at in range(200):
                    wire.send(whole[at : at + 1])
                wire.send(whole[200:])
            else:
                for piece in records(whole, sizes):
                    wire.send(piece)
            self.finish(client, incoming, outgoing, wire)

    def finish(self, client: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, wire: Wire) -> None:
        """The rest of a handshake whose hello was sent, and a request."""
        while True:
            incoming.write(wire.sock.recv(1 << 16))
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                continue
        client.write(GET)
        wire.send(outgoing.read())
        up = self.upstream.accept()
        up.message()
        up.send(OK)
        while True:
            incoming.write(wire.sock.recv(1 << 16))
            try:
                self.assertEqual(OK, client.read(1000))
                break
            except ssl.SSLWantReadError:
                continue
        wire.close()
        up.close()

    @threaded
    def test_many(self) -> None:
        """A thousand that are half-open cost their sockets and nobody else: who comes then is served."""
        good = hello(WWW)
        stalled = [self.client(good[: 1 + number % len(good)], port="edge") for number in range(1000)]
        self.well()
        for client in stalled:
            self.ends(client, "stalled")
        self.well()

    @threaded
    def test_limit(self) -> None:
        """No more handshakes at once than there may be; the others are closed and counted."""
        self.again(limits={"handshakes": 5})
        good = hello(WWW)
        stalled = [self.client(good, port="edge") for _ in range(20)]
        for client in stalled:
            self.ends(client, "stalled")
        eventually(lambda: self.handshakes == {"limit": 15, "timeout": 5}, "counted")
        self.well()

    @threaded
    def test_old_versions(self) -> None:
        """TLS 1.0 and 1.1 get an alert, and so does who offers nothing that we take."""
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            context = self.context()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = context.maximum_version = version
            context.set_ciphers("ALL:@SECLEVEL=0")
            self.refused(context, "no_shared_version", "edge")
        context = self.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AES128-SHA:@SECLEVEL=0")
        self.refused(context, "no_shared_cipher", "edge")
        # between proxies there is only one version
        context = self.context(SHOP.issue(FRIEND))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.refused(context, "no_shared_version", "mesh", OWN)
        self.well()

    def refused(self, context: ssl.SSLContext, reason: str, port: str, sni: str = WWW) -> None:
        """A client hears an alert, and it is counted."""
        error = self.assertRaises(ssl.SSLError, self.secure, port=port, sni=sni, context=context)
        self.assertIn("alert", str(error).lower())
        eventually(lambda: self.handshakes == {reason: 1}, f"{reason}: {self.handshakes}")
        self.forget()

    @threaded
    def test_renegotiation(self) -> None:
        """Who wants to negotiate once more, in TLS 1.2, is told that there is no such thing."""
        plain = self.client(port="edge")
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        client = SSL.Connection(context, plain.sock)
        plain.sock.setblocking(True)
        client.set_tlsext_host_name(WWW.encode())
        client.set_connect_state()
        client.do_handshake()
        client.renegotiate()
        error = self.assertRaises(SSL.Error, client.do_handshake)
        self.assertIn("no renegotiation", str(error))
        self.well()

    @threaded
    def test_tls_where_none_is(self) -> None:
        """On a listener that looks for no TLS, a hello is bytes as any others, and arrives as it is."""
        good = hello(WWW)
        self.client(good, port="off")
        up = self.upstream.accept()
        self.assertEqual(good, up.exactly(len(good)))
        up.close()

    @threaded
    def test_other_names(self) -> None:
        """Where TLS is detected, hellos for others pass untouched, however they are cut."""
        good = hello("other.test")
        for pieces in ([good], [good[:1], good[1:100], good[100:]], list(records(good, 7))):
            client = self.client(*pieces, port="detect")
            up = self.upstream.accept()
            self.assertEqual(b"".join(pieces), up.exactly(len(b"".join(pieces))))
            client.close()
            up.close()
        self.well("detect")


class BadCertificateTests(TlsCase):
    """Clients of the mesh whose certificates are not good."""

    def refused(self, leaf: Leaf | None, reason: str, port: str = "mesh", trust: bytes = SHOP.pem) -> None:
        """C{leaf} gets an alert, which is counted for C{reason}."""
        try:
            # in TLS 1.3 the client is done before the server has seen its certificate
            client = self.secure(port=port, sni=OWN, context=self.context(leaf, trust))
            heard = client.sock.recv(1000)
        except (ssl.SSLError, ConnectionError) as error:
            self.assertTrue(isinstance(error, ConnectionError) or "alert" in str(error).lower(), (reason, error))
        else:
            self.fail(f"{reason}: let in, and told {heard!r}")
        eventually(lambda: self.handshakes == {reason: 1}, f"{reason}: {self.handshakes}")
        self.forget()

    @threaded
    def test_each(self) -> None:
        """Each bad one gets an alert, its reason is counted, and the upstream hears nothing of it."""
        hour = timedelta(hours=1)
        for reason, leaf in [
            ("expired", SHOP.issue(FRIEND, lasts=timedelta(hours=-1))),
            ("expired", SHOP.below(lasts=timedelta(hours=-1)).issue(FRIEND)),
            ("not_yet_valid", SHOP.issue(FRIEND, begins=hour)),
            ("unknown_ca", authority("stranger").issue(FRIEND)),
            ("wrong_usage", SHOP.issue(FRIEND, usage=CODE)),
            ("wrong_usage", SHOP.issue(FRIEND, usage=SERVER)),
            ("weak", SHOP.issue(FRIEND, key=rsa_key(1024))),
            ("weak", SHOP.issue(FRIEND, sha1=True)),
            ("too_long", SHOP.below(depth=12).issue(FRIEND)),
            ("no_identity", SHOP.issue(common_name=FRIEND)),
            ("no_identity", SHOP.issue("spiffe://shop/a", "spiffe://shop/b")),
            ("no_identity", SHOP.issue("*.shop.mesh")),
            ("no_identity", SHOP.issue("w*.shop.mesh")),
            ("no_identity", SHOP.issue(FRIEND + "\0.evil.test")),
            ("no_identity", SHOP.issue("10.0.0.1")),
        ]:
            self.refused(leaf, reason)
        self.well("mesh", sni=OWN, context=self.context(SHOP.issue(FRIEND)))

    @threaded
    def test_chain_of_ten(self) -> None:
        """A chain of eight between it and the anchor is long, and good."""
        leaf = SHOP.below(depth=8).issue(FRIEND)
        self.well("mesh", sni=OWN, context=self.context(leaf))

    @threaded
    def test_none(self) -> None:
        """No certificate, where an identity is required: an alert; elsewhere it is nobody, and is served."""
        self.refused(None, "no_certificate", "strict")
        self.well("mesh", sni=OWN)

    @threaded
    def test_not_resumed(self) -> None:
        """Nobody gets in by an earlier session, however good its certificate was then."""
        context = self.context(SHOP.issue(FRIEND))
        plain = self.client(port="mesh")
        first = context.wrap_socket(plain.sock, server_hostname=OWN)
        wire = Wire(first)
        wire.send(GET)
        up = self.upstream.accept()
        up.message()
        up.send(OK)
        self.assertEqual(OK, wire.message())
        again = context.wrap_socket(self.client(port="mesh").sock, server_hostname=OWN, session=first.session)
        self.assertFalse(again.session_reused)
        wire.close()
        again.close()
        up.close()

    @threaded
    def test_resumed_at_the_edge(self) -> None:
        """Ordinary clients, who prove nothing, do resume."""
        context = self.context()
        plain = self.client(port="edge")
        first = context.wrap_socket(plain.sock, server_hostname=WWW)
        wire = Wire(first)
        wire.send(GET)
        up = self.upstream.accept()
        up.message()
        up.send(OK)
        self.assertEqual(OK, wire.message())
        again = context.wrap_socket(self.client(port="edge").sock, server_hostname=WWW, session=first.session)
        self.assertTrue(again.session_reused)
        wire.close()
        again.close()
        up.close()


class TruncationTests(TlsCase):
    """An end that nobody has told of is no end (RFC 8446, 6.1)."""

    @threaded
    def test_client_cut_off(self) -> None:
        """FIN without close_notify in the middle of bytes: the upstream's connection is reset, not ended."""
        client = self.secure(b"\x01\x02binary", port="edge")
        up = self.upstream.accept()
        self.assertEqual(b"\x01\x02binary", up.exactly(8))
        client.close()  # of Python's sockets, that is no close_notify
        self.assertEqual("reset", up.end())

    @threaded
    def test_client_ended(self) -> None:
        """close_notify is an end like FIN, and what the upstream says to that still arrives."""
        client = self.secure(b"\x01\x02binary", port="edge")
        up = self.upstream.accept()
        self.assertEqual(b"\x01\x02binary", up.exactly(8))
        with contextlib.suppress(ssl.SSLError, OSError):
            self.tls(client).settimeout(0.1)
            self.tls(client).unwrap()
        self.assertEqual("eof", up.end())
        up.close()
