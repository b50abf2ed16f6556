# -*- test-case-name: tests.app.test_straight -*-
"""
Connections whose protocol is configured, on a listener that looks for TLS: what is inside of it, or without it, goes
straight to that protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lproxy.app.secure import Inside
from lproxy.protocols.session import Accepted, Session
from lproxy.transport.detect import Detected, Detection, Dialled, Edge
from lproxy.transport.stream import Stream
from lproxy.transport.tls.hello import Hello

Make = Callable[[Accepted], Session]


class Owner(Protocol):
    """The listener; see L{lproxy.app.listener.ListenerEdge}."""

    def give(self, accepted: Accepted, make: Make, instead: Session | None = None, /) -> None:
        """Hand a connection to a protocol."""

    def secure(self, detection: Detection, hello: Hello, found: Detected, inside: Inside, /) -> None:
        """End TLS, or pass it on."""

    def lost(self, detection: Detection, result: str, seconds: float, /) -> None:
        """It ended before it showed anything."""


class Straight(Edge):
    """For connections of one protocol."""

    def __init__(self, owner: Owner, protocol: str, make: Make) -> None:
        """
        @param make: makes the protocol's session
        """
        self._owner = owner
        self._protocol = protocol
        self._make = make

    def dial(self, stream: Stream) -> Deferred[Dialled] | None:
        """The protocol does that itself, if at all."""
        return None

    def waits(self, stream: Stream) -> None:
        """Nobody was asked."""

    def can_relay(self, stream: Stream) -> bool:
        """Whatever it says is for the protocol."""
        return True

    def detected(self, detection: Detection, found: Detected) -> None:
        """There is no TLS."""
        accepted = Accepted(
            detection.stream, self._protocol, "", found.prefix, found.eof, found.dialled, detection.since
        )
        self._owner.give(accepted, self._make, detection)

    def hello(self, detection: Detection, hello: Hello, found: Detected) -> None:
        """There is."""
        self._owner.secure(detection, hello, found, self._inside)

    def _inside(self, stream: Stream, session: Session) -> None:
        self._owner.give(Accepted(stream, self._protocol), self._make, session)

    def lost(self, detection: Detection, result: str, seconds: float) -> None:
        """It has said nothing."""
        self._owner.lost(detection, result, seconds)

    def detector_failed(self, stream: Stream, name: str, failure: Failure) -> None:
        """No detector is asked."""
