# -*- test-case-name: tests.metrics.test_acquisition -*-
"""
The families of acquisition: how callers got a service, and the state of the stacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from twisted.python.failure import Failure

from lproxy.metrics.counters import SECONDS, AcquireCounter, Histogram
from lproxy.metrics.family import Family, Kind, Labels

#: families whose values the stacks hold, see L{lproxy.metrics.registry.Metrics.watch}
STATE: dict[str, tuple[Kind, str]] = {
    "lock_waiters": ("gauge", "Requests and connections queued for a service."),
    "service_cache_size": ("gauge", "Services in the cache, one for each target in use."),
    "service_cache_evictions_total": ("counter", "Services removed from the cache because they were idle."),
    "failfast_state": ("gauge", "1 while a target is in failfast: it was not ready for too long, and requests fail."),
    "failfast_total": ("counter", "How many times a target entered failfast."),
    "retry_budget_left": ("gauge", "How many further tries of failed requests a service may be burdened with now."),
    "in_flight": ("gauge", "Requests and byte streams in flight, those still waiting for a service included."),
    "in_flight_refused_total": ("counter", "Requests and byte streams refused because limits.in_flight was reached."),
}
#: family name (one of L{STATE}), labels, value
StateSource = Callable[[], Iterable[tuple[str, Labels, float]]]


class Acquisitions:
    """A counter for each direction. They stay."""

    def __init__(self) -> None:
        self._counters: dict[str, AcquireCounter] = {}

    def counter(self, direction: str) -> AcquireCounter:
        """Where the acquisitions of C{direction} are counted."""
        counter = self._counters.get(direction)
        if counter is None:
            counter = self._counters[direction] = AcquireCounter()
        return counter

    def families(self) -> Iterator[Family]:
        """As of now."""
        each = [(labels, h) for name, c in self._counters.items() for labels, h in _outcomes(name, c)]
        yield Family(
            "acquire_total",
            "counter",
            "Acquisitions of a service by outcome: ready at once, waited for, or failed.",
            ((labels, sum(h.counts)) for labels, h in each),
        )
        yield Family(
            "acquire_duration_seconds",
            "histogram",
            "How long acquisitions took. outcome=ready took no time.",
            each,
        )
        yield Family(
            "acquire_retries_total",
            "counter",
            "Acquisitions for a retry of a request that had failed upstream, by outcome.",
            (
                ((("direction", name), ("outcome", outcome)), n)
                for name, c in self._counters.items()
                for outcome, n in list(c.retries.items())
            ),
        )


def _outcomes(direction: str, counter: AcquireCounter) -> Iterator[tuple[Labels, Histogram]]:
    ready = Histogram(SECONDS)
    ready.counts[0] = counter.ready
    for outcome, histogram in [("ready", ready), *counter.durations.items()]:
        yield (("direction", direction), ("outcome", outcome)), histogram


def state_families(sources: Iterable[StateSource], failed: Callable[[Failure], None]) -> Iterator[Family]:
    """
    The families in L{STATE}, over all C{sources}: sums, but for a state, of which the largest counts.

    @param failed: told what a source raised, which costs its own values
    """
    values: dict[str, dict[Labels, float]] = {name: {} for name in STATE}
    for source in sources:
        try:
            found = [(values[name], name, labels, value) for name, labels, value in source()]
        except BaseException:
            failed(Failure())
            continue
        for samples, name, labels, value in found:
            before = samples.get(labels, 0)
            samples[labels] = max(before, value) if name == "failfast_state" else before + value
    for name, (kind, help) in STATE.items():
        yield Family(name, kind, help, values[name].items())
