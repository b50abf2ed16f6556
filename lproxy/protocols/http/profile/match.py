# -*- test-case-name: tests.protocols.http.profile.test_match -*-
"""
Which of a profile's routes has a request: the first that fits, in their order.

Not all of them are asked. Of each condition is known which methods it needs, and which paths, one of which at least
(L{lproxy.protocols.http.profile.needs}); and of most paths, with which segments they begin. So a look-up by the method,
and one for each of the path's first segments, leave the routes that may have the request
(L{lproxy.protocols.http.profile.candidates}). What of those paths is not known by then, and what such a route says
besides, is tried route by route; most say no more.

To tell routes apart is all that is done here, again for each request: nothing is remembered of any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lproxy.profile import Condition, Path
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.profile.candidates import Candidate, Candidates
from lproxy.protocols.http.profile.conditions import below, spelt
from lproxy.protocols.http.profile.needs import Needs, needs
from lproxy.protocols.http.profile.seen import path_of
from lproxy.protocols.http.profile.segments import beginning, cut

#: where no route has the request
NONE: Final = -1
#: methods that are looked up; a profile that names more has no use for that
METHODS: Final = 32

# what a path has that may be spelt in other ways, or is no part of it. Numbers, as bytes are sought in bytes by raising
# and catching an exception (CPython 3.11)
_QUERY: Final = ord("?")
_ESCAPE: Final = ord("%")
_DOT: Final = ord(".")


class Index:
    """
    The routes that requests of one method may have, by their paths.

    @ivar at: those at a path
    @ivar below: those whose paths begin with some segments, by these
    @ivar depth: how many segments these are at most
    @ivar anywhere: those whose paths may begin with anything; C{None}: there are none
    """

    __slots__ = ("anywhere", "at", "below", "depth")

    def __init__(self) -> None:
        self.at: dict[bytes, Candidates] = {}
        self.below: dict[bytes, Candidates] = {}
        self.depth = 0
        self.anywhere: Candidates | None = None

    def enter(self, number: int, path: Path | None, condition: Condition | None) -> None:
        """
        Have a route, for the paths that are C{path}.

        @param condition: what it says besides; C{None}: nothing
        """
        if path is None:
            self._enter_anywhere(Candidate(number, None, condition))
            return
        if path.kind == "exact":
            _enter(self.at, spelt(path.value), Candidate(number, None, condition))
            return
        if path.kind == "regex":
            begins, all_known = beginning(path.value), False
        else:
            whole = below(path.value)
            begins = cut(whole)
            all_known = begins == whole and whole != b""
        one = Candidate(number, None if all_known else path, condition)
        if not begins:
            self._enter_anywhere(one)
            return
        _enter(self.below, begins, one)
        self.depth = max(self.depth, begins.count(b"/"))

    def _enter_anywhere(self, one: Candidate) -> None:
        if self.anywhere is None:
            self.anywhere = Candidates()
        self.anywhere.all.append(one)

    def deeper(self, request: Request, path: bytes, end: int, before: int) -> int:
        """
        As L{Candidates.first}, of those whose paths begin with more than one segment.

        @param end: where the first segment does
        """
        found, below = before, self.below
        for _ in range(self.depth - 1):
            end = path.find(b"/", end + 1)
            candidates = below.get(path[:end] if end > 0 else path)
            if candidates is not None:
                found = candidates.first(request, path, found)
            if end < 0:
                break
        return found


def _enter(places: dict[bytes, Candidates], place: bytes, one: Candidate) -> None:
    found = places.get(place)
    if found is None:
        found = places[place] = Candidates()
    found.all.append(one)


class Matcher:
    """
    Of one profile's routes.

    @ivar _by_method: those that a method may have; C{_others}: that all other methods may have
    @ivar _none: a number that no route has
    """

    __slots__ = ("_by_method", "_none", "_others")

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._none = len(conditions)
        self._others = Index()
        needed = [needs(condition) for condition in conditions]
        names = {name for one in needed if one.methods is not None for name in one.methods}
        self._by_method: dict[bytes, Index] = {}
        if len(names) <= METHODS:
            self._by_method = {name.encode(): Index() for name in names}
        for number, (condition, need) in enumerate(zip(conditions, needed, strict=True)):
            self._enter(number, condition, need)

    def _enter(self, number: int, condition: Condition, need: Needs) -> None:
        methods = need.methods
        rest = None if need.all else condition
        if methods is None:
            indexes = [self._others, *self._by_method.values()]
        elif self._by_method:
            indexes = [self._by_method[name.encode()] for name in methods]
        else:
            # too many to be looked up, or none at all
            indexes = [self._others] if methods else []
            rest = condition
        for index in indexes:
            for path in need.paths or ():
                index.enter(number, path, rest)
            if need.paths is None:
                index.enter(number, None, rest)

    def first(self, request: Request) -> int:
        """The number of the route that has C{request}, or L{NONE}."""
        path = request.target
        if _QUERY in path or _ESCAPE in path or (_DOT in path and path.find(b"/.") >= 0):
            path = path_of(path)
        index = self._others
        if self._by_method:
            index = self._by_method.get(request.method, index)
        found = none = self._none
        if index.depth:
            end = path.find(b"/", 1)
            candidates = index.below.get(path[:end] if end > 0 else path)
            if candidates is not None:
                found = candidates.first(request, path, found)
            if end > 0 and index.depth > 1:
                found = index.deeper(request, path, end, found)
        if index.at:
            candidates = index.at.get(path)
            if candidates is not None:
                found = candidates.first(request, path, found)
        if index.anywhere is not None:
            found = index.anywhere.first(request, path, found)
        return found if found < none else NONE
