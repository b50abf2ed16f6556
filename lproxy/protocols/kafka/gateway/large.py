# -*- test-case-name: tests.protocols.kafka.gateway.test_large -*-
"""
Rewrite responses that are too large to be kept as they come and looked at again with each piece.

A response's size stands before it, so nothing of it can pass before all addresses in it are known: what becomes of it
is kept until its end. FindCoordinator's, which may name a broker for each of some 100,000 groups, is rewritten while it
comes, so that no piece takes long; of the others all is looked at in the end.
"""

from __future__ import annotations

from collections.abc import Callable

from lproxy.protocols.kafka.codec.header import SIZE, Malformed
from lproxy.protocols.kafka.codec.wire import Truncated, int32, skip_string, skip_tags, string, uvarint
from lproxy.protocols.kafka.gateway import rewrite

#: what a coordinator has at least: key, node, host, port, error, message, tags
LEAST = 14
#: different coordinators that are remembered; clusters have hundreds
REMEMBERED = 10_000
#: size and correlation id
HEAD = 8


class Whole:
    """
    An L{Editor<lproxy.protocols.kafka.codec.frame.Editor>} that keeps a frame and changes it in one go.

    @param change: makes another frame of the whole one
    """

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        self._change = change
        self._pieces: list[bytes] = []

    def feed(self, data: bytes, last: bool) -> bytes:
        """Nothing passes before the end."""
        self._pieces.append(data)
        return self._change(b"".join(self._pieces)) if last else b""


class Coordinators:
    """
    An L{Editor<lproxy.protocols.kafka.codec.frame.Editor>} of the response to FindCoordinator from version 4 on: one
    coordinator after the other.

    Clients are told of brokers that are new here as they are found, before all of it has proved well-formed.
    """

    def __init__(self, length: int, translate: rewrite.Translate, done: Callable[[int], None]) -> None:
        """
        @param length: of the frame
        @param done: told at the end how many coordinators there were
        """
        self._length = length
        self._translate = translate
        self._done = done
        self._pieces: list[bytes] = []
        #: bytes that were not looked at, and how many there must be before they can be
        self._have = 0
        self._need = 0
        #: coordinators that are still to come, C{None} before that is known
        self._left: int | None = None
        self._found = 0
        self._out = bytearray()
        self._told: dict[bytes, bytes] = {}

    def feed(self, data: bytes, last: bool) -> bytes:
        """
        Look at all coordinators that are complete.

        @raise Malformed: it is no such response
        """
        self._pieces.append(data)
        self._have += len(data)
        if self._have < self._need and not last:
            return b""
        data = b"".join(self._pieces)
        at = 0
        try:
            if self._left is None:
                at = self._begin(data)
            while self._left:
                at = self._coordinator(data, at)
                self._left -= 1
        except Truncated as e:
            if last:
                raise
            self._need = e.end - at
        else:
            self._need = self._length
        if not last:
            self._pieces = [data[at:]]
            self._have = len(data) - at
            return b""
        end = skip_tags(data, at)
        if end != len(data):
            raise Malformed(f"{len(data) - end} bytes after its end")
        self._out += data[at:]
        self._done(self._found)
        self._out[: SIZE.size] = SIZE.pack(len(self._out) - SIZE.size)
        return bytes(self._out)

    def _begin(self, data: bytes) -> int:
        """Where the first coordinator is: after size, correlation id, tags, throttle time and their number."""
        count, at = uvarint(data, skip_tags(data, HEAD) + 4)
        if not 0 < count <= self._length // LEAST:
            raise Malformed(f"{count - 1} coordinators")
        self._left = count - 1
        self._out += data[:at]
        return at

    def _coordinator(self, data: bytes, at: int) -> int:
        """Where the coordinator at C{at} ends."""
        begin = skip_string(data, at, True)
        # node, host, port, error
        end = skip_string(data, begin + 4, True) + 6
        if end > len(data):
            raise Truncated(end)
        after = skip_tags(data, skip_string(data, end, True))
        span = data[begin:end]
        told = self._told.get(span)
        if told is None:
            if len(self._told) >= REMEMBERED:
                self._told.clear()
            told = self._told[span] = self._instead(span)
        self._found += told != span
        self._out += data[at:begin]
        self._out += told
        self._out += data[end:after]
        return after

    def _instead(self, span: bytes) -> bytes:
        node = int32(span, 0)
        host, at = string(span, 4, True)
        if not host:
            return span
        told = self._translate(node, host, int32(span, at))
        if told is None:
            return rewrite.NOBODY + rewrite.encode_address(("", -1), True) + rewrite.NOT_AVAILABLE
        return span[:4] + rewrite.encode_address(told, True) + span[at + 4 :]
