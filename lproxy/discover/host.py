# -*- test-case-name: tests.discover.test_host -*-
"""
The addresses of one host name in DNS, and when to query again.

For all watchers together there is one look-up in progress, or one timer until the next.

Which answers count:
 - A good answer for one family (A or AAAA) is published at once. The other family is added if it arrives.
 - After a failure without an answer (SERVFAIL, timeout) the latest good answer stays, however old: servers outlive
   resolvers.
 - After an authoritative answer that a name with addresses has none any more (NXDOMAIN, no data), the query is repeated
   once after the first backoff, since a resolver that restarts may answer so wrongly, which would be an outage. Then
   the endpoints are removed: addresses get reassigned, and a request to somebody else's server is worse than a 404.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.names import dns
from twisted.python.failure import Failure

from lproxy.config import Dns as Config
from lproxy.discover.literal import NoRoute
from lproxy.discover.lookup import Absent, Failed, Lookups, Outcome, look_up
from lproxy.discover.records import Answer
from lproxy.discover.system import System
from lproxy.errors import ProxyError
from lproxy.stack.backoff import Backoff
from lproxy.stack.interfaces import Watcher
from lproxy.target import Authority, Endpoint

#: seconds before the first retry after a failure, and at most
RETRY_MIN, RETRY_MAX = 0.5, 30.0
#: a look-up is ended after so many times the timeout of one query: three resolvers, each queried twice
TRIES = 6
#: seconds between two look-ups at least, whatever C{ttl_min} is
SHORTEST = 0.5


class ResolveFailed(ProxyError):
    """The resolvers gave no answer about C{target}."""

    layer = "resolve"
    reason = "resolve"
    flag = "UH"
    status = 503

    def what(self) -> str:
        """The cause says more."""
        return "could not be resolved"


@dataclass(frozen=True, slots=True)
class Means:
    """Dependencies that all hosts share."""

    config: Config
    clock: IReactorTime
    resolver: Lookups
    system: System
    random: Random

    def delay(self, ttl: float) -> float:
        """
        Seconds to keep an answer: its TTL within the configured limits, less a random tenth.

        So names that were first looked up at the same time are not all looked up again at the same time.
        """
        shortest = max(self.config.ttl_min, SHORTEST)
        longest = max(self.config.ttl_max, shortest)
        low = max(shortest, 0.9 * min(ttl, longest))
        return self.random.uniform(low, min(longest, 1.1 * low))


class Host:
    """One host name."""

    def __init__(self, means: Means, name: str, unwatched: Callable[[Host], None]) -> None:
        self._means = means
        self.name = name
        self._unwatched = unwatched
        self._watches: dict[HostWatch, None] = {}
        #: the latest good addresses by record type, and the candidate name in DNS that they are of
        self._families: dict[int, tuple[str, ...]] = {}
        self._candidate = ""
        #: the addresses that watchers were told last
        self._addresses: tuple[str, ...] = ()
        #: why there are none
        self._failure: Absent | Failed | None = None
        self._backoff = Backoff(RETRY_MIN, RETRY_MAX, means.random)
        #: failures in a row
        self._attempts = 0
        #: the latest answer was that there are no addresses any more, to be confirmed by the next
        self._doubted = False
        self._asking = False
        self._lookup: Deferred[Any] | None = None
        #: the deadline of the look-up in progress, or the time of the next
        self._timer: IDelayedCall | None = None

    def __repr__(self) -> str:
        state = "asking" if self._asking else "failed" if self._attempts else "resolved"
        return f"<Host {self.name} {state}, {len(self._addresses)} addresses, {len(self._watches)} watches>"

    # watches

    def watch(self, target: Authority, watcher: Watcher) -> HostWatch:
        """Add a watcher."""
        watch = HostWatch(self, target, watcher)
        self._watches[watch] = None
        if self._addresses:
            watch.tell(self._addresses)
        elif self._failure is not None:
            watch.fail(self._failure)
        elif not self._asking:
            self._ask()
        return watch

    def close(self, watch: HostWatch) -> None:
        """Remove a watcher; after the last, the look-up and the timer are cancelled."""
        if not self.has(watch):
            return
        del self._watches[watch]
        if self._watches:
            return
        self._unwatched(self)
        self._stop_timer()
        if self._lookup is not None:
            self._lookup.cancel()

    def refresh(self) -> None:
        """Look up now, if the latest look-up failed and none is in progress."""
        if self._attempts and not self._asking and self._watches:
            self._ask()

    def has(self, watch: HostWatch) -> bool:
        """Whether C{watch} is open."""
        return watch in self._watches

    # asking

    def _ask(self) -> None:
        self._asking = True
        means = self._means
        addresses = means.system.addresses(self.name)
        if addresses:
            self._candidate = ""
            self._ended(_local(addresses))
            return
        names = (self.name.removesuffix("."),) if means.config.servers else means.system.candidates(self.name)
        self._start_timer(TRIES * means.config.timeout, self._late)
        lookup = Deferred.fromCoroutine(look_up(means.resolver, names, self._found))
        self._lookup = lookup
        lookup.addCallbacks(self._ended, self._broken)
        if not self._watches:
            lookup.cancel()  # the last watcher was closed when it was told

    def _late(self) -> None:
        self._timer = None
        if self._lookup is not None:
            self._lookup.cancel()

    def _found(self, name: str, kind: int, answer: Answer) -> None:
        """Publish one family, before the other has its answer."""
        if name != self._candidate:
            self._candidate = name
            self._families.clear()
        self._families[kind] = answer.addresses
        self._publish()

    def _broken(self, failure: Failure) -> None:
        """A bug of ours, or of a watcher's, must not stop the updates."""
        failed = Failed(failure.value if isinstance(failure.value, Exception) else RuntimeError(repr(failure.value)))
        self._ended(Outcome(failed, failed))

    def _ended(self, outcome: Outcome) -> None:
        self._asking = False
        self._lookup = None
        if not self._watches:
            return
        if answers := outcome.answers:
            self._attempts = 0
            self._doubted = False
            # before watchers are told, who may raise
            self._start_timer(self._means.delay(min(answer.ttl for answer in answers)), self._ask)
            for kind, result in zip((dns.A, dns.AAAA), outcome, strict=True):
                if isinstance(result, Answer):
                    self._families[kind] = result.addresses
                elif isinstance(result, Absent):
                    self._families.pop(kind, None)
            self._publish()
            return
        self._attempts += 1
        self._start_timer(self._backoff.delay(self._attempts), self._ask)
        absence = outcome.absence
        if self._addresses and (absence is None or not self._doubted):
            self._doubted = absence is not None
            return
        self._doubted = False
        self._families.clear()
        self._failed(absence or Failed(self._explained(outcome.error)))

    def _explained(self, error: Exception) -> Exception:
        if isinstance(error, CancelledError):
            return TimeoutError(f"no answer within {TRIES * self._means.config.timeout:g} s")
        return error

    # telling

    def _publish(self) -> None:
        families = self._families
        addresses = tuple(dict.fromkeys((*families.get(dns.A, ()), *families.get(dns.AAAA, ()))))
        # resolvers rotate their answers: the order means nothing
        news = set(addresses) != set(self._addresses)
        self._addresses = addresses
        self._failure = None
        if news:
            for watch in tuple(self._watches):
                watch.tell(self._addresses)  # a watcher may have caused a newer answer

    def _failed(self, failure: Absent | Failed) -> None:
        gone = bool(self._addresses)
        self._addresses = ()
        self._failure = failure
        for watch in tuple(self._watches):
            if self._failure is not failure:
                return  # a watcher has caused another answer, which all have been told
            if gone:
                watch.tell(())
            watch.fail(failure)

    # the timer

    def _start_timer(self, seconds: float, call: Any) -> None:
        self._stop_timer()
        self._timer = self._means.clock.callLater(seconds, call)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


class HostWatch:
    """A L{Watch} of a host's addresses, with a port."""

    __slots__ = ("_host", "_target", "_watcher")

    def __init__(self, host: Host, target: Authority, watcher: Watcher) -> None:
        self._host = host
        self._target = target
        self._watcher = watcher

    def tell(self, addresses: tuple[str, ...]) -> None:
        """These are the addresses, unless closed."""
        if self._host.has(self):
            self._watcher.endpoints([Endpoint(address, self._target.port) for address in addresses])

    def fail(self, failure: Absent | Failed) -> None:
        """There are none, unless closed."""
        if self._host.has(self):
            error = NoRoute(self._target) if isinstance(failure, Absent) else ResolveFailed(self._target)
            error.__cause__ = failure.error
            self._watcher.unresolved(error)

    def close(self) -> None:
        """Tell the watcher nothing more."""
        self._host.close(self)

    def refresh(self) -> None:
        """A caller waits for endpoints."""
        if self._host.has(self):
            self._host.refresh()


def _local(addresses: tuple[str, ...]) -> Outcome:
    """The addresses of /etc/hosts, both families, for the shortest time: the file may change at any time."""
    v4 = tuple(address for address in addresses if ":" not in address)
    v6 = tuple(address for address in addresses if ":" in address)
    none = Absent(LookupError("not in /etc/hosts"))
    return Outcome(Answer(v4, 0.0) if v4 else none, Answer(v6, 0.0) if v6 else none)
