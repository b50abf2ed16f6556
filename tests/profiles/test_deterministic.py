# -*- test-case-name: tests.profiles.test_deterministic -*-
"""
Tests for L{lproxy.profiles.deterministic}. That both engines agree about these patterns is held by
L{tests.profiles.test_patterns}.
"""

from __future__ import annotations

import re
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profiles.deterministic import DEPTH, MOST, bare, deterministic


class DeterministicTests(SynchronousTestCase):
    """What needs one pass."""

    def test_simple(self) -> None:
        """Characters and classes, repeated as long as what follows is another."""
        for pattern in (
            b"/",
            b"/books/.*",
            b"/books/[^/]*/pages",
            rb"/v\d+/x",
            rb"/a\.b",
            b"/a+b*/c",
            b"[a-z-]+/x",
            b"",
        ):
            self.assertTrue(deterministic(pattern), pattern)
        for pattern in (b".*/edit", b"a*a", b"a*b*a", b"a?a", b"[^/]*[a-z]", rb"\d*\w"):
            self.assertFalse(deterministic(pattern), pattern)

    def test_groups(self) -> None:
        """Alternatives that begin otherwise, and groups that may be there or not."""
        for pattern in (
            b"/(a|b)/c",
            b"/(?:books|authors)/[^/]+(/edit)?",
            rb"/books/(\d+|new)(/.*)?",
            b"(/[a-z]+)*",
            b"(/[a-z]+)+[.]?",
            b"(|a)b",
            b"((a|b)c)?d",
            b"(ab|ac)",
            b"/x(/p0|/q0)?/z",
            b"(jpg|jpeg|png)",
            b"(/a)?/b",
        ):
            self.assertTrue(deterministic(pattern), pattern)
        for pattern in (
            b"(ab|abc)",
            b"(ab|ab)",
            b"(ab|a.)",
            b"(a|.)b",
            b"(/a)?/",
            b"(a|b)*a",
            b"(a*|b)c*a",
            b"(|a)(|a)",
            b"(/[a-z]+)+/?",
        ):
            self.assertFalse(deterministic(pattern), pattern)

    def test_numbers(self) -> None:
        """So many times, or between so many and so many."""
        for pattern in (rb"\d{4}", rb"\d{4}\d", rb"\d{2,4}-", rb"\d{0,3}x", b"a{2,}b", b"(ab){1,3}c", b"a{1}"):
            self.assertTrue(deterministic(pattern), pattern)
        for pattern in (
            rb"\d{2,4}\d",
            b"a{2,}a",
            b"a{0}",
            b"a{3,2}",
            b"a{,3}",
            b"a{x}",
            b"(ab){1,3}a",
            b"a{%d}" % (MOST + 1),
        ):
            self.assertFalse(deterministic(pattern), pattern)

    def test_two_ways(self) -> None:
        """Where an engine that backtracks would try more and more ways for one text."""
        for pattern in (
            *(b"(a*)*", b"(a+)+", b"(a?)*", b"(a+b?)*", b"(a*)?", b"(a*|b*)c", b"((a?)?)?", b"(a?){3}", b"(()|a)?"),
            *(b"(a|b|ab)*c", b"(ab|a)*b", b"(a?|b?)(c?|d?)"),
        ):
            self.assertFalse(deterministic(pattern), pattern)

    def test_not_understood(self) -> None:
        """Whatever else there is in patterns, or is none."""
        for pattern in (
            *(
                b"^a",
                b"a$",
                b"a**",
                b"a*?b",
                b"a*+",
                b"a{2}?",
                b"[z-a]",
                b"[[:alpha:]]",
                rb"[\s]",
                rb"\s",
                rb"\bx",
                b"(?i)a",
            ),
            *(b"[a", b"\\", b"(", b"(a", b"a)", b"*", b"|*", b"\xc3\xa9*", b"(?P<a>b)", rb"\x41", b"[]a]", b"[^]a]"),
            b"(" * (DEPTH + 1) + b"a" + b")" * (DEPTH + 1),
        ):
            self.assertFalse(deterministic(pattern), pattern)

    def test_bare(self) -> None:
        """What says that it is all of a text says nothing by that."""
        for pattern, rest in (
            (b"^/a$", b"/a"),
            (rb"/a\$", rb"/a\$"),
            (rb"/a\\$", rb"/a\\"),
            (b"^a|b$", b"a|b"),
            (b"$", b""),
        ):
            self.assertEqual(rest, bare(pattern))

    def test_steps(self) -> None:
        """An engine that backtracks takes no more tries than there are characters: doubled texts are no other kind."""
        random, seen = Random(3), 0
        parts = [*"ab/*+?()|", "[^/]", "(a|b)", "(?:/a)", "(/b+)?", "(/[ab]*)+", "{2}", "{1,2}"]
        while seen < 200:
            pattern = "".join(random.choice(parts) for _ in range(random.randint(2, 10))).encode()
            if not deterministic(pattern):
                continue
            seen += 1
            # where there were two ways, it would take 2 ** 300 steps to see that this is none
            for text in (b"a" * 300, b"/a" * 300, b"/ab" * 200, b"ab" * 300, b"/b" * 300):
                re.compile(pattern).fullmatch(text + b"!")
