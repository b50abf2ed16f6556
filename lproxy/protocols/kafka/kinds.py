# -*- test-case-name: tests.protocols.kafka.test_kinds -*-
"""
Kinds of requests, a key in a version, and what a listener's rules make of each: resolved once, looked up per frame.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from lproxy.protocols.kafka.account import AHEAD, Account, ApiCounter, VersionCounter
from lproxy.protocols.kafka.apis import (
    APIS,
    CONTROLLED_SHUTDOWN,
    FETCH,
    METADATA,
    PRODUCE,
    SASL_AUTHENTICATE,
    SASL_HANDSHAKE,
    label,
)
from lproxy.protocols.kafka.filter import decode
from lproxy.protocols.kafka.header import skip_tags
from lproxy.protocols.kafka.quota import Quotas
from lproxy.protocols.kafka.settings import KafkaConfig, denied

if TYPE_CHECKING:
    from lproxy.protocols.kafka.correlate import Conversation, Pending

#: makes something else of an answer, given its frame so far and its whole length; see Frames.edit
Edit = Callable[["Conversation", "Pending", bytes, int], tuple[int, bytes] | None]

#: bytes of an answer's body that are read: an error code
ERROR_CODE = 2


class Kind:
    """
    A key in a version.

    @ivar bare: its header has no client id
    @ivar flexible: its header has tags
    @ivar tagged: and so has its answer's
    @ivar careful: a request of this kind is looked at beyond its header
    @ivar usual: beginnings of what follows the client id that need no such look, to be quick where it matters
    @ivar peek: bytes of the answer's body that are read
    @ivar denied: why no such request goes on, empty where it does
    @ivar edit: what becomes of its answer
    @ivar filtered: whether filters are asked
    @ivar walked: whether its answer's body is read while it passes
    @ivar read: and whether one of them reads the request's body
    """

    __slots__ = (
        "bare",
        "careful",
        "count",
        "denied",
        "edit",
        "filtered",
        "flexible",
        "key",
        "name",
        "peek",
        "read",
        "tagged",
        "usual",
        "version",
        "walked",
    )

    def __init__(self, key: int, version: int, count: VersionCounter) -> None:
        api = APIS.get(key)
        self.key = key
        self.version = version
        self.name = label(key)
        self.count = count
        self.bare = key == CONTROLLED_SHUTDOWN and version == 0
        self.flexible = api is not None and api.is_flexible(version)
        self.tagged = api is not None and api.has_tagged_answer(version)
        self.careful = key in (PRODUCE, SASL_HANDSHAKE)
        self.usual = _acknowledged(version) if key == PRODUCE else ()
        self.peek = ERROR_CODE if key in (SASL_HANDSHAKE, SASL_AUTHENTICATE) else 0
        self.denied = ""
        self.edit: Edit | None = None
        self.filtered = self.read = self.walked = False

    def deny(self, why: str) -> None:
        """Let no such request go on."""
        self.denied = self.denied or why
        self.careful, self.usual = True, ()

    def __repr__(self) -> str:
        return f"<Kind {self.name} v{self.version}>"


def _acknowledged(version: int) -> tuple[bytes, ...]:
    """How a Produce request goes on that is not transactional and wants an answer: no tags, no id, then acks."""
    if version < 3:
        return ()
    lead = b"\0\0" if version >= 9 else b"\xff\xff"
    return lead + b"\xff\xff", lead + b"\0\1"


class Rules:
    """
    What a listener makes of requests to one broker: nothing but to look, here.

    @ivar node: the broker's id, empty where it is not known
    @ivar fail_open: what is no Kafka goes on, unread
    """

    def __init__(self, config: KafkaConfig, account: Account, quotas: Quotas, node: str = "") -> None:
        self.config = config
        self.account = account
        self.quotas = quotas
        self.topics = account.topics if config.topics else None
        self.node = node
        self.kinds: dict[int, Kind] = {}
        #: frames without a header, in a login of the old kind
        self.token = Kind(SASL_AUTHENTICATE, 0, VersionCounter(ApiCounter()))
        self.fail_open = config.fail_open
        self.denied = denied(config)
        self.most_request = config.max_request
        self.most_response = config.max_response
        self.most_in_flight = config.max_in_flight

    def kind(self, word: int) -> Kind:
        """The kind of a request whose header begins with C{word}, key and version."""
        kind = self.kinds.get(word)
        if kind is None:
            key, version = word >> 16 & 0xFFFF, word & 0xFFFF
            kind = Kind(key, version, self.account.version(key, version, self.node))
            self.decide(kind)
            if self.config.filters:
                self._filter(kind)
            if self.topics is not None:
                kind.walked = key in (FETCH, METADATA)
                kind.usual = ()
            api = APIS.get(key)
            # kept, unless somebody makes them up
            if api is not None and version <= api.newest + AHEAD:
                self.kinds[word] = kind
        return kind

    def decide(self, kind: Kind) -> None:
        """What becomes of requests of C{kind}, and of their answers."""
        if kind.key in self.denied:
            kind.deny("denied")

    def _filter(self, kind: Kind) -> None:
        filters = self.config.filters
        kind.filtered = kind.careful = True
        kind.usual = ()
        kind.read = filters.wants_request(kind.name)
        if filters.wants_response(kind.name):
            kind.edit = partial(self._read, kind.edit)

    def _read(
        self, inner: Edit | None, talk: Conversation, pending: Pending, frame: bytes, length: int
    ) -> tuple[int, bytes] | None:
        """Have filters read a whole answer, after what else becomes of it."""
        if length > self.config.buffered:
            raise ValueError(f"{length} bytes to be read are more than kafka.buffered")
        if len(frame) < length:
            return None
        if inner is not None and (changed := inner(talk, pending, frame, length)) is not None:
            frame = changed[1] + frame[changed[0] :]
        begin = body_of(pending.kind, frame, len(frame))
        kind = pending.kind
        body = decode("response", kind.key, kind.version, frame[begin:])
        self.config.filters.response(talk.context, kind.name, pending.head, body)
        return length, frame


def body_of(kind: Kind, frame: bytes, length: int) -> int | None:
    """Where the body of an answer to C{kind} begins in its frame, C{None} where it has not come so far."""
    return skip_tags(frame, 8, length) if kind.tagged else 8
