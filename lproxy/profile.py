# -*- test-case-name: tests.test_profile -*-
"""
What a service's profile says: its routes, by which its requests are told apart, and what is to become of each.

Frozen values without imports beyond the standard library, wherever they were read: a TOML table, a C{ServiceProfile} of
Linkerd's, a route of the Gateway API (L{lproxy.profiles}). Text is text here; what is matched against bytes is made of
it where requests are.

Over 300 lines: one vocabulary, which its readers and its users share.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

#: how a text is compared: as a whole, as a path's beginning (of whole segments), or by a regular expression that has to
#: match all of it
Kind = Literal["exact", "prefix", "regex"]
#: of a rate: whose requests are counted together
By = Literal["all", "client", "identity", "header"]

KIB: Final = 1024


# what a request must be


@dataclass(frozen=True, slots=True)
class Method:
    """Has this method, in upper case."""

    name: str


@dataclass(frozen=True, slots=True)
class Path:
    """Has this path; its query does not count."""

    value: str
    kind: Kind = "exact"


@dataclass(frozen=True, slots=True)
class Header:
    """
    Has a field of this name with this value; several of one name are one, joined with commas.

    @ivar value: C{None}: any
    """

    name: str
    value: str | None = None
    kind: Kind = "exact"


@dataclass(frozen=True, slots=True)
class Query:
    """Has a parameter of this name, and the first of them this value."""

    name: str
    value: str
    kind: Kind = "exact"


@dataclass(frozen=True, slots=True)
class Statuses:
    """Of an answer: its status is one of these, C{last} included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class All:
    """Is all of these."""

    of: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Is one of these at least."""

    of: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Is not this."""

    of: Condition


Condition = Method | Path | Header | Query | Statuses | All | AnyOf | Not

#: every request is that
ALWAYS: Final = All(())


# what becomes of it


@dataclass(frozen=True, slots=True)
class Backend:
    """
    Who gets a part of the requests.

    @ivar service: as a target is written: an authority, or the name of a C{[services]} table
    @ivar weight: its part of the sum of all; 0: none
    """

    service: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class ResponseClass:
    """
    Whether an answer counts as a failure.

    @ivar condition: of L{Statuses}, and what is made of such
    """

    condition: Condition
    failure: bool = True


@dataclass(frozen=True, slots=True)
class Retries:
    """
    When a request is sent once more, within the service's L{RetryBudget}.

    @ivar tries: how often it is sent at most, the first time included
    @ivar classified: whether what the route's response classes call a failure is a reason
    @ivar statuses: further reasons, ranges of statuses, the last included
    @ivar grpc: further reasons, statuses of gRPC
    @ivar unsafe: whether methods are repeated too that are not idempotent (RFC 9110, 9.2.2)
    @ivar body: how many bytes of its body are kept to be sent again; one with more is not repeated
    """

    tries: int = 3
    classified: bool = True
    statuses: tuple[tuple[int, int], ...] = ()
    grpc: tuple[int, ...] = ()
    unsafe: bool = False
    body: int = 64 * KIB


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """
    How many further tries a service may be burdened with.

    @ivar ratio: for each request, so many
    @ivar minimum: so many a second besides
    @ivar ttl: seconds for which a request counts
    """

    ratio: float = 0.2
    minimum: float = 10.0
    ttl: float = 10.0


@dataclass(frozen=True, slots=True)
class RouteTimeouts:
    """
    Seconds; C{None}: as C{[timeouts]} says.

    @ivar response_headers: from the end of a request to the head of its answer, of one try
    @ivar stream: the whole request and its answer, all tries included, since it was first sent
    @ivar per_try: one try, to the head of its answer; after it another is made where that may be
    """

    response_headers: float | None = None
    stream: float | None = None
    per_try: float | None = None


@dataclass(frozen=True, slots=True)
class Hedge:
    """
    A second try beside a first one that takes long, whichever answers first.

    @ivar quantile: of the route's latency so far, after which it is made
    @ivar at_least: seconds before which it never is
    """

    quantile: float = 0.95
    at_least: float = 0.005


@dataclass(frozen=True, slots=True)
class Fields:
    """
    What becomes of a head's fields: first C{remove}, then C{set} (in the place of all that have the name), then
    C{add}.
    """

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rewrite:
    """
    What the upstream is asked for instead.

    @ivar path: the whole path, its query stays; C{None}: it stays
    @ivar prefix: what stands in the place of the prefix that the route was chosen by; C{None}: that stays
    @ivar host: the authority; empty: it stays
    """

    path: str | None = None
    prefix: str | None = None
    host: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """
    Where the client is sent instead; what is empty or C{None} is as in the request.

    @ivar path: the whole path
    @ivar prefix: what stands in the place of the prefix that the route was chosen by
    """

    status: int = 302
    scheme: str = ""
    host: str = ""
    port: int | None = None
    path: str | None = None
    prefix: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered without asking anybody."""

    status: int
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Rate:
    """
    How many requests there may be; more are answered 429.

    @ivar requests: so many in C{per} seconds
    @ivar burst: at once, after a pause; 0: C{requests}
    @ivar by: whose are counted together; those without the identity or the field, together
    @ivar header: the field's name, C{by} header
    """

    requests: int
    per: float = 1.0
    burst: int = 0
    by: By = "all"
    header: str = ""


@dataclass(frozen=True, slots=True)
class Sticky:
    """
    By what requests of one client are known, to be served by the same endpoint and backend as long as that serves.

    @ivar header: the name of a field, or nothing
    @ivar cookie: the name of a cookie, or nothing
    """

    header: str = ""
    cookie: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """
    Some of a service's requests.

    @ivar name: what they are counted under; one of its kind in the profile
    @ivar condition: which they are, of those that no route before has
    @ivar classes: the first that fits an answer decides; none: as for all requests
    @ivar backends: who serves them, in the place of the service itself; none: that
    @ivar max_body: bytes of a request's body; C{None}: no limit
    """

    name: str
    condition: Condition = ALWAYS
    classes: tuple[ResponseClass, ...] = ()
    retries: Retries | None = None
    timeouts: RouteTimeouts = RouteTimeouts()
    hedge: Hedge | None = None
    backends: tuple[Backend, ...] = ()
    request: Fields | None = None
    response: Fields | None = None
    rewrite: Rewrite | None = None
    redirect: Redirect | None = None
    answer: Answer | None = None
    max_body: int | None = None
    rates: tuple[Rate, ...] = ()


@lru_cache(maxsize=4_096)
def shared(route: Route) -> Route:
    """C{route}, or another that is equal: where a thousand services are described alike, they share what is said."""
    return route


@dataclass(frozen=True, slots=True)
class Profile:
    """
    All that is said about how a service's requests are treated.

    @ivar routes: the first that fits a request is its route; one that none fits has the service's defaults
    @ivar budget: C{None}: the default one
    @ivar backends: who serves the requests that no route has backends for; none: the service itself
    @ivar opaque_ports: ports at which it is spoken to in a protocol that nobody is to detect
    @ivar source: where it was read, for people
    """

    routes: tuple[Route, ...] = ()
    budget: RetryBudget | None = None
    backends: tuple[Backend, ...] = ()
    sticky: Sticky | None = None
    rates: tuple[Rate, ...] = ()
    opaque_ports: frozenset[int] = frozenset()
    source: str = ""


#: of a service that has none
NO_PROFILE: Final = Profile()
