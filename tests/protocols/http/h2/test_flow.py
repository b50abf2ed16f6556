# -*- test-case-name: tests.protocols.http.h2.test_flow -*-
"""
Tests for L{lproxy.protocols.http.h2.flow}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2.flow import MAXIMUM, Flow, StreamState


class FlowTests(SynchronousTestCase):
    """Credit in both directions."""

    def test_returned(self) -> None:
        """It is told of when half a window has been used up, and all of it at once."""
        flow = Flow(0, 100)
        self.assertTrue(flow.used(100))
        self.assertEqual([0, 0, 51, 0], [flow.returned(n) for n in (20, 29, 2, 48)])
        self.assertEqual(51, flow.receivable)
        self.assertEqual(0, flow.returned(0))

    def test_overdrawn(self) -> None:
        """More than the window is noticed, by a byte."""
        self.assertTrue(Flow(0, 100).used(100))
        self.assertFalse(Flow(0, 100).used(101))

    def test_passed(self) -> None:
        """What is in nobody's hands is returned as it comes, unless it was not allowed."""
        flow = Flow(0, 100)
        self.assertEqual([0, 0, 50, 0], [flow.passed(n) for n in (20, 29, 1, 30)])
        self.assertEqual(70, flow.receivable)
        self.assertEqual([-1, 100], [flow.passed(71), flow.passed(70)])

    def test_granted(self) -> None:
        """A window may be as large as 2^31-1, and below nothing while SETTINGS shrink it."""
        flow = Flow(10, 0)
        self.assertTrue(flow.granted(-30))
        self.assertEqual(-20, flow.sendable)
        self.assertTrue(flow.granted(MAXIMUM + 20))
        self.assertFalse(flow.granted(1))

    def test_widened(self) -> None:
        """Another window's size counts for what may come and for when to tell."""
        flow = Flow(0, 100)
        flow.widen(-80)
        self.assertEqual((0, 10), (flow.returned(9), flow.returned(1)))
        self.assertEqual(30, flow.receivable)
        flow = Flow(0, 2)
        flow.widen(-2)
        self.assertEqual(0, flow.returned(0))

    @given(st.integers(1, 200_000), st.lists(st.integers(0, 20_000), max_size=50))
    def test_never_stuck(self, window: int, pieces: list[int]) -> None:
        """Whoever has been returned everything may send at least half a window."""
        flow = Flow(0, window)
        for piece in pieces:
            piece = min(piece, flow.receivable)
            flow.used(piece)
            flow.returned(piece)
            self.assertGreater(flow.receivable, 0)
            self.assertGreaterEqual(2 * flow.receivable, window)
            self.assertLessEqual(flow.receivable, window)


class StreamTests(SynchronousTestCase):
    """A stream's state."""

    def test_new(self) -> None:
        """It is open both ways, and nothing is known of its message."""
        stream = StreamState(3, 10, 20)
        self.assertEqual((3, 10, 20), (stream.id, stream.sendable, stream.receivable))
        self.assertEqual((-1, False, False, False), (stream.left, stream.headed, stream.ended, stream.peer_ended))
