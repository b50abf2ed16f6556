# -*- test-case-name: tests.protocols.test_tracing -*-
"""
L{lproxy.protocols.tracing}: traces, as protocols see them.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.protocols.tracing import Parent
from lproxy.testing import ScriptedProxy


class ParentTests(SynchronousTestCase):
    """What spans are part of."""

    def test_first(self) -> None:
        """The first of a trace has none above it."""
        self.assertEqual("", Parent("0af7651916cd43dd8448eb211c80319c").span_id)

    def test_off(self) -> None:
        """Where nothing is said of traces, nothing is traced."""
        self.assertIsNone(ScriptedProxy(TcpPlugin()).runtime.tracer)
