# -*- test-case-name: tests.app.test_listener -*-
"""
One listener of an assembly: what becomes of the connections that it accepts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lproxy.app import trace
from lproxy.app.outcome import explain, without_detector
from lproxy.app.proxied import Proxied, Senders, Then
from lproxy.app.refusing import Refusing
from lproxy.app.secure import Inside, Securing
from lproxy.app.sessions import Sessions
from lproxy.app.straight import Straight
from lproxy.config import KEYWORDS
from lproxy.errors import Failed
from lproxy.metrics.counters import DetectCounter
from lproxy.protocols.runtime import Runtime, whereabouts
from lproxy.protocols.session import Accepted, Explains, Session, SessionFactory
from lproxy.protocols.tcp.factory import TcpFactory
from lproxy.target import Target
from lproxy.transport.detect import TCP, DetectConfig, Detected, Detection, Dialled, Edge
from lproxy.transport.stream import Conn, Stream
from lproxy.transport.tls.hello import Hello
from lproxy.verdict import Detector

#: seconds for which an upstream is known to wait for its client
REMEMBER = 600.0
#: how many of them are known at once, before all are forgotten
REMEMBERED = 1_000

Make = Callable[[Accepted], Session]


class ListenerEdge(Edge):
    """
    Receives a listener's connections, finds out what they speak, and hands them on.

    @ivar factories: by protocol name: those to detect and TCP, or the configured one alone
    """

    def __init__(
        self,
        runtime: Runtime,
        sessions: Sessions,
        factories: dict[str, SessionFactory],
        detectors: dict[str, Detector],
        tcp: TcpFactory | None,
        securing: Securing | None = None,
        guarded: bool = False,
        opaque: Callable[[Target], bool] | None = None,
    ) -> None:
        """
        @param tcp: who dials for a silent client, where there is detection
        @param securing: what is done about TLS; C{None}: nothing, it is not looked for
        @param guarded: whether anybody may be refused, here or by a service
        @param opaque: whether it is not to be detected what is spoken with a target; C{None}: with none it is
        """
        self._runtime = runtime
        self._sessions = sessions
        self._tcp = tcp
        self._counter = DetectCounter()
        self._opaque = opaque
        self.factories = factories
        listen, limits, timeouts = runtime.listen, runtime.limits, runtime.timeouts
        self._securing = securing
        self._refusing = Refusing(runtime) if guarded else None
        self.redirected = listen.target in KEYWORDS
        self._configured = listen.protocol
        #: of protocols that are configured
        self._configs: dict[str, DetectConfig] = {}
        self._config = DetectConfig(
            tuple((name, detectors[name]) for name in listen.detect if name in detectors),
            limits.detect,
            timeouts.detect,
            timeouts.server_first,
            timeouts.client_idle,
            listen.name,
            listen.server_first,
            listen.undecided,
            securing is not None,
        )
        self._waiting: dict[Target, float] = {}
        self._senders = Senders(listen) if listen.proxy_protocol == "require" else None
        self._proxied = self._introduced(self._begin)

    def count_into(self, counter: DetectCounter) -> None:
        """Count in C{counter} from now on, as the listener is about to open."""
        self._counter = counter

    def accepted(self, stream: Stream) -> None:
        """A connection, which nobody has read from."""
        trace.accepted(self._runtime.listen.name, stream)
        if self._proxied is None:
            self._begin(stream)
        else:
            self._proxied.accepted(stream)

    def _begin(self, stream: Stream, instead: Session | None = None) -> None:
        """It is known whose connection it is: find out what it speaks, if that is not configured."""
        if self._configured is None:
            if self._opaque is not None and self._is_opaque(stream):
                self._straight(TCP, self.factories[TCP].session, stream, instead)
            else:
                self._detect(stream, instead)
        else:
            self._straight(self._configured, self.factories[self._configured].session, stream, instead)

    def _is_opaque(self, stream: Stream) -> bool:
        """Whether it is known, before anything is read, that it is not to be detected what the connection speaks."""
        target = self._runtime.destination(stream.conn)
        return target is not None and self._opaque is not None and self._opaque(target)

    def further(self, protocol: str, make: Make) -> Callable[[Stream], None]:
        """What to call with the connections of a further address, which C{protocol} has asked for."""
        then = partial(self._straight, protocol, make)
        proxied = self._introduced(then)
        return then if proxied is None else proxied.accepted

    def _straight(self, protocol: str, make: Make, stream: Stream, instead: Session | None = None) -> None:
        """Nothing is detected, but TLS that it may be in."""
        if self._securing is not None and stream.conn.tls is None:
            config = self._configs.get(protocol)
            if config is None:
                config = self._configs[protocol] = replace(self._config, detectors=(), configured=protocol)
            edge = Straight(self, protocol, make)
            detection = Detection(config, edge, self._runtime.clock, stream)
            self._sessions.begin(detection, TCP, stream, instead, self._runtime.listen.name)
            return
        trace.configured(self._runtime.listen.name, stream, protocol)
        self.give(Accepted(stream, protocol), make, instead)

    def _introduced(self, then: Then) -> Proxied | None:
        """Who goes on by C{then}, once a header has said whom it is for; C{None} where nobody has to."""
        if self._senders is None:
            return None
        return Proxied(self._runtime, self._sessions, self._senders, self._header, then)

    def _header(self, result: str) -> None:
        headers = self._counter.headers
        headers[result] = headers.get(result, 0) + 1

    def redetect(self, stream: Stream, session: Session) -> None:
        """What is inside of what C{session} carries is detected anew, and has its place."""
        self._detect(stream, session)

    def _detect(self, stream: Stream, instead: Session | None = None) -> None:
        detection = Detection(self._config, self, self._runtime.clock, stream)
        self._sessions.begin(detection, TCP, stream, instead, self._runtime.listen.name)

    def give(self, accepted: Accepted, make: Make, instead: Session | None = None) -> None:
        """
        Hand a connection to a protocol.

        @param make: makes its session
        @param instead: the session whose place this one takes
        """
        stream, protocol = accepted.stream, accepted.protocol
        refusing = self._refusing
        if refusing is not None and not isinstance(self.factories[protocol], Explains) and refusing.refused(accepted):
            if instead is not None:
                self._sessions.remove(instead)
            return
        try:
            self._runtime.accepted(stream, protocol)
            session = make(accepted)
        except BaseException:
            self._runtime.crashed(protocol, Failure(), whereabouts(self._runtime.listen.name, stream))
            stream.abort()
            if accepted.dialled is not None:
                accepted.dialled.close()
            if instead is not None:
                self._sessions.remove(instead)
            return
        self._sessions.begin(session, protocol, stream, instead, self._runtime.listen.name)

    def denied(self, reason: str) -> None:
        """Count who was refused."""
        denied = self._counter.denied
        denied[reason] = denied.get(reason, 0) + 1

    def refused(self, reason: str) -> None:
        """One that was closed at accept."""
        refused = self._counter.refused
        refused[reason] = refused.get(reason, 0) + 1
        limit = "as many are open as there may be (limits.connections)"
        why = limit if reason == "limit" else f"out of descriptors or memory ({reason})"
        who = f"listener {self._runtime.listen.name}"
        self._runtime.warn(
            f"accept-{reason}", f"{who}: closed a new connection: {why}", Failed("accept", who, why, None)
        )

    # Detection's Edge

    def dial(self, stream: Stream) -> Deferred[Dialled] | None:
        """Open the upstream, where the destination is known, and not known to wait for its client."""
        target = self._runtime.destination(stream.conn)
        if self._tcp is None or target is None or not self._may(stream.conn, target):
            return None
        until = self._waiting.get(target)
        if until is not None:
            if self._runtime.clock.seconds() < until:
                return None
            del self._waiting[target]
        return self._tcp.dial(stream)

    def waits(self, stream: Stream) -> None:
        """The upstream did not speak first, and is not asked to for a while."""
        target = self._runtime.destination(stream.conn)
        if target is not None:
            if len(self._waiting) >= REMEMBERED:
                self._waiting.clear()
            self._waiting[target] = self._runtime.clock.seconds() + REMEMBER

    def can_relay(self, stream: Stream) -> bool:
        """Whether it has a destination of its own."""
        target = self._runtime.destination(stream.conn)
        return target is not None and self._may(stream.conn, target)

    def _may(self, conn: Conn, target: Target) -> bool:
        return self._refusing is None or self._refusing.may(conn, target)

    def hello(self, detection: Detection, hello: Hello, found: Detected) -> None:
        """It is TLS."""
        self.secure(detection, hello, found, self._detect)

    def secure(self, detection: Detection, hello: Hello, found: Detected, inside: Inside) -> None:
        """
        End TLS, or pass it on.

        @param inside: goes on with what is inside
        """
        self._counter.done(found.result, found.seconds)
        trace.detected(self._runtime.listen.name, detection.stream, found)
        assert self._securing is not None, "it is looked for"
        # nothing passes by a protocol that is configured
        self._securing.hello(detection, hello, found, inside, self._past if TCP in self.factories else None)

    def _past(self, detection: Detection, found: Detected) -> None:
        accepted = Accepted(detection.stream, TCP, dialled=found.dialled)
        self.give(accepted, self.factories[TCP].session, detection)

    def detected(self, detection: Detection, found: Detected) -> None:
        """Count, say why where it is not what was hoped for, and hand on."""
        self._counter.done(found.result, found.seconds)
        explain(self._runtime, detection.stream, found, self.can_relay)
        trace.detected(self._runtime.listen.name, detection.stream, found)
        for name in detection.failed:
            without_detector(self._runtime, detection.stream, found, name)
        accepted = Accepted(
            detection.stream, found.protocol, found.variant, found.prefix, found.eof, found.dialled, detection.since
        )
        self.give(accepted, self.factories[found.protocol].session, detection)

    def lost(self, detection: Detection, result: str, seconds: float) -> None:
        """It was never more than bytes, if that."""
        self._counter.done(result, seconds)
        self._sessions.remove(detection)

    def detector_failed(self, stream: Stream, name: str, failure: Failure) -> None:
        """The plugin's fault, not the connection's, which goes on without it."""
        self._runtime.crashed(name, failure, f"its detector; {whereabouts(self._runtime.listen.name, stream)}")
