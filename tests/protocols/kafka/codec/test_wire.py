# -*- test-case-name: tests.protocols.kafka.codec.test_wire -*-
"""
Tests for L{lproxy.protocols.kafka.codec.wire}.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.header import Malformed
from lproxy.protocols.kafka.codec.wire import (
    Truncated,
    array,
    encode_count,
    encode_string,
    encode_uvarint,
    int16,
    int32,
    skip_string,
    skip_tags,
    string,
    uvarint,
)

#: two unknown fields, one of them empty, the other with a tag of two bytes
TAGS = b"\x02\x05\x00\xac\x02\x03abc"


class ReadTests(SynchronousTestCase):
    """What is read, and where it ends."""

    def each_prefix_is_truncated(self, read: Callable[[bytes], object], data: bytes) -> None:
        """However little of C{data} is there, it is said that there should be more, and how much at most."""
        read(data)
        for n in range(len(data)):
            error = self.assertRaises(Truncated, read, data[:n])
            self.assertTrue(n < error.end <= len(data), (n, error.end))

    def test_numbers(self) -> None:
        """Numbers have a sign and the great end first, at any place."""
        self.assertEqual(-2, int16(b"\0\xff\xfe", 1))
        self.assertEqual(0x01020304, int32(b"\0\x01\x02\x03\x04", 1))
        self.assertEqual(-1, int32(b"\xff\xff\xff\xff", 0))
        self.each_prefix_is_truncated(lambda data: int16(data, 0), b"\0\1")
        self.each_prefix_is_truncated(lambda data: int32(data, 0), b"\0\1\2\3")

    def test_uvarint(self) -> None:
        """Varints have up to 32 bits, and may be longer than they need to be."""
        for value, data in ((0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), (2**32 - 1, "ffffffff0f")):
            raw = bytes.fromhex(data)
            with self.subTest(value=value):
                self.assertEqual((value, len(raw) + 1), uvarint(b"\xff" + raw + b"\x01", 1))
                self.assertEqual(raw, encode_uvarint(value))
                self.each_prefix_is_truncated(lambda data: uvarint(data, 0), raw)
        self.assertEqual((5, 3), uvarint(b"\x85\x80\x00", 0))
        for data in ("ffffffff10", "8080808080", "ffffffffff01"):
            self.assertNotIsInstance(self.assertRaises(Malformed, uvarint, bytes.fromhex(data), 0), Truncated)

    def test_string(self) -> None:
        """Strings are UTF-8 with a length of either kind; null is none, and not the same as empty."""
        for compact, text, data in (
            (False, None, b"\xff\xff"),
            (False, "", b"\0\0"),
            (False, "größe", b"\0\x07gr\xc3\xb6\xc3\x9fe"),
            (True, None, b"\0"),
            (True, "", b"\1"),
            (True, "größe", b"\x08gr\xc3\xb6\xc3\x9fe"),
            (True, "x" * 200, b"\xc9\x01" + b"x" * 200),
        ):
            with self.subTest(compact=compact, text=text):
                self.assertEqual((text, len(data) + 1), string(b"\0" + data + b"\0", 1, compact))
                self.assertEqual(len(data) + 1, skip_string(b"\0" + data + b"\0", 1, compact))
                if text is not None:
                    self.assertEqual(data, encode_string(text, compact))
                self.each_prefix_is_truncated(lambda data, c=compact: string(data, 0, c), data)  # type: ignore[misc]

    def test_no_string(self) -> None:
        """A negative length but null's is malformed; other bytes than UTF-8 are where they are read."""
        for read in (string, skip_string):
            self.assertNotIsInstance(self.assertRaises(Malformed, read, b"\xff\xfe", 0, False), Truncated)
        self.assertRaises(Malformed, string, b"\x02\xff", 0, True)
        self.assertEqual(2, skip_string(b"\x02\xff", 0, True))

    def test_array(self) -> None:
        """An array has a count of either kind, which must be possible; null is malformed."""
        self.assertEqual((2, 4), array(b"\0\0\0\2abcd", 0, False, 2))
        self.assertEqual((2, 1), array(b"\3abcd", 0, True, 2))
        self.assertEqual((0, 1), array(b"\1", 0, True, 2))
        self.assertEqual(9, self.assertRaises(Truncated, array, b"\0\0\0\5abcd", 0, False, 1).end)
        self.assertEqual(5 + 2**32 - 2, self.assertRaises(Truncated, array, b"\xff\xff\xff\xff\x0f", 0, True, 1).end)
        for data, compact in ((b"\xff\xff\xff\xff", False), (b"\x80\0\0\0", False), (b"\0", True)):
            self.assertNotIsInstance(self.assertRaises(Malformed, array, data, 0, compact, 1), Truncated)
        self.assertEqual(b"\0\0\0\2", encode_count(2, False))
        self.assertEqual(b"\3", encode_count(2, True))

    def test_tags(self) -> None:
        """A tag buffer ends behind the last of its fields, whatever they are."""
        self.assertEqual(1, skip_tags(b"\0\0", 0))
        self.assertEqual(len(TAGS) + 1, skip_tags(b"\0" + TAGS + b"\0", 1))
        self.each_prefix_is_truncated(lambda data: skip_tags(data, 0), TAGS)
        # so many cannot be there: nobody begins to count them
        self.assertEqual(5 + 2 * (2**32 - 1), self.assertRaises(Truncated, skip_tags, b"\xff\xff\xff\xff\x0f", 0).end)
