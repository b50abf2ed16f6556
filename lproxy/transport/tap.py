# -*- test-case-name: tests.transport.test_tap -*-
"""
A relay whose bytes a protocol looks at, and may change, without a transport in its hands.

As a tap says how many bytes it need not see, what is large still goes by the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from lproxy.transport.pipe import PIPES, Pipes
from lproxy.transport.relay import COPYING, ENDED, ENDLESS, KEEPING, Direction, Relay
from lproxy.transport.socket import READ_SIZE
from lproxy.transport.splice import SPLICE_FROM
from lproxy.transport.stream import Raw, Stream

#: bytes of a message yet to come from which on it is spliced: on one machine the kernel's receiver is woken for each
#: piece that it is given, and one of 97 KiB cost 45 us copied and 57 spliced
SPLICE_REST: Final = 131072
#: from here on, bytes that pass unseen are no message's
UNBOUNDED: Final = ENDLESS >> 1
#: bytes that are waited for at most: while a message comes slowly, its beginning should be on its way
LOW_WATER: Final = 65536


class Tap(Protocol):
    """
    What a protocol makes of one direction.

    @ivar over: it has seen enough: both connections are to be closed, once what it let pass is written
    @ivar last: the end of this direction is the end of both
    """

    over: bool
    last: bool

    @property
    def unseen(self) -> int:
        """Bytes that come next and pass as they are, so that it need not be given them."""

    def feed(self, data: bytes) -> bytes:
        """C{data} has arrived, perhaps nothing. Returns what is to go on, of that and of what was kept."""

    def skip(self, count: int) -> None:
        """So many of those unseen have passed."""

    def end(self) -> bytes:
        """The source has said all. Returns what is left."""


class TappedRelay(Relay):
    """
    A relay with a tap on each direction, which sees what the client says from the beginning, joined or not.
    """

    def __init__(
        self,
        client: Stream,
        done: Callable[[], None],
        buffer: int,
        taps: tuple[Tap, Tap],
        wanted: Callable[[], None] | None = None,
        splice_from: int = SPLICE_REST,
        pipes: Pipes = PIPES,
    ) -> None:
        """
        @param taps: who looks at what goes to the upstream, and to the client
        @param wanted: called once, when the client has said something for an upstream: who joins one only then gives
            this. A client that ends without is closed
        @param splice_from: how many bytes that may pass unseen are spliced
        """
        super().__init__(client, done, buffer, splice_from, pipes)
        self._on_demand: bool = wanted is not None
        self._wanted: Callable[[], None] | None = wanted
        self.to_upstream = self._to_upstream = TappedDirection(self, client, None, taps[0])
        self.to_client = self._to_client = TappedDirection(self, None, client, taps[1])

    def wanted(self) -> None:
        """Somebody is to join an upstream."""
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            wanted()

    def lost(self, direction: Direction) -> None:
        """A source is closed."""
        super().lost(direction)
        if direction is self.to_upstream:
            self._wanted = None  # who is told holds us: no cycles for the collector

    def unwanted(self) -> bool:
        """What the taps have to say to the client is all that it gets."""
        if self._on_demand:
            self.pump()
            self.close()
        return self._on_demand

    def look(self) -> None:
        """Read what there is, however little that is of what is waited for: does anything move?"""
        self._to_upstream.look()
        self._to_client.look()

    def pump(self) -> None:
        """The taps may have more to say than they had, although nothing has arrived."""
        self._to_upstream.pump()
        self._to_client.pump()


class TappedDirection(Direction):
    """
    One way, with somebody who looks at it.

    As the tap says how much of what comes need not be seen, a message that comes in pieces costs few wake-ups: the
    rest of it is waited for as a whole, and spliced where it is very large.
    """

    def __init__(self, relay: Relay, source: Stream | None, sink: Stream | None, tap: Tap) -> None:
        super().__init__(relay, source, sink)
        self.tap: Tap = tap
        self._raw: Raw | None = None

    def pump(self) -> None:
        """The tap may have more to say."""
        relay = self.relay
        if relay is not None and self.flow is not ENDED:
            self._pass(relay, self.tap.feed(b""))

    def look(self) -> None:
        """Read what there is, however little that is of what is waited for."""
        if self._raw is not None:
            self._raw.low_water(1)

    def data_received(self, data: bytes) -> None:
        """Pass on what the tap lets pass."""
        relay, tap = self.relay, self.tap
        if relay is None:
            return
        self._pass(relay, tap.feed(data))
        raw = self._raw
        if raw is None:
            return
        unseen = tap.unseen
        if unseen and len(data) >= SPLICE_FROM and self.flow is COPYING and not self.held:
            if unseen >= self.splice_from:
                self.consider_splicing()
                return
            # most likely the rest is there: cheaper than another turn of the reactor's
            if len(data) == READ_SIZE and raw.read_on():
                return
        raw.low_water(awaited(unseen))

    def may_splice(self, relay: Relay) -> None:
        """There are two streams now."""
        super().may_splice(relay)
        source = self.source
        if source is not None:
            self._raw = source.raw()

    def _pass(self, relay: Relay, data: bytes) -> None:
        if data:
            self.send(data)
        if self.tap.over:
            relay.close()
        elif data and self.flow is KEEPING:
            relay.wanted()

    def eof_received(self) -> None:
        """The end, after what the tap has kept."""
        relay = self.relay
        if relay is None:
            return
        if self.flow is KEEPING and not self.kept and relay.unwanted():
            return
        left = self.tap.end()
        if left:
            self.send(left)
        if self.tap.last or self.tap.over:
            relay.close()
        else:
            super().eof_received()

    def unseen(self) -> int:
        """What the tap need not see, unless something of ours goes before it."""
        return 0 if self.sink is None or self.sink.buffered else self.tap.unseen

    def little(self) -> int:
        """A message is spliced to its end, if it has one."""
        return super().little() if self.tap.unseen >= UNBOUNDED else 0

    def passed(self, count: int) -> None:
        """They are not the tap's to come any more."""
        tap = self.tap
        if count:
            tap.skip(count)
            if not tap.unseen:
                self.pump()
        if self._raw is not None:
            self._raw.low_water(awaited(tap.unseen))


def awaited(unseen: int) -> int:
    """For how many bytes to wait, of so many that will pass: for any, where there is no end of them."""
    return 1 if unseen >= UNBOUNDED else min(max(unseen, 1), LOW_WATER)
