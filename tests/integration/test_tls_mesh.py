# -*- test-case-name: tests.integration.test_tls_mesh -*-
"""
Two proxies with identities: who is at each end, who may, what is counted, and that certificates may change meanwhile.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

from twisted.internet.threads import blockingCallFromThread

from lproxy.app.plugins import Found
from lproxy.config import Identity, Listen, Service
from lproxy.configfile.collector import at_once
from lproxy.profile import Answer, Path, Profile, Rate, Route
from lproxy.testing.certificates import CLIENT, SERVER
from tests.components import missing
from tests.integration.http_case import CLOSING, GET, OK, _samples, eventually, reactor, threaded
from tests.integration.tls_case import ANY, SHOP, STRANGER, TlsCase
from tests.note import Note


def elsewhere() -> str:
    """An address of this machine that is not loopback: what is sent there stays here."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # no datagram is sent by that
        except OSError:
            missing("no address but loopback")
        host: str = sock.getsockname()[0]
    if host.startswith("127."):
        missing("no address but loopback")
    return host


class MeshCase(TlsCase):
    """C{web} (outbound) and C{app} (inbound, in front of the upstream)."""

    def mesh(self, service: dict[str, Any] | None = None, **inbound: Any) -> None:
        """Both; C{service} is C{web}'s idea of the other, C{inbound} what C{app} listens by."""
        settings = {"direction": "inbound", "target": self.upstream.address, **inbound}
        self.app = self.run_proxy(Listen("app", ANY, **settings), identity=self.identity("app.mesh"))
        address = f"127.0.0.1:{self.ports['app']}"
        named = Service("web.local:80", (address,), **(service or {"identity": "app.mesh"}))
        self.web = self.run_proxy(
            Listen("web", ANY), services={"web.local:80": named}, identity=self.identity("web.mesh")
        )

    def asked(self, request: bytes = GET) -> tuple[bytes, bytes]:
        """A request by way of both: as the upstream gets it, and its answer."""
        client = self.client(request)
        up = self.upstream.accept()
        heard = up.message()
        up.send(CLOSING)
        return heard, client.message()


class CarriedTests(MeshCase):
    """HTTP/1 between them."""

    @threaded
    def test_http1(self) -> None:
        """Requests of HTTP/1 share one HTTP/2 connection, and are what they were to both ends, trailers included."""
        self.mesh()
        body = b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
        request = b"POST /a HTTP/1.1\r\nHost: web.local\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n" + body
        for _ in range(3):
            client = self.client(request)
            up = self.upstream.accept()
            heard = up.message()
            self.assertTrue(heard.startswith(b"POST /a HTTP/1.1\r\n"), heard)
            self.assertTrue(heard.lower().endswith(b"\r\n0\r\nx-sum: 1\r\n\r\n"), heard)
            self.assertNotIn(b"l5d-orig-proto", heard)
            up.send(CLOSING)
            answer = client.message()
            self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer)
            self.assertNotIn(b"l5d-orig-proto", answer)
        found = blockingCallFromThread(reactor, _samples, self.web, "h2_connections_total")
        (opened,) = [value for labels, value in found if labels["peer"] == "dst"]
        self.assertEqual(1, opened)

    @threaded
    def test_websocket(self) -> None:
        """What wants a connection to itself has one."""
        self.mesh()
        asked = b"GET / HTTP/1.1\r\nHost: web.local\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        client = self.client(asked)
        up = self.upstream.accept()
        self.assertIn(b"Upgrade: websocket\r\n", up.head())
        up.send(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        self.assertTrue(client.head().startswith(b"HTTP/1.1 101 "))
        self.assertEqual(b"hello", client.exactly(5))
        client.send(b"bye")
        self.assertEqual(b"bye", up.exactly(3))


class IdentityTests(MeshCase):
    """Who is at each end."""

    @threaded
    def test_http(self) -> None:
        """
        Requests go through, and tell the application who asks; both sides count both identities, in one edge.
        """
        self.mesh()
        heard, answer = self.asked(b"GET / HTTP/1.1\r\nHost: web.local\r\nl5d-client-id: evil\r\n\r\n")
        self.assertIn(b"\r\nl5d-client-id: web.mesh\r\n", heard)
        self.assertNotIn(b"evil", heard)
        self.assertTrue(answer.endswith(b"ok"))
        (src,) = self.samples("tcp_open_total", self.app, peer="src")
        (dst,) = self.samples("tcp_open_total", self.web, peer="dst")
        for labels, remote, local in ((src, "web.mesh", "app.mesh"), (dst, "app.mesh", "web.mesh")):
            self.assertEqual(
                ("true", remote, local, "http"),
                (labels["tls"], labels["remote_identity"], labels["local_identity"], labels["protocol"]),
            )
            self.assertNotIn("no_tls_reason", labels)
        self.assertEqual({"true"}, {one["tls"] for one in self.samples("request_total", self.app)})
        for proxy, peer in ((self.app, "src"), (self.web, "dst")):
            self.assertEqual(["ok"], [one["outcome"] for one in self.samples("tls_handshake_total", proxy, peer=peer)])

    @threaded
    def test_connections(self) -> None:
        """C{/connections} has who is at both ends."""
        self.mesh()
        client = self.client(GET)
        up = self.upstream.accept()
        (row,) = blockingCallFromThread(reactor, self.app.connections)
        self.assertEqual(
            ("web.mesh", "app.mesh", "app.mesh", "TLSv1.3"),
            (row["remote_identity"], row["local_identity"], row["sni"], row["tls"]),
        )
        up.send(CLOSING)
        client.message()

    @threaded
    def test_tcp(self) -> None:
        """Bytes of no protocol go through as requests do, half-close included, and are counted by identities."""
        self.app = self.run_proxy(
            Listen("app", ANY, direction="inbound", target=self.upstream.address, protocol="tcp"),
            identity=self.identity("app.mesh"),
        )
        service = Service("db", (f"127.0.0.1:{self.ports['app']}",), identity="app.mesh")
        self.web = self.run_proxy(
            Listen("web", ANY, target="service:db", protocol="tcp"),
            services={"db": service},
            identity=self.identity("web.mesh"),
        )
        client = self.client(b"\0hello")
        up = self.upstream.accept()
        self.assertEqual(b"\0hello", up.exactly(6))
        client.fin()
        self.assertEqual(b"", up.rest())
        up.send(b"late").close()
        self.assertEqual(b"late", client.rest())
        for proxy, peer in ((self.app, "src"), (self.web, "dst")):
            (labels,) = self.samples("tcp_open_total", proxy, peer=peer)
            self.assertEqual(("true", "tcp"), (labels["tls"], labels["protocol"]))

    @threaded
    def test_plugin(self) -> None:
        """A plugin's session is the same in TLS: it knows who is there, and its connections are counted as all are."""
        note = Note()
        self.plugins.append(Found("note.py", "note", "1", note))
        settings: dict[str, Any] = {"direction": "inbound", "target": "a:1", "protocol": "note"}
        self.app = self.run_proxy(
            Listen("app", ANY, plugins={"note": {"tag": "> "}}, **settings), identity=self.identity("app.mesh")
        )
        wire = self.secure("app.mesh", b"hello", port="app", context=self.context(self.issue("web.mesh")))
        self.assertEqual(b"> hello", wire.exactly(7))
        (session,) = note.factories[-1].sessions
        tls = session.accepted.stream.conn.tls
        assert tls is not None
        self.assertEqual(("app.mesh", "web.mesh", "app.mesh"), (tls.sni, tls.remote_identity, tls.local_identity))
        (labels,) = self.samples("tcp_open_total", self.app, peer="src")
        self.assertEqual(
            ("true", "web.mesh", "app.mesh", "note"),
            (labels["tls"], labels["remote_identity"], labels["local_identity"], labels["protocol"]),
        )

    @threaded
    def test_spiffe(self) -> None:
        """Identities may be SPIFFE IDs; one of another trust domain is nobody."""
        self.app = self.run_proxy(
            Listen("app", ANY, direction="inbound", target=self.upstream.address, allow=("spiffe://shop/*",)),
            identity=self.identity("spiffe://shop/app"),
        )
        service = Service("web.local:80", (f"127.0.0.1:{self.ports['app']}",), identity="spiffe://shop/app")
        self.web = self.run_proxy(
            Listen("web", ANY), services={"web.local:80": service}, identity=self.identity("spiffe://shop/web")
        )
        heard, _ = self.asked()
        self.assertIn(b"l5d-client-id: spiffe://shop/web\r\n", heard)
        with self.assertRaisesRegex(ssl.SSLError, "BAD_CERTIFICATE"):
            # by its address: whoever asks for no name means the identity
            evil = self.context(self.issue("spiffe://evil/web"))
            evil.check_hostname = False
            self.secure("127.0.0.1", GET, port="app", context=evil).rest()
        failed = eventually(lambda: self.samples("tls_handshake_total", self.app, outcome="failed"))
        self.assertEqual({"wrong_trust_domain"}, {one["reason"] for one in failed})


class RefusedTests(MeshCase):
    """Who is not believed, or may not."""

    @threaded
    def test_wrong_identity(self) -> None:
        """
        An upstream that is somebody else is never spoken to, least of all in plain text (T25): the answer says which
        certificate, and which check.
        """
        self.app = self.run_proxy(
            Listen(
                "app",
                ANY,
                direction="inbound",
                target=self.upstream.address,
                tls="terminate",
                certificates=(self.issue("other.mesh"),),
            ),
        )
        service = Service("web.local:80", (f"127.0.0.1:{self.ports['app']}",), identity="app.mesh")
        self.web = self.run_proxy(
            Listen("web", ANY), services={"web.local:80": service}, identity=self.identity("web.mesh")
        )
        answer = self.client(GET).message()
        self.assertTrue(answer.startswith(b"HTTP/1.1 502 "), answer)
        self.assertEqual(2, answer.count(b"certificate of other.mesh (serial "), answer)
        self.assertEqual(2, answer.count(b" is not of app.mesh"), answer)
        (labels,) = self.samples("tls_handshake_total", self.web, outcome="failed")
        self.assertEqual("wrong_name", labels["reason"])
        self.assertTrue(self.upstream.nobody())

    @threaded
    def test_bad_clients(self) -> None:
        """
        Certificates that are not good (T06, T07, T23): an alert, a line and a count by reason each, and the upstream
        hears nothing.
        """
        self.mesh(require_identity=True)
        for reason, certificate in (
            ("expired", self.issue("a.mesh", lasts=timedelta(days=-1))),
            ("not_yet_valid", self.issue("b.mesh", begins=timedelta(hours=1))),
            ("unknown_ca", self.issue("c.mesh", issuer=STRANGER)),
            ("wrong_usage", self.issue("d.mesh", usage=SERVER)),
            ("no_certificate", ""),
        ):
            with self.assertRaises((ssl.SSLError, ConnectionError), msg=reason):
                wire = self.secure("app.mesh", GET, port="app", context=self.context(certificate))
                # in TLS 1.3 a client hears of it with what it reads next
                wire.rest()
                raise AssertionError(reason)
            failed = eventually(lambda: self.samples("tls_handshake_total", self.app, outcome="failed"))
            self.assertIn(reason, {one["reason"] for one in failed})
        self.assertTrue(self.upstream.nobody())
        good = self.secure("app.mesh", GET, port="app", context=self.context(self.issue("e.mesh", usage=CLIENT)))
        self.upstream.accept().send(OK)
        self.assertTrue(good.message().endswith(b"ok"))

    @threaded
    def test_policy(self) -> None:
        """A listener's: HTTP has 403 and why, whoever comes without TLS as well; bytes are closed."""
        self.mesh(allow=("api.*",))
        answer = self.client(GET).message()
        self.assertTrue(answer.startswith(b"HTTP/1.1 403 Forbidden"), answer)
        self.assertIn(b"policy: listener app is not for web.mesh", answer)
        plain = self.client(GET, port="app").message()
        self.assertTrue(plain.startswith(b"HTTP/1.1 403 Forbidden"), plain)
        self.assertIn(b"only for clients that prove an identity", plain)
        self.assertIn(self.client(b"\xff of no protocol", port="app").drained(), ("eof", "reset"))
        self.assertTrue(self.upstream.nobody())
        denied = eventually(lambda: self.samples("policy_denied_total", self.app))
        self.assertEqual({"identity_not_allowed", "identity_required"}, {one["reason"] for one in denied})

    @threaded
    def test_service(self) -> None:
        """A service's, by request."""
        self.app = self.run_proxy(
            Listen("app", ANY, direction="inbound"),
            services={
                name: Service(name, (self.upstream.address,), allow=allow)
                for name, allow in (("web.local:80", ("web.*",)), ("api.local:80", ("api.*",)))
            },
            identity=self.identity("app.mesh"),
        )
        context = self.context(self.issue("web.mesh"))
        wire = self.secure("app.mesh", GET, port="app", context=context)
        self.upstream.accept().send(OK)
        self.assertTrue(wire.message().endswith(b"ok"))
        answer = wire.send(GET.replace(b"web.local", b"api.local")).message()
        self.assertTrue(answer.startswith(b"HTTP/1.1 403 "), answer)
        self.assertIn(b"policy: api.local:80 is not for web.mesh", answer)

    @threaded
    def test_rates(self) -> None:
        """Rates by identity, a listener's and a route's: each name has its own, by however many connections."""
        limited = Route("r", Path("/r"), rates=(Rate(2, 60.0, by="identity"),), answer=Answer(200, "r"))
        profile = Profile((limited, Route("s", answer=Answer(200))))
        self.app = self.run_proxy(
            Listen("app", ANY, direction="inbound", rates=(Rate(3, 60.0, by="identity"),)),
            services={"web.local:80": Service("web.local:80", profile=profile)},
            identity=self.identity("app.mesh"),
        )
        for name in ("web.mesh", "api.mesh"):
            context = self.context(self.issue(name))
            for path, status in ((b"/r", b"200"), (b"/r", b"200"), (b"/r", b"429"), (b"/s", b"429")):
                asked = GET.replace(b"GET / ", b"GET %b " % path)
                answer = self.secure("app.mesh", asked, port="app", context=context).message()
                self.assertTrue(answer.startswith(b"HTTP/1.1 %b " % status), (name, path, answer))
            self.assertRegex(answer.lower(), b"retry-after: (19|20)\r\n")
            self.assertIn(b"3 requests of each identity in 60 s", answer)
        # who proves nothing is one more
        answer = self.client(GET.replace(b"GET / ", b"GET /r "), port="app").message()
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)


class ReasonTests(MeshCase):
    """Why there is no TLS: each reason that linkerd knows, on real sockets."""

    def reason(self, proxy: Any, **labels: str) -> str:
        """Of the only connection with these labels."""
        (found,) = eventually(lambda: self.samples("tcp_open_total", proxy, tls="false", **labels))
        return found["no_tls_reason"]

    def through(self, name: str) -> None:
        """A request to a listener, plain, answered by the upstream."""
        client = self.client(GET, port=name)
        self.upstream.accept().send(CLOSING)
        client.message()

    @threaded
    def test_disabled(self) -> None:
        """Without an identity there is none, on either side."""
        proxy = self.run_proxy(Listen("in", ANY, direction="inbound", target=self.upstream.address))
        self.through("in")
        self.assertEqual(["disabled"] * 2, [self.reason(proxy, peer=peer) for peer in ("src", "dst")])

    @threaded
    def test_not_provided_by_remote(self) -> None:
        """A client without TLS where it was looked for; behind, the application on the same machine: loopback."""
        self.mesh()
        self.through("app")
        self.assertEqual(
            ["not_provided_by_remote", "loopback"], [self.reason(self.app, peer=peer) for peer in ("src", "dst")]
        )

    @threaded
    def test_port_skipped(self) -> None:
        """A listener that does not look for TLS although there is an identity."""
        self.mesh(tls="off", service={})
        self.through("app")
        self.assertEqual("port_skipped", self.reason(self.app, peer="src"))

    @threaded
    def test_loopback(self) -> None:
        """Between the application and the proxy beside it."""
        self.mesh()
        self.asked()
        self.assertEqual("loopback", self.reason(self.web, peer="src"))

    @threaded
    def test_not_provided_by_discovery(self) -> None:
        """An endpoint on another machine of which nobody says who it is."""
        host = elsewhere()
        with socket.create_server((host, 0)) as server:
            proxy = self.run_proxy(
                Listen("out", ANY, target=f"{host}:{server.getsockname()[1]}", protocol="tcp"),
                Listen("in", ANY, direction="inbound", target="a:1"),
                identity=self.identity("web.mesh"),
            )
            self.client(b"\0", port="out")
            server.accept()[0].close()
            self.assertEqual("not_provided_by_service_discovery", self.reason(proxy, peer="dst"))

    @threaded
    def test_opaque(self) -> None:
        """TLS that is for somebody else."""
        self.mesh()
        sock = socket.create_connection(("127.0.0.1", self.ports["app"]))
        context = ssl.create_default_context()
        wire = context.wrap_socket(sock, server_hostname="other.test", do_handshake_on_connect=False)
        wire.settimeout(0.2)
        self.assertRaises(TimeoutError, wire.do_handshake)
        self.upstream.accept()
        self.assertEqual("opaque", self.reason(self.app, peer="src"))
        wire.close()


class ChangeTests(MeshCase):
    """New certificates, and new configurations."""

    def renew(self, name: str) -> Identity:
        """Another certificate in the files of C{name}, each in one step."""
        certificate, key = f"{self.folder}/{name}.pem", f"{self.folder}/{name}.key"
        leaf = SHOP.issue(name)
        for path, data in ((key, leaf.key_pem), (certificate, leaf.chain_pem)):
            with open(f"{path}.new", "wb") as file:
                file.write(data)
            os.chmod(f"{path}.new", 0o600)
            os.rename(f"{path}.new", path)
        return Identity(self.trust, certificate, key)

    def serial(self) -> str:
        """Of the certificate that the inbound side shows now."""
        context = self.context(self.issue("x.mesh"))
        wire = self.secure("app.mesh", port="app", context=context)
        return str(wire.sock.getpeercert()["serialNumber"])  # type: ignore[attr-defined]

    @threaded
    def test_rotated(self) -> None:
        """
        New connections show the new certificate, within seconds; one that is open goes on with what it has (T10, T27).
        """
        self.mesh(protocol="http")
        client = self.client(GET)
        up = self.upstream.accept()
        up.message()
        up.send(OK)
        client.message()
        before = self.serial()
        self.renew("app.mesh")
        self.renew("web.mesh")
        eventually(lambda: self.serial() != before, "the new certificate is shown")
        client.send(GET)
        up.message()
        up.send(OK)
        self.assertTrue(client.message().endswith(b"ok"))
        self.assertEqual(1, len(self.samples("tcp_open_total", self.web, peer="dst")))

    @threaded
    def test_bad_rotation(self) -> None:
        """One that has expired stays unused, and is counted with its reason (T22)."""
        self.mesh(protocol="http")
        before = self.serial()
        SHOP.issue("app.mesh", lasts=timedelta(days=-1)).write(self.folder, "app.mesh")
        eventually(
            lambda: self.samples("identity_cert_refresh_refused_total", self.app, reason="expired"), "it is refused"
        )
        self.assertEqual(before, self.serial())

    @threaded
    def test_swapped(self) -> None:
        """
        Another configuration with another identity: idle connections of clients live on as they are (T27). Upstreams
        are connected to anew, as who we are now.
        """
        self.mesh({"identity": "app.mesh", "protocol": "http1"}, protocol="http")
        client = self.client(GET)
        up = self.upstream.accept()
        up.message()
        up.send(OK)
        client.message()
        config = self.app.config
        other = replace(config, identity=self.identity("other.mesh"))
        blockingCallFromThread(reactor, lambda: self.app.swap(other, at_once(self.app.assemble(other))))
        # longer than idle connections have where the proxy ends
        time.sleep(1.5)
        client.send(GET)
        up = self.upstream.accept()
        up.message()
        up.send(OK)
        self.assertTrue(client.message().endswith(b"ok"))
        wire = self.secure("other.mesh", port="app", context=self.context(self.issue("x.mesh")))
        self.assertTrue(wire.sock.getpeercert())  # type: ignore[attr-defined]
