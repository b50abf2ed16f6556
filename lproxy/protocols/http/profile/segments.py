# -*- test-case-name: tests.protocols.http.profile.test_segments -*-
"""
The first segment of a path, by which most routes are known already: C{/users} of C{/users/1}.
"""

from __future__ import annotations

import re
from typing import Final

from lproxy.profile import Path
from lproxy.protocols.http.profile.conditions import below, spelt

#: what a pattern begins with that knows its first segment: plain letters, then a slash that has to be there, or the end
_LITERAL: Final = re.compile(rb"\^?(/[A-Za-z0-9_~-]+)(?:/(?![*?{+])|\$?\Z)")
#: a pattern where C{|} may part all of it, and not only what stands in parentheses; one with classes is not looked into
_ESCAPE: Final = re.compile(rb"\\.", re.DOTALL)


def first_segment(path: bytes) -> bytes:
    """That of C{path}, with the slash before it; C{*} is its own."""
    end = path.find(b"/", 1)
    return path[:end] if end > 0 else path


def known_by(path: Path) -> bytes | None:
    """The first segment of all paths that C{path} fits; C{None}: they may have any."""
    if path.kind == "exact":
        return first_segment(spelt(path.value))
    if path.kind == "prefix":
        begins = below(path.value)
        return first_segment(begins) if begins else None
    return _of_pattern(path.value.encode("utf-8"))


def _of_pattern(pattern: bytes) -> bytes | None:
    found = _LITERAL.match(pattern)
    return None if found is None or _parted(pattern) else found[1]


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
