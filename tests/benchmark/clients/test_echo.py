"""
L{benchmark.clients.echo}: the upstream of short connections.
"""

import socket
import subprocess
import sys
import time

from twisted.trial.unittest import SynchronousTestCase

from benchmark.process import HOST, PROJECT, free_ports


class EchoTests(SynchronousTestCase):
    def setUp(self) -> None:
        (self.port,) = free_ports(1)
        command = [sys.executable, "-m", "benchmark.clients.echo", str(self.port)]
        process = subprocess.Popen(command, cwd=PROJECT)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def connect(self) -> socket.socket:
        """A connection, once it listens."""
        end = time.monotonic() + 20
        while True:
            try:
                connection = socket.create_connection((HOST, self.port), 10)
            except ConnectionRefusedError:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)
            else:
                self.addCleanup(connection.close)
                return connection

    def test_echo(self) -> None:
        """Everybody hears what they said, and the end when they have ended."""
        connections = [self.connect() for _ in range(3)]
        for at, connection in enumerate(connections):
            connection.sendall(b"I am %d" % at)
        for at, connection in enumerate(connections):
            self.assertEqual(b"I am %d" % at, connection.recv(100))
        connections[1].shutdown(socket.SHUT_WR)
        self.assertEqual(b"", connections[1].recv(100))
        connections[2].sendall(b"still here")
        self.assertEqual(b"still here", connections[2].recv(100))
