"""
L{benchmark.clients.churn}: new connections, one after the other.
"""

import gc
import socket

from twisted.trial.unittest import SynchronousTestCase

from benchmark.clients.churn import PAYLOAD, churn
from tests.benchmark.clients.server import echo, server


class ChurnTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.addCleanup(gc.enable)

    def test_counts(self) -> None:
        """A connection counts when its echo is complete; each is a new one, and so many are open at a time."""
        accepted = []

        def serve(connection: socket.socket) -> None:
            accepted.append(connection)
            echo(connection)

        result = churn(server(self, serve), 0.1, 3)
        self.assertEqual((len(accepted), 0), (result["connections"], result["errors"]))
        self.assertGreater(result["connections"], 3)
        self.assertGreaterEqual(result["seconds"], 0.1)
        self.assertTrue(0 < result["p50_us"] <= result["p90_us"] <= result["p99_us"] <= result["p999_us"], result)

    def test_pieces(self) -> None:
        """An echo in pieces is waited for."""

        def serve(connection: socket.socket) -> None:
            data = connection.recv(100)
            for at in range(len(data)):
                connection.sendall(data[at : at + 1])
            connection.recv(1)

        result = churn(server(self, serve), 0.02, 1)
        self.assertGreater(result["connections"], 0)
        self.assertEqual(0, result["errors"])

    def test_errors(self) -> None:
        """What is closed before its echo is complete, and an echo of something else, are errors."""

        def short(connection: socket.socket) -> None:
            connection.sendall(connection.recv(100)[:3])

        def wrong(connection: socket.socket) -> None:
            connection.sendall(b"?" * len(connection.recv(100)))

        for serve in (short, wrong):
            result = churn(server(self, serve), 0.02, 1)
            self.assertEqual((0, 0.0), (result["connections"], result["p50_us"]))
            self.assertGreater(result["errors"], 0)

    def test_payload(self) -> None:
        """No HTTP begins like that, or it would be another scenario."""
        self.assertFalse(PAYLOAD[:1].isalpha())
