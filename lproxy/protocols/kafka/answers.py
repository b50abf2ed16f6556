# -*- test-case-name: tests.protocols.kafka.test_answers -*-
"""
The way back: each answer belongs to the request that has waited longest, and may be changed on its way.
"""

from __future__ import annotations

from lproxy.protocols.kafka.apis import SASL_HANDSHAKE
from lproxy.protocols.kafka.correlate import Conversation, Pending, foreign
from lproxy.protocols.kafka.frame import Frames, Verdict
from lproxy.protocols.kafka.header import ANSWER, Malformed, skip_tags
from lproxy.protocols.kafka.kinds import Kind


class Answers(Frames):
    """The tap of what brokers say."""

    __slots__ = ("_current", "_talk")

    def __init__(self, talk: Conversation) -> None:
        super().__init__(last=True)
        self._talk = talk
        #: the request whose answer is being changed
        self._current: Pending | None = None

    def feed(self, data: bytes) -> bytes:
        """What goes on; and if that made room for requests that wait, they go too."""
        out = super().feed(data)
        talk = self._talk
        if talk.paused and len(talk.queue) <= talk.rules.most_in_flight // 2:
            talk.paused = False
            talk.watcher.resume()
        if talk.draining and not talk.queue and not self.inside:
            talk.watcher.drained()
        return out

    def head(self, data: bytes, at: int, size: int) -> Verdict:
        """Judge an answer."""
        talk = self._talk
        queue = talk.queue
        if not 4 <= size <= talk.rules.most_response:
            return self._no_size(size)
        have = len(data) - at
        if have < 8:
            return self._token() if self._token_is_next() else Verdict.MORE
        correlation = ANSWER.unpack_from(data, at)[1]
        pending = queue[0] if queue else None
        if pending is None or pending.correlation_id != correlation:
            if self._token_is_next():
                return self._token()
            pending = self._stranger(correlation)
            if pending is None:
                return self._invalid("correlation" if queue else "unexpected")
        kind = pending.kind
        body = at + 8
        if kind.peek or kind.walked:
            stop = at + 4 + size
            try:
                begin = skip_tags(data, body, stop) if kind.tagged else body
            except Malformed:
                return self._invalid("tags")
            if begin is None or len(data) < min(begin + kind.peek, stop):
                return self._invalid("tags") if have > talk.rules.config.max_header else Verdict.MORE
            body = begin
            if kind.walked:
                self._walk_body(kind, body - at)
        if queue and queue[0] is pending:
            queue.popleft()
        count = kind.count
        count.responses += 1
        api = count.api
        api.response_bytes += size + 4
        api.latency.observe(talk.seconds() - pending.sent)
        if kind.peek and not self._login(pending, data[body : at + 4 + size]):
            return self._invalid("sasl_v0")
        if kind.filtered and not talk.rules.config.filters.wants_response(kind.name):
            talk.rules.config.filters.response(talk.context, kind.name, pending.head, None)
        if kind.edit is not None:
            self._current = pending
            return Verdict.EDIT
        return Verdict.PASS

    def edit(self, frame: bytes, length: int) -> tuple[int, bytes] | None:
        """Change the answer to the current request."""
        pending = self._current
        assert pending is not None and pending.kind.edit is not None
        try:
            return pending.kind.edit(self._talk, pending, frame, length)
        except ValueError as e:
            self._talk.refuse(pending, e)
            self.over = True
            return len(frame), b""

    def between(self) -> bytes:
        """Answers of our own, whose turn has come."""
        talk = self._talk
        if not talk.ours:
            return b""
        queue = talk.queue
        pieces = []
        while queue and (answer := queue[0].answer) is not None:
            queue.popleft()
            talk.ours -= 1
            pieces.append(answer)
        return b"".join(pieces)

    def _no_size(self, size: int) -> Verdict:
        if 0 <= size < 4 and self._token_is_next():
            return self._token()
        what = foreign(size)
        if what:
            return self._invalid(f"upstream_{what}")
        return self._invalid("upstream_size" if size < 4 else "upstream_too_large")

    def _invalid(self, reason: str) -> Verdict:
        verdict = self._talk.invalid("broker", reason)
        self.over = verdict is Verdict.STOP
        return verdict

    def _walk_body(self, kind: Kind, begin: int) -> None:
        topics = self._talk.rules.topics
        if topics is not None:
            self.walk(topics.answer(kind.key, kind.version), begin)

    def _token_is_next(self) -> bool:
        queue = self._talk.queue
        return bool(queue) and queue[0].correlation_id is None

    def _token(self) -> Verdict:
        talk = self._talk
        talk.queue.popleft()
        # a broker that is not content says so by closing
        talk.login(failed=False)
        return Verdict.PASS

    def _stranger(self, correlation: int) -> Pending | None:
        """The request that was not to be answered, if this is the answer to one."""
        pending = self._talk.silent.pop(correlation, None)
        if pending is not None:
            self._talk.account.unexpected += 1
        return pending

    def _login(self, pending: Pending, body: bytes) -> bool:
        """What the broker says of a login. Returns whether what follows can be read."""
        talk = self._talk
        failed = len(body) < 2 or body[:2] != b"\0\0"
        if pending.kind.key != SASL_HANDSHAKE:
            talk.login(failed)
            return True
        talk.begin_login(pending.note)
        if failed:
            talk.login(failed)
        elif pending.kind.version == 0:
            return talk.expect_tokens(pending.note)
        return True
