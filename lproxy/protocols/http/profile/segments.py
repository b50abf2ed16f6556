# -*- test-case-name: tests.protocols.http.profile.test_segments -*-
"""
The segments that a path is known to begin with, by which most routes are looked up: C{/users} of C{/users/[0-9]+}.
"""

from __future__ import annotations

import re
from typing import Final

#: segments that are looked up at most
DEPTH: Final = 6
#: what a pattern begins with that knows its first segments, plain letters; then comes a slash that must be, or the end
_LITERAL: Final = re.compile(rb"\^?((?:/[A-Za-z0-9_~-]+){1,%d})(?:/(?![*?{+])|\$?\Z)" % DEPTH)
#: a pattern where C{|} may part all of it, and not only what stands in parentheses; one with classes is not looked into
_ESCAPE: Final = re.compile(rb"\\.", re.DOTALL)


def cut(path: bytes) -> bytes:
    """The beginning of C{path} that is looked up."""
    return path if path.count(b"/") <= DEPTH else b"/".join(path.split(b"/", DEPTH + 1)[: DEPTH + 1])


def beginning(pattern: str) -> bytes:
    """The segments that all paths begin with which C{pattern} matches all of; none where they may have any."""
    encoded = pattern.encode("utf-8")
    found = _LITERAL.match(encoded)
    return b"" if found is None or _parted(encoded) else found[1]


def _parted(pattern: bytes) -> bool:
    """Whether C{pattern} may be several, one of which need not begin as it does."""
    if b"|" not in pattern:
        return False
    if b"[" in pattern or b"\\Q" in pattern:
        return True
    depth = 0
    for code in _ESCAPE.sub(b"", pattern):
        if code == ord("("):
            depth += 1
        elif code == ord(")"):
            depth -= 1
        elif code == ord("|") and depth <= 0:
            return True
    return False
