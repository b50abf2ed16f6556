# -*- test-case-name: tests.transport.test_networks -*-
"""
Tests for L{lproxy.transport.networks}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.networks import KNOWN, Networks


class NetworksTests(SynchronousTestCase):
    """Which addresses are within."""

    def test_within(self) -> None:
        """One address or many, of either version."""
        networks = Networks(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"])
        for host, within in (
            ("10.255.0.1", True),
            ("11.0.0.1", False),
            ("192.0.2.1", True),
            ("192.0.2.2", False),
            ("2001:db8::1", True),
            ("2001:db9::1", False),
            ("::ffff:10.0.0.1", False),
        ):
            self.assertEqual((within, within), (networks.has(host), networks.has(host)), host)

    def test_no_address(self) -> None:
        """A UNIX socket has none, and is in no network, not even in all of them."""
        self.assertFalse(Networks(["0.0.0.0/0", "::/0"]).has(""))

    def test_bounded(self) -> None:
        """However many addresses come, few are remembered."""
        networks = Networks(["10.0.0.0/8"])
        for n in range(KNOWN + 9):
            networks.has(f"10.0.{n // 256}.{n % 256}")
        self.assertLessEqual(len(networks._known), KNOWN)
