# -*- test-case-name: tests.supervise.test_places -*-
"""
The listening sockets of all workers, which outlive each of them: what waits in a dead worker's queue is its
successor's.

An address is bound once for each worker (SO_REUSEPORT), so that the kernel spreads connections over them. All sockets
but the first of a place begin to listen when a worker accepts: while it starts, or should it fail to, nobody is to wait
in its queue. What cannot be bound twice, such as a UNIX socket or one that was inherited, is one socket that all of
them accept from.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

#: connections that wait in one queue, as far as the kernel has it (net.core.somaxconn)
BACKLOG = 4096


class Taken(Exception):
    """A place is somebody else's."""


@dataclass
class Place:
    """
    Somewhere that is listened.

    @ivar key: what it is known by: the address, or whoever wants a port that the kernel chooses
    @ivar shared: whether each worker has all of the sockets instead of its own
    @ivar owner: whose it is alone, where it is not a listener's: who asks in the name of another does not get it
    @ivar note: what others have to know in order to serve it
    @ivar users: indices of workers that have it
    """

    key: str
    sockets: list[socket.socket]
    shared: bool = False
    owner: str = ""
    note: str = ""
    users: set[int] = field(default_factory=set)

    def describe(self) -> dict[str, Any]:
        """All of it but the sockets."""
        return {"place": self.key, "shared": self.shared, "owner": self.owner, "note": self.note}


class Places:
    """
    Those of one proxy.

    @ivar workers: how many there are
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._places: dict[str, Place] = {}

    def __repr__(self) -> str:
        return f"<Places {list(self._places)}>"

    def __iter__(self) -> Iterator[Place]:
        return iter(list(self._places.values()))

    def __len__(self) -> int:
        return len(self._places)

    def find(self, key: str, owner: str = "") -> Place | None:
        """
        What is known as C{key}, or what C{owner} has by another name.

        @raise Taken: it is another owner's
        """
        if owner:
            for own in self._places.values():
                if own.owner == owner:
                    return own
        place = self._places.get(key)
        if place is not None and place.owner != owner:
            raise Taken("another listener does" if not place.owner else f"{place.owner} does")
        return place

    def bind(self, key: str, host: str, port: int, shared: bool = False, owner: str = "", note: str = "") -> Place:
        """
        Listen on an IP address, unless that is done already.

        @param port: 0: the kernel chooses one
        @raise OSError: it cannot be; nothing was bound
        @raise Taken: it is another's
        """
        place = self.find(key, owner)
        if place is None:
            place = Place(key, [self._listening(host, port)], shared, owner, note)
            self._places[key] = place
            try:
                self._spread(place)
            except OSError:
                self.close(key)
                raise
        return place

    def _listening(self, host: str, port: int) -> socket.socket:
        try:
            return listening(host, port)
        except OSError as e:
            if e.errno != errno.EADDRINUSE or not make_room((sock for one in self for sock in one.sockets), host, port):
                raise
        return listening(host, port, True)

    def adopt(
        self, key: str, sockets: list[socket.socket], shared: bool = False, owner: str = "", note: str = ""
    ) -> Place:
        """
        Have what others have bound; where C{key} is known that is kept, and C{sockets} are closed.

        Where they are fewer than the workers, and more cannot be had, they are shared.
        """
        known = self._places.get(key)
        if known is not None:
            for sock in sockets:
                sock.close()
            return known
        place = self._places[key] = Place(key, sockets, shared, owner, note)
        try:
            self._spread(place)
        except OSError:
            place.shared = True
        return place

    def _spread(self, place: Place) -> None:
        """One socket for each worker."""
        if place.shared:
            return
        first = place.sockets[0]
        while len(place.sockets) < self.workers:
            # only now: the first was refused an address that another program has
            for sock in place.sockets:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            address = first.getsockname()
            place.sockets.append(bound(address[0], address[1], True))

    def of(self, place: Place, index: int) -> list[socket.socket]:
        """The sockets of the worker C{index}: more than one where there are fewer workers than there were before."""
        return place.sockets if place.shared else place.sockets[index :: self.workers]

    def leave(self, key: str, index: int) -> bool:
        """The worker C{index} does not listen there any more. Whether nobody does: it is closed."""
        place = self._places.get(key)
        if place is None:
            return False
        place.users.discard(index)
        if place.users:
            return False
        self.close(key)
        return True

    def close(self, key: str) -> None:
        """Nobody listens there any more."""
        place = self._places.pop(key)
        for sock in place.sockets:
            sock.close()

    def close_all(self) -> None:
        """Let go of everything."""
        for key in list(self._places):
            self.close(key)


def listening(host: str, port: int, reuse: bool = False) -> socket.socket:
    """A listening socket; raises OSError."""
    sock = bound(host, port, reuse)
    try:
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def bound(host: str, port: int, reuse: bool = False) -> socket.socket:
    """A socket that is still to listen; raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def make_room(ours: Iterable[socket.socket], host: str, port: int) -> bool:
    """
    Have those of C{ours} that listen on C{port} of another address bear a socket at C{host} beside them, until they are
    closed: any address (0.0.0.0) is taken as long as a certain one is, and the reverse. Whether there are such, and
    none at C{host} itself.
    """
    inet = (socket.AF_INET, socket.AF_INET6)
    there = [(sock, sock.getsockname()) for sock in ours if sock.family in inet]
    beside = [sock for sock, name in there if name[1] == port]
    if not beside or (host, port) in (name[:2] for _, name in there):
        return False
    for sock in beside:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return True


def why(error: OSError | Taken) -> str:
    """What keeps somebody from listening, in words."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def remove(key: str) -> None:
    """Remove the file of a UNIX socket, where C{key} is one's; harmless where it is gone."""
    kind, _, rest = key.partition(":")
    path = rest.split(":")[0].removeprefix("address=")
    if kind != "unix" or not path:
        return
    for name in (path, f"{path}.lock"):
        try:
            os.unlink(name)
        except OSError as e:
            if e.errno not in (errno.ENOENT, errno.EACCES, errno.EPERM):
                raise
