# -*- test-case-name: tests.protocols.http.test_destination -*-
"""
Where requests go, and what is to be known about that.
"""

from __future__ import annotations

from random import random

from lproxy.api import Authority, Runtime, Secured, ServiceName, Stack, Target, split_host_port
from lproxy.config import Service
from lproxy.profile import Backend
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.metrics import HttpCounter
from lproxy.protocols.http.profile.plan import Plan
from lproxy.protocols.http.profile.router import ProfileRouter
from lproxy.protocols.http.profile.versions import Part, Versions
from lproxy.protocols.http.streams import HttpLease
from lproxy.protocols.http.upstreams import Upstreams
from lproxy.target import Concrete, Split


class Destination:
    """
    A target, and what is counted for it.

    @ivar proxy: whether it is a proxy itself, and is spoken to as one
    @ivar lenient: whether its answers may be less than correct
    @ivar guards: those who serve it and are not for everybody
    @ivar told: whether it is told of clients, by the PROXY protocol
    @ivar acquire: the stack that leases are had from: that of the version in which it is spoken to
    @ivar try_acquire: its C{try_acquire}, for the warm path: one look-up fewer
    @ivar router: tells its requests apart, where there is a profile
    @ivar shares: where requests of some of its routes go, which others serve
    @ivar budget: what further tries draw on, and where its requests are counted for that
    """

    __slots__ = (
        "acquire",
        "budget",
        "counter",
        "guards",
        "lenient",
        "proxy",
        "router",
        "shares",
        "target",
        "told",
        "try_acquire",
    )

    def __init__(
        self,
        target: Target,
        counter: HttpCounter,
        service: Service,
        guards: tuple[Target, ...],
        acquire: Stack[HttpLease],
        router: ProfileRouter | None,
    ) -> None:
        self.target = target
        self.acquire = acquire
        self.try_acquire = acquire.try_acquire
        self.counter = counter
        self.proxy = service.proxy
        self.lenient = service.lenient
        self.guards = guards
        self.told = service.proxy_protocol is not None
        self.router = router
        self.shares: dict[Plan, Destination] = {}
        self.budget = acquire.budget(target, router.profile.budget if router is not None else None)


def named(service: str) -> Concrete:
    """Whom a profile means: an authority, or the name of a C{[services]} table that is none."""
    try:
        host, port = split_host_port(service)
    except ValueError:
        return ServiceName(service)
    return Authority(host.lower().removesuffix("."), port)


def shared(
    destination: Destination,
    backends: tuple[Backend, ...],
    runtime: Runtime,
    upstreams: Upstreams,
    request: Request,
    tls: Secured | None,
) -> Destination:
    """
    Where requests to C{destination} go that C{backends} serve in its place: each backend with its own settings, as far
    as one message can have those of several.

    @param request: one of them, from a client that came by C{tls}
    """
    parts: list[Part] = []
    services: list[Service] = []
    for backend in backends:
        target = named(backend.service)
        service = runtime.service(target)
        services.append(service)
        parts.append(Part(target, backend.weight, upstreams.stack(service, request, tls)))
    acquire = parts[0].stack
    if any(part.stack is not acquire for part in parts):
        acquire = Versions(parts, random, runtime.timeouts.acquire, runtime.clock, destination.budget)
    assert not isinstance(destination.target, Split)
    return Destination(
        Split(destination.target, tuple([(part.backend, part.weight) for part in parts])),
        destination.counter,
        Service(
            proxy=all(service.proxy for service in services),
            lenient=any(service.lenient for service in services),
            proxy_protocol=next((service.proxy_protocol for service in services if service.proxy_protocol), None),
        ),
        tuple([part.backend for part in parts if part.weight and runtime.refuses(part.backend)]),
        acquire,
        destination.router,
    )
