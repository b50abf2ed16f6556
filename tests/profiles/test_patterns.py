# -*- test-case-name: tests.profiles.test_patterns -*-
"""
Regular expressions that take linear time, whatever they are.
"""

from __future__ import annotations

import re
from random import Random

import re2
from twisted.trial.unittest import SynchronousTestCase

from lproxy.profiles.deterministic import bare, deterministic
from lproxy.profiles.patterns import MAX_LENGTH, BadPattern, matches, options, refuse


class PatternTests(SynchronousTestCase):
    def refused(self, pattern: str, words: str) -> None:
        error = self.assertRaises(BadPattern, refuse, pattern)
        self.assertIn(words, str(error))

    def test_whole(self) -> None:
        """A pattern has to match all of the text, whichever engine does it; line feeds are no end of it."""
        for pattern, good, bad in (
            ("/books", b"/books", b"/books/1"),
            ("/books/[^/]*", b"/books/1", b"/books/1/2"),
            ("/a|/b", b"/b", b"/bc"),
            (r"/v\d+/.*\.json", b"/v12/x.json.json", b"/v/x.json"),
            ("/x$", b"/x", b"/x\n"),
            ("/[a-c-]+", b"/a-c", b"/d"),
            ("/(?i)books", b"/BOOKS", b"/book"),
        ):
            self.assertTrue(matches(pattern)(good), pattern)
            self.assertFalse(matches(pattern)(bad), pattern)

    def test_bytes(self) -> None:
        """What clients send need not be UTF-8; what a pattern has beyond ASCII is compared as UTF-8."""
        self.assertTrue(matches("/.*x")(b"/\xff\xfex"))
        self.assertTrue(matches("/caf\u00e9|/tea")("/caf\u00e9".encode()))

    def test_why_not(self) -> None:
        """What cannot be is refused, in the words of whoever wrote it."""
        self.refused("a(?=b)", "look-around")
        self.refused("a(?!b)", "look-around")
        self.refused("(?<=a)b", "look-around")
        self.refused("(?<!a)b", "look-around")
        self.refused(r"(a)\1", "back-references")
        self.refused("(?P<x>a)(?P=x)", "back-references")
        self.refused("(", "missing )")
        self.refused("[z-a]", "z-a")
        self.refused("a{2000}", "more than 1000")
        self.refused(r"\pL{900}", "too large")
        self.refused("[a-z]{900}" * 6, "too large: a program of")
        self.refused("a" * (MAX_LENGTH + 1), f"longer than {MAX_LENGTH}")
        self.refused("", "is empty")

    def test_linear(self) -> None:
        """Those on which engines that backtrack take years take no time: this test would not end."""
        for pattern in ("(a+)+b", "(a|a)*b", "((a*)*)*b", ".*.*.*.*.*.*=", "a*a*a*a*a*a*a*b", "(x+x+)+y"):
            self.assertFalse(matches(pattern)(b"a" * 20_000), pattern)

    def test_same(self) -> None:
        """Both engines agree about what Python's gets."""
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        texts = [
            b"",
            b"/",
            b"/a",
            b"/ab",
            b"/a/b",
            b"/a.b",
            b"/\n",
            b"/a\n",
            b"/0",
            b"/a-",
            b"/\xff",
            b"//",
            b"a+",
            b"a",
        ]
        for pattern in (
            b"/.*",
            b"/[^/]*",
            b"/[a-c]*",
            rb"/\w+",
            rb"/\d*",
            rb"/a\.b",
            b"/[a-]*",
            b"a[+]",
            rb"a\+",
            b"/[.]*",
        ):
            for text in texts:
                mine, other = re.compile(pattern).fullmatch(text), re2.compile(pattern, options).fullmatch(text)
                self.assertEqual(mine is None, other is None, (pattern, text))

    def test_same_at_random(self) -> None:
        """So they do of whatever anybody could write."""
        random = Random(2)
        parts = [
            *"ab/.*+?()|1-x$^",
            *(
                "[ab]",
                "[^/]",
                "[a-c]",
                "[-a]",
                "[a-]",
                "[^a-]",
                "[.]",
                "[\\d-]",
                "[+?]",
                "\\d",
                "\\w",
                "\\.",
                "\\*",
                "\\$",
            ),
            *("(a|b)", "(?:/a)", "(/\\d+)?", "(/a|/b|ab)", "(ab|aab)*", "{2}", "{1,2}", "{0,2}", "{2,}"),
        ]
        seen = 0
        while seen < 1000:
            pattern = "".join(random.choice(parts) for _ in range(random.randint(1, 8))).encode()
            if not pattern or not deterministic(bare(pattern)):
                continue
            seen += 1
            mine, other = re.compile(bare(pattern)), re2.compile(pattern, options(1 << 20))
            for _ in range(10):
                text = bytes(random.choices(b"ab/1.-x\nc*$+", k=random.randint(0, 7)))
                self.assertEqual(mine.fullmatch(text) is None, other.fullmatch(text) is None, (pattern, text))
