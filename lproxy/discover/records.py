# -*- test-case-name: tests.discover.test_records -*-
"""
Read a DNS answer about a name: its addresses, another name to query (CNAME), or nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from twisted.names import dns


@dataclass(frozen=True, slots=True)
class Answer:
    """The addresses of one family, at least one, and the seconds they may be kept."""

    addresses: tuple[str, ...]
    ttl: float


@dataclass(frozen=True, slots=True)
class Alias:
    """A CNAME to a name that the answer has no records of."""

    name: str
    ttl: float


class AliasLoop(ValueError):
    """A loop of CNAMEs."""


def read(records: Iterable[Any], name: str, kind: int) -> Answer | Alias | None:
    """
    Follow C{name} through the answer section C{records}. Records of unrelated names are ignored.

    @param records: of L{dns.RRHeader}
    @param kind: C{dns.A} or C{dns.AAAA}
    @return: C{None} where there is nothing
    @raise AliasLoop: the CNAMEs are a loop
    """
    of_kind: dict[str, list[Any]] = {}
    aliases: dict[str, Any] = {}
    for record in records:
        if record.cls != dns.IN:
            continue
        owner = text(record.name)
        if record.type == kind:
            of_kind.setdefault(owner, []).append(record)
        elif record.type == dns.CNAME:
            aliases[owner] = record
    at, ttl = name.lower(), float("inf")
    seen = {at}
    while at not in of_kind and at in aliases:
        record = aliases[at]
        ttl = min(ttl, record.ttl)
        at = text(record.payload.name)
        if at in seen:
            raise AliasLoop(f"the CNAMEs of {name} form a loop")
        seen.add(at)
    if at in of_kind:
        found = of_kind[at]
        # ip_address takes the four or sixteen bytes as they came
        addresses = dict.fromkeys(str(ipaddress.ip_address(record.payload.address)) for record in found)
        return Answer(tuple(addresses), min(ttl, *(record.ttl for record in found)))
    return Alias(at, ttl) if len(seen) > 1 else None


def text(name: dns.Name) -> str:
    """A name from the wire, in lower case; what is not ASCII equals no name that is asked for."""
    return str(name.name.decode("ascii", "backslashreplace").lower())
