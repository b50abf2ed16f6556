# -*- test-case-name: tests.protocols.http.profile.test_candidates -*-
"""
Routes that may have a request, in their order: those that the look-ups of L{lproxy.protocols.http.profile.match} leave.

What has to be compiled for one is compiled when it is asked for the first time: of ten thousand most never are.
"""

from __future__ import annotations

import re
from typing import Final

from lproxy.profile import Condition, Path
from lproxy.profiles.patterns import Matches, matches
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.profile.conditions import Test, below, ready
from lproxy.protocols.http.profile.expressions import Expressions
from lproxy.protocols.http.profile.seen import Seen

#: so few are asked one by one
FEW: Final = 6


class Candidate:
    """
    A route, as far as it is left to be asked.

    @ivar number: the route's; less goes first
    @ivar fits: whether a path is one of the route's; C{None}: it is
    @ivar test: whether a request is what the route says besides; C{None}: it is
    @ivar made: whether those two are what they are to be
    @ivar path: what C{fits} is made of, and C{condition}: C{test}, where they are made of anything
    """

    __slots__ = ("condition", "fits", "made", "number", "path", "test")

    def __init__(self, number: int, path: Path | None, condition: Condition | None) -> None:
        """
        @param path: what has to be tried of a path; C{None}: nothing
        @param condition: what has to be tried of a request; C{None}: nothing
        """
        self.number = number
        self.path: Path | None = path
        self.condition: Condition | None = condition
        self.fits: Matches | None = None
        self.test: Test | None = None
        self.made: bool = path is None and condition is None

    def make(self) -> None:
        """Be ready to be asked."""
        self.made = True
        if self.path is not None:
            self.fits = path_matches(self.path)
        if self.condition is not None:
            self.test = ready(self.condition)


class Candidates:
    """
    Those that the same look-up leaves.

    @ivar all: each, in the order of their numbers
    @ivar _expressions: all that paths are held against, where there are many; C{_along}: whose each is, by its number
    @ivar _others: those that have none
    @ivar _paths_tell: whether those that have one say no more, so that the first is enough
    """

    __slots__ = ("_along", "_expressions", "_others", "_paths_tell", "all")

    def __init__(self) -> None:
        self.all: list[Candidate] = []
        self._expressions: Expressions | None = None
        self._along: list[list[Candidate]] = []
        self._others: list[Candidate] = []
        self._paths_tell = True

    def first(self, request: Request, path: bytes, before: int) -> int:
        """
        The number of the first that has C{request}, if that is less than C{before}; else that.

        @param path: the request's, in its normal form
        """
        every = self.all
        for one in every if len(every) <= FEW else self._may(path):
            if one.number >= before:
                break
            if not one.made:
                one.make()
            if one.fits is None or one.fits(path):
                test = one.test
                if test is None or test.fits(Seen(request, path)):
                    return one.number
        return before

    def _may(self, path: bytes) -> list[Candidate]:
        """Those of many that C{path} is one of the paths of, as far as expressions tell and it matters."""
        expressions = self._expressions
        if expressions is None:
            expressions = self._expressions = self._compiled()
        if self._paths_tell:
            number = expressions.first(path)
            matched = [number] if number >= 0 else []
        else:
            matched = expressions.all_that_match(path)
        if not matched:
            return self._others
        return sorted([*self._others, *[one for number in matched for one in self._along[number]]], key=_number)

    def _compiled(self) -> Expressions:
        numbers: dict[str, int] = {}
        for one in self.all:
            if one.path is None or one.path.kind != "regex":
                self._others.append(one)
                continue
            number = numbers.setdefault(one.path.value, len(numbers))
            if number == len(self._along):
                self._along.append([])
            self._along[number].append(one)
            self._paths_tell = self._paths_tell and one.condition is None
            # it is all that is known of the path, and has been tried by then
            one.path = None
        return Expressions(list(numbers))


def _number(one: Candidate) -> int:
    return one.number


def path_matches(path: Path) -> Matches:
    """What is true of the paths that C{path} fits, an expression or a beginning."""
    if path.kind == "regex":
        return matches(path.value)
    return re.compile(re.escape(below(path.value)) + rb"(?:/.*)?", re.DOTALL).fullmatch
