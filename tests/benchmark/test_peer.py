"""
L{benchmark.peer}: a proxy under test as a value.
"""

import shutil
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import peer
from benchmark.peer import Ports, Setting
from benchmark.upstreams import Upstreams


class PeerTests(SynchronousTestCase):
    def test_first_line(self) -> None:
        """A program that is not there, or says nothing, has no version; that is no reason to fail."""
        self.assertEqual(("?", "?"), (peer.first_line("/nowhere/x"), peer.first_line("true")))

    def test_debian(self) -> None:
        """What is not on the PATH is told with the package that has it."""
        self.patch(shutil, "which", lambda tool: None)
        self.assertEqual("x is not installed: apt-get install y", peer.debian("x", "y")())
        self.patch(shutil, "which", lambda tool: tool)
        self.assertIsNone(peer.debian("x", "y")())

    def test_ports(self) -> None:
        """A listener's port by its name, of whichever kind; none where it is not there."""
        ports = Ports(1, 2, None, 4, 5, {"grpc": 6})
        found = [ports.of(name) for name in ("http", "tcp", "echo", "kafka", "grpc", "h2")]
        self.assertEqual([1, 2, None, 5, 6, None], found)

    def test_streams(self) -> None:
        """Every port that only passes bytes, with what is behind it; Kafka's with a broker only."""
        expected = {"tcp": (2, 12), "echo": (3, 13)}
        setting = Setting(Path(), Ports(1, 2, 3, 4, 5), Upstreams(11, 12, 13), 10)
        self.assertEqual(expected, setting.streams())
        setting = Setting(Path(), Ports(1, 2, 3, 4, 5), Upstreams(11, 12, 13), 10, 15)
        self.assertEqual(expected | {"kafka": (5, 15)}, setting.streams())

    def test_every(self) -> None:
        """Everybody's listeners are the plain ones and the ways, but those that a first hop alone talks to."""
        self.assertEqual(
            peer.PLAIN | {"https", "hops", "mtls", "h2", "h2-h1", "h1-h2", "grpc"} | {"unrouted", "routes"}, peer.EVERY
        )
