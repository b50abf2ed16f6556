# -*- test-case-name: tests.protocols.http.profile.test_expressions -*-
"""
Regular expressions that matching takes no longer for than what is matched is long, and many of them at once (RE2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from lproxy.profiles.deterministic import bare, deterministic
from lproxy.profiles.patterns import Matches, matches, options

#: so many are tried by one pattern of all of them, one after the other; more are RE2's, which takes no longer for more
#: but needs a kilobyte and a half for each
MANY: Final = 64
#: bytes that a set may need, for its program and for what matching remembers; RE2 takes them as it needs them
LEAST_MEMORY: Final = 8 << 20
EACH_MEMORY: Final = 64 << 10
MOST_MEMORY: Final = 1 << 30
#: the last of each set, which matches everything: where it does not, the set has run out of memory
EVERYTHING: Final = b"(?s).*"


class Expressions:
    """
    Regular expressions, held against one text at once.

    @ivar _either: matches what one of them matches; C{None}: they are not for Python's engine, or too many
    @ivar _groups: of its groups that end with one of them, the number of that
    @ivar _set: tries all: the numbers of those that match, and of L{EVERYTHING}; C{None}: there is C{_either}, or they
        are too much for one machine
    @ivar _each: tries one, by its number; made when it is needed
    """

    __slots__ = ("_each", "_either", "_groups", "_patterns", "_set")

    def __init__(self, patterns: Sequence[str], most: int = MOST_MEMORY) -> None:
        """
        @param most: bytes that all together may need
        @raise lproxy.profiles.patterns.BadPattern: one of them is none
        """
        self._patterns = tuple(patterns)
        self._each: list[Matches] = []
        self._either: Callable[[bytes], re.Match[bytes] | None] | None = None
        self._groups: dict[int, int] = {}
        self._set: Callable[[bytes], list[int] | None] | None = None
        encoded = [bare(pattern.encode("utf-8")) for pattern in self._patterns]
        if len(encoded) <= MANY and all(deterministic(pattern) for pattern in encoded):
            self._unite(encoded)
        else:
            self._set = _compiled(self._patterns, most)

    def _unite(self, encoded: list[bytes]) -> None:
        group = 0
        for number, pattern in enumerate(encoded):
            # an empty one at its end says which it was, whatever others it has
            group += re.compile(pattern).groups + 1
            self._groups[group] = number
        self._either = re.compile(b"|".join([b"(?:%b)()" % pattern for pattern in encoded])).fullmatch

    def first(self, text: bytes) -> int:
        """The number of the first that matches; negative: none does."""
        if self._either is None:
            return min(self.all_that_match(text), default=-1)
        found = self._either(text)
        return self._groups[found.lastindex or 0] if found is not None else -1

    def all_that_match(self, text: bytes) -> list[int]:
        """Their numbers."""
        if self._set is not None:
            found = self._set(text)
            everything = len(self._patterns)
            if found is not None and everything in found:
                return [number for number in found if number != everything]
        # each by itself gets by on little
        if not self._each:
            self._each = [matches(pattern) for pattern in self._patterns]
        return [number for number, one in enumerate(self._each) if one(text)]


def _compiled(patterns: tuple[str, ...], most: int) -> Callable[[bytes], list[int] | None] | None:
    """One machine for all of C{patterns}; C{None}: they are too much for one."""
    # not for whoever has none: see L{matches}
    import re2

    memory = max(LEAST_MEMORY, len(patterns) * EACH_MEMORY)
    while memory <= most:
        machine = re2.Set.FullMatchSet(options(memory))
        try:
            for pattern in patterns:
                machine.Add(pattern.encode("utf-8"))
            machine.Add(EVERYTHING)
            machine.Compile()
        except re2.error:
            memory *= 4
        else:
            found: Callable[[bytes], list[int] | None] = machine.Match
            return found
    return None
