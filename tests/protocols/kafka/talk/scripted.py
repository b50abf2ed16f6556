# -*- test-case-name: tests.protocols.kafka.talk.test_conversation -*-
"""
Both directions of one conversation in memory, without a connection: what goes in, what goes on, and what is asked for.

Frames are put together by hand, byte by byte, so that a test can say what is wrong with them.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from lproxy.protocols.kafka.codec.apis import APIS
from lproxy.protocols.kafka.filter import Context
from lproxy.protocols.kafka.metrics import KafkaMetrics
from lproxy.protocols.kafka.settings import KafkaConfig
from lproxy.protocols.kafka.talk.answers import Answers
from lproxy.protocols.kafka.talk.conversation import Conversation
from lproxy.protocols.kafka.talk.quota import Quotas
from lproxy.protocols.kafka.talk.requests import Requests
from lproxy.protocols.kafka.talk.rules import Rules

#: what clients here call themselves
NAME = b"shop"


def framed(payload: bytes) -> bytes:
    """C{payload} with its size before it."""
    return len(payload).to_bytes(4, "big") + payload


def string(text: bytes | None) -> bytes:
    """A nullable string with its length of two bytes."""
    return b"\xff\xff" if text is None else len(text).to_bytes(2, "big") + text


def compact(text: bytes | None) -> bytes:
    """And with a varint, of fewer than 128 bytes."""
    return b"\0" if text is None else bytes([len(text) + 1]) + text


def head(key: int, version: int, correlation: int = 1, client: bytes | None = NAME, tags: bytes | None = None) -> bytes:
    """A request's header, with empty tags where it has any and nothing else is said."""
    api = APIS.get(key)
    if tags is None:
        tags = b"\0" if api is not None and api.is_flexible(version) else b""
    numbers = (key & 0xFFFF).to_bytes(2, "big") + (version & 0xFFFF).to_bytes(2, "big")
    return numbers + (correlation & 0xFFFFFFFF).to_bytes(4, "big") + string(client) + tags


def ask(key: int, version: int, correlation: int = 1, body: bytes = b"", **named: Any) -> bytes:
    """The frame of a request."""
    return framed(head(key, version, correlation, **named) + body)


def heartbeat(correlation: int = 1, **named: Any) -> bytes:
    """A small one."""
    return ask(12, 4, correlation, b"\2g\0\0\0\1\2m\0\0", **named)


def produce(
    correlation: int = 1, acks: int = -1, version: int = 9, id: bytes | None = None, records: int = 20
) -> bytes:
    """One with so many bytes behind its acks, that are no records."""
    own = b"" if version < 3 else string(id) if version < 9 else compact(id)
    return ask(0, version, correlation, own + acks.to_bytes(2, "big", signed=True) + b"r" * records)


def handshake(mechanism: bytes = b"PLAIN", version: int = 0, correlation: int = 1) -> bytes:
    """How a login begins."""
    return ask(17, version, correlation, string(mechanism))


def answer(key: int, version: int, correlation: int = 1, body: bytes = b"\0\0") -> bytes:
    """The frame of an answer."""
    api = APIS.get(key)
    tagged = api is not None and api.has_tagged_response(version)
    return framed((correlation & 0xFFFFFFFF).to_bytes(4, "big") + b"\0" * tagged + body)


def beat(correlation: int = 1) -> bytes:
    """The answer to L{heartbeat}."""
    return answer(12, 4, correlation, b"\0\0\0\0\0\0\0")


class Talk:
    """
    One conversation, and its L{Owner<lproxy.protocols.kafka.talk.conversation.Owner>}, which does what a session does.

    @ivar to_broker: all that went on to the broker
    @ivar to_client: all that went on to the client
    @ivar said: what the owner was told, in order
    @ivar held: why the client is not read, if it is not
    """

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.config = KafkaConfig(**settings)
        self.metrics = KafkaMetrics("inbound", "scripted", lambda: len(self.talk.queue), lambda: 1)
        self.rules = Rules(self.config, self.metrics, Quotas(self.config.quotas))
        self.said: list[tuple[Any, ...]] = []
        self.to_broker = self.to_client = b""
        self.held = ""
        self._unread = b""
        self._timer: Any = None
        context = Context("scripted", "10.0.0.1", "", local="10.0.0.2")
        self.talk = Conversation(self.rules, self, self.clock.seconds, context)
        self.requests, self.answers = Requests(self.talk), Answers(self.talk)

    def client(self, *data: bytes) -> bytes:
        """The client says so; what goes on of it now. What is not read yet waits."""
        before = len(self.to_broker)
        for piece in data:
            if self.held:
                self._unread += piece
            else:
                self._feed(piece)
        return self.to_broker[before:]

    def broker(self, *data: bytes) -> bytes:
        """The broker says so; what goes on of it."""
        before = len(self.to_client)
        for piece in data:
            self._heard(piece)
        return self.to_client[before:]

    def turn(self, seconds: float = 0.0) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    @property
    def over(self) -> bool:
        """Whether the connection is to be closed."""
        return self.requests.over or self.answers.over

    @property
    def opaque(self) -> bool:
        """Whether nobody reads any more, in either direction."""
        assert self.requests.opaque == self.answers.opaque
        return self.requests.opaque

    @property
    def kept(self) -> int:
        """Bytes that did not go on yet."""
        return len(self.requests._kept) + len(self.answers._kept)

    @property
    def outstanding(self) -> list[int | None]:
        """Correlation ids of what has no answer yet."""
        return [pending.correlation_id for pending in self.talk.queue]

    def told(self, what: str) -> list[tuple[Any, ...]]:
        """What the owner was told of C{what}."""
        return [said[1:] for said in self.said if said[0] == what]

    # Owner

    def invalid(self, side: str, reason: str, goes_on: bool) -> None:
        self.said.append(("invalid", side, reason, goes_on))

    def pause(self, reason: str, seconds: float | None) -> None:
        self.said.append(("pause", reason, seconds))
        self.held = self.held or reason
        if seconds is not None and self._timer is None:
            self._timer = self.clock.callLater(seconds, self._again)

    def resume(self) -> None:
        self.said.append(("resume",))
        self.clock.callLater(0, self._go_on)

    def interject(self) -> None:
        self.answers.interjects = True
        self.clock.callLater(0, self._pump)

    def pass_unread(self) -> None:
        self.requests.opaque = self.answers.opaque = True
        self.clock.callLater(0, self._pump)

    def drained(self) -> None:
        self.said.append(("drained",))

    def _again(self) -> None:
        self._timer = None
        self.talk.throttle_ended()
        self._go_on()

    def _go_on(self) -> None:
        if self._timer is None and not self.talk.paused:
            self.held = ""
            self._pump()

    def _pump(self) -> None:
        unread, self._unread = self._unread, b""
        self._feed(b"")
        self._heard(b"")
        self.client(unread)

    def _feed(self, data: bytes) -> None:
        # first asked, then added to: while it is asked, it may ask us
        out = b"" if self.over else self.requests.feed(data)
        self.to_broker += out

    def _heard(self, data: bytes) -> None:
        out = b"" if self.over else self.answers.feed(data)
        self.to_client += out
