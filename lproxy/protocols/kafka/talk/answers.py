# -*- test-case-name: tests.protocols.kafka.talk.test_answers -*-
"""
Broker to client: each response belongs to the request that has waited longest, and may be changed on its way.
"""

from __future__ import annotations

from lproxy.protocols.kafka.codec.apis import FETCH, PRODUCE, SASL_HANDSHAKE
from lproxy.protocols.kafka.codec.frame import EDIT, HOLD, MORE, OPAQUE, PASS, Action, Editor, Frames
from lproxy.protocols.kafka.codec.header import ANSWER, SIZE, Malformed, other_protocol, skip_tags
from lproxy.protocols.kafka.talk.conversation import Conversation
from lproxy.protocols.kafka.talk.request import Pending, VersionedApi


class Answers(Frames):
    """The tap of what brokers say."""

    __slots__ = ("_current", "_talk")

    def __init__(self, talk: Conversation) -> None:
        super().__init__(last=True)
        self._talk = talk
        #: the request whose response is being changed
        self._current: Pending | None = None

    def feed(self, data: bytes) -> bytes:
        """What passes; and if that made room for requests that wait, they pass too."""
        out = super().feed(data)
        talk = self._talk
        if talk.paused and len(talk.queue) <= talk.rules.max_in_flight // 2:
            talk.paused = False
            talk.told().resume()
        if talk.parting and not talk.queue and not self.inside:
            talk.told().drained()
        return out

    def head(self, data: bytes, at: int, have: int) -> Action:
        """Judge a response."""
        talk = self._talk
        queue = talk.queue
        if have < 8:
            (self.size,) = SIZE.unpack_from(data, at)
            if not 4 <= self.size <= talk.rules.max_response:
                return self._no_size(self.size)
            return self._token() if self._token_is_next() else MORE
        size, correlation = ANSWER.unpack_from(data, at)
        self.size = size
        if not 4 <= size <= talk.rules.max_response:
            return self._no_size(size)
        pending = queue[0] if queue else None
        if pending is None or pending.correlation_id != correlation:
            if self._token_is_next():
                return self._token()
            pending = self._unexpected(correlation)
            if pending is None:
                return self._invalid("correlation" if queue else "unexpected")
        api = pending.api
        body = at + 8
        if api.peek or api.walked:
            stop = at + 4 + size
            try:
                begin = skip_tags(data, body, stop) if api.flexible_response else body
            except Malformed:
                return self._invalid("tags")
            if begin is None or len(data) < min(begin + api.peek, stop):
                return self._invalid("tags") if have > talk.rules.max_header else MORE
            body = begin
            if api.walked:
                self._walk_body(api, body - at)
        if queue and queue[0] is pending:
            queue.popleft()
        counter = api.counter
        counter.responses += 1
        totals = counter.api
        totals.response_bytes += size + 4
        totals.latency.observe(talk.seconds() - pending.sent)
        if api.peek and not self._sasl(pending, data[body : at + 4 + size]):
            return self._invalid("sasl_v0")
        if api.filtered and not talk.rules.config.filters.wants_response(api.name):
            talk.rules.config.filters.response(talk.context, api.name, pending.head, None)
        if api.edit is not None:
            self._current = pending
            return EDIT
        return PASS

    def edit(self, frame: bytes, length: int) -> tuple[int, bytes] | Editor | None:
        """Change the response to the current request."""
        pending = self._current
        assert pending is not None and pending.api.edit is not None
        try:
            return pending.api.edit(self._talk.context, pending, frame, length)
        except ValueError as e:
            self._talk.refuse(pending, e)
            self.over = True
            return len(frame), b""

    def edit_piece(self, editor: Editor, data: bytes, last: bool) -> bytes:
        """Change a piece of the response to the current request."""
        pending = self._current
        assert pending is not None
        try:
            return editor.feed(data, last)
        except ValueError as e:
            self._talk.refuse(pending, e)
            self.over = True
            return b""

    def interject(self) -> bytes:
        """Responses of our own that are the first of the queue."""
        talk = self._talk
        if not talk.local:
            return b""
        queue = talk.queue
        pieces = []
        while queue:
            frame = queue[0].local
            if frame is None:
                break
            queue.popleft()
            talk.local -= 1
            pieces.append(frame)
        return b"".join(pieces)

    def _no_size(self, size: int) -> Action:
        if 0 <= size < 4 and self._token_is_next():
            return self._token()
        what = other_protocol(size)
        if what:
            return self._invalid(f"upstream_{what}")
        return self._invalid("upstream_size" if size < 4 else "upstream_too_large")

    def _invalid(self, reason: str) -> Action:
        if self._talk.invalid("broker", reason):
            return OPAQUE
        self.over = True
        return HOLD

    def _walk_body(self, api: VersionedApi, begin: int) -> None:
        talk, key = self._talk, api.key
        tally = None
        if talk.rules.errors and key in (PRODUCE, FETCH):
            tally = talk.metrics.tally(api.name, talk.context.client_id)
        counted = talk.rules.topics is not None
        if counted or tally is not None:
            self.walk(talk.metrics.topics.answer(key, api.version, tally, counted), begin)

    def _token_is_next(self) -> bool:
        queue = self._talk.queue
        return bool(queue) and queue[0].correlation_id is None

    def _token(self) -> Action:
        talk = self._talk
        talk.queue.popleft()
        # a broker that does not accept it says so by closing
        talk.sasl_round(failed=False)
        return PASS

    def _unexpected(self, correlation: int) -> Pending | None:
        """The request with acks=0 that this is the response to nevertheless, if it is."""
        pending = self._talk.no_response.pop(correlation, None)
        if pending is not None:
            self._talk.metrics.unexpected += 1
        return pending

    def _sasl(self, pending: Pending, body: bytes) -> bool:
        """What the broker says of a login. Returns whether what follows can be read."""
        talk = self._talk
        failed = len(body) < 2 or body[:2] != b"\0\0"
        if pending.api.key != SASL_HANDSHAKE:
            talk.sasl_round(failed)
            return True
        talk.sasl_begins(pending.mechanism)
        if failed:
            talk.sasl_round(failed)
        elif pending.api.version == 0:
            return talk.expect_raw_tokens(pending.mechanism)
        return True
