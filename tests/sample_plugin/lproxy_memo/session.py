# -*- test-case-name: tests.integration.test_sample_plugin -*-
"""
One memo connection, from the client's first line to the last answer.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from lproxy.api import (
    Accepted,
    ConnectionClient,
    ConnectionLease,
    Detector,
    Endpoint,
    Health,
    Metadata,
    Runtime,
    TappedRelay,
    join_host_port,
    rescue,
)
from lproxy_memo.metrics import MemoMetrics
from lproxy_memo.plugin import Settings
from lproxy_memo.talk import FromClient, FromServer, Waiting

#: commands that may wait for their answers before no more are read
MOST = 1_000


class MemoFactory:
    """Makes the sessions of one listener."""

    #: the plugin's own will do, whatever this listener's settings are
    detector: Detector | None = None

    def __init__(self, runtime: Runtime, settings: Settings) -> None:
        self.runtime = runtime
        self.settings = settings
        self.metrics = MemoMetrics(runtime)
        self.acquire = runtime.acquire("memo", self._endpoint)

    def session(self, accepted: Accepted) -> MemoSession:
        """A session for one connection."""
        return MemoSession(self, accepted)

    def start(self) -> None:
        """The listener opens: nothing to do."""

    def drain(self) -> None:
        """The proxy ends, or this configuration of it. Sessions are told by themselves."""

    def stop(self) -> None:
        """The last session is over: nothing to let go of."""

    def _endpoint(self, endpoint: Endpoint, metadata: Metadata, health: Health) -> ConnectionClient:
        return ConnectionClient(self.runtime.outward, endpoint, metadata, "memo", health)


class MemoSession:
    """Looks at what passes, and counts it."""

    def __init__(self, factory: MemoFactory, accepted: Accepted) -> None:
        self._factory = factory
        self._runtime = runtime = factory.runtime
        self._accepted = accepted
        self._began = runtime.clock.seconds()
        self._board: str | None = None
        self._commands = 0
        self._waiting = Waiting(runtime.clock.seconds)
        self._draining = False
        self._flags = ""
        self._timer: Any = None
        self._acquiring: Deferred[Any] | None = None
        self._lease: ConnectionLease | None = None
        taps = FromClient(self), FromServer(self)
        self._relay: TappedRelay | None = TappedRelay(accepted.stream, self._ended, runtime.limits.buffer, taps)

    # what lproxy asks of a session

    def start(self) -> None:
        """Read what detection has read, and on. Whatever waits for a client has an end."""
        too_late = self._runtime.contained(self._accepted.stream, "memo", self.abort)
        self._timer = self._runtime.clock.callLater(self._factory.settings.opening, too_late)
        if self._relay is not None:
            self._relay.start(self._accepted.prefix, self._accepted.eof)

    def drain(self) -> None:
        """Wait for the answers to what was asked, and begin nothing new."""
        self._draining = True
        if self._relay is not None and not self._waiting:
            self._relay.close()

    def abort(self) -> None:
        """End now."""
        if self._relay is not None:
            self._relay.abort()

    def describe(self) -> dict[str, Any]:
        """A row of C{/connections}."""
        return {
            "listener": self._runtime.listen.name,
            "protocol": "memo",
            "client": join_host_port(*self._accepted.stream.conn.peer),
            "board": self._board,
            "commands": self._commands,
            "waiting": len(self._waiting),
            "seconds": round(self._runtime.clock.seconds() - self._began, 3),
        }

    # what the taps tell

    def opened(self, board: str) -> bool:
        """The client wants C{board}. Whether it may have it."""
        self._timer.cancel()
        boards = self._factory.settings.boards
        if boards and board not in boards:
            self._say(b"ERR no such board")
            return False
        self._board = board
        return self._connect()

    def asked(self, command: str) -> None:
        """The client gave a command."""
        self._commands += 1
        self._waiting.add(command)
        if len(self._waiting) == MOST and self._relay is not None:
            self._relay.to_upstream.hold()

    def answered(self, outcome: str) -> bool:
        """The server answered the oldest command that waits. Whether the conversation may go on."""
        oldest = self._waiting.pop()
        if oldest is not None:
            command, seconds = oldest
            self._factory.metrics.count(command, outcome, seconds)
        if len(self._waiting) == MOST // 2 and self._relay is not None:
            self._relay.to_upstream.release()
        return not (self._draining and not self._waiting)

    # the way upstream

    def _connect(self) -> bool:
        target = self._runtime.destination(self._accepted.stream.conn)
        if target is None:
            self._say(b"ERR nowhere to go")
            return False
        acquire = self._factory.acquire
        lease = acquire.try_acquire(target)
        if lease is not None:
            self._acquired(lease)
        else:
            stream, contained = self._accepted.stream, self._runtime.contained
            self._acquiring = acquire.acquire(target)
            self._acquiring.addCallbacks(
                contained(stream, "memo", self._acquired), contained(stream, "memo", self._failed)
            )
        return True

    def _acquired(self, lease: ConnectionLease) -> None:
        self._acquiring = None
        if self._relay is None:
            lease.close()  # the client has gone meanwhile
            return
        self._lease = lease
        self._relay.join(lease.call(self._accepted.stream.conn).stream)

    def _failed(self, failure: Failure) -> None:
        self._acquiring = None
        if failure.check(CancelledError):
            return  # by ourselves, at the end
        target = self._runtime.destination(self._accepted.stream.conn)
        waited = self._runtime.clock.seconds() - self._began
        self._flags = rescue(failure, self._runtime, "memo", target, waited)
        self._say(b"ERR not available")
        if self._relay is not None:
            self._relay.close()

    def _say(self, text: bytes) -> None:
        """Say something to the client that no server has said."""
        if self._relay is not None:
            self._relay.to_client.send(text + b"\r\n")

    def _ended(self) -> None:
        """Both connections are closed, or the client's before there was another."""
        # it holds us, by its taps: in a circle, nothing is freed before the garbage collector comes
        self._relay = None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._acquiring is not None:
            self._acquiring.cancel()
        try:
            if self._lease is not None:
                self._lease.close()
            if (write := self._runtime.writer()) is not None:
                write({"kind": "connection", **self.describe(), "flags": self._flags})
        finally:
            # whatever that raises: who does not say that it is over keeps its row, and a shutdown waiting
            self._runtime.sessions.remove(self)
