"""
L{benchmark.clients.rate}: a fixed rate, whatever becomes of the answers.
"""

import gc
import socket
import time

from twisted.trial.unittest import SynchronousTestCase

from benchmark.clients import rate
from tests.benchmark.clients.server import OK, read_request, server, web


class RateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.addCleanup(gc.enable)

    def test_all(self) -> None:
        """As many requests as are due in the time, and no more; the time is at least that which was asked for."""
        result = rate.generate(server(self, web), 200, 0.2, 2)
        self.assertEqual((40, 0), (result["requests"], result["errors"]))
        self.assertGreaterEqual(result["seconds"], 0.2)
        self.assertTrue(0 < result["p50_us"] <= result["p99_us"] <= result["max_us"], result)

    def test_pieces(self) -> None:
        """Answers in pieces, and of different lengths, are read to their end."""

        def serve(connection: socket.socket) -> None:
            length = 0
            while read_request(connection):
                length += 1
                answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + b"x" * length
                for piece in (answer[:10], answer[10:]):
                    connection.sendall(piece)
                    time.sleep(0.001)

        result = rate.generate(server(self, serve), 100, 0.1, 2)
        self.assertEqual((10, 0), (result["requests"], result["errors"]))

    def test_from_when_due(self) -> None:
        """A proxy that stalls once pays for every request that had to wait, not for the one that it answers late."""
        stalls = [0.0, 0.2]  # the first request makes the connection

        def serve(connection: socket.socket) -> None:
            while read_request(connection):
                time.sleep(stalls.pop(0) if stalls else 0)
                connection.sendall(OK)

        result = rate.generate(server(self, serve), 100, 0.2, 1)
        self.assertEqual(20, result["requests"])
        # they were due every 10 ms for 200, and all waited for the first
        self.assertGreater(result["p50_us"], 50_000)
        self.assertGreaterEqual(result["max_us"], 200_000)

    def test_never(self) -> None:
        """What is not answered in the end is an error; that it was waited for is no part of the time."""
        self.patch(rate, "GRACE_SECONDS", 0.1)

        def serve(connection: socket.socket) -> None:
            for _ in range(3):
                read_request(connection)
                connection.sendall(OK)
            while read_request(connection):
                pass

        result = rate.generate(server(self, serve), 100, 0.1, 1)
        self.assertEqual((2, 8, 0.1), (result["requests"], result["errors"], result["seconds"]))

    def test_wrong(self) -> None:
        """A proxy that closes, or answers twice, spoils the measurement, and it ends."""

        def once(connection: socket.socket) -> None:
            read_request(connection)
            connection.sendall(OK)
            read_request(connection)

        def twice(connection: socket.socket) -> None:
            read_request(connection)
            connection.sendall(OK)
            read_request(connection)
            connection.sendall(OK + OK)
            read_request(connection)

        self.assertRaises(ConnectionError, rate.generate, server(self, once), 100, 0.1, 1)
        self.assertRaises(ValueError, rate.generate, server(self, twice), 100, 0.1, 1)
