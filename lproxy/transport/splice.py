# -*- test-case-name: tests.transport.test_splice -*-
"""
Move bytes from one socket to another without having them: C{os.splice} through a pipe, where there is one.
"""

from __future__ import annotations

from typing import Final, Protocol

from lproxy.transport.pipe import Pipe, Pipes, unsupported
from lproxy.transport.stream import Raw

#: bytes in one read from which splicing is cheaper: 16 KiB cost 46 us copied and 64 spliced, 64 KiB 71 and 46
SPLICE_FROM: Final = 32768
#: as L{SPLICE_FROM}, to copy always
NEVER: Final = 1 << 62
#: times that a pipe is filled in one wake-up, so that other connections have their turn
ROUNDS: Final = 4


class Owner(Protocol):
    """The direction whose bytes are spliced."""

    def unseen(self) -> int:
        """How many of the bytes that come next may be moved."""

    def passed(self, count: int) -> None:
        """So many were."""

    def splicer_blocked(self) -> None:
        """A pipe holds what the sink did not take: the source must not be read."""

    def splicer_unblocked(self) -> bool:
        """Whether more may be spliced at once, as the pipe is empty."""

    def splicer_ready(self) -> None:
        """The source may be read again."""

    def splicer_ended(self, possible: bool) -> None:
        """What comes next is not spliced. C{possible}: whether the kernel can splice sockets of this kind."""


class Splicer:
    """
    Moves what the source has to the sink at every wake-up, until that is little.

    @ivar blocked: whether a pipe holds what the sink did not take
    """

    def __init__(self, owner: Owner, incoming: Raw, outgoing: Raw, pipes: Pipes, little: int) -> None:
        """
        @param little: bytes in one wake-up that are cheaper to copy
        """
        self._owner: Owner = owner
        self._incoming: Raw = incoming
        self._outgoing: Raw = outgoing
        self._pipes: Pipes = pipes
        self._little: int = little
        self._pipe: Pipe | None = None
        self.blocked: bool = False
        incoming.divert_reading(self.move)

    def move(self) -> None:
        """Called instead of reading, and by the owner where there may be something to move already."""
        self._moved_all()

    def _moved_all(self) -> bool:
        """Move what there is; whether the sink took all of it."""
        owner, incoming, outgoing = self._owner, self._incoming, self._outgoing
        ahead = owner.unseen()
        # nothing: to ask the kernel for no bytes looks like the end
        pipe = self._pipes.take() if ahead > 0 else None
        if pipe is None:
            self._end()
            return True
        moved = 0
        ended = False
        failed: OSError | None = None
        broke: OSError | None = None
        for _ in range(ROUNDS):
            try:
                count = pipe.fill(incoming.fileno(), ahead - moved)
            except BlockingIOError:
                break
            except OSError as e:
                failed = e
                break
            if not count:
                ended = True
                break
            moved += count
            try:
                pipe.drain(outgoing.fileno())
            except OSError as e:
                broke = e
            if pipe.held or moved == ahead:
                break
        incoming.moved_in(moved)
        outgoing.moved_out(moved - pipe.held)
        if broke is None and pipe.held:
            self._pipe = pipe
            if not self.blocked:
                self.blocked = True
                outgoing.divert_writing(self._drain)
            owner.splicer_blocked()
            owner.passed(moved)
            return False
        self._pipes.give(pipe)
        if broke is not None:
            self._end()
            outgoing.failed(broke)
        elif failed is not None:
            unable = unsupported(failed)
            self._end(not unable)
            owner.passed(moved)
            if not unable:
                incoming.failed(failed)
        elif ended:
            self._end()
            owner.passed(moved)
            incoming.read_ended()
        else:
            if 0 < moved < self._little or moved == ahead:
                self._end()
            owner.passed(moved)
        return True

    def _drain(self) -> None:
        """Called instead of writing, while a pipe holds what the sink has to take first."""
        pipe = self._pipe
        if pipe is None:
            return
        try:
            self._outgoing.moved_out(pipe.drain(self._outgoing.fileno()))
        except OSError as e:
            self._outgoing.failed(e)
            return
        if pipe.held:
            return
        self._pipe = None
        self._pipes.give(pipe)
        if self._owner.splicer_unblocked():
            # most likely there is more: while the sink is the slower one, the hub is asked for nothing
            if self._moved_all():
                self._unblock()
            return
        self._end()
        self._unblock()

    def _unblock(self) -> None:
        self.blocked = False
        self._outgoing.divert_writing(None)
        self._owner.splicer_ready()

    def _end(self, possible: bool = True) -> None:
        self._incoming.divert_reading(None)
        self._owner.splicer_ended(possible)

    def spill(self) -> None:
        """Have the sink send what the pipe holds by itself, before all that was written to it since; splice no more."""
        pipe, self._pipe = self._pipe, None
        self._incoming.divert_reading(None)
        if pipe is not None:
            held = pipe.empty()
            self._pipes.give(pipe)
            self._outgoing.divert_writing(None, held)

    def drop(self) -> None:
        """The source is closed, and what the pipe holds is lost."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()
