# -*- test-case-name: tests.protocols.http.test_digits -*-
"""
L{lproxy.protocols.http.digits}: random digits.
"""

from __future__ import annotations

import uuid

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.digits import POOL, Digits


class DigitsTests(SynchronousTestCase):
    """They are random, and none is given twice."""

    def test_take(self) -> None:
        """As many as are wanted, others each time, however many were taken before."""
        digits = Digits()
        taken = [digits.take(32) for _ in range(POOL)]
        self.assertEqual(POOL, len(set(taken)))
        for one in taken:
            self.assertRegex(one, rb"\A[0-9a-f]{32}\Z")

    def test_trace_ids(self) -> None:
        """Many at once."""
        digits = Digits()
        made = digits.trace_ids() + digits.trace_ids()
        self.assertEqual((POOL // 16 * 2), len(set(made)))
        for one in made:
            self.assertRegex(one, rb"\A[0-9a-f]{32}\Z")

    def test_uuid(self) -> None:
        """UUIDs as everybody makes and reads them."""
        digits = Digits()
        made = [digits.uuid().decode() for _ in range(1_000)]
        self.assertEqual(1_000, len(set(made)))
        for text in made:
            one = uuid.UUID(text)
            self.assertEqual((text, 4, uuid.RFC_4122), (str(one), one.version, one.variant))
        self.assertEqual({"8", "9", "a", "b"}, {text[19] for text in made})
