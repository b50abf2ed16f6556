# -*- test-case-name: tests.sidecar.test_redirect -*-
"""
Which connections the kernel redirects to the proxy beside an application, as rules of iptables' table C{nat}.

Two chains are ours, C{LPROXY_OUTBOUND} and C{LPROXY_INBOUND}, each with one jump to it from one of the kernel's own.
Whoever lists the table sees what is ours, and nobody else's rule is touched.

What the proxy itself sends must pass: it is told by its user, who must run nothing else. What the application sends
over the loopback interface passes, too, as that is between parts of it. Chains are flushed and filled in one
transaction of C{iptables-restore}: no connection sees half of the rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

Family = Literal["IPv4", "IPv6"]
FAMILIES: tuple[Family, ...] = ("IPv4", "IPv6")

OUTBOUND, INBOUND = "LPROXY_OUTBOUND", "LPROXY_INBOUND"
#: our chains, and the kernel's that each is jumped to from
HOOKS = {OUTBOUND: "OUTPUT", INBOUND: "PREROUTING"}

#: the user of the proxy in our image, and nobody else's: what it sends is not redirected
UID = 4140

#: what C{-m multiport} takes in one rule; a range counts twice (XT_MULTI_PORTS)
MULTIPORT = 15

#: 0 and 4294967295 are no user of a proxy: root would exempt all of a container's, -1 is nobody's
LAST_UID = 2**32 - 2


@dataclass(frozen=True)
class Ports:
    """C{first} to C{last}, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first}:{self.last}"


@dataclass(frozen=True)
class Redirect:
    """
    What is redirected, and what is not.

    @ivar uid: the proxy's user, whose connections pass
    @ivar outbound: the port of the listener for what the application sends; C{None}: that is left alone
    @ivar inbound: the port of the listener for what the application receives; C{None}: that is left alone
    @ivar inbound_only: the application's ports, where not all that arrives is for the proxy; empty: all
    @ivar skip_inbound: ports of this machine that are reached without the proxy, such as its own admin server's
    @ivar skip_outbound: ports, whoever has them, that are connected to without the proxy
    @ivar skip_subnets: networks that are connected to without the proxy
    """

    uid: int
    outbound: int | None = 4140
    inbound: int | None = 4143
    inbound_only: tuple[Ports, ...] = ()
    skip_inbound: tuple[Ports, ...] = ()
    skip_outbound: tuple[Ports, ...] = ()
    skip_subnets: tuple[IPv4Network | IPv6Network, ...] = ()

    def chains(self, family: Family) -> dict[str, list[str]]:
        """The rules of each chain that is needed, in order."""
        chains: dict[str, list[str]] = {}
        if self.outbound is not None:
            chains[OUTBOUND] = list(self._outbound(family, self.outbound))
        if self.inbound is not None:
            chains[INBOUND] = list(self._inbound(self.inbound))
        return chains

    def _outbound(self, family: Family, port: int) -> Iterator[str]:
        yield f"-m owner --uid-owner {self.uid} -j RETURN"
        yield "-o lo -j RETURN"
        for subnet in self.skip_subnets:
            if isinstance(subnet, IPv4Network) == (family == "IPv4"):
                yield f"-d {subnet} -j RETURN"
        for some in several(self.skip_outbound):
            yield f"-p tcp -m multiport --dports {some} -j RETURN"
        yield f"-p tcp -j REDIRECT --to-ports {port}"

    def _inbound(self, port: int) -> Iterator[str]:
        yield "-i lo -j RETURN"
        for some in several(self.skip_inbound):
            yield f"-p tcp -m multiport --dports {some} -j RETURN"
        for some in several(self.inbound_only):
            yield f"-p tcp -m multiport --dports {some} -j REDIRECT --to-ports {port}"
        if not self.inbound_only:
            yield f"-p tcp -j REDIRECT --to-ports {port}"


def several(ports: Iterable[Ports]) -> Iterator[str]:
    """C{ports} as arguments of C{--dports}, as many to each as it takes."""
    some: list[str] = []
    room = MULTIPORT
    for one in ports:
        needs = 1 if one.first == one.last else 2
        if needs > room:
            yield ",".join(some)
            some, room = [], MULTIPORT
        some.append(str(one))
        room -= needs
    if some:
        yield ",".join(some)


def jump(chain: str) -> str:
    """The rule, of a chain of the kernel's, that leads to one of ours."""
    return f"-p tcp -j {chain}"


def transaction(current: str, wanted: dict[str, list[str]]) -> list[str]:
    """
    The input of C{iptables-restore --noflush} that makes of C{current} what is C{wanted}.

    @param current: what C{iptables-save -t nat} says
    @param wanted: chains of ours with their rules; those that are missing are taken away, all of them by an empty one
    @return: lines; empty where nothing is to be done
    """
    there = {match[1] for match in re.finditer(r"(?m)^:(\S+)", current)} & set(HOOKS)
    lines: list[str] = []
    jumps: list[str] = []
    for chain, hook in HOOKS.items():
        leading = [rule for rule in _rules(current, hook) if re.search(rf"-[jg] {chain}\b", rule)]
        rules = wanted.get(chain)
        if rules is None:
            jumps += [f"-D {hook} {rule}" for rule in leading]
            if chain in there:
                # flushed by its first line, as a chain that has rules cannot be deleted
                lines.append(f":{chain} - [0:0]")
                jumps.append(f"-X {chain}")
            continue
        if _rules(current, chain) != rules or chain not in there:
            lines += [f":{chain} - [0:0]", *(f"-A {chain} {rule}" for rule in rules)]
        if leading != [jump(chain)]:
            jumps += [f"-D {hook} {rule}" for rule in leading]
            jumps.append(f"-A {hook} {jump(chain)}")
    return ["*nat", *lines, *jumps, "COMMIT"] if lines or jumps else []


def _rules(current: str, chain: str) -> list[str]:
    """The rules of C{chain}, as they would be written to be added."""
    return [match[1] for match in re.finditer(rf"(?m)^(?:\[\d+:\d+\] )?-A {re.escape(chain)} (.+?)\s*$", current)]


def read_ports(text: str) -> Ports:
    """C{"80"}, or C{"8000-8010"} (C{":"} will do, too); raises ValueError that says what is wrong."""
    match = re.fullmatch(r"(\d{1,5})(?:[-:](\d{1,5}))?", text.strip())
    if match is None:
        raise ValueError(f"{text.strip()!r} is no port, as 80, and no range of ports, as 8000-8010")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= 65535:
        raise ValueError(f"{text.strip()}: ports are from 1 to 65535, the lower one first")
    return Ports(first, last)


def read_many_ports(text: str) -> tuple[Ports, ...]:
    """Several, between commas; none where C{text} is empty."""
    return tuple(read_ports(one) for one in text.split(",") if one.strip())


def read_subnets(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """C{"10.0.0.0/8,fd00::/8"}; raises ValueError that says what is wrong."""
    return tuple(ip_network(one.strip()) for one in text.split(",") if one.strip())


def read_uid(text: str) -> int:
    """A user's number; raises ValueError that says what is wrong."""
    if not re.fullmatch(r"\d{1,10}", text.strip()) or not 1 <= int(text) <= LAST_UID:
        raise ValueError(f"{text.strip()!r} is no user's number other than root's")
    return int(text)
