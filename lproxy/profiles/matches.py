# -*- test-case-name: tests.profiles.test_matches -*-
"""
Matches of the Gateway API's rules: what a request must be, and which of several matches has precedence.

The most specific one has, as the API says: of C{HTTPRoute}s an exact path, then (which the API leaves open) a regular
expression, then the longest prefix; then a method, more fields, more parameters. Of C{GRPCRoute}s the longest service,
the longest method, then more fields; who names a service comes before who does not, and names before expressions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from lproxy.configfile.problem import Wrong, show
from lproxy.profile import All, Condition, Header, Kind, Method, Path, Query
from lproxy.profiles.field import Field
from lproxy.profiles.linkerd import checked_pattern

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")

EXACT: Final = "Exact"
PREFIX: Final = "PathPrefix"
REGEX: Final = "RegularExpression"

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: of a service or method of gRPC
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
#: what stands between two slashes
_SEGMENT: Final = "[^/]+"


class Match(NamedTuple):
    """
    One match.

    @ivar rank: the smallest has precedence
    @ivar prefix: whether it is of a path's beginning, which can be replaced
    """

    condition: Condition
    rank: tuple[int, ...]
    prefix: bool = False


class Reading(NamedTuple):
    """
    How matches of one kind of routes are read.

    @ivar everything: what a rule without matches has, and its rank
    """

    read: Callable[[Field], Match]
    everything: Condition
    least: tuple[int, ...]


def read_match(field: Field, reading: Reading) -> Match:
    """
    What C{field} says.

    @raise lproxy.profiles.field.Skip: it is wrong, and reported
    """
    return reading.read(field)


def _http(field: Field) -> Match:
    field.known("path", "headers", "queryParams", "method")
    path = field.get("path")
    kind, value = (EXACT, "") if path is None else _path(path)
    if path is None:
        kind, value = PREFIX, "/"
    parts: list[Condition] = []
    if kind != PREFIX or value != "/":
        parts.append(Path(value, {EXACT: "exact", PREFIX: "prefix", REGEX: "regex"}[kind]))  # type: ignore[arg-type]
    method = field.get("method")
    if method is not None:
        parts.insert(0, Method(method.one_of(*METHODS)))
    headers = _headers(field)
    query = _query(field)
    parts += [*headers, *query]
    rank = (
        (EXACT, REGEX, PREFIX).index(kind),
        -len(value),
        0 if method is not None else 1,
        -len(headers),
        -len(query),
    )
    return Match(_together(parts, Path("/", "prefix")), rank, kind == PREFIX)


def _path(field: Field) -> tuple[str, str]:
    field.known("type", "value")
    kind_field, value_field = field.get("type"), field.get("value")
    kind = kind_field.one_of(EXACT, PREFIX, REGEX) if kind_field is not None else PREFIX
    if value_field is None:
        return kind, "/"
    return kind, value_field.made(checked_pattern if kind == REGEX else rooted)


def rooted(text: str) -> str:
    """C{text}, if it is a path."""
    if not text.startswith("/"):
        raise Wrong(f"{show(text)} does not begin with /", f"write {show('/' + text)}")
    if "?" in text:
        raise Wrong(f"{show(text)} has a query, which a path does not", "parameters are queryParams")
    if "#" in text:
        raise Wrong(f"{show(text)} has a fragment, which nobody is sent", "write %23 where # is part of the path")
    return text


def _grpc(field: Field) -> Match:
    field.known("method", "headers")
    method_field = field.get("method")
    headers = _headers(field)
    parts: list[Condition] = []
    service = method = ""
    kind = EXACT
    if method_field is not None:
        method_field.known("type", "service", "method")
        kind_field = method_field.get("type")
        kind = kind_field.one_of(EXACT, REGEX) if kind_field is not None else EXACT
        service_name, method_name = method_field.get("service"), method_field.get("method")
        if service_name is None and method_name is None:
            raise method_field.refuse("has neither service nor method", "write service: books.Books")
        check = checked_pattern if kind == REGEX else _name
        service = service_name.made(check) if service_name is not None else ""
        method = method_name.made(check) if method_name is not None else ""
        path = _call(service, method, kind)
        if path.kind == "regex":
            # what each of the two is by itself, both together need not be
            method_field.judged(checked_pattern, path.value)
        parts.append(path)
    rank = (0 if service else 1, 1 if kind == REGEX else 0, -len(service), -len(method), -len(headers))
    return Match(_together([*parts, *headers], Path("/", "prefix")), rank)


def _call(service: str, method: str, kind: str) -> Path:
    """The path of a call: C{/SERVICE/METHOD}."""
    if kind == EXACT and service:
        return Path(f"/{service}/{method}") if method else Path(f"/{service}", "prefix")
    if kind == EXACT:
        return Path(f"/{_SEGMENT}/{method}", "regex")
    return Path(f"/{f'(?:{service})' if service else _SEGMENT}/{f'(?:{method})' if method else _SEGMENT}", "regex")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise Wrong(f"{show(text)} is no name of gRPC", "write a service such as books.Books, and a method such as Get")
    return text


def _headers(field: Field) -> list[Condition]:
    return _named(field, "headers", lambda name, value, kind: Header(name.lower(), value, kind), True)


def _query(field: Field) -> list[Condition]:
    return _named(field, "queryParams", Query, False)


def _named(field: Field, name: str, make: Callable[[str, str, Kind], Condition], fields: bool) -> list[Condition]:
    """Fields or parameters, of which the first of a name counts, as the API says."""
    several = field.get(name)
    if several is None:
        return []
    found: dict[str, Condition] = {}
    for one in several.items():
        one.known("type", "name", "value")
        kind_field = one.get("type")
        regex = kind_field is not None and kind_field.one_of(EXACT, REGEX) == REGEX
        name_field, value_field = one.need("name"), one.need("value")
        own = name_field.text()
        if fields:
            own = own.lower()
            if not _TOKEN.fullmatch(own):
                raise name_field.refuse(f"{show(own)} is no name of a field")
        value = value_field.made(checked_pattern) if regex else value_field.text()
        if own in found:
            one.warn("is not looked at: the first of the name counts")
            continue
        found[own] = make(own, value, "regex" if regex else "exact")
    return list(found.values())


def _together(parts: list[Condition], otherwise: Condition) -> Condition:
    if not parts:
        return otherwise
    return parts[0] if len(parts) == 1 else All(tuple(parts))


HTTP: Final = Reading(_http, Path("/", "prefix"), (2, -1, 1, 0, 0))
GRPC: Final = Reading(_grpc, Path("/", "prefix"), (1, 0, 0, 0, 0))
