# -*- test-case-name: tests.testing.test_feed -*-
"""
Tests for L{lproxy.testing.feed}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.testing import feed_three_ways


def lines() -> Callable[[bytes], list[bytes]]:
    """A codec of lines."""
    kept = [b""]

    def feed(data: bytes) -> list[bytes]:
        *whole, kept[0] = (kept[0] + data).split(b"\n")
        return whole

    return feed


def forgetful() -> Callable[[bytes], list[bytes]]:
    """One that keeps nothing of a line that is not complete."""
    return lambda data: data.split(b"\n")[:-1]


def impatient() -> Callable[[bytes], list[bytes]]:
    """One that gives pieces as they come."""
    return lambda data: [data]


class FeedTests(SynchronousTestCase):
    """Three ways, one meaning."""

    def test_same(self) -> None:
        """A codec that is in order gives its events."""
        self.assertEqual([b"one", b"two"], feed_three_ways(lines, b"one\ntwo\n", b"three\nfour"))

    def test_pieces(self) -> None:
        """One that depends on how bytes arrive is found out."""
        error = self.assertRaises(AssertionError, feed_three_ways, forgetful, b"one\ntwo\n")
        self.assertIn("byte by byte", str(error))

    def test_trailing(self) -> None:
        """So is one whose events change by what follows."""

        def last() -> Callable[[bytes], list[bytes]]:
            feed = lines()
            return lambda data: feed(data)[-1:]

        error = self.assertRaises(AssertionError, feed_three_ways, last, b"one\n", b"two\n")
        self.assertIn("before b'two\\n'", str(error))

    def test_joined(self) -> None:
        """What may come in pieces is put together before it is compared."""

        def joined(events: list[Any]) -> list[Any]:
            return [b"".join(events)]

        self.assertEqual([b"abc"], feed_three_ways(impatient, b"abc", joined=joined))
        self.assertRaises(AssertionError, feed_three_ways, impatient, b"abc")
