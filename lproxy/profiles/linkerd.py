# -*- test-case-name: tests.profiles.test_linkerd -*-
"""
Linkerd's C{ServiceProfile} (C{linkerd.io/v1alpha2}), read as it is.

What its fields mean is what Linkerd makes of them: patterns have to match all of a path, several fields of a condition
all have to fit, a route that is retryable is so whatever its method is, as often as the budget allows, and C{timeout}
is that of the whole request, all tries included.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import replace
from decimal import Decimal
from typing import Final

from lproxy.configfile.address import HOST_NAME
from lproxy.configfile.problem import Wrong, show
from lproxy.configfile.profile.read import refuse_name
from lproxy.configfile.profile.splits import is_ip
from lproxy.profile import (
    All,
    AnyOf,
    Backend,
    Condition,
    Method,
    Not,
    Path,
    Profile,
    ResponseClass,
    Retries,
    RetryBudget,
    Route,
    RouteTimeouts,
    Statuses,
    shared,
)
from lproxy.profiles.described import OfService
from lproxy.profiles.field import Field, Skip
from lproxy.profiles.patterns import BadPattern, refuse
from lproxy.profiles.quantity import go_duration, quantity, weights
from lproxy.target import join_host_port, split_host_port

API: Final = "linkerd.io/v1alpha2"
KIND: Final = "ServiceProfile"

#: of a retryable route: Linkerd has the budget alone bound them. With ten tries, where every second fails, one request
#: in a thousand still does
RETRYABLE: Final = Retries(tries=10, unsafe=True)
#: routes of one service: as many as in TOML
MAX_ROUTES: Final = 10_000
#: conditions in conditions
MAX_DEPTH: Final = 16

NO_TIMEOUTS: Final = RouteTimeouts()

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PORTS: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")

#: reads one condition, which is so deep in others
Reader = Callable[[Field, int], Condition]


def read(document: Field, name: str, namespace: str) -> Generator[None, None, OfService]:
    """
    The profile in C{document}, of which it is known that it is one; between routes there is time for others.

    @raise Skip: there is none to be made of it; that is reported
    """
    host = name.lower().removesuffix(".")
    if not HOST_NAME.fullmatch(host):
        raise (
            document.need("metadata")
            .need("name")
            .refuse(f"{show(name)} is no host name", "write that of the service: web.shop.svc.cluster.local")
        )
    document.known("apiVersion", "kind", "metadata", "spec", "status")
    spec = document.need("spec", "write spec: and below it routes:").known(
        "routes", "retryBudget", "dstOverrides", "opaquePorts"
    )
    routes = spec.get("routes")
    budget = spec.get("retryBudget")
    overrides = spec.get("dstOverrides")
    opaque = spec.get("opaquePorts")
    found: tuple[Route, ...] = ()
    if routes is not None:
        found = yield from _routes(routes)
    profile = Profile(
        routes=found,
        budget=budget.attempt(_budget) if budget is not None else None,
        backends=_overrides(overrides) if overrides is not None else (),
        opaque_ports=frozenset(port for ports in opaque.each(_ports) for port in ports)
        if opaque is not None
        else frozenset(),
        source=f"{KIND} {name} ({document.sheet.file})",
    )
    return OfService(host, namespace, profile, document.sheet.file, document.node.line)


def _routes(field: Field) -> Generator[None, None, tuple[Route, ...]]:
    if len(list(field.items())) > MAX_ROUTES:
        field.error(f"are more than {MAX_ROUTES} routes")
        return ()
    first: dict[str, Field] = {}
    found = []
    for one in field.items():
        yield
        try:
            route = _route(one)
        except Skip:
            continue
        if (other := first.setdefault(route.name, one)) is not one:
            one.warn(f"the name {show(route.name)} is that of the route in line {other.line}, too", "give it its own")
        found.append(route)
    return told_apart(found)


def told_apart(routes: list[Route]) -> tuple[Route, ...]:
    """C{routes}, of which those that have the name of an earlier one have a number behind it."""
    seen: Counter[str] = Counter()
    found = []
    for route in routes:
        seen[route.name] += 1
        count = seen[route.name]
        found.append(route if count == 1 else replace(route, name=f"{route.name} ({count})"))
    return tuple(found)


def _route(field: Field) -> Route:
    field.known("name", "condition", "isRetryable", "timeout", "responseClasses")
    named = field.need("name", "write name: GET /books")
    name = named.text()
    if wrong := refuse_name(name):
        raise named.refuse(wrong)
    condition = field.need("condition", "write condition: and below it method: or pathRegex:")
    retryable, timeout, classes = field.get("isRetryable"), field.get("timeout"), field.get("responseClasses")
    return shared(
        Route(
            name=name,
            condition=_request(condition),
            classes=tuple(classes.each(_class)) if classes is not None else (),
            retries=RETRYABLE if retryable is not None and retryable.boolean() else None,
            timeouts=RouteTimeouts(stream=timeout.measured(go_duration)) if timeout is not None else NO_TIMEOUTS,
        )
    )


def _request(field: Field, depth: int = 0) -> Condition:
    """What a request must be."""
    field.known("method", "pathRegex", "all", "any", "not")
    parts: list[Condition] = []
    if (method := field.get("method")) is not None:
        parts.append(Method(method.made(_method)))
    if (pattern := field.get("pathRegex")) is not None:
        parts.append(Path(pattern.made(checked_pattern), "regex"))
    parts += _nested(field, _request, depth)
    return _all(field, parts, "method, pathRegex, all, any or not")


def _response(field: Field, depth: int = 0) -> Condition:
    """What an answer must be."""
    field.known("status", "all", "any", "not")
    parts: list[Condition] = []
    if (status := field.get("status")) is not None:
        status.known("min", "max")
        least, most = status.get("min"), status.get("max")
        if least is None and most is None:
            raise status.refuse("has neither min nor max", "write min: 500 and max: 599")
        # one of them alone is that status alone
        first = (least or status.need("max")).whole(100, 599)
        last = (most or status.need("min")).whole(100, 599)
        if first > last:
            raise status.refuse(f"min {first} is more than max {last}: no status is that", "swap them")
        parts.append(Statuses(first, last))
    parts += _nested(field, _response, depth)
    return _all(field, parts, "status, all, any or not")


def _nested(field: Field, read: Reader, depth: int) -> list[Condition]:
    if depth > MAX_DEPTH:
        raise field.refuse(f"is nested more than {MAX_DEPTH} deep")
    parts: list[Condition] = []
    for name, make in (("all", All), ("any", AnyOf)):
        if (several := field.get(name)) is not None:
            fields = list(several.items())
            if not fields:
                raise several.refuse("is empty", "leave it out")
            parts.append(make(tuple(read(one, depth + 1) for one in fields)))
    if (other := field.get("not")) is not None:
        parts.append(Not(read(other, depth + 1)))
    return parts


def _all(field: Field, parts: list[Condition], names: str) -> Condition:
    if not parts:
        raise field.refuse("has no field", f"write {names}")
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _class(field: Field) -> ResponseClass:
    field.known("condition", "isFailure")
    condition = _response(field.need("condition", "write condition: and below it status:"))
    failure = field.get("isFailure")
    return ResponseClass(condition, failure.boolean() if failure is not None else False)


def _budget(field: Field) -> RetryBudget:
    field.known("retryRatio", "minRetriesPerSecond", "ttl")
    ratio = field.need("retryRatio", "write retryRatio: 0.2").word()
    try:
        number = float(ratio)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1000:
        raise field.need("retryRatio").refuse(f"{show(ratio)} is no ratio", "write a number such as 0.2")
    minimum = field.need("minRetriesPerSecond", "write minRetriesPerSecond: 10").whole(0, 1_000_000)
    return RetryBudget(number, float(minimum), field.need("ttl", "write ttl: 10s").measured(go_duration))


def _overrides(field: Field) -> tuple[Backend, ...]:
    pairs = field.each(_override)
    total = weights([weight for _, weight in pairs])
    if pairs and not any(total) and len(pairs) == len(list(field.items())):
        field.error("have no weight at all: nobody would be asked", "give one of them a weight")
    first: dict[str, int] = {}
    for index, (authority, _) in enumerate(pairs):
        if first.setdefault(authority, index) != index:
            field.error(f"{show(authority)} is given twice", "give it the sum of both weights")
    return tuple(Backend(authority, weight) for (authority, _), weight in zip(pairs, total, strict=True))


def _override(field: Field) -> tuple[str, Decimal]:
    field.known("authority", "weight")
    authority = field.need("authority", "write that of a service, such as web-v2.shop.svc.cluster.local:80")
    weight = field.get("weight")
    name = authority.made(_authority)
    return name, weight.measured(quantity) if weight is not None else Decimal(1)


def _authority(text: str) -> str:
    """C{text} as an authority, in lower case and without the root's dot, with a port or without."""
    try:
        host, port = split_host_port(text.lower(), 0)
    except ValueError as error:
        raise Wrong(f"{show(text)} is no authority: its port is none") from error
    host = host.removesuffix(".")
    if not HOST_NAME.fullmatch(host) and not is_ip(host):
        raise Wrong(f"{show(text)} is no authority", "write one such as web-v2.shop.svc.cluster.local:80")
    return join_host_port(host, port) if port else text.lower().removesuffix(".")


def _ports(field: Field) -> range:
    text = field.word()
    found = _PORTS.fullmatch(text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found is not None else (0, 0)
    if not 0 < first <= last < 65536:
        raise field.refuse(f"{show(text)} is no port", 'write one such as "3306", or a range such as "4000-4010"')
    return range(first, last + 1)


def _method(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise Wrong(f"{show(text)} is no method", "write one such as GET")
    return text.upper()


def checked_pattern(text: str) -> str:
    """C{text}, if it is a regular expression that can be matched in linear time."""
    try:
        refuse(text)
    except BadPattern as error:
        raise Wrong(f"{show(text)} {error}") from error
    return text
