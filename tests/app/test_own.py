# -*- test-case-name: tests.app.test_own -*-
"""
Tests for L{lproxy.app.own}.
"""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app import own as module
from lproxy.app.own import OwnAddresses


class OwnTests(SynchronousTestCase):
    """The proxy knows its own addresses under every name."""

    def setUp(self) -> None:
        self.own = OwnAddresses()
        self.here = {"10.0.0.2", "fe80::2"}
        self.asked: list[str] = []
        self.patch(module, "is_local", self.is_local)

    def is_local(self, host: str) -> bool:
        self.asked.append(host)
        return host in self.here

    def contains(self, *hosts: str, port: int = 4140) -> list[bool]:
        return [self.own.contains(host, port) for host in hosts]

    def test_exact(self) -> None:
        """One address and port, and no other."""
        self.own.add(("127.0.0.1", 4140))
        self.assertEqual([True, False, False], self.contains("127.0.0.1", "127.0.0.2", "10.0.0.2"))
        self.assertEqual([False], self.contains("127.0.0.1", port=4141))
        self.assertEqual([], self.asked)

    def test_spelling(self) -> None:
        """However it is written: a kernel does not care."""
        self.own.add(("127.0.0.1", 4140))
        self.own.add(("::1", 4141))
        self.assertEqual([True], self.contains("::ffff:127.0.0.1"))
        self.assertEqual([True, False], self.contains("0:0:0:0:0:0:0:1", "::2", port=4141))

    def test_this_host(self) -> None:
        """The wildcard as a destination is the loopback address."""
        self.own.add(("127.0.0.1", 4140))
        self.assertEqual([True, True], self.contains("0.0.0.0", "::"))

    def test_wildcard(self) -> None:
        """A wildcard listener is at every address of this machine."""
        for wildcard in ("0.0.0.0", "::"):
            self.own = OwnAddresses()
            self.own.add((wildcard, 4140))
            hosts = ("127.0.0.1", "127.9.9.9", "::1", "10.0.0.2", "fe80::2", "10.0.0.3", "0.0.0.0")
            self.assertEqual([True, True, True, True, True, False, True], self.contains(*hosts))

    def test_changes(self) -> None:
        """An address that the machine gets later counts: nothing is remembered, but nothing is asked needlessly."""
        self.own.add(("0.0.0.0", 4140))
        self.assertEqual([False], self.contains("10.0.0.3"))
        self.here.add("10.0.0.3")
        self.assertEqual([True], self.contains("10.0.0.3"))
        self.assertEqual([False], self.contains("10.0.0.3", port=80))
        self.assertEqual(["10.0.0.3", "10.0.0.3"], self.asked)

    def test_removed(self) -> None:
        """Where nobody listens any more is somebody else's; what else there is on that port stays."""
        for host in ("127.0.0.1", "::ffff:127.0.0.2", "::1"):
            self.own.add((host, 4140))
        self.own.remove(("127.0.0.1", 4140))
        self.assertEqual([False, True, True], self.contains("127.0.0.1", "127.0.0.2", "::1"))
        for host in ("127.0.0.2", "::1", "::1", "10.0.0.2"):
            self.own.remove((host, 4140))
        self.assertEqual([False, False, False], self.contains("127.0.0.2", "::1", "0.0.0.0"))
        self.assertEqual("<OwnAddresses {}>", repr(self.own))

    def test_unknown(self) -> None:
        """Where it cannot be told, nobody is told that it is somebody else's."""

        def is_local(host: str) -> bool:
            raise OSError(errno.EMFILE, "too many open files")

        self.patch(module, "is_local", is_local)
        self.own.add(("0.0.0.0", 4140))
        self.assertRaises(OSError, self.own.contains, "10.0.0.3", 4140)
        self.assertTrue(self.own.contains("127.0.0.1", 4140))

    def test_unix(self) -> None:
        """A UNIX socket has no address that could be met by mistake."""
        self.own.add(("", 0))
        self.own.remove(("", 0))
        self.assertEqual("<OwnAddresses {}>", repr(self.own))
