# -*- test-case-name: tests.integration.test_sample_plugin -*-
"""
A memo connection whose board has to be looked at before it is forwarded.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import protocol
from twisted.python.failure import Failure

from lproxy.protocols.runtime import Runtime
from lproxy.protocols.tcp.factory import TcpFactory
from lproxy.transport.socket import Stream
from lproxy_memo.detect import OPENING

#: the longest first line: whatever waits for a client must have an end
LONGEST = 100


class MemoFactory(protocol.Factory):
    """Makes the sessions of one listener."""

    noisy = False

    def __init__(self, runtime: Runtime, boards: frozenset[str], forward: TcpFactory) -> None:
        self.runtime = runtime
        self.boards = boards
        self.forward = forward

    def buildProtocol(self, addr: Any) -> MemoSession:
        """A session for one connection."""
        return MemoSession(self)


class MemoSession(protocol.Protocol):
    """Reads the first line, then makes way for a session that forwards bytes, or says no."""

    transport: Stream  # type: ignore[assignment]

    def __init__(self, factory: MemoFactory) -> None:
        self._factory = factory
        self._runtime = factory.runtime
        self._line = b""

    def connectionMade(self) -> None:
        """Be known to whoever drains the proxy, and do not wait for ever."""
        self._runtime.sessions.add(self)
        self._clock = self._runtime.reactor.callLater(self._runtime.timeouts.detect, self.abort)

    def dataReceived(self, data: bytes) -> None:
        """First what detection has read, then what follows, in pieces of any size."""
        self._line += data
        line, newline, _ = self._line.partition(b"\n")
        if not newline and len(line) <= LONGEST:
            return
        board = line.removeprefix(OPENING).strip().decode("ascii", "replace")
        if newline and board in self._factory.boards:
            self._leave()
            # all that was read goes with it; this session is told nothing more
            self.transport.attach(self._factory.forward.buildProtocol(None), self._line)
        else:
            self.transport.write(b"NO SUCH BOARD\r\n")
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:  # type: ignore[override]
        """The client is gone, or was sent away."""
        self._leave()

    def _leave(self) -> None:
        self._runtime.sessions.remove(self)
        if self._clock.active():
            self._clock.cancel()

    # what the proxy asks of its sessions

    def drain(self) -> None:
        """Finish what is under way: nothing is yet, and the clock is running."""

    def abort(self) -> None:
        """End now."""
        self.transport.abortConnection()

    def describe(self) -> dict[str, Any]:
        """A row of C{/connections}."""
        client = "{}:{}".format(*self.transport.peer_address)
        return {"listener": self._runtime.listen.name, "protocol": "memo", "client": client, "state": "reading"}
