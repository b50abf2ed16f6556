# -*- test-case-name: tests.protocols.kafka.test_kinds -*-
"""
Kinds of requests, a key in a version, and what a listener's rules make of each: resolved once, looked up per frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lproxy.protocols.kafka.account import AHEAD, Account, ApiCounter, VersionCounter
from lproxy.protocols.kafka.apis import (
    APIS,
    CONTROLLED_SHUTDOWN,
    PRODUCE,
    SASL_AUTHENTICATE,
    SASL_HANDSHAKE,
    label,
)
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
    @ivar peek: bytes of the answer's body that are read
    @ivar denied: no such request goes on
    @ivar edit: what becomes of its answer
    """

    __slots__ = ("bare", "careful", "count", "denied", "edit", "flexible", "key", "name", "peek", "tagged", "version")

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
        self.peek = ERROR_CODE if key in (SASL_HANDSHAKE, SASL_AUTHENTICATE) else 0
        self.denied = False
        self.edit: Edit | None = None

    def __repr__(self) -> str:
        return f"<Kind {self.name} v{self.version}>"


class Rules:
    """
    What a listener makes of requests to one broker: nothing but to look, here.

    @ivar node: the broker's id, empty where it is not known
    @ivar fail_open: what is no Kafka goes on, unread
    """

    def __init__(self, config: KafkaConfig, account: Account, node: str = "") -> None:
        self.config = config
        self.account = account
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
            api = APIS.get(key)
            # kept, unless somebody makes them up
            if api is not None and version <= api.newest + AHEAD:
                self.kinds[word] = kind
        return kind

    def decide(self, kind: Kind) -> None:
        """What becomes of requests of C{kind}, and of their answers."""
        kind.denied = kind.key in self.denied

    def translate(self, talk: Any, api: str, node: int, host: str, port: int) -> tuple[str, int]:
        """Where clients find a broker."""
        return host, port
