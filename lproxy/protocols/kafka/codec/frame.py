# -*- test-case-name: tests.protocols.kafka.codec.test_frame -*-
"""
Cut a direction into frames as its bytes come, and let each pass, vanish or change, without ever keeping a whole one.

A frame is four bytes of size, then so many bytes. Its head is kept until it can be judged; what follows is counted and
passes as it comes. Only where the judgement is to change a frame is more of it kept, as much as that needs.
"""

from __future__ import annotations

from typing import Final, Protocol

from lproxy.protocols.kafka.codec.topics import Walker

#: bytes that pass unseen where nobody looks any more
ENDLESS: Final = 1 << 62
#: no number of bytes
NEVER: Final = -1

#: what becomes of a frame, one of the following; plain numbers, as there is one per frame
Action = int
#: it passes as it is
PASS: Final = 0
#: more of it has to come before anybody can say
MORE: Final = 1
#: not yet, and nothing after it: ask again later
HOLD: Final = 2
#: it vanishes
DROP: Final = 3
#: something else passes in its place, see L{Frames.edit}
EDIT: Final = 4
#: see L{Frames.opaque}
OPAQUE: Final = 5


class Editor(Protocol):
    """Changes one frame in pieces, as they come."""

    def feed(self, data: bytes, last: bool) -> bytes:
        """What passes now, C{data} being the next piece and perhaps the C{last}."""


class Frames:
    """
    A L{Tap<lproxy.transport.tap.Tap>} of frames. Subclasses judge.

    @ivar size: of the frame that was judged last, in bytes, its size word not included
    @ivar passing: bytes of the current frame that have yet to come, and will pass
    @ivar over: nothing passes any more: the connection is to be closed
    @ivar last: whether the end of this direction is the connection's
    @ivar opaque: from the next frame on, all passes and nobody looks at it
    @ivar interjects: there may be something of our own between two frames, see L{interject}
    """

    __slots__ = (
        "_dropping",
        "_edited",
        "_editing",
        "_editor",
        "_kept",
        "_walk",
        "_walked_from",
        "interjects",
        "last",
        "opaque",
        "over",
        "passing",
        "size",
    )

    def __init__(self, last: bool) -> None:
        self.size = 0
        self.passing = 0
        self.over = False
        self.last = last
        self.opaque = False
        self.interjects = False
        self._kept = b""
        #: bytes that have yet to come and vanish
        self._dropping = 0
        #: who reads the body that passes, and where in its frame that begins
        self._walk: Walker | None = None
        self._walked_from = 0
        #: length of the frame that is being changed, none being 0
        self._edited = 0
        #: who does so in pieces, if somebody does, and how much has yet to come
        self._editor: Editor | None = None
        self._editing = 0

    @property
    def inside(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._kept or self._dropping or self._editing or 0 < self.passing < ENDLESS >> 1)

    @property
    def unseen(self) -> int:
        """Bytes that come next and need not be seen."""
        return self.passing if self._walk is None else 0

    def walk(self, walker: Walker | None, begin: int) -> None:
        """Have C{walker} read the body of the current frame, from its byte C{begin} on, while it passes."""
        self._walk, self._walked_from = walker, begin

    # what subclasses decide

    def head(self, data: bytes, at: int, have: int) -> Action:
        """
        Judge the frame at C{at}, and say in C{self.size} how long it is.

        @param have: how many bytes there are from C{at} on, of this frame and others: four at least
        """
        raise NotImplementedError

    def edit(self, frame: bytes, length: int) -> tuple[int, bytes] | Editor | None:
        """
        Change a frame.

        @param frame: what has come of it, size word included
        @param length: what it will be in all
        @return: how much of it is replaced and by what, the rest passes; C{None}: more has to come; an L{Editor}: that
            does it, from the first byte on
        """
        raise NotImplementedError

    def edit_piece(self, editor: Editor, data: bytes, last: bool) -> bytes:
        """What passes of a frame that is changed in pieces."""
        return editor.feed(data, last)

    def interject(self) -> bytes:
        """What goes between two frames, by us."""
        return b""

    def passed(self) -> None:
        """The frame whose bytes were yet to come has passed."""

    # Tap

    def feed(self, data: bytes) -> bytes:
        """What passes of C{data} and of what was kept."""
        if len(data) < self.passing:
            self.passing -= len(data)
            if self._walk is not None:
                self._show(data, 0, NEVER)
            return data
        if self.over:
            return b""
        if self._editor is not None:
            return self._edit_on(self._editor, data)
        if self._kept:
            data, self._kept = self._kept + data, b""
        return self._cut(data)

    def skip(self, count: int) -> None:
        """So many of those that pass have passed elsewhere."""
        self.passing -= count
        if not self.passing:
            self.passed()

    def end(self) -> bytes:
        """What was kept of a frame that will never be whole."""
        kept, self._kept = self._kept, b""
        # half of what is to be changed must not pass as it was
        return b"" if self.over or self._edited else kept

    def _cut(self, data: bytes) -> bytes:
        end = len(data)
        at = self.passing
        if at:
            self.passing = 0
            if self._walk is not None:
                self._show(data[:at], 0, at)
            self.passed()
        start = 0
        pieces: list[bytes] = []
        if self._dropping:
            start = at = min(self._dropping, end)
            self._dropping -= at
            if self._dropping:
                # its end has yet to come, whatever is made of what follows
                return b""
        while at <= end:
            if self.interjects and (ours := self.interject()):
                pieces += data[start:at], ours
                start = at
            if self.opaque:
                at = end + ENDLESS
                break
            if end - at < 4:
                break
            if not self._edited:
                action = self.head(data, at, end - at)
                length = self.size + 4
                if action == PASS:
                    if self._walk is not None:
                        self._show(data[at : at + length], self._walked_from, length)
                    at += length
                    continue
                if action in (MORE, HOLD):
                    break
                if action == OPAQUE:
                    self.opaque = True
                    continue
                if action == DROP:
                    pieces.append(data[start:at])
                    at += length
                    if at > end:
                        self._dropping, at = at - end, end
                    start = at
                    continue
                self._edited = length
            edited = self.edit(data[at : at + self._edited], self._edited)
            if edited is None:
                break
            if not isinstance(edited, tuple):
                self._editor, self._editing = edited, self._edited
                self._walk = None
                pieces += data[start:at], self._edit_on(edited, data[at:])
                return b"".join(pieces)
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
            self.passing, at = at - end, end
        else:
            self._kept = data[at:]
        if not pieces:
            return data if not start and at == end else data[start:at]
        pieces.append(data[start:at])
        return b"".join(pieces)

    def _edit_on(self, editor: Editor, data: bytes) -> bytes:
        """Have a piece of a frame changed, and go on behind it."""
        piece = data[: self._editing]
        self._editing -= len(piece)
        out = self.edit_piece(editor, piece, not self._editing)
        if self._editing or self.over:
            return out
        self._editor = None
        self._edited = 0
        return out + self._cut(data[len(piece) :])

    def _show(self, frame: bytes, begin: int, length: int) -> None:
        """Have the walker read what has come of a frame, or of its rest, of C{length} bytes."""
        if self._walk is not None:
            self._walk.feed(frame[begin:])
            if len(frame) == length or self._walk.done:
                self._walk = None
