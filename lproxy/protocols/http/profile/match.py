# -*- test-case-name: tests.protocols.http.profile.test_match -*-
"""
Which of a profile's routes has a request: the first that fits, in their order.

Not all of them are asked. From each condition is known which methods it needs, and which paths, one of which at least:
so a look-up by the method, and one by the path's first segment, leave the routes that may have the request. Where those
are few, their paths are tried one by one. Else a few more look-ups by the path tell, and all regular expressions for
paths are tried at once, in one pass over the path, however many there are (RE2's sets). What such a route says besides
is then tried, route by route; most say no more.

Sets of routes are integers, a bit for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple

from lproxy.profile import All, AnyOf, Condition, Method, Not, Path, Statuses
from lproxy.profiles.patterns import Matches, matches
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.profile.conditions import Test, below, ready, spelt
from lproxy.protocols.http.profile.expressions import Expressions
from lproxy.protocols.http.profile.seen import Seen, path_of
from lproxy.protocols.http.profile.segments import known_by

#: where no route has the request
NONE: Final = -1
#: so few routes are tried one by one
FEW: Final = 3


class Needs(NamedTuple):
    """
    What a condition cannot do without.

    @ivar methods: one of these; C{None}: any
    @ivar paths: that the path is one of these; C{None}: any
    @ivar all: whether that is all that it says
    """

    methods: frozenset[str] | None
    paths: frozenset[Path] | None
    all: bool


NOTHING: Final = Needs(None, None, True)
SOMETHING: Final = Needs(None, None, False)
NEVER: Final = Needs(frozenset(), None, True)


def needs(condition: Condition) -> Needs:
    """Of C{condition}."""
    if isinstance(condition, Method):
        return Needs(frozenset((condition.name,)), None, True)
    if isinstance(condition, Path):
        return Needs(None, frozenset((condition,)), True)
    if isinstance(condition, All):
        return _both([needs(one) for one in condition.of])
    if isinstance(condition, AnyOf):
        return _either([needs(one) for one in condition.of])
    return NEVER if isinstance(condition, Statuses) else SOMETHING


def _both(parts: list[Needs]) -> Needs:
    methods: frozenset[str] | None = None
    paths: frozenset[Path] | None = None
    whole = True
    for part in parts:
        whole = whole and part.all
        if part.methods is not None:
            methods = part.methods if methods is None else methods & part.methods
        if part.paths is not None:
            # of two demands on the path one is looked up, the other is left to be tried
            whole = whole and paths is None
            if paths is None or len(part.paths) < len(paths):
                paths = part.paths
    return Needs(methods, paths, whole)


def _either(parts: list[Needs]) -> Needs:
    if not parts:
        return NEVER
    methods: frozenset[str] | None = frozenset()
    paths: frozenset[Path] | None = frozenset()
    for part in parts:
        methods = None if methods is None or part.methods is None else methods | part.methods
        paths = None if paths is None or part.paths is None else paths | part.paths
    # (GET /a) or (PUT /b) is not (GET or PUT) and (/a or /b)
    alike = len({part.methods for part in parts}) == 1 or len({part.paths for part in parts}) == 1
    return Needs(methods, paths, alike and all(part.all for part in parts))


class Matcher:
    """
    Of one profile's routes.

    @ivar _tests: what a route says besides what is looked up, by its number; C{None}: nothing
    @ivar _by_method: those that a method may have; C{_any_method}: the same of all others
    @ivar _begins: those that may have a path with a first segment; C{_anywhere}: the same of all others
    @ivar _paths: what fits a route's paths, by its number; C{None}: any
    @ivar _mixed: those that ask for expressions beside what is in C{_paths}
    @ivar _any_path: those that do not look at the path, or in another way than those that follow
    @ivar _at: those at a path; C{_below}: by the beginning of one, C{_depth}: the most segments that any of these has
    @ivar _along: those along an expression, by its number; C{_with_expressions}: all that ask for any
    """

    __slots__ = (
        "_along",
        "_any_method",
        "_any_path",
        "_anywhere",
        "_at",
        "_begins",
        "_below",
        "_by_method",
        "_depth",
        "_expressions",
        "_mixed",
        "_paths",
        "_tests",
        "_with_expressions",
    )

    def __init__(self, conditions: Sequence[Condition]) -> None:
        """
        @raise BadPattern: a regular expression is none
        """
        self._tests: list[Test | None] = []
        self._by_method: dict[bytes, int] = {}
        self._any_method = 0
        self._begins: dict[bytes, int] = {}
        self._anywhere = 0
        self._paths: list[Matches | None] = []
        self._mixed = 0
        self._any_path = 0
        self._at: dict[bytes, int] = {}
        self._below: dict[bytes, int] = {}
        self._depth = 0
        self._along: list[int] = []
        self._with_expressions = 0
        numbers: dict[str, int] = {}
        for condition in conditions:
            for pattern in expressions(condition):
                numbers.setdefault(pattern, len(numbers))
        self._expressions = Expressions(list(numbers))
        self._along = [0] * len(numbers)
        needed = [needs(condition) for condition in conditions]
        segments = [segments_of(need) for need in needed]
        self._begins = {segment: 0 for one in segments if one is not None for segment in one}
        names = {name for one in needed if one.methods is not None for name in one.methods}
        self._by_method = {name.encode(): 0 for name in names}
        for number, (condition, need) in enumerate(zip(conditions, needed, strict=True)):
            self._tests.append(None if need.all else ready(condition, numbers))
            self._enter(need, 1 << number, numbers)
            if any(True for _ in expressions(condition)):
                self._with_expressions |= 1 << number
        for number, (need, found) in enumerate(zip(needed, segments, strict=True)):
            self._enter_first(need, found, number)
        for segment in self._begins:
            self._begins[segment] |= self._anywhere

    def _enter_first(self, need: Needs, segments: set[bytes] | None, number: int) -> None:
        bit = 1 << number
        if segments is None:
            self._anywhere |= bit
        else:
            for segment in segments:
                self._begins[segment] |= bit
        self._paths.append(None if need.paths is None else paths_match(need.paths))
        if not need.all:
            self._mixed |= self._with_expressions & bit

    def _enter(self, need: Needs, bit: int, numbers: dict[str, int]) -> None:
        if need.methods is None:
            self._any_method |= bit
        for name in self._by_method:
            if need.methods is None or name.decode() in need.methods:
                self._by_method[name] |= bit
        if need.paths is None:
            self._any_path |= bit
            return
        for path in need.paths:
            if path.kind == "regex":
                self._along[numbers[path.value]] |= bit
            elif path.kind == "exact":
                at = spelt(path.value)
                self._at[at] = self._at.get(at, 0) | bit
            else:
                begins = below(path.value)
                self._below[begins] = self._below.get(begins, 0) | bit
                self._depth = max(self._depth, begins.count(b"/") + 1)

    def first(self, request: Request) -> int:
        """The number of the route that has C{request}, or L{NONE}."""
        may = self._by_method.get(request.method, self._any_method)
        if not may:
            return NONE
        path = request.target
        if b"?" in path or b"%" in path or b"/." in path:
            path = path_of(path)
        end = path.find(b"/", 1)
        may &= self._begins.get(path[:end] if end > 0 else path, self._anywhere)
        if not may & self._mixed:
            if not may:
                return NONE
            # one, as for most, is seen faster than counted
            if not may & (may - 1) or may.bit_count() <= FEW:
                return self._first_of(may, request, path)
        fits = self._any_path | self._at.get(path, 0)
        if self._depth:
            fits |= self._along_prefixes(path)
        matched: list[int] = []
        if may & self._with_expressions:
            matched = self._expressions.all_that_match(path)
            for number in matched:
                if number < len(self._along):
                    fits |= self._along[number]
        may &= fits
        seen: Seen | None = None
        while may:
            lowest = may & -may
            number = lowest.bit_length() - 1
            test = self._tests[number]
            if test is None:
                return number
            if seen is None:
                seen = Seen(request, path, matched)
            if test.fits(seen):
                return number
            may ^= lowest
        return NONE

    def _first_of(self, may: int, request: Request, path: bytes) -> int:
        """The first of a few."""
        while may:
            lowest = may & -may
            number = lowest.bit_length() - 1
            fits = self._paths[number]
            if fits is None or fits(path):
                test = self._tests[number]
                if test is None or test.fits(Seen(request, path, [])):
                    return number
            may ^= lowest
        return NONE

    def _along_prefixes(self, path: bytes) -> int:
        """Those of a beginning of C{path}, which is a slash at least, and of whole segments."""
        below = self._below
        fits = below.get(path, 0)
        end = -1
        for _ in range(self._depth):
            end = path.find(b"/", end + 1)
            if end < 0:
                break
            fits |= below.get(path[:end], 0)
        return fits


def segments_of(need: Needs) -> set[bytes] | None:
    """The first segments that paths may have; C{None}: any."""
    if need.paths is None:
        return None
    found = [known_by(path) for path in need.paths]
    known = {segment for segment in found if segment is not None}
    return known if None not in found else None


def paths_match(paths: Iterable[Path]) -> Matches:
    """What is true of the paths that one of C{paths} fits."""
    found = [_path_matches(path) for path in paths]
    return found[0] if len(found) == 1 else partial(_one_of, found)


def _one_of(found: list[Matches], path: bytes) -> bool:
    return any(fits(path) for fits in found)


def _path_matches(path: Path) -> Matches:
    if path.kind == "regex":
        return matches(path.value)
    if path.kind == "exact":
        return spelt(path.value).__eq__
    return re.compile(re.escape(below(path.value)) + rb"(?:/.*)?", re.DOTALL).fullmatch


def expressions(condition: Condition) -> Iterable[str]:
    """The regular expressions for paths that C{condition} has."""
    if isinstance(condition, Path):
        if condition.kind == "regex":
            yield condition.value
    elif isinstance(condition, (All, AnyOf)):
        for one in condition.of:
            yield from expressions(one)
    elif isinstance(condition, Not):
        yield from expressions(condition.of)
