# -*- test-case-name: tests.integration.test_tls_upstreams -*-
"""
Upstreams with TLS: good ones are talked to; of bad ones a client is told which certificate, which check, which name.
"""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import replace
from datetime import timedelta
from typing import Any

from lproxy.config import Config, Service
from lproxy.testing.certificates import CLIENT, Leaf, authority, rsa_key
from tests.integration.http_case import GET, OK, Upstream, Wire, threaded
from tests.integration.secure_case import FRIEND, OWN, SHOP, WWW, TlsCase

#: an answer that ends where the connection does
OPEN = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


class SecureUpstream(Upstream):
    """An application that speaks TLS, with whatever certificate."""

    def __init__(self, mktemp: Any) -> None:
        super().__init__()
        self.mktemp = mktemp
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def show(self, leaf: Leaf) -> None:
        """Show C{leaf} from now on."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.set_ciphers("DEFAULT:@SECLEVEL=0")
        _, certificate, key = leaf.write(self.mktemp())
        self.context.load_cert_chain(certificate, key)

    def ask(self, trust: bytes) -> None:
        """Ask clients for certificates."""
        self.context.load_verify_locations(cadata=trust.decode("ascii"))
        self.context.verify_mode = ssl.CERT_REQUIRED

    def shake(self, seconds: float = 10.0) -> Wire:
        """The next connection, with its handshake done."""
        plain = self.accept(seconds)
        plain.sock.settimeout(5.0)
        wire = Wire(self.context.wrap_socket(plain.sock, server_side=True))
        self.wires.append(wire)
        return wire


class UpstreamCase(TlsCase):
    """C{web.local} is a service with TLS, C{friend.local} one of the mesh."""

    def setUp(self) -> None:
        self.secured = SecureUpstream(self.mktemp)
        super().setUp()
        self.upstreams.append(self.secured)

    def config(self) -> Config:
        """With those services."""
        config = super().config()
        address = (self.secured.address,)
        services = {
            "web.local:80": Service("web.local:80", address, tls=True, server_name=WWW, ca=self.trust),
            "friend.local:80": Service("friend.local:80", address, identity=FRIEND),
        }
        outbound = replace(config.outbound, handshake=1.0, acquire=5.0, connect=1.0)
        return replace(config, services=services, outbound=outbound)

    def told(self, request: bytes = GET, tries: int = 1) -> str:
        """The answer to a request that comes to nothing, although it is tried so many times."""
        client = self.client(request)
        for _ in range(tries):
            with contextlib.suppress(OSError):
                self.secured.shake()
        return client.message().decode("utf-8")


FRIENDLY = GET.replace(b"web.local", b"friend.local")


class OrdinaryTests(UpstreamCase):
    """As any client of https."""

    @threaded
    def test_good(self) -> None:
        """A request is served, and the next one by the same connection."""
        self.secured.show(SHOP.below().issue(WWW))
        client = self.client(GET)
        up = self.secured.shake()
        for _ in range(2):
            self.assertEqual(GET, up.message())
            up.send(OK)
            self.assertEqual(OK, client.message())
            client.send(GET)
        up.close()

    @threaded
    def test_bad(self) -> None:
        """Each bad certificate: the client is told which, and what is wrong with it; nothing was sent there."""
        for reason, words, leaf in [
            ("expired", "has expired: it was valid until 2", SHOP.issue(WWW, lasts=timedelta(hours=-1))),
            ("not_yet_valid", "is not valid yet", SHOP.issue(WWW, begins=timedelta(hours=1))),
            ("unknown_ca", "its issuer is CN=stranger", authority("stranger").issue(WWW)),
            ("wrong_name", f"is not for {WWW}", SHOP.issue("api.shop.test")),
            ("wrong_name", f"is not for {WWW}", SHOP.issue("w*.shop.test")),
            ("wrong_name", f"is not for {WWW}", SHOP.issue("*.test")),
            ("wrong_name", f"is not for {WWW}", SHOP.issue("api.shop.test", common_name=WWW)),
            ("wrong_name", f"is not for {WWW}", SHOP.issue(common_name=WWW)),
            ("wrong_name", f"is not for {WWW}", SHOP.issue(WWW + "\0.evil.test")),
            ("wrong_usage", "is not meant for this use", SHOP.issue(WWW, usage=CLIENT)),
            ("weak", "too weak", SHOP.issue(WWW, key=rsa_key(1024))),
            ("weak", "too weak", SHOP.issue(WWW, sha1=True)),
            ("too_long", "too long a chain", SHOP.below(depth=12).issue(WWW)),
        ]:
            self.secured.show(leaf)
            heard = self.told()
            self.assertIn("HTTP/1.1 502 ", heard, reason)
            head, _, body = heard.partition("\r\n\r\n")
            for text in (head, body):
                self.assertIn(f"({reason})", text)
                self.assertIn(words, text)
                if reason != "too_long":
                    self.assertIn(f"serial {leaf.certificate.serial_number:x}", text)
            self.again()

    @threaded
    def test_no_tls(self) -> None:
        """An upstream that speaks no TLS, that says nothing, or goes away: said so, and never asked in plain."""
        for doing, status, words in [
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", 502, "not TLS"),
            (b"", 504, "not done within"),
            (None, 502, "closed the connection"),
        ]:
            client = self.client(GET)
            up = self.secured.accept()
            self.assertEqual(b"\x16\x03", up.exactly(2))
            if doing is None:
                up.close()
            else:
                up.send(doing)
            heard = client.message().decode()
            self.assertIn(f"HTTP/1.1 {status} ", heard)
            self.assertIn(words, heard)
            self.again()

    @threaded
    def test_truncated(self) -> None:
        """An answer that ends with its connection, where that was cut off, is not passed on as whole."""
        self.secured.show(SHOP.issue(WWW))
        client = self.client(GET)
        up = self.secured.shake()
        up.message()
        up.send(OPEN + b"half of i")
        client.until(b"half of i")
        up.close()
        self.assertEqual("reset", client.drained())

    @threaded
    def test_whole(self) -> None:
        """With close_notify, it is."""
        self.secured.show(SHOP.issue(WWW))
        client = self.client(GET)
        up = self.secured.shake()
        up.message()
        up.send(OPEN + b"all of it")
        sock: Any = up.sock
        sock.unwrap().close()
        self.assertIn(b"all of it", client.message())


class MeshTests(UpstreamCase):
    """As one proxy of another."""

    @threaded
    def test_good(self) -> None:
        """Both sides know each other; the name that is asked for is the identity."""
        self.secured.show(SHOP.issue(FRIEND))
        self.secured.ask(SHOP.pem)
        names: list[str | None] = []
        self.secured.context.sni_callback = lambda sock, name, context: names.append(name)  # type: ignore[assignment]
        client = self.client(FRIENDLY)
        up = self.secured.shake()
        sock: Any = up.sock
        self.assertEqual(((("DNS", OWN),), "TLSv1.3"), (sock.getpeercert()["subjectAltName"], sock.version()))
        self.assertEqual([FRIEND], names)
        up.message()
        up.send(OK)
        self.assertEqual(OK, client.message())
        up.close()

    @threaded
    def test_somebody_else(self) -> None:
        """Whoever answers there and is somebody else, or nobody, hears nothing; neither does who speaks no TLS 1.3."""
        for reason, leaf in [
            ("wrong_name", SHOP.issue("other.shop.mesh")),
            ("no_identity", SHOP.issue("*.shop.mesh")),
            ("no_identity", SHOP.issue(common_name=FRIEND)),
            ("unknown_ca", authority("stranger").issue(FRIEND)),
            ("expired", SHOP.issue(FRIEND, lasts=timedelta(hours=-1))),
        ]:
            self.secured.show(leaf)
            self.assertIn(f"({reason})", self.told(FRIENDLY))
            self.again()
        self.secured.show(SHOP.issue(FRIEND))
        self.secured.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.assertIn("HTTP/1.1 502 ", self.told(FRIENDLY))
