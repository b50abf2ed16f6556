# -*- test-case-name: tests.protocols.kafka.test_frame -*-
"""
Cut a direction into frames as its bytes come, and let each pass, vanish or change, without ever keeping a whole one.

A frame is four bytes of size, then so many bytes. Its head is kept until it can be judged; what follows is counted and
goes on as it comes. Only where the judgement is to change a frame is more of it kept, as much as that needs.
"""

from __future__ import annotations

from enum import Enum

from lproxy.protocols.kafka.header import SIZE
from lproxy.protocols.kafka.topics import Walker

#: bytes that pass unseen where nobody looks any more
ENDLESS = 1 << 62
#: no number of bytes
NEVER = -1


class Verdict(Enum):
    """What becomes of a frame."""

    #: it goes on as it is
    PASS = "pass"
    #: more of it has to be seen
    MORE = "more"
    #: not yet, and nothing after it: ask again later
    STOP = "stop"
    #: it vanishes
    DROP = "drop"
    #: something else goes in its place, see L{Frames.edit}
    EDIT = "edit"
    #: see L{Frames.opaque}
    OPAQUE = "opaque"


class Frames:
    """
    A L{Tap<lproxy.transport.relay.Tap>} of frames. Subclasses judge.

    @ivar ahead: bytes of the current frame that have yet to come, and will pass
    @ivar over: nothing passes any more: the connection is to be closed
    @ivar last: whether the end of this direction is the connection's
    @ivar opaque: from the next frame on, all goes on and nobody looks at it
    @ivar speaks: something of ours may have to go between two frames, see L{between}
    """

    __slots__ = ("_drop", "_edited", "_kept", "_walk", "_walked_from", "ahead", "last", "opaque", "over", "speaks")

    def __init__(self, last: bool) -> None:
        self.ahead = 0
        self.over = False
        self.last = last
        self.opaque = self.speaks = False
        self._kept = b""
        #: bytes that have yet to come and vanish
        self._drop = 0
        #: who reads the body that passes, and where in its frame that begins
        self._walk: Walker | None = None
        self._walked_from = 0
        #: length of the frame that is being changed, none being 0
        self._edited = 0

    @property
    def inside(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._kept or self._drop or 0 < self.ahead < ENDLESS >> 1)

    @property
    def unseen(self) -> int:
        """Bytes that come next and need not be seen."""
        return self.ahead if self._walk is None else 0

    def walk(self, walker: Walker | None, begin: int) -> None:
        """Have C{walker} read the body of the current frame, from its byte C{begin} on, while it passes."""
        self._walk, self._walked_from = walker, begin

    # what subclasses decide

    def head(self, data: bytes, at: int, size: int) -> Verdict:
        """Judge the frame at C{at}, whose size word is there and says C{size}; the rest may be."""
        raise NotImplementedError

    def edit(self, frame: bytes, length: int) -> tuple[int, bytes] | None:
        """
        Change a frame.

        @param frame: what has come of it, size word included
        @param length: what it will be in all
        @return: how much of it is replaced and by what, the rest passes; C{None}: more has to come
        """
        raise NotImplementedError

    def between(self) -> bytes:
        """What goes on between two frames, by us."""
        return b""

    def passed(self) -> None:
        """The frame whose bytes were ahead has passed."""

    # Tap

    def feed(self, data: bytes) -> bytes:
        """What goes on of C{data} and of what was kept."""
        if len(data) < self.ahead:
            self.ahead -= len(data)
            if self._walk is not None:
                self._show(data, 0, NEVER)
            return data
        if self.over:
            return b""
        if self._kept:
            data, self._kept = self._kept + data, b""
        return self._cut(data)

    def skip(self, count: int) -> None:
        """So many of those ahead have passed elsewhere."""
        self.ahead -= count
        if not self.ahead:
            self.passed()

    def end(self) -> bytes:
        """What was kept of a frame that will never be whole."""
        kept, self._kept = self._kept, b""
        # half of what is to be changed must not go on as it was
        return b"" if self.over or self._edited else kept

    def _cut(self, data: bytes) -> bytes:
        end = len(data)
        at = self.ahead
        if at:
            self.ahead = 0
            if self._walk is not None:
                self._show(data[:at], 0, at)
            self.passed()
        start = 0
        pieces: list[bytes] = []
        if self._drop:
            start = at = min(self._drop, end)
            self._drop -= at
            if self._drop:
                # its end has yet to come, whatever is made of what follows
                return b""
        while at <= end:
            if self.speaks and (ours := self.between()):
                pieces += data[start:at], ours
                start = at
            if self.opaque:
                at = end + ENDLESS
                break
            if end - at < 4:
                break
            if not self._edited:
                (size,) = SIZE.unpack_from(data, at)
                verdict = self.head(data, at, size)
                if verdict is Verdict.PASS:
                    if self._walk is not None:
                        self._show(data[at : at + 4 + size], self._walked_from, 4 + size)
                    at += 4 + size
                    continue
                if verdict is Verdict.MORE or verdict is Verdict.STOP:
                    break
                if verdict is Verdict.OPAQUE:
                    self.opaque = True
                    continue
                if verdict is Verdict.DROP:
                    pieces.append(data[start:at])
                    at += 4 + size
                    if at > end:
                        self._drop, at = at - end, end
                    start = at
                    continue
                self._edited = 4 + size
            edited = self.edit(data[at : at + self._edited], self._edited)
            if edited is None:
                break
            took, instead = edited
            if self._walk is not None:
                self._show(data[at : at + self._edited], self._walked_from, self._edited)
            pieces += data[start:at], instead
            start = at + took
            at += self._edited
            self._edited = 0
            if self.over:
                # what was to be changed could not be: nor does anything pass that came behind it
                return b"".join(pieces)
        if self.over:
            at = min(at, end)
        elif at > end:
            self.ahead, at = at - end, end
        else:
            self._kept = data[at:]
        if not pieces:
            return data if not start and at == end else data[start:at]
        pieces.append(data[start:at])
        return b"".join(pieces)

    def _show(self, frame: bytes, begin: int, length: int) -> None:
        """Have the walker read what has come of a frame, or of its rest, of C{length} bytes."""
        if self._walk is not None:
            self._walk.feed(frame[begin:])
            if len(frame) == length or self._walk.done:
                self._walk = None
