# -*- test-case-name: tests.protocols.http.profile.test_rewrite -*-
"""
What the upstream is asked for in the place of what the client has asked for.

Bytes of a path that are not replaced stay as they came, escapes included, and so does the query: what the upstream sees
of them is what it would see without a proxy. Only where a prefix is spelt in another way, or a path has C{..} in it by
which it might leave what stands in the prefix's place, it is the normal form that goes on.
"""

from __future__ import annotations

import re
from typing import Final

from lproxy.profile import All, AnyOf, Condition, Path, Rewrite
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.profile.conditions import below
from lproxy.protocols.http.profile.seen import path_of

#: what may begin a segment that leads upward
_DOTS: Final = re.compile(rb"/(?:\.|%2[eE])")


class NewPath:
    """
    Another path, or another beginning of it.

    @param path: the whole of it; C{None}: only its beginning is another
    @param prefix: what stands in the place of the prefix by which the route was chosen; C{None}: all stays
    @param condition: the route's
    """

    __slots__ = ("_path", "_prefix", "_prefixes")

    def __init__(self, path: str | None, prefix: str | None, condition: Condition) -> None:
        self._path: bytes | None = path.encode("ascii") if path is not None else None
        self._prefix: bytes | None = prefix.encode("ascii").rstrip(b"/") if prefix is not None else None
        # one that stood for others, of which it is the beginning, would take their place
        found = sorted(prefixes(condition), key=len, reverse=True)
        self._prefixes: tuple[bytes, ...] = tuple([below(prefix) for prefix in found])

    def of(self, target: bytes) -> bytes:
        """What C{target} becomes, a path and perhaps a query; anything else stays."""
        if target[:1] != b"/":
            return target
        if self._path is not None:
            _, question, query = target.partition(b"?")
            return self._path + question + query
        if self._prefix is not None:
            path, question, query = target.partition(b"?")
            return self._replaced(self._prefix, path) + question + query
        return target

    def _replaced(self, new: bytes, path: bytes) -> bytes:
        normal = path_of(path)
        for prefix in self._prefixes:
            if _begins(normal, prefix):
                as_it_is = path == normal or (_begins(path, prefix) and not _DOTS.search(path))
                return new + (path if as_it_is else normal)[len(prefix) :] or b"/"
        return path


def _begins(path: bytes, prefix: bytes) -> bool:
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in (b"", b"/")


def prefixes(condition: Condition) -> list[str]:
    """The prefixes of paths by which C{condition} knows requests; that of all, where it knows them by other things."""
    return _prefixes(condition) or [""]


def _prefixes(condition: Condition) -> list[str]:
    if isinstance(condition, Path):
        return [condition.value] if condition.kind == "prefix" else []
    if isinstance(condition, All | AnyOf):
        return [prefix for inner in condition.of for prefix in _prefixes(inner)]
    return []


class Rewriter:
    """A route's L{Rewrite}, ready for requests."""

    __slots__ = ("_host", "_path")

    def __init__(self, rewrite: Rewrite, condition: Condition) -> None:
        """@param condition: the route's"""
        self._host: bytes = rewrite.host.encode("ascii")
        self._path: NewPath = NewPath(rewrite.path, rewrite.prefix, condition)

    def apply(self, request: Request) -> None:
        """
        Have C{request}, which is ready to be sent, ask for something else. What asks for a connection to somewhere
        (CONNECT) goes there.
        """
        if request.method == b"CONNECT" and not request.protocol:
            return
        request.asked = (request.authority, request.target)
        if request.target[:1] in (b"/", b"*"):
            request.target = self._path.of(request.target)
        else:
            request.target = self._absolute(request)
        if self._host:
            request.name_host(self._host)

    def _absolute(self, request: Request) -> bytes:
        """Of an upstream that is a proxy everything is asked in absolute form."""
        scheme, slashes, rest = request.target.partition(b"://")
        end = _end(rest)
        authority, path = self._host or rest[:end], rest[end:]
        if path[:1] != b"/" and request.method != b"OPTIONS":
            path = b"/" + path
        return scheme + slashes + authority + self._path.of(path)


def _end(rest: bytes) -> int:
    """Where the authority ends that C{rest} begins with."""
    return min([place for place in (rest.find(b"/"), rest.find(b"?")) if place >= 0], default=len(rest))
