# -*- test-case-name: tests.protocols.http.h2.test_faults -*-
"""
Tests for L{lproxy.protocols.http.h2.faults}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import explain
from lproxy.protocols.http.h2.faults import (
    CODE_NAMES,
    ENHANCE_YOUR_CALM,
    FLOOD,
    FRAME,
    HTTP_1_1_REQUIRED,
    PROTOCOL_ERROR,
    ConnectionFault,
    code_name,
)


class CodeTests(SynchronousTestCase):
    """Error codes by name."""

    def test_all(self) -> None:
        """Each code of RFC 9113 has a name of its own."""
        self.assertEqual([*range(HTTP_1_1_REQUIRED + 1)], sorted(CODE_NAMES))
        self.assertEqual(len(CODE_NAMES), len(set(CODE_NAMES.values())))

    def test_unknown(self) -> None:
        """What peers invent becomes no name, and so no metric label, of its own."""
        self.assertEqual({"other"}, {code_name(code) for code in (14, 2**32 - 1)})


class FaultTests(SynchronousTestCase):
    """What ends a connection."""

    def test_told(self) -> None:
        """It says what was wrong, by which rule, and whether that was a flood."""
        fault = ConnectionFault(PROTOCOL_ERROR, FRAME, "DATA on stream 0")
        self.assertIn("(h2_frame, PROTOCOL_ERROR): DATA on stream 0", explain(fault))
        self.assertEqual((FRAME, False), (fault.reason, fault.flood))
        self.assertTrue(ConnectionFault(ENHANCE_YOUR_CALM, FLOOD, "1001 resets").flood)
