# -*- test-case-name: tests.transport.test_tap -*-
"""
Tests for L{lproxy.transport.tap}: in memory, and on sockets, between which the kernel moves what a tap need not see.
"""

from __future__ import annotations

import select
import socket
from unittest import skipUnless

from twisted.python.failure import Failure

from lproxy.testing.garbage import only_new, uncounted
from lproxy.testing.wire import MemoryStream
from lproxy.transport.pipe import AVAILABLE, Pipes
from lproxy.transport.relay import BLOCKED, COPYING, KEEPING, SPLICING, Relay
from lproxy.transport.socket import SocketStream
from lproxy.transport.tap import TappedRelay
from tests.transport.test_relay import KIB, RelayCase
from tests.transport.test_splice import SplicedCase, noise

#: bytes that follow a large line
LARGE = 200_000


class Lines:
    """
    A tap of lines: those in capitals pass, C{drop} vanishes, C{end} is the end; C{LARGE} is followed by many bytes.

    @ivar speaks: what it says of its own, as soon as it may
    @ivar seen: what it was given, and how much it was told of otherwise
    """

    def __init__(self, last: bool = False) -> None:
        self.last = last
        self.over = False
        self.unseen = 0
        self.kept = b""
        self.speaks = b""
        self.seen: list[bytes | int] = []
        self.error: BaseException | None = None

    def feed(self, data: bytes) -> bytes:
        if self.error is not None:
            raise self.error
        self.seen.append(data)
        passed, data = data[: self.unseen], data[self.unseen :]
        self.unseen -= len(passed)
        out = passed
        if not self.unseen:
            out, self.speaks = out + self.speaks, b""
        *lines, self.kept = (self.kept + data).split(b"\n")
        for line in lines:
            self.over = self.over or line == b"end"
            if line.startswith(b"LARGE"):
                self.unseen = LARGE - len(self.kept)
                out, self.kept = out + line + b"\n" + self.kept, b""
            elif line != b"drop" and not self.over:
                out += line + b"\n"
        return out

    def skip(self, count: int) -> None:
        assert 0 < count <= self.unseen
        self.seen.append(count)
        self.unseen -= count

    def end(self) -> bytes:
        kept, self.kept = self.kept, b""
        return kept


class TappedCase(RelayCase):
    """A relay with somebody who looks at what passes."""

    tapped: TappedRelay

    def make(self) -> Relay:
        self.forth, self.back = Lines(), Lines(last=True)
        self.tapped = TappedRelay(self.a, self.count, self.buffer, (self.forth, self.back), pipes=self.pipes)
        return self.tapped


class TapTests(TappedCase):
    """What it lets pass, changes, keeps and ends."""

    def test_feed(self) -> None:
        """Each direction has its own, which lets pass, keeps and drops."""
        self.join()
        self.client.say(b"ON")
        self.settle()
        self.assertEqual(b"", self.upstream.heard)
        self.client.say(b"E\ndrop\nTWO\nTH")
        self.upstream.say(b"drop\nFOUR\n")
        self.settle()
        self.assertEqual((b"ONE\nTWO\n", b"FOUR\n"), (self.upstream.heard, self.client.heard))
        self.assertEqual([b"ON", b"E\ndrop\nTWO\nTH"], self.forth.seen)

    def test_before_joined(self) -> None:
        """It sees what the client says before there is an upstream; what it lets pass is kept, and not seen again."""
        self.start(b"ONE\nTW")
        self.client.say(b"O\ndrop\n")
        self.settle()
        self.assertEqual((b"ONE\nTWO\n", KEEPING), (self.tapped.to_upstream.kept, self.tapped.to_upstream.flow))
        self.join(b"drop\nHELLO\n")
        self.settle()
        self.assertEqual((b"ONE\nTWO\n", b"HELLO\n"), (self.upstream.heard, self.client.heard))
        self.assertEqual(([b"ONE\nTW", b"O\ndrop\n"], [b"drop\nHELLO\n"]), (self.forth.seen, self.back.seen))

    def test_end(self) -> None:
        """What is kept when the source has said all goes before the end, which is passed on; the other goes on."""
        for late in (False, True):
            self.setUp()
            self.start()
            if not late:
                self.join()
            self.client.say(b"ONE\nTW")
            self.client.hang_up()
            self.settle()
            if late:
                self.join()
            self.assertEqual((b"ONE\nTW", ("", "eof")), (self.upstream.heard, self.ended))
            self.upstream.say(b"LATE\n")
            self.settle()
            self.assertEqual(b"LATE\n", self.client.heard)

    def test_last(self) -> None:
        """The end of one that is the last is the end of both, after what was kept of it."""
        self.join()
        self.client.room = 1
        self.upstream.say(b"BYE")
        self.upstream.hang_up()
        self.settle()
        self.assertEqual((("", "closed"), 0), (self.ended, self.done))
        self.client.room = None
        self.assert_done("closed", "closed")
        self.assertEqual(b"BYE", self.client.heard)

    def test_over(self) -> None:
        """When it has seen enough, both are closed behind what it let pass; what came after that does not."""
        self.join()
        self.upstream.room = 2
        self.client.say(b"ONE\nend\nTWO\n")
        self.settle()
        self.assertEqual((("closed", ""), 0), (self.ended, self.done))
        self.upstream.room = None
        self.assert_done("closed", "closed")
        self.assertEqual(b"ONE\n", self.upstream.heard)

    def test_over_at_the_end(self) -> None:
        """Also where it finds out when there is nothing more."""
        self.join()
        self.forth.over = True
        self.client.hang_up()
        self.assert_done("closed", "closed")

    def test_over_before_joined(self) -> None:
        """Also where there is no upstream yet."""
        self.start(b"ONE\nend\n")
        self.relay.join(self.b)
        self.assert_done("closed", "reset")
        self.assertEqual(b"", self.upstream.heard)

    def test_crash(self) -> None:
        """What it raises ends both connections, and is told."""
        for error in (ZeroDivisionError(), SystemExit(1)):
            self.setUp()
            crashes: list[Failure] = []
            self.a.on_crash = crashes.append
            self.join()
            self.forth.error = error
            self.client.say(b"x")
            self.assert_done("reset", "reset")
            self.assertEqual([type(error)], [failure.type for failure in crashes])

    def test_cycles(self) -> None:
        """Nothing of it waits for the garbage collector."""
        self.enterContext(only_new())
        for said in (b"ONE\n", b"end\n"):
            self.setUp()
            with uncounted() as left:
                self.join()
                self.client.say(said)
                self.settle()
                self.client.reset()
                self.settle()
                self.assertEqual(1, self.done)
                del self.relay, self.tapped, self.a, self.b, self.client, self.upstream
            self.assertEqual([], left)


class PumpTests(TappedCase):
    """It may say something of its own, although nothing has come."""

    def test_pump(self) -> None:
        """Either tap; but nothing any more once its source is gone."""
        self.join()
        self.forth.speaks, self.back.speaks = b"OURS\n", b"TOO\n"
        self.tapped.pump()
        self.assertEqual((b"OURS\n", b"TOO\n"), (self.upstream.heard, self.client.heard))
        self.client.reset()
        self.settle()
        self.forth.over = True
        self.tapped.pump()
        self.assert_done("closed", "reset")

    def test_before_joined(self) -> None:
        """To the upstream it is kept, to the client it is said."""
        self.start()
        self.forth.speaks, self.back.speaks = b"OURS\n", b"TOO\n"
        self.tapped.pump()
        self.assertEqual((b"OURS\n", b"TOO\n"), (self.tapped.to_upstream.kept, self.client.heard))
        self.join()
        self.assertEqual(b"OURS\n", self.upstream.heard)

    def test_over(self) -> None:
        """It may find that it is over, which the other is not asked about any more."""
        self.join()
        self.forth.over = True
        self.tapped.pump()
        self.assertEqual([], self.back.seen)
        self.assert_done("closed", "closed")

    def test_after_end(self) -> None:
        """A direction that has ended says nothing more; the other may."""
        self.join()
        self.client.hang_up()
        self.settle()
        self.forth.speaks, self.back.speaks = b"OURS\n", b"TOO\n"
        self.tapped.pump()
        self.assertEqual((b"", b"TOO\n"), (self.upstream.heard, self.client.heard))

    def test_slow(self) -> None:
        """What it says to one that takes nothing has the other side wait."""
        self.join()
        self.upstream.room = 0
        self.forth.speaks = b"OURS\n"
        self.tapped.pump()
        self.client.say(b"THEIRS\n")
        self.settle()
        self.assertEqual((False, 7), (self.a.reading, self.client.unread))
        self.upstream.room = None
        self.settle()
        self.assertEqual(b"OURS\nTHEIRS\n", self.upstream.heard)


class WantedTests(TappedCase):
    """Who wants an upstream only when the client has said something for one is told of that."""

    def make(self) -> Relay:
        self.wanted = 0
        self.forth, self.back = Lines(), Lines(last=True)
        taps = (self.forth, self.back)
        self.tapped = TappedRelay(self.a, self.count, self.buffer, taps, self.want, pipes=self.pipes)
        return self.tapped

    def want(self) -> None:
        self.wanted += 1

    def test_wanted(self) -> None:
        """Once, with what is kept; not for what the tap keeps or drops."""
        self.start()
        self.client.say(b"drop\nON")
        self.settle()
        self.assertEqual(0, self.wanted)
        for said in (b"E\n", b"TWO\n"):
            self.client.say(said)
            self.settle()
            self.assertEqual(1, self.wanted)
        self.join()
        self.client.say(b"THREE\n")
        self.settle()
        self.assertEqual((1, b"ONE\nTWO\nTHREE\n"), (self.wanted, self.upstream.heard))

    def test_at_once(self) -> None:
        """An upstream may be joined amid that."""
        self.want = lambda: self.relay.join(self.b)  # type: ignore[method-assign]
        self.relay = self.make()
        self.start(b"ONE\nTWO\n")
        self.assertEqual(b"ONE\nTWO\n", self.upstream.heard)

    def test_unwanted(self) -> None:
        """A client that ends without a word for one hears what the tap has to say, and is closed."""
        self.start(b"drop\n")
        self.back.speaks = b"BYE\n"
        self.client.hang_up()
        self.settle()
        self.assertEqual((0, b"BYE\n", "closed", 1), (self.wanted, self.client.heard, self.client.ended, self.done))
        self.b.abort()

    def test_wanted_and_ended(self) -> None:
        """One that ended after a word for one is waited for."""
        self.start(b"ONE\n", eof=True)
        self.assertEqual((1, ""), (self.wanted, self.client.ended))
        self.join()
        self.settle()
        self.assertEqual((b"ONE\n", "eof"), (self.upstream.heard, self.upstream.ended))

    def test_cycles(self) -> None:
        """Whoever is told is let go, wanted or not."""
        self.enterContext(only_new())
        for said in (b"", b"ONE\n"):
            with uncounted("tests") as left:
                self.setUp()
                holder = Holder(self.a, self.pipes)
                holder.relay.start(said)
                self.a.abort()
                self.b.abort()
                del holder, self.a, self.b, self.relay, self.tapped
            self.assertEqual([], left)


class Holder:
    """Holds the relay that tells it."""

    def __init__(self, stream: MemoryStream, pipes: Pipes) -> None:
        self.relay = TappedRelay(stream, self.done, 64 * KIB, (Lines(), Lines()), self.done, pipes=pipes)

    def done(self) -> None: ...


@skipUnless(AVAILABLE, "needs splice")
class SplicedTests(SplicedCase):
    """What a tap need not see goes by the kernel."""

    splice_from = 32 * KIB

    def make(self) -> Relay:
        self.forth, self.back = Lines(), Lines(last=True)
        taps = (self.forth, self.back)
        self.tapped = TappedRelay(self.a, self.count, self.buffer, taps, splice_from=self.splice_from, pipes=self.pipes)
        return self.tapped

    def setUp(self) -> None:
        super().setUp()
        self.data = noise(LARGE)
        self.begin()

    def test_spliced(self) -> None:
        """To the very byte; what comes next is given to it."""
        self.say(b"LARGE\n" + self.data[:100_000])
        self.assertIs(SPLICING, self.flow)
        self.say(self.data[100_000:] + b"NEXT\n" * 3)
        self.assertTrue(b"LARGE\n" + self.data + b"NEXT\n" * 3 == self.heard)
        self.assertIs(COPYING, self.flow)
        self.assertEqual(b"NEXT\n" * 3, self.forth.seen[-1])
        self.assertGreater(sum(one for one in self.forth.seen if isinstance(one, int)), 50_000)
        self.assertEqual(self.a.bytes_in, self.b.bytes_out)

    def test_not_spliced(self) -> None:
        """Where little is left to pass unseen, a large read is copied on."""
        self.say(b"X" * 60_000 + b"\n" + b"Y" * 60_000 + b"\n")
        self.assertEqual((120_002, COPYING, []), (len(self.heard), self.flow, self.pipes.free))

    def test_end_amid(self) -> None:
        """It is told of all that passed before it is told of the end."""
        self.say(b"LARGE\n" + self.data[:100_000])
        self.client.send(self.data[100_000:150_000])
        self.client.close()
        self.settle()
        self.drain()
        self.assertTrue(b"LARGE\n" + self.data[:150_000] == self.heard)
        self.assertEqual(LARGE - 150_000, self.forth.unseen)

    def blocked(self) -> None:
        """A pipe holds the rest of what may pass unseen, but for a byte."""
        self.say(b"LARGE\n" + self.data[:100_000])
        self.fill()
        self.say(self.data[100_000:-1])
        self.assertEqual((BLOCKED, 1), (self.flow, self.forth.unseen))

    def test_late(self) -> None:
        """What it says while a pipe still holds bytes goes behind them, and before all that comes after."""
        self.say(b"LARGE\n" + self.data[:100_000])
        self.fill()
        self.forth.speaks = b"OURS\n"
        self.say(self.data[100_000:] + b"NEXT\n")
        self.assertEqual((5, BLOCKED), (self.b.buffered, self.flow))
        self.drain()
        self.assertTrue(b"LARGE\n" + self.data + b"OURS\nNEXT\n" == self.heard)
        self.assertIs(COPYING, self.flow)

    def test_late_and_much(self) -> None:
        """Is that more than may wait, its source is read when it has gone, and not when the pipe is empty."""
        self.say(b"LARGE\n" + self.data[:100_000])
        self.fill()
        self.forth.speaks = ours = b"." * 300 * KIB
        self.say(self.data[100_000:] + b"NEXT\n")
        self.hear()
        self.hub.serve()
        self.assertGreater(self.b.buffered, 0)
        self.assertEqual((BLOCKED, len(ours)), (self.flow, self.b.buffered + self.b.bytes_out - LARGE - 6))
        self.drain()
        self.assertTrue(b"LARGE\n" + self.data + ours + b"NEXT\n" == self.heard)

    def test_over_while_blocked(self) -> None:
        """A close waits for what a pipe holds and for what goes behind it, though the source is closed meanwhile."""
        self.blocked()
        self.forth.speaks, self.forth.over, self.forth.unseen = b"LATE\n", True, 0
        self.tapped.pump()
        self.assertEqual((True, False, 0, 1), (self.a.closed, self.b.closed, self.done, len(self.pipes.free)))
        self.drain()
        self.assertEqual((True, 1), (self.b.closed, self.done))
        self.assertTrue(b"LARGE\n" + self.data[:-1] + b"LATE\n" == self.heard)

    def test_ours_before(self) -> None:
        """
        Where something of ours waits to be sent, what comes is copied behind it: nothing goes before it, and it is not
        taken for the end that there is nothing to be moved.
        """
        self.again(buffer=1 << 20)
        self.say(b"LARGE\n" + self.data[:100_000])
        self.assertIs(SPLICING, self.flow)
        self.fill()
        self.tapped.to_upstream.send(b"OURS\n")
        self.say(self.data[100_000:])
        self.drain()
        self.assertTrue(b"LARGE\n" + self.data[:100_000] + b"OURS\n" + self.data[100_000:] == self.heard)
        self.assertFalse(self.a.closed)

    def test_property_raises(self) -> None:
        """A tap that raises when it is asked leaves no pipe behind."""
        crashes: list[Failure] = []
        self.a.on_crash = crashes.append
        self.say(b"LARGE\n" + self.data[:100_000])
        self.tapped._to_upstream.tap = Broken()
        self.client.send(self.data[100_000:])
        self.settle()
        self.assertEqual(([ZeroDivisionError], 1), ([failure.type for failure in crashes], self.done))


class RestTests(SplicedCase):
    """The rest of a message whose length is known, on TCP."""

    splice_from = 1 << 30

    def make(self) -> Relay:
        self.forth = Lines()
        taps = (self.forth, Lines(last=True))
        self.tapped = TappedRelay(self.a, self.count, self.buffer, taps, splice_from=self.splice_from, pipes=self.pipes)
        return self.tapped

    def setUp(self) -> None:
        super().setUp()
        self.data = noise(LARGE)
        self.begin()

    def unix(self, little: bool = False) -> tuple[SocketStream, socket.socket]:
        """By TCP."""
        return self.tcp()

    def arrives(self, data: bytes, total: int) -> None:
        """The client sends C{data}, and then the upstream has heard so many bytes."""
        while data:
            if select.select([], [self.client], [], 0)[1]:
                data = data[self.client.send(data) :]
            self.hub.serve()
            self.hear()
        self.until(lambda: (self.hear(), len(self.heard) >= total)[1])
        self.assertEqual(total, len(self.heard))

    def test_waited_for(self) -> None:
        """It is waited for as a whole, or for a good deal of it; then for whatever comes."""
        self.arrives(b"LARGE\n" + self.data[:150_000], 150_006)
        self.client.send(self.data[150_000:180_000])
        self.assertFalse(self.ready(0.02), "woken for a part of it")
        self.arrives(self.data[180_000:] + b"NE", 200_006)
        self.arrives(b"XT\n", 200_011)
        self.assertTrue(b"LARGE\n" + self.data + b"NEXT\n" == self.heard)

    def test_look(self) -> None:
        """Whoever wants to know whether anything moves has what there is read."""
        self.arrives(b"LARGE\n" + self.data[:150_000], 150_006)
        self.client.send(self.data[150_000:160_000])
        self.assertFalse(self.ready(0.02))
        self.tapped.look()
        self.arrives(b"", 160_006)
        self.client.send(self.data[160_000:170_000])
        self.assertFalse(self.ready(0.02))

    def test_read_on(self) -> None:
        """What has come already is read at once, not in another turn."""
        self.client.send(b"LARGE\n" + self.data[:100_000])
        self.assertTrue(self.ready(10))
        self.hub.serve()
        self.assertEqual([65_536, 100_006 - 65_536], [len(one) for one in self.forth.seen if isinstance(one, bytes)])
        self.arrives(b"", 100_006)


class Broken(Lines):
    """Raises when it is asked what it need not see."""

    @property
    def unseen(self) -> int:
        raise ZeroDivisionError

    @unseen.setter
    def unseen(self, count: int) -> None: ...
