# -*- test-case-name: tests.protocols.http.test_opening -*-
"""
L{lproxy.protocols.http.opening}: which version of HTTP a connection speaks.
"""

from __future__ import annotations

from typing import Any

from lproxy.config import Timeouts
from lproxy.protocols.http.h1.server import Http1Server
from lproxy.protocols.http.h2.server import Http2Server
from lproxy.protocols.http.opening import Opening, foreign
from lproxy.testing import Peer
from lproxy.transport.stream import Secured
from tests.protocols.http.h2.case import HELLO
from tests.protocols.http.harness import GET, OK, HttpTestCase


class OpeningTests(HttpTestCase):
    """A connection that nobody has looked at."""

    timeouts = Timeouts(header_read=5.0, client_idle=8.0)

    def secured(self, alpn: str, *said: bytes) -> Peer:
        """A client that has agreed upon C{alpn}."""
        peer = self.proxy.client(tls=Secured(alpn=alpn))
        self.clients.append(peer)
        for piece in said:
            self.say(peer, piece)
        return peer

    def test_first_bytes(self) -> None:
        """As soon as it is certain, and all that was read is its session's."""
        for said, kind in (
            (b"", Opening),
            (b"P", Opening),
            (b"PRI * HTTP/2.0\r\n\r\n", Opening),
            (HELLO[:23], Opening),
            (HELLO[:24], Http2Server),
            (HELLO, Http2Server),
            (GET[:1], Opening),
            (GET[:4], Opening),
            (GET[:5], Http1Server),
            (b"POST /", Http1Server),
            (b"PRI /", Opening),
            (b"PRI / HTTP/1.1\r\n", Http1Server),
            (b"\r\nGET /", Http1Server),
            (b"GET\t/", Http1Server),
            (b"/x y\r\n", Http1Server),
            (b"x" * 3000, Http2Server),
            (b"HELLO\r\n", Http2Server),
        ):
            client = self.client(said)
            self.assertIs(kind, type(self.proxy.sessions[-1]), said)
            client.reset()
            self.settle()

    def test_split(self) -> None:
        """A request that comes byte by byte is one."""
        client = self.client(*(bytes((byte,)) for byte in GET))
        self.assertEqual(GET, self.heard(self.up))
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))

    def test_foreign(self) -> None:
        """What is not even a request line gone wrong."""
        for heard, is_foreign in (
            (b"INVALID CONNECTION PREFACE\r\n\r\n", True),
            (b"\x16\x03\x01", False),
            (b"\xff\xfe", False),
            (b"GET /", False),
            (b"GET  /x", False),
            (b"get / HTTP/1.1\r\n", False),
            (b"FOO / \r\n", False),
            (b"PRI * HTTP/2.0\r\n\r\nXX", False),
        ):
            self.assertEqual(is_foreign, foreign(heard), heard)

    def test_agreed(self) -> None:
        """Under TLS a client is held to what was agreed upon."""
        self.secured("h2", HELLO)
        self.assertIs(Http2Server, type(self.proxy.sessions[-1]))
        self.secured("http/1.1", GET[:1])
        self.assertIs(Http1Server, type(self.proxy.sessions[-1]))
        self.secured("", HELLO)
        self.assertIs(Http2Server, type(self.proxy.sessions[-1]))

    def test_not_as_agreed(self) -> None:
        """Who says something else is told so, in words that he may understand."""
        client = self.secured("h2", GET)
        self.assertRegex(self.heard(client), rb"^HTTP/1.1 400 (?s:.*)HTTP/2 was agreed upon by ALPN")
        self.assertEqual(({"req_line": 1}, [], [(400, "IH")]), (self.rejected, self.ups, self.rows))
        self.assertEqual("eof", client.ended)
        self.say(client, GET)
        self.wait(2.5)
        self.assertEqual("closed", client.ended)
        client = self.secured("http/1.1", HELLO)
        self.assertRegex(self.heard(client), b"^HTTP/1.1 505 ")

    def test_detected(self) -> None:
        """What detection has found is that, unless something else was agreed upon."""
        for alpn, variant, said, kind in (
            ("", "HTTP/2", HELLO, Http2Server),
            ("", "HTTP/1", GET, Http1Server),
            ("h2", "HTTP/2", HELLO, Http2Server),
            ("http/1.1", "HTTP/1", GET, Http1Server),
            ("h2", "HTTP/1", GET, Opening),
            ("http/1.1", "HTTP/2", HELLO, Http1Server),
        ):
            peer = self.proxy.client(said, variant=variant, tls=Secured(alpn=alpn) if alpn else None)
            self.assertIs(kind, type(self.proxy.sessions[-1]), (alpn, variant))
            peer.reset()
            self.settle()

    def test_hangs_up(self) -> None:
        """A client that says half a line, or nothing, and closes its side, is closed."""
        for said in (b"", b"PRI", b"GET"):
            client = self.client(said)
            client.hang_up()
            self.settle()
            self.assertEqual("closed", client.ended, said)

    def test_slow(self) -> None:
        """The first line has as long as a head has, from its first byte on; a silent client as an idle one."""
        begun, silent = self.client(b"PRI"), self.client()
        self.wait(4.5)
        self.assertEqual(("", ""), (begun.ended, silent.ended))
        self.wait(1.5)
        self.assertRegex(self.heard(begun), b"^HTTP/1.1 408 ")
        self.assertEqual(("eof", ""), (begun.ended, silent.ended))
        self.wait(3.5)
        self.assertEqual(("closed", {"slow": 1}), (silent.ended, self.rejected))

    def test_drain(self) -> None:
        """A silent client is closed soon; what it is about to say is answered."""
        silent, speaks = self.client(), self.client()
        for session in self.proxy.sessions:
            session.drain()
        self.factory.drain()
        self.say(speaks, GET)
        self.wait(1.5)
        self.assertEqual(("closed", ""), (silent.ended, speaks.ended))
        self.say(self.up, OK)
        self.assertRegex(self.heard(speaks), b"^HTTP/1.1 200 ")

    def test_described(self) -> None:
        """It is a connection like others."""
        self.client(b"PR")
        row: dict[str, Any] = self.session().describe()
        self.assertEqual(("idle", None, 2, 0), (row["state"], row["target"], row["bytes_in"], row["requests"]))
        self.session().abort()
        self.settle()
        self.assertEqual(("reset", []), (self.clients[0].ended, self.proxy.sessions))
