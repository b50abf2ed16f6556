# -*- test-case-name: tests.protocols.http.profile.test_expressions -*-
"""
Regular expressions that matching takes no longer for than what is matched is long, and many of them at once (RE2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from lproxy.profiles.patterns import Matches, matches, options

#: so few expressions are tried one by one
FEW: Final = 3
#: bytes that a set may need, for its program and for what matching remembers; RE2 takes them as it needs them
LEAST_MEMORY: Final = 8 << 20
EACH_MEMORY: Final = 64 << 10
MOST_MEMORY: Final = 1 << 30
#: the last of each set, which matches everything: where it does not, the set has run out of memory
EVERYTHING: Final = b"(?s).*"


class Expressions:
    """
    Regular expressions, held against one text at once.

    @ivar _few: tries one
    @ivar _set: tries all: the numbers of those that match, and of L{EVERYTHING}; C{None}: there are few
    """

    __slots__ = ("_few", "_patterns", "_set")

    def __init__(self, patterns: Sequence[str], most: int = MOST_MEMORY) -> None:
        """
        @param most: bytes that all together may need
        @raise lproxy.profiles.patterns.BadPattern: one of them is none
        """
        self._patterns = tuple(patterns)
        self._few: list[Matches] = []
        self._set: Callable[[bytes], list[int] | None] | None = None
        if len(self._patterns) > FEW:
            self._set = _compiled(self._patterns, most)
        if self._set is None:
            self._few = [matches(pattern) for pattern in self._patterns]

    def all_that_match(self, text: bytes) -> list[int]:
        """Their numbers."""
        if self._set is not None:
            found = self._set(text)
            everything = len(self._patterns)
            if found is not None and everything in found:
                return [number for number in found if number != everything]
            # each by itself gets by on little
            self._few = self._few or [matches(pattern) for pattern in self._patterns]
        return [number for number, one in enumerate(self._few) if one(text)]


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
