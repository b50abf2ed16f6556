# -*- test-case-name: tests.stack.test_observer -*-
"""
Tests for L{lproxy.stack.observer}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import ProxyError
from lproxy.stack.observer import EndpointObserver, Unobserved
from lproxy.target import Authority, Endpoint

TARGET, ENDPOINT = Authority("web", 80), Endpoint("10.0.0.1", 80)


class UnobservedTests(SynchronousTestCase):
    """Nobody who looks."""

    def test_silent(self) -> None:
        """Whatever happens is never said, so that it is never said to be over; each endpoint has its own counter."""
        nobody: EndpointObserver = Unobserved()
        self.assertFalse(nobody.down(TARGET, ENDPOINT, ProxyError(ENDPOINT)))
        nobody.up(TARGET, ENDPOINT, 1.0)
        self.assertIsNot(nobody.counter(TARGET, ENDPOINT), nobody.counter(TARGET, ENDPOINT))
