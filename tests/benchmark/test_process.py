"""
L{benchmark.process}: ports for those who have to be told theirs.
"""

import socket

from twisted.trial.unittest import SynchronousTestCase

from benchmark import process
from benchmark.process import HOST, ProcessFailed, free_ports


class FreePortTests(SynchronousTestCase):
    def test_rows(self) -> None:
        """Rows do not overlap, and nobody listens on any port of them."""
        # nine free ones, where the kernel gives none to others in the meantime, and one in their middle that is taken
        (first,) = free_ports(1, 9)
        self.patch(process, "PORTS", range(first, first + 9))
        with socket.create_server((HOST, first + 4)):
            self.assertRaises(ProcessFailed, free_ports, 3, 3)
            found = sorted(free_ports(2, 3))
        self.assertEqual([first, first + 6], found)

    def test_one(self) -> None:
        """One by one, every port that is free."""
        with socket.create_server((HOST, 0)) as taken:
            port = taken.getsockname()[1]
            self.patch(process, "PORTS", range(port, port + 1))
            self.assertRaises(ProcessFailed, free_ports, 1)
        self.assertEqual([port], free_ports(1))
