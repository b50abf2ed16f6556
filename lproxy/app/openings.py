# -*- test-case-name: tests.app.test_openings -*-
"""
Where an assembly accepts: the addresses of its listeners, and those that its protocols ask for besides.
"""

from __future__ import annotations

from collections.abc import Iterable

from lproxy.app.sockets import Accepting, CannotListen, Place, Sockets, Wanted, place_of
from lproxy.config import Listen
from lproxy.target import join_host_port
from lproxy.transport.stream import Address


class Openings:
    """
    What an assembly does with its sockets, which may be another's until it opens.
    """

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._accepting: dict[Place, Accepting] = {}
        self._opened = self._closed = False

    def add(self, listen: Listen, accepting: Accepting) -> None:
        """A listener's."""
        self._accepting[place_of(wanted(listen))] = accepting

    def bind(self, listeners: Iterable[Listen]) -> None:
        """Bind what is not bound yet; raises L{CannotListen}, where nothing was."""
        self._sockets.bind(wanted(listen) for listen in listeners)

    def open(self) -> None:
        """Accept everywhere, instead of whoever did so far."""
        self._opened = True
        for place, accepting in self._accepting.items():
            self._sockets.listen(place, accepting)

    def expose(
        self, listen: Listen, protocol: str, port: int, accepting: Accepting, owner: str = "", note: str = ""
    ) -> Address:
        """
        Accept on C{port} of the listener's own address, too: now or when the others open. Where that is.

        @param owner: in whose name, and C{note} what others have to know of him
        @raise CannotListen: it is taken, also where it is by one of our own, or the listener is not bound
        """
        ours = self._sockets.address(place_of(wanted(listen)))
        if ours is None or self._closed:
            raise CannotListen(f"{listen.name}: {protocol}: cannot listen on {port}: the listener is not open")
        name = beginning(listen, protocol)
        address = join_host_port(ours[0], port)
        further = Wanted(f"{listen.name}: {protocol}", address, f"{name}{owner}" if owner else "", note)
        place = place_of(further)
        if place in self._accepting:
            raise CannotListen(f"{further.name}: cannot listen on {further.address}: another listener does")
        self._sockets.bind([further])
        self._accepting[place] = accepting
        if self._opened:
            self._sockets.listen(place, accepting)
        found = self._sockets.address(place)
        assert found is not None
        return found

    def conceal(self, listen: Listen, port: int) -> None:
        """Accept no more on C{port}, which was exposed. Harmless where it was not, or another assembly has it now."""
        ours = self._sockets.address(place_of(wanted(listen)))
        if ours is None or self._closed or port == ours[1]:
            return
        place = place_of(Wanted(listen.name, join_host_port(ours[0], port)))
        if self._accepting.pop(place, None) is None:
            return
        if self._opened:
            self._sockets.stop(place)
        else:
            self._sockets.unbind(place)

    def close(self) -> None:
        """Nothing is opened or stopped any more: another may have it all."""
        self._closed = True

    def clear(self) -> None:
        """The same, and nobody is left to accept for."""
        self.close()
        self._accepting.clear()

    def places(self) -> frozenset[Place]:
        """All of them."""
        return frozenset(self._accepting)


def beginning(listen: Listen, protocol: str) -> str:
    """How the owners of ports that C{protocol} exposes for C{listen} are called among workers; behind it is whose."""
    return f"{listen.name}: {protocol}: "


def wanted(listen: Listen) -> Wanted:
    """Where a listener wants to listen."""
    return Wanted(listen.name, listen.address)
