# -*- test-case-name: tests.profiles.test_gateway -*-
"""
C{HTTPRoute} and C{GRPCRoute} of the Gateway API (C{gateway.networking.k8s.io}), and Linkerd's own C{HTTPRoute}: whose
they are, and the routes that their rules are.

Attached to services (GAMMA), they are for those; attached to gateways, for the hosts that they name. What does not map
is told: a warning where it can be left out, else an error.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import replace
from typing import Final

from lproxy.configfile.problem import show
from lproxy.configfile.profile.read import refuse_name
from lproxy.profile import Answer, Backend, Retries, Route, RouteTimeouts
from lproxy.profiles.described import OfRoutes, Parent, Ranked
from lproxy.profiles.field import Field, Skip
from lproxy.profiles.filters import Filters, read_filters
from lproxy.profiles.matches import GRPC, HTTP, Match, read_match
from lproxy.profiles.names import ServiceOf
from lproxy.profiles.quantity import gateway_duration
from lproxy.target import join_host_port

APIS: Final = (
    *(f"gateway.networking.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha2")),
    *(f"policy.linkerd.io/{version}" for version in ("v1alpha1", "v1beta1", "v1beta2", "v1beta3")),
)
KINDS: Final = {"HTTPRoute": HTTP, "GRPCRoute": GRPC}

#: of the API itself
MAX_WEIGHT: Final = 1_000_000
#: rules of one document: as many as a service may have routes
MAX_RULES: Final = 10_000
#: the names of hosts, with * for all labels below
_HOST: Final = re.compile(r"(?:\*\.)?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")
#: groups of services, and of gateways
_CORE: Final = ("", "core")
_GATEWAY: Final = "gateway.networking.k8s.io"
#: of a host that is none of those that are named
EVERYBODY: Final = "*"

#: what a request is told that no rule has
NOT_FOUND: Final = Answer(404, "no rule of the service's routes has this request\n")


class _Owner:
    """
    Whose rules are read.

    @ivar rank: what decides where matches are equal: the oldest document, then by name
    @ivar domain: where the cluster's services are
    """

    __slots__ = ("domain", "kind", "name", "namespace", "rank")

    def __init__(self, kind: str, name: str, namespace: str, created: str, domain: str) -> None:
        self.kind = kind
        self.name = name
        self.namespace = namespace
        self.domain = domain
        # without a time, after all that have one
        self.rank = (created or "9999", f"{namespace}/{name}")


def read(document: Field, kind: str, name: str, namespace: str, domain: str) -> Generator[None, None, OfRoutes]:
    """
    The routes in C{document}, of which it is known that it is one of L{KINDS}; between rules there is time for others.

    @raise Skip: there is nothing to be made of it; that is reported
    """
    document.known("apiVersion", "kind", "metadata", "spec", "status")
    spec = document.need("spec", "write spec: and below it parentRefs: and rules:").known(
        "parentRefs", "hostnames", "rules", "useDefaultGateways"
    )
    created = document.need("metadata").get("creationTimestamp")
    owner = _Owner(kind, name, namespace, created.word() if created is not None else "", domain)
    parents: list[Parent] = []
    ports: set[int] = set()
    gateways = False
    if (references := spec.get("parentRefs")) is not None:
        for one in references.each(lambda field: _parent(field, owner)):
            if isinstance(one, Parent):
                parents.append(one)
            else:
                gateways = True
                ports.add(one)
    hostnames = spec.get("hostnames")
    hosts = tuple(dict.fromkeys(hostnames.each(_host))) if hostnames is not None else ()
    if parents and hosts and not gateways:
        assert hostnames is not None
        hostnames.warn("are not looked at: the parents are services, which have their own names")
    if gateways or not parents:
        hosts = hosts or (EVERYBODY,)
    else:
        hosts = ()
    rules = spec.get("rules")
    ranked: list[Ranked] = []
    fields = list(rules.items()) if rules is not None else []
    if rules is not None and len(fields) > MAX_RULES:
        raise rules.refuse(f"are more than {MAX_RULES} rules")
    if not fields:
        # the API's own default: every request, and whoever it is for serves it
        every = Match(KINDS[kind].everything, KINDS[kind].least)
        ranked += _ranked([every], Route(f"{name}/rules[0]"), 0, owner)
    names: dict[str, int] = {}
    for index, field in enumerate(fields):
        yield
        try:
            ranked += _rule(field, index, owner, names)
        except Skip:
            continue
    return OfRoutes(
        kind,
        name,
        namespace,
        tuple(dict.fromkeys(parents)),
        hosts,
        # where one is not said, it is all of them
        frozenset(ports) if 0 not in ports else frozenset(),
        tuple(ranked),
        document.sheet.file,
        document.node.line,
    )


def _parent(field: Field, owner: _Owner) -> Parent | int:
    """The service, or the port of a gateway; 0 where it has none."""
    field.known("group", "kind", "namespace", "name", "sectionName", "port")
    group, kind = _kind(field, _GATEWAY, "Gateway")
    name = field.need("name").text()
    port_field, section = field.get("port"), field.get("sectionName")
    port = port_field.whole(1, 65535) if port_field is not None else 0
    if kind == "Gateway" and group == _GATEWAY:
        return port
    if kind == "Service" and group in _CORE:
        if section is not None:
            section.error("names a port, which only the cluster knows", "write port: and its number")
        return Parent(ServiceOf(name.lower(), _namespace(field, owner), owner.domain), port or None)
    right = "it may be Gateway or Service"
    if kind == "Service" and group == _GATEWAY:
        right = 'write group: "": without it that is the group of gateways'
    raise field.refuse(f"a parent of kind {kind}{group and f' ({group})'} is unknown", right)


def _kind(field: Field, group: str, kind: str) -> tuple[str, str]:
    """The group and kind of what is referred to, or those that go without saying."""
    group_field, kind_field = field.get("group"), field.get("kind")
    said = kind_field.text() if kind_field is not None else kind
    if group_field is not None:
        return group_field.text(), said
    # that of services is said by nothing: group:, as well as group: ""
    return "" if field.has("group") else group, said


def _namespace(field: Field, owner: _Owner) -> str:
    own = field.get("namespace")
    return own.text() if own is not None else owner.namespace


def _host(field: Field) -> str:
    host = field.text().lower()
    if not _HOST.fullmatch(host):
        raise field.refuse(f"{show(host)} is no host name", 'write one such as web.example, or "*.example"')
    return host


def _rule(field: Field, index: int, owner: _Owner, names: dict[str, int]) -> list[Ranked]:
    """A route for each of the rule's matches."""
    field.known("name", "matches", "filters", "backendRefs", "timeouts", "retry", "sessionPersistence")
    name_field = field.get("name")
    rule = f"{owner.name}/{name_field.text() if name_field is not None else f'rules[{index}]'}"
    if name_field is not None and (wrong := refuse_name(rule)):
        name_field.error(wrong)
    if names.setdefault(rule, index) != index:
        field.error(f"the name {show(rule)} is taken", f"it is that of rules[{names[rule]}]")
    read = KINDS[owner.kind]
    matches_field = field.get("matches")
    matches = [read_match(one, read) for one in matches_field.items()] if matches_field is not None else []
    matches = matches or [Match(read.everything, read.least)]
    prefixes = all(match.prefix for match in matches)
    filters_field = field.get("filters")
    filters = read_filters(filters_field, prefixes) if filters_field is not None else Filters()
    backends = _backends(field, owner)
    if filters.redirect is not None and backends:
        field.need("backendRefs").error("are never asked: the rule redirects", "leave them out")
    if (session := field.get("sessionPersistence")) is not None:
        session.error(
            "is not done: lproxy sets no cookies",
            'a service can be sticky: [services."NAME"] sticky = { cookie = "..." }',
        )
    timeouts = _timeouts(field)
    retry = field.get("retry")
    retries = _retry(retry) if retry is not None else None
    route = Route(
        name=rule,
        retries=retries,
        timeouts=timeouts,
        backends=backends,
        request=filters.request,
        response=filters.response,
        rewrite=filters.rewrite,
        redirect=filters.redirect,
    )
    return _ranked(matches, route, index, owner)


def _ranked(matches: list[Match], route: Route, index: int, owner: _Owner) -> list[Ranked]:
    """C{route}, of the rule number C{index}, once for each of its C{matches}."""
    found = []
    for number, match in enumerate(matches):
        name = route.name if len(matches) == 1 else f"{route.name}/matches[{number}]"
        own = replace(route, name=name, condition=match.condition)
        found.append(Ranked((*match.rank, *owner.rank, index, number), own))
    return found


def _backends(field: Field, owner: _Owner) -> tuple[Backend, ...]:
    references = field.get("backendRefs")
    if references is None:
        return ()
    found = references.each(lambda one: _backend(one, owner))
    if found and not any(one.weight for one in found):
        references.error("have no weight at all: nobody would be asked", "give one of them a weight")
    names = [one.service for one in found]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            references.error(f"{show(name)} is given twice", "give it the sum of both weights")
    return tuple(found)


def _backend(field: Field, owner: _Owner) -> Backend:
    field.known("group", "kind", "namespace", "name", "port", "weight", "filters")
    group, kind = _kind(field, "", "Service")
    if kind != "Service" or group not in _CORE:
        raise field.refuse(f"a backend of kind {kind}{group and f' ({group})'} is unknown", "it may be a Service")
    if (filters := field.get("filters")) is not None and any(True for _ in filters.items()):
        filters.error("of one backend are not done", "write them as filters of the rule")
    name = field.need("name").text().lower()
    port = field.need("port", "write the port of the service").whole(1, 65535)
    weight = field.get("weight")
    service = ServiceOf(name, _namespace(field, owner), owner.domain)
    return Backend(join_host_port(service.host, port), weight.whole(0, MAX_WEIGHT) if weight is not None else 1)


def _timeouts(field: Field) -> RouteTimeouts:
    timeouts = field.get("timeouts")
    if timeouts is None:
        return RouteTimeouts()
    timeouts.known("request", "backendRequest")
    whole, one = timeouts.get("request"), timeouts.get("backendRequest")
    request = whole.measured(gateway_duration) if whole is not None else None
    backend = one.measured(gateway_duration) if one is not None else None
    if request is not None and backend is not None and backend > request:
        raise timeouts.refuse("backendRequest is more than request", "lower the one or raise the other")
    return RouteTimeouts(stream=request, per_try=backend)


def _retry(field: Field) -> Retries:
    field.known("codes", "attempts", "backoff")
    codes, attempts, backoff = field.get("codes"), field.get("attempts"), field.get("backoff")
    statuses = codes.each(lambda one: one.whole(400, 599)) if codes is not None else []
    tries = (attempts.whole(1, 99) if attempts is not None else 1) + 1
    if backoff is not None:
        backoff.measured(gateway_duration)
        backoff.warn("is not waited for: a further try is made at once, elsewhere, within the service's retry budget")
    return Retries(tries, classified=False, statuses=tuple((one, one) for one in dict.fromkeys(statuses)), unsafe=True)
