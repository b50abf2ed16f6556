# -*- test-case-name: tests.app.test_stacks -*-
"""
The acquisition stacks of all protocols in both directions: made for the first who asks, shown to whoever looks.

They go on from one configuration to the next, with what they know: each L{Share} has its own upper halves, and uses the
lower ones with all others. Whoever has L{take}n them last says by what they go.

Over 300 lines: all that is asked of all stacks together, and shown of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.app import lasting, outbound
from lproxy.app.balancing import balancing
from lproxy.app.endpoints import Endpoints
from lproxy.app.log import log
from lproxy.app.parts import Parts
from lproxy.app.rows import ServiceRows
from lproxy.app.share import Share, StackKey, Use, owner
from lproxy.app.slices import in_slices
from lproxy.balancing import DEFAULT, Balancing
from lproxy.config import PLAIN, Config, Direction, Service
from lproxy.config import Dns as DnsConfig
from lproxy.discover.current import Current
from lproxy.discover.dns import Dns
from lproxy.discover.literal import Literal
from lproxy.discover.static import Static
from lproxy.metrics.caps import Cap
from lproxy.metrics.family import Labels
from lproxy.metrics.plugin import PluginCounters
from lproxy.metrics.registry import Metrics
from lproxy.protocols.outward import Crashed, Outward
from lproxy.stack.admit import InFlight
from lproxy.stack.backoff import Backoff
from lproxy.stack.budget import Budgets
from lproxy.stack.interfaces import Discover, L, NewEndpoint
from lproxy.stack.lease import Hold
from lproxy.stack.report import Key, Report
from lproxy.target import Target
from lproxy.transport.connect import Connector
from lproxy.transport.current import CurrentConnector

#: families that are sums over all stacks
TOTALS = ("lock_waiters", "service_cache_size", "service_cache_evictions_total")


class Stacks:
    """
    One stack per protocol and direction, shared by the listeners.

    @ivar in_flight: the limit that all of them share
    @ivar rows: what there is to show of them
    """

    def __init__(self, clock: IReactorTime, metrics: Metrics, crashed: Crashed, workers: int = 1) -> None:
        """
        @param crashed: told of what a protocol does wrong with its leases, by its name
        @param workers: so many processes serve together, this one among them
        """
        self._clock = clock
        self._metrics = metrics
        self._random = Random()
        self._crashed = crashed
        self._holds: dict[StackKey, Hold] = {}
        # each has leases of its own protocol's type
        self._lower: dict[StackKey, outbound.Lower[Any]] = {}
        self._shares: dict[Share, None] = {}
        self._now: Share | None = None
        self._connectors: dict[Direction, CurrentConnector] = {}
        self._outward: dict[tuple[Direction, str], Outward] = {}
        self._counters: dict[str, PluginCounters] = {}
        self._endpoints = Endpoints(metrics.endpoints, clock)
        self._budgets = Budgets(clock, self._served, workers)
        self._dns: tuple[DnsConfig, Discover] | None = None
        self.rows = ServiceRows(self._lower, lambda: self._now, metrics.failed, self._budgets.left)
        self._following: Deferred[None] | None = None
        self._discover = Current(Static({}, Literal(Dns(DnsConfig(), clock))))
        self.in_flight = InFlight(0)
        metrics.watch(self.samples)

    # of a configuration

    def share(self, config: Config, otherwise: Discover | None = None) -> Share:
        """
        What C{config} has of them; nothing is changed by that for anybody.

        @param otherwise: finds what is no service of the configuration's, instead of DNS
        """
        share = Share(self, config, Static(config.services, otherwise or self._otherwise(config.dns)))
        self._shares[share] = None
        return share

    def _otherwise(self, dns: DnsConfig) -> Discover:
        """Who finds what is no service of the configuration: the same for as long as it is configured the same."""
        if self._dns is None or self._dns[0] != dns:
            self._dns = dns, Literal(Dns(dns, self._clock))
        return self._dns[1]

    def use(self, share: Share, key: StackKey, plugin: Any, new_endpoint: NewEndpoint[L]) -> Use[L]:
        """
        A stack of C{share}'s own, on what all of that key have together.

        @param plugin: what its protocol's own table says
        """
        direction, protocol = key
        config = share.config
        timeouts = config.timeouts(direction)
        hold = self._holds.get(key)
        if hold is None:
            hold = self._holds[key] = self.in_flight.share(partial(self._crashed, owner(protocol)))
        parts = Parts(
            self._clock,
            timeouts,
            config.limits,
            self.in_flight,
            hold,
            self._metrics.acquire(direction),
            self._discover,
            Backoff(timeouts.backoff_min, timeouts.backoff_max, self._random),
            self._balancing,
            self._endpoints,
            self._budgets,
            self._random,
        )
        lower = self._lower.get(key)
        if lower is None:
            lower = self._lower[key] = outbound.Lower(parts, new_endpoint)
        keeps = lasting.Settled(
            lasting.timeouts(timeouts), lasting.limits(config.limits), config.balancing, config.identity, plugin
        )
        kept: list[Target] = []
        return Use(keeps, parts, new_endpoint, outbound.acquire(parts, lower, kept), kept)

    def outward(self, config: Config, direction: Direction, plugin: str, connector: Connector) -> Outward:
        """
        The way out for C{plugin}'s endpoint services: the same from one configuration to the next, as far as they are.

        @param connector: opens connections where nobody did before
        """
        timeouts, limits = config.timeouts(direction), config.limits
        before = self._outward.get((direction, plugin))
        if before is not None:
            if (before.timeouts, before.limits) == (timeouts, limits):
                return before
            outward = replace(before, timeouts=timeouts, limits=limits)
        else:
            current = self._connectors.get(direction)
            if current is None:
                current = self._connectors[direction] = CurrentConnector(connector)
            counters = self._counters.get(plugin)
            if counters is None:
                counters = self._counters[plugin] = self._metrics.plugin(plugin)
            outward = Outward(direction, timeouts, limits, self._clock, current, counters, self._crashed)
        self._outward[direction, plugin] = outward
        return outward

    def take(self, share: Share) -> None:
        """As L{Share.take}."""
        before, self._now = self._now, share
        self.in_flight.limit = share.config.limits.in_flight
        for direction, connector in share.connectors.items():
            if (current := self._connectors.get(direction)) is not None:
                current.inner = connector
        was, now = before.static if before is not None else None, share.static
        known = share.another if before is not None and share.compared is was else {}
        for key, use in share.uses.items():
            used = before.uses.get(key) if before is not None else None
            everything = used is None or used.settled != use.settled
            lower = self._lower[key]
            lower.renew(use.parts, use.new_endpoint, partial(self._is_another, everything, was, now, known))
        # what was not gone through for the one before is gone through for this one
        self._follow(self._follows(self._discover.exchange(now)))
        for key, use in share.uses.items():
            for target in use.kept:
                self._lower[key].lock.keep(target)

    def _follow(self, steps: Generator[None, None, None] | None) -> None:
        """Those who are served already, step by step: some at once, and others later."""
        if self._following is not None:
            self._following.cancel()
        if steps is not None:
            self._following = in_slices(steps, self._clock)
            self._following.addErrback(self._unfollowed)

    def _unfollowed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            log.failure("unexpected error while services are told of others", failure)

    def _follows(self, exchanged: Iterator[None]) -> Generator[None, None, None]:
        yield from exchanged
        for lower in list(self._lower.values()):
            yield from lower.let_go()

    def compare(self, share: Share) -> Iterator[None]:
        """As L{Share.compare}."""
        was = share.compared = self._now.static if self._now is not None else None
        for key in share.uses:
            for target, _ in self._lower[key].services():
                share.another[target] = self._is_another(False, was, share.static, {}, target)
                yield

    def _is_another(
        self, everything: bool, was: Static | None, now: Static, known: Mapping[Target, bool], target: Target
    ) -> bool:
        """Whether the service of C{target} keeps to something else than before."""
        if everything or was is None:
            return True
        if (found := known.get(target)) is not None:
            return found
        before, after = was.find(target), now.find(target)
        if before == after:
            return False
        # one that is not configured any more is another, and by nobody's answer that of the one before
        return (before is None) != (after is None) or lasting.service(before) != lasting.service(after)

    def leave(self, share: Share) -> None:
        """As L{Share.close}."""
        if self._shares.pop(share, self) is self:
            return
        for use in share.uses.values():
            use.stack.close()
        for key in share.uses:
            if not any(key in other.uses for other in self._shares):
                lower = self._lower.pop(key)
                # what it has counted stays
                self._metrics.watch(partial(self._samples, {key: lower}, self._metrics.cap_target()))()
                lower.lock.close()
        if self._now is share:
            self._now = None
            self._follow(None)

    def _find(self, target: Target) -> Service | None:
        return self._now.static.find(target) if self._now is not None else None

    def _balancing(self, target: Target) -> Balancing:
        """How C{target}'s requests are spread."""
        if self._now is None:
            return DEFAULT
        return balancing(self._now.config, self._find(target) or PLAIN)

    def _served(self, target: Target) -> object:
        """Who serves C{target}: the service of that name, or that target alone."""
        service = self._find(target)
        return target if service is None else service.name

    def leases(self) -> Counter[str]:
        """How many leases are out, by protocol."""
        out: Counter[str] = Counter()
        for (_, protocol), share in self._holds.items():
            out[owner(protocol)] += share.count
        return out

    def waited(self) -> Counter[str]:
        """How many leases were given so far to who had to wait for them, by protocol."""
        given: Counter[str] = Counter()
        for (_, protocol), share in self._holds.items():
            given[owner(protocol)] += share.waited
        return given

    def samples(self) -> Iterator[tuple[str, Labels, float]]:
        """Of the families in L{lproxy.metrics.acquisition.STATE}."""
        yield "in_flight", (), self.in_flight.count
        yield "in_flight_refused_total", (), self.in_flight.refused
        cap = self._metrics.cap_target()
        left: Counter[str] = Counter()
        for served, budget in self._budgets.items():
            left[cap(str(served))] += budget.left
        for label, n in left.items():
            yield "retry_budget_left", (("target", label),), n
        yield from self._samples(self._lower, cap)

    def _samples(self, lower: Mapping[StackKey, outbound.Lower[Any]], cap: Cap) -> Iterator[tuple[str, Labels, float]]:
        counts: Counter[Key] = Counter()
        for report in self._reports(lower):
            counts.update(report.counts)
        for name in TOTALS:
            yield name, (), counts[name, None]
        failing: Counter[str] = Counter()
        trips: Counter[str] = Counter()
        for (name, of), n in counts.items():
            if name == "failfast_state":
                label = cap(str(of))
                failing[label] = max(failing[label], min(n, 1))
            elif name == "failfast_total":
                trips[cap(str(of))] += n
        for label, n in trips.items():
            yield "failfast_state", (("target", label),), failing[label]
            yield "failfast_total", (("target", label),), n

    def _reports(self, lower: Mapping[StackKey, outbound.Lower[Any]]) -> Iterator[Report]:
        """Of each by itself: endpoints are a protocol's, and what they raise costs that protocol's numbers."""
        for (_, protocol), one in lower.items():
            report = Report()
            try:
                one.lock.report(report)
            except BaseException:
                self._metrics.failed(owner(protocol), Failure())
            else:
                yield report
