# -*- test-case-name: tests.protocols.kafka.talk.test_request -*-
"""
An API in one version, with what a listener makes of it, and a request that awaits its response.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lproxy.protocols.kafka.codec.apis import (
    APIS,
    CONTROLLED_SHUTDOWN,
    PRODUCE,
    SASL_AUTHENTICATE,
    SASL_HANDSHAKE,
    label,
)
from lproxy.protocols.kafka.codec.frame import Editor
from lproxy.protocols.kafka.codec.header import RequestHead, skip_tags
from lproxy.protocols.kafka.filter import Context
from lproxy.protocols.kafka.talk.counters import VersionCounter

#: makes something else of a response, given its frame so far and its whole length; see L{Frames.edit}
Edit = Callable[["Context", "Pending", bytes, int], tuple[int, bytes] | Editor | None]

#: bytes of a response's body that are read: an error code
ERROR_CODE: Final = 2


class VersionedApi:
    """
    An API key in a version: resolved once per listener and node, looked up per frame.

    @ivar counter: where its requests are counted
    @ivar without_client_id: its request header is version 0
    @ivar flexible: its request header has a tag buffer
    @ivar flexible_response: and so has its response's
    @ivar inspected: requests are looked at beyond their header
    @ivar plain_starts: what follows the client id of nearly all requests, which then need no such look
    @ivar peek: bytes of the response's body that are read
    @ivar denied: why no such request passes, empty where it does
    @ivar edit: what becomes of its response, C{None}: it passes
    @ivar filtered: filters are asked
    @ivar decoded: and one of them reads the request's body
    @ivar walked: the response's body is read while it passes
    """

    __slots__ = (
        "counter",
        "decoded",
        "denied",
        "edit",
        "filtered",
        "flexible",
        "flexible_response",
        "inspected",
        "key",
        "name",
        "peek",
        "plain_starts",
        "version",
        "walked",
        "without_client_id",
    )

    def __init__(self, key: int, version: int, counter: VersionCounter) -> None:
        api = APIS.get(key)
        self.key = key
        self.version = version
        self.name: str = label(key)
        self.counter = counter
        self.without_client_id = key == CONTROLLED_SHUTDOWN and version == 0
        self.flexible: bool = api is not None and api.is_flexible(version)
        self.flexible_response: bool = api is not None and api.has_tagged_response(version)
        self.inspected = key in (PRODUCE, SASL_HANDSHAKE)
        self.plain_starts: tuple[bytes, ...] = acknowledged(version) if key == PRODUCE else ()
        self.peek: int = ERROR_CODE if key in (SASL_HANDSHAKE, SASL_AUTHENTICATE) else 0
        self.denied = ""
        self.edit: Edit | None = None
        self.filtered = False
        self.decoded = False
        self.walked = False

    def deny(self, reason: str) -> None:
        """Let no such request pass."""
        self.denied = self.denied or reason
        self.inspect_all()

    def inspect_all(self) -> None:
        """Look at every request, also at those that begin as nearly all do."""
        self.inspected, self.plain_starts = True, ()

    def __repr__(self) -> str:
        return f"<VersionedApi {self.name} v{self.version}>"


def acknowledged(version: int) -> tuple[bytes, ...]:
    """How a Produce request goes on that is not transactional and is acknowledged: no tags, no id, then acks."""
    if version < 3:
        return ()
    start = b"\0\0" if version >= 9 else b"\xff\xff"
    return start + b"\xff\xff", start + b"\0\1"


def body_of(api: VersionedApi, frame: bytes, length: int) -> int | None:
    """Where the body of a response of C{api} begins in its frame, C{None} where it has not come so far."""
    return skip_tags(frame, 8, length) if api.flexible_response else 8


class Pending:
    """
    A request that awaits its response.

    @ivar correlation_id: of both; C{None} for a bare SASL token
    @ivar sent: when its last byte was passed on, in seconds of the clock
    @ivar local: the response's frame, where lproxy makes it itself
    @ivar no_response: there will be none (acks=0)
    @ivar mechanism: SaslHandshake: what the client wants to log in with
    @ivar head: its header, where filters are told of its response
    """

    __slots__ = ("api", "correlation_id", "head", "local", "mechanism", "no_response", "sent")

    def __init__(self, api: VersionedApi, correlation_id: int | None, sent: float) -> None:
        self.api = api
        self.correlation_id = correlation_id
        self.sent = sent
        self.local: bytes | None = None
        self.no_response = False
        self.mechanism = ""
        self.head: RequestHead | None = None
