# -*- test-case-name: tests.protocols.http.test_hops -*-
"""
L{lproxy.protocols.http.hops}: how far OPTIONS and TRACE go.
"""

from __future__ import annotations

from tests.protocols.http.harness import OK, HttpTestCase, get


class HopsTests(HttpTestCase):
    """Max-Forwards."""

    def test_counted(self) -> None:
        """Each proxy is one less."""
        client = self.client()
        for method in ("OPTIONS", "TRACE"):
            self.say(client, get("/", "Max-Forwards: 10", "X: y", method=method))
            self.assertEqual(get("/", "Max-Forwards: 9", "X: y", method=method), self.heard(self.up))
            self.say(self.up, OK)

    def test_not_counted(self) -> None:
        """Other methods have nothing to do with it, nor what is no number."""
        client = self.client()
        for request in (get("/", "Max-Forwards: 0"), get("/", "Max-Forwards: -1", method="TRACE")):
            self.say(client, request)
            self.assertEqual(request, self.heard(self.up))
            self.say(self.up, OK)

    def test_options(self) -> None:
        """At zero OPTIONS is answered here, and the connection goes on."""
        client = self.client(get("*", "Max-Forwards: 0", method="OPTIONS"))
        self.assertEqual(
            b"HTTP/1.1 200 OK\r\nallow: GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH\r\n"
            b"content-length: 0\r\n\r\n",
            self.heard(client),
        )
        self.assertEqual(([], "", [(200, "")]), (self.ups, client.ended, self.rows))
        self.say(client, get())
        self.assertEqual(get(), self.heard(self.up))

    def test_trace(self) -> None:
        """TRACE is told what came, but for what is secret."""
        secrets = ("Authorization: Basic x", "Cookie: a=b", "Proxy-Authorization: y", "max-forwards: 0")
        client = self.client(get("/a?b", "X-A: 1", *secrets, method="TRACE"))
        body = get("/a?b", "X-A: 1", "max-forwards: 0", method="TRACE")
        head = b"HTTP/1.1 200 OK\r\ncontent-type: message/http\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.assertEqual(head + body, self.heard(client))
        self.assertEqual([], self.ups)


class H2cTests(HttpTestCase):
    """An upgrade that goes no further."""

    def test_said_once(self) -> None:
        """It is taken out, and why is said once."""
        client = self.client()
        for _ in range(3):
            self.say(client, get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x"))
            self.assertEqual(get(), self.heard(self.up))
            self.say(self.up, OK)
        (line,) = self.proxy.warnings
        self.assertIn("Upgrade: h2c", line)
        self.assertIn('protocol = "tcp"', line)
