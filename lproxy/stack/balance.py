# -*- test-case-name: tests.stack.test_balance -*-
"""
One service of many endpoints, one of which is chosen for each request (L{lproxy.stack.choose}).

Inside a service, below failfast. Endpoints come and go with discovery, whether anybody sends requests or not. An
endpoint that fails is passed over for a while where there are others (L{lproxy.stack.health}); where there are none it
is tried for every request, since a stale refusal helps nobody.

The probe is somebody's request, since nothing else shows whether an endpoint serves; one that cannot be connected goes
on to another. No timer runs for it, and who is not the probe never waits for it. As no backoff is longer than
C{timeouts.backoff_max}, an endpoint that is back after hours is in use as soon as one that is back after seconds.

Over 300 lines: the balancer is one thing, and how it fails the greater part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.balancing import DEFAULT, Balancing
from lproxy.errors import ProxyError, explain
from lproxy.stack.backoff import Backoff
from lproxy.stack.choose import Chooser
from lproxy.stack.health import EndpointHealth, ServiceHealth
from lproxy.stack.interfaces import NOTHING, BalanceLayer, Discover, EndpointService, Hint, L, NewEndpoint, NewService
from lproxy.stack.member import Member
from lproxy.stack.observer import EndpointObserver
from lproxy.stack.report import Report
from lproxy.stack.tried import GaveUp
from lproxy.target import UNKNOWN, Endpoint, Metadata, Target


class NoEndpointReady(ProxyError):
    """None of several endpoints could be connected to."""

    layer = "balance"
    reason = "connect"
    flag = "UF"
    status = 502

    def __init__(self, target: Target, tried: int) -> None:
        super().__init__(target)
        self.tried = tried

    def what(self) -> str:
        """How many were tried."""
        return f"none of {self.tried} endpoints could be connected to, one of them"

    def essential(self) -> BaseException:
        """The cause: what the last of them said, or one for whom that will not change."""
        return self.__cause__ or self


class Balance(Generic[L]):
    """
    A L{Service} that is also the L{Watcher} of its target's endpoints.

    @ivar on_ready: called when there are new endpoints
    """

    def __init__(self, target: Target, discover: Discover, new_endpoint: NewEndpoint[L], health: ServiceHealth) -> None:
        self._target = target
        self._new_endpoint = new_endpoint
        self._clock = health.clock
        self._health = health
        self._chooser: Chooser[L] = Chooser(health)
        self._members: dict[Endpoint, Member[L]] = {}
        self._list: list[Member[L]] = []
        # the warm path of the only one: by far the most services have one endpoint
        self._only: Callable[[], L | None] | None = None
        self._gone: list[EndpointService[L]] = []  # removed, with leases still out
        self._waiters: list[Deferred[None]] = []
        self._error: Exception | None = None
        self._error_at = 0.0
        self.on_ready: Callable[[], None] | None = None
        self._watch = discover.watch(target, self)

    # the watcher

    def endpoints(self, endpoints: Iterable[Endpoint], about: Mapping[Endpoint, Metadata] = NOTHING) -> None:
        """
        These serve the target now. Those that stay as they were keep their connections and their history.
        """
        before, self._members = self._members, {}
        self._error = None
        more = False
        # where there were none, all are as new as each other
        some = bool(before)
        for endpoint in endpoints:
            if endpoint in self._members:
                continue
            metadata = about.get(endpoint, UNKNOWN)
            known = before.get(endpoint)
            if known is not None and known.metadata.connects_as(metadata):
                known.metadata = metadata
                self._members[endpoint] = before.pop(endpoint)
                continue
            health = EndpointHealth(self._health, endpoint)
            service = self._new_endpoint(endpoint, metadata, health)
            member = self._members[endpoint] = Member(endpoint, metadata, service, health)
            member.watch(self._health)
            more = True
            if some:
                health.ease()
        self._list = members = list(self._members.values())
        self._health.count = len(members)
        self._chooser.set(members)
        self._only = members[0].service.try_acquire if len(members) == 1 else None
        self._gone = [service for service in self._gone if service.load]
        for member in before.values():
            member.close()
            if member.service.load:
                self._gone.append(member.service)
        if self._list:
            self._wake(None)
        if more and self.on_ready is not None:
            self.on_ready()

    def unresolved(self, error: Exception) -> None:
        """Nobody knows who serves it: whoever waits is told so."""
        self._error = error
        self._error_at = self._clock.seconds()
        self._wake(error)

    def _wake(self, error: Exception | None) -> None:
        waiters, self._waiters = self._waiters, []
        for d in waiters:
            if d.called:
                continue  # one that was told may cancel others
            if error is None:
                d.callback(None)
            else:
                error.__traceback__ = None  # it grows whenever it is raised, and may be told for ever
                d.errback(error)

    # the service

    def try_acquire(self, hint: Hint | None = None) -> L | None:
        """What the one that is chosen has ready."""
        if self._only is not None:
            return self._only()
        if not self._list:
            return None
        member = self._chooser.choose(hint)
        lease = member.service.try_acquire()
        if lease is not None and self._health.unhealthy:
            member.health.succeeded()
        return lease

    def acquire(self, hint: Hint | None = None) -> Deferred[L]:
        """
        Wait for endpoints, then try each at most once until one is connected.

        Fails with the only endpoint's error, L{NoEndpointReady} from the most telling one, or what discovery said.
        """
        members = self._list
        if len(members) != 1:
            return Deferred.fromCoroutine(self._acquire(hint))
        # no coroutine to choose the only one
        member = members[0]
        member.acquiring += 1
        return member.service.acquire().addCallbacks(
            self._connected, self._only_failed, callbackArgs=(member,), errbackArgs=(member, self._clock.seconds())
        )

    def serves(self, avoid: tuple[Endpoint, ...] = ()) -> bool:
        """Whether an endpoint is healthy, or awaits its probe; or it is not known yet whether there is one."""
        if not self._list:
            return self._error is None
        if self._health.unhealthy < len(self._list) and not avoid:
            return True
        now = self._clock.seconds()
        others = [member.health for member in self._list if member.endpoint not in avoid]
        return any(health.well or health.due(now) for health in others)

    def ailing(self) -> int:
        """Those that are not healthy."""
        return self._health.unhealthy

    def busy(self) -> int:
        """How many leases are out on any endpoint, or waited for."""
        return len(self._waiters) + sum([m.service.load for m in self._list]) + sum([s.load for s in self._gone])

    def close(self) -> None:
        """End the watch and every endpoint's idle connections."""
        self.on_ready = None
        self._watch.close()
        for member in self._list:
            member.close()

    def report(self, report: Report) -> None:
        """Every endpoint and how it does; and what that makes of the service: degraded, or down."""
        if not report.rows:
            for member in self._list:
                member.service.report(report)
            return
        in_flight = 0
        # a list in every row, also while nobody knows of any
        report.show(endpoints=[])
        for member in self._list:
            part = report.part("endpoints", "address", member.endpoint)
            member.report(part)
            member.service.report(part)
            if report.probing and member.acquiring:
                # while callers are failed at once, nobody acquires but the probe, which is nobody's request
                part.show(in_flight=member.load)
            in_flight += member.load if report.probing else member.service.load
        report.show(in_flight=in_flight)
        unhealthy = self._health.unhealthy
        if unhealthy == len(self._list) and (unhealthy or self._error is not None):
            report.show(state="down")
        elif unhealthy:
            report.show(state="degraded")
        if self._error is not None:
            seconds = round(self._clock.seconds() - self._error_at, 3)
            report.show(last_error=explain(self._error), last_error_seconds=seconds)

    async def _acquire(self, hint: Hint | None) -> L:
        await self._some_endpoints()
        tried: set[Member[L]] = set()
        told: ProxyError | None = None
        member = self._chooser.choose(hint)
        while True:
            tried.add(member)
            health, began = member.health, self._clock.seconds()
            probing = health.due(began)
            if probing:
                health.probe()
            member.acquiring += 1
            try:
                lease = await member.service.acquire()
            except CancelledError:
                raise self._gave_up_on(member) from None
            except ProxyError as e:
                health.attempt_failed(e, began)
                if told is None or not told.lasting:
                    told = e
                # of those that there are now: some may have gone or come meanwhile
                untried = [member for member in self._list if member not in tried]
                if not untried:
                    if len(tried) == 1:
                        raise
                    raise NoEndpointReady(self._target, len(tried)).because(told) from told
                following = self._chooser.among(untried, hint)
            else:
                health.succeeded()
                probing = False  # where connecting is no proof, it goes on until there is an answer
                return lease
            finally:
                member.acquiring -= 1
                if probing:
                    health.probe_ended()
            member = following

    def _connected(self, lease: L, member: Member[L]) -> L:
        member.acquiring -= 1
        member.health.succeeded()
        return lease

    def _only_failed(self, failure: Failure, member: Member[L], began: float) -> Failure:
        member.acquiring -= 1
        error = failure.value
        if isinstance(error, CancelledError):
            raise self._gave_up_on(member) from None
        if isinstance(error, ProxyError):
            member.health.attempt_failed(error, began)
        return failure

    def _gave_up_on(self, member: Member[L]) -> GaveUp:
        text = f"while connecting to {member.endpoint}{_lately(member.health.last_error)}"
        return GaveUp(text, member.endpoint)

    async def _some_endpoints(self) -> None:
        while not self._list:
            d: Deferred[None] = Deferred(self._gave_up)
            self._waiters.append(d)
            if self._error is not None:
                # known to have failed before: somebody waits now, so it is tried again at once
                self._watch.refresh()
            await d

    def _gave_up(self, d: Deferred[None]) -> None:
        if d in self._waiters:
            self._waiters.remove(d)
        d.errback(GaveUp(f"waiting for endpoints{_lately(self._error)}"))


def _lately(error: BaseException | None) -> str:
    return f"; lately: {explain(error)}" if error is not None else ""


def _default(target: Target) -> Balancing:
    return DEFAULT


def layer(
    discover: Discover,
    clock: IReactorTime,
    backoff: Backoff,
    settings: Callable[[Target], Balancing] = _default,
    observer: EndpointObserver | None = None,
) -> BalanceLayer:
    """
    Spread each target's requests over the endpoints that C{discover} knows.

    @param settings: of a target
    """

    def wrap(new_endpoint: NewEndpoint[L]) -> NewService[L]:
        return lambda target: Balance(
            target, discover, new_endpoint, ServiceHealth(target, clock, backoff, settings(target), observer)
        )

    return wrap
