# -*- test-case-name: tests.profiles.test_field -*-
"""
Reading documents by their fields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.configfile.problem import Wrong
from lproxy.profiles.field import Field, Sheet, Skip
from lproxy.profiles.tree import documents


def field(text: str) -> Field:
    (node,) = documents(text)
    return Field(Sheet("f"), node)


def picky(text: str) -> str:
    if text == "bad":
        raise Wrong("is bad", "write good")
    return text.upper()


class FieldTests(SynchronousTestCase):
    def says(self, text: str, read: Callable[[Field], Any], *lines: str) -> None:
        """C{read} does without, and says why."""
        document = field(text)
        self.assertRaises(Skip, read, document.need("a"))
        self.assertEqual(list(lines), [str(problem) for problem in document.sheet.problems])

    def test_kinds(self) -> None:
        """A value is what it is asked to be."""
        document = field("a: x\nb: 5\nc: yes\nd: '5'\ne: [1, 2]\nf: 500m\ng: ~\nh:\n")
        self.assertEqual(
            ("x", 5, True, "5", [1, 2], "500m"),
            (
                document.need("a").text(),
                document.need("b").whole(0, 9),
                document.need("c").boolean(),
                document.need("d").text(),
                document.need("e").each(lambda one: one.whole(0, 9)),
                document.need("f").word(),
            ),
        )
        for name in "ghi":
            self.assertIsNone(document.get(name))
        self.assertEqual([True, False], [document.has("g"), document.has("i")])
        self.assertEqual([True, False], [document.says("a", "x"), document.says("a", "y")])
        self.assertEqual("X", document.need("a").made(picky))
        self.assertEqual("x", document.need("a").one_of("x", "y"))

    def test_not_a_text(self) -> None:
        """What YAML takes for something else wants quotes."""
        for value, kind in (("5", "a number"), ("1e3", "a number"), ("true", "a boolean"), ("no", "a boolean")):
            says = f'f:1: a: must be a text, and {value} is {kind}; write it in quotes: "{value}"'
            self.says(f"a: {value}", Field.text, says)
        self.says("a: []", Field.text, "f:1: a: must be a text, and is a list")
        self.says("a: {}", Field.word, "f:1: a: must be a text or number, and is a mapping")

    def test_wrong(self) -> None:
        """What a value is not is said with line and path."""
        self.says("a: maybe", Field.boolean, 'f:1: a: must be true or false, and is "maybe"')
        self.says("a: 'true'", Field.boolean, 'f:1: a: must be true or false, and is "true"')
        self.says("a: {}", Field.boolean, "f:1: a: must be true or false, and is a mapping")
        for value in ("1.5", "'1'", "[]", "0x1", "99999999999999999999"):
            document = field(f"a: {value}")
            self.assertRaises(Skip, document.need("a").whole, 0, 5)
            self.assertIn("must be a whole number", str(document.sheet.problems[0]))
        self.says("a: -1", lambda one: one.whole(0, 5), "f:1: a: -1 is negative")
        self.says("a: 0", lambda one: one.whole(1, 5), "f:1: a: 0 is less than 1")
        self.says("a: 6", lambda one: one.whole(0, 5), "f:1: a: 6 is more than 5")
        self.says("a: tow", lambda one: one.one_of("one", "two"), 'f:1: a: "tow" is unknown; did you mean "two"?')
        self.says("a: q", lambda one: one.one_of("one", "two"), 'f:1: a: "q" is unknown; it is one of one, two')
        self.says("a: bad", lambda one: one.made(picky), "f:1: a: is bad; write good")
        self.says(
            "a: 5",
            lambda one: list(one.items()),
            "f:1: a: must be a list, and is a number; write each element below it, after -",
        )
        self.says("a: 5", lambda one: one.known("x"), "f:1: a: must have keys (x...), and is a number")

    def test_unknown(self) -> None:
        """Unknown fields are errors where they stand; what is missing is one of what it is missing in."""
        document = field("a:\n  frist: 1\n")
        inner = document.need("a").known("first", "second")
        self.assertRaises(Skip, inner.need, "first", "write first: 1")
        self.assertEqual(
            ['f:2: a.frist: unknown field; did you mean "first"?', "f:1: a.first: is missing; write first: 1"],
            [str(problem) for problem in document.sheet.problems],
        )
        self.assertTrue(document.sheet.failed)

    def test_each(self) -> None:
        """Of several, those that are wrong are left out, and all of them said; a warning is no failure."""
        document = field("a:\n- 1\n- x\n- 3\n- y\n")
        self.assertEqual([1, 3], document.need("a").each(lambda one: one.whole(0, 9)))
        self.assertEqual(
            ['f:3: a[1]: must be a whole number, and is "x"', 'f:5: a[3]: must be a whole number, and is "y"'],
            [str(problem) for problem in document.sheet.problems],
        )
        other = field("a: 1")
        other.need("a").warn("is odd")
        self.assertFalse(other.sheet.failed)
        self.assertIsNone(other.need("a").attempt(Field.text))
