# -*- test-case-name: tests.supervise.test_places -*-
"""
L{lproxy.supervise.places}: sockets of several workers.
"""

from __future__ import annotations

import os
import socket
import tempfile

from twisted.trial.unittest import SynchronousTestCase

from lproxy.supervise import places as module
from lproxy.supervise.places import Places, Taken, bound, listening, remove, why

HERE = "127.0.0.1"


class PlacesTests(SynchronousTestCase):
    """Two workers'."""

    def setUp(self) -> None:
        self.places = Places(2)
        self.addCleanup(self.places.close_all)

    def connect(self, port: int, times: int) -> None:
        for _ in range(times):
            self.addCleanup(socket.create_connection((HERE, port), 5).close)

    def waiting(self, sock: socket.socket) -> int:
        """How many wait there."""
        sock.setblocking(False)
        n = 0
        while True:
            try:
                sock.accept()[0].close()
            except BlockingIOError:
                return n
            n += 1

    def test_spread(self) -> None:
        """
        An address is bound once for each worker, at one port, and connections come to all that accept: nobody waits for
        a worker that has not started.
        """
        place = self.places.bind("web", HERE, 0)
        one, two = (self.places.of(place, index) for index in range(2))
        self.assertEqual((1, 1), (len(one), len(two)))
        port = one[0].getsockname()[1]
        self.assertEqual(port, two[0].getsockname()[1])
        self.connect(port, 20)
        self.assertEqual(20, self.waiting(one[0]))
        two[0].listen(100)
        self.connect(port, 100)
        counts = self.waiting(one[0]), self.waiting(two[0])
        self.assertEqual(100, sum(counts))
        self.assertTrue(all(counts), counts)

    def test_once(self) -> None:
        """Whoever asks again has the same sockets: a successor those of whom it succeeds."""
        self.assertIs(self.places.bind("web", HERE, 0), self.places.bind("web", HERE, 0))
        self.assertEqual(1, len(self.places))

    def test_taken(self) -> None:
        """An address that another program has is refused, though it is another lproxy's with workers."""
        other = Places(2)
        self.addCleanup(other.close_all)
        port = other.bind("web", HERE, 0).sockets[0].getsockname()[1]
        error = self.assertRaises(OSError, self.places.bind, "web", HERE, port)
        self.assertEqual("Address already in use", why(error))
        self.assertEqual(0, len(self.places))

    def test_wildcard(self) -> None:
        """One's own port at another address keeps nobody from all addresses: a reload moves there without a gap."""
        first = self.places.bind("web", HERE, 0)
        port = first.sockets[0].getsockname()[1]
        self.places.bind("all", "0.0.0.0", port)
        self.places.close("web")
        self.connect(port, 1)

    def test_twice(self) -> None:
        """One's own port at the very same address is taken, whatever else is bound to it."""
        port = self.places.bind("web", HERE, 0).sockets[0].getsockname()[1]
        for others in (False, True):
            if others:
                self.places.bind("all", "0.0.0.0", port)
            self.assertRaises(OSError, self.places.bind, "again", HERE, port)

    def test_half(self) -> None:
        """Where it can be bound for the first and not for the second, nothing is bound."""
        calls = []

        def second_fails(host: str, port: int, reuse: bool = False) -> socket.socket:
            calls.append(port)
            if reuse:
                raise OSError(24, "Too many open files")
            return bound(host, port)

        self.patch(module, "bound", second_fails)
        self.assertRaises(OSError, self.places.bind, "web", HERE, 0)
        socket.create_server((HERE, calls[1])).close()

    def test_shared(self) -> None:
        """What is to be shared is one socket for all."""
        place = self.places.bind("admin", HERE, 0, shared=True)
        self.assertEqual(place.sockets, self.places.of(place, 0))
        self.assertEqual(place.sockets, self.places.of(place, 1))

    def test_adopted(self) -> None:
        """
        Sockets of others are theirs: as many as workers, or bound besides, or more than one for some; one that
        cannot be bound twice is shared. What is there already stays, and is not had twice.
        """
        for count in (1, 2, 3):
            sockets = [listening(HERE, 0)]
            port = sockets[0].getsockname()[1]
            sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sockets += [listening(HERE, port, True) for _ in range(count - 1)]
            place = self.places.adopt(f"n{count}", sockets)
            found = [self.places.of(place, index) for index in range(2)]
            self.assertEqual(max(2, count), sum(map(len, found)))
            self.assertEqual({port}, {one.getsockname()[1] for some in found for one in some})
        path = tempfile.mktemp()
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(path)
        self.addCleanup(os.unlink, path)
        place = self.places.adopt(f"unix:{path}", [unix], shared=True)
        self.assertEqual(self.places.of(place, 0), self.places.of(place, 1))
        more = listening(HERE, 0)
        self.assertIs(place, self.places.adopt(f"unix:{path}", [more], shared=True))
        self.assertEqual(-1, more.fileno())

    def test_cannot_spread(self) -> None:
        """An adopted one of which there can be no other is shared, whatever was said."""
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(path := tempfile.mktemp())
        self.addCleanup(os.unlink, path)
        place = self.places.adopt("systemd:0", [unix])
        self.assertTrue(place.shared)
        self.assertEqual(self.places.of(place, 0), self.places.of(place, 1))

    def test_owner(self) -> None:
        """
        A port that is opened in somebody's name is his alone: another is refused it, and he has it wherever he asks;
        neither gets a listener's.
        """
        with socket.create_server((HERE, 0)) as free:
            port = free.getsockname()[1]
        place = self.places.bind(f"{HERE}:{port}", HERE, port, owner="kafka 1", note="broker 1")
        self.assertIs(place, self.places.bind(f"{HERE}:{port + 1}", HERE, port + 1, owner="kafka 1"))
        for owner, says in (("kafka 2", "kafka 1 does"), ("", "kafka 1 does")):
            error = self.assertRaises(Taken, self.places.bind, f"{HERE}:{port}", HERE, port, owner=owner)
            self.assertEqual(says, why(error))
        self.places.bind("web", HERE, 0)
        error = self.assertRaises(Taken, self.places.bind, "web", HERE, 1, owner="kafka 3")
        self.assertEqual("another listener does", why(error))

    def test_leave(self) -> None:
        """It is closed when the last worker leaves it; leaving what is not there is harmless."""
        place = self.places.bind("web", HERE, 0)
        port = place.sockets[0].getsockname()[1]
        place.users.update((0, 1))
        self.assertFalse(self.places.leave("web", 0))
        self.connect(port, 1)
        self.assertTrue(self.places.leave("web", 1))
        self.assertFalse(self.places.leave("web", 1))
        self.assertRaises(ConnectionRefusedError, socket.create_connection, (HERE, port), 5)

    def test_ipv6(self) -> None:
        """IPv6 as well."""
        place = self.places.bind("six", "::1", 0)
        self.assertEqual(2, len(place.sockets))

    def test_remove(self) -> None:
        """The file of a UNIX socket, and its lock, are removed; anything else is no file."""
        path = tempfile.mktemp()
        for name in (path, f"{path}.lock"):
            open(name, "w").close()
        for key in (f"unix:{path}", f"unix:{path}", f"unix:address={path}:mode=600", "127.0.0.1:80", "unix:"):
            remove(key)
        self.assertEqual((False, False), (os.path.exists(path), os.path.exists(f"{path}.lock")))
