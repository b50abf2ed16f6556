# -*- test-case-name: tests.transport.test_original_dst -*-
"""
Tests for L{lproxy.transport.original_dst} without a kernel; with one: L{tests.integration.test_original_dst}.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.original_dst import original_dst


class FakeSocket:
    """
    A socket as the kernel would have it.

    @ivar options: what C{getsockopt} gives, by level
    """

    def __init__(self, name: Any, options: dict[int, bytes]) -> None:
        self.name = name
        self.options = options
        self.asked: list[tuple[int, int]] = []

    def getsockname(self) -> Any:
        return self.name

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        self.asked.append((level, option))
        if level not in self.options:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")
        return self.options[level][:size]


def sockaddr_in(host: str, port: int) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton(host))


def sockaddr_in6(host: str, port: int) -> bytes:
    address = socket.inet_pton(socket.AF_INET6, host)
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16sI", port, 0, address, 0)


class OriginalDstTests(SynchronousTestCase):
    """Where a redirected connection was going."""

    def test_ipv4(self) -> None:
        """An IPv4 socket is asked at the level of IP."""
        sock = FakeSocket(("127.0.0.1", 4140), {0: sockaddr_in("10.1.2.3", 8080)})
        self.assertEqual(("10.1.2.3", 8080), original_dst(sock))
        self.assertEqual([(0, 80)], sock.asked)

    def test_ipv6(self) -> None:
        """An IPv6 socket is asked at the level of IPv6, and the address is in its usual spelling."""
        sock = FakeSocket(("::1", 4140, 0, 0), {41: sockaddr_in6("fd00:0:0::9", 443)})
        self.assertEqual(("fd00::9", 443), original_dst(sock))
        self.assertEqual([(41, 80)], sock.asked)

    def test_mapped(self) -> None:
        """An IPv4 connection on a dual-stack socket gives plain IPv4."""
        sock = FakeSocket(("::ffff:127.0.0.1", 4140, 0, 0), {0: sockaddr_in("10.1.2.3", 8080)})
        self.assertEqual(("10.1.2.3", 8080), original_dst(sock))

    def test_not_redirected(self) -> None:
        """A connection that meant this very socket was not redirected, in any family."""
        for sock in (
            FakeSocket(("127.0.0.1", 4140), {0: sockaddr_in("127.0.0.1", 4140)}),
            FakeSocket(("::ffff:127.0.0.1", 4140, 0, 0), {0: sockaddr_in("127.0.0.1", 4140)}),
            FakeSocket(("::1", 4140, 0, 0), {41: sockaddr_in6("::1", 4140)}),
            FakeSocket(("fe80::1%eth0", 4140, 0, 2), {41: sockaddr_in6("fe80::1", 4140)}),
        ):
            self.assertIdentical(None, original_dst(sock))

    def test_other_port(self) -> None:
        """The same address at another port is another place."""
        sock = FakeSocket(("127.0.0.1", 4140), {0: sockaddr_in("127.0.0.1", 80)})
        self.assertEqual(("127.0.0.1", 80), original_dst(sock))

    def test_unknown(self) -> None:
        """A kernel that does not know (no tracking, another platform) is no error."""
        self.assertIdentical(None, original_dst(FakeSocket(("127.0.0.1", 4140), {})))
        self.assertIdentical(None, original_dst(FakeSocket(("::1", 4140, 0, 0), {})))

    def test_nonsense(self) -> None:
        """Nor is a kernel that answers with too little, where the number means something else."""
        self.assertIdentical(None, original_dst(FakeSocket(("127.0.0.1", 4140), {0: b"\1\0\0\0"})))

    def test_unix(self) -> None:
        """A UNIX socket has no destination."""
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        self.assertIdentical(None, original_dst(one))

    def test_closed(self) -> None:
        """A socket that is closed already is no error."""
        sock = socket.socket()
        sock.close()
        self.assertIdentical(None, original_dst(sock))
