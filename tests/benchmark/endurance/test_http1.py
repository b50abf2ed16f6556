# -*- test-case-name: tests.benchmark.endurance.test_http1 -*-
"""
L{benchmark.endurance.http1}: requests of HTTP/1.1 that are counted.
"""

from twisted.trial.unittest import SynchronousTestCase

from benchmark.endurance import http1, upstream
from tests.benchmark.endurance.talking import counted, one_lost, saying


class Http1Tests(SynchronousTestCase):
    """Both kinds of clients."""

    def setUp(self) -> None:
        self.patch(http1, "THINK", 0.0)
        self.patch(http1, "SLOW", 2)

    def test_done(self) -> None:
        """Requests with and without a body are done, on connections that are kept, and on one for each."""
        for make, fewest, most in ((http1.kept, 1, 1), (http1.fresh, 20, 25)):
            connections: list[int] = []

            async def serve(reader: object, writer: object, connections: list[int] = connections) -> None:
                connections.append(1)
                await upstream.web(reader, writer)  # type: ignore[arg-type]

            tally = counted(make, serve, lambda tally: tally.done >= 20)
            self.assertEqual([], tally.losses)
            self.assertTrue(fewest <= len(connections) <= most, connections)

    def test_lost(self) -> None:
        """Each way in which an answer is not what it should be is told from the others."""
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
        self.patch(http1, "SLOW", 1_000_000)
        for answer, why in (
            (b"", "closed before an answer"),
            (whole[:20], "closed in an answer"),
            (whole + b"x", "closed in an answer"),
            (whole + b"xx", "another's answer"),
            (whole.replace(b"200 OK", b"502 Bad Gateway"), "answered 502 bad gateway"),
        ):
            self.assertEqual(why, one_lost(http1.kept, saying(answer, b"\r\n\r\n")))

    def test_ends(self) -> None:
        """Who is told that the connection ends opens another, and has lost nothing."""

        async def serve(reader: object, writer: object) -> None:
            head = await reader.readuntil(b"\r\n\r\n")  # type: ignore[attr-defined]
            body = head.split()[1] + b" 0"
            answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
            writer.write(answer + body)  # type: ignore[attr-defined]

        self.patch(http1, "SLOW", 1_000_000)
        self.assertEqual([], counted(http1.kept, serve, lambda tally: tally.done >= 5).losses)
