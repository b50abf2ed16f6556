# -*- test-case-name: tests.protocols.http.h2.test_hpack -*-
"""
HPACK (RFC 7541): field sections to bytes and back, one decoder and one encoder for each connection.

The static table is hpack's. What differs from its coders is what they cost: dynamic tables are plain lists, a field
that is in one is found by one look-up, and the encoder learns. A field is added to the table when it is sent for the
second time, so that what differs on each request (paths, lengths, deadlines, dates, trace ids) never displaces what
does not; and no string is Huffman-coded on the way out.

Never indexed (7.1): what came so, and by itself what authenticates somebody.

Over 300 lines: two halves of one code, as short as they can be said.
"""

from __future__ import annotations

from typing import Any, Final

from hpack import NeverIndexedHeaderTuple
from hpack.table import HeaderTable

from lproxy.protocols.http.h2.faults import COMPRESSION_ERROR, HPACK, ConnectionFault
from lproxy.protocols.http.h2.huffman import decode as decode_huffman
from lproxy.protocols.http.message import MEMO

#: by their indices, which begin with 1
STATIC: Final[list[Any]] = [(b"", b""), *HeaderTable.STATIC_TABLE]
STATIC_SIZE: Final = 61
#: of a dynamic table, on either side, whatever the peer allows
TABLE_SIZE: Final = 4096
#: what an entry counts beside its name and value (4.1)
OVERHEAD: Final = 32
#: bytes of an integer after its prefix: enough for more than any peer may send
INTEGER: Final = 4

#: from fields, and names, to what says them: the first of several
_STATIC_FIELDS: Final[dict[Any, bytes]] = {STATIC[n]: bytes((0x80 | n,)) for n in range(STATIC_SIZE, 0, -1)}
_STATIC_NAMES: Final[dict[bytes, int]] = {STATIC[n][0]: n for n in range(STATIC_SIZE, 0, -1)}
_STATIC_SIZES: Final[list[int]] = [len(STATIC[n][0]) + len(STATIC[n][1]) + OVERHEAD for n in range(STATIC_SIZE + 1)]

#: who somebody is: not for a table that an attacker may learn from (7.1.3)
SECRET: Final = frozenset((b"authorization", b"proxy-authorization"))
#: cookies shorter than this could be guessed
SHORT_COOKIE: Final = 20
#: fields that were sent once, of each connection; they are forgotten when there are too many
ONCE: Final = 128
#: longer ones are never added
LONG: Final = 1024


def broken(detail: str) -> ConnectionFault:
    """The error for a field section that cannot be decoded."""
    return ConnectionFault(COMPRESSION_ERROR, HPACK, detail)


def integer(value: int, bits: int, pattern: int) -> bytes:
    """An integer with a prefix of C{bits}, and the C{pattern} above it (5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((pattern | value,))
    out = [pattern | most]
    value -= most
    while value >= 0x80:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
    return bytes(out)


class Decoder:
    """
    What a peer encodes.

    @ivar changes: grows whenever the same bytes may mean something else than before
    @ivar oversized: whether the last section was larger than the limit; it was decoded, but not kept, from there on
    @ivar _at: where one of those left off that read more than a byte
    """

    __slots__ = ("_at", "_capacity", "_limit", "_size", "_sizes", "_table", "changes", "oversized")

    def __init__(self, limit: int) -> None:
        """
        @param limit: bytes of a field section (RFC 9113, 6.5.2); four times as many are an error
        """
        self._limit = limit
        self._table: list[Any] = []  # the newest last
        self._sizes: list[int] = []
        self._size = 0
        self._capacity = TABLE_SIZE
        self._at = 0
        self.changes = 0
        self.oversized = False

    def decode(self, block: bytes) -> list[Any]:
        """
        The fields of a section: names and values, those never to be indexed as L{NeverIndexedHeaderTuple}.

        @raise ConnectionFault: it cannot be decoded, or is a bomb
        """
        fields: list[Any] = []
        table, sizes = self._table, self._sizes
        limit = self._limit
        size = 0
        self.oversized = False
        at = 0
        end = len(block)
        field: Any
        while at < end:
            byte = block[at]
            at += 1
            if byte & 0x80:
                index = byte & 0x7F
                if index == 0x7F:
                    index = self._more(block, at, index)
                    at = self._at
                if index <= STATIC_SIZE:
                    if not index:
                        raise broken("no entry 0")
                    field = STATIC[index]
                    size += _STATIC_SIZES[index]
                else:
                    place = len(table) + STATIC_SIZE - index
                    if place < 0:
                        raise broken(f"no entry {index} in a table of {len(table)}")
                    field = table[place]
                    size += sizes[place]
            elif byte & 0x60 == 0x20:
                if size:
                    raise broken("a table's size changes behind a field")
                capacity = byte & 0x1F
                if capacity == 0x1F:
                    capacity = self._more(block, at, capacity)
                    at = self._at
                self._resize(capacity)
                continue
            else:
                mask = 0x3F if byte & 0x40 else 0x0F
                index = byte & mask
                if index == mask:
                    index = self._more(block, at, index)
                    at = self._at
                if not index:
                    name = self._string(block, at)
                    at = self._at
                elif index <= STATIC_SIZE:
                    name = STATIC[index][0]
                else:
                    place = len(table) + STATIC_SIZE - index
                    if place < 0:
                        raise broken(f"no entry {index} in a table of {len(table)}")
                    name = table[place][0]
                value = self._string(block, at)
                at = self._at
                field = (name, value)
                own = len(name) + len(value) + OVERHEAD
                size += own
                if mask == 0x3F:
                    self._add(field, own)
                elif byte & 0x10:
                    field = NeverIndexedHeaderTuple(name, value)
            if size <= limit:
                fields.append(field)
            elif size > 4 * limit:
                raise broken(f"a field section of more than {4 * limit} bytes")
            else:
                self.oversized = True
        return fields

    def _more(self, block: bytes, at: int, value: int) -> int:
        """The rest of an integer whose prefix is all ones, C{value} (5.1)."""
        end = len(block)
        shift = 0
        while True:
            if at == end or shift == 7 * INTEGER:
                raise broken("an integer that does not end")
            byte = block[at]
            at += 1
            value += (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        self._at = at
        return value

    def _string(self, block: bytes, at: int) -> bytes:
        """A string (5.2)."""
        end = len(block)
        if at >= end:
            raise broken("a field that ends too early")
        byte = block[at]
        at += 1
        size = byte & 0x7F
        if size == 0x7F:
            size = self._more(block, at, size)
            at = self._at
        stop = at + size
        if stop > end:
            raise broken("a string that ends too early")
        self._at = stop
        text = block[at:stop]
        if byte < 0x80:
            return text
        plain = decode_huffman(text)
        if plain is None:
            raise broken("a string that is not Huffman-coded")
        return plain

    def _add(self, field: Any, size: int) -> None:
        self.changes += 1
        self._size += size
        self._table.append(field)
        self._sizes.append(size)
        if self._size > self._capacity:
            self._evict()

    def _resize(self, capacity: int) -> None:
        if capacity > TABLE_SIZE:
            raise broken(f"a table of {capacity} bytes, where {TABLE_SIZE} are allowed")
        self.changes += 1
        self._capacity = capacity
        self._evict()

    def _evict(self) -> None:
        """Forget the oldest until it fits; what does not fit at all is forgotten too (4.4)."""
        gone = 0
        left, capacity = self._size, self._capacity
        for size in self._sizes:
            if left <= capacity:
                break
            left -= size
            gone += 1
        self._size = left
        del self._table[:gone]
        del self._sizes[:gone]


class Encoder:
    """
    What is sent to a peer.

    @ivar _numbers: entries of the table, by how many were added before: C{_added - number} is how far back one is
    @ivar _said: what says a field, as long as the table is what it is
    @ivar _once: fields that were sent once
    """

    __slots__ = ("_added", "_capacity", "_numbers", "_once", "_pending", "_said", "_size", "_smallest", "_table")

    def __init__(self) -> None:
        self._table: list[Any] = []  # the newest last
        self._numbers: dict[Any, int] = {}
        self._said: dict[Any, bytes] = {}
        self._once: dict[Any, bool] = {}
        self._added = 0
        self._size = 0
        self._capacity = TABLE_SIZE
        self._pending = False
        self._smallest = TABLE_SIZE

    def resize(self, allowed: int) -> None:
        """The peer's table may have so many bytes; ours takes no more than L{TABLE_SIZE} of them."""
        capacity = min(allowed, TABLE_SIZE)
        if capacity != self._capacity or self._pending:
            # said in the next section: the smallest it has been, and what it is (4.2)
            self._smallest = min(self._smallest, capacity) if self._pending else capacity
            self._pending = True
            self._capacity = capacity
            self._evict()

    def encode(self, fields: list[Any]) -> bytes:
        """
        One section. Names are in lower case. Blanks around values are taken off, for none are allowed there (RFC 9113,
        8.2.1).
        """
        out: list[bytes] = []
        if self._pending:
            if self._smallest < self._capacity:
                out.append(integer(self._smallest, 5, 0x20))
            out.append(integer(self._capacity, 5, 0x20))
            self._pending = False
        said = self._said
        for field in fields:
            if type(field) is tuple:
                piece = said.get(field)
                if piece is not None:
                    out.append(piece)
                elif not self._look_up(field, out):
                    self._spell(field, out)
            else:
                self._spell(field, out)
        return b"".join(out)

    def _look_up(self, field: Any, out: list[bytes]) -> bool:
        """Whether a table has C{field}."""
        piece = _STATIC_FIELDS.get(field)
        if piece is None:
            number = self._numbers.get(field)
            if number is None:
                return False
            piece = integer(self._added - number + STATIC_SIZE, 7, 0x80)
        self._said[field] = piece
        out.append(piece)
        return True

    def _spell(self, field: Any, out: list[bytes]) -> None:
        """A field that no table has."""
        name: bytes = field[0]
        value: bytes = field[1]
        if value and (value[0] in b" \t" or value[-1] in b" \t"):
            value = value.strip(b" \t")
            field = (name, value)
        if name == b"cookie":
            if b"; " in value:
                # crumbs come again one by one (RFC 9113, 8.2.3)
                crumbs: list[Any] = [(name, crumb) for crumb in value.split(b"; ")]
                if type(field) is not tuple:
                    crumbs = [NeverIndexedHeaderTuple(name, crumb[1]) for crumb in crumbs]
                out.append(self.encode(crumbs))
                return
            secret = len(value) < SHORT_COOKIE
        else:
            secret = name in SECRET
        index = _STATIC_NAMES.get(name)
        size = len(value)
        length = _LENGTHS[size] if size < 0x7F else integer(size, 7, 0)
        once = self._once
        if secret or type(field) is not tuple:
            # in tables neither here nor further on (6.2.3)
            out.append(b"\x10" + _string(name) if index is None else integer(index, 4, 0x10))
        elif field in once and len(name) + size + OVERHEAD <= min(self._capacity, LONG):
            once.pop(field)
            out.append(b"\x40" + _string(name) if index is None else integer(index, 6, 0x40))
            self._add(field)
        else:
            if size <= LONG:
                if len(once) >= ONCE:
                    once.clear()
                once[field] = True
            out.append(_unindexed[name])
        out.append(length)
        out.append(value)

    def _add(self, field: Any) -> None:
        self._table.append(field)
        self._added += 1
        self._numbers[field] = self._added - 1
        self._said.clear()
        self._size += len(field[0]) + len(field[1]) + OVERHEAD
        self._evict()

    def _evict(self) -> None:
        while self._size > self._capacity:
            old = self._table.pop(0)
            self._numbers.pop(old)
            self._said.clear()
            self._size -= len(old[0]) + len(old[1]) + OVERHEAD


def _string(text: bytes) -> bytes:
    return integer(len(text), 7, 0) + text


class _Unindexed(dict[bytes, bytes]):
    """Names, to what says that a field of theirs follows that is in no table (6.2.2)."""

    def __missing__(self, name: bytes) -> bytes:
        index = _STATIC_NAMES.get(name)
        said = b"\0" + _string(name) if index is None else integer(index, 4, 0)
        if len(self) < MEMO and len(name) < LONG:
            self[name] = said
        return said


_unindexed: Final = _Unindexed()

#: a string's length, where one byte says it
_LENGTHS: Final[list[bytes]] = [bytes((size,)) for size in range(0x7F)]
