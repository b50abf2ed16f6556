"""
L{benchmark.clients.hold}: connections and streams that are held, and answers that nobody reads.
"""

import socket
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from benchmark.clients import hold
from benchmark.clients.caller import Caller
from benchmark.process import PROJECT
from tests.benchmark.clients.server import server
from tests.benchmark.clients.test_grpc import upstream


class HoldTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.port = server(self, upstream)

    def kept(self, made: list[Caller]) -> list[Caller]:
        for one in made:
            self.addCleanup(one.close)
        return made

    def test_connections(self) -> None:
        """So many, one answered request on each."""
        made = self.kept(hold.connections(self.port, 3))
        self.assertEqual([1, 1, 1], [one.stream for one in made])

    def test_streams(self) -> None:
        """A hundred on each connection, after one whole call."""
        made = self.kept(hold.streams(self.port, 120))
        self.assertEqual([1 + 2 * 100, 1 + 2 * 20], [one.stream for one in made])

    def test_unread(self) -> None:
        """Asked on one connection, and never read; nothing is allowed beyond a client's default window."""
        (one,) = self.kept(hold.unread(self.port, 7))
        self.assertEqual((2 * 7 - 1, 65_535), (one.stream, one.wire.own))

    def test_program(self) -> None:
        """Each line is answered by how many of the kind there are; the end by how many were closed."""
        command = [sys.executable, "-m", "benchmark.clients.hold", str(self.port), str(self.port)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=PROJECT, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:
            self.addCleanup(process.kill)
            assert process.stdin is not None
            assert process.stdout is not None
            for line, said in (
                ("connections 2", "HOLDING 2"),
                ("streams 5", "HOLDING 5"),
                ("connections 1", "HOLDING 3"),
                ("unread 4", "HOLDING 4"),
            ):
                process.stdin.write(line + "\n")
                self.assertEqual(said + "\n", process.stdout.readline())
            process.stdin.close()
            self.assertEqual("CLOSED 0\n", process.stdout.readline())
            self.assertEqual(0, process.wait(10))

    def test_closed(self) -> None:
        """A connection that the other end has closed is seen, also behind what it had said before."""
        (one,) = self.kept(hold.connections(self.port, 1))
        self.assertFalse(hold.is_closed(one))

        def once(connection: socket.socket) -> None:
            connection.recv(100)
            connection.sendall(b"x" * 10)

        (gone,) = self.kept([Caller(server(self, once), b"/")])
        gone.wire.connection.settimeout(5)
        while gone.wire.connection.recv(4):
            pass
        self.assertTrue(hold.is_closed(gone))
