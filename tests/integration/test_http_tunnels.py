# -*- test-case-name: tests.integration.test_http_tunnels -*-
"""
HTTP connections that become another protocol's, through the whole proxy.
"""

from __future__ import annotations

import hashlib
import time

from tests.integration.http_case import GET, MOMENT, OK, HttpCase, Wire, eventually, threaded

UPGRADE = (
    b"GET /chat HTTP/1.1\r\nHost: web.local\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


class TunnelCase(HttpCase):
    """What tunnels have in common."""

    def flows(self, a: Wire, b: Wire, size: int = 3_000_000) -> None:
        """Bytes flow both ways, all of them."""
        data = hashlib.shake_256(b"seed").digest(size)
        for source, sink in ((a, b), (b, a)):
            for start in range(0, size, 30_000):
                source.send(data[start : start + 30_000])
                self.assertEqual(data[start : start + 30_000], sink.exactly(len(data[start : start + 30_000])))

    def half_close(self, a: Wire, b: Wire) -> None:
        """One ends, the other may go on."""
        a.fin()
        self.assertEqual("eof", b.end())
        b.send(b"still here")
        self.assertEqual(b"still here", a.exactly(10))
        b.fin()
        self.assertEqual("eof", a.end())
        eventually(lambda: self.in_flight == 0 and not self.connections())


class UpgradeTests(TunnelCase):
    """101."""

    def upgraded(self) -> tuple[Wire, Wire]:
        """Both ends of one."""
        client = self.client(UPGRADE)
        up = self.upstream.accept()
        self.assertEqual(UPGRADE, up.message())
        up.send(SWITCHING)
        self.assertEqual(SWITCHING, client.head())
        return client, up

    @threaded
    def test_websocket(self) -> None:
        """A WebSocket: frames both ways, also such as came with the heads, then close by halves."""
        client = self.client(UPGRADE + b"\x81\x85early")
        up = self.upstream.accept()
        self.assertEqual(UPGRADE, up.message())
        self.assertTrue(up.silent())
        up.send(SWITCHING + b"\x81\x05hello")
        self.assertEqual(SWITCHING + b"\x81\x05hello", client.head() + client.exactly(7))
        self.assertEqual(b"\x81\x85early", up.exactly(7))
        self.assertEqual(1, self.in_flight)
        self.flows(client, up)
        self.half_close(client, up)

    @threaded
    def test_upstream_ends_first(self) -> None:
        """Either side may be the first to end."""
        client, up = self.upgraded()
        self.half_close(up, client)

    @threaded
    def test_reset(self) -> None:
        """RST is passed on, either way."""
        client, up = self.upgraded()
        client.reset()
        self.assertEqual("reset", up.end())
        client, up = self.upgraded()
        up.reset()
        self.assertEqual("reset", client.end())

    @threaded
    def test_idle(self) -> None:
        """A tunnel is not HTTP any more: no limit of HTTP's ends it."""
        self.again(outbound={"client_idle": 0.2, "header_read": 0.2, "body": 0.2, "write": 0.2, "stream": 0.3})
        client, up = self.upgraded()
        time.sleep(0.8)
        self.flows(client, up, 1000)

    @threaded
    def test_refused(self) -> None:
        """Where the upstream does not want to, HTTP goes on, on both connections."""
        client, up = self.ask(UPGRADE, OK)
        self.assertEqual(OK, client.message())
        client.send(GET)
        self.assertEqual(GET, up.message())
        up.send(OK)
        self.assertEqual(OK, client.message())

    @threaded
    def test_unasked(self) -> None:
        """101 to somebody who did not ask is a malformed answer."""
        client, _ = self.ask(GET, SWITCHING)
        self.assertRegex(client.message(), b"^HTTP/1.1 502 ")


class ConnectTests(TunnelCase):
    """CONNECT."""

    @threaded
    def test_tunnel(self) -> None:
        """Where requests choose, to whatever address it names."""
        other = self.new_upstream()
        client = self.client(f"CONNECT {other.address} HTTP/1.1\r\nHost: {other.address}\r\n\r\n".encode() + b"early")
        self.assertEqual(b"HTTP/1.1 200 Connection established\r\n\r\n", client.head())
        up = other.accept()
        self.assertEqual(b"early", up.exactly(5))
        self.flows(client, up)
        self.half_close(client, up)

    @threaded
    def test_services(self) -> None:
        """Names of services do as well; the server may be the first to speak."""
        client = self.client(b"CONNECT web.local:80 HTTP/1.1\r\nHost: web.local:80\r\n\r\n")
        self.assertEqual(b"HTTP/1.1 200 Connection established\r\n\r\n", client.head())
        up = self.upstream.accept()
        up.send(b"220 smtp.local\r\n")
        self.assertEqual(b"220 smtp.local\r\n", client.exactly(16))

    @threaded
    def test_refused(self) -> None:
        """What cannot be connected to has an answer, after which the client may go on."""
        closed = self.new_upstream()
        closed.close()
        client = self.client(f"CONNECT {closed.address} HTTP/1.1\r\nHost: {closed.address}\r\n\r\n".encode())
        answer = client.message()
        self.assertRegex(answer, b"^HTTP/1.1 502 ")
        self.assertIn(f"connect: {closed.address} refused".encode(), answer)
        client.send(GET)
        up = self.upstream.accept()
        up.message()
        up.send(OK)
        self.assertEqual(OK, client.message())

    @threaded
    def test_itself(self) -> None:
        """508 for the proxy's own addresses."""
        for port in self.ports.values():
            client = self.client(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: a\r\n\r\n" % port)
            self.assertRegex(client.rest(), b"^HTTP/1.1 508 ")
        self.assertEqual({"loop": 3}, self.errors)

    @threaded
    def test_forwarded(self) -> None:
        """On a listener with a target it is the upstream's: 2xx joins, anything else is an answer."""
        connect = b"CONNECT db.local:5432 HTTP/1.1\r\nHost: db.local:5432\r\n\r\n"
        client, up = self.ask(connect, b"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno", port="fixed")
        self.assertEqual(b"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno", client.message())
        client.send(connect + b"early")
        self.assertEqual(connect, up.message())
        self.assertTrue(up.silent(MOMENT))
        up.send(b"HTTP/1.1 200 Fine\r\n\r\nhello")
        self.assertEqual(b"HTTP/1.1 200 Fine\r\n\r\nhello", client.head() + client.exactly(5))
        self.assertEqual(b"early", up.exactly(5))
        self.flows(client, up, 100_000)
        self.half_close(client, up)
