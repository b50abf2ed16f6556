# -*- test-case-name: tests.protocols.kafka.gateway.test_large -*-
"""
Tests for L{lproxy.protocols.kafka.gateway.large} alone; with all that stands around it, they are in
L{tests.protocols.kafka.gateway.test_policy}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.apis import FIND_COORDINATOR
from lproxy.protocols.kafka.gateway import large
from lproxy.protocols.kafka.gateway.large import Coordinators, Whole
from tests.protocols.kafka.gateway.test_rewrite import Node, coordinators
from tests.protocols.kafka.scene import answer

NODES: list[Node] = [(1, "a", 9092, None), (2, "somewhere-else", 1, None), (-1, "", -1, None)]
PIECE = 64 << 10


def frame(nodes: list[Node]) -> bytes:
    """A response."""
    return answer(FIND_COORDINATOR, 4, 7, coordinators(4, nodes))


class WholeTests(SynchronousTestCase):
    """All is kept."""

    def test_whole(self) -> None:
        """It is changed once all of it is there."""
        whole = Whole(bytes.upper)
        self.assertEqual([b"", b"", b"ABC"], [whole.feed(b"a", False), whole.feed(b"b", False), whole.feed(b"c", True)])


class CoordinatorsTests(SynchronousTestCase):
    """One after the other."""

    def setUp(self) -> None:
        self.asked: list[int] = []
        self.done: list[int] = []

    def translate(self, node: int, host: str, port: int) -> tuple[str, int] | None:
        self.asked.append(node)
        return (f"10.0.0.{node}", 9100 + node) if node < 3 else None

    def feed(self, said: bytes, size: int) -> bytes:
        """What comes of it, in pieces of C{size}."""
        editor = Coordinators(len(said), self.translate, self.done.append)
        out = [editor.feed(said[at : at + size], at + size >= len(said)) for at in range(0, len(said), size)]
        self.assertEqual(b"", b"".join(out[:-1]))
        return out[-1]

    def test_rewritten(self) -> None:
        """Wherever it is cut, addresses are replaced, and whoever is nowhere stays so."""
        said, told = frame(NODES * 5), [(1, "10.0.0.1", 9101, None), (2, "10.0.0.2", 9102, None), NODES[2]]
        for size in range(1, len(said) + 1):
            self.assertEqual(frame(told * 5), self.feed(said, size))
        self.assertEqual({10}, set(self.done))

    def test_left_out(self) -> None:
        """One that clients cannot be told is not available."""
        nobody = frame([(-1, "", -1, None)]).replace(b"\tgroup--1", b"\x08group-3")
        size = (len(nobody) - 4).to_bytes(4, "big")
        self.assertEqual(size + nobody[4:], self.feed(frame([(3, "c", 1, None)]), 10))

    def test_empty(self) -> None:
        """A response about nobody is itself."""
        self.assertEqual(frame([]), self.feed(frame([]), 100))

    def test_asked_once(self) -> None:
        """Whoever coordinates many groups is looked up once, as long as there are not too many."""
        self.feed(frame(NODES * 100), PIECE)
        self.assertEqual([1, 2], self.asked)
        self.patch(large, "REMEMBERED", 1)
        self.feed(frame(NODES * 2), PIECE)
        self.assertEqual([1, 2, 1, 2, 1, 2], self.asked)

    def test_large(self) -> None:
        """A hundred thousand groups are, and no byte of them is looked at or copied again and again."""
        said = frame(NODES[:1])
        body = coordinators(4, NODES[:1])
        one = body[5:-1]
        count = 100_000
        many = body[:4] + b"\xa1\x8d\x06" + one * count + body[-1:]
        said = answer(FIND_COORDINATOR, 4, 7, many)
        out = self.feed(said, PIECE)
        self.assertEqual((len(said) + 7 * count, [count]), (len(out), self.done))
        self.assertEqual(out[:4], (len(out) - 4).to_bytes(4, "big"))
