# -*- test-case-name: tests.transport.test_current -*-
"""
Tests for L{lproxy.transport.current}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.target import UNKNOWN, Endpoint
from lproxy.testing.upstream import ScriptedConnector
from lproxy.testing.wire import ScriptedReactor
from lproxy.transport.current import CurrentConnector

WEB = Endpoint("10.0.0.1", 80)


class CurrentConnectorTests(SynchronousTestCase):
    """A connector that is exchanged."""

    def test_exchanged(self) -> None:
        """What is opened is opened by the one of the moment, at once or later; what is under way goes on."""
        reactor = ScriptedReactor()
        first, second = ScriptedConnector(reactor), ScriptedConnector(reactor)
        first.mode = "wait"
        current = CurrentConnector(first)
        waiting = current.connect(WEB, UNKNOWN)
        current.inner = second
        self.successResultOf(current.connect(WEB, UNKNOWN))
        self.assertIsNotNone(current.try_connect(WEB, UNKNOWN))
        self.assertEqual((0, 2), (len(first.upstreams), len(second.upstreams)))
        first.accept()
        self.successResultOf(waiting)

    def test_close(self) -> None:
        """Closing it closes nobody's."""
        connector = ScriptedConnector(ScriptedReactor())
        CurrentConnector(connector).close()
        self.successResultOf(connector.connect(WEB, UNKNOWN))
