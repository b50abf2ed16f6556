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
from lproxy.transport.splice import NEVER, SPLICE_FROM
from lproxy.transport.stream import Raw, Stream

#: bytes that are read of what is expected to be large
HEAD: Final = 512
#: bytes behind those from which it is cheaper to splice the rest than to read it
SPLICE_REST: Final = 4096
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
        splice_from: int = SPLICE_FROM,
        pipes: Pipes = PIPES,
    ) -> None:
        """
        @param taps: who looks at what goes to the upstream, and to the client
        @param wanted: called once, when the client has said something for an upstream: who joins one only then gives
            this. A client that ends without is closed
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

    def pump(self) -> None:
        """The taps may have more to say than they had, although nothing has arrived."""
        self._to_upstream.pump()
        self._to_client.pump()


class TappedDirection(Direction):
    """
    One way, with somebody who looks at it.

    As the tap says how much of what comes need not be seen, a large message costs few wake-ups: what is left of it is
    waited for as a whole, and spliced. After one that was, the next is expected to be like it: only so much of it is
    read as a tap mostly needs, and all the rest goes by the kernel.
    """

    def __init__(self, relay: Relay, source: Stream | None, sink: Stream | None, tap: Tap) -> None:
        super().__init__(relay, source, sink)
        self.tap: Tap = tap
        self._raw: Raw | None = None
        self._read_size: int = READ_SIZE

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
        out = tap.feed(data)
        unseen = tap.unseen
        if unseen >= self._worth_splicing() and self._splice(out):
            return
        self._pass(relay, out)
        if self._raw is not None:
            if len(data) < self._read_size:
                self._await(unseen)
            self._read_up_to(READ_SIZE)

    def _worth_splicing(self) -> int:
        if self._read_size == READ_SIZE:
            return self.splice_from
        return min(self.splice_from, SPLICE_REST)

    def _splice(self, out: bytes) -> bool:
        """Have C{out} go on together with what is spliced after it. Whether it has gone."""
        sink, raw = self.sink, self._raw
        if sink is None or raw is None or self.tap.over or self.flow is not COPYING or sink.buffered:
            return False
        outgoing = sink.raw()
        if outgoing is None:
            return False
        if out and not outgoing.write_more(out):
            return True
        self.consider_splicing()
        self._read_up_to(HEAD)
        if self.splicer is not None and not self.held:
            self.splicer.move()
        return True

    def _read_up_to(self, count: int) -> None:
        if count != self._read_size and self._raw is not None:
            self._read_size = count
            self._raw.read_up_to(count)

    def _await(self, unseen: int) -> None:
        """Nothing can be done before so many bytes have come, unless there are very many of them."""
        if self._raw is not None:
            self._raw.low_water(1 if unseen >= ENDLESS >> 1 else min(max(unseen, 1), LOW_WATER))

    def may_splice(self, relay: Relay) -> None:
        """There are two streams now."""
        super().may_splice(relay)
        if self.splice_from != NEVER and self.source is not None:
            self._raw = self.source.raw()

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
        """A message is spliced to its end."""
        return 0

    def passed(self, count: int) -> None:
        """They are not the tap's to come any more."""
        tap = self.tap
        if count:
            tap.skip(count)
            if not tap.unseen:
                self.pump()
        self._await(tap.unseen)
