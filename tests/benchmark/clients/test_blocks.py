"""
L{benchmark.clients.blocks}: header blocks that a decoder understands, and that are never alike.
"""

from hpack import Decoder, Encoder
from twisted.trial.unittest import SynchronousTestCase

from benchmark.clients import blocks
from benchmark.clients.blocks import ID, Blocks

FIELDS = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":authority", b"127.0.0.1:8080"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
]
COUNT = 2_000


class BlocksTests(SynchronousTestCase):
    def setUp(self) -> None:
        made, decoder = Blocks(FIELDS, b"/bench.Echo/"), Decoder()
        self.blocks = [made.next() for _ in range(COUNT)]
        self.read = [decoder.decode(block, raw=True) for block in self.blocks]

    def test_fields(self) -> None:
        """A decoder that keeps its table reads every one of thousands: the fields, the path, the id; pseudo first."""
        for found in self.read:
            path, same = found[3], found[-1]
            self.assertEqual([*FIELDS[:3], path, *FIELDS[3:], same], found)
            self.assertEqual((b":path", ID), (path[0], same[0]))
            self.assertEqual(b"/bench.Echo/" + same[1], path[1])

    def test_varied(self) -> None:
        """No path comes twice, and no block does."""
        self.assertEqual(COUNT, len({dict(found)[b":path"] for found in self.read}))
        self.assertEqual(COUNT, len(set(self.blocks)))

    def test_table(self) -> None:
        """Most fields are an index of one byte: a block has little more than the path and the id."""
        self.assertLess(sum(map(len, self.blocks)) / COUNT, 45)

    def test_pushed_out(self) -> None:
        """The table turns over: what was pushed out of it is put in again, which takes more bytes."""
        again = [block for block in self.blocks[100:] if b"\x5f" in block[:40] and len(block) > 50]
        self.assertTrue(again)

    def test_usual(self) -> None:
        """The first block has the length that hpack's encoder gives it, but for the path, which that one indexes."""
        text = Encoder().encode(self.read[0])
        self.assertEqual(len(text), len(self.blocks[0]))


class CodeTests(SynchronousTestCase):
    def test_symbols(self) -> None:
        """The ten symbols' codes are their places, in five bits: what makes ids cheap."""
        for at, symbol in enumerate(blocks.SYMBOLS):
            self.assertEqual((at, 5), blocks.huffman(bytes([symbol])))
        self.assertEqual(blocks.huffman(b"00a2")[0], blocks.GROUPS[32])

    def test_number(self) -> None:
        """An index that does not fit the prefix goes on in the next byte."""
        self.assertEqual(b"\xbe", blocks.number(62, 7, 0x80))
        self.assertEqual(b"\x7f\x05", blocks.number(68, 6, 0x40))
