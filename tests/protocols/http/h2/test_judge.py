# -*- test-case-name: tests.protocols.http.h2.test_judge -*-
"""
Tests for L{lproxy.protocols.http.h2.judge}. Which fields are refused is told in L{tests.protocols.http.h2.test_fields}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2.faults import FIELD, PROTOCOL_ERROR, StreamFault
from lproxy.protocols.http.h2.judge import AUTHORITY, COOKIE, LONG, METHOD, PATH, judge, judged, names, shown
from lproxy.protocols.http.message import FIELD_VALUE, LENGTH, MEMO, ORDINARY, TE


class JudgeTests(SynchronousTestCase):
    """One field at a time."""

    def test_kinds(self) -> None:
        """What is to be done about it, the first time and afterwards."""
        for _ in range(2):
            for field, kind in (
                ((b"a", b"b"), ORDINARY),
                ((b"te", b"Trailers"), TE),
                ((b"content-length", b"3"), LENGTH),
                ((b"cookie", b"a=b"), COOKIE),
                ((b":method", b"GET"), METHOD),
                ((b":path", b"/a?b"), PATH),
                ((b":authority", b"a:80"), AUTHORITY),
            ):
                self.assertEqual(kind, judge(field))

    @given(st.binary(max_size=8))
    def test_values(self, value: bytes) -> None:
        """A value is what the shared validator says, without blanks around."""
        good = FIELD_VALUE.fullmatch(value) is not None and value == value.strip(b" \t")
        for _ in range(2):
            try:
                self.assertEqual((ORDINARY, True), (judge((b"x", value)), good))
            except StreamFault as fault:
                self.assertEqual((PROTOCOL_ERROR, FIELD, False), (fault.code, fault.reason, good))

    def test_bounded(self) -> None:
        """What is remembered is bounded in number, and each of it in size."""
        for number in range(2 * MEMO):
            for field in ((b"a%d" % number, b"b" * 300), (b"c", b"%d" % number), (b"d" * 300, b"")):
                self.assertEqual(ORDINARY, judge(field))
            self.assertLessEqual(max(len(judged), len(names)), MEMO)
        self.assertLess(max(len(name) + len(value) for name, value in judged), 2 * LONG)
        self.assertLess(max(map(len, names)), LONG)

    def test_shown(self) -> None:
        """A field is shown in part, and never as it is."""
        self.assertEqual("b'a': b'b\\r\\n'", shown((b"a", b"b\r\n")))
        self.assertLess(len(shown((b"n" * 1000, b"v" * 1000))), 140)
