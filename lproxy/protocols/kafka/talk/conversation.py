# -*- test-case-name: tests.protocols.kafka.talk.test_conversation -*-
"""
One connection's conversation: which response belongs to which request.

A broker responds in the order of the requests, so what is outstanding is a FIFO queue, and a response belongs to its
first or to nothing. Exceptions: a Produce request with acks=0 has no response; after SaslHandshake v0 both sides
exchange bare SASL tokens, frames without any header, before they go on; and a response that lproxy makes itself waits
in the queue like all others.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Protocol

from lproxy.protocols.kafka.filter import Context
from lproxy.protocols.kafka.metrics import KafkaMetrics
from lproxy.protocols.kafka.talk.quota import Bucket, Charge
from lproxy.protocols.kafka.talk.request import Pending, VersionedApi
from lproxy.protocols.kafka.talk.rules import Rules

#: correlation ids of requests without responses that are remembered, should one come after all
UNANSWERED: Final = 1_024
#: tokens that a client sends after SaslHandshake v0; of other mechanisms nobody knows but the two sides
ROUNDS = {"PLAIN": 1, "SCRAM-SHA-256": 2, "SCRAM-SHA-512": 2}

#: those with a label of their own
MECHANISMS = (*ROUNDS, "GSSAPI", "OAUTHBEARER", "AWS_MSK_IAM")


class Owner(Protocol):
    """Who has the two connections of a conversation."""

    def invalid(self, side: str, reason: str, goes_on: bool) -> None:
        """C{side}, client or broker, sent what is not Kafka; the connection goes on unread, or ends."""

    def pause(self, reason: str, seconds: float | None) -> None:
        """Read no more from the client, for so long or until L{resume}."""

    def resume(self) -> None:
        """There is room for more requests."""

    def interject(self) -> None:
        """There is a response of our own, which may be the first of the queue."""

    def pass_unread(self) -> None:
        """Nobody here can read what comes, in either direction: it passes unread."""

    def drained(self) -> None:
        """Nothing is outstanding."""


class Conversation:
    """
    What both directions know of each other.

    @ivar context: who talks, as filters are told; with the address by which the client has reached us
    @ivar queue: what is outstanding, in the order in which it will be responded to
    @ivar no_response: requests that will have none, by correlation id
    @ivar slow_path: whether one of the next three, which are rare, has to be asked for per request
    @ivar parting: the owner is told whenever nothing is outstanding
    @ivar draining: and no further request passes
    @ivar throttled: nor does one until the client's quota allows it
    @ivar raw_tokens: bare SASL tokens that the client has yet to send
    @ivar paused: the client is not read, as too much is outstanding
    @ivar local: how many of the queue are responded to by ourselves
    """

    def __init__(self, rules: Rules, owner: Owner, seconds: Callable[[], float], context: Context) -> None:
        self.rules = rules
        self.metrics: KafkaMetrics = rules.metrics
        self.context = context
        self.owner: Owner | None = owner
        self.seconds = seconds
        self.queue: deque[Pending] = deque()
        self.no_response: OrderedDict[int, Pending] = OrderedDict()
        self.slow_path = False
        self.parting = self.draining = False
        self.throttled = False
        self.raw_tokens = 0
        self.quota: Bucket | Charge | None = None
        self.paused = False
        self.local = 0
        #: a SASL exchange in progress: its mechanism, and the rounds that it still takes
        self.mechanism = ""
        self.rounds = 0
        # clients without an id may have a quota too
        self.identify(None)

    def identify(self, client_id: str | None) -> None:
        """The client calls itself so."""
        self.context.client_id = client_id
        bucket = self.rules.quotas.of(client_id, self.seconds())
        counter = self.metrics.client(client_id)
        self.quota = Charge(counter, bucket) if counter is not None else bucket

    # requests

    def expect_no_response(self, pending: Pending) -> None:
        """C{pending} will have none."""
        self.metrics.no_response += 1
        self.no_response[pending.correlation_id or 0] = pending
        if len(self.no_response) > UNANSWERED:
            self.no_response.popitem(last=False)

    def answer(self, pending: Pending, frame: bytes) -> None:
        """We respond to C{pending} ourselves, once it is the first of the queue."""
        pending.local = frame
        self.queue.append(pending)
        self.local += 1
        self.told().interject()

    def deny(self, api: VersionedApi) -> None:
        """A request is refused."""
        denied = self.metrics.denied
        denied[api.name] = denied.get(api.name, 0) + 1

    def charge(self, size: int, now: float) -> None:
        """A request of C{size} bytes passes."""
        seconds = self.quota.take(size, now) if self.quota is not None else 0.0
        if seconds:
            self.throttled = self.slow_path = True
            self.told().pause("quota", seconds)

    def throttle_ended(self) -> None:
        """The quota allows a request again."""
        self.throttled = False

    def drain(self) -> None:
        """Let no further request pass."""
        self.parting = self.draining = self.slow_path = True

    # SASL

    def expect_raw_tokens(self, mechanism: str) -> bool:
        """The broker accepted a SaslHandshake v0. Returns whether it is known how many tokens follow."""
        self.raw_tokens = ROUNDS.get(mechanism, 0)
        self.slow_path = True
        return self.raw_tokens > 0

    def sasl_begins(self, mechanism: str) -> None:
        """The broker was asked for C{mechanism}."""
        self.mechanism = mechanism if mechanism in MECHANISMS else "other"
        self.rounds = ROUNDS.get(mechanism, 1)

    def sasl_round(self, failed: bool) -> None:
        """The broker judged a round of it."""
        if failed:
            result = "failed"
        elif self.rounds > 1:
            self.rounds -= 1
            return
        else:
            result = "ok"
        counts, at = self.metrics.sasl, (self.mechanism, result)
        counts[at] = counts.get(at, 0) + 1

    # what is wrong

    def invalid(self, side: str, reason: str, fatal: bool = False) -> bool:
        """
        C{side} sent what is not Kafka. Returns whether it passes, unread.

        @param fatal: no broker would take it either, or somebody else's memory is at stake
        """
        self.count_error(reason)
        goes_on = not fatal and self.rules.fail_open
        self.told().invalid(side, reason, goes_on)
        if goes_on:
            self.told().pass_unread()
            if self.paused:
                # responses that would make room will not be seen
                self.paused = False
                self.told().resume()
        return goes_on

    def fail(self, reason: str) -> None:
        """The connection ends for C{reason}."""
        self.count_error(reason)
        self.told().invalid("broker" if reason.startswith("upstream") else "client", reason, False)

    def refuse(self, pending: Pending, error: ValueError) -> None:
        """A response cannot be passed on as the rules want it, and so is not passed on at all."""
        self.count_error("rewrite")
        what = f"rewrite: {pending.api.name} v{pending.api.version}: {error}"
        self.told().invalid("broker", what, False)

    def count_error(self, reason: str) -> None:
        """One more connection that is not Kafka, for C{reason}."""
        errors = self.metrics.protocol_errors
        errors[reason] = errors.get(reason, 0) + 1

    # the end

    def told(self) -> Owner:
        """Who has the connections, which are there as long as anybody feeds a direction."""
        owner = self.owner
        assert owner is not None
        return owner

    def ended(self) -> None:
        """The connection is over."""
        for pending in self.queue:
            if pending.correlation_id is None:
                # a broker that does not accept a token closes
                self.sasl_round(failed=True)
            elif pending.local is None:
                pending.api.counter.api.incomplete += 1
        self.queue.clear()
        # who has the connections has us, too: no cycles for the collector
        self.owner = None
