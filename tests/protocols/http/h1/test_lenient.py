# -*- test-case-name: tests.protocols.http.h1.test_lenient -*-
"""
L{lproxy.protocols.http.h1.lenient}: what a lenient service may answer, and what goes on of it.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Service
from lproxy.protocols.http.h1.lenient import end_of_head, put_right
from tests.protocols.http.harness import GET, OK, HttpTestCase

LINE = b"HTTP/1.1 200 OK\r\n"


class LenientTests(SynchronousTestCase):
    """Heads."""

    def test_as_it_is(self) -> None:
        """What is right stays as it is."""
        head = LINE + b"A: b\r\nContent-Length: 2\r\nA:  c\r\n\r\n"
        self.assertEqual((head, False), put_right(head))

    def test_put_right(self) -> None:
        """What can mean one thing only means that."""
        for said, meant, last in (
            (b"HTTP/1.1 200 OK\nA: b\n\n", LINE + b"A: b\r\n\r\n", False),
            (b"HTTP/1.1 200 OK\r\nA: b\n\r\n", LINE + b"A: b\r\n\r\n", False),
            (LINE + b"A: b \r\n\t c\r\n  d\r\nE: f\r\n\r\n", LINE + b"A: b c d\r\nE: f\r\n\r\n", False),
            (
                LINE + b"Content-Length: 2\r\nA: b\r\ncontent-length: 2\r\n\r\n",
                LINE + b"Content-Length: 2\r\nA: b\r\n\r\n",
                False,
            ),
            (LINE + b"Content-Length: 2, 2\r\n\r\n", LINE + b"Content-Length: 2\r\n\r\n", False),
            (
                LINE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
                LINE + b"Transfer-Encoding: chunked\r\n\r\n",
                True,
            ),
            (
                b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                LINE + b"Transfer-Encoding: chunked\r\n\r\n",
                True,
            ),
        ):
            with self.subTest(said=said):
                self.assertEqual((meant, last), put_right(said))

    def test_not_put_right(self) -> None:
        """What can mean more than one thing is left to be refused."""
        for head in (LINE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n", LINE + b"Content-Length: 2, 3\r\n\r\n"):
            self.assertEqual((head, False), put_right(head))

    def test_end(self) -> None:
        """A head ends with an empty line, whatever ends its lines."""
        for end in (b"\r\n\r\n", b"\n\n", b"\r\n\n", b"\n\r\n"):
            self.assertEqual(6 + len(end), end_of_head(b"..A: bc"[:6] + end + b"rest", 2))
            self.assertEqual(-1, end_of_head(b"A: bc" + end[:-1], 0))


class ServiceTests(HttpTestCase):
    """Services that are lenient, and others."""

    answers = (
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    )

    def test_lenient(self) -> None:
        """Its answers are put right before they go on, whole or byte by byte, and its connection is used again."""
        self.start(service=lambda target: Service(lenient=True))
        for answer in self.answers:
            for step in (1, 1000):
                client = self.client(GET)
                for start in range(0, len(answer), step):
                    self.say(self.up, answer[start : start + step])
                self.assertEqual(OK, self.heard(client))
        self.assertEqual(1, len(self.ups))

    def test_not_trusted(self) -> None:
        """An answer with two lengths is read by its chunks, and its connection has no other."""
        self.start(service=lambda target: Service(lenient=True))
        client = self.client(GET)
        self.say(
            self.up,
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        )
        self.assertEqual(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", self.heard(client)
        )
        self.assertEqual(("closed", 0), (self.up.ended, self.idle))

    def test_strict(self) -> None:
        """Others are refused such an answer, with the reason."""
        for answer, why in zip(self.answers, (b"bare LF", b"more than one Content-Length"), strict=True):
            client = self.client(GET)
            self.say(self.up, answer)
            heard = self.heard(client)
            self.assertRegex(heard, b"^HTTP/1.1 502 ")
            self.assertIn(why, heard)
