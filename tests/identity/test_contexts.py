# -*- test-case-name: tests.identity.test_contexts -*-
"""
Tests for L{lproxy.identity.contexts}.
"""

from __future__ import annotations

import warnings
from datetime import timedelta

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto
from twisted.trial.unittest import SynchronousTestCase

from lproxy.identity import contexts
from lproxy.identity.contexts import Context
from lproxy.testing.certificates import CODE, SERVER, Leaf, authority, rsa_key
from tests.identity.handshake import Side, material, move, shake, trust

SHOP = authority()
WEB = "web.shop.mesh"
CART = "cart.shop.mesh"


def server(leaf: Leaf | None = None, require: bool = False, identity: str = CART) -> Context:
    """A proxy that is dialled."""
    leaf = leaf or SHOP.issue(CART)
    return contexts.mesh_server(material(leaf, identity), trust(SHOP), require=require)


def client(leaf: Leaf | None = None, identity: str = WEB) -> Context:
    """A proxy that dials."""
    return contexts.mesh_client(material(leaf or SHOP.issue(WEB), identity), trust(SHOP))


class MeshTests(SynchronousTestCase):
    """Between proxies."""

    def test_both_known(self) -> None:
        """Each side learns who the other is, in TLS 1.3."""
        to, by = shake(server(), client(), CART)
        self.assertEqual((None, None), (to.error, by.error))
        self.assertEqual((WEB, CART), (to.peer.identity, by.peer.identity))
        self.assertEqual("TLSv1.3", by.connection.get_protocol_version_name())

    def test_spiffe(self) -> None:
        """A URI is an identity like any other, within one trust domain."""
        web, cart = "spiffe://shop/web", "spiffe://shop/ns/a/cart"
        to, by = shake(server(SHOP.issue(cart), identity=cart), client(SHOP.issue(web), web), cart)
        self.assertEqual((web, cart), (to.peer.identity, by.peer.identity))

    def test_no_certificate(self) -> None:
        """A client without a certificate is let in as nobody, unless an identity is required: that is an alert."""
        nobody = contexts.client(trust(SHOP))
        to, by = shake(server(), nobody, CART)
        self.assertEqual((None, "", None), (to.error, to.peer.identity, by.error))
        to, by = shake(server(require=True), nobody, CART)
        self.assertEqual("peer did not return a certificate", to.alert)
        self.assertEqual("tlsv13 alert certificate required", by.alert)

    def test_bad_clients(self) -> None:
        """Each bad certificate of a client is refused with an alert, and the reason is known."""
        below = SHOP.below(depth=12)
        bad = {
            "expired": SHOP.issue(WEB, lasts=timedelta(hours=-1)),
            "not_yet_valid": SHOP.issue(WEB, begins=timedelta(hours=1)),
            "unknown_ca": authority("stranger").issue(WEB),
            "wrong_usage": SHOP.issue(WEB, usage=CODE),
            "too_long": below.issue(WEB),
            "no_identity": SHOP.issue(common_name=WEB),
            "wrong_trust_domain": SHOP.issue("spiffe://other/web"),
            "weak": SHOP.issue(WEB, key=rsa_key(1024)),
            "weak ": SHOP.issue(WEB, sha1=True),
        }
        ours = server(SHOP.issue("spiffe://shop/cart"), identity="spiffe://shop/cart")
        for reason, leaf in bad.items():
            # what OpenSSL itself would not even send is not what is tried
            by = self.careless(leaf)
            to, by = shake(ours, by, "spiffe://shop/cart")
            self.assertEqual(reason.strip(), to.reason)
            self.assertEqual("certificate verify failed", to.alert, reason)
            self.assertIn("alert", by.alert, reason)
            self.assertNotIn("internal error", by.alert, reason)
            if reason in ("no_identity", "wrong_trust_domain"):
                self.assertIn("alert bad certificate", by.alert)
            assert to.peer.refusal is not None
            self.assertIn(
                f"serial {leaf.certificate.serial_number:x}" if reason != "too_long" else "serial", str(to.peer)
            )

    def careless(self, leaf: Leaf) -> Context:
        """A client that sends whatever it has."""
        made = SSL.Context(SSL.TLS_CLIENT_METHOD)
        made.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
        contexts._show(made, material(leaf))
        return Context(made)

    def test_odd_names(self) -> None:
        """Two URIs, a NUL, a wildcard: whoever has such names is nobody."""
        for odd in (("spiffe://shop/a", "spiffe://shop/b"), (WEB + "\0.evil",), ("*.shop.mesh",), ("10.0.0.1",)):
            to, by = shake(server(), client(SHOP.issue(*odd)), CART)
            self.assertEqual("no_identity", to.reason, odd)
            self.assertIn("alert", by.alert)

    def test_unreadable(self) -> None:
        """What OpenSSL can read and nobody else, or not even OpenSSL, is refused like any other."""
        dns = b"\x82\x0d" + WEB.encode()
        san, ski = b"\6\3\x55\x1d\x11", b"\6\3\x55\x1d\x0e"
        for reason, old, new in [
            ("invalid_certificate", WEB.encode(), b"w\xffb.shop.mesh"),
            ("no_identity", WEB.encode(), b"web\nshop.mesh"),
            ("no_identity", dns, b"\x81" + dns[1:]),
            ("invalid_certificate", dns, b"\x87" + dns[1:]),  # an IP address of thirteen bytes
            ("invalid_certificate", dns, b"\xa3" + dns[1:]),  # a name as of X.400
            ("unknown_ca", dns, b"\x82\x0e" + dns[2:]),
            ("unknown_ca", ski, san),  # there are two of them then
        ]:
            leaf = SHOP.issue(WEB, common_name="web")
            der = leaf.certificate.public_bytes(Encoding.DER)
            self.assertIn(old, der)
            made = SSL.Context(SSL.TLS_CLIENT_METHOD)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                odd = crypto.load_certificate(crypto.FILETYPE_ASN1, der.replace(old, new))
                odd.sign(crypto.PKey.from_cryptography_key(SHOP.authority.key), "sha256")
                made.use_certificate(odd)
            made.use_privatekey(leaf.key)
            to, by = shake(server(), Context(made), CART)
            self.assertEqual(reason, to.reason, new)
            self.assertIn("alert", by.alert)

    def test_bad_servers(self) -> None:
        """A client notices the same of a server, and that it is another one."""
        for reason, leaf in {
            "expired": SHOP.issue(CART, lasts=timedelta(hours=-1)),
            "unknown_ca": authority("stranger").issue(CART),
            "wrong_name": SHOP.issue("other.shop.mesh"),
            "no_identity": SHOP.issue(common_name=CART),
            "wrong_usage": SHOP.issue(CART, usage=CODE),
        }.items():
            to, by = shake(server(leaf), client(), CART)
            self.assertEqual(reason, by.reason)
            self.assertIn("alert", to.alert)
            self.assertNotIn("internal error", to.alert, reason)

    def test_no_wildcards(self) -> None:
        """A wildcard is nobody's identity, whatever it would cover."""
        _, by = shake(server(SHOP.issue("*.shop.mesh", CART)), client(), CART)
        self.assertEqual("no_identity", by.reason)

    def test_no_sessions(self) -> None:
        """An identity is proven anew each time: what a server sends as a ticket is not taken."""
        to, by = server(), client()
        _, first = shake(to, by, CART)
        again, second = shake(to, by, CART, session=first.connection.get_session())
        self.assertEqual((None, None, WEB), (again.error, second.error, again.peer.identity))
        self.assertFalse(SSL._lib.SSL_session_reused(second.connection._ssl))

    def test_old_client(self) -> None:
        """TLS 1.2 is not for proxies."""
        old = contexts.client(trust(SHOP)).ssl
        old.set_max_proto_version(SSL.TLS1_2_VERSION)
        to, by = shake(server(), Context(old), CART)
        self.assertEqual("unsupported protocol", to.alert)
        self.assertIn("protocol version", by.alert)

    def test_no_peer(self) -> None:
        """A connection without a place for what is found out passes nobody: it fails, with the bug."""
        made = server()
        to = Side(made.connection(None))
        to.connection.set_app_data(None)
        by = Side(client().connection(None, CART))
        to.connection.set_accept_state()
        by.connection.set_connect_state()
        for _ in range(3):
            by.step()
            move(by.connection, to.connection)
            to.step()
            move(to.connection, by.connection)
        self.assertIsInstance(to.error, TypeError)
        self.assertFalse(to.done)


class FrontendTests(SynchronousTestCase):
    """For ordinary clients, and of ordinary servers."""

    def test_https(self) -> None:
        """A client that trusts the anchor gets in, and both agree on a protocol: the server's first."""
        to = contexts.frontend(material(SHOP.below().issue("www.shop.test")), alpn=["h2", "http/1.1"])
        by = contexts.client(trust(SHOP), alpn=["http/1.1", "h2"])
        server, client = shake(to, by, "www.shop.test", sni="www.shop.test")
        self.assertEqual((None, None), (server.error, client.error))
        self.assertEqual(b"h2", client.connection.get_alpn_proto_negotiated())
        self.assertEqual(b"www.shop.test", server.connection.get_servername())
        self.assertEqual("", server.peer.identity)

    def test_other_protocol(self) -> None:
        """A client with other protocols alone is served without one."""
        to = contexts.frontend(material(SHOP.issue("www.shop.test")), alpn=["http/1.1"])
        server, client = shake(to, contexts.client(trust(SHOP), alpn=["mqtt"]), "www.shop.test")
        self.assertEqual((None, b""), (client.error, client.connection.get_alpn_proto_negotiated()))

    def test_names(self) -> None:
        """Names of servers are DNS names, wildcards of whole labels, and IP addresses."""
        by = contexts.client(trust(SHOP))
        for names, name, reason in [
            (("*.shop.test",), "www.shop.test", ""),
            (("*.shop.test",), "a.b.shop.test", "wrong_name"),
            (("w*.shop.test",), "www.shop.test", "wrong_name"),
            (("127.0.0.1", "::1"), "127.0.0.1", ""),
            (("127.0.0.1",), "127.0.0.2", "wrong_name"),
            (("www.shop.test", "a\0b"), "www.shop.test", "wrong_name"),
        ]:
            _, client = shake(contexts.frontend(material(SHOP.issue(*names))), by, name)
            self.assertEqual(reason, client.reason, names)
        _, client = shake(contexts.frontend(material(SHOP.issue(common_name="www.shop.test"))), by, "www.shop.test")
        self.assertEqual("wrong_name", client.reason)

    def test_system_trust(self) -> None:
        """Without anchors of our own, the system's are meant, and ours is none of them."""
        _, client = shake(contexts.frontend(material(SHOP.issue("a.test"))), contexts.client(), "a.test")
        self.assertEqual("unknown_ca", client.reason)
        assert client.peer.refusal is not None
        self.assertIn("CN=lproxy tests", client.peer.refusal.text)

    def test_pinned(self) -> None:
        """A server's own certificate can be what is trusted."""
        leaf = authority("alone").issue("a.test")
        pinned = trust(SHOP).__class__(("ca.pem",), (leaf.certificate,))
        _, client = shake(contexts.frontend(material(leaf)), contexts.client(pinned), "a.test")
        self.assertIsNone(client.error)

    def test_sessions(self) -> None:
        """Ordinary clients resume by ticket, with both versions; a new context knows no old ticket."""
        leaf = material(SHOP.issue("a.test"))
        for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            to = contexts.frontend(leaf)
            by = contexts.client(trust(SHOP))
            by.ssl.set_max_proto_version(version)
            _, first = shake(to, by, "a.test")
            session = first.connection.get_session()
            _, second = shake(to, by, "a.test", session=session)
            self.assertTrue(SSL._lib.SSL_session_reused(second.connection._ssl))
            _, third = shake(contexts.frontend(leaf), by, "a.test", session=session)
            self.assertEqual((None, 0), (third.error, SSL._lib.SSL_session_reused(third.connection._ssl)))

    def test_until(self) -> None:
        """Who keeps a session knows until when the certificates behind it hold."""
        below = SHOP.below(lasts=timedelta(minutes=5))
        _, client = shake(contexts.frontend(material(below.issue("a.test"))), contexts.client(trust(SHOP)), "a.test")
        self.assertEqual(below.authority.certificate.not_valid_after_utc.timestamp(), client.peer.until)

    def test_old_versions(self) -> None:
        """TLS 1.1 is refused with an alert."""
        old = SSL.Context(SSL.TLS_CLIENT_METHOD)
        old.set_min_proto_version(SSL.TLS1_1_VERSION)
        old.set_max_proto_version(SSL.TLS1_1_VERSION)
        old.set_cipher_list(b"ALL:@SECLEVEL=0")
        server, client = shake(contexts.frontend(material(SHOP.issue("a.test"))), Context(old))
        self.assertEqual("unsupported protocol", server.alert)
        self.assertIn("alert protocol version", client.alert)

    def test_client_certificate(self) -> None:
        """A listener of its own can ask for certificates of whoever an anchor has signed, with or without names."""
        leaf = material(SHOP.issue("admin.test"))
        to = contexts.frontend(leaf, trust=trust(SHOP), require=True)
        for shown, identity in ((SHOP.issue(common_name="joe"), ""), (SHOP.issue("joe.test"), "joe.test")):
            server, client = shake(to, contexts.client(trust(SHOP), material(shown)), "admin.test")
            self.assertEqual((None, None, identity), (server.error, client.error, server.peer.identity))
        server, _ = shake(to, contexts.client(trust(SHOP)), "admin.test")
        self.assertEqual("peer did not return a certificate", server.alert)
        server, _ = shake(
            to, contexts.client(trust(SHOP), material(SHOP.issue("joe.test", usage=SERVER))), "admin.test"
        )
        self.assertEqual("wrong_usage", server.reason)

    def test_key_log(self) -> None:
        """Secrets are told to nobody but who asked for them."""
        lines: list[bytes] = []
        to = contexts.frontend(material(SHOP.issue("a.test")), keylog=lines.append)
        shake(to, contexts.client(trust(SHOP)), "a.test")
        self.assertIn(b"SERVER_TRAFFIC_SECRET_0", b"\n".join(lines))

    def test_weak_ciphers(self) -> None:
        """Neither RSA key exchange nor CBC."""
        old = SSL.Context(SSL.TLS_CLIENT_METHOD)
        old.set_max_proto_version(SSL.TLS1_2_VERSION)
        old.set_cipher_list(b"AES128-SHA:ECDHE-ECDSA-AES128-SHA")
        server, _ = shake(contexts.frontend(material(SHOP.issue("a.test"))), Context(old))
        self.assertEqual("no shared cipher", server.alert)
