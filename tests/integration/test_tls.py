# -*- test-case-name: tests.integration.test_tls -*-
"""
Listeners with certificates, and real clients: whom they are shown, what goes on inside, what is passed on or refused.
"""

from __future__ import annotations

import ssl

from lproxy.config import Listen, Service
from lproxy.testing.certificates import SERVER
from tests.integration.http_case import CLOSING, GET, OK, eventually, threaded
from tests.integration.tls_case import ANY, SHOP, TlsCase, TlsUpstream


class FrontendTests(TlsCase):
    """A listener of https."""

    def frontend(self, **settings: object) -> None:
        """One that has certificates of C{web.test}, C{*.shop.test} and C{127.0.0.1}."""
        certificates = (
            self.issue("web.test", "127.0.0.1", usage=SERVER),
            self.issue("*.shop.test"),
            self.issue("exact.shop.test"),
        )
        listen = {"tls": "terminate", "certificates": certificates, "target": self.upstream.address, **settings}
        self.run_proxy(Listen("web", ANY, **listen))  # type: ignore[arg-type]

    @threaded
    def test_curl(self) -> None:
        """curl gets what a plain upstream says, by name and by address; the upstream is spoken to in plain HTTP."""
        self.frontend()
        port = self.ports["web"]
        for url in (f"https://web.test:{port}/a", f"https://127.0.0.1:{port}/a", f"https://x.shop.test:{port}/a"):
            with self.answering(self.upstream, CLOSING) as asked:
                self.assertEqual("ok", self.curl(url), url)
            self.assertTrue(asked[0].startswith(b"GET /a HTTP/1.1\r\n"), asked)

    @threaded
    def test_names(self) -> None:
        """Each name has its own certificate, in capitals, too; whoever asks for none or another is shown the first."""
        self.frontend()
        for name, shown in (
            ("web.test", "web.test"),
            ("WEB.test", "web.test"),
            ("a.shop.test", "*.shop.test"),
            ("exact.shop.test", "exact.shop.test"),
            ("a.b.shop.test", "web.test"),
            ("nobody.test", "web.test"),
        ):
            said = self.openssl("-servername", name, "-showcerts", "-no_check_time")
            certificate = ssl.PEM_cert_to_DER_cert(
                said[said.index("-----BEGIN") : said.index("-----END CERTIFICATE-----") + 26]
            )
            self.assertIn(b"\x82" + bytes([len(shown)]) + shown.encode(), certificate, name)

    @threaded
    def test_versions(self) -> None:
        """TLS 1.2 and 1.3, and nothing older; what fails costs a line and a count by its reason."""
        self.frontend(protocol="http")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            wire = self.secure("web.test", context=self.context(minimum_version=version, maximum_version=version))
            self.assertEqual(version.name.replace("_", "."), wire.sock.version())  # type: ignore[attr-defined]
        said = self.openssl("-servername", "web.test", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        self.assertIn("alert protocol version", said)
        failed = eventually(lambda: self.samples("tls_handshake_total", outcome="failed"))
        self.assertEqual(["no_shared_version"], [one["reason"] for one in failed])
        self.assertTrue(self.upstream.nobody())

    @threaded
    def test_alpn(self) -> None:
        """Both versions of HTTP are offered; who offers what nobody speaks here is served by what is inside."""
        self.frontend(protocol="http")
        for theirs, chosen in ((["http/1.1"], "http/1.1"), (["http/1.1", "h2"], "h2"), (["other"], None)):
            context = self.context()
            context.set_alpn_protocols(theirs)
            wire = self.secure("web.test", context=context)
            self.assertEqual(chosen, wire.sock.selected_alpn_protocol())  # type: ignore[attr-defined]

    @threaded
    def test_http2(self) -> None:
        """A client that takes HTTP/2 is served, although the application behind speaks HTTP/1 alone."""
        self.frontend()
        with self.answering(self.upstream, CLOSING) as asked:
            said = self.curl(f"https://web.test:{self.ports['web']}/a", "--http2", "-w", " %{http_version}")
        self.assertEqual("ok 2", said)
        self.assertTrue(asked[0].startswith(b"GET /a HTTP/1.1\r\n"), asked)

    @threaded
    def test_plain(self) -> None:
        """Plain HTTP is told what is spoken here; other bytes are closed. The upstream hears of neither."""
        self.frontend()
        wire = self.client(GET)
        answer = wire.message()
        self.assertTrue(answer.startswith(b"HTTP/1.1 400 Bad Request\r\n"), answer)
        self.assertIn(b"tls: listener web speaks TLS alone: come by https", answer)
        self.assertEqual("eof", wire.drained())
        # of no protocol, at the first byte: nobody waits for more
        self.assertIn(self.client(b"\xff\xff\xff\xff").drained(), ("eof", "reset"))
        self.assertTrue(self.upstream.nobody())
        denied = [one["reason"] for one in self.samples("policy_denied_total")]
        self.assertEqual(["plain"], denied)

    @threaded
    def test_server_first(self) -> None:
        """A server that speaks first does so to clients inside of TLS, too."""
        self.frontend()
        wire = self.secure("web.test")
        up = self.upstream.accept()
        up.send(b"220 hello\r\n")
        self.assertEqual(b"220 hello\r\n", wire.until(b"\r\n"))
        wire.send(b"QUIT\r\n")
        self.assertEqual(b"QUIT\r\n", up.until(b"\r\n"))

    @threaded
    def test_configured(self) -> None:
        """A configured protocol is that inside, and outside where plain connections may be."""
        self.frontend(tls="detect", protocol="http")
        for wire in (self.secure("web.test", GET), self.client(GET)):
            up = self.upstream.accept()
            self.assertEqual(GET, up.message())
            up.send(CLOSING)
            self.assertTrue(wire.message().endswith(b"ok"))
        self.assertRaises(OSError, self.secure, "nobody.test")

    @threaded
    def test_redirect(self) -> None:
        """A plain listener sends HTTP to https."""
        self.run_proxy(Listen("web", ANY, target=self.upstream.address, redirect_https=True))
        said = self.curl(f"http://web.test:{self.ports['web']}/a?b", "-i")
        self.assertIn("HTTP/1.1 308 Permanent Redirect", said)
        self.assertIn("location: https://web.test/a?b", said)
        self.assertTrue(self.upstream.nobody())

    @threaded
    def test_stalled(self) -> None:
        """Half a hello holds nobody else; it ends with the clock of detection, or that of the handshake."""
        self.frontend()
        stalled = self.client(b"\x16\x03\x01\x02\x00\x01\x00")
        wire = self.secure("web.test", GET)
        self.upstream.accept().send(OK)
        self.assertTrue(wire.message().endswith(b"ok"))
        (row,) = [row for row in self.connections() if row["state"] == "detecting"]
        self.assertEqual("web", row["listener"])
        stalled.close()


class PassedTests(TlsCase):
    """TLS that is for others."""

    @threaded
    def test_past(self) -> None:
        """Who asks for another name talks to whoever has it, by a certificate that we have never seen."""
        other = TlsUpstream(SHOP.issue("other.test"), self.folder)
        self.upstreams.append(other)
        self.run_proxy(Listen("web", ANY, target=other.address, tls="detect", certificates=(self.issue("web.test"),)))
        self.talks("other.test", other)
        (labels,) = self.samples("tcp_open_total", peer="src")
        self.assertEqual(("false", "opaque", "tcp"), (labels["tls"], labels["no_tls_reason"], labels["protocol"]))

    @threaded
    def test_by_name(self) -> None:
        """C{target = "sni"}: services by name, whatever they speak inside."""
        ones = {name: TlsUpstream(SHOP.issue(name), self.folder) for name in ("a.test", "b.test")}
        self.upstreams += ones.values()
        services = {f"{name}:443": Service(f"{name}:443", (one.address,)) for name, one in ones.items()}
        self.run_proxy(Listen("web", ANY, target="sni", tls="passthrough"), services=services)
        for name, one in ones.items():
            self.talks(name, one)

    @threaded
    def test_nowhere(self) -> None:
        """A name that leads nowhere, and none at all: an alert, a line, and nobody is asked."""
        self.run_proxy(Listen("web", ANY, tls="passthrough", target="authority"))
        for name in ("nobody.test", None):
            error = self.assertRaises(ssl.SSLError, self.secure, name)
            self.assertIn("UNRECOGNIZED_NAME", str(error))
        (labels,) = self.samples("tls_handshake_total")
        self.assertEqual("nowhere", labels["reason"])

    def talks(self, name: str, upstream: TlsUpstream) -> None:
        """A client that asks for C{name} is answered by C{upstream}, whose certificate is good for that name."""
        with self.echoing(upstream):
            self.assertEqual(b"hello", self.secure(name, b"hello").exactly(5))
