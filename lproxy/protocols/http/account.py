# -*- test-case-name: tests.protocols.http.test_account -*-
"""
What there is to know of a client's connection, and what is counted, logged and shown of it.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from twisted.internet import protocol

from lproxy.protocols.http.client import HttpConnection
from lproxy.protocols.http.http1 import RequestReader
from lproxy.protocols.http.message import Request, Response
from lproxy.target import join_host_port
from lproxy.transport.socket import Stream

if TYPE_CHECKING:
    from lproxy.protocols.http.factory import HttpFactory, Route


class State(Enum):
    """Where a connection is in its life."""

    IDLE = "idle"  # between requests
    HEAD = "head"  # part of a head was read
    ACQUIRING = "acquiring"
    CALLING = "calling"  # dispatched, until the answer's end
    FULL = "full"  # answered; the client has to take some of that before its next request is looked at
    TUNNEL = "tunnel"  # another protocol's bytes
    LINGER = "linger"  # answered for the last time
    CLOSED = "closed"


class Account(protocol.Protocol):
    """
    A session's facts, for counters and people.

    @ivar request: the request under way, or the latest
    @ivar upstream: the connection that it was dispatched on, until its end
    """

    transport: Stream

    def __init__(self, factory: HttpFactory) -> None:
        self._factory = factory
        self._reader = RequestReader(factory.runtime.limits)
        self._state = State.IDLE
        self._requests = 0
        self._route: Route | None = None
        self._response: Response | None = None
        self._began = 0.0
        self._since = factory.now
        self._overhead = 0.0
        self._flags = ""
        self._tunnelled_to: str | None = None
        self.request: Request | None = None
        self.upstream: HttpConnection | None = None

    def __repr__(self) -> str:
        return f"<HttpSession {self._state.value} {self.request!r}>"

    def describe(self) -> dict[str, Any]:
        """A row of C{/connections}."""
        stream = self.transport
        busy = self._state in (State.ACQUIRING, State.CALLING, State.TUNNEL)
        return {
            "listener": self._factory.runtime.listen.name,
            "protocol": self._factory.name,
            "client": join_host_port(*stream.peer_address),
            "state": self._state.value,
            "target": str(self._route.target) if busy and self._route is not None else None,
            "request": f"{_text(self.request.method)} {_text(self.request.target)}" if busy and self.request else None,
            "upstream": self._address(),
            "requests": self._requests,
            "bytes_in": stream.bytes_in,
            "bytes_out": stream.bytes_out,
        }

    def _address(self) -> str | None:
        return self.upstream.address if self.upstream is not None else self._tunnelled_to

    def _may_tell(self) -> bool:
        """Whether the client is the application next door, or as good as that."""
        return self._factory.runtime.direction == "outbound" or self.transport.peer_address[0] in ("127.0.0.1", "::1")

    def _warn(self, kind: str, text: str) -> None:
        runtime = self._factory.runtime
        runtime.warn(kind, f"listener {runtime.listen.name}: client {self.transport.peer_address[0]}: {text}")

    def _record(self, status: int) -> None:
        """Count the exchange and log it. C{status} is zero where there was no answer."""
        self._count(status)
        if self._factory.runtime.access is not None:
            self._log(status)

    def _count(self, status: int) -> None:
        self._since = now = self._factory.seconds()
        if self._route is not None:
            self._route.counter.ended(status, (now - self._began) * 1000.0, self._overhead)

    def _log(self, status: int) -> None:
        access = self._factory.runtime.access
        if access is None:
            return
        request = self.request
        row: dict[str, Any] = {
            "kind": "request",
            "listener": self._factory.runtime.listen.name,
            "client": join_host_port(*self.transport.peer_address),
            "method": _text(request.method) if request is not None else None,
            "authority": _text(request.authority) if request is not None else None,
            "path": _text(request.target) if request is not None else None,
            "status": status,
            "upstream": self._address(),
            "seconds": round(self._factory.seconds() - self._began, 6) if request is not None else None,
            "flags": self._flags,
        }
        access(row)


def _text(raw: bytes) -> str:
    """Bytes of a peer, as text that is one line wherever it is shown."""
    return raw.decode("ascii", "backslashreplace")
