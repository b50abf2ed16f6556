# -*- test-case-name: tests.profiles.test_described -*-
"""
What documents describe, before it is known who asks: profiles of services, and routes of the Gateway API.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lproxy.profile import Profile, Route
from lproxy.profiles.names import ServiceOf


@dataclass(frozen=True, slots=True)
class OfService:
    """
    A C{ServiceProfile}.

    @ivar host: whose it is, in lower case
    @ivar namespace: its own, which may be that of the clients that it is meant for; empty: unknown
    @ivar profile: backends are authorities, perhaps without a port: that of whoever is asked
    @ivar file: where it was read, and C{line}
    """

    host: str
    namespace: str
    profile: Profile
    file: str
    line: int


class Ranked(NamedTuple):
    """
    One match of a rule, and how it compares with others.

    @ivar rank: the smallest has precedence
    """

    rank: tuple[int | str, ...]
    route: Route


class Parent(NamedTuple):
    """
    A service that routes are attached to.

    @ivar port: C{None}: all of its ports
    """

    service: ServiceOf
    port: int | None = None


@dataclass(frozen=True, slots=True)
class OfRoutes:
    """
    An C{HTTPRoute} or C{GRPCRoute}.

    @ivar parents: the services that it is attached to
    @ivar hosts: those that requests may be for, where it is attached to a gateway; C{*.} stands for all labels below,
        C{*} for every host
    @ivar ports: those of gateways that it is attached to; none: all
    @ivar ranked: its routes, in the order of the file
    """

    kind: str
    name: str
    namespace: str
    parents: tuple[Parent, ...]
    hosts: tuple[str, ...]
    ports: frozenset[int]
    ranked: tuple[Ranked, ...]
    file: str
    line: int


Described = OfService | OfRoutes


def key(one: Described) -> tuple[str, str, str]:
    """Its kind, its own name and its namespace: there is to be one of these."""
    return (
        ("ServiceProfile", one.host, one.namespace)
        if isinstance(one, OfService)
        else (one.kind, one.name, one.namespace)
    )
