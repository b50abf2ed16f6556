# -*- test-case-name: tests.configfile.profile.test_shape -*-
"""
Shapes of tables and arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.configfile.kinds import KINDS
from lproxy.configfile.problem import Report, Wrong
from lproxy.configfile.profile.shape import NOTHING, Key, Keys, Many, Names, One, Shape, attempt


@dataclass(frozen=True)
class Pair:
    """Some value."""

    one: str
    two: int = 2


TEXT, COUNT = One(KINDS[str, ""]), One(KINDS[int, ""])


def _settle(values: dict[str, Any]) -> None:
    if values.get("two") == 13:
        raise Wrong("is unlucky")


PAIR = Keys(Pair, "a pair", (Key("first", TEXT, "the one", "one", True), Key("two", COUNT, "the other")), _settle)


class ShapeTests(SynchronousTestCase):
    def read(self, shape: Shape, value: Any, *problems: str) -> Any:
        report = Report("")
        found = attempt(shape, value, ("a",), report)
        self.assertEqual(list(problems), [str(problem) for problem in report.problems])
        return found

    def test_table(self) -> None:
        """A table becomes a value, and what is not as by default is written."""
        for table, value in (({"first": "x"}, Pair("x")), ({"first": "x", "two": 3}, Pair("x", 3))):
            self.assertEqual(value, self.read(PAIR, table))
            self.assertEqual(table, PAIR.write(value))
        self.assertIsNone(PAIR.write(None))

    def test_wrong_table(self) -> None:
        """What is wrong is named, all of it; what is missing leaves no value."""
        self.read(
            PAIR,
            {"frist": "x", "two": 0},
            'a.frist: unknown key; did you mean "first"?',
            "a.two: 0 is not more than zero; write a number such as 100",
            "a.first: is missing; the one",
        )
        self.assertIs(NOTHING, self.read(PAIR, {}, "a.first: is missing; the one"))
        self.read(PAIR, "x", "a: must be a table, not a string; write { first = ... }")
        self.read(PAIR, {"first": "x", "two": 13}, "a: is unlucky")
        self.read(
            PAIR,
            {"first": "${X}"},
            'a.first: "${X}": variables such as ${X} are not replaced; write the value, '
            "or fill it in before: envsubst < FILE",
        )

    def test_short(self) -> None:
        """Where that is plain, true is a table with nothing in it, and a word the table's main key."""
        bare = Keys(Pair, "", (PAIR.keys[1],), bare=True, fixed=(("one", "y"),))
        self.assertEqual(Pair("y"), self.read(bare, True))
        lone = Keys(Pair, "", PAIR.keys, lone="first")
        self.assertEqual(Pair("x"), self.read(lone, "x"))

    def test_array(self) -> None:
        """An array has something in it, each once; where a lone value is plain, it needs no brackets."""
        many = Many(TEXT)
        self.assertEqual(("a", "b"), self.read(many, ["a", "b"]))
        self.read(many, [], "a: is empty; leave it out")
        self.read(many, "a", 'a: must be an array, not a string; write it in brackets: ["a"]')
        self.read(many, ["a", 1], "a[1]: must be a string, not an integer; write it in double quotes")
        self.read(many, ["a", "a"], 'a[1]: "a" is given twice')
        self.assertEqual(("a",), self.read(Many(TEXT, lone=True), "a"))
        self.assertEqual(("a", "a"), self.read(Many(TEXT, repeated=True), ["a", "a"]))
        self.assertEqual(["a"], many.write(("a",)))

    def test_names(self) -> None:
        """A table of names is pairs; a name is the same in any case."""
        names = Names(TEXT, lambda name: "is bad" if name == "bad" else "")
        self.assertEqual((("x-a", "1"), ("x-b", "2")), self.read(names, {"X-A": "1", "x-b": "2"}))
        self.read(names, {"bad": "1"}, "a.bad: is bad")
        self.read(names, {"a": "1", "A": "2"}, "a.A: is given twice; names are the same in any case")
        self.read(names, ["a"], 'a: must be a table, not an array; write { name = "value" }')
        self.assertEqual({"x": "1"}, names.write((("x", "1"),)))
