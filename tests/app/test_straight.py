# -*- test-case-name: tests.app.test_straight -*-
"""
Tests for L{lproxy.app.straight}: a protocol that is configured, perhaps in TLS.
"""

from __future__ import annotations

from tests.app.hello import hello
from tests.app.test_secure import SecureCase


class StraightTests(SecureCase):
    """A protocol that is configured."""

    protocol = "echo"
    detect: tuple[str, ...] = ()

    def test_inside(self) -> None:
        """What is inside is that, whatever it says, and it has the session at once."""
        self.arrive(hello("web.test"))
        peer = self.inside()
        self.assertEqual(1, len(self.factory.made))
        peer.say(b"whatever")
        self.proxy.settle()
        self.assertEqual(b"whatever", peer.heard)

    def test_plain(self) -> None:
        """Without TLS it is that, too, as soon as it has said something; all of it is there."""
        peer = self.arrive(b"whatever")
        self.assertEqual((b"whatever", {}), (peer.heard, self.counts.failed))

    def test_silent(self) -> None:
        """A silent client has no upstream opened for it: the protocol's session does that, once detection is over."""
        self.arrive()
        self.proxy.settle(5.0)
        self.assertEqual(([], []), (self.factory.made, self.proxy.connector.upstreams))
        self.proxy.settle(10.0)
        self.assertEqual(1, len(self.factory.made))

    def test_gone(self) -> None:
        """One that goes without a word is nothing to the protocol but its end."""
        peer = self.arrive()
        peer.reset()
        self.proxy.settle()
        self.assertEqual(0, len(self.sessions))

    def test_foreign(self) -> None:
        """TLS for others passes by no protocol that is configured."""
        self.arrive(hello("other.test"))
        self.assertEqual((["tls-nowhere"], [], []), (self.kinds, self.factory.made, self.proxy.connector.upstreams))

    def test_further(self) -> None:
        """So do further addresses of a protocol."""
        self.arrive(hello("web.test"), self.edge.further("echo", self.factory.session))
        peer = self.inside(b"more")
        self.assertEqual(b"more", peer.heard)
