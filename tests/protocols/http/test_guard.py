# -*- test-case-name: tests.protocols.http.test_guard -*-
"""
L{lproxy.protocols.http.guard}: who clients are, and how they came.
"""

from __future__ import annotations

from typing import Any

from lproxy.identity.policy import ANYBODY, Policy
from lproxy.protocols.http.guard import by_https
from lproxy.target import Authority, Target
from lproxy.transport.stream import Secured
from tests.protocols.http.harness import GET, HttpTestCase, get, ok

#: an ordinary client's
HTTPS = Secured("web.test")
#: another proxy's
MESH = Secured("cart.mesh", local_identity="cart.mesh", remote_identity="web.mesh")


class ClientIdTests(HttpTestCase):
    """What upstreams are told of who the client is."""

    def sent(self, tls: Secured | None, *fields: str) -> list[bytes]:
        """The fields of a request, as the upstream gets it."""
        client = self.client(get("/", *fields), tls=tls)
        head, self.up.heard = self.up.heard, b""
        self.up.say(ok())
        self.settle()
        self.assertIn(b"200 OK", client.heard)
        client.reset()
        self.settle()
        return head.split(b"\r\n")[1:-2]

    def test_proved(self) -> None:
        """Who has proved an identity is told by it, once for each request."""
        self.assertEqual([b"Host: web.test", b"l5d-client-id: web.mesh"], self.sent(MESH))

    def test_forged(self) -> None:
        """What anybody says about that is taken out, whoever they are themselves, however it is spelt."""
        forged = ("l5d-client-id: evil", "L5D_Client_Id: evil", "X-Forwarded-Client-Cert: By=evil", "l5d-remote-ip: 1")
        forged += ("x_forwarded_client_cert: evil",)
        for tls in (None, HTTPS):
            self.assertEqual([b"Host: web.test"], self.sent(tls, *forged), tls)
        self.assertEqual([b"Host: web.test", b"l5d-client-id: web.mesh"], self.sent(MESH, *forged))

    def test_retried(self) -> None:
        """A request that is sent once more says it once."""
        self.client(GET, tls=MESH)
        self.up.say(ok())
        self.settle()
        client = self.client(GET, tls=MESH)
        # it was kept, and is gone by the time that it is used
        self.up.reset()
        self.settle()
        self.assertEqual(2, len(self.ups))
        self.assertEqual(1, self.up.heard.count(b"l5d-client-id"))
        self.up.say(ok())
        self.assertIn(b"200", self.heard(client))


class SchemeTests(HttpTestCase):
    """What was asked by https."""

    target = "authority"

    def test_port(self) -> None:
        """A Host without a port means 443; between proxies, whose TLS is their own, 80."""
        for tls, port in ((HTTPS, 443), (MESH, 80), (None, 80), (HTTPS, 443)):
            self.proxy.targets.clear()
            self.client(GET, tls=tls)
            self.assertEqual([Authority("web.test", port)], self.proxy.targets)
            self.up.say(ok())
            self.settle()

    def test_by_https(self) -> None:
        """Whoever has not proved an identity has come by https, even to whom proves ours."""
        self.assertEqual(
            [False, True, False, True, True],
            [
                by_https(tls)
                for tls in (None, HTTPS, MESH, Secured(local_identity="a"), Secured(remote_identity="client"))
            ],
        )

    def test_counted(self) -> None:
        """Requests are counted by whether they came by TLS."""
        for tls in (HTTPS, MESH, None):
            self.client(GET, tls=tls)
            self.up.say(ok())
            self.settle()
        rows = {
            dict(labels)["tls"]: value
            for source in self.proxy.metrics
            for family in source()
            if family.name == "request_total"
            for labels, value in family.samples
            if dict(labels)["authority"] == "web.test"
        }
        self.assertEqual({"true": 2, "false": 1}, rows)


class ForwardedTests(HttpTestCase):
    """What is said of https to upstreams that want to know."""

    listen = {"forwarded": "append"}

    def test_proto(self) -> None:
        """X-Forwarded-Proto, and proto of Forwarded where there is one."""
        self.client(get("/", "Forwarded: for=a"), tls=HTTPS)
        self.assertIn(b"X-Forwarded-Proto: https\r\n", self.up.heard)
        self.assertIn(b"Forwarded: for=a, for=10.0.0.1;proto=https\r\n", self.up.heard)
        self.up.say(ok())
        self.settle()
        self.client(GET, tls=MESH)
        self.assertIn(b"X-Forwarded-Proto: http\r\n", self.up.heard)


class PolicyTests(HttpTestCase):
    """Who may."""

    def policies(self, listener: Policy = ANYBODY, service: Policy = ANYBODY, **changes: Any) -> list[str]:
        """Begin anew, with these; what is counted as denied."""
        denied: list[str] = []

        def policy(target: Target | None) -> Policy:
            return listener if target is None else service

        self.start(policy=policy, denied=denied.append, **changes)
        return denied

    def test_listener(self) -> None:
        """A listener answers those who may not with 403, and why; nothing reaches an upstream; others are served."""
        denied = self.policies(listener=Policy(allow=["web.*"], deny=["web.evil"]))
        for tls, reason, why in (
            (None, "identity_required", b"listener scripted is only for clients that prove an identity"),
            (HTTPS, "identity_required", b"only for clients that prove an identity"),
            (MESH._replace(remote_identity="web.evil"), "identity_denied", b"is denied to web.evil"),
            (MESH._replace(remote_identity="db.mesh"), "identity_not_allowed", b"is not for db.mesh"),
        ):
            client = self.client(GET, tls=tls)
            heard = self.heard(client)
            self.assertTrue(heard.startswith(b"HTTP/1.1 403 Forbidden\r\n"), heard)
            self.assertIn(why, heard)
            self.assertEqual([reason], denied)
            denied.clear()
            # it may ask for something else
            self.assertEqual("", client.ended)
        self.assertEqual([], self.ups)
        self.client(GET, tls=MESH)
        self.assertEqual(1, len(self.ups))
        self.up.say(ok())

    def test_service(self) -> None:
        """A service is refused to those who may not have it, with each request."""
        denied = self.policies(service=Policy(require=True))
        client = self.client(GET, GET, tls=HTTPS)
        self.assertEqual(2, self.heard(client).count(b"403 Forbidden"))
        self.assertEqual((["identity_required"] * 2, []), (denied, self.ups))
        self.assertEqual([(403, "ID")] * 2, self.rows)
        self.client(GET, tls=MESH)
        self.up.say(ok())

    def test_plain(self) -> None:
        """Where there is nothing but TLS, plain HTTP is told so, and that is that."""
        denied = self.policies(tls="terminate")
        client = self.client(GET)
        heard = self.heard(client)
        self.assertTrue(heard.startswith(b"HTTP/1.1 400 Bad Request\r\n"), heard)
        self.assertIn(b"tls: listener scripted speaks TLS alone: come by https", heard)
        self.assertIn(b"connection: close", heard.lower())
        self.assertEqual((["plain"], []), (denied, self.ups))
        self.client(GET, tls=HTTPS)
        self.up.say(ok())


class RedirectTests(HttpTestCase):
    """C{redirect_https}."""

    listen = {"redirect_https": True}

    def location(self, request: bytes, tls: Secured | None = None) -> str:
        """Where the answer to C{request} leads."""
        heard = self.heard(self.client(request, tls=tls))
        self.assertTrue(heard.startswith(b"HTTP/1.1 308 Permanent Redirect\r\n"), heard)
        self.assertEqual([], self.ups)
        return heard.partition(b"location: ")[2].partition(b"\r\n")[0].decode()

    def test_redirect(self) -> None:
        """To the same host, path and query, at the port of https."""
        self.assertEqual("https://web.test/a?b=c", self.location(get("/a?b=c")))
        self.assertEqual("https://web.test/", self.location(get("/", method="POST")))
        for host, there in {"web.test:8080": "web.test", "[::1]:80": "[::1]", "[::1]": "[::1]"}.items():
            request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
            self.assertEqual(f"https://{there}/", self.location(request))
        self.assertEqual("https://a.test/x", self.location(b"GET http://a.test:81/x HTTP/1.1\r\nHost: b\r\n\r\n"))
        self.assertEqual("https://web.test/", self.location(get("*", method="OPTIONS")))

    def test_same_port(self) -> None:
        """Where the very port speaks TLS as well, it is kept."""
        self.start(tls="detect")
        request = b"GET /a HTTP/1.1\r\nHost: web.test:8443\r\n\r\n"
        self.assertEqual("https://web.test:8443/a", self.location(request))

    def test_not(self) -> None:
        """Who came by TLS is served, and whose https somebody before us has ended."""
        self.client(GET, tls=HTTPS)
        self.up.say(ok())
        self.settle()
        self.client(b"GET https://web.test/ HTTP/1.1\r\nHost: web.test\r\n\r\n")
        self.assertIn(b"GET / HTTP/1.1", self.up.heard)
        self.up.say(ok())

    def test_nowhere(self) -> None:
        """Without a host there is nowhere to send anybody to."""
        for request in (b"GET / HTTP/1.0\r\n\r\n", b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n"):
            self.assertIn(b"400 Bad Request", self.heard(self.client(request)))
        self.assertEqual({"host": 2}, self.rejected)
