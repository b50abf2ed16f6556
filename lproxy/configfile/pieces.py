# -*- test-case-name: tests.configfile.test_pieces -*-
"""
Read long TOML piece by piece, with pauses between them: C{tomllib} has none.

The pieces begin at headers of services. Whatever looks like one and is none, within a text of several lines, say, ends
a piece in its middle, which C{tomllib} refuses then; and what stands in two pieces may mean something together. So this
is right or nothing: what is not plainly the sum of its pieces is for C{tomllib} to read, or to refuse, as a whole.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Final

from lproxy.configfile.pauses import pause

#: services of a piece: a fraction of a millisecond
PIECE: Final = 20
SERVICES: Final = "services"
#: C{[services."NAME"]} alone in its line
HEADER: Final = re.compile(r'^\[services\."[^"\\\n]*"\][ \t\r]*$', re.MULTILINE)
#: what makes one table of all services, or may do so in other letters
TABLE: Final = re.compile(r"""^[ \t]*\[[ \t]*(?:services|"[^"\n]*"|'[^'\n]*')[ \t]*\]""", re.MULTILINE)

#: parts of one dotted key: more than anybody has, and tomllib needs the square of them
MAX_PARTS = 100
DEEP = re.compile(
    rf"""(?<![\w-])(?:(?:[\w-]{{1,60}}|"[^"\n]{{0,60}}"|'[^'\n]{{0,60}}')[ \t]*\.[ \t]*){{{MAX_PARTS}}}"""
)


def read_pieces(text: str) -> dict[str, object] | None:
    """What C{text} says; C{None}: it is too short for that, or has to be read as a whole."""
    found: dict[str, object] = {}
    services: dict[str, object] = {}
    pieces = list(_pieces(text))
    if len(pieces) < 2:
        return None
    for piece in pieces:
        pause()
        if TABLE.search(piece) or DEEP.search(piece):
            return None
        try:
            said = tomllib.loads(piece)
        except (ValueError, RecursionError):
            return None
        more = said.pop(SERVICES, None)
        if not found.keys().isdisjoint(said):
            return None
        if more is not None:
            # what stands before the first header begins nothing that others add to
            if piece is pieces[0] or not isinstance(more, dict) or not services.keys().isdisjoint(more):
                return None
            services.update(more)
            found[SERVICES] = services
        found.update(said)
    return found


def _pieces(text: str) -> Iterator[str]:
    """What stands before the services, perhaps nothing; and some services each."""
    begin = 0
    for number, header in enumerate(HEADER.finditer(text)):
        if number % PIECE == 0:
            yield text[begin : header.start()]
            begin = header.start()
    yield text[begin:]
