# -*- test-case-name: tests.protocols.kafka.test_correlate -*-
"""
One connection's conversation: which answer belongs to which request.

A broker answers in the order of the requests, so what is outstanding is a queue, and an answer belongs to its head or
to nothing. Exceptions: a Produce request with acks=0 has no answer; after a login of the old kind (SaslHandshake v0)
both sides exchange bare tokens, frames without any header, before they go on; and an answer that lproxy gives itself
waits for its turn like all others.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Protocol

from lproxy.protocols.kafka.account import Account
from lproxy.protocols.kafka.filter import Context
from lproxy.protocols.kafka.frame import Verdict
from lproxy.protocols.kafka.header import SHORTEST, WITH_CLIENT
from lproxy.protocols.kafka.kinds import Kind, Rules
from lproxy.protocols.kafka.quota import Bucket

#: correlation ids of requests without answers that are remembered, should one be answered after all
SILENT = 1_024
#: tokens that a client sends after SaslHandshake v0; of other mechanisms nobody knows but the two sides
ROUNDS = {"PLAIN": 1, "SCRAM-SHA-256": 2, "SCRAM-SHA-512": 2}

#: those with a label of their own
MECHANISMS = (*ROUNDS, "GSSAPI", "OAUTHBEARER", "AWS_MSK_IAM")

#: frame sizes that are the first four bytes of something else: of a TLS hello or alert in any version, and of HTTP
TLS = (0x16, 0x15)
HTTP = tuple(
    int.from_bytes(word)
    for word in (b"HTTP", b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"OPTI", b"PATC", b"CONN", b"PRI ")
)


class Pending:
    """
    A request that awaits its answer.

    @ivar correlation_id: what the answer will have, C{None} for a bare token
    @ivar sent: when its last byte went on, in seconds of the clock
    @ivar answer: the frame that lproxy answers with itself
    @ivar silent: there will be no answer
    @ivar note: what its answer will be read with
    @ivar head: its head, where filters are told of its answer
    """

    __slots__ = ("answer", "correlation_id", "head", "kind", "note", "sent", "silent")

    def __init__(self, kind: Kind, correlation_id: int | None, sent: float) -> None:
        self.kind = kind
        self.correlation_id = correlation_id
        self.sent = sent
        self.answer: bytes | None = None
        self.note = ""
        self.silent = False
        self.head: Any = None


class Watcher(Protocol):
    """Who has the two connections."""

    def invalid(self, side: str, reason: str, goes_on: bool) -> None:
        """C{side}, client or broker, sent what is no Kafka; the connection goes on unread, or ends."""

    def pause(self, reason: str, seconds: float | None) -> None:
        """Read no more from the client, for so long or until L{resume}."""

    def resume(self) -> None:
        """There is room for more requests."""

    def answer(self) -> None:
        """There is an answer of our own, whose turn may have come."""

    def give_up(self) -> None:
        """What comes can be read by nobody here, both ways: it goes on unread."""

    def drained(self) -> None:
        """Nothing is outstanding, and no further request goes on."""


class Conversation:
    """
    What both directions know of each other.

    @ivar queue: what is outstanding, in the order in which it will be answered
    @ivar odd: whether the next request is to be looked at with more care than others
    @ivar draining: no further request goes on
    @ivar waiting: nor does one for a while
    @ivar quota: what the client may ask for, C{None}: anything
    @ivar tokens: raw tokens of a login that the client has yet to send
    """

    def __init__(
        self, rules: Rules, watcher: Watcher, seconds: Callable[[], float], host: str, context: Context
    ) -> None:
        self.rules = rules
        self.context = context
        self.watcher = watcher
        self.seconds = seconds
        #: our address, as this client sees it
        self.host = host
        self.queue: deque[Pending] = deque()
        self.silent: OrderedDict[int, Pending] = OrderedDict()
        self.odd = False
        self.draining = False
        self.waiting = False
        self.quota: Bucket | None = None
        self.tokens = 0
        self.paused = False
        #: how many of the queue are answered by ourselves
        self.ours = 0
        #: a login in progress: its mechanism, and the rounds that it still takes
        self.mechanism = ""
        self.rounds = 0
        # clients without an id may have a quota too
        self.called(None)

    @property
    def client_id(self) -> str | None:
        """What the client calls itself, if it does."""
        return self.context.client_id

    @property
    def account(self) -> Account:
        """Where it is counted."""
        return self.rules.account

    def expect_nothing(self, pending: Pending) -> None:
        """C{pending} will have no answer."""
        self.account.silent += 1
        self.silent[pending.correlation_id or 0] = pending
        if len(self.silent) > SILENT:
            self.silent.popitem(last=False)

    def expect_tokens(self, mechanism: str) -> bool:
        """A login of the old kind begins. Returns whether it is known how many tokens it takes."""
        self.tokens = ROUNDS.get(mechanism, 0)
        self.odd = True
        return self.tokens > 0

    def drain(self) -> None:
        """Let no further request go on."""
        self.draining = self.odd = True

    def invalid(self, side: str, reason: str, fatal: bool = False) -> Verdict:
        """
        This is no Kafka.

        @param fatal: no broker would take it either, or somebody else's memory is at stake
        """
        self.count(reason)
        goes_on = not fatal and self.rules.fail_open
        self.watcher.invalid(side, reason, goes_on)
        if goes_on:
            self.watcher.give_up()
            if self.paused:
                # what was waited for will not be seen
                self.paused = False
                self.watcher.resume()
        return Verdict.OPAQUE if goes_on else Verdict.STOP

    def count(self, reason: str) -> None:
        """One more connection that is no Kafka, for C{reason}."""
        faults = self.account.faults
        faults[reason] = faults.get(reason, 0) + 1

    def fault(self, reason: str) -> None:
        """The connection ends for C{reason}."""
        self.count(reason)
        self.watcher.invalid("broker" if reason.startswith("upstream") else "client", reason, False)

    def called(self, client_id: str | None) -> None:
        """The client calls itself so."""
        self.context.client_id = client_id
        self.quota = self.rules.quotas.of(client_id, self.seconds())

    def charge(self, size: int, now: float) -> None:
        """A request of C{size} bytes goes on."""
        seconds = self.quota.take(size, now) if self.quota is not None else 0.0
        if seconds:
            self.waiting = self.odd = True
            self.watcher.pause("quota", seconds)

    def waited(self) -> None:
        """A pause is over."""
        self.waiting = False

    def begin_login(self, mechanism: str) -> None:
        """The broker was asked for C{mechanism}."""
        self.mechanism = mechanism if mechanism in MECHANISMS else "other"
        self.rounds = ROUNDS.get(mechanism, 1)

    def answer(self, pending: Pending, frame: bytes) -> None:
        """C{pending} is answered by ourselves, when its turn comes."""
        pending.answer = frame
        self.queue.append(pending)
        self.ours += 1
        self.watcher.answer()

    def deny(self, kind: Kind) -> None:
        """A request of C{kind} is refused."""
        denied = self.account.denied
        denied[kind.name] = denied.get(kind.name, 0) + 1

    def login(self, failed: bool) -> None:
        """The broker judged a login's round."""
        if failed:
            result = "failed"
        elif self.rounds > 1:
            self.rounds -= 1
            return
        else:
            result = "ok"
        counts, at = self.account.sasl, (self.mechanism, result)
        counts[at] = counts.get(at, 0) + 1

    def refuse(self, pending: Pending, error: ValueError) -> None:
        """An answer cannot be passed on as the rules want it, and so is not passed on at all."""
        self.count("rewrite")
        self.watcher.invalid("broker", f"rewrite: {pending.kind.name} v{pending.kind.version}: {error}", False)

    def ended(self) -> None:
        """The connection is over."""
        for pending in self.queue:
            if pending.correlation_id is None:
                # a broker that does not like a token closes
                self.login(failed=True)
            elif pending.answer is None:
                pending.kind.count.api.incomplete += 1
        self.queue.clear()
        # who has the connections has us, too: no cycles for the collector
        vars(self).pop("watcher", None)


def foreign(size: int) -> str:
    """What a frame's size is in truth, if it is something that is known; else nothing."""
    if size >> 24 in TLS and size >> 16 & 0xFF == 3:
        return "tls"
    return "http" if size in HTTP else ""


def refused_size(size: int) -> str:
    """Why no request has this size: C{size} or C{too_large}; C{truncated} where it is but too small for a header."""
    if size >= WITH_CLIENT:
        return "too_large"
    return "truncated" if size >= SHORTEST else "size"
