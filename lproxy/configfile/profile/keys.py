# -*- test-case-name: tests.configfile.profile.test_keys -*-
"""
Every key of a profile in TOML, and what it is for, each exactly once; defaults are those of L{lproxy.profile}.

Over 300 lines: it is the one place where such a key stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lproxy.configfile.kinds import KINDS, Kind, kind_of, read_text
from lproxy.configfile.problem import Path, Report, Wrong, did_you_mean, show
from lproxy.configfile.profile.condition import ANSWER, REQUEST, Match, status_range, token, written_range
from lproxy.configfile.profile.shape import NOTHING, Key, Keys, Many, Names, One
from lproxy.configfile.units import type_name
from lproxy.edits import REDIRECTS, bad_host, bad_path, bad_prefix, bad_status, bad_value, forbidden
from lproxy.profile import (
    ALWAYS,
    All,
    Answer,
    AnyOf,
    Backend,
    Condition,
    Fields,
    Hedge,
    Profile,
    Rate,
    Redirect,
    ResponseClass,
    Retries,
    RetryBudget,
    Rewrite,
    Route,
    RouteTimeouts,
    Sticky,
)
from lproxy.profile import Path as PathCondition

#: beyond all weights that anybody means, and what the Gateway API allows
MAX_WEIGHT = 1_000_000

#: statuses of answers without content (RFC 9110, 15.3.5, 15.3.6 and 15.4.5)
BODILESS = (204, 205, 304)
#: the statuses of gRPC, by number
GRPC = (
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
)


def count(noun: str, first: int, last: int, example: str) -> Kind:
    """Whole numbers, C{first} to C{last}."""

    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Wrong(f"must be a {noun}, not {type_name(value)}", example)
        if value < first:
            raise Wrong(f"{show(value)} is less than {first}" if first else f"{show(value)} is negative", example)
        if value > last:
            raise Wrong(f"{show(value)} is more than {last}", example)
        return value

    return Kind(noun, read)


def fraction(value: Any) -> float:
    """A number between zero and one."""
    number: float = KINDS[float, ""].read(value)
    if number >= 1:
        raise Wrong(f"{show(value)} is not less than 1", "write a number such as 0.95")
    return number


def ratio(value: Any) -> float:
    """A number that may be zero."""
    if value == 0 and not isinstance(value, bool):
        return 0.0
    number: float = KINDS[float, ""].read(value)
    return number


def grpc_status(value: Any) -> int:
    """C{"unavailable"} or C{14}."""
    if isinstance(value, str):
        name = value.lower().replace("-", "_")
        if name not in GRPC:
            raise Wrong(f"{show(value)} is no status of gRPC", did_you_mean(name, GRPC) or 'one is "unavailable"')
        value = GRPC.index(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < len(GRPC):
        raise Wrong(f"{show(value)} is no status of gRPC", f"they are 0 to {len(GRPC) - 1}, or names")
    if value == 0:
        raise Wrong("ok is no failure", 'write those that are, such as "unavailable"')
    return value


def checked(wrong_with: Any) -> Any:
    """From a function of L{lproxy.edits}, which says what is wrong, to a check, which raises it."""

    def check(value: Any) -> Any:
        if wrong := wrong_with(value):
            raise Wrong(f"{show(value)} {wrong}")
        return value

    return check


def target(text: str) -> str:
    """Where a backend is: not nowhere."""
    if not text:
        raise Wrong("is empty", 'write an authority such as "web-v2.local:80", or the name of a [services] table')
    return text


TEXT = KINDS[str, ""]
BOOLEAN = KINDS[bool, ""]
COUNT = KINDS[int, ""]
SIZE = KINDS[int, "size"]
DURATION = KINDS[float, "duration"]
RATIO = Kind("number", ratio)
PORT = count("port", 1, 65535, "write a number such as 443")
WEIGHT = count("whole number", 0, MAX_WEIGHT, "write a number such as 90")
STATUS_RANGE = Kind("status or range of them", status_range, written_range)
FIELD_NAME = One(TEXT, lambda text: token(text).lower())

MATCH = Match(REQUEST)


def some_weight(backends: Any) -> Any:
    """C{backends}, if anybody of them gets anything."""
    if backends and all(one.weight == 0 for one in backends):
        raise Wrong("have no weight at all: nobody would be asked", "give one of them a weight")
    return backends


@dataclass(frozen=True)
class Backends:
    """The shape of a split."""

    of: Many

    @property
    def name(self) -> str:
        return "array of tables, or of strings"

    def read(self, value: Any, path: Path, report: Report) -> Any:
        found = self.of.read(value, path, report)
        names = [one.service for one in found]
        for index, one in enumerate(found):
            if one.service in names[:index]:
                report.error((*path, index), f"{show(one.service)} is given twice", "give it the sum of both weights")
        return some_weight(found)

    def write(self, value: Any) -> Any:
        return self.of.write(value)


BACKEND = Keys(
    Backend,
    "a backend",
    (
        Key(
            "service",
            One(TEXT, target),
            "who that is, as a target is written: an authority such as web-v2.local:80, or the name of a [services] "
            "table",
            required=True,
        ),
        Key("weight", One(WEIGHT), "its part of the sum of all weights; 0: none, for the moment"),
    ),
    lone="service",
)
BACKENDS = Backends(Many(BACKEND, repeated=True))


@dataclass(frozen=True)
class Class:
    """The shape of a response class: a condition of the answer's, and what is made of it."""

    match: Match
    name: str = "table"

    def read(self, value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, dict):
            raise Wrong(f"must be a table, not {type_name(value)}", 'write { status = "5xx", failure = true }')
        rest = dict(value)
        failure = rest.pop("failure", True)
        if not isinstance(failure, bool):
            report.error((*path, "failure"), f"must be a boolean, not {type_name(failure)}", "write true or false")
        if not rest:
            raise Wrong("has no condition", 'write { status = "5xx", failure = true }')
        found = self.match.read(rest, path, report)
        return found if found is NOTHING else ResponseClass(found, failure)

    def write(self, value: Any) -> Any:
        return {**self.match.write(value.condition), "failure": value.failure}


CLASSES = Many(Class(Match(ANSWER, ())), repeated=True)

RETRIES = Keys(
    Retries,
    "retries of a route",
    (
        Key(
            "tries",
            One(count("whole number", 1, 100, "write a number such as 3")),
            "how often a request is sent at most, the first time included",
        ),
        Key(
            "failures",
            One(BOOLEAN),
            "whether an answer that response_classes call a failure is a reason; without such classes, those of 500 "
            "and above, and of gRPC, the statuses that say the server is at fault",
            "classified",
        ),
        Key("statuses", Many(One(STATUS_RANGE), lone=True), "further reasons, as 503, 500-599 or 5xx"),
        Key(
            "grpc",
            Many(One(Kind("status of gRPC", grpc_status, lambda number: GRPC[number])), lone=True),
            "further reasons, statuses of gRPC by name or number",
        ),
        Key(
            "unsafe",
            One(BOOLEAN),
            "whether methods are repeated too that are not idempotent (RFC 9110, 9.2.2), such as POST; calls of gRPC "
            "are POST",
        ),
        Key("body", One(SIZE), "how much of a request's body is kept to be sent again; one with more is not repeated"),
    ),
    bare=True,
)

BUDGET = Keys(
    RetryBudget,
    "the retry budget of a service",
    (
        Key("ratio", One(RATIO), "further tries for each request, as a part of one: 0.2 is 20 %"),
        Key("minimum", One(RATIO), "so many a second besides, for services that are seldom asked"),
        Key("ttl", One(DURATION), "how long a request counts"),
    ),
)

TIMEOUTS = Keys(
    RouteTimeouts,
    "timeouts of a route",
    (
        Key("response_headers", One(DURATION), "from the end of a request to the head of its answer, of the last try"),
        Key("stream", One(DURATION), "a whole request and its answer, all tries included"),
        Key("per_try", One(DURATION), "one try, to the head of its answer; then another is made, where retries allow"),
    ),
)

HEDGE = Keys(
    Hedge,
    "hedging of a route",
    (
        Key(
            "quantile",
            One(Kind("number", fraction)),
            "the part of the route's requests that are answered sooner than a second try is made",
        ),
        Key("at_least", One(DURATION), "how long to wait for the first in any case"),
    ),
    bare=True,
)

VALUES = Names(One(TEXT, checked(bad_value)), forbidden)


def _some(values: dict[str, Any]) -> None:
    if not values:
        raise Wrong("is empty", "leave it out")


FIELDS = Keys(
    Fields,
    "edits of fields",
    (
        Key("set", VALUES, "fields that have this value afterwards, in the place of all of the name"),
        Key("add", VALUES, "fields that are there besides"),
        Key("remove", Many(One(TEXT, checked(forbidden)), lone=True), "fields that are gone afterwards; done first"),
    ),
    settle=_some,
)


def _one_path(values: dict[str, Any]) -> None:
    _some(values)
    if "path" in values and "prefix" in values:
        raise Wrong("has a path and a prefix", "write the one or the other")


REWRITE = Keys(
    Rewrite,
    "a rewrite",
    (
        Key("path", One(TEXT, checked(bad_path)), "the whole path that is asked for; the query stays"),
        Key(
            "prefix",
            One(TEXT, checked(bad_prefix)),
            "what stands in the place of the path_prefix that the route matches by",
        ),
        Key("host", One(TEXT, checked(bad_host)), "the authority that the upstream is told"),
    ),
    settle=_one_path,
)

REDIRECT = Keys(
    Redirect,
    "a redirect",
    (
        Key(
            "status",
            One(COUNT, checked(lambda status: bad_status(status, True))),
            f"one of {', '.join(map(str, REDIRECTS))}",
        ),
        Key(
            "scheme",
            One(
                kind_of(str, ""), checked(lambda text: "" if text in ("http", "https") else "is neither http nor https")
            ),
            "http or https; empty: as it was asked",
        ),
        Key("host", One(TEXT, checked(bad_host)), "the host; empty: as it was asked"),
        Key("port", One(PORT), "the port; unset: as it was asked, or that of the scheme where that is given"),
        Key("path", One(TEXT, checked(bad_path)), "the whole path; the query stays"),
        Key(
            "prefix",
            One(TEXT, checked(bad_prefix)),
            "what stands in the place of the path_prefix that the route matches by",
        ),
    ),
    settle=_one_path,
)


def read_body(value: Any) -> str:
    """Text of any lines."""
    return value if isinstance(value, str) else read_text(value)


def _no_content(values: dict[str, Any]) -> None:
    if values.get("body") and (status := values.get("status")) in BODILESS:
        raise Wrong(f"has a body, and an answer of status {status} has none", "leave it out, or write another status")


ANSWER_KEYS = Keys(
    Answer,
    "a static answer",
    (
        Key("status", One(COUNT, checked(bad_status)), "of the answer, such as 503", required=True),
        Key("body", One(Kind("string", read_body)), "its body, as text"),
        Key("content_type", One(TEXT, checked(bad_value)), "of the body"),
    ),
    settle=_no_content,
)


RATES = Many(One(KINDS[Rate, ""]))


def _one_mark(values: dict[str, Any]) -> None:
    if len(values) != 1:
        raise Wrong("needs a header or a cookie, and one of them alone", 'write { cookie = "session" }')


STICKY = Keys(
    Sticky,
    "stickiness",
    (
        Key("header", FIELD_NAME, "the field whose value decides"),
        Key("cookie", One(TEXT, token), "the cookie whose value decides"),
    ),
    settle=_one_mark,
)


def has_prefix(condition: Condition) -> bool:
    """Whether whatever fits C{condition} begins with a prefix that it names."""
    match condition:
        case PathCondition(kind=kind):
            return kind == "prefix"
        case All(of):
            return any(has_prefix(one) for one in of)
        case AnyOf(of):
            return all(has_prefix(one) for one in of)
        case _:
            return False


def _settle_route(values: dict[str, Any]) -> None:
    ends = [key for key in ("backends", "redirect", "answer") if values.get(key)]
    if len(ends) > 1:
        raise Wrong(f"has {' and '.join(ends)}, and can have one of them", "leave out the others")
    for key in ("rewrite", "redirect"):
        if key in values and values[key].prefix is not None and not has_prefix(values.get("condition", ALWAYS)):
            raise Wrong(f"has a prefix in its {key}, and matches by none", 'write match = { path_prefix = "/..." }')


ROUTE = Keys(
    Route,
    "a route",
    (
        Key("match", MATCH, "which requests these are, of those that no route before has; unset: all", "condition"),
        Key(
            "response_classes",
            CLASSES,
            "which answers are failures: the first that fits decides; unset: those of 500 and above",
            "classes",
        ),
        Key("retries", RETRIES, "whether and when requests are sent again; unset: where nothing can have come of them"),
        Key("timeouts", TIMEOUTS, "how long its requests may take"),
        Key(
            "hedge",
            HEDGE,
            "whether a second try is made beside a first that takes long, of requests that may be sent again: of "
            "idempotent methods, unless retries say unsafe",
        ),
        Key("backends", BACKENDS, "who serves its requests, by weight; unset: the service"),
        Key("request_headers", FIELDS, "edits of requests' fields", "request"),
        Key("response_headers", FIELDS, "edits of answers' fields", "response"),
        Key("rewrite", REWRITE, "what the upstream is asked for instead"),
        Key("redirect", REDIRECT, "where clients are sent instead"),
        Key("answer", ANSWER_KEYS, "what is answered without asking anybody"),
        Key("max_body", One(SIZE), "of a request's body; with more it is refused (413)"),
        Key(
            "rates",
            RATES,
            "how many requests there may be, as [[listen]] rates; more are refused (429)",
        ),
    ),
    settle=_settle_route,
    fixed=(("name", ""),),
)

SERVICE = Keys(
    Profile,
    "a service",
    (
        Key("retry_budget", BUDGET, "how many further tries it is burdened with, all routes together", "budget"),
        Key("backends", BACKENDS, "who serves it, by weight, where a route has no backends; unset: its endpoints"),
        Key("sticky", STICKY, "by what a client is known, so that the same endpoint and backend serve it"),
        Key(
            "rates",
            RATES,
            "how many requests there may be, of all routes, as [[listen]] rates; more: 429",
        ),
        Key("opaque_ports", Many(One(PORT)), "ports at which nobody detects what is spoken", "opaque_ports"),
    ),
)
