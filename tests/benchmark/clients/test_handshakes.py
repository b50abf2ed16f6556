"""
L{benchmark.clients.handshakes}: full handshakes and resumed ones, with a server on Python's ssl.
"""

import gc
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import certificates
from benchmark.clients import handshakes as handshakes_module
from benchmark.clients.handshakes import context, first_session, handshakes
from tests.benchmark.clients.server import server, web


class HandshakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.addCleanup(gc.enable)
        path = Path(self.mktemp())
        path.mkdir()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificates.make(path).both)
        self.reused: list[bool | None] = []

    def serving(self, then: Callable[[socket.socket], object]) -> int:
        def serve(connection: socket.socket) -> None:
            with self.tls.wrap_socket(connection, server_side=True) as secured:
                self.reused.append(secured.session_reused)
                then(secured)

        return server(self, serve)

    def test_full(self) -> None:
        """So many handshakes as the server has seen, none of them resumed."""
        found = handshakes(self.serving(lambda secured: secured.recv(1)), 0.2, 2, resume=False)
        self.assertEqual((len(self.reused), 0), (found["handshakes"], found["errors"]))
        self.assertGreater(found["handshakes"], 4)
        self.assertEqual({False}, set(self.reused))
        self.assertTrue(0 < found["p50_us"] <= found["p99_us"], found)

    def test_resumed(self) -> None:
        """All but the first, from which the ticket is."""
        found = handshakes(self.serving(web), 0.2, 2, resume=True)
        self.assertEqual((len(self.reused) - 1, 0), (found["handshakes"], found["errors"]))
        self.assertEqual([False, *[True] * (len(self.reused) - 1)], self.reused)

    def test_not_resumed(self) -> None:
        """A server that makes a full handshake where it was to resume fails: that would be another measurement."""
        port = self.serving(web)
        session = first_session(context(), port)
        self.tls.num_tickets = 0
        self.assertIsNotNone(session)
        self.assertRaises(ConnectionError, handshakes, port, 0.1, 1, True)

    def test_kept_open(self) -> None:
        """A server that does not close holds up nobody for long: it has done its handshake, in no time to speak of."""
        self.patch(handshakes_module, "PATIENCE", 0.05)
        found = handshakes(self.serving(lambda secured: time.sleep(1)), 0.3, 1, resume=False)
        self.assertEqual((0, 0.0), (found["errors"], found["p99_us"]))
        self.assertGreater(found["handshakes"], 1)

    def test_refused(self) -> None:
        """A connection that ends without a handshake is an error."""
        found = handshakes(server(self, lambda connection: connection.recv(1)), 0.1, 1, resume=False)
        self.assertEqual(0, found["handshakes"])
        self.assertGreater(found["errors"], 0)
