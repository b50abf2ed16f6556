# -*- test-case-name: tests.metrics.test_counters -*-
"""
What is counted while serving: plain integers in slotted objects, resolved once per connection or route.

No names, labels or exposition format here: L{lproxy.metrics.registry} hands these out by label set and reads them when
somebody scrapes. (A C{labels()} call with its lock costs as much as a C{recv}.)
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple, Protocol

#: of a histogram, rising; in mypyc a Final tuple of floats may count as unset, so its length is left open
Bounds = tuple[float, ...]

#: milliseconds; linkerd's
MILLISECONDS: Bounds = tuple([float(x * decade) for decade in (1, 10, 100, 1_000, 10_000) for x in (1, 2, 3, 4, 5)])
#: seconds; from a local answer to a long poll
SECONDS: Bounds = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600)


class Exemplar(NamedTuple):
    """One value of many, and the trace that tells more of it."""

    value: float
    trace_id: str
    #: seconds of the epoch
    at: float


class Histogram:
    """
    Counts of values by bucket, not cumulated; a value equal to a bound belongs below it.

    @ivar exemplars: the latest of each bucket that has one; C{None}: nothing is traced
    """

    __slots__ = ("bounds", "counts", "exemplars", "total")

    def __init__(self, bounds: Bounds) -> None:
        self.exemplars: dict[int, Exemplar] | None = None
        self.bounds = bounds
        self.counts: list[int] = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value, in the unit of the bounds."""
        self.counts[bisect_left(self.bounds, value)] += 1
        # negative is a time by a clock that was set back meanwhile: as good as none, and a sum never falls
        if value > 0.0:
            self.total += value

    def exemplify(self, value: float, trace_id: str, at: float) -> None:
        """A value that was observed is part of a trace."""
        if self.exemplars is None:
            self.exemplars = {}
        self.exemplars[bisect_left(self.bounds, value)] = Exemplar(value, trace_id, at)


class Metered(Protocol):
    """A connection whose bytes are counted where they pass."""

    bytes_in: int
    bytes_out: int
    errno: str


class TransportCounter:
    """
    Connections of one label set. The bytes of live ones are kept by themselves and summed by whoever reads.

    @ivar live: open connections, each with the time in seconds at which it was opened
    """

    __slots__ = ("closed", "duration", "live", "opened", "read_bytes", "write_bytes")

    def __init__(self) -> None:
        self.opened = 0
        self.live: dict[Metered, float] = {}
        self.read_bytes = 0
        self.write_bytes = 0
        self.closed: dict[str, int] = {}
        self.duration = Histogram(SECONDS)

    def open(self, stream: Metered, now: float) -> None:
        """C{stream}, opened at C{now}, belongs here."""
        self.opened += 1
        self.live[stream] = now

    def close(self, stream: Metered, now: float) -> None:
        """It has ended; counted once."""
        began = self.live.pop(stream, None)
        if began is None:
            return
        self.read_bytes += stream.bytes_in
        self.write_bytes += stream.bytes_out
        self.closed[stream.errno] = self.closed.get(stream.errno, 0) + 1
        self.duration.observe(now - began)

    def mark(self) -> int:
        """Connections opened, plus connections closed. Bytes move on live ones only."""
        return 2 * self.opened - len(self.live)

    def held(self) -> bool:
        """Whether a connection that is open belongs here."""
        return bool(self.live)

    def totals(self) -> tuple[int, int]:
        """Bytes read and written until now, live connections included."""
        read, written = self.read_bytes, self.write_bytes
        for stream in self.live:
            read += stream.bytes_in
            written += stream.bytes_out
        return read, written


class Loaded(Protocol):
    """A balancer's own of an endpoint."""

    @property
    def load(self) -> int:
        """Requests and byte streams that it has there."""


class EndpointCounter:
    """
    One endpoint of one service, whoever uses it.

    @ivar live: the balancers' own of it that there are now
    @ivar down: how many of them are passed over
    @ivar connected: connections opened
    @ivar not_connected: those that were not, by reason
    @ivar ejected: how many times it went down, by reason
    @ivar checks: outcomes of health checks: C{ok}, or the reason why not
    @ivar succeeded: requests that it has answered, but for those that it said it could not serve
    @ivar failed: those, and requests that were lost with their connection
    @ivar latency: of those that it answered, milliseconds for which they had a connection to it
    """

    __slots__ = ("checks", "connected", "down", "ejected", "failed", "latency", "live", "not_connected", "succeeded")

    def __init__(self) -> None:
        self.live: dict[Loaded, None] = {}
        self.down = 0
        self.connected = 0
        self.not_connected: dict[str, int] = {}
        self.ejected: dict[str, int] = {}
        self.checks: dict[str, int] = {}
        self.succeeded = 0
        self.failed = 0
        self.latency = Histogram(MILLISECONDS)

    def not_opened(self, reason: str) -> None:
        """Count a connection that could not be opened."""
        self.not_connected[reason] = self.not_connected.get(reason, 0) + 1

    def eject(self, reason: str) -> None:
        """Count that it went down."""
        self.ejected[reason] = self.ejected.get(reason, 0) + 1

    def checked(self, outcome: str) -> None:
        """Count a health check."""
        self.checks[outcome] = self.checks.get(outcome, 0) + 1

    def mark(self) -> int:
        """Whatever was counted."""
        return (
            self.connected
            + self.succeeded
            + self.failed
            + sum(self.not_connected.values())
            + sum(self.ejected.values())
            + sum(self.checks.values())
        )

    def held(self) -> bool:
        """Whether some balancer has it."""
        return bool(self.live)


class DetectCounter:
    """One listener's detections: results by name (a protocol, C{tcp}, C{timeout}, C{eof}, C{server_first})."""

    __slots__ = ("denied", "duration", "headers", "refused", "results")

    def __init__(self) -> None:
        self.results: dict[str, int] = {}
        self.duration = Histogram(SECONDS)
        #: connections closed at accept, by reason: C{limit}, C{EMFILE}
        self.refused: dict[str, int] = {}
        #: connections by their PROXY protocol header, C{v1}, C{v2} or C{local}, or by why there was none
        self.headers: dict[str, int] = {}
        #: requests and connections that a policy refused, by reason
        self.denied: dict[str, int] = {}

    def done(self, result: str, seconds: float) -> None:
        """Count one detection."""
        self.results[result] = self.results.get(result, 0) + 1
        self.duration.observe(seconds)


class HandshakeCounter:
    """
    TLS handshakes on one side of one direction.

    @ivar failed: by reason
    @ivar duration: of those that came to a good end
    """

    __slots__ = ("done", "duration", "failed", "resumed")

    def __init__(self) -> None:
        self.done = 0
        self.resumed = 0
        self.failed: dict[str, int] = {}
        self.duration = Histogram(SECONDS)

    def succeeded(self, seconds: float, resumed: bool) -> None:
        """Count one, which perhaps went on with an earlier session."""
        self.duration.observe(seconds)
        if resumed:
            self.resumed += 1
        else:
            self.done += 1

    def fail(self, reason: str) -> None:
        """Count one that came to none."""
        self.failed[reason] = self.failed.get(reason, 0) + 1


class AcquireCounter:
    """
    One direction's acquisitions by outcome: C{ready}, C{waited}, C{timed_out}, C{failfast}, C{failed}, C{cancelled}.

    @ivar ready: those that did not wait at all, and so have no duration
    @ivar retries: those that were made once more for a request that had failed, by outcome: C{acquired}, C{refused}
        (shed before, and so never tried again), C{no_budget} (the service's is used up), or one of the above
    """

    __slots__ = ("durations", "ready", "retries")

    def __init__(self) -> None:
        self.ready = 0
        self.durations: dict[str, Histogram] = {}
        self.retries: dict[str, int] = {}

    def done(self, outcome: str, seconds: float) -> None:
        """Count one that had to wait, or failed."""
        histogram = self.durations.get(outcome)
        if histogram is None:
            histogram = self.durations[outcome] = Histogram(SECONDS)
        histogram.observe(seconds)

    def retried(self, outcome: str) -> None:
        """Count one that was made once more."""
        self.retries[outcome] = self.retries.get(outcome, 0) + 1
