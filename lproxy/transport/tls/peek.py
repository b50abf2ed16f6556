# -*- test-case-name: tests.transport.tls.test_peek -*-
"""
Look for a ClientHello among a connection's first bytes, and leave them where they are.

OpenSSL works on the socket itself, so what it is to read must still lie in the kernel when the handshake begins; and
what is passed on untouched is moved by the kernel from its first byte.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lproxy.transport.stream import Raw, Stream
from lproxy.transport.tls.hello import LIMIT, Hello, examine
from lproxy.verdict import NeedMore

#: seconds between two looks where the kernel does not know to wait for more than a byte (UNIX sockets)
BLINK: Final = 0.02
#: the event of a peer's end, where poll knows it: 0 elsewhere
RDHUP: Final[int] = getattr(select, "POLLRDHUP", 0)


def _ended(raw: Raw) -> bool:
    """Whether the peer has ended behind what there is to be read, as far as the kernel can say."""
    poll = select.poll()
    poll.register(raw.fileno(), RDHUP)
    return bool(poll.poll(0))


class Peek:
    """
    One connection whose hello is awaited. Bounded in bytes (L{LIMIT}), not in time: that is for its user.

    @ivar heard: whether there is anything yet
    """

    __slots__ = ("_asked", "_blink", "_clock", "_raw", "_stream", "_told", "heard")

    def __init__(self, stream: Stream, raw: Raw, clock: IReactorTime, told: Callable[[Hello | None], None]) -> None:
        """
        @param raw: C{stream}'s
        @param told: called once: with the hello, or nothing, as these bytes, or none, are not the beginning of one
        """
        self._stream = stream
        self._raw = raw
        self._clock = clock
        self._told: Callable[[Hello | None], None] | None = told
        self._asked = 1
        self._blink: IDelayedCall | None = None
        self.heard = False
        raw.divert_reading(self.look)

    def __repr__(self) -> str:
        return f"<Peek waits for {self._asked} bytes>"

    def look(self) -> None:
        """Called when there may be something."""
        try:
            data = self._raw.peek(LIMIT)
        except BlockingIOError:
            return
        except OSError as e:
            self._raw.failed(e)
            return
        self.heard = self.heard or bool(data)
        found = examine(data)
        if isinstance(found, NeedMore) and data and not _ended(self._raw):
            if len(data) < self._asked:
                # woken for less than was asked: by a kernel that would go on doing that
                self._stream.pause()
                self._blink = self._clock.callLater(BLINK, self._again)
            self._asked = found.at_least
            self._raw.low_water(self._asked)
            return
        self.give_up(found if isinstance(found, Hello) else None)

    def give_up(self, found: Hello | None = None) -> None:
        """Whatever comes, it is no hello."""
        told = self._told
        self.stop()
        if told is not None:
            told(found)

    def stop(self) -> None:
        """Tell nobody; the stream is read again."""
        self._told = None
        self._raw.divert_reading(None)
        self._raw.low_water(1)
        if self._blink is not None:
            self._blink.cancel()
            self._again()

    def _again(self) -> None:
        self._blink = None
        self._stream.resume()
