# -*- test-case-name: tests.protocols.kafka.test_session, tests.protocols.kafka.test_session_time -*-
"""
An accepted Kafka connection: judged from its first byte, then joined with a broker's.

Over 300 lines: what can become of one connection stands together, and nothing else.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import protocol
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from lproxy.protocols.connection import rescue
from lproxy.protocols.kafka.client import KafkaLease
from lproxy.protocols.kafka.filter import Context
from lproxy.protocols.kafka.live import Live
from lproxy.protocols.kafka.protocol_errors import invalid
from lproxy.protocols.kafka.talk.answers import Answers
from lproxy.protocols.kafka.talk.conversation import Conversation
from lproxy.protocols.kafka.talk.requests import Requests
from lproxy.protocols.kafka.talk.rules import Rules
from lproxy.protocols.runtime import Runtime
from lproxy.stack.interfaces import Acquire
from lproxy.target import Target, join_host_port
from lproxy.transport.relay import Relay, State, relay
from lproxy.transport.socket import Stream

#: the protocol's name
NAME = "kafka"


@implementer(IHalfCloseableProtocol)
class KafkaSession(protocol.Protocol):
    """
    Acquires a connection to a broker once the client has asked for something, and joins the two.

    @param target: where it goes, C{None}: where the listener's connections go
    """

    transport: Stream

    def __init__(
        self, runtime: Runtime, acquire: Acquire[KafkaLease], live: Live, rules: Rules, target: Target | None
    ) -> None:
        self._runtime = runtime
        self._acquire = acquire
        self._live = live
        self._rules = rules
        self._target = target
        self._prefix = b""
        self._asked = False
        self._pending: Deferred[Any] | None = None
        self._lease: KafkaLease | None = None
        self._upstream: Stream | None = None
        self._address: str | None = None
        self._relay: Relay | None = None
        self._began = self._moved = runtime.reactor.seconds()
        self._seen = (-1, -1, -1, -1)
        #: since when each side has not moved, within a frame
        self._stuck: dict[str, float] = {}
        self._held = ""
        self._held_since = 0.0
        self._timer: Any = None
        self._flags = ""
        self._talk: Conversation
        self._requests: Requests
        self._answers: Answers

    def __repr__(self) -> str:
        return f"<KafkaSession to {self._target} relay={self._relay!r}>"

    # Twisted's side

    def connectionMade(self) -> None:
        """Find out where it would go."""
        runtime, stream = self._runtime, self.transport
        runtime.sessions.add(self)
        client = stream.peer_address[0]
        context = Context(runtime.listen.name, client, self._rules.node, local=stream.host_address[0])
        self._talk = Conversation(self._rules, self, runtime.reactor.seconds, context)
        self._requests, self._answers = Requests(self._talk), Answers(self._talk)
        reached = self._live.begin(self, client, self._rules.metrics)
        if reached:
            self._end("UO", f"kafka.{reached} are open")
            return
        if self._target is None:
            self._target = runtime.destination(stream)
        if self._target is None:
            self._end(
                "NR",
                f"it was not redirected here and target = {runtime.listen.target!r} names no address for it. "
                'Set target = "host:port" or "service:NAME", or redirect with iptables',
            )

    def dataReceived(self, data: bytes) -> None:
        """What can be judged is kept for the broker, and makes us look for one."""
        self._prefix += self._requests.feed(data)
        if self._requests.over:
            self.transport.loseConnection()
        elif self._prefix and not self._asked and self._target is not None:
            self._asked = True
            lease = self._acquire.try_acquire(self._target)
            if lease is not None:
                self._acquired(lease)
            else:
                self._pending = self._acquire.acquire(self._target)
                self._pending.addCallbacks(self._acquired, self._failed)
        if self._relay is None and len(self._prefix) >= self._runtime.limits.buffer:
            self.transport.pauseProducing()

    def readConnectionLost(self) -> None:
        """The relay will find the end again, if there is to be one."""
        if self._asked:
            self.transport.pauseProducing()
        else:
            self._pump()
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nothing was written yet."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The client went away before there was a broker."""
        if self._pending is not None:
            self._pending.cancel()
        self._ended()

    # the session's life

    def _acquired(self, lease: KafkaLease) -> None:
        self._pending = None
        if self.transport.disconnected:
            lease.close()
            return
        self._lease = lease
        lease.call(self)

    def join(self, upstream: Stream, address: str) -> None:
        """Talk to the broker by C{upstream}."""
        self._upstream, self._address = upstream, address
        prefix, self._prefix = self._prefix, b""
        if prefix:
            upstream.write(prefix)
        joined = relay(self.transport, upstream, self._ended, taps=(self._requests, self._answers))
        self._relay = joined
        if self._held:
            joined.forth.hold()
        if self._talk.draining:
            self.drained()

    def in_flight(self) -> int:
        """Requests that are unanswered."""
        return len(self._talk.queue)

    def names(self) -> tuple[str | None, str]:
        """What the client calls itself, and the broker's node id."""
        return self._talk.context.client_id, self._rules.node

    def _failed(self, failure: Failure) -> None:
        self._pending = None
        if failure.check(CancelledError):
            return
        waited = self._runtime.reactor.seconds() - self._began
        self._flags = rescue(failure, self._runtime, NAME, self._target, waited)
        self.transport.abortConnection()

    def _end(self, flags: str, why: str) -> None:
        runtime = self._runtime
        client = self.transport.peer_address[0]
        runtime.warn(f"kafka-{flags}", f"listener {runtime.listen.name}: kafka connection from {client} closed: {why}")
        self._flags = flags
        # what detection has read is yet to come
        self._requests.over = True
        self.transport.abortConnection()

    def _ended(self) -> None:
        self._unhold()
        self._talk.ended()
        self._live.end(self, self.transport.peer_address[0])
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.close()
        if self._runtime.access is not None:
            self._runtime.access(self._record())
        # last: who waits for us may close what was used here
        self._runtime.sessions.remove(self)

    # the conversation's Owner

    def invalid(self, side: str, reason: str, goes_on: bool) -> None:
        """It is no Kafka. Where it does not go on, its tap is over, and the relay closes what it has."""
        invalid(self._runtime, self.transport.peer_address[0], side, reason, goes_on)
        self._flags = self._flags or "PE"

    def pass_unread(self) -> None:
        """Both directions go on unread."""
        self._requests.opaque = self._answers.opaque = True
        talk = self._talk
        if not talk.local:
            # whose answers may come, or not: nobody will know
            talk.queue.clear()
        self._runtime.reactor.callLater(0, self._pump)

    def pause(self, reason: str, seconds: float | None) -> None:
        """Do not read from the client."""
        if not self._held:
            self._held = reason
            self._held_since = self._runtime.reactor.seconds()
        if self._relay is not None:
            self._relay.forth.hold()
        else:
            self.transport.pauseProducing()
        if seconds is not None and self._timer is None:
            self._timer = self._runtime.reactor.callLater(seconds, self._again)

    def resume(self) -> None:
        """Read from the client again, in a moment: who says so may be about to write what goes before."""
        self._runtime.reactor.callLater(0, self._go_on)

    def interject(self) -> None:
        """The client may have a response of ours."""
        self._answers.interjects = True
        self._runtime.reactor.callLater(0, self._pump)

    def drained(self) -> None:
        """All is answered."""
        self._runtime.reactor.callLater(0, self._finish)

    def _again(self) -> None:
        self._timer = None
        self._talk.throttle_ended()
        self._go_on()

    def _go_on(self) -> None:
        if self._timer is not None or self._talk.paused or self.transport.disconnected:
            return
        self._unhold()
        if not self._talk.draining:
            if self._relay is not None:
                self._relay.forth.release()
            elif len(self._prefix) < self._runtime.limits.buffer:
                self.transport.resumeProducing()
        # before anything else is read: what was kept comes first
        self._pump()

    def _unhold(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        reason, self._held = self._held, ""
        if reason:
            paused = self._rules.metrics.paused
            seconds = self._runtime.reactor.seconds() - self._held_since
            paused[reason] = paused.get(reason, 0.0) + max(seconds, 0.0)

    def _pump(self) -> None:
        if self.transport.disconnected:
            return
        try:
            if self._relay is not None:
                self._relay.forth.pump()  # type: ignore[attr-defined]
                self._relay.back.pump()  # type: ignore[attr-defined]
            else:
                self.dataReceived(b"")
                ours = self._answers.feed(b"")
                if ours:
                    self.transport.write(ours)
        except Exception:
            # a filter's: the reactor has called, which would but log it
            self.transport.crashed(Failure())

    def _finish(self) -> None:
        """Who is to finish reads no further request, and closes once all is answered."""
        if self.transport.disconnected or self._requests.opaque:
            return
        stream, joined = self.transport, self._relay
        if self._requests.passing:
            return  # the broker has begun to read it
        if joined is not None:
            joined.forth.hold()
        else:
            stream.pauseProducing()
        if not self._talk.queue and not self._prefix and not self._answers.inside:
            if joined is not None:
                joined.close()
            else:
                stream.loseConnection()

    # what stands still

    def look(self, now: float) -> None:
        """Called now and then: does it move?"""
        config, upstream = self._rules.config, self._upstream
        stream = self.transport
        seen = (stream.bytes_in, stream.bytes_out, 0, 0)
        if upstream is not None:
            seen = (stream.bytes_in, stream.bytes_out, upstream.bytes_in, upstream.bytes_out)
        before, self._seen = self._seen, seen
        if seen != before:
            self._moved = now
        elif now - self._moved >= config.idle:
            self._flags = "IT"
            self.abort()
            return
        forth = back = None
        if self._relay is not None:
            forth, back = self._relay.forth.state, self._relay.back.state
        waits = self._asked if self._relay is None else self._relay.forth.held
        stuck = {
            "stalled": self._requests.inside and not waits and forth is not State.BLOCKED and seen[0] == before[0],
            "upstream_stalled": self._answers.inside and back is not State.BLOCKED and seen[2] == before[2],
        }
        for reason, still in stuck.items():
            since = self._stuck.setdefault(reason, now) if still else self._stuck.pop(reason, now)
            if still and now - since >= config.frame_progress:
                self._talk.fail(reason)
                self.abort()
                return

    # Session

    def drain(self) -> None:
        """What is asked is answered yet. What nobody can read ends by itself."""
        if self._requests.opaque:
            return
        self._talk.drain()
        self._finish()

    def abort(self) -> None:
        """End now."""
        self._flags = self._flags or "SD"
        if self._relay is not None:
            self._relay.abort()
        else:
            self.transport.abortConnection()

    def describe(self) -> dict[str, Any]:
        """A row of C{/connections}."""
        stream = self.transport
        state = "acquiring" if self._asked else "waiting"
        if self._relay is not None:
            state = "opaque" if self._requests.opaque else "paused" if self._held else "talking"
        return {
            "listener": self._runtime.listen.name,
            "protocol": NAME,
            "client": join_host_port(*stream.peer_address),
            "target": str(self._target) if self._target is not None else None,
            "upstream": self._address,
            "state": state,
            "client_id": self._talk.context.client_id,
            "node": self._rules.node or None,
            "in_flight": len(self._talk.queue),
            "seconds": round(self._runtime.reactor.seconds() - self._began, 3),
            "bytes_in": stream.bytes_in,
            "bytes_out": stream.bytes_out,
        }

    def _record(self) -> dict[str, Any]:
        row = self.describe()
        del row["state"]
        return {"kind": "connection", **row, "errno": self.transport.errno, "flags": self._flags}
