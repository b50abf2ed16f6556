# -*- test-case-name: tests.terminal.test_text -*-
"""
L{lproxy.terminal.text}: what a terminal gets.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.terminal.text import clean, cut, fit, width


class TextTests(SynchronousTestCase):
    """Words from elsewhere."""

    def test_clean(self) -> None:
        """Nothing is left that a terminal would obey: escapes, of one byte too, ends of lines, changes of direction."""
        for hostile in ("\x1b[2J", "\x9b2J", "\r", "\n", "\x07", "\x7f", "\u202e", "\x00"):
            self.assertEqual(f"a?{hostile[1:]}b", clean(f"a{hostile}b"))

    def test_width(self) -> None:
        """Columns, not characters."""
        self.assertEqual([3, 4, 1, 0], [width(text) for text in ("abc", "日本", "e\u0301", "")])

    def test_cut(self) -> None:
        """No wider than there is room for, with a mark where something is gone."""
        self.assertEqual("abcdef", cut("abcdef", 6))
        self.assertEqual("abc~", cut("abcdef", 4))
        for text in ("abcdef", "日本語版", "a日b本", "x" * 10_000):
            for columns in range(6):
                self.assertLessEqual(width(cut(text, columns)), columns, (text, columns))

    def test_fit(self) -> None:
        """A name has the width of its column, whatever it is written in."""
        self.assertEqual(
            {9}, {width(fit(text, 9)) for text in ("", "abc", "日本語", "日本語日本語", "x" * 9, "x" * 500)}
        )
