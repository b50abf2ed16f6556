# -*- test-case-name: tests.protocols.http.h1.test_client -*-
"""
L{lproxy.protocols.http.h1.client}: one upstream connection, as exchanges have it.
"""

from __future__ import annotations

from typing import Any

from lproxy.protocols.http.message import CHUNKED, NO_TRAILERS, Headers, Request, Response
from lproxy.protocols.http.pool import PooledLease
from lproxy.protocols.http.streams import BadResponse, UpstreamLost
from tests.protocols.http.harness import OK, HttpTestCase, ok


class Recorder:
    """
    A L{Responder<lproxy.protocols.http.streams.Responder>} that remembers what it was told.

    @ivar told: in order
    @ivar room: the credit that it gives
    """

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.room = 1000

    def informational(self, head: Response) -> None:
        """Remember it."""
        self.told.append(head.status)

    def respond(self, head: Response, body: bytes, end: bool, trailers: Headers) -> int:
        """Remember it."""
        self.told.append((head.status, body, end, trailers))
        return self.room

    def data(self, raw: bytes, end: bool, trailers: Headers) -> int:
        """Remember it."""
        self.told.append((raw, end, trailers))
        return self.room

    def credit(self, n: int) -> None:
        """Remember it."""
        self.told.append(("credit", n))

    def tunnel(self, head: Response, stream: Any, rest: bytes) -> None:
        """Remember it."""
        self.told.append(("tunnel", head.status, rest))
        stream.abort()

    def reset(self, error: BaseException) -> None:
        """Remember it."""
        self.told.append(error)


class ConnectionCase(HttpTestCase):
    """A connection, and a request on it."""

    def setUp(self) -> None:
        super().setUp()
        self.to = Recorder()

    def lease(self) -> PooledLease:
        """The right to use it."""
        return self.successResultOf(self.pool.acquire())  # type: ignore[no-any-return]

    def sent(self, method: bytes = b"GET", framing: int = 0, body: bytes = b"", end: bool = True) -> Any:
        """What a request is sent on by, as its L{Outgoing<lproxy.protocols.http.streams.Outgoing>}."""
        fields = {0: [], CHUNKED: [(b"Transfer-Encoding", b"chunked")]}
        headers: Headers = fields.get(framing, [(b"Content-Length", b"%d" % framing)])
        self.held = self.lease()
        return self.held.call(Request(method, b"/", headers, framing, b"web.test", False), body, end, self.to)

    def tell(self, *data: bytes) -> list[Any]:
        """What the responder has been told when the upstream has said C{data}."""
        for piece in data:
            self.say(self.up, piece)
        self.settle()
        told, self.to.told = self.to.told, []
        return told


class RequestTests(ConnectionCase):
    """What is sent."""

    def test_in_one_piece(self) -> None:
        """The head and what there is of the body go together, and the rest as it comes."""
        outgoing = self.sent(b"POST", 4, b"ab", False)
        self.assertEqual(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab", self.heard(self.up))
        self.assertGreater(outgoing.data(b"cd", True, NO_TRAILERS), 0)
        self.assertEqual(b"cd", self.heard(self.up))
        self.held.close()

    def test_chunks(self) -> None:
        """A body of unknown length goes in chunks; nothing is no chunk, which would be its end."""
        outgoing = self.sent(b"POST", CHUNKED, b"ab", False)
        outgoing.data(b"", False, NO_TRAILERS)
        outgoing.data(b"cde", False, NO_TRAILERS)
        outgoing.data(b"", True, [(b"A", b"b")])
        self.assertTrue(self.heard(self.up).endswith(b"\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\nA: b\r\n\r\n"))
        self.held.close()

    def test_credit(self) -> None:
        """Whoever is told that there is no room is told when there is."""
        outgoing = self.sent(b"POST", 1_000_000, b"", False)
        self.up.room = 0
        self.assertGreater(outgoing.data(b"x" * 1000, False, NO_TRAILERS), 0)
        self.assertEqual(0, outgoing.data(b"x" * 65536, False, NO_TRAILERS))
        self.up.room = None
        self.assertEqual([("credit", 65536)], self.tell())
        self.held.close()

    def test_address(self) -> None:
        """It says whom it goes to."""
        self.assertEqual("10.0.0.9:9000", self.sent().address)
        self.held.close()

    def test_dead(self) -> None:
        """What cannot be sent twice is not sent at all where the connection has ended already, known or not."""
        for method, end in ((b"POST", True), (b"PUT", False)):
            self.sent()
            self.tell(OK)
            self.held.close()
            self.heard(self.up)
            self.up.hang_up()
            error = self.assertRaises(UpstreamLost, self.sent, method, 2, b"ab"[: 2 * end], end)
            self.assertEqual((True, False, b""), (error.unsent, error.answered, self.up.heard))
            self.held.close()
            self.assertEqual((0, "reset"), (self.idle, self.up.ended))


class AnswerTests(ConnectionCase):
    """What comes back."""

    def test_whole(self) -> None:
        """An answer that comes in one piece is told at once, and the connection can be used again."""
        self.sent()
        self.assertEqual([(200, b"ok", True, [])], self.tell(OK))
        self.held.close()
        self.assertEqual(1, self.idle)

    def test_pieces(self) -> None:
        """What comes in pieces is told in pieces, decoded, with trailers at the end."""
        self.sent()
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        told = self.tell(b"HTTP/1.1 103 Early\r\n\r\n" + head[:20], head[20:], b"2\r\nab\r\n0\r\n", b"A: b\r\n\r\n")
        self.assertEqual([103, (200, b"", False, []), (b"ab", False, []), (b"", True, [(b"A", b"b")])], told)
        self.held.close()

    def test_slow_client(self) -> None:
        """Where the client has no room the upstream is read no more, until there is; and so for the next exchange."""
        outgoing = self.sent()
        self.to.room = 0
        self.tell(ok(b"a", length=3))
        self.assertEqual(([], 1), (self.tell(b"b"), self.up.unread))
        outgoing.credit(1000)
        self.assertEqual([(b"b", False, [])], self.tell())
        outgoing.credit(1000)
        self.assertEqual([(b"c", True, [])], self.tell(b"c"))
        self.held.close()
        self.sent()
        self.assertEqual([(200, b"ok", True, [])], self.tell(OK))
        self.held.close()

    def test_given_up(self) -> None:
        """Who resets it is told nothing more, and nobody uses the connection again."""
        outgoing = self.sent()
        outgoing.reset(ZeroDivisionError())
        self.assertEqual([], self.tell())
        self.held.close()
        self.assertEqual(("reset", 0), (self.up.ended, self.idle))

    def test_abandoned(self) -> None:
        """A lease that ends before the answer does takes the connection with it."""
        for said in (b"", ok(b"a", length=2), OK + b"more"):
            self.sent()
            self.tell(said)
            self.held.close()
            self.assertEqual(("reset", 0), (self.up.ended, self.idle))

    def test_tunnel(self) -> None:
        """The stream is handed on with what was read behind the head, and is no connection of the pool's any more."""
        self.sent(b"CONNECT")
        self.assertEqual([("tunnel", 200, b"hello")], self.tell(b"HTTP/1.1 200 Fine\r\n\r\nhello"))
        self.held.close()
        self.assertEqual((0, 0), (self.idle, self.pool.load))

    def test_lost(self) -> None:
        """How far it had come is told: nothing sent, nothing answered, part of a head, part of a body."""
        for said, answered, when in (
            (b"", False, "without an answer"),
            (b"HTTP/1.1 20", True, "in the middle of its answer's head"),
            (ok(b"a", length=2), True, "in the middle of its answer"),
        ):
            for end, how in ((self.up_hangs_up, "closed"), (self.up_resets, "reset")):
                self.sent()
                self.tell(said)
                end()
                (error,) = self.tell()
                assert isinstance(error, UpstreamLost)
                self.assertEqual(
                    (f"{how} the connection {when}", answered, False, False),
                    (error.what(), error.answered, error.unsent, error.reused),
                )
                self.held.close()

    def up_hangs_up(self) -> None:
        """FIN."""
        self.up.hang_up()
        self.settle()

    def up_resets(self) -> None:
        """RST."""
        self.up.reset()
        self.settle()

    def test_until_close(self) -> None:
        """An answer without a length ends with its connection."""
        self.sent()
        told = self.tell(b"HTTP/1.1 200 OK\r\n\r\nab")
        self.up_hangs_up()
        self.assertEqual([(200, b"ab", False, []), (b"", True, [])], told + self.tell())
        self.held.close()

    def test_malformed(self) -> None:
        """What is no answer is told as such, with what is wrong."""
        self.sent()
        (error,) = self.tell(b"SSH-2.0\r\n")
        self.assertIsInstance(error, BadResponse)
        self.assertIn("not an HTTP/1 response", str(error.__cause__))
        self.held.close()
        self.assertEqual("reset", self.up.ended)
