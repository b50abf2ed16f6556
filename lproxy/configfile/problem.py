# -*- test-case-name: tests.configfile.test_problem -*-
"""
What is wrong with a file, where, and what would be right.

Checks raise L{Wrong}; whoever knows the key path turns it into a L{Problem}, so that one pass finds them all.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar, cast

from lproxy.errors import one_line

T = TypeVar("T", bound=Hashable)

Severity = Literal["error", "warning"]

#: a key path: table and key names, and indexes into arrays
Path = tuple[str | int, ...]

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Wrong(ValueError):
    """A value that is not accepted."""

    def __init__(self, wrong: str, right: str = "") -> None:
        super().__init__(wrong, right)
        self.wrong = wrong
        self.right = right


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding; its C{str} is the line that users read."""

    severity: Severity
    file: str
    #: None where it cannot be told
    line: int | None
    #: as users would write it, C{listen[0].address}; empty for the file as a whole
    key: str
    wrong: str
    right: str = ""

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        parts = [where, "warning" if self.severity == "warning" else "", self.key]
        says = f"{self.wrong}; {self.right}" if self.right else self.wrong
        return one_line(": ".join([part for part in parts if part] + [says]))


@dataclass(slots=True)
class Report:
    """Collects the problems of one file."""

    file: str
    lines: Mapping[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    #: values that were read so far
    _values: dict[Hashable, Hashable] = field(default_factory=dict)

    def shared(self, value: T) -> T:
        """C{value}, or what is equal to it and was read before: most of what thousands of routes say is the same."""
        return cast(T, self._values.setdefault(value, value))

    def error(self, path: Path, wrong: str, right: str = "") -> None:
        self._add("error", path, wrong, right)

    def warning(self, path: Path, wrong: str, right: str = "") -> None:
        self._add("warning", path, wrong, right)

    def failed(self) -> bool:
        return any(problem.severity == "error" for problem in self.problems)

    def has_error(self, path: Path) -> bool:
        return any(problem.severity == "error" and problem.key == spell(path) for problem in self.problems)

    def in_order(self) -> tuple[Problem, ...]:
        """All problems as they follow each other in the file, those of unknown line last."""
        if not self.problems:
            return ()
        last = max(self.lines.values(), default=0) + 1
        return tuple(sorted(self.problems, key=lambda problem: last if problem.line is None else problem.line))

    def _add(self, severity: Severity, path: Path, wrong: str, right: str) -> None:
        problem = Problem(severity, self.file, self._line(path), spell(path), wrong, right)
        if problem not in self.problems:
            self.problems.append(problem)

    def _line(self, path: Path) -> int | None:
        """The line of C{path}, or else of the table it would stand in."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def first_of(problems: Sequence[Problem]) -> str:
    """The first of C{problems}, of which there is one, and how many more there are."""
    return f"{problems[0]} (and {len(problems) - 1} more)" if len(problems) > 1 else str(problems[0])


def spell(path: Path) -> str:
    """C{path} as users write it: C{services."web.local:80".endpoints[1]}."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            key = part if BARE_KEY.fullmatch(part) else json.dumps(part, ensure_ascii=False)
            text += f".{key}" if text else key
    return text


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """A question that names the nearest of C{words}, empty where none is near."""
    near = nearest(word, words)
    return f"did you mean {show(near)}?" if near else ""


def nearest(word: str, words: Iterable[str]) -> str:
    """Which of C{words} may be meant by C{word}, empty where none is near."""
    spelled = {other.lower().replace("-", "_"): other for other in sorted(words)}
    near = difflib.get_close_matches(word[:100].lower().replace("-", "_"), spelled, n=1, cutoff=0.6)
    return spelled[near[0]] if near else ""


def any_of(words: Iterable[str]) -> str:
    """C{"a", "b" or "c"}."""
    *most, last = [json.dumps(word, ensure_ascii=False) for word in words]
    return f"{', '.join(most)} or {last}" if most else last


def show(value: object) -> str:
    """C{value} for a message: as TOML has it, short."""
    if isinstance(value, (bool, str)):
        return one_line(json.dumps(value, ensure_ascii=False), 80)
    if isinstance(value, dict):
        return "{...}" if value else "{}"
    if isinstance(value, list):
        return one_line(f"[{', '.join(map(show, value[:10]))}{', ...' if len(value) > 10 else ''}]", 80)
    if isinstance(value, int) and abs(value) >= 2**63:
        return "a number beyond 64 bits"  # str() refuses those of thousands of digits
    return one_line(str(value), 80)
