# -*- test-case-name: tests.transport.test_hub -*-
"""
A descriptor set of its own inside the reactor: one epoll, seen by the reactor as one readable descriptor.

Twisted's reactors enter a logging context around every event of every descriptor, which costs more than a
C{recv} of a small message. Here the reactor enters it once for a whole batch. An epoll descriptor can be polled
like any other, so this works under the epoll, poll, select, asyncio and uvloop reactors alike; where the platform
has no epoll the reactor itself is used.
"""

from __future__ import annotations

import select
from typing import Any, Protocol

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

#: events taken from the kernel in one batch: bounds how long timers and other descriptors wait
BATCH = 256
#: batches in one turn of the reactor: asking again costs a tenth of another turn, and while it is busy there is more
ROUNDS = 4

EPOLLIN = getattr(select, "EPOLLIN", 1)
EPOLLOUT = getattr(select, "EPOLLOUT", 4)
#: anything but readable or writable
TROUBLE = ~(EPOLLIN | EPOLLOUT)
#: EPOLLET, alone: the kernel tells of an error or hang-up, and only once, as a hang-up without an error lasts
WATCH = 1 << 31

_log = Logger()


class Reactor(Protocol):
    """What the hub needs of a reactor: IReactorFDSet and IReactorTime."""

    def addReader(self, reader: Any) -> Any: ...
    def removeReader(self, reader: Any) -> Any: ...
    def addWriter(self, writer: Any) -> Any: ...
    def removeWriter(self, writer: Any) -> Any: ...
    def forget(self, descriptor: Any) -> Any: ...
    def callLater(self, delay: float, f: Any, *args: Any, **kw: Any) -> Any: ...
    def seconds(self) -> float: ...


def hub(reactor: Any) -> Reactor:
    """The descriptor set that lproxy's transports of C{reactor} use."""
    return Hub(reactor) if hasattr(select, "epoll") else Direct(reactor)


class Direct:
    """The reactor itself, where there is no epoll."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def forget(self, descriptor: Any) -> None:
        """C{descriptor} is about to be closed."""
        self._reactor.removeReader(descriptor)
        self._reactor.removeWriter(descriptor)


@implementer(IReactorFDSet, IReadDescriptor)
class Hub:
    """
    Readers and writers in one epoll of our own.

    @ivar _interest: file descriptor to the events it waits for, or L{WATCH}; never an entry without any, so that a
        connection that was told to stop reading and writing costs nothing
    """

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._epoll = select.epoll()
        self._interest: dict[int, int] = {}
        self._descriptors: dict[int, Any] = {}
        # what transports ask of "their reactor", without a detour through us
        self.callLater = reactor.callLater
        self.seconds = reactor.seconds

    def __repr__(self) -> str:
        return f"<Hub of {len(self._descriptors)} descriptors {list(self._descriptors.values())[:5]!r}>"

    # IReadDescriptor: the reactor's view of us

    def fileno(self) -> int:
        """The epoll's own descriptor."""
        return self._epoll.fileno()

    def logPrefix(self) -> str:
        """Who is at work, for log lines written meanwhile."""
        return "lproxy"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor removed us: it is shutting down, and with it go all descriptors."""
        for descriptor in list(self._descriptors.values()):
            self._drop(descriptor, reason)

    def doRead(self) -> None:
        """Serve everything that is ready now."""
        poll = self._epoll.poll
        for _ in range(ROUNDS):
            events = poll(0, BATCH)
            if not events:
                return
            self._serve(events)

    def _serve(self, events: list[tuple[int, int]]) -> None:
        descriptors, interests = self._descriptors, self._interest
        for fd, event in events:
            if fd not in descriptors:
                continue  # an earlier one of this batch closed it
            descriptor = descriptors[fd]
            # Descriptor numbers are used again within a batch: the event alone proves nothing about whoever holds the
            # number now, who may be asked only what it wants to be asked, and has to expect that there is nothing.
            interest = interests[fd]
            reading = event & interest & EPOLLIN
            why = None
            try:
                if event & TROUBLE:
                    # error or hang-up: let recv or send say what it is
                    reading = interest & EPOLLIN
                    if reading:
                        why = descriptor.doRead()
                    elif interest & EPOLLOUT:
                        why = descriptor.doWrite()
                    else:
                        why = descriptor.hung_up()
                else:
                    if reading:
                        why = descriptor.doRead()
                    if event & EPOLLOUT and why is None and self._writes(fd, descriptor):
                        reading = 0
                        why = descriptor.doWrite()
                if why is not None:
                    self._ended(descriptor, why, bool(reading))
            except Exception:
                # that descriptor's own trouble. Were the reactor to see it, it would drop us, and with us all others
                failure = Failure()
                _log.failure("Unexpected error on {descriptor!r}", failure, descriptor=descriptor)
                self._drop(descriptor, failure)

    def _writes(self, fd: int, descriptor: Any) -> bool:
        return self._descriptors.get(fd) is descriptor and bool(self._interest[fd] & EPOLLOUT)

    def _ended(self, descriptor: Any, why: BaseException, reading: bool) -> None:
        if reading and isinstance(why, ConnectionDone):
            # before it is told: it may want to read on, in the hands of somebody else, who finds the same end again.
            # What most want instead, is to be told when the connection breaks
            self.watch(descriptor)
            descriptor.readConnectionLost(Failure(why))
        else:
            self._drop(descriptor, Failure(why))

    def _drop(self, descriptor: Any, reason: Failure) -> None:
        try:
            self.removeReader(descriptor)
            self.removeWriter(descriptor)
            descriptor.connectionLost(reason)
        except Exception:
            _log.failure("Unexpected error while {descriptor!r} ended", descriptor=descriptor)

    # IReactorFDSet: the transports' view of us

    def addReader(self, reader: Any) -> None:
        """Have C{reader.doRead} called whenever it is readable."""
        self._want(reader, EPOLLIN)

    def addWriter(self, writer: Any) -> None:
        """Have C{writer.doWrite} called whenever it is writable."""
        self._want(writer, EPOLLOUT)

    def watch(self, reader: Any) -> None:
        """
        Undo L{addReader}, but have C{reader.hung_up} called when the connection breaks.

        It is called in between for no reason, too. L{addReader} and L{removeReader} end it.
        """
        fd = reader.fileno()
        current = self._interest.get(fd)
        if current is None:
            self._want(reader, WATCH)
        elif self._descriptors[fd] is reader:
            self._interest[fd] = events = current & ~EPOLLIN | WATCH
            if current & EPOLLIN:
                self._epoll.modify(fd, events & ~WATCH or WATCH)

    def removeReader(self, reader: Any) -> None:
        """Undo L{addReader} or L{watch}; harmless where neither was called."""
        self._forgo(reader, EPOLLIN | WATCH)

    def removeWriter(self, writer: Any) -> None:
        """Undo L{addWriter}; harmless where it was not called."""
        self._forgo(writer, EPOLLOUT)

    def forget(self, descriptor: Any) -> None:
        """C{descriptor} is about to be closed, which takes it out of the epoll without another system call."""
        fd = descriptor.fileno()
        if self._descriptors.get(fd) is descriptor:
            del self._interest[fd], self._descriptors[fd]
            if not self._descriptors:
                self._reactor.removeReader(self)

    def removeAll(self) -> list[Any]:
        """Forget and return every descriptor."""
        everyone = list(self._descriptors.values())
        for descriptor in everyone:
            self.removeReader(descriptor)
            self.removeWriter(descriptor)
        return everyone

    def getReaders(self) -> list[Any]:
        """Those that wait to read."""
        return [self._descriptors[fd] for fd, events in self._interest.items() if events & EPOLLIN]

    def getWriters(self) -> list[Any]:
        """Those that wait to write."""
        return [self._descriptors[fd] for fd, events in self._interest.items() if events & EPOLLOUT]

    def _want(self, descriptor: Any, event: int) -> None:
        fd = descriptor.fileno()
        current = self._interest.get(fd)
        if current is None:
            self._epoll.register(fd, event)
            self._interest[fd] = event
            if not self._descriptors:
                self._reactor.addReader(self)
            self._descriptors[fd] = descriptor
        else:
            # relays take over a transport's descriptor number: the latest to ask is served
            self._descriptors[fd] = descriptor
            if not current & event:
                self._interest[fd] = events = current | event
                # edge-triggered only while nothing else is asked: the rest relies on being told again
                self._epoll.modify(fd, events & ~WATCH)

    def _forgo(self, descriptor: Any, event: int) -> None:
        fd = descriptor.fileno()
        if self._descriptors.get(fd) is not descriptor:
            return
        current = self._interest[fd]
        if not current & event:
            return
        if rest := current & ~event:
            self._interest[fd] = rest
            self._epoll.modify(fd, rest & ~WATCH or WATCH)
            return
        del self._interest[fd], self._descriptors[fd]
        self._epoll.unregister(fd)
        if not self._descriptors:
            self._reactor.removeReader(self)


#: what a descriptor's doRead and doWrite return at their end, made once
DONE = ConnectionDone()
LOST = ConnectionLost()
