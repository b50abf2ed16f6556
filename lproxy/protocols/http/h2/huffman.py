# -*- test-case-name: tests.protocols.http.h2.test_huffman -*-
"""
Huffman decoding of HPACK (RFC 7541, 5.2), a byte at a time.

The code is hpack's. Its own decoder takes half a byte at a time, which is most of what a request costs whose path
differs each time. Here each state, a place in the tree of the code, has a row of what each byte leads to; rows are made
when they are first needed: ASCII needs a few dozen of the 256.

Nothing is encoded so: whoever is this near has more of the network than of time.
"""

from __future__ import annotations

from typing import Any, Final

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

#: the code that must not occur: its first bits are what a string is padded with
EOS: Final = 256
PADDING: Final = 7

#: strings that were decoded before, as the names and values of many fields are; short ones, for memory's sake
_MEMO: Final = 1024
_SHORT: Final = 64


class State:
    """
    A place in the tree.

    @ivar next: where a 0 and a 1 lead to: a state, or a symbol
    @ivar row: for each byte: the next state, and what is decoded on the way. Empty as long as nobody has been here
    @ivar final: whether what led here may be padding, so that a string may end here
    """

    __slots__ = ("final", "next", "row")

    def __init__(self, final: bool) -> None:
        self.next: list[Any] = [None, None]
        self.row: list[tuple[State, bytes]] = []
        self.final = final

    def fill(self) -> None:
        """Make the row."""
        self.row = [self._step(byte) for byte in range(256)]

    def _step(self, byte: int) -> tuple[State, bytes]:
        state: Any = self
        symbols: list[int] = []
        for shift in range(7, -1, -1):
            state = state.next[byte >> shift & 1]
            if isinstance(state, int):
                if state == EOS:
                    return _broken, b""
                symbols.append(state)
                state = _root
        return state, bytes(symbols)


def _tree() -> State:
    """All states, from the code."""
    root = State(True)
    for symbol, (code, length) in enumerate(zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True)):
        state = root
        for depth in range(1, length):
            bit = code >> (length - depth) & 1
            if state.next[bit] is None:
                state.next[bit] = State(depth <= PADDING and code >> (length - depth) == (1 << depth) - 1)
            state = state.next[bit]
        state.next[code & 1] = symbol
    return root


_root: Final = _tree()
#: where what no string has leads to, and nothing leads away from
_broken: Final = State(False)
_broken.row = [(_broken, b"")] * 256

_decoded: Final[dict[bytes, bytes]] = {}


def decode(data: bytes) -> bytes | None:
    """What C{data} says, or C{None} if it is not Huffman-coded, or not to its end."""
    text = _decoded.get(data)
    if text is not None:
        return text
    pieces: list[bytes] = []
    state = _root
    for byte in data:
        row = state.row
        if not row:
            state.fill()
            row = state.row
        state, piece = row[byte]
        pieces.append(piece)
    if not state.final:
        return None
    text = b"".join(pieces)
    if len(data) <= _SHORT:
        if len(_decoded) >= _MEMO:
            _decoded.clear()
        _decoded[data] = text
    return text
