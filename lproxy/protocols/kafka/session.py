# -*- test-case-name: tests.protocols.kafka.test_session, tests.protocols.kafka.test_session_time -*-
"""
An accepted Kafka connection: judged from its first byte, and joined with a broker's once there is something to ask.

Over 300 lines: what can become of one connection stands together, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from lproxy.api import (
    Accepted,
    Acquire,
    Endpoint,
    Flow,
    Runtime,
    TappedRelay,
    Target,
    Upstream,
    join_host_port,
    let_go,
    rescue,
    tried,
    whereabouts,
)
from lproxy.errors import Failed
from lproxy.protocols.kafka.client import KafkaLease
from lproxy.protocols.kafka.connections import Connections
from lproxy.protocols.kafka.filter import Context
from lproxy.protocols.kafka.progress import Counts, Progress
from lproxy.protocols.kafka.protocol_errors import invalid
from lproxy.protocols.kafka.talk.answers import Answers
from lproxy.protocols.kafka.talk.conversation import Conversation
from lproxy.protocols.kafka.talk.requests import Requests
from lproxy.protocols.kafka.talk.rules import Rules

#: the protocol's name
NAME = "kafka"
#: seconds of silence after which a client that is to go has nothing on its way
LULL = 1.0


class KafkaSession:
    """
    A L{Session<lproxy.api.Session>}: acquires a connection to a broker once the client has asked for something.

    One relay has both directions from the beginning, and is the only one that feeds the taps.
    """

    def __init__(
        self,
        runtime: Runtime,
        acquire: Acquire[KafkaLease],
        connections: Connections,
        rules: Rules,
        accepted: Accepted,
        target: Target | None,
    ) -> None:
        """
        @param target: where it goes, C{None}: where the listener's connections go
        """
        stream = accepted.stream
        self._runtime = runtime
        self._acquire = acquire
        self._connections = connections
        self._rules = rules
        self._target = target
        self._stream = stream
        self._first: tuple[bytes, bool] = (accepted.prefix, accepted.eof)
        self._pending: Deferred[Any] | None = None
        self._lease: KafkaLease | None = None
        self._upstream: Upstream | None = None
        self._tried: Endpoint | None = None
        #: whether a broker was looked for
        self._asked = False
        #: since when, and in the end for how long, in seconds
        self._asked_at = 0.0
        self._waited: float | None = None
        self._since: float | None = None
        self._over = False
        self._began = runtime.clock.seconds()
        #: why the client is not read, if it is not, and since when
        self._held = ""
        self._held_since = 0.0
        self._timer: IDelayedCall | None = None
        #: once it is to end: the next look at whether it can, and until when more is read
        self._lull: IDelayedCall | None = None
        self._read_until = 0.0
        self._flags = ""
        conn = stream.conn
        # over TLS, an address could not be verified by who is told to connect to it
        local = conn.tls.sni if conn.tls is not None and conn.tls.sni else conn.local[0]
        context = Context(runtime.listen.name, conn.peer[0], rules.node, local=local)
        self._talk = Conversation(rules, self, runtime.clock.seconds, context)
        self._requests, self._answers = Requests(self._talk), Answers(self._talk)
        self._progress = Progress(rules.config.frame_progress, rules.config.idle, self._began)
        taps = (self._requests, self._answers)
        self._relay = TappedRelay(stream, self._ended, runtime.limits.buffer, taps, wanted=self._wanted)

    def __repr__(self) -> str:
        return f"<KafkaSession to {self._target} relay={self._relay!r}>"

    # Session

    def start(self) -> None:
        """Find out where it would go, and read."""
        try:
            self._start()
        except BaseException:
            self._ended()  # nobody may be told of the connection's end
            raise

    def _start(self) -> None:
        runtime, conn = self._runtime, self._stream.conn
        reached = self._connections.begin(self, conn.peer[0], self._rules.metrics)
        if self._target is None:
            self._target = runtime.destination(conn)
        if reached:
            self._refuse("UO", f"kafka.{reached} are open")
        elif self._target is None:
            self._refuse(
                "NR",
                f"it was not redirected here and target = {runtime.listen.target!r} names no address for it. "
                'Set target = "host:port" or "service:NAME", or redirect with iptables',
            )
        (prefix, eof), self._first = self._first, (b"", False)
        self._relay.start(prefix, eof)

    def drain(self) -> None:
        """
        What is asked is answered yet, and what is on its way: a client cannot be told to come again. So it ends behind
        a response, where nothing more has come by then, or after L{LULL}; and who asks all the time is read no more
        after half of the time that there is.

        What nobody can read ends by itself; and so does all, where another configuration goes on.
        """
        if self._requests.opaque or self._runtime.superseded() or self._talk.parting:
            return
        self._talk.parting = True
        self._read_until = self._runtime.clock.seconds() + self._runtime.timeouts.drain / 2
        self._wait_for_lull()

    def abort(self) -> None:
        """End now."""
        self._flags = self._flags or "SD"
        self._relay.abort()

    def describe(self) -> dict[str, Any]:
        """A row of C{/connections}."""
        stream = self._stream
        state = "acquiring" if self._asked else "waiting"
        if self._upstream is not None:
            state = "opaque" if self._requests.opaque else "paused" if self._held else "talking"
        return {
            "listener": self._runtime.listen.name,
            "protocol": NAME,
            "client": join_host_port(*stream.conn.peer),
            "target": str(self._target) if self._target is not None else None,
            "upstream": str(self._upstream.endpoint) if self._upstream is not None else None,
            "state": state,
            "client_id": self._talk.context.client_id,
            "node": self._rules.node or None,
            "in_flight": self.in_flight(),
            "seconds": round(self._runtime.clock.seconds() - self._began, 3),
            "bytes_in": stream.bytes_in,
            "bytes_out": stream.bytes_out,
        }

    # its life

    def _wanted(self) -> None:
        """The client has asked for something."""
        target = self._target
        if target is None:
            return  # refused
        self._asked = True
        self._asked_at = self._runtime.clock.seconds()
        lease = self._acquire.try_acquire(target)
        if lease is not None:
            self._acquired(lease)
        else:
            self._pending = self._acquire.acquire(target)
            self._pending.addCallbacks(self._acquired, self._failed).addErrback(self._crashed)

    def _acquired(self, lease: KafkaLease) -> None:
        self._pending = None
        if self._over:
            lease.close()
            return
        self._lease = lease
        self._since = self._runtime.clock.seconds()
        self._waited = self._since - self._asked_at
        upstream = lease.call(self, self._stream.conn)
        self._upstream = upstream
        self._relay.join(upstream.stream)
        if self._talk.parting:
            self.drained()

    def _failed(self, failure: Failure) -> None:
        self._pending = None
        self._tried = tried(failure.value)
        if failure.check(CancelledError):
            return
        failed, node = self._rules.metrics.connects_failed, self._rules.node
        failed[node] = failed.get(node, 0) + 1
        self._waited = self._runtime.clock.seconds() - self._asked_at
        waited = self._runtime.clock.seconds() - self._began
        self._flags = rescue(failure, self._runtime, NAME, self._target, waited)
        self._stream.abort()

    def _crashed(self, failure: Failure) -> None:
        self._runtime.crashed(NAME, failure, whereabouts(self._runtime.listen.name, self._stream))
        self._relay.abort()

    def _refuse(self, flags: str, why: str) -> None:
        runtime, client = self._runtime, self._stream.conn.peer[0]
        runtime.warn(
            f"kafka-{flags}",
            f"listener {runtime.listen.name}: kafka connection from {client} closed: {why}",
            Failed(NAME, str(self._target or ""), why, runtime.clock.seconds() - self._began),
        )
        self._flags = flags
        self._stream.abort()

    def _ended(self) -> None:
        """Both connections are closed, or the client's before there was another."""
        if self._over:
            return
        self._over = True
        lease, self._lease = self._lease, None
        try:
            self._connections.end(self, self._stream.conn.peer[0])
            if self._pending is not None:
                self._pending.cancel()
            if self._lull is not None and self._lull.active():
                self._lull.cancel()
            self._read_again()
            self._talk.ended()
        finally:
            times = self._waited, self._since
            let_go(self, self._runtime, lease, self._stream, self._flags, self._tried, *times)

    # the lease's request

    def in_flight(self) -> int:
        """Requests that await their response."""
        return len(self._talk.queue)

    def names(self) -> tuple[str | None, str]:
        """What the client calls itself, and the broker's node id."""
        return self._talk.context.client_id, self._rules.node

    # the conversation's Owner

    def invalid(self, side: str, reason: str, goes_on: bool) -> None:
        """It is not Kafka. Where it does not go on, its tap is over, and the relay closes what it has."""
        invalid(self._runtime, self._stream.conn.peer[0], str(self._target or ""), side, reason, goes_on)
        self._flags = self._flags or "PE"

    def pass_unread(self) -> None:
        """Both directions go on unread."""
        self._requests.opaque = self._answers.opaque = True
        self._rules.metrics.unread += 1
        talk = self._talk
        if not talk.local:
            # responses may come, or not: nobody will know
            talk.queue.clear()
        self._soon(self._relay.pump)

    def pause(self, reason: str, seconds: float | None) -> None:
        """Do not read from the client."""
        if not self._held:
            self._held = reason
            self._held_since = self._runtime.clock.seconds()
        self._relay.to_upstream.hold()
        if seconds is not None and self._timer is None:
            self._timer = self._runtime.clock.callLater(seconds, self._throttle_ended)

    def resume(self) -> None:
        """Read from the client again, in a moment: who says so may be about to write what goes before."""
        self._soon(self._go_on)

    def interject(self) -> None:
        """The client may have a response of ours."""
        self._answers.interjects = True
        self._soon(self._relay.pump)

    def drained(self) -> None:
        """All is answered."""
        self._soon(self._finish)

    def _throttle_ended(self) -> None:
        self._timer = None
        self._talk.throttle_ended()
        self._soon(self._go_on)

    def _go_on(self) -> None:
        if self._timer is not None or self._talk.paused:
            return
        self._read_again()
        if not self._talk.draining:
            self._relay.to_upstream.release()
        # before anything else is read: what was kept comes first
        self._relay.pump()

    def _read_again(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        reason, self._held = self._held, ""
        if reason:
            paused = self._rules.metrics.paused
            seconds = self._runtime.clock.seconds() - self._held_since
            paused[reason] = paused.get(reason, 0.0) + max(seconds, 0.0)

    def _wait_for_lull(self) -> None:
        self._lull = self._runtime.clock.callLater(LULL, self._turn, partial(self._lulled, self._stream.bytes_in))

    def _lulled(self, before: int) -> None:
        """Whoever is to end has perhaps said nothing more than C{before}, in bytes."""
        if self._runtime.clock.seconds() >= self._read_until:
            self._talk.drain()
        if self._talk.draining or self._stream.bytes_in == before:
            self._finish()
        if not self._over and not self._talk.draining:
            self._wait_for_lull()

    def _finish(self) -> None:
        """Close once all is answered, and nothing more has come, or it is not read any more."""
        if self._requests.opaque or self._requests.passing:
            return  # unread, or the broker has begun to read it
        outgoing, last = self._relay.to_upstream, self._talk.draining
        if last:
            outgoing.hold()
        if self._talk.queue or outgoing.kept or self._answers.inside:
            return
        if last or (not self._requests.inside and self._stream.silent()):
            self._relay.close()

    def _soon(self, f: Callable[[], None]) -> None:
        self._runtime.clock.callLater(0, self._turn, f)

    def _turn(self, f: Callable[[], None]) -> None:
        if self._over:
            return
        try:
            f()
        except BaseException:
            # a filter's: the reactor has called, which would but log it
            self._crashed(Failure())

    # what stands still

    def look(self, now: float) -> None:
        """Called now and then: does it move?"""
        reason = self._progress.look(now, self._counts(), self._waits_for_client(), self._waits_for_broker())
        if reason == "idle":
            self._flags = "IT"
            self._say_idle()
        elif reason:
            self._talk.fail(reason)
        if reason:
            self.abort()
        elif self._requests.inside or self._answers.inside:
            # before the next look: what is slow must not look as if it stood still
            self._relay.look()

    def _say_idle(self) -> None:
        """Count it; and say so, where anybody waits for a response: a broker would have closed by now, too."""
        self._rules.metrics.idle_closes += 1
        waiting = [pending.api.name for pending in self._talk.queue]
        if waiting:
            seconds, client = self._rules.config.idle, self._stream.conn.peer[0]
            self._runtime.warn(
                "kafka-idle",
                f"listener {self._runtime.listen.name}: kafka connection from {client} closed: not a byte for "
                f"{seconds:g} s (kafka.idle), with {len(waiting)} in flight, the first {waiting[0]}",
                Failed(NAME, str(self._target or ""), f"not a byte for {seconds:g} s (kafka.idle)", seconds),
            )

    def _counts(self) -> Counts:
        """Bytes so far."""
        stream = self._stream
        if self._upstream is None:
            return stream.bytes_in, stream.bytes_out, 0, 0
        upstream = self._upstream.stream
        return stream.bytes_in, stream.bytes_out, upstream.bytes_in, upstream.bytes_out

    def _waits_for_client(self) -> bool:
        """Within a request, unless we do not read, the broker takes no more or there is none yet."""
        outgoing = self._relay.to_upstream
        if outgoing.held or outgoing.flow is Flow.BLOCKED or (self._asked and self._upstream is None):
            return False
        return self._requests.inside

    def _waits_for_broker(self) -> bool:
        """Within a response, unless the client takes no more."""
        return self._answers.inside and self._relay.to_client.flow is not Flow.BLOCKED
