# -*- test-case-name: tests.protocols.kafka.codec.test_frame -*-
"""
Tests for L{lproxy.protocols.kafka.codec.frame}: whatever is judged, and however it comes, what goes on is the same.

Over 300 lines: each action is tried with all others, by one judge.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.frame import DROP, EDIT, ENDLESS, HOLD, MORE, OPAQUE, PASS, Action
from tests.protocols.kafka.talk.scripted import framed
from tests.source import source

#: judges of ours cannot inherit from a compiled class; as compiled, it is tested with those of lproxy, in talk/
Frames: Any = source("lproxy.protocols.kafka.codec.frame").Frames

#: what the first letter of a frame says is to become of it
LETTERS = {
    b"P": PASS,
    b"D": DROP,
    b"W": EDIT,
    b"E": EDIT,
    b"S": HOLD,
    b"O": OPAQUE,
    b"X": HOLD,
    b"R": EDIT,
}
#: bytes that go in the place of a frame's beginning, of eight bytes
BEGIN = b"<begin>"
CHUNK = b"x" * 65536


class Lettered(Frames):
    """
    Judges by letters. W has the whole frame replaced, and E its first eight bytes; X is the end, and so is R.

    @ivar stopped: whether S stops
    @ivar judged: the letters, in order
    @ivar sized: how often a size was looked at
    """

    def __init__(self, last: bool = False) -> None:
        super().__init__(last)
        self.stopped = True
        self.judged = b""
        self.sized = self.gone = 0
        self.ours: list[bytes] = []
        self.walker: Any = None

    def head(self, data: bytes, at: int, have: int) -> Action:
        self.sized += 1
        self.size = int.from_bytes(data[at : at + 4], "big")
        letter = data[at + 4 : at + 5]
        if not letter:
            return MORE
        if letter == b"S" and not self.stopped:
            letter = b"P"
        action = LETTERS[letter]
        self.over = letter == b"X"
        if action != HOLD:
            self.judged += letter
        if self.walker is not None:
            self.walk(self.walker, 4)
        return action

    def edit(self, frame: bytes, length: int) -> tuple[int, bytes] | None:
        if frame[4:5] == b"R":
            self.over = True
            return len(frame), b"refused"
        if frame[4:5] == b"W":
            return (length, framed(b"<" + frame[5:] + b">")) if len(frame) == length else None
        return (8, BEGIN) if len(frame) >= 8 else None

    def interject(self) -> bytes:
        return self.ours.pop(0) if self.ours else b""

    def passed(self) -> None:
        self.gone += 1


class Reader:
    """Reads what passes, for so many bytes."""

    def __init__(self, until: int = ENDLESS) -> None:
        self.read = b""
        self.until = until

    @property
    def done(self) -> bool:
        return len(self.read) >= self.until

    def feed(self, data: bytes) -> None:
        self.read += data


def goes_on(letter: bytes, frame: bytes) -> bytes:
    """What goes on of a frame."""
    if letter == b"D":
        return b""
    if letter == b"W":
        return framed(b"<" + frame[5:] + b">")
    return BEGIN + frame[8:] if letter == b"E" else frame


def pieces(data: bytes, rng: random.Random, most: int = 40) -> Iterator[bytes]:
    """C{data} as a network may bring it."""
    at = 0
    while at < len(data):
        size = rng.choice((0, 1, 2, 3, 4, 5, rng.randrange(most)))
        yield data[at : at + size]
        at += size


def fed(tap: Frames, data: Iterable[bytes]) -> bytes:
    """All that goes on."""
    return b"".join(tap.feed(piece) for piece in data)


def frame(letter: bytes, size: int = 10) -> bytes:
    """One of so many bytes behind its size."""
    return framed(letter + bytes(i & 0xFF for i in range(size - 1)))


class PassTests(SynchronousTestCase):
    """Frames that pass."""

    def setUp(self) -> None:
        self.tap = Lettered()

    def test_same(self) -> None:
        """What passes whole is the very object that came: nobody copies it."""
        for data in (
            frame(b"P"),
            frame(b"P") * 1000,
            frame(b"P") + frame(b"P", 100_000)[:50_000],
        ):
            with self.subTest(size=len(data)):
                self.assertIs(data, self.tap.feed(data))
        rest = frame(b"P", 100_000)[50_000:]
        for part in (rest[:20], rest[20:] + frame(b"P")):
            self.assertIs(part, self.tap.feed(part))
        self.assertFalse(self.tap.inside)

    def test_large(self) -> None:
        """Of a body of 100 MB nothing is ever kept, and what comes goes on untouched."""
        size = 100 << 20
        first = size.to_bytes(4, "big") + b"P" + CHUNK[:-5]
        self.assertIs(first, self.tap.feed(first))
        for _ in range((size + 4) // len(CHUNK) - 1):
            self.assertIs(CHUNK, self.tap.feed(CHUNK))
            self.assertEqual(b"", self.tap._kept)
        self.assertEqual((4, 0), (self.tap.passing, self.tap.gone))
        self.assertTrue(self.tap.inside)
        last = b"1234" + frame(b"P")
        self.assertIs(last, self.tap.feed(last))
        self.assertEqual((0, 1, b"PP"), (self.tap.passing, self.tap.gone, self.tap.judged))

    def test_pieces(self) -> None:
        """In whatever pieces frames come, the same goes on, and each is judged once; even if only the head is there."""
        data = b"".join(frame(b"P", size) for size in (1, 2, 100, 1, 1, 3, 30))
        for seed in range(50):
            tap = Lettered()
            self.assertEqual(data, fed(tap, pieces(data, random.Random(seed))))
            self.assertEqual(b"P" * 7, tap.judged)
            self.assertFalse(tap.inside)
        # a size is told with no byte behind it: what can be refused so early is
        self.assertEqual(b"", self.tap.feed(b"\0\0\0"))
        self.assertEqual(0, self.tap.sized)
        self.assertEqual(b"", self.tap.feed(b"\1"))
        self.assertEqual(1, self.tap.sized)

    def test_passed(self) -> None:
        """The end of a frame that came in pieces is told once, be it read or skipped."""
        data = frame(b"P", 20)
        for n in range(5, len(data)):
            for skipped in range(len(data) - n + 1):
                tap = Lettered()
                tap.feed(data[:n])
                self.assertEqual((len(data) - n, 0), (tap.unseen, tap.gone))
                if skipped:
                    tap.skip(skipped)
                rest = data[n + skipped :] + frame(b"P")
                self.assertIs(rest, tap.feed(rest))
                self.assertEqual((1, b"PP", False), (tap.gone, tap.judged, tap.inside))

    def test_nothing(self) -> None:
        """Asked again with nothing, it has nothing, wherever it stands."""
        data = frame(b"P") + frame(b"E") + frame(b"W") + frame(b"D")
        out = b""
        for i in range(len(data)):
            out += self.tap.feed(data[i : i + 1])
            self.assertEqual(b"", self.tap.feed(b""))
        self.assertEqual(frame(b"P") + goes_on(b"E", frame(b"E")) + goes_on(b"W", frame(b"W")), out)


class MixtureTests(SynchronousTestCase):
    """Frames that pass, vanish or change."""

    def test_mixture(self) -> None:
        """In any order and any pieces, each becomes what it was judged to; after one that is opaque all passes."""
        for seed in range(200):
            rng = random.Random(seed)
            letters = [rng.choice((b"P", b"D", b"W", b"E")) for _ in range(rng.randrange(1, 30))]
            frames = [(letter, frame(letter, rng.choice((4, 5, 9, 30, 200)))) for letter in letters]
            data = b"".join(one for _, one in frames)
            wanted = b"".join(goes_on(*one) for one in frames)
            if seed % 2:
                rest = frame(b"O") + frame(b"D") * 3 + b"no frame"
                data, wanted = data + rest, wanted + rest
            for ways in ([data], [data[i : i + 1] for i in range(len(data))], pieces(data, rng, 300)):
                tap = Lettered()
                self.assertEqual(wanted, fed(tap, ways), (seed, letters))
                self.assertEqual(b"".join(letters), tap.judged.rstrip(b"O"))
                self.assertEqual(b"", tap.end())
                self.assertFalse(tap.inside)

    def test_dropped(self) -> None:
        """What vanishes is not kept, and its end is found again, although all became opaque meanwhile."""
        for early in (False, True):
            tap = Lettered()
            data = frame(b"P") + frame(b"D", 200_000)
            self.assertEqual(frame(b"P"), tap.feed(data[:60_000]))
            self.assertEqual(b"", tap._kept)
            self.assertTrue(tap.inside)
            self.assertEqual(0, tap.unseen)
            tap.opaque = early
            self.assertEqual(b"", tap.feed(b""))
            self.assertEqual(b"", tap.feed(data[60_000:70_000]))
            self.assertEqual(frame(b"P"), tap.feed(data[70_000:] + frame(b"P")))
            self.assertFalse(tap.inside)

    def test_edited(self) -> None:
        """Only as much is kept of a frame that changes as it takes; the rest passes, and need not be seen."""
        tap = Lettered()
        data = frame(b"E", 100_000)
        self.assertEqual(b"", tap.feed(data[:7]))
        self.assertEqual(BEGIN, tap.feed(data[7:8]))
        self.assertEqual(100_004 - 8, tap.unseen)
        tap.skip(50_000)
        self.assertEqual(data[50_008:], tap.feed(data[50_008:]))
        self.assertFalse(tap.inside)

    def test_stop(self) -> None:
        """What is stopped waits, with all that follows, until it is asked again."""
        tap = Lettered()
        data = frame(b"P") + frame(b"S") + frame(b"D") + frame(b"P")
        self.assertEqual(frame(b"P"), tap.feed(data))
        self.assertEqual(b"", tap.feed(b"\0"))
        self.assertEqual(b"", tap.feed(b""))
        self.assertTrue(tap.inside)
        tap.stopped = False
        self.assertEqual(frame(b"S") + frame(b"P"), tap.feed(b""))
        self.assertEqual(frame(b"P"), tap.feed(frame(b"P")[1:]))
        self.assertEqual(b"PPDPP", tap.judged)

    def test_opaque_while_stopped(self) -> None:
        """If nobody looks any more, what was stopped goes on."""
        tap = Lettered()
        tap.feed(frame(b"S") + b"\0\0")
        tap.opaque = True
        self.assertEqual(frame(b"S") + b"\0\0", tap.feed(b""))
        self.assertIs(CHUNK, tap.feed(CHUNK))
        self.assertFalse(tap.inside)
        self.assertGreater(tap.unseen, 1 << 60)

    def test_opaque_within(self) -> None:
        """A frame that passes goes on to its end, and is followed by whatever there is, unseen."""
        tap = Lettered()
        tap.feed(frame(b"P")[:6])
        tap.opaque = True
        rest = frame(b"P")[6:] + b"\xff\xff\xff\xff anything"
        self.assertEqual(rest, tap.feed(rest))
        self.assertEqual((1, b"P"), (tap.gone, tap.judged))

    def test_over(self) -> None:
        """After the end nothing passes, but what came before it does."""
        for letter in (b"X", b"R"):
            data = frame(b"P") + frame(letter) + frame(b"P")
            wanted = frame(b"P") + b"refused" * (letter == b"R")
            for seed in range(20):
                tap = Lettered()
                self.assertEqual(wanted, fed(tap, pieces(data, random.Random(seed))), letter)
                self.assertTrue(tap.over)
                self.assertEqual(b"P" + letter, (tap.judged + b"X")[:2])
                self.assertEqual((b"", 0, b""), (tap._kept, tap.passing, tap.feed(CHUNK)))
                self.assertEqual(b"", tap.end())

    def test_over_within(self) -> None:
        """A frame that cannot be changed does not pass, whatever is still to come of it."""
        tap = Lettered()
        data = frame(b"R", 200_000)
        self.assertEqual(b"refused", tap.feed(data[:100]))
        self.assertEqual(b"", tap.feed(data[100:200]))
        self.assertEqual(0, tap.unseen)
        self.assertEqual(b"", tap.feed(data[200:] + frame(b"P")))


class EndTests(SynchronousTestCase):
    """A direction ends."""

    def test_end(self) -> None:
        """What was kept goes on, at whatever byte of a frame; what passed is not told again."""
        data = frame(b"P") + frame(b"P")
        for n in range(len(data)):
            tap = Lettered()
            self.assertEqual(data[:n], tap.feed(data[:n]) + tap.end(), n)
            self.assertEqual(b"", tap.end())

    def test_stopped(self) -> None:
        """What was stopped goes on as well."""
        tap = Lettered()
        tap.feed(frame(b"S"))
        self.assertEqual(frame(b"S"), tap.end())

    def test_changed(self) -> None:
        """Half of what was to be changed or to vanish does not go on."""
        for letter in (b"W", b"E", b"D"):
            data = frame(letter)
            for n in range(5, len(data)):
                tap = Lettered()
                out = tap.feed(data[:n]) + tap.end()
                self.assertEqual(BEGIN + data[8:n] if letter == b"E" and n >= 8 else b"", out, (letter, n))

    def test_opaque(self) -> None:
        """Nothing is kept where nobody looks."""
        tap = Lettered()
        tap.feed(frame(b"O") + b"\0\0")
        self.assertEqual(b"", tap.end())


class BetweenTests(SynchronousTestCase):
    """Something of ours goes between two frames."""

    def test_between(self) -> None:
        """At the next end of a frame, never within one, however they come."""
        data = b"".join(frame(b"P", size) for size in (5, 50, 1, 3, 70))
        whole = [frame(b"P", size) for size in (5, 50, 1, 3, 70)]
        for seed in range(60):
            rng = random.Random(seed)
            tap = Lettered()
            tap.interjects = True
            out = b""
            told = 0
            for piece in pieces(data, rng):
                if rng.random() < 0.2:
                    tap.ours.append(framed(b"ours"))
                    told += 1
                out += tap.feed(piece)
            out += tap.feed(b"")
            cut = []
            while out:
                size = 4 + int.from_bytes(out[:4], "big")
                cut.append(out[:size])
                out = out[size:]
            self.assertEqual(whole, [one for one in cut if one != framed(b"ours")], seed)
            self.assertEqual(told, cut.count(framed(b"ours")) + len(tap.ours))

    def test_at_once(self) -> None:
        """Where no frame has begun, asking is enough; where one has begun to pass, it goes on first."""
        tap = Lettered()
        tap.interjects, tap.ours = True, [b"a", b"b", b"c"]
        self.assertEqual(b"a", tap.feed(b""))
        self.assertEqual(b"b" + frame(b"P")[:6], tap.feed(frame(b"P")[:6]))
        self.assertEqual(b"", tap.feed(b""))
        self.assertEqual(frame(b"P")[6:] + b"c", tap.feed(frame(b"P")[6:]))


class WalkTests(SynchronousTestCase):
    """Somebody reads what passes."""

    def test_walk(self) -> None:
        """The body of a frame is read from where it begins, all of it once, however it comes; and it all passes."""
        data = frame(b"P", 70)
        for seed in range(60):
            rng = random.Random(seed)
            tap, reader = Lettered(), Reader()
            tap.walker = reader
            out = b""
            for piece in pieces(data + b"\0\0", rng):
                out += tap.feed(piece)
                if tap.judged and len(out) < len(data):
                    self.assertEqual(0, tap.unseen)
            self.assertEqual((data, data[4:]), (out, reader.read), seed)
            self.assertEqual(0, tap.unseen)

    def test_edited(self) -> None:
        """Of a frame that changes, what came is read, not what goes on."""
        for letter in (b"W", b"E"):
            data = frame(letter, 70)
            for seed in range(30):
                tap, reader = Lettered(), Reader()
                tap.walker = reader
                self.assertEqual(goes_on(letter, data), fed(tap, pieces(data, random.Random(seed))))
                self.assertEqual(data[4:], reader.read)

    def test_done(self) -> None:
        """Who has read enough does not hinder what follows: it need not be seen."""
        tap = Lettered()
        tap.walker = Reader(until=30_000)
        data = frame(b"P", 100_000)
        tap.feed(data[:20_000])
        self.assertEqual(0, tap.unseen)
        tap.feed(data[20_000:40_000])
        self.assertEqual(60_004, tap.unseen)

    def test_each_its_own(self) -> None:
        """One that was to read a frame reads nothing of the next."""
        tap = Lettered()
        first, second = Reader(until=3), Reader()
        tap.walker = first
        tap.feed(frame(b"P"))
        tap.walker = second
        tap.feed(frame(b"P", 20) + frame(b"P", 5)[:2])
        self.assertEqual((frame(b"P")[4:], frame(b"P", 20)[4:]), (first.read, second.read))
