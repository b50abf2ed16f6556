# -*- test-case-name: tests.protocols.kafka.test_requests -*-
"""
The way to the broker: requests are told apart by their headers, counted and put in line for their answers.
"""

from __future__ import annotations

from typing import Any

from lproxy.protocols.kafka.apis import PRODUCE, SASL_HANDSHAKE
from lproxy.protocols.kafka.correlate import Conversation, Pending, foreign, refused_size
from lproxy.protocols.kafka.filter import Close, Forward, answer, decode
from lproxy.protocols.kafka.frame import Frames, Verdict
from lproxy.protocols.kafka.header import (
    REQUEST,
    WITH_CLIENT,
    Malformed,
    read_acks,
    read_request,
    skip_tags,
)
from lproxy.protocols.kafka.kinds import Kind

#: the request has not begun to pass
UNDECIDED = (Verdict.MORE, Verdict.STOP, Verdict.OPAQUE)


class Requests(Frames):
    """The tap of what clients say."""

    __slots__ = ("_id", "_last", "_read", "_talk")

    def __init__(self, talk: Conversation) -> None:
        super().__init__(last=False)
        self._talk = talk
        self._last: Pending | None = None
        #: the one whose body filters will read
        self._read: Pending | None = None
        #: the client id, with its length, as the requests so far had it
        self._id: tuple[int, bytes] = (-1, b"")

    def head(self, data: bytes, at: int, size: int) -> Verdict:
        """Judge a request."""
        talk = self._talk
        rules = talk.rules
        if talk.odd:
            if talk.tokens:
                return self._token(size)
            if talk.draining or talk.waiting:
                return Verdict.STOP
        if not WITH_CLIENT <= size <= rules.most_request:
            return self._no_size(size)
        have = len(data) - at
        if have < WITH_CLIENT + 4:
            return Verdict.MORE
        size, word, correlation, length = REQUEST.unpack_from(data, at)
        kind = rules.kinds.get(word) or rules.kind(word)
        queue = talk.queue
        if len(queue) >= rules.most_in_flight:
            talk.paused = True
            talk.watcher.pause("in_flight", None)
            return Verdict.STOP
        body = at + 14
        if length > 0 and not kind.bare:
            body += length
        raw = data[at + 14 : body]
        if ((length, raw) != self._id or body - at > size + 4) and not kind.bare:
            verdict = self._client(kind, length, raw, size, have)
            if verdict is not Verdict.PASS:
                return verdict
        now = talk.seconds()
        pending = Pending(kind, correlation, now)
        verdict = Verdict.PASS
        if kind.careful and not (data[body : body + 4] in kind.usual and size >= body + 4 - at):
            verdict = self._careful(pending, data, at, body, size)
            if verdict in UNDECIDED:
                return verdict
        else:
            queue.append(pending)
        self._last = pending
        count = kind.count
        count.requests += 1
        api = count.api
        api.request_bytes += size + 4
        api.sizes.observe(size)
        if talk.quota is not None:
            talk.charge(size + 4, now)
        return verdict

    def edit(self, frame: bytes, length: int) -> tuple[int, bytes] | None:
        """Have filters read a whole request."""
        if len(frame) < length:
            return None
        pending, self._read = self._read, None
        assert pending is not None
        kind = pending.kind
        try:
            body = decode("request", kind.key, kind.version, frame[pending.head.body :])
        except Malformed as e:
            self._invalid(str(e), fatal=True)
            return length, b""
        pending.sent = self._talk.seconds()
        verdict = self._ask(pending, body)
        return length, frame if verdict is Verdict.PASS else b""

    def passed(self) -> None:
        """The last byte of a request went on."""
        talk = self._talk
        if self._last is not None:
            self._last.sent = talk.seconds()
        if talk.draining:
            talk.watcher.drained()

    def end(self) -> bytes:
        """What was begun of a request goes on, unless none does: then it may be whole, and nobody has judged it."""
        return b"" if self._talk.draining else super().end()

    def _no_size(self, size: int) -> Verdict:
        what = foreign(size)
        if what:
            return self._invalid({"tls": "tls_on_plaintext", "http": "http"}[what])
        reason = refused_size(size)
        return self._invalid(reason, fatal=reason != "truncated")

    def _invalid(self, reason: str, fatal: bool = False) -> Verdict:
        verdict = self._talk.invalid("client", reason, fatal)
        self.over = verdict is Verdict.STOP
        return verdict

    def _token(self, size: int) -> Verdict:
        talk = self._talk
        if not 0 <= size <= talk.rules.most_request:
            return self._no_size(size)
        talk.tokens -= 1
        talk.odd = talk.tokens > 0 or talk.draining or talk.waiting
        talk.queue.append(Pending(talk.rules.token, None, talk.seconds()))
        return Verdict.PASS

    def _client(self, kind: Kind, length: int, raw: bytes, size: int, have: int) -> Verdict:
        """The client calls itself something else than before, or comes in pieces."""
        talk = self._talk
        fits = -1 <= length <= size - WITH_CLIENT
        if not fits or length > talk.rules.config.max_header:
            # a vendor's key may have a header of its own
            if kind.name == "other":
                return Verdict.PASS
            return self._invalid("header_too_long" if fits else "client_id")
        if len(raw) < length:
            return Verdict.MORE
        self._id = length, raw
        talk.called(None if length < 0 else raw.decode(errors="replace"))
        return Verdict.PASS

    def _careful(self, pending: Pending, data: bytes, at: int, body: int, size: int) -> Verdict:
        """Look at the body's beginning."""
        kind, talk = pending.kind, self._talk
        stop = at + 4 + size
        try:
            begin: int | None = skip_tags(data, body, stop) if kind.flexible else body
            if begin is None:
                return self._more(data, at)
            if kind.denied:
                return self._deny(pending)
            if kind.key == PRODUCE:
                acks = read_acks(data, begin, stop, kind.version)
                if acks is None:
                    return self._more(data, at)
                pending.silent = acks == 0
                if talk.rules.topics is not None:
                    self.walk(talk.rules.topics.request(PRODUCE, kind.version), begin - at)
            elif kind.key == SASL_HANDSHAKE:
                if len(data) < stop:
                    return self._more(data, at)
                pending.note = data[begin + 2 : stop].decode("ascii", "replace")[:64]
                if kind.version == 0 and talk.rules.config.sasl_v0 == "reject":
                    return self._deny(pending)
            if kind.filtered:
                return self._filter(pending, data, at, size)
        except Malformed as e:
            return self._invalid(str(e))
        self._expect(pending)
        return Verdict.PASS

    def _expect(self, pending: Pending) -> None:
        """It goes on."""
        if pending.silent:
            self._talk.expect_nothing(pending)
        else:
            self._talk.queue.append(pending)

    def _filter(self, pending: Pending, data: bytes, at: int, size: int) -> Verdict:
        """Ask filters, or have them read it first."""
        pending.head = read_request(data[at : at + 4 + size])
        if not pending.kind.read:
            return self._ask(pending, None)
        if size + 4 > self._talk.rules.config.buffered:
            return self._invalid("filter_too_large", fatal=True)
        self._read = pending
        return Verdict.EDIT

    def _ask(self, pending: Pending, body: Any) -> Verdict:
        talk, kind = self._talk, pending.kind
        decision = talk.rules.config.filters.request(talk.context, kind.name, pending.head, body)
        if isinstance(decision, Forward):
            self._expect(pending)
            return Verdict.PASS
        if isinstance(decision, Close):
            return self._deny(pending)
        talk.deny(kind)
        if not pending.silent:
            talk.answer(pending, answer(decision, pending.correlation_id or 0, kind.version, kind.tagged))
        return Verdict.DROP

    def _more(self, data: bytes, at: int) -> Verdict:
        """Wait for more of this head, of which there cannot be much."""
        if len(data) - at >= self._talk.rules.config.max_header:
            return self._invalid("header_too_long")
        return Verdict.MORE

    def _deny(self, pending: Pending) -> Verdict:
        self._talk.deny(pending.kind)
        return self._invalid(pending.kind.denied or "denied", fatal=True)
