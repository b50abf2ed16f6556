# -*- test-case-name: tests.profiles.test_field -*-
"""
Read a document by the names that its fields have, with file, line and key path of whatever is wrong.

Whoever reads asks a field for what it is to be: a text, a number, a list. What it is not is reported, and L{Skip} is
raised for whoever reads the next one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from lproxy.configfile.problem import Path, Problem, Wrong, did_you_mean, show, spell
from lproxy.profiles.tree import Mapping, Node, Scalar, Sequence

T = TypeVar("T")

#: nothing, wherever something may be left out
_NULL: Final = frozenset(("", "~", "null", "Null", "NULL"))
#: as Kubernetes' own reader takes them
_BOOLEANS: Final = {
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")
#: what YAML takes for a number where it stands without quotes
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|0x[0-9A-Fa-f]+|0o[0-7]+")


class Skip(Exception):
    """A field is not as it is to be, and that is reported; what it is part of cannot be made of it."""


class Sheet:
    """
    What is found in one file.

    @ivar file: its name, for people
    @ivar problems: what is wrong with it
    """

    __slots__ = ("file", "problems")

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    @property
    def failed(self) -> bool:
        """Whether there is any error."""
        return any(problem.severity == "error" for problem in self.problems)

    def error(self, line: int | None, path: Path, wrong: str, right: str = "") -> None:
        """Something keeps the file from being used."""
        self.problems.append(Problem("error", self.file, line, spell(path), wrong, right))

    def warn(self, line: int | None, path: Path, wrong: str, right: str = "") -> None:
        """Something is not as its author may think."""
        self.problems.append(Problem("warning", self.file, line, spell(path), wrong, right))


class Field:
    """One node, where it stands."""

    __slots__ = ("key", "node", "parent", "sheet")

    def __init__(self, sheet: Sheet, node: Node, parent: Field | None = None, key: str | int = "") -> None:
        self.sheet = sheet
        self.node = node
        self.parent = parent
        self.key = key

    @property
    def path(self) -> Path:
        """The way to it from the document's top."""
        return () if self.parent is None else (*self.parent.path, self.key)

    @property
    def line(self) -> int:
        """Where it, or its key, stands."""
        if self.parent is not None and isinstance(self.parent.node, Mapping) and isinstance(self.key, str):
            return self.parent.node.lines[self.key]
        return self.node.line

    def error(self, wrong: str, right: str = "") -> None:
        """It is not as it is to be."""
        self.sheet.error(self.line, self.path, wrong, right)

    def warn(self, wrong: str, right: str = "") -> None:
        """It is not as its author may think."""
        self.sheet.warn(self.line, self.path, wrong, right)

    def refuse(self, wrong: str, right: str = "") -> Skip:
        """As L{error}; what is returned is to be raised."""
        self.error(wrong, right)
        return Skip()

    # what it has

    def known(self, *names: str, free: bool = False) -> Field:
        """
        It itself, a mapping, of which no other keys are known than C{names}.

        @param free: whether there may be any others
        @raise Skip: it is no mapping
        """
        if not isinstance(self.node, Mapping):
            raise self.refuse(f"must have keys ({', '.join(names[:4])}...), and is {kind(self.node)}")
        if not free:
            for name in self.node.items.keys() - set(names):
                known = f"fields here are {', '.join(names)}"
                self._at(name).error("unknown field", did_you_mean(name, names) or known)
        return self

    def get(self, name: str) -> Field | None:
        """Its field of that name; C{None} where it has none, or nothing in it."""
        assert isinstance(self.node, Mapping)
        node = self.node.items.get(name)
        if node is None or (isinstance(node, Scalar) and node.plain and node.text in _NULL):
            return None
        return Field(self.sheet, node, self, name)

    def has(self, name: str) -> bool:
        """Whether it has a field of that name, be there nothing in it."""
        return isinstance(self.node, Mapping) and name in self.node.items

    def says(self, name: str, text: str) -> bool:
        """Whether it has a field of that name with that text."""
        node = self.node.items.get(name) if isinstance(self.node, Mapping) else None
        return isinstance(node, Scalar) and node.text == text

    def need(self, name: str, example: str = "") -> Field:
        """
        Its field of that name.

        @raise Skip: it has none
        """
        found = self.get(name)
        if found is None:
            self.sheet.error(self.line, (*self.path, name), "is missing", example)
            raise Skip
        return found

    def _at(self, name: str) -> Field:
        assert isinstance(self.node, Mapping)
        return Field(self.sheet, self.node.items[name], self, name)

    def items(self) -> Iterator[Field]:
        """
        The elements of what is a list.

        @raise Skip: it is none
        """
        node = self.node
        if not isinstance(node, Sequence):
            raise self.refuse(f"must be a list, and is {kind(node)}", "write each element below it, after -")
        for index, one in enumerate(node.items):
            yield Field(self.sheet, one, self, index)

    def each(self, read: Callable[[Field], T]) -> list[T]:
        """What C{read} makes of each element of a list; those that are wrong are reported and left out."""
        found: list[T] = []
        for one in self.items():
            try:
                found.append(read(one))
            except Skip:
                continue
        return found

    def attempt(self, read: Callable[[Field], T]) -> T | None:
        """What C{read} makes of it; C{None} where that is reported."""
        try:
            return read(self)
        except Skip:
            return None

    # what it is

    def text(self) -> str:
        """
        A text.

        @raise Skip: it is something else, or YAML takes it for that
        """
        node = self.node
        if not isinstance(node, Scalar):
            raise self.refuse(f"must be a text, and is {kind(node)}")
        if node.plain and (node.text in _BOOLEANS or _NUMBER.fullmatch(node.text)):
            raise self.refuse(f"must be a text, and {node.text} is {kind(node)}", f'write it in quotes: "{node.text}"')
        return node.text

    def word(self) -> str:
        """A text, or what stands in a number's place, as it is written: C{500m}, C{10}."""
        node = self.node
        if not isinstance(node, Scalar):
            raise self.refuse(f"must be a text or number, and is {kind(node)}")
        return node.text

    def boolean(self) -> bool:
        """True or false; raises L{Skip} where it is neither."""
        node = self.node
        found = _BOOLEANS.get(node.text) if isinstance(node, Scalar) and node.plain else None
        if found is None:
            raise self.refuse(f"must be true or false, and is {self.shown()}")
        return found

    def whole(self, first: int, last: int) -> int:
        """A whole number, C{first} to C{last}; raises L{Skip} where it is none."""
        node = self.node
        if not isinstance(node, Scalar) or not node.plain or not _WHOLE.fullmatch(node.text):
            raise self.refuse(f"must be a whole number, and is {self.shown()}")
        found = int(node.text)
        if found < first:
            raise self.refuse(f"{found} is negative" if not first else f"{found} is less than {first}")
        if found > last:
            raise self.refuse(f"{found} is more than {last}")
        return found

    def one_of(self, *words: str) -> str:
        """One of C{words}; raises L{Skip} where it is none."""
        found = self.text()
        if found not in words:
            right = did_you_mean(found, words) or f"it is one of {', '.join(words)}"
            raise self.refuse(f"{show(found)} is unknown", right)
        return found

    def made(self, make: Callable[[str], T]) -> T:
        """What C{make}, which raises L{Wrong}, makes of its text; raises L{Skip} where it does."""
        return self.judged(make, self.text())

    def measured(self, make: Callable[[str], T]) -> T:
        """The same of what may look like a number: a duration, a quantity."""
        return self.judged(make, self.word())

    def judged(self, make: Callable[[str], T], text: str) -> T:
        """The same, of C{text}, which it has."""
        try:
            return make(text)
        except Wrong as error:
            raise self.refuse(error.wrong, error.right) from error

    def shown(self) -> str:
        """What it is, short."""
        return show(self.node.text) if isinstance(self.node, Scalar) else kind(self.node)


def kind(node: Node) -> str:
    """What C{node} is, in words."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    if not node.plain:
        return "a text"
    if node.text in _BOOLEANS:
        return "a boolean"
    if node.text in _NULL:
        return "nothing"
    return "a number" if _NUMBER.fullmatch(node.text) else "a text"
