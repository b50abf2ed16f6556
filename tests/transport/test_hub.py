# -*- test-case-name: tests.transport.test_hub -*-
"""
Tests for L{lproxy.transport.hub} without a kernel.

With one, and under every reactor: L{tests.integration.test_transport}.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport import hub as module
from lproxy.transport.hub import BATCH, DONE, EPOLLIN, EPOLLOUT, LOST, ROUNDS, WATCH, Direct, Hub, hub

#: EPOLLERR and EPOLLHUP, which nobody needs to ask for
EPOLLERR, EPOLLHUP = 8, 16


class FakeEpoll:
    """
    The kernel's side.

    @ivar masks: what is asked of each descriptor
    @ivar ready: what each is ready for
    @ivar polls: batches that were asked for
    """

    def __init__(self) -> None:
        self.masks: dict[int, int] = {}
        self.ready: dict[int, int] = {}
        self.told: dict[int, int] = {}
        self.polls = 0

    def fileno(self) -> int:
        return 3

    def register(self, fd: int, mask: int) -> None:
        assert fd >= 0 and fd not in self.masks
        self.masks[fd] = mask
        self.told[fd] = 0

    def modify(self, fd: int, mask: int) -> None:
        assert fd in self.masks
        self.masks[fd] = mask
        self.told[fd] = 0

    def unregister(self, fd: int) -> None:
        del self.masks[fd]

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        assert timeout == 0
        self.polls += 1
        events = []
        for fd, mask in self.masks.items():
            event = self.ready.get(fd, 0) & (mask | EPOLLERR | EPOLLHUP)
            if mask & WATCH:  # edge-triggered
                event, self.told[fd] = event & ~self.told[fd], event
            if event:
                events.append((fd, event))
        return events[:most]


class FakeReactor(Clock):
    """Knows its readers."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        assert reader not in self.readers
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        if reader in self.readers:
            self.readers.remove(reader)

    removeWriter = removeReader


class Descriptor:
    """
    Does on each call what C{script} says, and remembers the calls.
    """

    def __init__(self, fd: int, **script: Callable[[], Any]) -> None:
        self.fd = fd
        self.script = script
        self.calls: list[str] = []
        self.reason: Failure | None = None

    def fileno(self) -> int:
        return self.fd

    def _call(self, name: str) -> Any:
        self.calls.append(name)
        return self.script.get(name, lambda: None)()

    def doRead(self) -> Any:
        return self._call("doRead")

    def doWrite(self) -> Any:
        return self._call("doWrite")

    def hung_up(self) -> Any:
        return self._call("hung_up")

    def readConnectionLost(self, reason: Failure) -> None:
        self.reason = reason
        self._call("readConnectionLost")

    def connectionLost(self, reason: Failure) -> None:
        self.reason = reason
        self._call("connectionLost")


class HubTests(SynchronousTestCase):
    """One epoll, in the reactor only while somebody is in it."""

    def setUp(self) -> None:
        self.epoll = FakeEpoll()
        self.patch(module.select, "epoll", lambda: self.epoll)
        self.reactor = FakeReactor()
        self.hub: Any = hub(self.reactor)

    def ready(self, fd: int, events: int) -> None:
        """The kernel has something for C{fd}, until it is read."""
        self.epoll.ready[fd] = events

    def serve(self) -> None:
        """One wake-up, in which everything that is ready is ready once."""
        self.patch(module, "ROUNDS", 1)
        self.hub.doRead()

    def test_empty(self) -> None:
        """The reactor has it while there is something to wait for, and no longer: nothing is left behind."""
        a, b = Descriptor(10), Descriptor(11)
        self.assertEqual([], self.reactor.readers)
        self.hub.addReader(a)
        self.hub.addWriter(b)
        self.assertEqual([self.hub], self.reactor.readers)
        self.hub.removeReader(a)
        self.assertEqual([self.hub], self.reactor.readers)
        self.hub.removeWriter(b)
        self.assertEqual([], self.reactor.readers)
        self.assertEqual({}, self.epoll.masks)

    def test_level(self) -> None:
        """Whoever leaves something unread is called again."""
        a = Descriptor(10)
        self.hub.addReader(a)
        self.ready(10, EPOLLIN)
        self.serve()
        self.serve()
        self.assertEqual(["doRead", "doRead"], a.calls)

    def test_rounds(self) -> None:
        """A busy descriptor does not keep the reactor's timers waiting for ever, nor do many."""
        busy = [Descriptor(10 + n) for n in range(BATCH + 5)]
        for descriptor in busy:
            self.hub.addReader(descriptor)
            self.ready(descriptor.fd, EPOLLIN)
        self.hub.doRead()
        self.assertEqual(ROUNDS, self.epoll.polls)

    def test_nothing_more(self) -> None:
        """When the kernel has nothing, it is not asked again."""
        self.hub.addReader(Descriptor(10))
        self.hub.doRead()
        self.assertEqual(1, self.epoll.polls)

    def test_interest(self) -> None:
        """Reading and writing are wanted and forgone by themselves, as often as one likes."""
        a = Descriptor(10)
        self.hub.addReader(a)
        self.hub.addReader(a)
        self.hub.addWriter(a)
        self.assertEqual(EPOLLIN | EPOLLOUT, self.epoll.masks[10])
        self.assertEqual(([a], [a]), (self.hub.getReaders(), self.hub.getWriters()))
        self.hub.removeReader(a)
        self.hub.removeReader(a)
        self.assertEqual(EPOLLOUT, self.epoll.masks[10])
        self.hub.removeWriter(a)
        self.hub.removeWriter(a)
        self.assertEqual({}, self.epoll.masks)

    def test_both(self) -> None:
        """What is readable and writable is read, then written."""
        a = Descriptor(10)
        self.hub.addReader(a)
        self.hub.addWriter(a)
        self.ready(10, EPOLLIN | EPOLLOUT)
        self.serve()
        self.assertEqual(["doRead", "doWrite"], a.calls)

    def test_read_ends_writing(self) -> None:
        """Not written any more where reading made it not want to."""
        a = Descriptor(10, doRead=lambda: self.hub.removeWriter(a))
        self.hub.addReader(a)
        self.hub.addWriter(a)
        self.ready(10, EPOLLIN | EPOLLOUT)
        self.serve()
        self.assertEqual(["doRead"], a.calls)

    def test_read_closes(self) -> None:
        """Nor where reading closed it."""
        a = Descriptor(10, doRead=lambda: self.hub.forget(a))
        self.hub.addReader(a)
        self.hub.addWriter(a)
        self.ready(10, EPOLLIN | EPOLLOUT)
        self.serve()
        self.assertEqual(["doRead"], a.calls)

    def test_closed_in_batch(self) -> None:
        """An event for one that another has closed a moment ago is nobody's."""
        second = Descriptor(11)
        first = Descriptor(10, doRead=lambda: self.hub.forget(second))
        for descriptor in (first, second):
            self.hub.addReader(descriptor)
            self.ready(descriptor.fd, EPOLLIN)
        self.serve()
        self.assertEqual([["doRead"], []], [first.calls, second.calls])

    def test_number_again(self) -> None:
        """
        Whoever has got the number of one that was closed in the same batch is asked only what it wants to be asked:
        a connection that is being opened is not read from.
        """
        old, new = Descriptor(11), Descriptor(11)

        def replace() -> None:
            self.hub.forget(old)
            del self.epoll.masks[11]  # as the kernel does on close()
            self.hub.addWriter(new)

        first = Descriptor(10, doRead=replace)
        self.hub.addReader(first)
        self.hub.addReader(old)
        self.ready(10, EPOLLIN)
        self.ready(11, EPOLLIN)
        self.serve()
        self.assertEqual([[], []], [old.calls, new.calls])
        self.assertEqual([new], self.hub.getWriters())

    def test_trouble(self) -> None:
        """An error is told through what the descriptor waits for."""
        for add, called in (("addReader", "doRead"), ("addWriter", "doWrite"), ("watch", "hung_up")):
            a = Descriptor(10)
            getattr(self.hub, add)(a)
            self.ready(10, EPOLLERR | EPOLLHUP | EPOLLIN | EPOLLOUT)
            self.serve()
            self.assertEqual([called], a.calls)
            self.hub.removeReader(a)
            self.hub.removeWriter(a)

    def test_paused(self) -> None:
        """One that is paused is not read, and hears of a hang-up once: a hang-up lasts, and would keep us awake."""
        a = Descriptor(10)
        self.hub.addReader(a)
        self.hub.watch(a)
        self.hub.watch(a)
        self.ready(10, EPOLLIN)
        self.serve()
        self.assertEqual([], a.calls)
        self.ready(10, EPOLLIN | EPOLLHUP)
        self.serve()
        self.serve()
        self.assertEqual(["hung_up"], a.calls)

    def test_resumed(self) -> None:
        """Reading again ends the pause."""
        a = Descriptor(10)
        self.hub.watch(a)
        self.hub.addReader(a)
        self.ready(10, EPOLLIN)
        self.serve()
        self.assertEqual(["doRead"], a.calls)
        self.hub.removeReader(a)
        self.assertEqual({}, self.epoll.masks)

    def test_paused_and_writing(self) -> None:
        """While it writes, it writes; then it waits for a hang-up again."""
        a = Descriptor(10)
        self.hub.watch(a)
        self.hub.addWriter(a)
        self.ready(10, EPOLLIN | EPOLLOUT)
        self.serve()
        self.assertEqual(["doWrite"], a.calls)
        self.hub.removeWriter(a)
        self.assertEqual(WATCH, self.epoll.masks[10])

    def test_paused_breaks(self) -> None:
        """The hang-up of a paused one ends it."""
        a = Descriptor(10, hung_up=lambda: LOST)
        self.hub.watch(a)
        self.ready(10, EPOLLHUP)
        self.serve()
        self.assertEqual(["hung_up", "connectionLost"], a.calls)
        self.assertEqual([], self.reactor.readers)

    def test_eof(self) -> None:
        """An end of file is told as such, and is not read again unless somebody wants to."""
        a = Descriptor(10, doRead=lambda: DONE)
        self.hub.addReader(a)
        self.hub.addWriter(a)
        self.ready(10, EPOLLIN)
        self.serve()
        self.assertEqual(["doRead", "readConnectionLost"], a.calls)
        assert a.reason is not None
        self.assertTrue(a.reason.check(ConnectionDone))
        self.assertEqual(([], [a]), (self.hub.getReaders(), self.hub.getWriters()))

    def test_eof_to_another(self) -> None:
        """Whoever is told of the end may have somebody else read on, who stays."""
        other = Descriptor(10)
        a = Descriptor(10, doRead=lambda: DONE, readConnectionLost=lambda: self.hub.addReader(other))
        self.hub.addReader(a)
        self.ready(10, EPOLLIN)
        self.serve()
        self.assertEqual([other], self.hub.getReaders())

    def test_lost(self) -> None:
        """A broken connection is forgotten, then told."""
        a = Descriptor(10, doRead=lambda: LOST)
        self.hub.addReader(a)
        self.hub.addWriter(a)
        self.ready(10, EPOLLIN)
        self.serve()
        self.assertEqual(["doRead", "connectionLost"], a.calls)
        assert a.reason is not None
        self.assertTrue(a.reason.check(ConnectionLost))
        self.assertEqual({}, self.epoll.masks)

    def test_done_writing(self) -> None:
        """The orderly end of one that wrote its last is the end, not an end of file."""
        a = Descriptor(10, doWrite=lambda: DONE)
        self.hub.addWriter(a)
        self.ready(10, EPOLLOUT)
        self.serve()
        self.assertEqual(["doWrite", "connectionLost"], a.calls)

    def test_exception(self) -> None:
        """An exception ends the one and is logged; the others are served, and the hub stays in the reactor."""

        def crash() -> None:
            raise ZeroDivisionError

        for where in ("doRead", "readConnectionLost"):
            script = {"doRead": crash} if where == "doRead" else {"doRead": lambda: DONE, where: crash}
            a, b = Descriptor(10, **script), Descriptor(11)
            self.hub.addReader(a)
            self.hub.addReader(b)
            self.ready(10, EPOLLIN)
            self.ready(11, EPOLLIN)
            self.serve()
            self.assertEqual("connectionLost", a.calls[-1])
            self.assertEqual(["doRead"], b.calls)
            self.assertEqual([self.hub], self.reactor.readers)
            self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
            self.hub.removeReader(b)

    def test_exception_at_end(self) -> None:
        """Nor does one in connectionLost reach anybody else."""

        def crash() -> None:
            raise ZeroDivisionError

        a = Descriptor(10, doRead=lambda: LOST, connectionLost=crash)
        b = Descriptor(11)
        self.hub.addReader(a)
        self.hub.addReader(b)
        self.ready(10, EPOLLIN)
        self.ready(11, EPOLLIN)
        self.serve()
        self.assertEqual(["doRead"], b.calls)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_kernel_error(self) -> None:
        """A kernel that does not know the descriptor any more is no reason to lose the others."""

        def unregister(fd: int) -> None:
            raise OSError(errno.EBADF, "closed behind our back")

        a, b = Descriptor(10, doRead=lambda: LOST), Descriptor(11)
        self.hub.addReader(a)
        self.hub.addReader(b)
        self.ready(10, EPOLLIN)
        self.ready(11, EPOLLIN)
        self.epoll.unregister = unregister  # type: ignore[method-assign]
        self.serve()
        self.assertEqual(["doRead"], b.calls)
        self.assertEqual([b], self.hub.getReaders())
        self.flushLoggedErrors(OSError)

    def test_takeover(self) -> None:
        """The latest to ask for a number is served; what its predecessor forgoes changes nothing."""
        old, new = Descriptor(10), Descriptor(10)
        self.hub.addReader(old)
        self.hub.addReader(new)
        self.hub.removeReader(old)
        self.hub.watch(old)
        self.hub.forget(old)
        self.ready(10, EPOLLIN)
        self.serve()
        self.assertEqual([[], ["doRead"]], [old.calls, new.calls])

    def test_forget(self) -> None:
        """Closing takes a descriptor out of the kernel's set by itself: no system call is made for it."""
        a = Descriptor(10)
        self.hub.addReader(a)
        self.hub.forget(a)
        self.assertIn(10, self.epoll.masks)
        self.assertEqual([], self.reactor.readers)
        self.hub.forget(a)

    def test_remove_all(self) -> None:
        """Everybody is returned and nobody served."""
        a, b = Descriptor(10), Descriptor(11)
        self.hub.addReader(a)
        self.hub.watch(b)
        self.assertEqual([a, b], self.hub.removeAll())
        self.assertEqual(({}, []), (self.epoll.masks, self.reactor.readers))

    def test_reactor_ends(self) -> None:
        """A reactor that goes down ends every connection, one that raises included."""

        def crash() -> None:
            raise ZeroDivisionError

        a, b = Descriptor(10, connectionLost=crash), Descriptor(11)
        self.hub.addReader(a)
        self.hub.addWriter(b)
        self.reactor.readers.remove(self.hub)
        self.hub.connectionLost(Failure(ConnectionLost()))
        self.assertEqual([["connectionLost"], ["connectionLost"]], [a.calls, b.calls])
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_clock(self) -> None:
        """Transports ask it for time and timers, as they would the reactor."""
        fired: list[int] = []
        self.hub.callLater(1, fired.append, 1)
        self.reactor.advance(1)
        self.assertEqual(([1], 1.0), (fired, self.hub.seconds()))

    def test_shown(self) -> None:
        """It shows whom it serves."""
        self.assertEqual("<Hub of 0 descriptors []>", repr(self.hub))
        self.assertEqual("lproxy", self.hub.logPrefix())
        self.assertEqual(3, self.hub.fileno())


class DirectTests(SynchronousTestCase):
    """Where there is no epoll, the reactor serves."""

    def test_no_epoll(self) -> None:
        """The reactor itself, which has to be told of a close."""
        self.patch(module.select, "epoll", None)
        del module.select.epoll
        reactor = FakeReactor()
        direct: Any = hub(reactor)
        self.assertIsInstance(direct, Direct)
        self.assertNotIsInstance(direct, Hub)
        a = Descriptor(10)
        direct.addReader(a)
        self.assertEqual([a], reactor.readers)
        direct.forget(a)
        self.assertEqual([], reactor.readers)
        self.assertEqual(0.0, direct.seconds())
