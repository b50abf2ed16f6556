# -*- test-case-name: tests.benchmark.endurance.test_census -*-
"""
L{benchmark.endurance.census}: processes, descriptors, memory, and whose connections they have.
"""

import os
import signal
import socket
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from benchmark.endurance import census
from benchmark.endurance.census import Census


class GrownTests(SynchronousTestCase):
    """What may be more than before, and what may not."""

    def test_grown(self) -> None:
        """No process more; a few descriptors, and a little memory."""
        before = Census(3, 100, 100.0)
        self.assertEqual([], Census(3, 106, 114.0).grown(before))
        self.assertEqual([], Census(2, 50, 50.0).grown(before))
        self.assertEqual(
            ["4 processes, 3 before", "107 descriptors, 100 before", "120.0 MiB, 100.0 before"],
            Census(4, 107, 120.0).grown(before),
        )

    def test_settled(self) -> None:
        """It is waited until nothing is too much, and not for ever."""
        looks = [Census(2, 9, 1.0), Census(1, 9, 1.0)]
        before = Census(1, 9, 1.0)
        self.patch(census, "LOOK", 0.0)
        self.assertEqual(before, census.settled(before, lambda: looks.pop(0), 60.0))
        self.assertEqual(Census(2, 9, 1.0), census.settled(before, lambda: Census(2, 9, 1.0), 0.0))


class ProcessTests(SynchronousTestCase):
    """Real ones."""

    def test_found(self) -> None:
        """Processes are known by their environment, are counted, and stand still when they are stopped."""
        program = "import sys; print(flush=True); sys.stdin.read()"
        environ = {**os.environ, census.TOKEN: "this"}
        process = subprocess.Popen(
            [sys.executable, "-c", program], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        process.stdout.readline()
        self.assertEqual([process.pid], census.processes("this"))
        self.assertEqual([], census.processes("thi"))
        self.assertIn(process.pid, census.children(os.getpid()))
        found = census.census("this")
        self.assertEqual(1, found.processes)
        self.assertGreaterEqual(found.descriptors, 3)
        self.assertGreater(found.memory, 0.5)
        self.assertFalse(census.stopped(process.pid))
        process.send_signal(signal.SIGSTOP)
        while not census.stopped(process.pid):
            pass

    def test_clients(self) -> None:
        """The far ends of what a process has accepted, on the ports that are asked for alone."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)) as client, server.accept()[0]:
                own = client.getsockname()[1]
                self.assertEqual({own}, census.clients(os.getpid(), {port}))
                self.assertEqual(set(), census.clients(os.getpid(), set()))
