# -*- test-case-name: tests.profiles.test_patterns -*-
"""
Regular expressions that somebody else wrote: compiled so that matching takes time in proportion to what is matched,
whatever they are.

Python's own engine backtracks, and has a request's path decide how long; RE2 never does, and refuses what it could not
do so, look-around and back-references. Yet a call of it from Python takes ten times as long, and a pattern several
kilobytes. So what can be seen to need one pass, as most patterns of paths, is left to Python's
(L{lproxy.profiles.deterministic}).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from lproxy.profiles.deterministic import bare, deterministic

#: bytes that one pattern may need, its program and what matching remembers
MAX_MEMORY: Final = 1024 * 1024
#: instructions of one program: matching takes at most so many steps for a byte
MAX_PROGRAM: Final = 5_000
#: characters of a pattern
MAX_LENGTH: Final = 4_096

#: whether all of some bytes are as a pattern says: true or false, whatever the value's type
Matches = Callable[[bytes], object]

#: what RE2 calls what it cannot do, and what users call it
_WORDS: Final = (
    (r"invalid perl operator: \(\?<?[=!]", "look-around, (?= (?! (?<= or (?<!, takes time without bound"),
    (r"invalid perl operator: \(\?>", "atomic groups are unknown"),
    (r"invalid escape sequence: \\[1-9]", "back-references take time without bound"),
    (r"pattern too large", "it is too large a program: repetitions of repetitions, or of large classes"),
    (r"bad repetition operator: [*+?]\+", "possessive quantifiers are unknown"),
    (r"invalid repetition size", "a repetition is more than 1000"),
)


class BadPattern(ValueError):
    """What is wrong with a pattern, in words that continue "PATTERN ..."."""


@lru_cache(maxsize=256)
def refuse(pattern: str) -> None:
    """
    See whether C{pattern} can be compiled; nothing is kept, nor made where that is plain.

    @raise BadPattern: it cannot
    """
    if _for_python(pattern) is None:
        _compile(pattern)


@lru_cache(maxsize=4_096)
def matches(pattern: str) -> Matches:
    """
    Whether all of some bytes are as C{pattern} says; one that was refused before matches nothing less.

    @raise BadPattern: nothing is
    """
    plain = _for_python(pattern)
    return _compile(pattern) if plain is None else re.compile(plain).fullmatch


def _for_python(pattern: str) -> bytes | None:
    """What Python's engine makes of C{pattern} what it is; C{None}: that is for RE2 to do."""
    if not pattern:
        raise BadPattern("is empty")
    if len(pattern) > MAX_LENGTH:
        raise BadPattern(f"is longer than {MAX_LENGTH} characters")
    plain = bare(pattern.encode("utf-8"))
    return plain if deterministic(plain) else None


def _compile(pattern: str) -> Matches:
    # not for whoever has no such pattern: it is three megabytes
    import re2

    try:
        compiled = re2.compile(pattern.encode("utf-8"), options(MAX_MEMORY))
    except re2.error as e:
        said = e.args[0] if e.args else ""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise BadPattern(_why(text, pattern)) from e
    if compiled.programsize > MAX_PROGRAM:
        raise BadPattern(f"is too large: a program of {compiled.programsize} instructions, more than {MAX_PROGRAM}")
    found: Matches = compiled.fullmatch
    return found


def options(memory: int) -> Any:
    """What RE2 is told, C{re2.Options}: above all, that it may need so many bytes."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory
    options.never_capture = True
    # a byte is a character: what clients send need not be UTF-8
    options.encoding = re2.Options.Encoding.LATIN1
    return options


def _why(said: str, pattern: str) -> str:
    if "(?P=" in pattern:
        # of which RE2 says little
        said = "invalid escape sequence: \\1"
    for words, why in _WORDS:
        if re.search(words, said):
            return f"is none of RE2's: {why}"
    return f"is none of RE2's: {said}"
