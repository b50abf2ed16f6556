# -*- test-case-name: tests.protocols.test_session -*-
"""
Tests for L{lproxy.protocols.session}: the shapes that every protocol's factory and sessions have.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.session import Accepted, Session, SessionFactory
from lproxy.protocols.tcp.factory import TcpFactory
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.testing import Peer, ScriptedProxy
from lproxy.testing.upstream import CLIENT, OURS
from lproxy.transport.detect import Detection
from tests.note import NoteFactory, NoteSession


class AcceptedTests(SynchronousTestCase):
    """What a factory makes a session of."""

    def test_value(self) -> None:
        """A value that nobody changes; what detection has not found is empty."""
        stream = ScriptedProxy(TcpPlugin()).reactor.stream(Peer(), CLIENT, OURS)
        accepted = Accepted(stream, "tcp")
        self.assertEqual(("", b"", False, None), (accepted.variant, accepted.prefix, accepted.eof, accepted.dialled))
        with self.assertRaises(AttributeError):
            accepted.prefix = b"x"  # type: ignore[misc]


class ShapeTests(SynchronousTestCase):
    """What is asked of factories and sessions, ours have: those of tests too, and the one that detects."""

    def methods(self, shape: Any) -> set[str]:
        return {name for name, value in vars(shape).items() if callable(value) and not name.startswith("_")}

    def test_sessions(self) -> None:
        """A session starts, drains, aborts and describes itself; each of that is the registry's to call."""
        wanted = self.methods(Session)
        self.assertEqual({"start", "drain", "abort", "describe"}, wanted)
        session = ScriptedProxy(TcpPlugin()).factory.session
        made = session(Accepted(ScriptedProxy(TcpPlugin()).reactor.stream(Peer(), CLIENT, OURS), "tcp"))
        for kind in (type(made), Detection, NoteSession):
            self.assertEqual(set(), wanted - self.methods(kind), kind)

    def test_factories(self) -> None:
        """A factory makes sessions, starts, is told of the end, and stops."""
        wanted = self.methods(SessionFactory)
        self.assertEqual({"session", "start", "drain", "stop"}, wanted)
        for kind in (TcpFactory, NoteFactory):
            self.assertEqual(set(), wanted - self.methods(kind), kind)
