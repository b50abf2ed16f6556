# -*- test-case-name: tests.testing.test_detectors -*-
"""
The promises that detectors keep, as tests to mix into a test case of one's own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from lproxy.api import Detector, Match, NeedMore, NoMatch
from lproxy.config import Limits

if TYPE_CHECKING:
    from unittest import TestCase as _TestCase
else:
    _TestCase = object

#: what detectors are shown at most
LIMIT = Limits().detect

#: openings of other protocols, and of none
FOREIGN = (
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"EHLO mail\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
    b"\x00\x00\x00\x14\x00\x12\x00\x03\x00\x00\x00\x01\x00\x04test",
    b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c",
    b"\n" * 64,
    b"\x00" * LIMIT,
    b"\xff" * LIMIT,
    b"A" * LIMIT,
)


class DetectorContract(_TestCase):
    """
    What a detector promises.

    @cvar detector: the function
    @cvar matches: openings, whole or longer and none of them empty, that are the protocol's
    @cvar others: openings that are not, besides those of common protocols
    @cvar foreign: openings of common protocols; leave out what the detector shall match
    @cvar limit: how many bytes it is shown at most
    """

    detector: Detector
    matches: Sequence[bytes] = ()
    others: Sequence[bytes] = ()
    foreign: Sequence[bytes] = FOREIGN
    limit: int = LIMIT

    def samples(self) -> Iterator[bytes]:
        """The openings, damaged copies of them, every single byte, and random bytes."""
        random = Random(7)
        known = [*self.matches, *self.others, *self.foreign]
        yield b""
        yield from known
        yield from (bytes([i]) for i in range(256))
        for opening in known:
            for _ in range(20):
                damaged = bytearray(opening[:256])
                damaged[random.randrange(len(damaged))] = random.randrange(256)
                yield bytes(damaged)
                cut = random.randrange(len(opening))
                yield opening[:cut] + random.randbytes(16)
        for _ in range(500):
            yield random.randbytes(random.randrange(1, 48))

    def judge(self, prefix: bytes) -> Match | NoMatch | NeedMore:
        """The detector's answer."""
        return type(self).detector(prefix)

    def test_total(self) -> None:
        """It answers for any bytes, with one of the three answers, and always the same."""
        for sample in self.samples():
            verdict = self.judge(sample)
            self.assertIsInstance(verdict, (Match, NoMatch, NeedMore), sample)
            self.assertEqual(verdict, self.judge(sample), sample)

    def test_final(self) -> None:
        """An answer holds for every longer prefix."""
        for sample in self.samples():
            answer: Match | NoMatch | NeedMore = NeedMore()
            for end in ends(sample):
                verdict = self.judge(sample[:end])
                if not isinstance(answer, NeedMore):
                    self.assertEqual(answer, verdict, f"changed its mind after {sample[:end]!r}")
                answer = verdict

    def test_need(self) -> None:
        """With fewer bytes than it asks for it could not have answered, and it asks for no more than it is shown."""
        for sample in self.samples():
            for end in ends(sample):
                verdict = self.judge(sample[:end])
                if isinstance(verdict, NeedMore):
                    self.assertGreaterEqual(verdict.at_least, 1, sample[:end])
                    self.assertLessEqual(verdict.at_least, self.limit, sample[:end])
                    for early in range(end, min(verdict.at_least, len(sample) + 1)):
                        again = self.judge(sample[:early])
                        self.assertIsInstance(again, NeedMore, f"{sample[:early]!r}, but {end} bytes asked for more")

    def test_matches(self) -> None:
        """It knows its own protocol, from no more than it is shown."""
        for opening in self.matches:
            self.assertIsInstance(self.judge(opening[: self.limit]), Match, repr(opening))

    def test_others(self) -> None:
        """It matches no other protocol."""
        for opening in (*self.others, *self.foreign):
            for end in ends(opening):
                self.assertFalse(isinstance(self.judge(opening[:end]), Match), opening[:end])

    def test_fast(self) -> None:
        """It takes few steps for the longest prefix: it does not loop over single bytes in Python."""
        longest = [
            (opening * (self.limit // len(opening) + 1))[: self.limit] for opening in (*self.matches, *self.foreign)
        ]
        longest += [(opening + b"A" * self.limit)[: self.limit] for opening in self.matches]
        for opening in longest:
            self.assertLess(steps(self.judge, opening), self.limit // 2, opening[:40])


def steps(function: Callable[[bytes], object], argument: bytes) -> int:
    """How many lines of Python C{function} runs: a measure of its time that does not depend on the machine."""
    count = 0

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(argument)
    finally:
        sys.settrace(before)
    return count


def ends(data: bytes) -> list[int]:
    """Offsets to cut C{data} at: all if it is short, else those near its ends and some in between."""
    if len(data) <= 96:
        return list(range(len(data) + 1))
    return sorted({*range(48), *range(48, len(data), max(1, len(data) // 32)), *range(len(data) - 8, len(data) + 1)})
