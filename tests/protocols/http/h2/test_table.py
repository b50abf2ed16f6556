# -*- test-case-name: tests.protocols.http.h2.test_table -*-
"""
Tests for L{lproxy.protocols.http.h2.table}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2.faults import PROTOCOL_ERROR, ConnectionFault
from lproxy.protocols.http.h2.flow import StreamState
from lproxy.protocols.http.h2.table import REMEMBERED, StreamTable


class TableTests(SynchronousTestCase):
    """Open, closed, idle."""

    def setUp(self) -> None:
        self.table = StreamTable()

    def idle(self, stream_id: int) -> bool:
        """Whether a frame for it is refused."""
        try:
            self.table.not_idle(stream_id, "DATA")
        except ConnectionFault as fault:
            self.assertEqual(PROTOCOL_ERROR, fault.code)
            return True
        return False

    def test_idle(self) -> None:
        """Streams above the highest were never open; even ones, which nobody may open, neither; nor is stream 0 one."""
        stream = StreamState(5, 0, 0)
        self.assertTrue(self.idle(1))
        self.table.add(stream)
        self.assertEqual([True, False, True, False, True, True], [self.idle(n) for n in (0, 1, 2, 3, 6, 7)])
        self.assertIs(stream, self.table.open.pop(5))
        self.assertFalse(self.idle(5))

    def test_remembered(self) -> None:
        """The latest thousand of those that were reset are known, whoever resets a million."""
        for number in range(1, 2 * REMEMBERED + 3, 2):
            self.table.remember(number)
        self.assertFalse(self.table.was_reset(1))
        self.assertTrue(all(self.table.was_reset(number) for number in range(3, 2 * REMEMBERED + 3, 2)))
