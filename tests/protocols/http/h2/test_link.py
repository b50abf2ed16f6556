# -*- test-case-name: tests.protocols.http.h2.test_link -*-
"""
L{lproxy.protocols.http.h2.link}: streams that share what a peer takes.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2.link import TURN, Link, Sender
from lproxy.protocols.http.message import NO_TRAILERS
from lproxy.transport.writes import WRITES
from tests.protocols.http.h2.fakes import NotingEngine, linked


class Owner:
    """Notes what it is told of its sender."""

    def __init__(self) -> None:
        self.rooms: list[int] = []
        self.ends = 0

    def room(self, n: int) -> None:
        """Noted."""
        self.rooms.append(n)

    def sent(self) -> None:
        """Noted."""
        self.ends += 1


class SenderTests(SynchronousTestCase):
    """What one stream sends."""

    def begin(self, engine: NotingEngine) -> None:
        """Stream 1 of it."""
        self.engine = engine
        self.link, self.stream, self.peer = linked(engine)
        self.owner = Owner()
        self.sender = Sender(self.link, 1, self.owner)

    def heard(self) -> bytes:
        """Since it was last asked."""
        heard, self.peer.heard = self.peer.heard, b""
        return heard

    def test_credit(self) -> None:
        """Within its credit it is sent at once, and the credit that is left is told."""
        self.begin(NotingEngine(s1=10))
        self.assertEqual(6, self.sender.data(b"abcd", False, NO_TRAILERS))
        self.assertEqual(b"('data', 1, b'abcd', False)\n", self.heard())
        self.assertEqual(0, self.sender.data(b"ef", True, NO_TRAILERS))
        self.assertEqual(b"('data', 1, b'ef', True)\n", self.heard())
        self.assertEqual((True, {}, 6), (self.sender.ended, self.link.waiting, self.sender.moved))

    def test_kept(self) -> None:
        """What there is no credit for is kept, its end as well, and sent when there is."""
        self.begin(NotingEngine(s1=3))
        self.assertEqual(0, self.sender.data(b"abcd", False, NO_TRAILERS))
        self.assertEqual(0, self.sender.data(b"e", True, [(b"t", b"1")]))
        self.assertEqual(b"('data', 1, b'abc', False)\n", self.heard())
        self.engine.windows[1] = 1
        self.link.credited(1)
        self.assertEqual((b"('data', 1, b'd', False)\n", b"e"), (self.heard(), self.sender.kept))
        self.assertEqual((0, False), (self.owner.ends, self.sender.ended))
        self.engine.windows[1] = 5
        self.link.credited(0)
        self.link.flush()
        self.assertEqual(b"('data', 1, b'e', False)\n('headers', 1, [(b't', b'1')], True)\n", self.heard())
        self.assertEqual((1, True, {}), (self.owner.ends, self.sender.ended, self.link.waiting))

    def test_room(self) -> None:
        """Who has used its credit up is told when there is more."""
        self.begin(NotingEngine(s1=2))
        self.assertEqual(0, self.sender.data(b"ab", False, NO_TRAILERS))
        self.link.credited(1)
        self.assertEqual([], self.owner.rooms)
        self.engine.windows[1] = 7
        self.link.credited(1)
        self.assertEqual([7], self.owner.rooms)
        self.link.credited(1)
        self.assertEqual([7], self.owner.rooms)

    def test_end_needs_no_credit(self) -> None:
        """An end without a byte, or with trailers, waits for nothing."""
        for trailers in (NO_TRAILERS, [(b"t", b"1")]):
            self.begin(NotingEngine(s1=0))
            self.sender.data(b"", True, trailers)
            self.assertTrue(self.sender.ended)
            self.assertTrue(self.heard())

    def test_blocked(self) -> None:
        """While the peer takes nothing, nothing is given to the engine; afterwards all goes on."""
        self.begin(NotingEngine(s1=100))
        self.link.block()
        self.assertEqual(0, self.sender.data(b"abc", False, NO_TRAILERS))
        self.link.credited(1)
        self.link.credited(0)
        self.assertEqual((b"", [], b"abc"), (self.heard(), self.engine.said, self.sender.kept))
        self.link.unblock()
        self.assertEqual((b"('data', 1, b'abc', False)\n", [97]), (self.heard(), self.owner.rooms))

    def test_dropped(self) -> None:
        """A stream that is over waits for nothing."""
        self.begin(NotingEngine(s1=1))
        self.sender.data(b"abc", False, NO_TRAILERS)
        self.sender.drop()
        self.engine.windows[1] = 9
        self.link.credited(1)
        self.link.credited(0)
        self.assertEqual((b"('data', 1, b'a', False)\n", b"", {}), (self.heard(), self.sender.kept, self.link.waiting))

    def test_one_write(self) -> None:
        """What a read causes is written at its end."""
        self.begin(NotingEngine(s1=100))
        WRITES.begin()
        self.sender.data(b"a", False, NO_TRAILERS)
        self.sender.data(b"b", False, NO_TRAILERS)
        self.assertEqual(b"", self.heard())
        WRITES.end()
        self.assertEqual(2, self.heard().count(b"\n"))


class TurnsTests(SynchronousTestCase):
    """Many streams, one connection."""

    def senders(self, link: Link, count: int) -> list[Sender]:
        """So many of them."""
        return [Sender(link, 2 * n + 1, Owner()) for n in range(count)]

    def test_frame_by_frame(self) -> None:
        """When the connection's credit comes back those that wait are served in turn, not one to its end."""
        engine = NotingEngine(s1=1 << 20, s3=1 << 20, s5=1 << 20)
        engine.window = 0
        link, _, _ = linked(engine, 1 << 20)
        for sender in self.senders(link, 3):
            sender.data(b"x" * 3 * TURN, True, NO_TRAILERS)
        engine.window = 9 * TURN
        WRITES.begin()
        link.credited(0)
        order = [said[1] for said in engine.said]
        WRITES.end()
        self.assertEqual([1, 3, 5] * 3, order)

    def test_not_past_the_kernel(self) -> None:
        """A peer's kernel that takes nothing stops them, however much credit there is; who waits longest goes on."""
        engine = NotingEngine(**{f"s{2 * n + 1}": 1 << 20 for n in range(20)})
        link, stream, peer = linked(engine)
        senders = self.senders(link, 20)
        link.block()
        for sender in senders:
            sender.data(b"x" * 2 * TURN, True, NO_TRAILERS)
        peer.room = 0
        stream.attach(Blocks(link))
        link.unblock()
        self.assertTrue(link.blocked)
        self.assertLess(stream.buffered, 3 * 65536)
        self.assertLess(sum(sender.moved for sender in senders), 65536 + 2 * TURN)
        self.assertEqual(senders[4].id, next(iter(link.waiting)))

    def test_the_closed_one(self) -> None:
        """A stream without credit holds up nobody."""
        engine = NotingEngine(s1=0, s3=100)
        link, _, _ = linked(engine)
        a, b = self.senders(link, 2)
        a.data(b"aa", True, NO_TRAILERS)
        b.data(b"bb", True, NO_TRAILERS)
        self.assertEqual((False, True), (a.ended, b.ended))
        link.credited(0)
        self.assertEqual({1: a}, link.waiting)

    def test_nothing_lost(self) -> None:
        """Whatever windows open, and in whatever order, all is sent, in order, once."""
        for seed in range(30):
            rnd = random.Random(seed)
            engine = NotingEngine(**{f"s{2 * n + 1}": 0 for n in range(8)})
            engine.window = 0
            link, _, _ = linked(engine)
            senders = self.senders(link, 8)
            bodies = {s.id: bytes([s.id]) * rnd.randrange(1, 60_000) for s in senders}
            got = dict.fromkeys(bodies, b"")
            ended = set()
            for sender in senders:
                sender.data(bodies[sender.id], True, NO_TRAILERS)
            WRITES.begin()
            while link.waiting:
                which = rnd.choice([0, *bodies])
                if which:
                    engine.windows[which] += rnd.randrange(1, 20_000)
                else:
                    engine.window += rnd.randrange(1, 50_000)
                link.credited(which)
                for _, stream_id, data, end in engine.said:
                    self.assertNotIn(stream_id, ended)
                    got[stream_id] += data
                    if end:
                        ended.add(stream_id)
                engine.said = []
            WRITES.end()
            self.assertEqual((bodies, set(bodies)), (got, ended))


class Blocks:
    """A reader that has a link know."""

    def __init__(self, link: Link) -> None:
        self.link = link

    def pause_writing(self) -> None:
        """It is full."""
        self.link.block()
