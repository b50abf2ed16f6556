# -*- test-case-name: tests.protocols.tcp.test_plugin -*-
"""
Tests for L{lproxy.protocols.tcp.plugin}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.api import Match
from lproxy.protocols.tcp.detect import detect
from lproxy.protocols.tcp.factory import TcpFactory
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.testing.plugins import PluginContract


class TcpTests(PluginContract, SynchronousTestCase):
    """What every plugin promises, TCP does."""

    plugin = TcpPlugin()
    conversation = b"\x00\x01GET / HTTP/1.1\r\n"
    answer = b"220 hello\r\n"

    def test_detects_everything(self) -> None:
        """Whatever it is, it is TCP."""
        for prefix in (b"", b"\x00", b"GET / HTTP/1.1\r\n\r\n"):
            self.assertEqual(Match(), detect(prefix))
            self.assertEqual(Match(), TcpPlugin.detector(prefix))  # type: ignore[misc]

    def test_name(self) -> None:
        """The name that every listener has last."""
        self.assertEqual("tcp", self.plugin.name)

    def test_no_settings(self) -> None:
        """It has no table of its own, and says so of the key that was meant for one."""
        self.assertIsNone(self.plugin.configure({}))
        error = self.assertRaises(ValueError, self.plugin.configure, {"nodelay": True})
        self.assertEqual("nodelay: unknown key; TCP has no settings of its own", str(error))

    def test_makes_sessions(self) -> None:
        """Its factory forwards bytes, by its name."""
        factory = self.plugin.factory(self.start().runtime, None)
        self.assertIsInstance(factory, TcpFactory)
        self.assertEqual(("tcp", detect), (factory.name, factory.detector))
