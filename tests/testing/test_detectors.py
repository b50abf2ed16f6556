# -*- test-case-name: tests.testing.test_detectors -*-
"""
Tests for L{lproxy.testing.detectors}: built-in detectors keep the promises, and those that do not are found out.
"""

from __future__ import annotations

import itertools
from typing import Any
from unittest import TestResult

from twisted.trial.unittest import SynchronousTestCase

from lproxy.api import Match, NeedMore, NoMatch, Verdict
from lproxy.protocols.http.detect import detect as http
from lproxy.protocols.tcp.detect import detect as tcp
from lproxy.testing import DetectorContract
from lproxy.testing.detectors import FOREIGN, ends


class HttpTests(DetectorContract, SynchronousTestCase):
    """HTTP keeps what a detector promises."""

    detector = staticmethod(http)
    matches = (b"GET / HTTP/1.1\r\n", b"POST /a?b HTTP/1.0\r\nHost: a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    others = (b"GET nothing\r\n", b"get / http/1.1\r\n")
    foreign = FOREIGN[2:]


class TcpTests(DetectorContract, SynchronousTestCase):
    """TCP does, which is everything."""

    detector = staticmethod(tcp)
    matches = (b"\x00", b"anything")
    foreign = ()


def honest(prefix: bytes) -> Verdict:
    """Knows C{ABC}."""
    if prefix.startswith(b"ABC"):
        return Match()
    return NeedMore(len(prefix) + 1) if b"ABC".startswith(prefix) else NoMatch()


def raises(prefix: bytes) -> Verdict:
    """Not total: asks for a byte that is not there."""
    return honest(prefix) if prefix[0] == 65 else NoMatch()


def forgets(prefix: bytes) -> Verdict:
    """Not final: it matches only as long as nothing follows."""
    return honest(prefix) if len(prefix) < 5 else NoMatch()


def late(prefix: bytes) -> Verdict:
    """Asks for all of its word where the next byte may tell."""
    verdict = honest(prefix)
    return NeedMore(3) if isinstance(verdict, NeedMore) else verdict


def greedy(prefix: bytes) -> Verdict:
    """Asks for more than it is ever shown."""
    verdict = honest(prefix)
    return NeedMore(5000) if isinstance(verdict, NeedMore) else verdict


def takes_all(prefix: bytes) -> Verdict:
    """Takes what is not its own."""
    return Match() if prefix else NeedMore()


def takes_none(prefix: bytes) -> Verdict:
    """Does not know its own."""
    return NoMatch()


def silent(prefix: bytes) -> Any:
    """Has no answer."""
    return None


calls = itertools.count()


def moody(prefix: bytes) -> Verdict:
    """Not pure."""
    return honest(prefix) if next(calls) % 7 else NoMatch()


def slow(prefix: bytes) -> Verdict:
    """Looks at every byte by itself."""
    for byte in prefix:
        if byte == 256:
            return NoMatch()
    return honest(prefix)


def broken_promises(function: Any, *tests: str) -> set[str]:
    """Which C{tests} of the contract C{function} fails, or which of all."""

    class Tests(DetectorContract, SynchronousTestCase):
        detector = staticmethod(function)
        matches = (b"ABC", b"ABCDEF")

    found = set()
    for name in tests or (name for name in dir(Tests) if name.startswith("test_")):
        result = TestResult()
        Tests(name).run(result)
        if not result.wasSuccessful():
            found.add(name)
    return found


class ContractTests(SynchronousTestCase):
    """The contract sees what it is there to see."""

    def test_kept(self) -> None:
        """A detector that is in order passes."""
        self.assertEqual(set(), broken_promises(honest))

    def test_broken(self) -> None:
        """Each kind of mistake fails its own test."""
        for function, test in (
            (raises, "test_total"),
            (silent, "test_total"),
            (moody, "test_total"),
            (forgets, "test_final"),
            (late, "test_need"),
            (greedy, "test_need"),
            (takes_none, "test_matches"),
            (takes_all, "test_others"),
            (slow, "test_fast"),
        ):
            self.assertEqual({test}, broken_promises(function, test), function.__name__)

    def test_ends(self) -> None:
        """Short samples are cut everywhere, long ones at their ends too."""
        self.assertEqual(list(range(97)), ends(b"a" * 96))
        cut = ends(b"a" * 2048)
        self.assertLess(len(cut), 100)
        self.assertEqual((0, 1, 2047, 2048), (*cut[:2], *cut[-2:]))
