# -*- test-case-name: tests.testing.test_upstream -*-
"""
What is behind a scripted proxy: one endpoint, whose connections and leases are counted.
"""

from __future__ import annotations

from typing import Any, Literal

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from lproxy.errors import ProxyError
from lproxy.metrics.counters import EndpointCounter
from lproxy.profile import RetryBudget
from lproxy.stack.budget import Budget, Budgets
from lproxy.stack.interfaces import EndpointService, Hint, NewEndpoint
from lproxy.stack.lease import ENDED, FREE, Hold
from lproxy.stack.report import Report
from lproxy.target import UNKNOWN, Endpoint, Metadata, Secure, Target
from lproxy.testing.wire import Peer, ScriptedReactor
from lproxy.transport.connect import ConnectFailed
from lproxy.transport.stream import Secured, Stream

#: the one endpoint there is, whatever the target
UPSTREAM = Endpoint("10.0.0.9", 9000)
CLIENT = ("10.0.0.1", 40000)
OURS = ("10.0.0.2", 4140)


class ScriptedConnector:
    """
    Opens connections to nowhere.

    @ivar upstreams: the other side of each that was opened
    @ivar mode: what becomes of a connection: C{accept}, C{refuse}, or C{wait} for L{accept} or L{refuse}
    @ivar waiting: connections that are being opened
    @ivar cancelled: how many of them were cancelled
    @ivar stubborn: whether what is cancelled is connected all the same
    @ivar agreed: the protocol that is agreed upon with connections that are secured
    """

    def __init__(self, reactor: ScriptedReactor) -> None:
        self._reactor = reactor
        self.upstreams: list[Peer] = []
        self.mode: Literal["accept", "refuse", "wait"] = "accept"
        self.waiting: list[tuple[Endpoint, Deferred[Stream]]] = []
        self.agreed = ""
        self._secured: dict[Deferred[Stream], Secure] = {}
        self.cancelled = 0
        self.stubborn = False

    def connect(self, endpoint: Endpoint, metadata: Metadata) -> Deferred[Stream]:
        """As L{lproxy.transport.connect.Connector.connect}."""
        d: Deferred[Stream] = Deferred(self._cancelled)
        self.waiting.append((endpoint, d))
        if metadata.secure is not None:
            self._secured[d] = metadata.secure
        if self.mode == "accept":
            self.accept()
        elif self.mode == "refuse":
            self.refuse()
        return d

    def close(self) -> None:
        """As L{lproxy.transport.connect.Connector.close}."""

    def try_connect(self, endpoint: Endpoint, metadata: Metadata) -> Stream | None:
        """As L{lproxy.transport.connect.Connector.try_connect}."""
        return self._opened(endpoint, metadata.secure) if self.mode == "accept" else None

    def accept(self) -> None:
        """The one that has waited longest is connected."""
        endpoint, d = self.waiting.pop(0)
        d.callback(self._opened(endpoint, self._secured.pop(d, None)))

    def _opened(self, endpoint: Endpoint, secure: Secure | None) -> Stream:
        peer = Peer()
        self.upstreams.append(peer)
        stream = self._reactor.stream(peer, (endpoint.host, endpoint.port), OURS)
        if secure is not None:
            alpn = self.agreed if self.agreed in secure.alpn else ""
            stream.conn = stream.conn._replace(tls=Secured(secure.server_name, alpn))
        return stream

    def refuse(self) -> None:
        """The one that has waited longest is refused."""
        endpoint, d = self.waiting.pop(0)
        d.errback(Failure(ConnectFailed(endpoint, "ECONNREFUSED")))

    def _cancelled(self, d: Deferred[Stream]) -> None:
        (endpoint,) = (one for one, waiting in self.waiting if waiting is d)
        self.waiting.remove((endpoint, d))
        self.cancelled += 1
        if self.stubborn:
            d.callback(self._opened(endpoint, self._secured.pop(d, None)))


class CountedLease:
    """A lease that knows whether it has ended, once."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.call = inner.call
        self.hold: Hold = FREE
        self.closed = 0

    def means(self, status: int) -> None:
        """What the answer came to."""
        self.inner.means(status)

    def close(self) -> None:
        """End it."""
        self.closed += 1
        self.inner.close()

    def keep(self) -> Any:
        """End it, and have what it was for."""
        self.closed += 1
        return self.inner.keep()


def over(lease: CountedLease) -> bool:
    """Whether the stack knows that C{lease} has ended, or it has not."""
    return not lease.closed or lease.inner.hold is ENDED


class OneEndpoint:
    """
    A L{Stack<lproxy.stack.interfaces.Stack>} that knows one endpoint, and counts.

    @ivar error: what acquisitions fail with, if anything
    @ivar retried: the errors for which another lease was asked
    @ivar failures: what the endpoint has reported to its balancer
    @ivar counter: where the endpoint is counted
    @ivar budgets: what further tries draw on
    @ivar bounded: whether they do
    @ivar kept: the targets that are to be kept
    """

    def __init__(
        self,
        new_endpoint: NewEndpoint[Any],
        leases: list[CountedLease],
        targets: list[Target],
        metadata: Metadata = UNKNOWN,
    ) -> None:
        self.error: Exception | None = None
        self.retried: list[ProxyError] = []
        self.failures: list[ProxyError] = []
        self.counter = EndpointCounter()
        self.budgets = Budgets(Clock())
        self.bounded = False
        self.kept: list[Target] = []
        self.service: EndpointService[Any] = new_endpoint(UPSTREAM, metadata, self)
        self._leases = leases
        self._targets = targets

    def try_acquire(self, target: Target, hint: Hint | None = None) -> CountedLease | None:
        """What the endpoint has ready."""
        lease = self.service.try_acquire() if self.error is None else None
        if lease is None:
            return None
        self._targets.append(target)
        return self._counted(lease)

    def acquire(self, target: Target, hint: Hint | None = None) -> Deferred[CountedLease]:
        """As of the endpoint."""
        self._targets.append(target)
        if self.error is not None:
            return fail(self.error)
        return self.service.acquire().addCallback(self._counted)

    def again(self, target: Target, error: ProxyError, hint: Hint | None = None) -> Deferred[CountedLease]:
        """Another; within the budget, where that counts."""
        self.retried.append(error)
        if self.bounded and not (error.unsent or self.budgets.known(target).withdraw()):
            return fail(error)
        return self.acquire(target, hint)

    def budget(self, target: Target, settings: RetryBudget | None = None) -> Budget:
        """Of a clock that stands still."""
        return self.budgets.of(target, settings)

    def failed(self, error: ProxyError, began: float | None = None) -> bool:
        """As L{Health.failed<lproxy.stack.interfaces.Health.failed>}: there is no other."""
        self.failures.append(error)
        return False

    def answered_badly(self, error: ProxyError, began: float) -> None:
        """As L{Health.answered_badly<lproxy.stack.interfaces.Health.answered_badly>}: not passed over for it."""
        self.failures.append(error)

    def answered_well(self, began: float) -> bool:
        """It is healthy."""
        return True

    def not_answered(self, began: float) -> None:
        """Nothing is probed."""

    def took(self, seconds: float, now: float) -> None:
        """There is nobody to compare it with."""

    def keep(self, target: Target) -> None:
        """There is one, and it stays."""
        self.kept.append(target)

    def report(self, report: Report) -> None:
        """Of the endpoint."""
        self.service.report(report)

    def close(self) -> None:
        """Let go of what the endpoint keeps."""
        self.service.close()

    def _counted(self, lease: Any) -> CountedLease:
        counted = CountedLease(lease)
        self._leases.append(counted)
        return counted
