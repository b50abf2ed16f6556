# -*- test-case-name: tests.transport.proxy_protocol.test_header -*-
"""
Tests for L{lproxy.transport.proxy_protocol.header}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.proxy_protocol.header import mapped, packed, shown


class AddressTests(SynchronousTestCase):
    """One address has one form, however it was told."""

    def test_there_and_back(self) -> None:
        """What was packed is shown as it was."""
        for host in ("192.0.2.1", "2001:db8::1", "::", "0.0.0.0"):
            self.assertEqual(host, shown(packed(host)))

    def test_mapped(self) -> None:
        """IPv4 mapped into IPv6 is shown as IPv4."""
        self.assertEqual("192.0.2.1", shown(mapped(packed("192.0.2.1"))))
        self.assertEqual(packed("2001:db8::1"), mapped(packed("2001:db8::1")))

    def test_interface(self) -> None:
        """A link-local address is told without the interface that it is on here."""
        self.assertEqual(packed("fe80::1"), packed("fe80::1%eth0"))

    def test_none(self) -> None:
        """A UNIX socket has none."""
        self.assertEqual(b"", packed(""))
