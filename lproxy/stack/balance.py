# -*- test-case-name: tests.stack.test_balance -*-
"""
One service of many endpoints: pick two at random, take the one with less to do.

Inside a service, below failfast. Endpoints come and go with discovery, whether anybody sends requests or not. An
endpoint that cannot be connected to is passed over for a while where there are others; where there are none it is
tried for every request, since a stale refusal helps nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.errors import ProxyError, explain
from lproxy.stack.backoff import Backoff
from lproxy.stack.interfaces import Discover, EndpointService, Layer, Lease, NewEndpoint, NewService
from lproxy.target import Endpoint, Target


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
        return f"none of {self.tried} endpoints could be connected to, the last"

    def essential(self) -> BaseException:
        """The cause: what the last of them said."""
        return self.__cause__ or self


class GaveUp(CancelledError):
    """An acquisition was cancelled; the text says what it was waiting for."""


class Member:
    """An endpoint and how it has been doing."""

    __slots__ = ("endpoint", "failures", "last_error", "retry_at", "service")

    def __init__(self, endpoint: Endpoint, service: EndpointService) -> None:
        self.endpoint = endpoint
        self.service = service
        self.failures = 0
        self.retry_at = 0.0
        self.last_error: BaseException | None = None


class Balance:
    """
    A L{Service} that is also the L{Watcher} of its target's endpoints.

    @ivar changed: called when there are new endpoints
    """

    def __init__(
        self, target: Target, discover: Discover, new_endpoint: NewEndpoint, clock: IReactorTime, backoff: Backoff
    ) -> None:
        self._target = target
        self._new_endpoint = new_endpoint
        self._clock = clock
        self._backoff = backoff
        self._random = backoff.random.random
        self._members: dict[Endpoint, Member] = {}
        self._list: list[Member] = []
        self._gone: list[EndpointService] = []  # removed, with leases still out
        self._waiting: list[Deferred[None]] = []
        self._error: Exception | None = None
        self.changed: Callable[[], None] | None = None
        self._watch = discover.watch(target, self)

    # the watcher

    def endpoints(self, endpoints: Iterable[Endpoint]) -> None:
        """These serve the target now. Those that stay keep their connections and their history."""
        before, self._members = self._members, {}
        self._error = None
        more = False
        for endpoint in endpoints:
            if endpoint in before:
                self._members[endpoint] = before.pop(endpoint)
            elif endpoint not in self._members:
                self._members[endpoint] = Member(endpoint, self._new_endpoint(endpoint))
                more = True
        self._list = list(self._members.values())
        self._gone = [service for service in self._gone if service.load]
        for member in before.values():
            member.service.close()
            if member.service.load:
                self._gone.append(member.service)
        if self._list:
            self._wake(None)
        if more and self.changed is not None:
            self.changed()

    def unresolved(self, error: Exception) -> None:
        """Nobody knows who serves it: whoever waits is told so."""
        self._error = error
        self._wake(error)

    def _wake(self, error: Exception | None) -> None:
        waiting, self._waiting = self._waiting, []
        for d in waiting:
            if d.called:
                continue  # one that was told may cancel others
            if error is None:
                d.callback(None)
            else:
                error.__traceback__ = None  # it grows whenever it is raised, and may be told for ever
                d.errback(error)

    # the service

    def try_acquire(self) -> Lease | None:
        """What the better of two random endpoints has ready."""
        members = self._list
        if len(members) == 1:
            return members[0].service.try_acquire()
        if not members:
            return None
        return self._pick(members).service.try_acquire()

    def acquire(self) -> Deferred[Lease]:
        """
        Wait for endpoints, then try each at most once until one is connected.

        Fails with the only endpoint's error, L{NoEndpointReady} from the last one's, or what discovery said.
        """
        members = self._list
        if len(members) != 1:
            return Deferred.fromCoroutine(self._acquire())
        # by far the most services have one endpoint: no coroutine to choose it
        member = members[0]
        return member.service.acquire().addCallbacks(
            self._connected, self._only_failed, callbackArgs=(member,), errbackArgs=(member,)
        )

    def busy(self) -> int:
        """How many leases are out on any endpoint, or waited for."""
        return len(self._waiting) + sum(m.service.load for m in self._list) + sum(s.load for s in self._gone)

    def close(self) -> None:
        """End the watch and every endpoint's idle connections."""
        self._watch.close()
        for member in self._list:
            member.service.close()

    def describe(self) -> dict[str, Any]:
        """Every endpoint and how it does."""
        now = self._clock.seconds()
        endpoints = []
        for member in self._list:
            row: dict[str, Any] = {"address": str(member.endpoint), **member.service.describe()}
            if member.last_error is not None:
                row["last_error"] = explain(member.last_error)
            if member.retry_at > now:
                row["backoff_seconds"] = round(member.retry_at - now, 3)
            endpoints.append(row)
        out: dict[str, Any] = {"endpoints": endpoints, "in_flight": sum(m.service.load for m in self._list)}
        if self._error is not None:
            out["last_error"] = explain(self._error)
        return out

    async def _acquire(self) -> Lease:
        await self._some_endpoints()
        tried: set[Member] = set()
        untried = self._list
        while True:
            member = untried[0] if len(untried) == 1 else self._pick(self._rested(untried))
            tried.add(member)
            try:
                lease = await member.service.acquire()
            except CancelledError:
                raise self._gave_up_on(member) from None
            except ProxyError as e:
                self._failed(member, e)
                # of those that there are now: some may have gone or come meanwhile
                untried = [member for member in self._list if member not in tried]
                if not untried:
                    if len(tried) == 1:
                        raise
                    raise NoEndpointReady(self._target, len(tried)) from e
            else:
                return self._connected(lease, member)

    def _connected(self, lease: Lease, member: Member) -> Lease:
        member.failures = 0
        member.retry_at = 0.0
        return lease

    def _only_failed(self, failure: Failure, member: Member) -> Failure:
        error = failure.value
        if isinstance(error, CancelledError):
            raise self._gave_up_on(member) from None
        if isinstance(error, ProxyError):
            self._failed(member, error)
        return failure

    def _gave_up_on(self, member: Member) -> GaveUp:
        return GaveUp(f"while connecting to {member.endpoint}{_lately(member.last_error)}")

    async def _some_endpoints(self) -> None:
        while not self._list:
            d: Deferred[None] = Deferred(self._gave_up)
            self._waiting.append(d)
            if self._error is not None:
                # known to have failed before: somebody waits now, so it is tried again at once
                self._watch.refresh()
            await d

    def _gave_up(self, d: Deferred[None]) -> None:
        if d in self._waiting:
            self._waiting.remove(d)
        d.errback(GaveUp(f"waiting for endpoints{_lately(self._error)}"))

    def _failed(self, member: Member, error: ProxyError) -> None:
        member.failures += 1
        member.last_error = error
        member.retry_at = self._clock.seconds() + self._backoff.delay(member.failures)

    def _rested(self, members: list[Member]) -> list[Member]:
        """Those that did not just fail; where all did, the one whose turn comes first."""
        now = self._clock.seconds()
        return [m for m in members if m.retry_at <= now] or [min(members, key=lambda m: m.retry_at)]

    def _pick(self, members: list[Member]) -> Member:
        """The power of two choices."""
        n = len(members)
        if n == 1:
            return members[0]
        i = int(self._random() * n)
        j = int(self._random() * (n - 1))
        if j >= i:
            j += 1
        a, b = members[i], members[j]
        return b if b.service.load < a.service.load else a


def _lately(error: BaseException | None) -> str:
    return f"; lately: {explain(error)}" if error is not None else ""


def layer(discover: Discover, clock: IReactorTime, backoff: Backoff) -> Layer:
    """Spread each target's requests over the endpoints that C{discover} knows."""

    def wrap(new_endpoint: NewEndpoint) -> NewService:
        return lambda target: Balance(target, discover, new_endpoint, clock, backoff)

    return wrap
