# -*- test-case-name: tests.protocols.http.test_upload -*-
"""
L{lproxy.protocols.http.upload}: requests' bodies.
"""

from __future__ import annotations

from tests.protocols.http.harness import GET, OK, HttpTestCase, get, ok, post

CHUNKED = "Transfer-Encoding: chunked"


class UploadTests(HttpTestCase):
    """Bodies on their way upstream."""

    def test_length(self) -> None:
        """A body goes on as it comes: what came with the head goes with the head."""
        client = self.client(post(b"ab", length=6))
        self.assertEqual(post(b"ab", length=6), self.heard(self.up))
        for piece in (b"c", b"def"):
            self.say(client, piece)
            self.assertEqual(piece, self.heard(self.up))
        self.say(self.up, OK)
        self.assertEqual((OK, "", 1), (self.heard(client), client.ended, self.idle))

    def test_chunked(self) -> None:
        """Chunks are cut anew; extensions end here; trailers go on, but those that are not for them."""
        head = get("/", CHUNKED, method="POST")
        client = self.client(head + b"3;ext=1\r\nabc\r\n2\r\nd")
        self.assertEqual(head + b"4\r\nabcd\r\n", self.heard(self.up))
        self.say(client, b"e\r\n")
        self.assertEqual(b"1\r\ne\r\n", self.heard(self.up))
        self.say(client, b"0\r\nX-T: 1\r\nContent-Length: 3\r\nHost: evil\r\n")
        self.assertEqual(b"", self.heard(self.up))
        self.say(client, b"\r\n")
        self.assertEqual(b"0\r\nX-T: 1\r\n\r\n", self.heard(self.up))
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))
        self.say(client, GET)
        self.assertEqual(GET, self.heard(self.up))

    def test_empty(self) -> None:
        """Bodies of no bytes."""
        for request in (post(b""), get("/", CHUNKED, method="POST") + b"0\r\n\r\n"):
            client = self.client(request)
            self.assertEqual(request, self.heard(self.up))
            self.say(self.up, OK)
            self.assertEqual(OK, self.heard(client))
        self.assertEqual(1, len(self.ups))

    def test_slow_upstream(self) -> None:
        """Who takes his time pauses the client; nothing is lost, and the connection goes on with the next request."""
        client = self.client()
        self.proxy.connector.mode = "wait"
        client.say(post(b"", length=3_000_000))
        self.settle()
        self.proxy.connector.accept()
        self.up.room = 100
        body = bytes(range(256)) * 12_000
        body = body[:3_000_000]
        self.say(client, body)
        self.assertGreater(client.unread, 2_700_000)
        self.assertLess(self.session().upstream.transport.buffered, 3 * 65536)
        self.up.room = None
        self.wait(0.1)
        self.assertEqual(post(body), self.heard(self.up))
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))
        self.say(client, GET)
        self.assertEqual(GET, self.heard(self.up))

    def test_paused_at_the_last_piece(self) -> None:
        """A client that was paused by the last piece of its body is read again for its next request."""
        for size in (65600, 70_000):
            client = self.client(post(b"", length=size))
            self.up.room = 0
            self.say(client, b"x" * size)
            self.up.room = None
            self.settle()
            self.assertEqual(post(b"x" * size), self.heard(self.up)[-len(post(b"x" * size)) :])
            self.say(self.up, OK)
            self.assertEqual(OK, self.heard(client))
            self.say(client, GET)
            self.assertEqual(GET, self.heard(self.up))
            self.say(self.up, OK)
            self.assertEqual(OK, self.heard(client))

    def test_paused_and_answered(self) -> None:
        """The same where the answer comes while the upstream has yet to take the body: it is not used again."""
        client = self.client(post(b"", length=65600))
        self.up.room = 0
        self.say(client, b"x" * 65600)
        self.say(self.up, OK)
        self.assertEqual((OK, "reset", 0), (self.heard(client), self.up.ended, self.idle))
        self.say(client, GET)
        self.assertEqual(GET, self.heard(self.up))

    def test_while_acquiring(self) -> None:
        """While a service is waited for a body waits, too: so much of it is read, and the rest afterwards."""
        for size in (100_000, 1_000_000):
            self.proxy.connector.mode = "wait"
            client = self.client()
            body = b"x" * size
            client.say(post(body))
            self.settle()
            self.assertLess(self.session()._reader.buffered, 3 * 65536)
            self.proxy.connector.accept()
            self.assertEqual(post(body), self.heard(self.up))
            self.say(self.up, OK)
            self.assertEqual(OK, self.heard(client))
            # and the connection is read again
            self.say(client, GET)
            self.assertEqual(GET, self.heard(self.up))
            client.reset()
            self.settle()

    def test_pipelined_behind_a_body(self) -> None:
        """What follows a body is the next request, and waits for its turn."""
        client = self.client(post(b"ab", length=4), b"cd" + GET)
        self.assertEqual(post(b"abcd"), self.heard(self.up))
        self.say(self.up, ok(b"1"))
        self.assertEqual((ok(b"1"), GET), (self.heard(client), self.heard(self.up)))

    def test_upstream_lost(self) -> None:
        """An upstream that goes in the middle of a body is told to the client, which is read on so that it hears it."""
        for end in ("hang_up", "reset"):
            client = self.client(post(b"ab", length=1_000_000))
            getattr(self.up, end)()
            self.settle()
            self.assertRegex(self.heard(client), b"^HTTP/1.1 502 Bad Gateway\r\n(?s:.*)connection: close\r\n")
            self.assertEqual("eof", client.ended)
            self.say(client, b"x" * 900_000)
            self.assertEqual(("eof", 0), (client.ended, client.unread))
            self.wait(4)
            self.assertEqual("closed", client.ended)
        self.assertEqual([(502, "UC")] * 2, self.rows)

    def test_upstream_lost_while_full(self) -> None:
        """The same where the client was paused."""
        client = self.client(post(b"ab", length=1_000_000))
        self.up.room = 0
        self.say(client, b"x" * 200_000)
        self.up.reset()
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")
        self.assertEqual(("eof", 0), (client.ended, client.unread))

    def test_nobody_answers(self) -> None:
        """A body whose request cannot be dispatched is read and dropped behind our answer."""
        self.proxy.connector.mode = "refuse"
        client = self.client(post(b"ab", length=100_000))
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")
        self.say(client, b"x" * 99_998 + GET)
        self.assertEqual(("eof", 0, b""), (client.ended, client.unread, client.heard))

    def test_nothing_kept(self) -> None:
        """An idle connection does not keep the body of its latest request."""
        client = self.client(post(b"x" * 5000))
        self.say(self.up, OK)
        self.assertEqual((b"", OK), (self.session().first, self.heard(client)))

    def test_gone_while_paused(self) -> None:
        """A client that breaks while it is not read is noticed."""
        client = self.client(post(b"", length=1_000_000))
        self.up.room = 0
        self.say(client, b"x" * 300_000)
        self.assertGreater(client.unread, 0)
        client.reset()
        self.settle()
        self.assertEqual(("reset", []), (self.up.ended, self.proxy.sessions))
