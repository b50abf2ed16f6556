"""
L{benchmark.clients.idle}: connections that are held.
"""

import queue
import socket
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from benchmark.process import PROJECT
from tests.benchmark.clients.server import OK, read_request, server


class IdleTests(SynchronousTestCase):
    def test_hold(self) -> None:
        """It opens as many more as each line asks for, one request on each, and tells at the end who was closed."""
        held: queue.Queue[socket.socket] = queue.Queue()

        def serve(connection: socket.socket) -> None:
            self.assertTrue(read_request(connection).startswith(b"GET /item/"))
            connection.sendall(OK)
            held.put(connection.dup())  # ours stays open when this one is closed
            connection.recv(1)

        port = server(self, serve)
        command = [sys.executable, "-m", "benchmark.clients.idle", str(port)]
        with subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as process:
            self.addCleanup(process.kill)
            assert process.stdin is not None
            assert process.stdout is not None
            for more, said in (("3\n", "HOLDING 3\n"), ("2\n", "HOLDING 5\n")):
                process.stdin.write(more)
                self.assertEqual(said, process.stdout.readline())
            connections = [held.get(timeout=10) for _ in range(5)]
            for connection in connections:
                self.addCleanup(connection.close)
            for connection in connections[:2]:
                connection.shutdown(socket.SHUT_RDWR)
            process.stdin.close()
            self.assertEqual("CLOSED 2\n", process.stdout.readline())
            self.assertEqual(0, process.wait(10))
