# -*- test-case-name: tests.app.test_sockets -*-
"""
The sockets that the proxy listens on.

They outlive assemblies: the next one takes over those whose address it wants, so that no connection in a queue of the
kernel's is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure

from lproxy.app.own import OwnAddresses
from lproxy.configfile.address import Socket, socket_of
from lproxy.configfile.listeners import is_fresh_port
from lproxy.target import join_host_port
from lproxy.transport.address import clean_address
from lproxy.transport.hub import Hub
from lproxy.transport.keepalive import Keepalive
from lproxy.transport.listen import Bound, ConnectionLimit, Listener, bind
from lproxy.transport.stream import UNSECURED, Address, Plain, Stream

#: what Twisted says of a UNIX socket that somebody has
LOCKED = "Cannot acquire lock"


class CannotListen(Exception):
    """
    An address cannot be listened on; nothing was opened.

    @ivar instead: the port that another worker has opened for the same owner, or C{None}
    """

    def __init__(self, text: str, instead: int | None = None) -> None:
        super().__init__(text)
        self.instead = instead


class Wanted(NamedTuple):
    """
    An address to listen on, as it is configured, and what errors call whoever wants it.

    @ivar owner: in whose name a port is opened besides the configured ones; among workers it is his alone
    @ivar note: what another worker has to know in order to serve him
    """

    name: str
    address: str
    owner: str = ""
    note: str = ""


#: what is bound: the same for two spellings of one address. A port that the kernel chooses is whose wants it
Place = Socket | str | Wanted


def key_of(wanted: Wanted) -> str:
    """The same for other processes, which may be of another version."""
    place = place_of(wanted)
    if isinstance(place, str):
        return place
    return join_host_port(str(place.ip), place.port) if isinstance(place, Socket) else f"{place.name} {place.address}"


def place_of(wanted: Wanted) -> Place:
    """Where that is."""
    return wanted if is_fresh_port(wanted.address) else socket_of(wanted.address) or wanted.address


class Binder(Protocol):
    """Where bound sockets come from."""

    def bind(self, wanted: Wanted, shared: bool = False) -> tuple[Bound, ...]:
        """
        Bind within this call, or have what somebody else has bound for us: at least one socket, all at one address.

        @param shared: whether other workers are to accept from the very socket
        @raise CannotListen: it cannot be
        """


class Accepting(NamedTuple):
    """What becomes of the connections of one socket; see L{Listener}."""

    accepted: Callable[[Stream], None]
    refused: Callable[[str], None]
    redirected: bool = False
    keepalive: Keepalive | None = None
    plain: Plain = UNSECURED


class Sockets:
    """
    Listening sockets by place.

    @ivar limit: how many connections there may be, on all of them together
    """

    def __init__(self, binder: Binder, hub: Hub, limit: ConnectionLimit, own: OwnAddresses) -> None:
        self._binder = binder
        self._hub = hub
        self._own = own
        self._bound: dict[Place, tuple[Bound, ...]] = {}
        self._listeners: dict[Place, tuple[Listener, ...]] = {}
        self.limit = limit

    def __repr__(self) -> str:
        return f"<Sockets {self._all()}, {len(self._bound)} bound>"

    def bind(self, wanted: Iterable[Wanted]) -> None:
        """
        Bind those that are not bound yet, all or none.

        @raise CannotListen: one cannot be, or is wanted twice
        """
        seen: set[Place] = set()
        fresh: list[Place] = []
        try:
            for one in wanted:
                place = place_of(one)
                if place in seen:
                    raise CannotListen(f"{one.name}: cannot listen on {one.address}: another listener does")
                seen.add(place)
                if place not in self._bound and place not in self._listeners:
                    self._bound[place] = self._binder.bind(one)
                    fresh.append(place)
        except CannotListen:
            for place in fresh:
                self.stop(place)
            raise

    def listen(self, place: Place, accepting: Accepting) -> None:
        """Accept at C{place}, which is bound; where somebody does already, they are relieved."""
        listeners = self._listeners.get(place)
        if listeners is not None:
            for listener in listeners:
                listener.accepted, listener.refused, listener.redirected, keepalive, listener.plain = accepting
                listener.keep_alive(keepalive)
            return
        listeners = tuple(Listener(bound, self._hub, self.limit, *accepting) for bound in self._bound.pop(place))
        self._listeners[place] = listeners
        self._own.add(listeners[0].address)
        for listener in listeners:
            listener.start()

    def address(self, place: Place) -> Address | None:
        """IP and port of what is bound, perhaps a port that the kernel chose; C{None} where nothing is."""
        listeners = self._listeners.get(place)
        if listeners is not None:
            return listeners[0].address
        bound = self._bound.get(place)
        return clean_address(bound[0].sock.getsockname()) if bound is not None else None

    def trouble(self) -> str | None:
        """Why one of those that accept does not in truth, C{None} where all do."""
        for listener in self._all():
            why = listener.trouble()
            if why:
                return f"nobody can connect to {join_host_port(*listener.address)}: {why}"
        return None

    def unbind(self, place: Place) -> None:
        """Let go of what is bound at C{place}, unless somebody accepts there."""
        for bound in self._bound.pop(place, ()):
            bound.release()

    def stop(self, place: Place) -> None:
        """Accept no more at C{place}; harmless where nobody does."""
        self.unbind(place)
        listeners = self._listeners.pop(place, ())
        for listener in listeners:
            listener.stop()
        if listeners:
            self._own.remove(listeners[0].address)

    def stop_all(self) -> None:
        """Accept no more."""
        for place in (*self._bound, *self._listeners):
            self.stop(place)

    def give(self) -> None:
        """Accept no more, as another process does that has the same sockets: what waits there is its own."""
        for listener in self._all():
            listener.give()
        self._listeners.clear()

    def _all(self) -> list[Listener]:
        return [listener for listeners in self._listeners.values() for listener in listeners]


def bind_now(name: str, address: str, reactor: Any) -> Bound:
    """
    Bind within this call: every endpoint of a plain stream socket can.

    @raise CannotListen: it cannot be
    """
    out: list[Any] = []
    binding = bind(address, reactor)
    binding.addBoth(out.append)
    if out and isinstance(out[0], Bound):
        return out[0]
    binding.cancel()
    failure: Failure = out[0]
    raise CannotListen(f"{name}: cannot listen on {address}: {_why(failure.value)}")


def _why(error: BaseException | None) -> str:
    if isinstance(error, CancelledError):
        return "it is not an endpoint of a plain stream socket"
    # Twisted's own has the socket's error inside
    error = getattr(error, "socketError", error)
    if str(error) == LOCKED:
        return "somebody listens there already, perhaps by another mode or backlog"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
