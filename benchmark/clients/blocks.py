# -*- test-case-name: tests.benchmark.clients.test_blocks -*-
"""
Header blocks of requests that all differ (RFC 7541): path and C{x-request-id} never repeat within a run.

They are what a usual client's encoder makes with its table of 4,096 bytes: what is the same in all requests is indexed,
the path is a literal that nobody keeps, the request id goes into the table. So the table turns over all the time, and
what was pushed out is put in once more. Which index stands where repeats after some requests, since all ids are of one
length: that is worked out once, and a block costs a microsecond. Strings are Huffman coded.
"""

import functools
import random
from collections import deque
from collections.abc import Sequence

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

Fields = tuple[tuple[bytes, bytes], ...]

TABLE_SIZE = 4096
#: what an entry weighs beyond its name and value
OVERHEAD = 32
#: where the dynamic table begins
DYNAMIC = 62
#: of the static table: whole fields, and names
STATIC = {(b":method", b"GET"): 2, (b":method", b"POST"): 3, (b":scheme", b"http"): 6, (b":scheme", b"https"): 7}
NAMES = {b":authority": 1, b":path": 4, b"accept": 19, b"content-type": 31, b"user-agent": 58}
ID = b"x-request-id"
#: the ten symbols whose Huffman code is their place in five bits: with them a number is coded without a look-up
SYMBOLS = b"012aceiost"
#: bytes of an id of 16 such symbols
CODED = 10
GROUPS = [sum(int(digit) << 5 * (3 - at) for at, digit in enumerate(f"{number:04}")) for number in range(10_000)]
#: a multiplier coprime to 10^8 scatters the digits and visits every number once
SCATTER, NUMBERS = 61_803_399, 10**8


def huffman(text: bytes) -> tuple[int, int]:
    """The code of C{text}, and how many bits it has."""
    value = bits = 0
    for symbol in text:
        value = value << REQUEST_CODES_LENGTH[symbol] | REQUEST_CODES[symbol]
        bits += REQUEST_CODES_LENGTH[symbol]
    return value, bits


def padded(value: int, bits: int) -> bytes:
    """A code of so many bits as bytes, filled with ones."""
    fill = -bits % 8
    return (value << fill | (1 << fill) - 1).to_bytes((bits + fill) // 8, "big")


def string(text: bytes) -> bytes:
    """A Huffman coded string literal; no longer than 126 bytes."""
    coded = padded(*huffman(text))
    assert len(coded) < 127, text
    return bytes([0x80 | len(coded)]) + coded


def number(index: int, prefix: int, first: int) -> bytes:
    """An index in the lower C{prefix} bits of a byte whose upper are C{first}, and in one more where it is large."""
    most = (1 << prefix) - 1
    return bytes([first | index]) if index < most else bytes([first | most, index - most])


class Encoder:
    """
    Works out what one block after the other refers to; a value that is C{None} is an id.

    @ivar table: the dynamic table's entries, the latest first: a field, and what it weighs
    """

    def __init__(self) -> None:
        self.table: deque[tuple[bytes, bytes | None, int]] = deque()
        self.weight = 0

    def state(self) -> tuple[tuple[bytes, bytes | None, int], ...]:
        """All that the next block depends on."""
        return tuple(self.table)

    def field(self, name: bytes, value: bytes | None) -> bytes:
        """One field, as far as it does not vary."""
        if value is not None and (name, value) in STATIC:
            return number(STATIC[name, value], 7, 0x80)
        known = {one: DYNAMIC + at for at, one in reversed(list(enumerate(entry[0] for entry in self.table)))}
        if value is not None:
            for at, entry in enumerate(self.table):
                if entry[:2] == (name, value):
                    return number(DYNAMIC + at, 7, 0x80)
        index = NAMES.get(name) or known.get(name)
        self.insert(name, value)
        start = number(index, 6, 0x40) if index else b"\x40" + string(name)
        return start + (bytes([0x80 | CODED]) if value is None else string(value))

    def insert(self, name: bytes, value: bytes | None) -> None:
        """Into the table, from which the oldest go."""
        size = OVERHEAD + len(name) + (16 if value is None else len(value))
        while self.weight + size > TABLE_SIZE:
            self.weight -= self.table.pop()[2]
        self.table.appendleft((name, value, size))
        self.weight += size


@functools.cache
def templates(fields: Fields, path_length: int) -> tuple[list[tuple[bytes, bytes]], int]:
    """What stands before the path, and between it and the id, of one request after the other; and where they repeat."""
    pseudo = [one for one in fields if one[0].startswith(b":")]
    others = [one for one in fields if not one[0].startswith(b":")]
    start = number(NAMES[b":path"], 4, 0) + bytes([0x80 | path_length])
    encoder, seen, found = Encoder(), dict[object, int](), list[tuple[bytes, bytes]]()
    while (state := encoder.state()) not in seen:
        seen[state] = len(found)
        before = b"".join(encoder.field(*one) for one in pseudo) + start
        between = b"".join(encoder.field(*one) for one in others) + encoder.field(ID, None)
        found.append((before, between))
    return found, seen[state]


class Blocks:
    """The header blocks of one connection's requests: C{fields}, a path below C{prefix}, an id."""

    def __init__(self, fields: Sequence[tuple[bytes, bytes]], prefix: bytes) -> None:
        path, bits = huffman(prefix)
        self.fill = -(bits + 8 * CODED) % 8
        self.path_length = (bits + 8 * CODED + self.fill) // 8
        self.path = (path << 8 * CODED + self.fill) | (1 << self.fill) - 1
        self.counter = random.randrange(NUMBERS)
        self.templates, self.again = templates(tuple(fields), self.path_length)
        self.at = 0

    def next(self) -> bytes:
        """The block of one request."""
        before, between = self.templates[self.at]
        self.at += 1
        if self.at == len(self.templates):
            self.at = self.again
        self.counter = count = (self.counter + 1) % NUMBERS
        scattered = count * SCATTER % NUMBERS
        code = (
            (GROUPS[scattered // 10_000] << 60)
            | (GROUPS[scattered % 10_000] << 40)
            | (GROUPS[count // 10_000] << 20)
            | GROUPS[count % 10_000]
        )
        path = (self.path | code << self.fill).to_bytes(self.path_length, "big")
        return before + path + between + code.to_bytes(CODED, "big")
