# -*- test-case-name: tests.explain.test_words -*-
"""
Profiles in words: conditions, and what is done about a route's requests.
"""

from __future__ import annotations

from collections.abc import Iterator

from lproxy.configfile.profile.condition import ANYTHING
from lproxy.configfile.profile.keys import GRPC
from lproxy.configfile.units import write_duration, write_size
from lproxy.profile import (
    All,
    AnyOf,
    Backend,
    Condition,
    Fields,
    Header,
    Kind,
    Method,
    Not,
    Path,
    Profile,
    Query,
    Rate,
    Redirect,
    Retries,
    RetryBudget,
    Rewrite,
    Route,
    RouteTimeouts,
    Statuses,
)


def several(count: int, of: str) -> str:
    """How many there are, of what has an s at the end where it is not one."""
    return f"{count} {of}" if count == 1 else f"{count} {of}s"


def condition(one: Condition, inner: bool = False) -> str:
    """
    What a request, or an answer, must be.

    @param inner: whether it is a part of another, and what has parts itself stands in brackets
    """
    match one:
        case Method(name):
            return f"method {name}"
        case Path(value, kind):
            return f"path {compared(value, kind)}"
        case Header(name, None):
            return f"has {name}"
        case Header(name, str(value), kind):
            return f"{name} {compared(value, kind)}"
        case Query(name, value, kind):
            has = kind == "regex" and value == ANYTHING
            return f"has the parameter {name}" if has else f"parameter {name} {compared(value, kind)}"
        case Statuses(first, last):
            return f"status {first}" if first == last else f"status {first} to {last}"
        case Not(of=other):
            return f"not ({condition(other)})" if isinstance(other, All | AnyOf) else f"not {condition(other)}"
        case All(()):
            return "every request"
        case All(of):
            return _joined(" and ", of, inner)
        case AnyOf(of):
            return _joined(" or ", of, inner)
    raise AssertionError(f"{one!r} is no condition")


def _joined(word: str, of: tuple[Condition, ...], inner: bool) -> str:
    text = word.join(condition(one, True) for one in of)
    return f"({text})" if inner and len(of) > 1 else text


def compared(value: str, kind: Kind) -> str:
    """How something is compared with C{value}."""
    if kind == "regex":
        return f"matches {value}"
    return f"is {value}" if kind == "exact" else "begins with /" if value == "/" else f"is {value} or below"


def shares(backends: tuple[Backend, ...]) -> str:
    """Who gets how much."""
    total = sum(one.weight for one in backends)
    return ", ".join(f"{one.service} {100 * one.weight / total:.4g} %" for one in backends)


def policies(route: Route) -> Iterator[tuple[str, str]]:
    """What is done about C{route}'s requests, by what kind of thing it is."""
    if route.redirect is not None:
        yield "redirect", redirected(route.redirect)
    if route.answer is not None:
        size = len(route.answer.body.encode())
        yield "answer", f"{route.answer.status}" + (f", {size} bytes of {route.answer.content_type}" if size else "")
    if route.backends:
        yield "backends", shares(route.backends)
    if route.timeouts != RouteTimeouts():
        yield "timeouts", timeouts(route.timeouts)
    if route.retries is not None:
        yield "retries", retries(route.retries)
    if route.hedge is not None:
        later = (
            f"what {100 * route.hedge.quantile:g} % are answered in, {write_duration(route.hedge.at_least)} at least"
        )
        yield "hedge", f"a second try after {later}"
    for one in route.classes:
        yield "failures" if one.failure else "no failures", condition(one.condition)
    if route.rewrite is not None:
        yield "rewrite", rewritten(route.rewrite)
    for name, fields in (("request", route.request), ("response", route.response)):
        if fields is not None:
            yield f"{name} fields", edited(fields)
    if route.max_body is not None:
        yield "body", f"{amount(route.max_body)} at most"
    for rate in route.rates:
        yield "rate", limited(rate)


def service(profile: Profile) -> Iterator[tuple[str, str]]:
    """What is done about all requests of a service."""
    if profile.backends:
        yield "backends", shares(profile.backends)
    if profile.sticky is not None:
        by = profile.sticky
        yield "sticky", f"by the header {by.header}" if by.header else f"by the cookie {by.cookie}"
    if profile.budget is not None:
        yield "retry budget", budgeted(profile.budget)
    for rate in profile.rates:
        yield "rate", limited(rate)
    if profile.opaque_ports:
        yield "opaque", ", ".join(map(str, sorted(profile.opaque_ports)))


def budgeted(own: RetryBudget) -> str:
    """How many further tries there may be."""
    return f"{100 * own.ratio:g} % of the requests of {write_duration(own.ttl)}, and {own.minimum:g} a second"


def timeouts(own: RouteTimeouts) -> str:
    """How long requests may take."""
    parts = [
        (own.stream, "in all"),
        (own.response_headers, "to the head of the answer"),
        (own.per_try, "for one try"),
    ]
    return ", ".join(f"{write_duration(seconds)} {what}" for seconds, what in parts if seconds is not None)


def retries(own: Retries) -> str:
    """When requests are sent again."""
    reasons = ["where the answer is a failure"] if own.classified else []
    if own.statuses:
        ranges = [f"{first}" if first == last else f"{first} to {last}" for first, last in own.statuses]
        reasons.append(f"on {', '.join(ranges)}")
    if own.grpc:
        reasons.append(f"on gRPC {', '.join(GRPC[status] for status in own.grpc)}")
    methods = "any method" if own.unsafe else "idempotent methods"
    why = f" {' or '.join(reasons)}" if reasons else ""
    return f"{own.tries} tries at most{why}; {methods}, bodies up to {amount(own.body)}"


def amount(count: int) -> str:
    """How many bytes."""
    text = write_size(count)
    return text if isinstance(text, str) else f"{text} bytes"


def redirected(own: Redirect) -> str:
    """Where clients are sent."""
    parts = [f"scheme {own.scheme}"] if own.scheme else []
    parts += [f"host {own.host}"] if own.host else []
    parts += [f"port {own.port}"] if own.port is not None else []
    parts += [f"path {own.path}"] if own.path is not None else []
    parts += [f"{own.prefix or 'nothing'} in the prefix's place"] if own.prefix is not None else []
    return f"{own.status}: " + (", ".join(parts) or "to the same")


def rewritten(own: Rewrite) -> str:
    """What the upstream is asked for."""
    parts = [f"path {own.path}"] if own.path is not None else []
    parts += [f"{own.prefix or 'nothing'} in the prefix's place"] if own.prefix is not None else []
    parts += [f"host {own.host}"] if own.host else []
    return ", ".join(parts)


def edited(own: Fields) -> str:
    """What becomes of fields."""
    parts = [f"{name} removed" for name in own.remove]
    parts += [f"{name}: {value}" for name, value in own.set]
    parts += [f"{name}: {value} added" for name, value in own.add]
    return ", ".join(parts)


def limited(rate: Rate) -> str:
    """How many requests there may be."""
    whose = {
        "all": "",
        "client": " of each client's address",
        "identity": " of each client's identity",
        "header": f" of each value of {rate.header}",
    }[rate.by]
    burst = f", {rate.burst} at once" if rate.burst else ""
    return f"{rate.requests} in {write_duration(rate.per)}{whose}{burst}"
