# -*- test-case-name: tests.protocols.http.test_account -*-
"""
How long an exchange took, and where, and how much was passed on: for metrics, the access log and traces.

It is kept for every exchange, whoever wants to know, and costs no look at the clock of its own.
"""

from __future__ import annotations

from typing import Any, Protocol

from lproxy.api import Conn


class Spans(Protocol):
    """A L{Trace<lproxy.protocols.http.trace.Trace>}."""

    __slots__ = ("trace_id",)

    trace_id: str

    def call(self, now: float) -> None:
        """The request is about to be sent."""

    def beside(self) -> None:
        """It is about to be sent a second time, as that takes long, and the first goes on."""

    def won(self, second: bool) -> None:
        """One of the two is answered: C{second}, or the first."""

    def again(self, now: float, error: str, status: int, upstream: str | None) -> None:
        """That has failed, or its answer is not good enough, and there is another try."""

    def epoch(self, seconds: float) -> float:
        """From the exchange's clock to seconds of the epoch."""

    def over(self, exchange: Any, conn: Conn) -> None:
        """The exchange is."""


class Account:
    """
    Of one exchange. Times are seconds by its listener's clock.

    @ivar asked: since when a lease is waited for, or was
    @ivar waited: for how long one was, by all tries together that were sent
    @ivar dispatched: when the request was sent last; 0: never
    @ivar answered: when the head of the upstream's answer came; 0: never
    @ivar overhead: for how long the proxy itself had it, waiting included
    @ivar tries: how often it was sent
    @ivar received: bytes of the request's body
    @ivar sent: bytes of the answer's body
    @ivar error: why it failed, in one word; empty: it did not, or only as the upstream's answer says
    @ivar trace: its spans, where its trace is sampled
    """

    __slots__ = ("answered", "asked", "dispatched", "error", "overhead", "received", "sent", "trace", "tries", "waited")

    def __init__(self, now: float) -> None:
        self.asked = now
        self.waited = 0.0
        self.dispatched = 0.0
        self.answered = 0.0
        self.overhead = 0.0
        self.tries = 0
        self.received = 0
        self.sent = 0
        self.error = ""
        self.trace: Spans | None = None

    def dispatch(self, now: float) -> None:
        """There was a lease, and the request is sent, which is counted before."""
        self.dispatched = now
        self.waited += now - self.asked
        self.overhead = self.waited

    def again(self, now: float, error: str, status: int, upstream: str | None) -> None:
        """What was tried has failed, for the reason C{error}, and another lease is waited for."""
        self.asked = now
        if self.trace is not None:
            self.trace.again(now, error, status, upstream)

    def answer(self, came: float, passed: float, size: int) -> None:
        """The head of the upstream's answer C{came}, with so many bytes of its body, and was C{passed} on."""
        self.answered = came
        self.overhead += passed - came
        self.sent += size

    def ours(self, seconds: float, size: int) -> None:
        """An answer of our own, of so many bytes, took so many C{seconds} to be passed on."""
        self.overhead += seconds
        self.sent = size

    def acquiring(self, ended: float) -> float:
        """Seconds for which leases were waited for, in vain as well, of an exchange that has C{ended}."""
        return self.waited if self.is_out() else self.waited + max(0.0, ended - self.asked)

    def to_head(self) -> float | None:
        """Seconds from the last dispatch to the head of the upstream's answer; C{None} where there was none."""
        return max(0.0, self.answered - self.dispatched) if self.answered else None

    def to_end(self, ended: float) -> float | None:
        """Seconds from the last dispatch to the end of that, or until it was given up; C{None}: nothing was sent."""
        return max(0.0, ended - self.dispatched) if self.is_out() else None

    def is_out(self) -> bool:
        """Whether the latest try was sent, and did not wait for its lease in vain."""
        return self.tries > 0 and self.dispatched >= self.asked
