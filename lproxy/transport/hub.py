# -*- test-case-name: tests.transport.test_hub -*-
"""
A descriptor set of its own inside the reactor: one epoll, seen by the reactor as one readable descriptor.

Twisted's reactors enter a logging context around every event of every descriptor, which costs more than a
C{recv} of a small message. Here the reactor enters it once for a whole batch. An epoll descriptor can be polled
like any other, so this works under the epoll, poll, select, asyncio and uvloop reactors alike. Where the platform
has no epoll each descriptor goes to the reactor itself (L{ReactorHub}).

Over 300 lines: both kinds of hub keep the same promises, and are read side by side.
"""

from __future__ import annotations

import select
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReadDescriptor, IReadWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from lproxy.transport.writes import WRITES

#: events taken from the kernel in one batch: bounds how long timers and other descriptors wait
BATCH: Final = 256
#: events after which what they have caused is written, where many connections' concerns are one's (L{WRITES})
SHARE: Final = 32
#: batches in one turn of the reactor: asking again costs a tenth of another turn, and while it is busy there is more
ROUNDS: Final = 4
#: events in a batch from which on it counts as busy: one by itself is seldom followed by another at once
BUSY: Final = 3

#: interests: EPOLLIN and EPOLLOUT, whose numbers are the kernel's
READ: Final = 1
WRITE: Final = 4
#: EPOLLET, alone: the kernel tells of an error or hang-up, and only once, as a hang-up without an error lasts
WATCH: Final = 1 << 31
#: events that are neither readable nor writable
TROUBLE: Final = ~(READ | WRITE)

_log = Logger(__name__)


class Events(Protocol):
    """Whoever is told of a descriptor's readiness. There may be nothing, when it is told: EAGAIN is no surprise."""

    __slots__ = ()

    def readable(self) -> None:
        """There is something to read, an end or an error included."""

    def writable(self) -> None:
        """It can be written to, or has an error to tell."""

    def hung_up(self) -> None:
        """Perhaps the connection broke: while only watched, or by the word of a reactor that finds out by itself."""

    def crashed(self, failure: Failure) -> None:
        """One of these raised."""

    def shut_down(self) -> None:
        """The reactor goes down, and with it go all descriptors."""


class Descriptor:
    """
    A file descriptor, and whom to tell of it.

    @ivar events: whom to tell; nobody any more, once it is forgotten
    @ivar interest: what is waited for, bits of L{READ}, L{WRITE} and L{WATCH}; set by L{Hub.want} alone
    """

    __slots__ = ("events", "fd", "interest")

    def __init__(self, fd: int, events: Events) -> None:
        self.fd: int = fd
        self.events: Events | None = events
        self.interest: int = 0

    def __repr__(self) -> str:
        return f"<Descriptor {self.fd} of {self.events!r}>"


class Hub(Protocol):
    """A set of descriptors, and whose clock it is."""

    __slots__ = ()

    def want(self, descriptor: Descriptor, interest: int) -> None:
        """Wait for C{interest} from now on, for nothing where it is 0."""

    def forget(self, descriptor: Descriptor) -> None:
        """C{descriptor} is about to be closed, and tells nobody of anything any more."""

    def served(self, descriptor: Descriptor) -> bool:
        """Whether C{descriptor}, which waits for something, would be told of it. For checks of health."""

    def seconds(self) -> float:
        """The time."""

    def call_later(self, delay: float, f: Any, *args: Any) -> Any:
        """An L{IDelayedCall<twisted.internet.interfaces.IDelayedCall>}."""

    def close(self) -> None:
        """Shut all descriptors down; there will be none any more."""


def hub(reactor: Any) -> Hub:
    """The descriptor set that lproxy's transports of C{reactor} use."""
    return EpollHub(reactor) if hasattr(select, "epoll") else ReactorHub(reactor)


class EpollHub(Hub):
    """
    Descriptors in one epoll of our own.

    @ivar _descriptors: by number; never one without an interest, so that a connection that is told to stop reading and
        writing costs nothing
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor: Any = reactor
        self._epoll: select.epoll = select.epoll()
        self._descriptors: dict[int, Descriptor] = {}
        self._closed: bool = False
        self._door: _Door = _Door(self)
        self._time: Any = reactor.seconds
        self._later: Any = reactor.callLater

    def __repr__(self) -> str:
        return f"<EpollHub of {len(self._descriptors)} descriptors>"

    def __len__(self) -> int:
        return len(self._descriptors)

    def seconds(self) -> float:
        """The reactor's time."""
        now: float = self._time()
        return now

    def call_later(self, delay: float, f: Any, *args: Any) -> Any:
        """As the reactor's callLater."""
        return self._later(delay, f, *args)

    def fileno(self) -> int:
        """The epoll's own descriptor."""
        return self._epoll.fileno()

    def want(self, descriptor: Descriptor, interest: int) -> None:
        """Wait for C{interest}: no system call where nothing changes."""
        before = descriptor.interest
        if interest == before or self._closed:
            return
        fd = descriptor.fd
        if not interest:
            self._drop(descriptor)
            self._epoll.unregister(fd)
            return
        # edge-triggered only while nothing else is asked: the rest relies on being told again
        events = interest & ~WATCH or WATCH
        if not before:
            self._epoll.register(fd, events)
            if not self._descriptors:
                self._reactor.addReader(self._door)
            self._descriptors[fd] = descriptor
        elif events != (before & ~WATCH or WATCH):
            self._epoll.modify(fd, events)
        descriptor.interest = interest

    def forget(self, descriptor: Descriptor) -> None:
        """It is about to be closed, which takes it out of the epoll without another system call."""
        if descriptor.interest:
            self._drop(descriptor)
        # who is told mostly holds it: no cycles for the collector
        descriptor.events = None

    def served(self, descriptor: Descriptor) -> bool:
        """Whether the reactor still looks at us, and the kernel still at C{descriptor}."""
        if self._descriptors.get(descriptor.fd) is not descriptor or self._door not in self._reactor.getReaders():
            return False
        try:
            # changes nothing; fails where either descriptor was closed behind our back, whoever has its number now
            self._epoll.modify(descriptor.fd, descriptor.interest & ~WATCH or WATCH)
        except (OSError, ValueError):
            return False
        return True

    def _drop(self, descriptor: Descriptor) -> None:
        descriptor.interest = 0
        del self._descriptors[descriptor.fd]
        if not self._descriptors:
            self._reactor.removeReader(self._door)

    def serve(self) -> None:
        """Tell of everything that is ready now."""
        poll = self._epoll.poll
        for _ in range(ROUNDS):
            events: list[tuple[int, int]] = poll(0, BATCH)
            if len(events) <= SHARE:
                self._serve(events)
            else:
                for start in range(0, len(events), SHARE):
                    self._serve(events[start : start + SHARE])
            if len(events) < BUSY or self._closed:
                return

    def _serve(self, events: list[tuple[int, int]]) -> None:
        WRITES.begin()
        for fd, event in events:
            # Descriptor numbers are used again within a batch: the event alone proves nothing about whoever holds
            # the number now, who is told only what it waits for, and has to expect that there is nothing.
            descriptor = self._descriptors.get(fd)
            if descriptor is not None:
                self._tell(descriptor, event)
        try:
            WRITES.end()
        except BaseException:
            _log.failure("Unexpected error while what was read was written")

    def _tell(self, descriptor: Descriptor, event: int) -> None:
        told = descriptor.events
        if told is None:
            return
        try:
            if event & TROUBLE:
                # error or hang-up: let recv or send say what it is
                if descriptor.interest & READ:
                    told.readable()
                elif descriptor.interest & WRITE:
                    told.writable()
                else:
                    told.hung_up()
                return
            if event & descriptor.interest & READ:
                told.readable()
            if event & descriptor.interest & WRITE:
                told.writable()
        except BaseException:  # SystemExit included: what a session raises must not take the reactor with it
            _contain(told, Failure())

    def shut_down(self) -> None:
        """The reactor removed us: it is shutting down."""
        for descriptor in list(self._descriptors.values()):
            _shut_down(descriptor)

    def close(self) -> None:
        """Shut all descriptors down, and have none any more."""
        self.shut_down()
        for descriptor in list(self._descriptors.values()):
            self.forget(descriptor)
        self._closed = True
        self._epoll.close()


def _shut_down(descriptor: Descriptor) -> None:
    told = descriptor.events
    if told is None:
        return  # somebody who was shut down before has closed it
    try:
        told.shut_down()
    except BaseException:
        _contain(told, Failure())


def _contain(events: Events, failure: Failure) -> None:
    """What one descriptor's callback raised is that descriptor's trouble: all others are served on."""
    try:
        events.crashed(failure)
    except BaseException:
        _log.failure("Unexpected error while {events!r} ended", events=events)


@implementer(IReadDescriptor)
class _Door:
    """The reactor's view of an L{EpollHub}."""

    def __init__(self, inner: EpollHub) -> None:
        self._hub = inner
        self.fileno = inner.fileno
        self.doRead = inner.serve

    def logPrefix(self) -> str:
        """Who is at work, for log lines written meanwhile."""
        return "lproxy"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor goes down."""
        self._hub.shut_down()


class ReactorHub(Hub):
    """The reactor itself, for platforms without epoll."""

    def __init__(self, reactor: Any) -> None:
        self._reactor: Any = reactor
        self._adapters: dict[Descriptor, _Adapter] = {}

    def seconds(self) -> float:
        """The reactor's time."""
        now: float = self._reactor.seconds()
        return now

    def call_later(self, delay: float, f: Any, *args: Any) -> Any:
        """As the reactor's callLater."""
        return self._reactor.callLater(delay, f, *args)

    def want(self, descriptor: Descriptor, interest: int) -> None:
        """Wait for C{interest}. Nothing is watched here: a broken connection is noticed when it is read again."""
        before, descriptor.interest = descriptor.interest, interest
        adapter = self._adapters.get(descriptor)
        if adapter is None:
            adapter = self._adapters[descriptor] = _Adapter(descriptor)
        for bit, add, remove in (
            (READ, self._reactor.addReader, self._reactor.removeReader),
            (WRITE, self._reactor.addWriter, self._reactor.removeWriter),
        ):
            if (before ^ interest) & bit:
                (add if interest & bit else remove)(adapter)
        if not interest:
            del self._adapters[descriptor]

    def forget(self, descriptor: Descriptor) -> None:
        """It is about to be closed."""
        if descriptor.interest:
            self.want(descriptor, 0)
        descriptor.events = None

    def served(self, descriptor: Descriptor) -> bool:
        """Whether the reactor reads C{descriptor}."""
        return self._adapters.get(descriptor) in self._reactor.getReaders()

    def close(self) -> None:
        """Shut all descriptors down."""
        for descriptor in list(self._adapters):
            _shut_down(descriptor)


@implementer(IReadWriteDescriptor)
class _Adapter:
    """The reactor's view of a descriptor."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Its number."""
        return self._descriptor.fd

    def logPrefix(self) -> str:
        """Who is at work, for log lines written meanwhile."""
        return "lproxy"

    def doRead(self) -> None:
        """Readable."""
        told = self._descriptor.events
        if told is not None:
            try:
                told.readable()
            except BaseException:
                _contain(told, Failure())

    def doWrite(self) -> None:
        """Writable."""
        told = self._descriptor.events
        if told is not None:
            try:
                told.writable()
            except BaseException:
                _contain(told, Failure())

    def connectionLost(self, reason: Failure) -> None:
        """The connection broke, where the descriptor knows of that; else the reactor goes down."""
        told = self._descriptor.events
        if told is not None:
            try:
                told.hung_up()
            except BaseException:
                _contain(told, Failure())
            _shut_down(self._descriptor)
