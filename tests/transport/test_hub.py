# -*- test-case-name: tests.transport.test_hub -*-
"""
Tests for L{lproxy.transport.hub} without a kernel.

With one, and under every reactor: L{tests.integration.test_transport}.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.pollreactor import PollReactor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.testing.garbage import only_new, uncounted
from lproxy.transport import hub as module
from lproxy.transport.hub import BATCH, BUSY, READ, ROUNDS, SHARE, WATCH, WRITE, Descriptor, EpollHub, ReactorHub, hub
from lproxy.transport.writes import WRITES
from tests.transport.sockets import FakeReactor

#: EPOLLERR and EPOLLHUP, which nobody needs to ask for
EPOLLERR, EPOLLHUP = 8, 16


class FakeEpoll:
    """
    The kernel's side.

    @ivar masks: what is asked of each descriptor
    @ivar ready: what each is ready for
    @ivar polls: batches that were asked for
    @ivar refuse: what each change is refused with
    """

    def __init__(self) -> None:
        self.masks: dict[int, int] = {}
        self.ready: dict[int, int] = {}
        self.told: dict[int, int] = {}
        self.polls = 0
        self.changes = 0
        self.refuse: OSError | None = None

    def fileno(self) -> int:
        return 3

    def _change(self) -> None:
        self.changes += 1
        if self.refuse is not None:
            raise self.refuse

    def register(self, fd: int, mask: int) -> None:
        self._change()
        assert fd >= 0 and fd not in self.masks
        self.masks[fd] = mask
        self.told[fd] = 0

    def modify(self, fd: int, mask: int) -> None:
        self._change()
        assert fd in self.masks
        self.masks[fd] = mask
        self.told[fd] = 0

    def unregister(self, fd: int) -> None:
        self._change()
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


class Told:
    """
    Does at each call what C{script} says, and remembers the calls.

    @ivar descriptor: its own
    """

    def __init__(self, fd: int, **script: Callable[[], Any]) -> None:
        self.descriptor = Descriptor(fd, self)
        self.script = script
        self.calls: list[str] = []
        self.failures: list[type] = []

    def _call(self, name: str) -> None:
        self.calls.append(name)
        self.script.get(name, lambda: None)()

    def readable(self) -> None:
        self._call("readable")

    def writable(self) -> None:
        self._call("writable")

    def hung_up(self) -> None:
        self._call("hung_up")

    def crashed(self, failure: Failure) -> None:
        self.failures.append(failure.type)
        self._call("crashed")

    def shut_down(self) -> None:
        self._call("shut_down")


class Waits:
    """Has something to write, and notes when it was to."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.entered = False
        self.order: list[str] = []
        self._then = then

    def enter(self, ready: dict[int, int], fd: int) -> None:
        """On account of C{fd}, which was read."""
        ready[fd] = 0
        self.order.append("r")
        WRITES.enter(self)

    def flush(self) -> None:
        """Noted."""
        self.order.append("w")
        self._then()


def raising(error: BaseException) -> Callable[[], None]:
    """Raises C{error} when it is called."""

    def call() -> None:
        raise error

    return call


class HubCase(SynchronousTestCase):
    """A hub in a reactor, with a kernel of our own."""

    def setUp(self) -> None:
        self.epoll = FakeEpoll()
        self.patch(select, "epoll", lambda: self.epoll)
        self.reactor = FakeReactor()
        self.hub = EpollHub(self.reactor)

    def told(self, fd: int, interest: int, ready: int = 0, **script: Callable[[], Any]) -> Told:
        """Somebody who waits for C{interest}; the kernel has C{ready} for him, until it is read."""
        told = Told(fd, **script)
        self.hub.want(told.descriptor, interest)
        self.epoll.ready[fd] = ready
        return told

    def serve(self) -> None:
        """One batch: with two that are ready at most the kernel is asked but once."""
        before = self.epoll.polls
        self.hub.serve()
        self.assertEqual(1, self.epoll.polls - before)


class InterestTests(HubCase):
    """One epoll, in the reactor only while somebody is in it."""

    def test_empty(self) -> None:
        """The reactor has it while there is something to wait for, and no longer: nothing is left behind."""
        self.assertEqual([], self.reactor.readers)
        a, b = self.told(10, READ), self.told(11, WRITE)
        (door,) = self.reactor.readers
        self.assertEqual((3, 2), (door.fileno(), len(self.hub)))
        self.hub.want(a.descriptor, 0)
        self.assertEqual([door], self.reactor.readers)
        self.hub.want(b.descriptor, 0)
        self.assertEqual(([], {}, 0), (self.reactor.readers, self.epoll.masks, len(self.hub)))

    def test_interest(self) -> None:
        """Reading and writing are wanted and forgone by themselves; the kernel is told only of what is new."""
        a = self.told(10, READ)
        self.hub.want(a.descriptor, READ)
        self.hub.want(a.descriptor, READ | WRITE)
        self.assertEqual((READ | WRITE, READ | WRITE), (self.epoll.masks[10], a.descriptor.interest))
        self.hub.want(a.descriptor, WRITE)
        self.assertEqual(WRITE, self.epoll.masks[10])
        self.hub.want(a.descriptor, 0)
        self.hub.want(a.descriptor, 0)
        self.assertEqual(({}, 4), (self.epoll.masks, self.epoll.changes))

    def test_watched_besides(self) -> None:
        """While anything else is wanted a watched one is as one that is not, to the kernel: told again and again."""
        a = self.told(10, WATCH)
        self.assertEqual(WATCH, self.epoll.masks[10])
        self.hub.want(a.descriptor, WATCH | WRITE)
        self.assertEqual(WRITE, self.epoll.masks[10])
        self.hub.want(a.descriptor, WRITE)
        self.assertEqual((WRITE, 2), (self.epoll.masks[10], self.epoll.changes))
        self.hub.want(a.descriptor, WATCH)
        self.assertEqual(WATCH, self.epoll.masks[10])

    def test_forget(self) -> None:
        """Closing takes a descriptor out of the kernel's set by itself: no system call is made for it."""
        a = self.told(10, READ)
        self.hub.forget(a.descriptor)
        self.assertIn(10, self.epoll.masks)
        self.assertEqual(([], 0, 1), (self.reactor.readers, a.descriptor.interest, self.epoll.changes))
        self.hub.forget(a.descriptor)

    def test_forgotten(self) -> None:
        """A descriptor that is forgotten holds nobody, so that nothing of a closed connection is left in a cycle."""
        self.enterContext(only_new())
        for interest in (0, READ, WATCH):
            with uncounted("tests") as left:
                a = self.told(10, interest)
                self.hub.forget(a.descriptor)
                self.epoll.masks.clear()
                del a
            self.assertEqual([], left)

    def test_refused(self) -> None:
        """A kernel that waits for no more descriptors says so to whoever asks; nothing is changed, nobody is harmed."""
        b = self.told(11, READ, READ)
        self.epoll.refuse = OSError(errno.ENOSPC, "no more")
        a = Told(10)
        self.assertRaises(OSError, self.hub.want, a.descriptor, READ)
        self.assertRaises(OSError, self.hub.want, b.descriptor, READ | WRITE)
        self.hub.forget(a.descriptor)
        self.serve()
        self.assertEqual(([], ["readable"], READ), (a.calls, b.calls, b.descriptor.interest))

    def test_closed_behind_our_back(self) -> None:
        """A kernel that does not know the descriptor any more is no reason to lose the others."""
        a = self.told(10, READ, READ, readable=lambda: self.hub.want(a.descriptor, 0))
        b = self.told(11, READ, READ)
        self.epoll.refuse = OSError(errno.EBADF, "closed behind our back")
        self.serve()
        self.assertEqual((["readable", "crashed"], ["readable"]), (a.calls, b.calls))
        self.assertEqual((1, [OSError]), (len(self.hub), a.failures))


class ServeTests(HubCase):
    """Everybody is told of what he waits for."""

    def test_level(self) -> None:
        """Whoever leaves something unread is called again."""
        a = self.told(10, READ, READ)
        self.serve()
        self.serve()
        self.assertEqual(["readable", "readable"], a.calls)

    def test_rounds(self) -> None:
        """A busy descriptor does not keep the reactor's timers waiting for ever, nor do many."""
        busy = [self.told(10 + n, READ, READ) for n in range(BATCH + 5)]
        self.hub.serve()
        self.assertEqual(ROUNDS, self.epoll.polls)
        self.assertEqual([ROUNDS] * BATCH + [0] * 5, [len(told.calls) for told in busy])

    def test_nothing_more(self) -> None:
        """When the kernel has but little, it is not asked again in this turn: the reactor will."""
        for n in range(BUSY):
            self.told(10 + n, READ, READ)
        self.hub.serve()
        self.assertEqual(ROUNDS, self.epoll.polls)
        self.epoll.ready[10] = 0
        self.serve()

    def test_written_together(self) -> None:
        """What a batch causes to be written is written at its end, or that of a part where there is much."""
        for count, order in ((3, ["r"] * 3 + ["w"]), (SHARE + 2, [*["r"] * SHARE, "w", "r", "r", "w"])):
            self.setUp()
            writer = Waits()
            for n in range(count):
                self.told(10 + n, READ, READ, readable=partial(writer.enter, self.epoll.ready, 10 + n))
            self.hub.serve()
            self.assertEqual(order, writer.order)

    def test_written_with_mistakes(self) -> None:
        """Who raises when it is to write is logged, and the next batch is served."""
        writer = Waits(raising(SystemExit(1)))
        a = self.told(10, READ, READ, readable=partial(WRITES.enter, writer))
        self.serve()
        self.assertEqual(1, len(self.flushLoggedErrors(SystemExit)))
        self.serve()
        self.assertEqual(2, len(a.calls))
        self.assertEqual(1, len(self.flushLoggedErrors(SystemExit)))

    def test_both(self) -> None:
        """What is readable and writable is read, then written."""
        a = self.told(10, READ | WRITE, READ | WRITE)
        self.serve()
        self.assertEqual(["readable", "writable"], a.calls)

    def test_read_ends_writing(self) -> None:
        """Not written any more where reading made it not want to."""
        a = self.told(10, READ | WRITE, READ | WRITE, readable=lambda: self.hub.want(a.descriptor, READ))
        self.serve()
        self.assertEqual(["readable"], a.calls)

    def test_read_closes(self) -> None:
        """Nor where reading closed it."""
        a = self.told(10, READ | WRITE, READ | WRITE, readable=lambda: self.hub.forget(a.descriptor))
        self.serve()
        self.assertEqual(["readable"], a.calls)

    def test_closed_in_batch(self) -> None:
        """An event for one that another has closed a moment ago is nobody's."""
        first = self.told(10, READ, READ, readable=lambda: self.hub.forget(second.descriptor))
        second = self.told(11, READ, READ)
        self.serve()
        self.assertEqual([["readable"], []], [first.calls, second.calls])

    def test_number_again(self) -> None:
        """
        Whoever has got the number of one that was closed in the same batch is asked only what it wants to be asked:
        a connection that is being opened is not read from.
        """
        new = Told(11)

        def replace() -> None:
            self.hub.forget(old.descriptor)
            del self.epoll.masks[11]  # as the kernel does on close()
            self.hub.want(new.descriptor, WRITE)

        self.told(10, READ, READ, readable=replace)
        old = self.told(11, READ, READ)
        self.serve()
        self.assertEqual([[], []], [old.calls, new.calls])
        self.assertEqual((WRITE, 2), (self.epoll.masks[11], len(self.hub)))
        # the predecessor's own end changes nothing of it
        self.hub.forget(old.descriptor)
        self.assertEqual(2, len(self.hub))

    def test_trouble(self) -> None:
        """An error is told through what the descriptor waits for."""
        for fd, interest, called in (
            (10, READ, "readable"),
            (11, READ | WRITE, "readable"),
            (12, WRITE, "writable"),
            (13, WRITE | WATCH, "writable"),
            (14, WATCH, "hung_up"),
        ):
            a = self.told(fd, interest, EPOLLERR | EPOLLHUP | READ | WRITE)
            self.serve()
            self.assertEqual([called], a.calls)
            self.hub.want(a.descriptor, 0)

    def test_paused(self) -> None:
        """One that is paused is not read, and hears of a hang-up once: a hang-up lasts, and would keep us awake."""
        a = self.told(10, READ, READ)
        self.hub.want(a.descriptor, WATCH)
        self.hub.want(a.descriptor, WATCH)
        self.serve()
        self.assertEqual([], a.calls)
        self.epoll.ready[10] = READ | EPOLLHUP
        self.serve()
        self.serve()
        self.assertEqual(["hung_up"], a.calls)

    def test_resumed(self) -> None:
        """Reading again ends the pause."""
        a = self.told(10, WATCH, READ)
        self.hub.want(a.descriptor, READ)
        self.serve()
        self.assertEqual(["readable"], a.calls)

    def test_paused_and_writing(self) -> None:
        """While it writes, it writes; then it waits for a hang-up again."""
        a = self.told(10, WATCH | WRITE, READ | WRITE)
        self.serve()
        self.assertEqual(["writable"], a.calls)

    def test_new_in_batch(self) -> None:
        """One that comes while others are served has its turn, too."""
        new = Told(11)

        def begin() -> None:
            self.hub.want(new.descriptor, READ)
            self.hub.want(a.descriptor, 0)
            self.epoll.ready[11] = READ

        a = self.told(10, READ, READ, readable=begin)
        self.serve()
        self.serve()
        self.assertEqual(["readable"], new.calls)


class ContainTests(HubCase):
    """What one raises is its own trouble."""

    def test_exception(self) -> None:
        """It is told; the others are served, and the hub stays in the reactor. Whatever is raised, and wherever."""
        for error in (ZeroDivisionError(), SystemExit(1), KeyboardInterrupt(), GeneratorExit()):
            for name, interest, ready in (
                ("readable", READ, READ),
                ("writable", WRITE, WRITE),
                ("hung_up", WATCH, EPOLLHUP),
            ):
                self.setUp()
                a = self.told(10, interest, ready, **{name: raising(error)})
                b = self.told(11, READ, READ)
                self.serve()
                self.assertEqual(([name, "crashed"], [type(error)]), (a.calls, a.failures))
                self.assertEqual((["readable"], 1), (b.calls, len(self.reactor.readers)))

    def test_not_written(self) -> None:
        """One that raised while it was read is not written."""
        a = self.told(10, READ | WRITE, READ | WRITE, readable=raising(ZeroDivisionError()))
        self.serve()
        self.assertEqual(["readable", "crashed"], a.calls)

    def test_exception_at_end(self) -> None:
        """Nor does one that is raised by being told of that reach anybody else; it is logged."""
        for error in (ValueError(), SystemExit(1)):
            self.setUp()
            a = self.told(10, READ, READ, readable=raising(ZeroDivisionError()), crashed=raising(error))
            b = self.told(11, READ, READ)
            self.serve()
            self.assertEqual((["readable", "crashed"], ["readable"]), (a.calls, b.calls))
            self.assertEqual(1, len(self.flushLoggedErrors(type(error))))

    def test_reactor_ends(self) -> None:
        """A reactor that goes down ends every connection, one that raises included, but none that is closed already."""
        a = self.told(10, READ, shut_down=raising(SystemExit(1)))
        b = self.told(11, WRITE, shut_down=lambda: self.hub.forget(c.descriptor))
        c = self.told(12, WATCH)
        (door,) = self.reactor.readers
        self.reactor.readers.clear()
        door.connectionLost(Failure(ConnectionLost()))
        self.assertEqual([["shut_down", "crashed"], ["shut_down"], []], [a.calls, b.calls, c.calls])


class FactoryTests(HubCase):
    """What transports ask of the hub besides."""

    def test_clock(self) -> None:
        """Time and timers, as of the reactor."""
        for made in (self.hub, ReactorHub(self.reactor)):
            fired: list[int] = []
            before = made.seconds()
            made.call_later(1, fired.append, 1)
            self.reactor.advance(1)
            self.assertEqual(([1], 1.0), (fired, made.seconds() - before))

    def test_shown(self) -> None:
        """It shows how many it serves, a descriptor whom it belongs to."""
        a = self.told(10, READ)
        self.assertEqual("<EpollHub of 1 descriptors>", repr(self.hub))
        self.assertEqual(f"<Descriptor 10 of {a!r}>", repr(a.descriptor))
        (door,) = self.reactor.readers
        self.assertEqual(("lproxy", 3), (door.logPrefix(), self.hub.fileno()))

    def test_door(self) -> None:
        """The reactor's readable is everybody's."""
        a = self.told(10, READ, READ)
        self.reactor.readers[0].doRead()
        self.assertEqual(["readable"], a.calls)

    def test_served(self) -> None:
        """Whether whoever waits would be told: not when the kernel has lost one of us, nor when the reactor has."""
        a, b = self.told(10, READ), Told(11)
        self.assertEqual([True, False], [self.hub.served(one.descriptor) for one in (a, b)])
        self.assertEqual({10: READ}, self.epoll.masks)
        for error in (OSError(errno.ENOENT, "not there"), OSError(errno.EBADF, "closed"), None):
            self.epoll.refuse = error
            self.assertIs(error is None, self.hub.served(a.descriptor))
        self.reactor.readers.clear()
        self.assertFalse(self.hub.served(a.descriptor))

    def test_which(self) -> None:
        """An epoll where the platform has one; else the reactor itself."""
        self.assertIsInstance(hub(self.reactor), EpollHub)
        self.patch(module.select, "epoll", None)
        del module.select.epoll
        self.assertIsInstance(hub(self.reactor), ReactorHub)


class ReactorHubTests(SynchronousTestCase):
    """Where there is no epoll, the reactor serves: one of poll, here, whose turns are the test's."""

    def setUp(self) -> None:
        self.reactor: Any = PollReactor()
        self.addCleanup(self._close)
        self.hub = ReactorHub(self.reactor)

    def _close(self) -> None:
        self.reactor.removeAll()
        for reader in list(self.reactor._internalReaders):
            self.reactor._internalReaders.discard(reader)
            reader.connectionLost(None)

    def pair(self, interest: int, tcp: bool = False, **script: Callable[[], Any]) -> tuple[Told, socket.socket]:
        if tcp:
            with socket.create_server(("127.0.0.1", 0)) as server:
                there = socket.create_connection(server.getsockname())
                here, _ = server.accept()
        else:
            here, there = socket.socketpair()
        for sock in (here, there):
            self.addCleanup(sock.close)
        self.sock = here
        told = Told(here.fileno(), **script)
        self.hub.want(told.descriptor, interest)
        return told, there

    def turn(self, seconds: float = 0.0) -> None:
        self.reactor.doPoll(seconds)

    @property
    def served(self) -> list[str]:
        """Whom the reactor reads or writes, but for its own."""
        everyone = self.reactor.getReaders() + self.reactor.getWriters()
        return [each.logPrefix() for each in everyone if each not in self.reactor._internalReaders]

    def test_served_here(self) -> None:
        """Whoever waits is served, until the reactor has forgotten."""
        told, _ = self.pair(READ)
        self.assertTrue(self.hub.served(told.descriptor))
        self.reactor.removeAll()
        self.assertFalse(self.hub.served(told.descriptor))
        self.hub.want(told.descriptor, 0)
        self.assertFalse(self.hub.served(told.descriptor))

    def test_interest(self) -> None:
        """Each is told of what it waits for, again and again, and of nothing else."""
        told, peer = self.pair(READ)
        self.turn()
        self.assertEqual([], told.calls)
        peer.send(b"x")
        self.turn()
        self.turn()
        self.assertEqual(["readable"] * 2, told.calls)
        self.hub.want(told.descriptor, WRITE)
        self.turn()
        self.assertEqual(["readable"] * 2 + ["writable"], told.calls)
        self.hub.want(told.descriptor, READ | WRITE)
        self.turn()
        self.assertEqual(["readable", "writable"], told.calls[3:])
        self.assertEqual(["lproxy"] * 2, self.served)
        for interest in (WATCH, 0, 0):
            self.hub.want(told.descriptor, interest)
            self.turn()
        self.assertEqual(([], []), (told.calls[5:], self.served))

    def test_forget(self) -> None:
        """One that is forgotten is told of nothing, in whatever state it was, and nothing refers to it any more."""
        for interest in (READ, READ | WRITE, WATCH, 0):
            told, peer = self.pair(interest)
            peer.send(b"x")
            self.hub.forget(told.descriptor)
            self.hub.forget(told.descriptor)
            self.turn()
            self.assertEqual(([], {}), (told.calls, self.hub._adapters))
            self.assertIsNone(told.descriptor.events)

    def test_forgotten_while_read(self) -> None:
        """Also where being told of bytes closed it."""
        told, peer = self.pair(READ | WRITE, readable=lambda: self.hub.forget(told.descriptor))
        peer.send(b"x")
        self.turn()
        self.turn()
        self.assertEqual(["readable"], told.calls)

    def test_exception(self) -> None:
        """What it raises is its own trouble, and told; the reactor goes on with it."""
        for name, interest in (("readable", READ), ("writable", WRITE)):
            for error in (ZeroDivisionError(), SystemExit(1)):
                told, peer = self.pair(interest, **{name: raising(error)})
                peer.send(b"x")
                self.turn()
                self.assertEqual(([name, "crashed"], [type(error)]), (told.calls, told.failures))
                self.assertEqual(["lproxy"], self.served)
                self.hub.forget(told.descriptor)

    def test_broken(self) -> None:
        """A reactor that finds the connection broken by itself has the descriptor find out how, before it ends."""
        for known in (True, False):
            told, peer = self.pair(WRITE, tcp=True)
            if known:
                told.script["hung_up"] = partial(self.hub.forget, told.descriptor)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            while "hung_up" not in told.calls:
                told.calls.clear()
                self.turn(10)
            self.assertEqual(["hung_up"] if known else ["hung_up", "shut_down"], told.calls)
            self.hub.forget(told.descriptor)

    def test_reactor_ends(self) -> None:
        """A reactor that goes down ends every connection, one that raises included."""
        a, _ = self.pair(READ, hung_up=raising(ZeroDivisionError()))
        b, _ = self.pair(WRITE)
        for each in self.reactor.removeAll():
            if each not in self.reactor._internalReaders:
                each.connectionLost(Failure(ConnectionLost()))
        self.assertEqual((["hung_up", "crashed", "shut_down"], ["hung_up", "shut_down"]), (a.calls, b.calls))

    def test_shown(self) -> None:
        """In the reactor it has a name."""
        self.pair(READ)
        self.assertEqual(["lproxy"], self.served)
