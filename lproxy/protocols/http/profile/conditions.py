# -*- test-case-name: tests.protocols.http.profile.test_conditions -*-
"""
Conditions of routes, ready to be held against requests: each of L{lproxy.profile}'s, bytes in the place of text.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from lproxy.profile import All, AnyOf, Condition, Header, Kind, Method, Not, Path, Query, Statuses
from lproxy.profiles.patterns import Matches, matches
from lproxy.protocols.http.profile.seen import Seen, normal

#: bytes that a path has as escapes alone
_NEVER_AS_IT_IS: Final = re.compile(rb"[^\x21-\x7e]")


class Test(Protocol):
    """A condition."""

    __slots__ = ()

    def fits(self, seen: Seen) -> bool:
        """Whether a request is that."""


class Every(Test):
    """All of some; of none: every request."""

    __slots__ = ("_tests",)

    def __init__(self, tests: list[Test]) -> None:
        self._tests = tests

    def fits(self, seen: Seen) -> bool:
        """Whether none is missing."""
        return all(test.fits(seen) for test in self._tests)


class Some(Test):
    """One of some at least; of none: no request."""

    __slots__ = ("_tests",)

    def __init__(self, tests: list[Test]) -> None:
        self._tests = tests

    def fits(self, seen: Seen) -> bool:
        """Whether there is one."""
        return any(test.fits(seen) for test in self._tests)


class Other(Test):
    """Not one."""

    __slots__ = ("_test",)

    def __init__(self, test: Test) -> None:
        self._test = test

    def fits(self, seen: Seen) -> bool:
        """Whether it is not."""
        return not self._test.fits(seen)


class OfMethod(Test):
    """A method."""

    __slots__ = ("_method",)

    def __init__(self, method: bytes) -> None:
        self._method = method

    def fits(self, seen: Seen) -> bool:
        """Whether the request has it."""
        return seen.method == self._method


class At(Test):
    """A path."""

    __slots__ = ("_path",)

    def __init__(self, path: bytes) -> None:
        self._path = path

    def fits(self, seen: Seen) -> bool:
        """Whether the request has it."""
        return seen.path == self._path


class Below(Test):
    """Whole segments of a path, from its beginning."""

    __slots__ = ("_begins", "_path")

    def __init__(self, path: bytes) -> None:
        """
        @param path: without a slash at its end
        """
        self._path = path
        self._begins = path + b"/"

    def fits(self, seen: Seen) -> bool:
        """Whether the request's begins with them."""
        path = seen.path
        return path.startswith(self._begins) or path == self._path


class Along(Test):
    """A regular expression for paths."""

    __slots__ = ("_matches",)

    def __init__(self, pattern: str) -> None:
        self._matches: Matches = matches(pattern)

    def fits(self, seen: Seen) -> bool:
        """Whether it matches all of the request's."""
        return bool(self._matches(seen.path))


class Value:
    """
    What a field's value, or a parameter's, has to be like.

    @ivar _matches: in the place of C{_text}, where that is a regular expression
    """

    __slots__ = ("_matches", "_prefix", "_text")

    def __init__(self, text: str, kind: Kind) -> None:
        self._text = text.encode()
        self._prefix = kind == "prefix"
        self._matches: Matches | None = matches(text) if kind == "regex" else None

    def fits(self, value: bytes) -> bool:
        """Whether C{value} is."""
        if self._matches is not None:
            return bool(self._matches(value))
        return value.startswith(self._text) if self._prefix else value == self._text


class WithField(Test):
    """A field, perhaps of a certain value."""

    __slots__ = ("_name", "_value")

    def __init__(self, name: bytes, value: Value | None) -> None:
        self._name = name
        self._value = value

    def fits(self, seen: Seen) -> bool:
        """Whether the request has one."""
        found = seen.field(self._name)
        return found is not None and (self._value is None or self._value.fits(found))


class WithParameter(Test):
    """A parameter of the query."""

    __slots__ = ("_name", "_value")

    def __init__(self, name: bytes, value: Value) -> None:
        self._name = name
        self._value = value

    def fits(self, seen: Seen) -> bool:
        """Whether the request has it."""
        found = seen.parameter(self._name)
        return found is not None and self._value.fits(found)


def spelt(path: str) -> bytes:
    """
    C{path}, of a condition, in its normal form. What no request-target may have as it is (RFC 3986, 2), such as blanks
    and letters beyond ASCII, is the escape that requests have in its place.
    """
    return normal(_NEVER_AS_IT_IS.sub(lambda byte: b"%%%02X" % byte[0][0], path.encode()))


def below(path: str) -> bytes:
    """The same of a prefix: one with a slash at its end means what it means without."""
    return spelt(path).rstrip(b"/")


def ready(condition: Condition) -> Test:
    """C{condition}, of a request."""
    if isinstance(condition, Method):
        return OfMethod(condition.name.encode())
    if isinstance(condition, Path):
        if condition.kind == "regex":
            return Along(condition.value)
        return At(spelt(condition.value)) if condition.kind == "exact" else Below(below(condition.value))
    if isinstance(condition, Header):
        value = None if condition.value is None else Value(condition.value, condition.kind)
        return WithField(condition.name.lower().encode(), value)
    if isinstance(condition, Query):
        return WithParameter(condition.name.encode(), Value(condition.value, condition.kind))
    if isinstance(condition, All):
        return Every([ready(one) for one in condition.of])
    if isinstance(condition, AnyOf):
        return Some([ready(one) for one in condition.of])
    if isinstance(condition, Not):
        return Other(ready(condition.of))
    assert isinstance(condition, Statuses)
    # no request has one
    return Some([])
