# -*- test-case-name: tests.transport.test_address -*-
"""
Tests for L{lproxy.transport.address}.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.address import clean_address, is_local


class AddressTests(SynchronousTestCase):
    """Addresses are shown as people write them, and known as ours."""

    def test_clean(self) -> None:
        """Of IPv6 the first two of four parts; IPv4 that came through IPv6 as IPv4; none for UNIX sockets."""
        self.assertEqual(("10.0.0.1", 80), clean_address(("10.0.0.1", 80)))
        self.assertEqual(("::1", 80), clean_address(("::1", 80, 0, 0)))
        self.assertEqual(("10.0.0.1", 80), clean_address(("::ffff:10.0.0.1", 80, 0, 0)))
        self.assertEqual(("", 0), clean_address("/run/socket"))
        self.assertEqual(("", 0), clean_address(""))

    def test_local(self) -> None:
        """The loopback is this machine, a documentation address is not; another error is no answer."""
        self.assertTrue(is_local("127.0.0.1"))
        self.assertFalse(is_local("192.0.2.1"))

        def full(*args: Any) -> Any:
            raise OSError(errno.EMFILE, "too many")

        self.patch(socket, "socket", full)
        self.assertRaises(OSError, is_local, "127.0.0.1")
