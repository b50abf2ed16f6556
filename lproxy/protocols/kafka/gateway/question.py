# -*- test-case-name: tests.protocols.kafka.gateway.test_question -*-
"""
A request of the gateway's own, on a connection of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lproxy.protocols.kafka.client import KafkaLease
from lproxy.protocols.kafka.codec.header import SIZE

#: what it calls itself
CLIENT_ID = "lproxy"
#: seconds for a response
TIMEOUT = 10.0
#: bytes of it: beyond any list of brokers
LARGEST = 4 << 20
#: size and correlation id
HEAD = 8


def asked(key: int, version: int, body: bytes = b"") -> bytes:
    """The frame of a request without tags; its correlation id is 0."""
    name = CLIENT_ID.encode()
    head = key.to_bytes(2, "big") + version.to_bytes(2, "big") + bytes(4) + len(name).to_bytes(2, "big") + name
    return SIZE.pack(len(head) + len(body)) + head + body


class Question:
    """
    One request, whose response is awaited for L{TIMEOUT} seconds. A reader of the connection.

    Whatever becomes of it, the lease is closed and C{done} is called once: with the body of the response, or C{None}
    where there is none; unless it is cancelled.
    """

    def __init__(
        self, lease: KafkaLease, request: bytes, done: Callable[[bytes | None], None], clock: IReactorTime
    ) -> None:
        self._lease: KafkaLease | None = lease
        self._request = request
        self._done = done
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self._got = b""

    def start(self) -> None:
        """Ask."""
        assert self._lease is not None
        stream = self._lease.call(self, None).stream
        self._timer = self._clock.callLater(TIMEOUT, self._finish, None)
        stream.attach(self)
        stream.resume()
        stream.write(self._request)

    def cancel(self) -> None:
        """Nobody wants to know any more."""
        self._end()

    def in_flight(self) -> int:
        """One request."""
        return 1

    def names(self) -> tuple[str | None, str]:
        """Who asks; which broker is asked is not known."""
        return CLIENT_ID, ""

    # Reader

    def data_received(self, data: bytes) -> None:
        """Some of the response."""
        self._got += data
        if len(self._got) < SIZE.size:
            return
        (size,) = SIZE.unpack_from(self._got)
        if not SIZE.size <= size <= LARGEST or self._got[SIZE.size : HEAD].strip(b"\0"):
            self._finish(None)
        elif len(self._got) >= SIZE.size + size:
            self._finish(self._got[HEAD : SIZE.size + size])

    def eof_received(self) -> None:
        """No response."""
        self._finish(None)

    def connection_lost(self) -> None:
        """No response."""
        self._finish(None)

    def pause_writing(self) -> None:
        """There is nothing more to say."""

    def resume_writing(self) -> None:
        """Nor now."""

    def _finish(self, response: bytes | None) -> None:
        if self._end():
            self._done(response)

    def _end(self) -> bool:
        """Let go of the connection. Whether that is news."""
        lease, self._lease = self._lease, None
        if lease is None:
            return False
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        lease.close()
        return True
