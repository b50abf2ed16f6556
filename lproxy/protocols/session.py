# -*- test-case-name: tests.protocols.test_session -*-
"""
One accepted connection, and what a protocol makes of it: the shapes that every protocol's factory and sessions have.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from lproxy.transport.detect import Dialled
from lproxy.transport.stream import Stream
from lproxy.verdict import Detector


class Accepted(NamedTuple):
    """
    An accepted connection as its protocol gets it.

    @ivar stream: nobody reads it yet
    @ivar protocol: the protocol that it was found, or configured, to speak
    @ivar variant: which form of it the detector found; empty where there was no detection
    @ivar prefix: what detection has read, which is the first of what the client says
    @ivar eof: whether the client's end (FIN) was read as well
    @ivar dialled: a connection that was opened to the upstream while the client was silent, and is the receiver's to
        use or to close. Only TCP gets one
    @ivar since: seconds, by the runtime's clock, when the first of C{prefix} was heard
    """

    stream: Stream
    protocol: str
    variant: str = ""
    prefix: bytes = b""
    eof: bool = False
    dialled: Dialled | None = None
    since: float = 0.0


class Session(Protocol):
    """
    One accepted connection in the hands of its protocol.

    It is known to C{runtime.sessions} from before L{start} until it says that it is over, by C{sessions.remove(self)}.
    """

    def start(self) -> None:
        """Called once, before anything else: attach a reader to the stream. It may be over when this returns."""

    def drain(self) -> None:
        """Finish what is under way, begin nothing new, then end."""

    def abort(self) -> None:
        """End now."""

    def describe(self) -> dict[str, Any]:
        """A row of C{/connections}: JSON values."""


class Explains:
    """
    A factory whose sessions tell refused clients why, in their protocol's own words: they ask C{runtime.refuse}
    themselves, for the listener and for whatever target they find. Others' connections are closed before there is a
    session.
    """


class SessionFactory(Protocol):
    """
    What a protocol's plugin makes for each listener.

    @ivar detector: as the plugin's, for this listener's settings; C{None}: the plugin's own
    """

    @property
    def detector(self) -> Detector | None: ...

    def session(self, accepted: Accepted) -> Session:
        """A session for one connection. Makes it and no more: what it does begins with C{start}."""

    def start(self) -> None:
        """The listener opens. May raise, which keeps the proxy from starting; C{stop} is not called then."""

    def drain(self) -> None:
        """The proxy ends, or this configuration of it: clients may be told. Sessions are drained by themselves."""

    def stop(self) -> None:
        """The last session is over."""
