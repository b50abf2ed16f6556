# -*- test-case-name: tests.profiles.test_deterministic -*-
"""
Which regular expressions any engine matches in one pass, also one that backtracks.

So it is where each character of a text can be meant by one place of the pattern alone, and each way from place to place
is one: a choice that turns out to be wrong does so at the next character, or word. C{/books/[^/]*/pages/\\d+} is like
that, and C{/(new|next)(/\\d+)?}; C{.*/edit}, C{a?a} and C{(a*)*} are not.

Places and ways are those of Glushkov's automaton, and that each is there once makes it unambiguous in the strong sense
(Koch and Scherzinger, I{Attribute Grammars for Scalable Query Processing on XML Streams}, 2003): the automaton alone
would not tell C{(a*)*} from C{a*}.

What is not understood here is taken not to be like that.
"""

from __future__ import annotations

import re
from typing import Final

#: places of a pattern, repetitions written out
MOST: Final = 300
#: parentheses within each other
DEPTH: Final = 20

# sets of bytes are integers, a bit for each
ALL: Final = (1 << 256) - 1


def _set(codes: bytes) -> int:
    found = 0
    for code in codes:
        found |= 1 << code
    return found


_DIGITS: Final = _set(b"0123456789")
_WORD: Final = _set(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
#: one of these, as it stands; the others mean something
_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-_~%!@&=:;,\"'<>`# "
_PLAIN: Final = _set(_LETTERS)
#: some of them, none of which is repeated
_TEXT: Final = re.compile(b"[" + re.escape(_LETTERS) + b"]+(?![*+?{])")
#: what C{.} is not
_NEWLINE: Final = _set(b"\n")
#: after a backslash: itself; and what stands for more
_ESCAPED: Final = frozenset(b".*+?()[]{}|^$\\/-")
_CLASSES: Final = {ord("d"): _DIGITS, ord("w"): _WORD}
#: C{[^/]}, C{[a-z0-9_.-]}, C{[\w-]}
_CLASS: Final = re.compile(rb"\[(\^?)((?:\\[dw./-]|[A-Za-z0-9](?:-[A-Za-z0-9])?|[/_.@%:=,+?*])+-?)\]")
_COUNT: Final = re.compile(rb"\{(\d{1,3})(,?)(\d{0,3})\}")


class _NotThatSimple(Exception):
    """It is none of them, or not known to be one."""


class _Part:
    """
    Of a pattern.

    @ivar empty: whether it may be nothing
    @ivar first: the places that it may begin with, and C{last}: end with
    """

    __slots__ = ("empty", "first", "last")

    def __init__(self, empty: bool, first: list[int], last: list[int]) -> None:
        self.empty = empty
        self.first = first
        self.last = last


class _Reader:
    """
    Reads one pattern.

    @ivar _at: how far
    @ivar _sets: each place's characters; C{_texts}: of a place that stands for some in a row, these
    @ivar _ways: from each place, to which others
    """

    def __init__(self, pattern: bytes) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0
        self._sets: list[int] = []
        self._texts: dict[int, bytes] = {}
        self._ways: list[list[int]] = []

    def read(self) -> None:
        """
        All of it.

        @raise _NotThatSimple: it is not that
        """
        whole = self._either()
        if self._at < len(self._pattern):
            raise _NotThatSimple
        for ways in (whole.first, *self._ways):
            self._tell_apart(ways)

    def _tell_apart(self, ways: list[int]) -> None:
        known, texts = 0, []
        for place in ways:
            text = self._texts.get(place)
            if text is not None:
                texts.append(text)
            elif known & self._sets[place]:
                raise _NotThatSimple
            else:
                known |= self._sets[place]
        before = None
        for text in sorted(texts):
            # of two texts that begin alike, no more than one is there, unless it is the beginning of the other
            if known >> text[0] & 1 or (before is not None and text.startswith(before)):
                raise _NotThatSimple
            before = text

    def _next(self) -> bytes:
        return self._pattern[self._at : self._at + 1]

    def _either(self) -> _Part:
        """Parts with C{|} between them."""
        found = self._row()
        while self._next() == b"|":
            self._at += 1
            other = self._row()
            if found.empty and other.empty:
                # it is nothing in two ways
                raise _NotThatSimple
            found = _Part(found.empty or other.empty, found.first + other.first, found.last + other.last)
        return found

    def _row(self) -> _Part:
        """Parts that follow each other."""
        found = _Part(True, [], [])
        while self._next() not in (b"", b"|", b")"):
            text = _TEXT.match(self._pattern, self._at)
            if text is None:
                found = self._joined(found, self._repeated())
            else:
                # one place will do: there is one way through it
                self._texts[len(self._sets)] = text[0]
                found = self._joined(found, self._place(1 << text[0][0]))
                self._at = text.end()
        return found

    def _joined(self, one: _Part, other: _Part) -> _Part:
        self._lead(one.last, other.first)
        first = one.first + other.first if one.empty else one.first
        last = other.last + one.last if other.empty else other.last
        return _Part(one.empty and other.empty, first, last)

    def _lead(self, places: list[int], to: list[int]) -> None:
        for place in places:
            ways = self._ways[place]
            for other in to:
                if other in ways:
                    # there are two ways from here to there
                    raise _NotThatSimple
                ways.append(other)

    def _repeated(self) -> _Part:
        """One part, and how often; each time that has a number stands for itself."""
        begins = self._at
        found = latest = self._one()
        least, most, ends = self._times()
        if found.empty and (least, most) != (1, 1):
            # it is nothing in two ways, or in any number of them
            raise _NotThatSimple
        last = found.last if least <= 1 else []
        for number in range(2, max(least, most or 0) + 1):
            self._at = begins
            another = self._one()
            self._lead(latest.last, another.first)
            latest = another
            if number >= least:
                last = last + another.last
        if most is None:
            self._lead(latest.last, latest.first)
        self._at = ends
        return _Part(found.empty or not least, found.first, last)

    def _times(self) -> tuple[int, int | None, int]:
        """How often at least and at most, C{None} for ever, and where that has been said."""
        mark, ends = self._next(), self._at + 1
        times: tuple[int, int | None] = {b"*": (0, None), b"+": (1, None), b"?": (0, 1)}.get(mark, (1, 1))
        if mark == b"{":
            said = _COUNT.match(self._pattern, self._at)
            if said is None:
                raise _NotThatSimple
            least = int(said[1])
            times = least, int(said[3]) if said[3] else None if said[2] else least
            ends = said.end()
            if times[1] == 0 or (times[1] is not None and times[1] < least):
                raise _NotThatSimple
        elif mark not in (b"*", b"+", b"?"):
            return 1, 1, self._at
        if self._pattern[ends : ends + 1] in (b"*", b"+", b"?", b"{"):
            # lazy, possessive, or nonsense
            raise _NotThatSimple
        return *times, ends

    def _one(self) -> _Part:
        """A group, or a single character."""
        if self._next() != b"(":
            return self._place(self._characters())
        self._at += 1
        if self._pattern[self._at : self._at + 2] == b"?:":
            self._at += 2
        elif self._next() == b"?":
            raise _NotThatSimple
        self._depth += 1
        if self._depth > DEPTH:
            raise _NotThatSimple
        found = self._either()
        self._depth -= 1
        if self._next() != b")":
            raise _NotThatSimple
        self._at += 1
        return found

    def _place(self, characters: int) -> _Part:
        place = len(self._sets)
        if not characters or place >= MOST:
            raise _NotThatSimple
        self._sets.append(characters)
        self._ways.append([])
        return _Part(False, [place], [place])

    def _characters(self) -> int:
        """Those that one may be; none where it is anything but simple."""
        pattern, at = self._pattern, self._at
        code = pattern[at]
        self._at = at + 1
        if _PLAIN >> code & 1:
            return 1 << code
        if code == ord("."):
            return ALL & ~_NEWLINE
        if code == ord("\\") and at + 1 < len(pattern):
            self._at = at + 2
            return _escaped(pattern[at + 1])
        found = _CLASS.match(pattern, at)
        if found is None:
            return 0
        self._at = found.end()
        inside = _inside(found[2])
        return ALL & ~inside if found[1] and inside else inside


def _escaped(code: int) -> int:
    return 1 << code if code in _ESCAPED else _CLASSES.get(code, 0)


def _inside(text: bytes) -> int:
    """The characters of a class, of which C{text} stands between the brackets; none where a range is empty."""
    found, at = 0, 0
    while at < len(text):
        if text[at] == ord("\\"):
            found |= _escaped(text[at + 1])
            at += 2
        elif text[at + 1 : at + 2] == b"-" and at + 2 < len(text):
            if text[at] > text[at + 2]:
                return 0
            found |= (1 << text[at + 2] + 1) - (1 << text[at])
            at += 3
        else:
            found |= 1 << text[at]
            at += 1
    return found


def bare(pattern: bytes) -> bytes:
    """C{pattern}, which has to match all of a text anyhow, without saying so at its ends."""
    rest = pattern.removesuffix(b"$")
    escaped = (len(rest) - len(rest.rstrip(b"\\"))) % 2
    return (pattern if escaped else rest).removeprefix(b"^")


def deterministic(pattern: bytes) -> bool:
    """Whether all engines match C{pattern} in one pass."""
    try:
        _Reader(pattern).read()
    except _NotThatSimple:
        return False
    return True
