# -*- test-case-name: tests.app.test_binder -*-
"""
Sockets of a process that is on its own: bound by itself, or had from another lproxy whose place it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from lproxy.app.sockets import CannotListen, Wanted, bind_now, key_of
from lproxy.configfile.address import any_socket_of
from lproxy.supervise.handover import Given
from lproxy.supervise.places import listening, make_room, remove, why
from lproxy.transport.listen import Bound


class Direct:
    """
    A L{lproxy.app.sockets.Binder} that remembers what is bound, so that it can be handed over.

    @ivar given: whether it was: sockets are another process's, too, and files of UNIX sockets stay
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._ready: dict[str, Given] = {}
        self._bound: dict[str, tuple[dict[str, Any], list[Bound]]] = {}
        self.given = False

    def __repr__(self) -> str:
        return f"<Direct {list(self._bound)}>"

    def take(self, given: Iterable[Given]) -> None:
        """Have what another lproxy gives: whoever wants to listen there is given that."""
        self._ready = {one.place["place"]: one for one in given}

    def bind(self, wanted: Wanted, shared: bool = False) -> tuple[Bound, ...]:
        """Raises L{lproxy.app.sockets.CannotListen}."""
        key = key_of(wanted)
        ready = self._ready.pop(key, None)
        place = {"place": key, "shared": shared, "owner": wanted.owner, "note": wanted.note}
        if ready is not None:
            place["shared"] = ready.place["shared"]
            bound = [Bound(sock, partial(self._close, sock.close, key)) for sock in ready.sockets]
        else:
            bound = [self._fresh(wanted)]
        self._bound[key] = place, bound
        return tuple(Bound(one.sock, partial(self._release, key, one)) for one in bound)

    def _fresh(self, wanted: Wanted) -> Bound:
        try:
            return bind_now(wanted.name, wanted.address, self._reactor)
        except CannotListen:
            place = any_socket_of(wanted.address)
            if place is None or not make_room(self._all(), str(place.ip), place.port):
                raise
        try:
            sock = listening(str(place.ip), place.port, True)
        except OSError as e:
            raise CannotListen(f"{wanted.name}: cannot listen on {wanted.address}: {why(e)}") from e
        return Bound(sock, sock.close)

    def _all(self) -> Iterator[Any]:
        """What we listen on, and what another lproxy has given."""
        yield from (one.sock for _, bound in self._bound.values() for one in bound)
        yield from (sock for one in self._ready.values() for sock in one.sockets)

    def _close(self, close: Callable[[], None], key: str) -> None:
        close()
        remove(key)

    def _release(self, key: str, bound: Bound) -> None:
        if self.given:
            return  # closed with the process; what else letting go of it does is not ours to do any more
        known = self._bound.get(key)
        if known is not None and bound in known[1]:
            known[1].remove(bound)
            if not known[1]:
                del self._bound[key]
        bound.release()

    def owned(self) -> list[tuple[str, str, str]]:
        """Of what was given and nobody has wanted yet: owners, notes and keys, where there is an owner."""
        places = [one.place for one in self._ready.values()]
        return [(place["owner"], place["note"], place["place"]) for place in places if place["owner"]]

    def drop(self) -> None:
        """Let go of what was given, and nobody wants."""
        ready, self._ready = self._ready, {}
        for one in ready.values():
            for sock in one.sockets:
                sock.close()

    def describe(self) -> Iterator[tuple[dict[str, Any], list[int]]]:
        """What is bound, as L{lproxy.supervise.handover.Owner.given} has it."""
        for place, bound in self._bound.values():
            yield place, [one.sock.fileno() for one in bound]
