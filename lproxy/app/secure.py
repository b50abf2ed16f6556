# -*- test-case-name: tests.app.test_secure -*-
"""
What becomes of a client's TLS: ended here, passed on as it is, or closed.

It is ended where the client asks for a name that there is a certificate of, or where the listener ends all of it. What
is inside goes on as any connection does. All else is bytes to us: it is joined with whoever it is for, unread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from lproxy.app.sessions import Sessions
from lproxy.errors import Failed, in_parts
from lproxy.identity.contexts import Context
from lproxy.metrics.counters import HandshakeCounter
from lproxy.protocols.runtime import Runtime, whereabouts
from lproxy.protocols.session import Session
from lproxy.target import join_host_port
from lproxy.transport.detect import TLS, Detected, Detection
from lproxy.transport.stream import Stream
from lproxy.transport.tls.failure import HandshakeFailed
from lproxy.transport.tls.hello import LIMIT, Hello

#: of connections whose TLS is not ours to end
OPAQUE: Final = "opaque"
#: alerts (RFC 8446, 6): a record of version 3.1, two bytes long, fatal; the name is nobody's here, or not for everybody
UNRECOGNIZED_NAME: Final = b"\x15\x03\x01\x00\x02\x02\x70"
ACCESS_DENIED: Final = b"\x15\x03\x01\x00\x02\x02\x31"

#: goes on with what is inside: with its stream, and the session whose place the next one takes
Inside = Callable[[Stream, Session], None]
#: goes on with what is passed on
Past = Callable[[Detection, Detected], None]


class Shown(Protocol):
    """What a listener shows; see L{lproxy.identity.store.Shown}."""

    def find(self, name: str, /) -> Context | None:
        """For whoever asks for C{name}; C{None}: that is nobody here."""

    @property
    def default(self) -> Context | None:
        """For everybody else."""


class Accepts(Protocol):
    """Who does handshakes; see L{lproxy.transport.tls.handshake.Handshakes}."""

    def accept(self, stream: Any, context: Context, hello: Hello, /) -> Deferred[Any]:
        """As a server, on the socket of C{stream}, which is taken from it."""


class Securing:
    """Of one listener."""

    def __init__(
        self,
        runtime: Runtime,
        sessions: Sessions,
        shown: Shown | None,
        handshakes: Accepts,
        counter: HandshakeCounter,
    ) -> None:
        """
        @param shown: C{None}: nothing, all is passed on
        """
        self._runtime = runtime
        self._sessions = sessions
        self._shown = shown
        self._handshakes = handshakes
        self._counter = counter
        self._all = runtime.tls == "terminate"

    def hello(self, detection: Detection, hello: Hello, found: Detected, inside: Inside, past: Past | None) -> None:
        """
        A client opens with C{hello}, which nobody has read.

        @param inside: goes on with what TLS has inside, where it is ended here
        @param past: goes on with the connection as it is; C{None}: nothing may
        """
        stream = detection.stream
        context = self._context(hello.sni)
        if context is None:
            stream.conn = stream.conn._replace(no_tls_reason=OPAQUE, sni=hello.sni)
            if past is None or self._runtime.destination(stream.conn) is None:
                self._nowhere(detection, hello, found)
            else:
                past(detection, found)
            return
        if found.dialled is not None:
            # for whoever would have spoken first, which is TLS never
            found.dialled.close()
        shaking = Shaking(self, stream, context, hello, inside)
        self._sessions.begin(shaking, TLS, stream, detection, self._runtime.listen.name)

    def _context(self, name: str) -> Context | None:
        shown = self._shown
        if shown is None:
            return None
        context = shown.find(name)
        return shown.default if context is None and self._all else context

    def _nowhere(self, detection: Detection, hello: Hello, found: Detected) -> None:
        if found.dialled is not None:
            found.dialled.close()
        listen = self._runtime.listen
        asks = f"asks for {hello.sni}, of which there is no certificate here" if hello.sni else "asks for no name"
        listens = listen.protocol is None and listen.target != "sni"
        sends = '; target = "sni" sends it to whom it asks for' if listens else ""
        self._runtime.warn(
            "tls-nowhere",
            f"listener {listen.name}: a TLS connection from {detection.stream.conn.peer[0]} was closed: it {asks}, and "
            f"there is nowhere to pass it on to{sends}",
            Failed(TLS, hello.sni or f"listener {listen.name}", f"it {asks}", found.seconds),
        )
        self._counter.fail("nowhere")
        turn_away(detection.stream, UNRECOGNIZED_NAME)
        self._sessions.remove(detection)

    # of a handshake

    def shake(self, stream: Stream, context: Context, hello: Hello) -> Deferred[Any]:
        """Begin one."""
        return self._handshakes.accept(stream, context, hello)

    def seconds(self) -> float:
        """The clock."""
        return self._runtime.clock.seconds()

    def done(self, shaking: Shaking, stream: Stream) -> None:
        """It has come to a good end: C{stream} is what is inside."""
        tls = stream.conn.tls
        self._counter.succeeded(self.seconds() - shaking.began, tls is not None and tls.resumed)
        shaking.inside(stream, shaking)

    def failed(self, shaking: Shaking, failure: Failure) -> None:
        """It has not, and the connection is closed."""
        listen, error = self._runtime.listen.name, failure.value
        if isinstance(error, HandshakeFailed):
            self._counter.fail(error.why)
            self._runtime.warn(
                f"tls-{error.why}",
                f"listener {listen}: a client at {shaking.stream.conn.peer[0]}: {error.what()}",
                in_parts(error, f"listener {listen}", self.seconds() - shaking.began),
            )
        elif isinstance(error, CancelledError):
            self._counter.fail("aborted")
        else:
            self._counter.fail("bug")
            self._runtime.crashed(TLS, failure, whereabouts(listen, shaking.stream))
            shaking.stream.abort()
        self._sessions.remove(shaking)

    def describe(self, shaking: Shaking) -> dict[str, Any]:
        """A row of C{/connections}."""
        return {
            "listener": self._runtime.listen.name,
            "protocol": None,
            "client": join_host_port(*shaking.stream.conn.peer),
            "target": None,
            "upstream": None,
            "state": "handshake",
            "sni": shaking.hello.sni,
            "seconds": round(self.seconds() - shaking.began, 3),
        }


def turn_away(stream: Stream, alert: bytes) -> None:
    """Close a connection of which nothing was read but its hello, and say why."""
    raw = stream.raw()
    if raw is not None:
        try:
            # what is closed with bytes unread is reset, and the alert with it
            raw.take(LIMIT)
        except OSError:
            pass  # there are none, or nobody
    stream.write(alert)
    stream.close()


class Shaking:
    """
    A L{Session<lproxy.protocols.session.Session>}: one handshake with a client, until there is what is inside.

    @ivar stream: the connection; its socket is the handshake's, and then that of what is inside
    @ivar hello: what the client has asked for
    @ivar began: when, in seconds
    """

    def __init__(self, owner: Securing, stream: Stream, context: Context, hello: Hello, inside: Inside) -> None:
        self._owner = owner
        self._context = context
        self._result: Deferred[Any] | None = None
        self.stream = stream
        self.hello = hello
        self.inside = inside
        self.began = owner.seconds()

    def __repr__(self) -> str:
        return f"<Shaking {self.stream.conn.peer} {self.hello.sni!r}>"

    def start(self) -> None:
        """Begin."""
        self._result = self._owner.shake(self.stream, self._context, self.hello)
        self._result.addCallback(self._done).addErrback(self._failed)

    def _done(self, stream: Stream) -> None:
        self.stream = stream
        self._owner.done(self, stream)

    def _failed(self, failure: Failure) -> None:
        self._owner.failed(self, failure)

    def drain(self) -> None:
        """It is bounded in time, and what is inside is drained then."""

    def abort(self) -> None:
        """End now: the socket is closed."""
        if self._result is not None:
            self._result.cancel()

    def describe(self) -> dict[str, Any]:
        """A row of C{/connections}."""
        return self._owner.describe(self)
