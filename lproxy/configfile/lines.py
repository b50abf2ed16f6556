# -*- test-case-name: tests.configfile.test_lines -*-
"""
The line number of each key.

C{tomllib} does not say. This reads text that C{tomllib} has accepted, so it tells tokens apart and checks
nothing; at a token that it does not understand it stops, and what follows has no line number.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lproxy.configfile.problem import Path

BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
SPACE = re.compile(r"[ \t]*")
KEY = re.compile(r'[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|' r"'[^'\n]*'")
#: multi-line strings first: their opening is also an empty string; up to two quotes may stand before the closing
STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")|' r"'''.*?'{3,5}(?!')|" r'"(?:[^"\\\n]|\\.)*"|' r"'[^'\n]*'", re.DOTALL
)
#: numbers, booleans, dates: dates may have a blank inside, which is harmless here
BARE = re.compile(r"[^,\]}#\n]+")


def locate(text: str) -> dict[Path, int]:
    """The line, from 1, of every table, key and array element in C{text} that can be told."""
    return scan(text).lines


class Lines(Mapping[Path, int]):
    """What L{locate} says of a text, once somebody asks: most files have nothing wrong with them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: dict[Path, int] | None = None

    def _lines(self) -> dict[Path, int]:
        found = self._found
        if found is None:
            found = self._found = locate(self._text)
        return found

    def __getitem__(self, path: Path) -> int:
        return self._lines()[path]

    def __iter__(self) -> Iterator[Path]:
        return iter(self._lines())

    def __len__(self) -> int:
        return len(self._lines())


def scan(text: str) -> Scanner:
    """What can be told of C{text}, up to a token that is not understood."""
    scanner = Scanner(text)
    try:
        scanner.document()
    except (ValueError, RecursionError):
        pass  # what was found so far is right
    return scanner


class Lost(ValueError):
    """This scanner and C{tomllib} see the text differently."""


@dataclass(slots=True)
class Scanner:
    text: str
    lines: dict[Path, int] = field(default_factory=dict)
    at: int = 0
    #: how far line numbers have been counted, and that line
    counted: tuple[int, int] = (0, 1)
    #: how many elements each array of tables has so far
    arrays: dict[Path, int] = field(default_factory=dict)
    #: what was declared or given a value so far
    given: dict[Path, int] = field(default_factory=dict)
    #: what was so a second time, with the line of the first and its own
    repeated: list[tuple[Path, int, int]] = field(default_factory=list)

    def document(self) -> None:
        table: Path = ()
        self.take(BLANK)
        while self.at < len(self.text):
            line = self.line()
            if self.skip("[["):
                table = self.resolve(self.key())
                self.given.setdefault(table, line)
                self.arrays[table] = self.arrays.get(table, -1) + 1
                self.note(table, line)
                table = (*table, self.arrays[table])
                self.expect("]]")
                self.note(table, line)
            elif self.skip("["):
                table = self.resolve(self.key())
                self.give(table, line)
                self.expect("]")
                self.note(table, line)
            else:
                self.assignment(table)
            self.take(BLANK)

    def assignment(self, table: Path) -> None:
        line = self.line()
        path = (*table, *self.key())
        self.give(path, line)
        self.expect("=")
        for length in range(len(table) + 1, len(path) + 1):
            self.note(path[:length], line)
        self.take(SPACE)
        self.value(path)

    def value(self, path: Path) -> None:
        if self.skip("["):
            self.take(BLANK)
            index = 0
            while not self.skip("]"):
                self.note((*path, index), self.line())
                self.value((*path, index))
                index += 1
                self.separator("]")
        elif self.skip("{"):
            self.take(BLANK)
            while not self.skip("}"):
                self.assignment(path)
                self.separator("}")
        elif not self.take(STRING) and not self.take(BARE):
            raise Lost

    def separator(self, closing: str) -> None:
        self.take(BLANK)
        if not self.skip(",") and not self.text.startswith(closing, self.at):
            raise Lost
        self.take(BLANK)

    def key(self) -> tuple[str, ...]:
        """A dotted key."""
        parts = []
        while True:
            self.take(SPACE)
            part = self.take(KEY)
            if not part:
                raise Lost
            if part[0] in "\"'":
                part = tomllib.loads(f"key = {part}")["key"]
            parts.append(part)
            self.take(SPACE)
            if not self.skip("."):
                return tuple(parts)

    def resolve(self, key: tuple[str, ...]) -> Path:
        """The path of a table's header: a name of an array of tables on the way means its latest element."""
        path: Path = ()
        for position, part in enumerate(key):
            path = (*path, part)
            if position < len(key) - 1 and path in self.arrays:
                path = (*path, self.arrays[path])
        return path

    def note(self, path: Path, line: int) -> None:
        # the first mention is the one to show: [a.b] before [a]; with it come the tables that it stands in
        while path and path not in self.lines:
            self.lines[path] = line
            path = path[:-1]

    def give(self, path: Path, line: int) -> None:
        if path in self.given:
            self.repeated.append((path, self.given[path], line))
        else:
            self.given[path] = line

    def line(self) -> int:
        where, line = self.counted
        line += self.text.count("\n", where, self.at)
        self.counted = (self.at, line)
        return line

    def take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match.group()

    def skip(self, token: str) -> bool:
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def expect(self, token: str) -> None:
        self.take(SPACE)
        if not self.skip(token):
            raise Lost
