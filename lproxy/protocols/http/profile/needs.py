# -*- test-case-name: tests.protocols.http.profile.test_needs -*-
"""
What conditions cannot do without, by which most routes are known not to have a request before they are asked.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from lproxy.profile import All, AnyOf, Condition, Method, Path, Statuses


class Needs(NamedTuple):
    """
    What a condition cannot do without.

    @ivar methods: one of these; C{None}: any
    @ivar paths: that the path is one of these; C{None}: any
    @ivar all: whether that is all that it says
    """

    methods: frozenset[str] | None
    paths: frozenset[Path] | None
    all: bool


NOTHING: Final = Needs(None, None, True)
SOMETHING: Final = Needs(None, None, False)
NEVER: Final = Needs(frozenset(), None, True)


def needs(condition: Condition) -> Needs:
    """Of C{condition}."""
    if isinstance(condition, Path):
        return Needs(None, frozenset((condition,)), True)
    if isinstance(condition, Method):
        return Needs(frozenset((condition.name,)), None, True)
    if isinstance(condition, All):
        return _both([needs(one) for one in condition.of])
    if isinstance(condition, AnyOf):
        return _either([needs(one) for one in condition.of])
    return NEVER if isinstance(condition, Statuses) else SOMETHING


def _both(parts: list[Needs]) -> Needs:
    methods: frozenset[str] | None = None
    paths: frozenset[Path] | None = None
    whole = True
    for part in parts:
        whole = whole and part.all
        if part.methods is not None:
            methods = part.methods if methods is None else methods & part.methods
        if part.paths is not None:
            # of two demands on the path one is looked up, the other is left to be tried
            whole = whole and paths is None
            if paths is None or len(part.paths) < len(paths):
                paths = part.paths
    return Needs(methods, paths, whole)


def _either(parts: list[Needs]) -> Needs:
    if not parts:
        return NEVER
    methods: frozenset[str] | None = frozenset()
    paths: frozenset[Path] | None = frozenset()
    for part in parts:
        methods = None if methods is None or part.methods is None else methods | part.methods
        paths = None if paths is None or part.paths is None else paths | part.paths
    # (GET /a) or (PUT /b) is not (GET or PUT) and (/a or /b)
    alike = len({part.methods for part in parts}) == 1 or len({part.paths for part in parts}) == 1
    return Needs(methods, paths, alike and all(part.all for part in parts))
