# -*- test-case-name: tests.protocols.test_plugin -*-
"""
Tests for L{lproxy.protocols.plugin}: the shape by which protocols come in.
"""

from __future__ import annotations

from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from lproxy.app.plugins import find
from lproxy.protocols.plugin import IProtocolPlugin
from tests.note import Note


class ShapeTests(SynchronousTestCase):
    """Whoever provides it is found, listed and asked."""

    def test_built_in(self) -> None:
        """The built-in protocols keep to it, and so does the one of the tests of what is guaranteed to plugins."""
        found = [one.plugin for one in find()]
        self.assertEqual({"http", "kafka", "tcp"}, {plugin.name for plugin in found})
        for plugin in (*found, Note()):
            verifyObject(IProtocolPlugin, plugin)

    def test_twisted(self) -> None:
        """Whoever provides it is a plugin to Twisted."""
        self.assertTrue(IProtocolPlugin.extends(IPlugin))
