# -*- test-case-name: tests.protocols.http.profile.test_edit -*-
"""
Tests for L{lproxy.protocols.http.profile.edit}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import Fields
from lproxy.protocols.http.message import Headers
from lproxy.protocols.http.profile.edit import Edit, edit


class EditTests(SynchronousTestCase):
    """Fields of a head."""

    def edited(self, fields: Fields, headers: Headers, lower: bool = False) -> Headers:
        """C{headers}, which stay what they are, as they are to be."""
        before = list(headers)
        after = Edit(fields).apply(headers, lower)
        self.assertEqual(before, headers)
        self.assertIsNot(after, headers)
        return after

    def test_nothing(self) -> None:
        """Who changes nothing has no edit."""
        for fields in (None, Fields()):
            self.assertIsNone(edit(fields))
        self.assertIsNotNone(edit(Fields(remove=("a",))))

    def test_add(self) -> None:
        """What is added comes last, beside what there is of the name."""
        headers = self.edited(Fields(add=(("X-A", "1"), ("X-A", "2"))), [(b"x-a", b"0"), (b"b", b"")])
        self.assertEqual([(b"x-a", b"0"), (b"b", b""), (b"X-A", b"1"), (b"X-A", b"2")], headers)

    def test_set(self) -> None:
        """What is set has the place of the first of its name, and no other is left; without one it comes last."""
        headers = [(b"X-a", b"1"), (b"B", b"2"), (b"x-A", b"3"), (b"X-A", b"")]
        self.assertEqual([(b"X-A", b"new"), (b"B", b"2")], self.edited(Fields(set=(("X-A", "new"),)), headers))
        self.assertEqual([*headers, (b"c", b"")], self.edited(Fields(set=(("c", ""),)), headers))
        self.assertEqual([(b"c", b"d")], self.edited(Fields(set=(("c", "d"),)), []))

    def test_remove(self) -> None:
        """All of a name go, however they are spelt; what only begins so stays."""
        headers = [(b"Cookie", b"a"), (b"COOKIE", b"b"), (b"cookie2", b"c"), (b"cookie", b"")]
        self.assertEqual([(b"cookie2", b"c")], self.edited(Fields(remove=("cOOkie",)), headers))
        self.assertEqual(headers, self.edited(Fields(remove=("other",)), headers))

    def test_order(self) -> None:
        """First what is removed, then what is set, then what is added."""
        fields = Fields(set=(("a", "set"),), add=(("A", "added"),), remove=("a", "b"))
        headers = self.edited(fields, [(b"b", b"1"), (b"a", b"2"), (b"c", b"3")])
        self.assertEqual([(b"c", b"3"), (b"a", b"set"), (b"A", b"added")], headers)

    def test_lower(self) -> None:
        """Where names are in lower case, so are those that are set and added."""
        fields = Fields(set=(("X-A", "S"),), add=(("X-B", "A"),), remove=("X-C",))
        headers = self.edited(fields, [(b"x-a", b"1"), (b"x-c", b"2")], lower=True)
        self.assertEqual([(b"x-a", b"S"), (b"x-b", b"A")], headers)

    def test_eight_bit(self) -> None:
        """What others say is theirs, byte by byte; what is set beyond ASCII is UTF-8."""
        headers = self.edited(Fields(set=(("a", "caf\u00e9"),)), [(b"B", b"\xff\xfe"), (b"a", b"\x80")])
        self.assertEqual([(b"B", b"\xff\xfe"), (b"a", b"caf\xc3\xa9")], headers)

    def test_many(self) -> None:
        """A thousand fields, of which each second goes, keep their order."""
        headers = [(b"x-%d" % (n % 2), b"%d" % n) for n in range(1_000)]
        self.assertEqual(headers[1::2], self.edited(Fields(remove=("X-0",)), headers))
