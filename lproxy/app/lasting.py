# -*- test-case-name: tests.app.test_lasting -*-
"""
What services and their connections keep to as long as they last: where any of it is another, they are made anew.

Whatever is not named here is: a setting that somebody adds makes services anew when it changes, which is safe.
"""

from __future__ import annotations

from dataclasses import fields, replace
from operator import attrgetter
from typing import Any, Final, NamedTuple

from lproxy.balancing import Balancing
from lproxy.config import Identity, Limits, Service, Timeouts

#: limits that are nobody's below the queues, or are looked at each time
LIMITS: Final = ("in_flight", "connections", "handshakes", "acquiring", "services", "detect")
#: clocks that run above the services, or at clients, or in the connector
TIMEOUTS: Final = (
    "detect",
    "server_first",
    "acquire",
    "connect",
    "handshake",
    "service_idle",
    "header_read",
    "client_idle",
    "body",
    "write",
    "half_closed",
    "response_headers",
    "stream",
    "keepalive",
    "keepalive_interval",
    "drain",
    "stop_delay",
    "reload_drain",
    "worker",
)
#: what of a service discovery tells of its endpoints, each of which is made anew where that is another for it; and what
#: is settled before a service is asked
SERVICE: Final = (
    "name",
    "endpoints",
    "profile",
    "protocol",
    "proxy",
    "lenient",
    "proxy_protocol",
    "tls",
    "server_name",
    "ca",
    "certificate",
    "key",
    "identity",
    "require_identity",
    "allow",
    "deny",
)

_LIMITS, _TIMEOUTS, _SERVICE = Limits(), Timeouts(), Service()
#: of thousands of services: it is to be quick
_settled: Final = attrgetter(*(field.name for field in fields(Service) if field.name not in SERVICE))


class Settled(NamedTuple):
    """
    What all services of one stack keep to.

    @ivar identity: who we are to them
    @ivar plugin: what their protocol's own table says
    """

    timeouts: Timeouts
    limits: Limits
    balancing: Balancing
    identity: Identity
    plugin: Any


def timeouts(one: Timeouts) -> Timeouts:
    """What is settled by C{one}."""
    return replace(one, **{name: getattr(_TIMEOUTS, name) for name in TIMEOUTS})


def limits(one: Limits) -> Limits:
    """What is settled by C{one}."""
    return replace(one, **{name: getattr(_LIMITS, name) for name in LIMITS})


def service(one: Service | None) -> object:
    """What is settled by C{one}; C{None}: the configuration says nothing about it."""
    return _settled(one if one is not None else _SERVICE)
