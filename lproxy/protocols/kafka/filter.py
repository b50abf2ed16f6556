# -*- test-case-name: tests.protocols.kafka.test_filter -*-
"""
For authors: see requests and responses on their way, and refuse or answer requests.

A filter is named in the configuration, C{[kafka.filters."module:name"]}, and made by calling that name with the table's
keys. It is asked for every request and told of every response, by their headers; bodies are only decoded for the
requests and responses that it names, so that all others pass unread. Filters are asked in the order of the file; the
first that does not let a request pass decides.

lproxy guarantees:

 1. One instance serves all connections of a listener, in the reactor's thread. It must not block.
 2. C{on_request} is called once per request, in the order of the connection, before any byte of its body passes;
    for the requests it names, once the whole request (at most C{kafka.buffered} bytes) has come.
 3. C{on_response} is called once per response of a broker, before any byte of it passes.
 4. A response of its own waits in the FIFO queue: clients get responses in the order of their requests.
 5. An exception ends the connection, is logged once and counted. What cannot be decoded ends the connection too.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from lproxy.protocols.kafka.codec.apis import BY_NAME
from lproxy.protocols.kafka.codec.header import SIZE, Malformed, RequestHead

#: what authors import from here; the rest is lproxy's own
__all__ = ["CLOSE", "FORWARD", "Answer", "Close", "Context", "Decision", "Filter", "Forward", "RequestHead"]


@dataclass(slots=True)
class Context:
    """
    The connection that a request came by.

    @ivar listener: the name of the C{[[listen]]}
    @ivar client: the client's IP address
    @ivar node: the broker's node id, empty where it is not known
    @ivar client_id: what the client calls itself, if it does
    @ivar local: by what the client has reached lproxy: the name that it has asked for in TLS, else an IP address
    """

    listener: str
    client: str
    node: str
    client_id: str | None = None
    local: str = ""


@dataclass(frozen=True, slots=True)
class Forward:
    """Let it pass."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection: what a broker does with whom it will not serve."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    Keep it from the broker, and answer so.

    @ivar body: a response of kafka-python (C{kafka.protocol...}), or an encoded body
    """

    body: Any


Decision = Forward | Close | Answer

FORWARD = Forward()
CLOSE = Close()


class Filter:
    """
    Lets everything pass. Subclass it.

    @cvar requests: names of the APIs whose requests' bodies it wants
    @cvar responses: and of those whose responses'
    """

    requests: Collection[str] = ()
    responses: Collection[str] = ()

    def on_request(self, context: Context, head: RequestHead, body: Any) -> Decision:
        """
        May this request pass?

        @param body: a request of kafka-python, where L{requests} names its API, else C{None}
        """
        return FORWARD

    def on_response(self, context: Context, head: RequestHead, body: Any) -> None:
        """
        This request is being answered.

        @param head: the head of the request
        @param body: a response of kafka-python, where L{responses} names its API, else C{None}. It is the client's to
            read, not ours to change
        """


def make(path: str, settings: dict[str, Any]) -> Filter:
    """
    The filter at C{path}, C{module:name}.

    @raise ValueError: there is none, or it does not want these settings
    """
    module, _, name = path.partition(":")
    if not (module and name):
        raise ValueError("there is no such filter: write module:name")
    # what modules and filters raise is theirs, and no bug of lproxy's
    try:
        maker = getattr(import_module(module), name)
    except Exception as e:
        raise ValueError(f"there is no such filter: {_told(e)}") from e
    try:
        made = maker(**settings)
    except Exception as e:
        raise ValueError(f"it does not take its settings: {_told(e)}") from e
    if not isinstance(made, Filter):
        raise ValueError(f"it is no Filter but a {type(made).__name__}")
    for names in (made.requests, made.responses):
        if isinstance(names, str) or not isinstance(names, Collection):
            raise ValueError(f"its requests and responses must be names of APIs, not {names!r}")
    for api in (*made.requests, *made.responses):
        if api not in BY_NAME:
            raise ValueError(f"it wants {api!r}, which is no API")
        if BY_NAME[api].key not in _messages("request"):
            raise ValueError(f"it wants {api!r}, which kafka-python cannot decode")
    return made


def _told(error: Exception) -> str:
    """What C{error} says; its type too, where that is no mere complaint."""
    complaint = isinstance(error, (ImportError, AttributeError, TypeError, ValueError))
    return str(error) if complaint else f"{type(error).__name__}: {error}"


class FilterFailed(Exception):
    """A filter has raised. Not what it raised: what that is must not decide what becomes of it."""

    def __init__(self, filter: Filter) -> None:
        super().__init__(f"the filter {type(filter).__module__}:{type(filter).__name__} failed")


class CannotEncode(Exception):
    """What a filter wants answered cannot be."""


class Filters:
    """All filters of a listener."""

    def __init__(self, filters: Iterable[Filter]) -> None:
        self._filters = tuple(filters)

    def __repr__(self) -> str:
        # shown in /config, and the same in every process
        return f"<Filters {', '.join(type(one).__name__ for one in self._filters) or 'none'}>"

    def __bool__(self) -> bool:
        return bool(self._filters)

    def __eq__(self, other: object) -> bool:
        # a filter is nobody but itself: only settings without any say the same again
        return isinstance(other, Filters) and self._filters == other._filters

    def __hash__(self) -> int:
        return hash(self._filters)

    def wants_request(self, name: str) -> bool:
        """Whether one wants the bodies of such requests."""
        return any(name in one.requests for one in self._filters)

    def wants_response(self, name: str) -> bool:
        """Whether one wants the bodies of such responses."""
        return any(name in one.responses for one in self._filters)

    def request(self, context: Context, name: str, head: RequestHead, body: Any) -> Decision:
        """What the first that does not let it pass decides."""
        for one in self._filters:
            try:
                decision = one.on_request(context, head, body if name in one.requests else None)
            except BaseException as e:
                raise FilterFailed(one) from e
            if not isinstance(decision, Forward):
                if not isinstance(decision, (Close, Answer)):
                    raise FilterFailed(one) from TypeError(f"not a decision: {decision!r:.80}")
                return decision
        return FORWARD

    def response(self, context: Context, name: str, head: RequestHead | None, body: Any) -> None:
        """Tell all; C{head} was read before the request passed."""
        assert head is not None
        for one in self._filters:
            try:
                one.on_response(context, head, body if name in one.responses else None)
            except BaseException as e:
                raise FilterFailed(one) from e


def decode(direction: str, key: int, version: int, body: bytes) -> Any:
    """
    The C{request} or C{response} that C{body} is.

    @raise Malformed: it is none
    """
    message = _messages(direction).get(key)
    if message is None:
        raise Malformed("undecodable")
    try:
        return message.decode(body, version=version)
    except Exception as e:  # it has errors of every kind, assertions included
        raise Malformed("undecodable") from e


def encode(answer: Answer, correlation_id: int, version: int, tagged: bool) -> bytes:
    """
    The frame of C{answer}, in the version of the request.

    @raise CannotEncode: it is no response, or not one of that version
    """
    body: Any = answer.body
    if not isinstance(body, bytes):
        try:
            # encode() looks for a header before it is asked for none, and what decode() made has no such attribute
            body._header = None
            body = bytes(body.encode(version=version))
        except BaseException as e:
            raise CannotEncode(f"a filter's answer cannot be encoded: {answer.body!r:.80}") from e
    head = correlation_id.to_bytes(4, "big", signed=True) + b"\0" * tagged
    frame: bytes = SIZE.pack(len(head) + len(body)) + head + body
    return frame


@functools.cache
def _messages(direction: str) -> dict[int, Any]:
    """kafka-python's messages by API key. Imported late: who has no filter needs none of them."""
    import kafka.protocol.admin
    import kafka.protocol.consumer
    import kafka.protocol.metadata
    import kafka.protocol.producer
    import kafka.protocol.sasl

    messages = kafka.protocol.api_message.ApiMessage.__subclasses__()
    return {one.API_KEY: one for one in messages if one.type == direction}
