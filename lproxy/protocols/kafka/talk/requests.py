# -*- test-case-name: tests.protocols.kafka.talk.test_requests -*-
"""
Client to broker: requests are told apart by their headers, counted, and queued for their responses.
"""

from __future__ import annotations

from typing import Any

from lproxy.protocols.kafka.codec.apis import OTHER, PRODUCE, SASL_HANDSHAKE
from lproxy.protocols.kafka.codec.frame import DROP, EDIT, HOLD, MORE, OPAQUE, PASS, Action, Frames
from lproxy.protocols.kafka.codec.header import (
    REQUEST,
    SIZE,
    WITH_CLIENT,
    Malformed,
    other_protocol,
    read_acks,
    read_request,
    refused_size,
    skip_tags,
)
from lproxy.protocols.kafka.filter import Close, Forward, decode, encode
from lproxy.protocols.kafka.talk.conversation import Conversation
from lproxy.protocols.kafka.talk.request import Pending, VersionedApi


class Requests(Frames):
    """The tap of what clients say."""

    __slots__ = ("_client_id", "_client_id_length", "_decoding", "_latest", "_talk")

    def __init__(self, talk: Conversation) -> None:
        super().__init__(last=False)
        self._talk = talk
        self._latest: Pending | None = None
        #: the one whose body filters will read
        self._decoding: Pending | None = None
        #: the client id, and its length, as the requests so far had it
        self._client_id = b""
        self._client_id_length = -1

    def head(self, data: bytes, at: int, have: int) -> Action:
        """Judge a request."""
        talk = self._talk
        rules = talk.rules
        if have < WITH_CLIENT + 4 or talk.slow_path:
            (self.size,) = SIZE.unpack_from(data, at)
            if talk.raw_tokens:
                return self._token(self.size)
            if talk.draining or talk.throttled:
                return HOLD
            if not WITH_CLIENT <= self.size <= rules.max_request:
                return self._no_size(self.size)
            if have < WITH_CLIENT + 4:
                return MORE
        size, word, correlation, length = REQUEST.unpack_from(data, at)
        self.size = size
        if not WITH_CLIENT <= size <= rules.max_request:
            return self._no_size(size)
        api = rules.apis.get(word)
        if api is None:
            api = rules.api(word)
        queue = talk.queue
        if len(queue) >= rules.max_in_flight:
            talk.paused = True
            talk.told().pause("in_flight", None)
            return HOLD
        body = at + 14
        if not api.without_client_id:
            if length > 0:
                body += length
            raw = data[at + 14 : body]
            if length != self._client_id_length or raw != self._client_id or body - at > size + 4:
                action = self._client(api, length, raw, size)
                if action != PASS:
                    return action
        now = talk.seconds()
        pending = Pending(api, correlation, now)
        action = PASS
        if api.inspected and not (data[body : body + 4] in api.plain_starts and size >= body + 4 - at):
            action = self._inspect(pending, data, at, body, size)
            if action in (MORE, HOLD, OPAQUE):
                return action  # it has not begun to pass
        else:
            queue.append(pending)
        self._latest = pending
        counter = api.counter
        counter.requests += 1
        totals = counter.api
        totals.request_bytes += size + 4
        totals.sizes.observe(size)
        if talk.quota is not None:
            talk.charge(size + 4, now)
        return action

    def edit(self, frame: bytes, length: int) -> tuple[int, bytes] | None:
        """Have filters read a whole request."""
        if len(frame) < length:
            return None
        pending, self._decoding = self._decoding, None
        assert pending is not None and pending.head is not None
        api = pending.api
        try:
            body = decode("request", api.key, api.version, frame[pending.head.body :])
        except Malformed as e:
            self._invalid(str(e), fatal=True)
            return length, b""
        pending.sent = self._talk.seconds()
        return length, frame if self._ask(pending, body) == PASS else b""

    def passed(self) -> None:
        """The last byte of a request has passed."""
        talk = self._talk
        if self._latest is not None:
            self._latest.sent = talk.seconds()
        if talk.parting:
            talk.told().drained()

    def end(self) -> bytes:
        """What was begun of a request passes, unless none does: then it may be whole, and nobody has judged it."""
        return b"" if self._talk.draining else super().end()

    def _no_size(self, size: int) -> Action:
        what = other_protocol(size)
        if what:
            return self._invalid({"tls": "tls_on_plaintext", "http": "http"}[what])
        reason = refused_size(size)
        return self._invalid(reason, fatal=reason != "truncated")

    def _invalid(self, reason: str, fatal: bool = False) -> Action:
        if self._talk.invalid("client", reason, fatal):
            return OPAQUE
        self.over = True
        return HOLD

    def _token(self, size: int) -> Action:
        talk = self._talk
        if not 0 <= size <= talk.rules.max_request:
            return self._no_size(size)
        talk.raw_tokens -= 1
        talk.slow_path = talk.raw_tokens > 0 or talk.draining or talk.throttled
        talk.queue.append(Pending(talk.rules.token, None, talk.seconds()))
        return PASS

    def _client(self, api: VersionedApi, length: int, raw: bytes, size: int) -> Action:
        """The client calls itself something else than before, or comes in pieces."""
        talk = self._talk
        fits = -1 <= length <= size - WITH_CLIENT
        if not fits or length > talk.rules.max_header:
            # a vendor's key may have a header of its own
            if api.name == OTHER:
                return PASS
            return self._invalid("header_too_long" if fits else "client_id")
        if len(raw) < length:
            return MORE
        self._client_id, self._client_id_length = raw, length
        talk.identify(None if length < 0 else raw.decode(errors="replace"))
        return PASS

    def _inspect(self, pending: Pending, data: bytes, at: int, body: int, size: int) -> Action:
        """Look at the body's beginning."""
        api, talk = pending.api, self._talk
        stop = at + 4 + size
        try:
            begin: int | None = skip_tags(data, body, stop) if api.flexible else body
            if begin is None:
                return self._more(data, at)
            if api.denied:
                return self._deny(pending)
            if api.key == PRODUCE:
                acks = read_acks(data, begin, stop, api.version)
                if acks is None:
                    return self._more(data, at)
                pending.no_response = acks == 0
                if talk.rules.topics is not None:
                    self.walk(talk.rules.topics.request(PRODUCE, api.version), begin - at)
            elif api.key == SASL_HANDSHAKE:
                if len(data) < stop:
                    return self._more(data, at)
                pending.mechanism = data[begin + 2 : stop].decode("ascii", "replace")[:64]
                if api.version == 0 and talk.rules.config.sasl_v0 == "reject":
                    return self._deny(pending)
            if api.filtered:
                return self._filter(pending, data, at, size)
        except Malformed as e:
            return self._invalid(str(e))
        self._expect(pending)
        return PASS

    def _expect(self, pending: Pending) -> None:
        """It passes."""
        if pending.no_response:
            self._talk.expect_no_response(pending)
        else:
            self._talk.queue.append(pending)

    def _filter(self, pending: Pending, data: bytes, at: int, size: int) -> Action:
        """Ask filters, or have them read it first."""
        pending.head = read_request(data[at : at + 4 + size])
        if not pending.api.decoded:
            return self._ask(pending, None)
        if size + 4 > self._talk.rules.config.buffered:
            return self._invalid("filter_too_large", fatal=True)
        self._decoding = pending
        return EDIT

    def _ask(self, pending: Pending, body: Any) -> Action:
        talk, api, head = self._talk, pending.api, pending.head
        assert head is not None
        decision = talk.rules.config.filters.request(talk.context, api.name, head, body)
        if isinstance(decision, Forward):
            self._expect(pending)
            return PASS
        if isinstance(decision, Close):
            return self._deny(pending)
        talk.deny(api)
        if not pending.no_response:
            talk.answer(pending, encode(decision, pending.correlation_id or 0, api.version, api.flexible_response))
        return DROP

    def _more(self, data: bytes, at: int) -> Action:
        """Wait for more of this head, of which there cannot be much."""
        if len(data) - at >= self._talk.rules.max_header:
            return self._invalid("header_too_long")
        return MORE

    def _deny(self, pending: Pending) -> Action:
        self._talk.deny(pending.api)
        return self._invalid(pending.api.denied or "denied", fatal=True)
