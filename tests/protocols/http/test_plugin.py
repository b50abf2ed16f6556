# -*- test-case-name: tests.protocols.http.test_plugin -*-
"""
L{lproxy.protocols.http.plugin}: HTTP by the door that everybody has.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from lproxy.api import IProtocolPlugin
from lproxy.plugins.lproxy_http import http as provider
from lproxy.protocols.http.detect import detect
from lproxy.protocols.http.plugin import HttpPlugin


class PluginTests(SynchronousTestCase):
    """The provider."""

    def test_interface(self) -> None:
        """It provides what every plugin does, and is the one that is found."""
        self.assertTrue(verifyObject(IProtocolPlugin, HttpPlugin()))
        self.assertIsInstance(provider, HttpPlugin)
        self.assertIs(detect, provider.detector)

    def test_no_table(self) -> None:
        """It has no settings of its own, and says where they are."""
        self.assertIsNone(HttpPlugin().configure({}))
        error = self.assertRaises(ValueError, HttpPlugin().configure, {"headers": "1KiB"})
        self.assertEqual("headers: unknown key; HTTP's settings are under [limits] and [timeouts]", str(error))
