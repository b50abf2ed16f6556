# -*- test-case-name: tests.app.test_edge -*-
"""
One listener: what becomes of the connections that it accepts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory
from twisted.python.failure import Failure

from lproxy.interfaces import Detector
from lproxy.metrics.counters import DetectCounter
from lproxy.protocols.runtime import Runtime
from lproxy.transport.original_dst import original_dst
from lproxy.transport.peek import TCP, Detected, Dialled, Peek, PeekConfig
from lproxy.transport.socket import Stream


class ListenerEdge:
    """
    Receives a listener's connections, finds out what they speak, and hands them on.

    @ivar factories: by protocol name: those to detect, or the configured one, and TCP always
    """

    def __init__(
        self,
        runtime: Runtime,
        factories: dict[str, IProtocolFactory],
        detectors: dict[str, Detector],
        counter: DetectCounter,
    ) -> None:
        self._runtime = runtime
        self.factories = factories
        self._counter = counter
        listen, limits, timeouts = runtime.listen, runtime.limits, runtime.timeouts
        self._crashed = {name: partial(runtime.crashed, name) for name in factories}
        # connections in the hands of Peek are shown and drained like all others
        self.began, self.ended = runtime.sessions.add, runtime.sessions.remove
        self._redirected = listen.target in ("authority", "original-dst")
        self._configured = listen.protocol
        self._peek = PeekConfig(
            tuple((name, detectors[name]) for name in listen.detect if name in detectors),
            limits.detect,
            timeouts.detect,
            timeouts.server_first,
            timeouts.client_idle,
            listen.name,
        )

    def accepted(self, stream: Stream) -> None:
        """A connection, which nobody has read from."""
        if self._redirected:
            stream.original_dst = original_dst(stream.socket)
        stream.startReading()
        if self._configured is None:
            stream.attach(Peek(self._peek, self, self._runtime.reactor))
        else:
            self._give(stream, self._configured, b"", False)

    def refused(self, reason: str) -> None:
        """One that was closed at accept."""
        refused = self._counter.refused
        refused[reason] = refused.get(reason, 0) + 1
        why = "limits.connections are open" if reason == "limit" else f"out of descriptors or memory ({reason})"
        self._runtime.warn(f"accept-{reason}", f"listener {self._runtime.listen.name}: closed a new connection: {why}")

    def drain(self) -> None:
        """Factories that can say so tell their clients that connections end."""
        for factory in self.factories.values():
            drain = getattr(factory, "drain", None)
            if drain is not None:
                drain()

    def exposed(self, stream: Stream, protocol: str, build: Callable[[], Any]) -> None:
        """A connection to a further address, which one of our protocols has asked for."""
        stream.startReading()
        self._hand(stream, protocol, build, b"", False)

    def _give(self, stream: Stream, protocol: str, prefix: bytes, eof: bool) -> None:
        self._hand(stream, protocol, lambda: self.factories[protocol].buildProtocol(stream.getPeer()), prefix, eof)

    def _hand(self, stream: Stream, protocol: str, build: Callable[[], Any], prefix: bytes, eof: bool) -> None:
        stream.on_crash = self._crashed[protocol]
        try:
            self._runtime.accepted(stream, protocol)
            session = build()
        except Exception:
            stream.crashed(Failure())
            return
        if session is None:
            stream.loseConnection()
        else:
            stream.attach(session, prefix, eof)

    # Peek's Edge

    def dial(self, stream: Stream) -> Deferred[Dialled] | None:
        """Open the upstream, where the destination is known."""
        factory: Any = self.factories[TCP]
        dialled: Deferred[Dialled] | None = factory.dial(stream)
        return dialled

    def can_relay(self, stream: Stream) -> bool:
        """Whether it has a destination of its own."""
        return self._runtime.destination(stream) is not None

    def detected(self, stream: Stream, found: Detected) -> None:
        """Count, say why where it is not what was hoped for, and hand on."""
        self._counter.done(found.result, found.seconds)
        self._explain(stream, found)
        stream.dialled = found.dialled
        self._give(stream, found.protocol, found.prefix, found.eof)
        dialled, stream.dialled = stream.dialled, None
        if dialled is not None:
            dialled.close()  # there is no session to have it

    def lost(self, stream: Stream, result: str, seconds: float) -> None:
        """It was never more than bytes, if that."""
        self._counter.done(result, seconds)

    def detector_failed(self, name: str, failure: Failure) -> None:
        """The plugin's fault, not the connection's."""
        self._runtime.crashed(name, failure)

    def _explain(self, stream: Stream, found: Detected) -> None:
        listen = self._runtime.listen
        who = f"listener {listen.name}: a connection from {stream.peer_address[0]}"
        if found.unspoken:
            self._runtime.warn("detect-unspoken", f"{who} speaks {found.unspoken}, which is forwarded as TCP for now")
        elif found.result == "timeout":
            self._runtime.warn(
                "detect-timeout",
                f"{who} showed no protocol in {found.seconds:.1f} s ({len(found.prefix)} bytes): forwarded as TCP. "
                f'protocol = "tcp" (or another) for this listener avoids the wait; timeouts.detect bounds it.',
            )
        elif found.result == "eof" and found.prefix:
            self._runtime.warn(
                "detect-eof",
                f"{who} ended after {len(found.prefix)} bytes, before its protocol was clear: forwarded as TCP. "
                f'protocol = "tcp" (or another) for this listener needs no detection.',
            )
