# -*- test-case-name: tests.app.test_openings -*-
"""
Tests for L{lproxy.app.openings}: where an assembly accepts, and when.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.api import Stream
from lproxy.app.binder import Direct
from lproxy.app.openings import Openings, wanted
from lproxy.app.own import OwnAddresses
from lproxy.app.sockets import Accepting, CannotListen, Sockets, Wanted, place_of
from lproxy.config import Listen
from lproxy.transport.listen import ConnectionLimit
from tests.app.quiet import QuietHub


class OpeningsTests(SynchronousTestCase):
    """One assembly's, and the next one's."""

    def setUp(self) -> None:
        hub: Any = QuietHub()
        self.sockets = Sockets(Direct(None), hub, ConnectionLimit(100), OwnAddresses())
        self.addCleanup(self.sockets.stop_all)
        self.listen = Listen(name="a", address="127.0.0.1:0")
        self.got: dict[str, list[Stream]] = {}

    def accepting(self, name: str) -> Accepting:
        streams = self.got.setdefault(name, [])
        return Accepting(streams.append, self.fail)

    def openings(self, name: str = "one") -> Openings:
        """An assembly's, whose listener is bound."""
        openings = Openings(self.sockets)
        openings.add(self.listen, self.accepting(name))
        openings.bind([self.listen])
        return openings

    def port(self) -> int:
        address = self.sockets.address(place_of(wanted(self.listen)))
        assert address is not None
        return address[1]

    def free(self) -> int:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port: int = server.getsockname()[1]
            return port

    def count(self, port: int) -> dict[str, int]:
        """Who gets a connection to C{port}; nobody accepts there after that."""
        with socket.create_connection(("127.0.0.1", port), 5):
            for place in (place_of(wanted(self.listen)), place_of(Wanted("", f"127.0.0.1:{port}"))):
                address = self.sockets.address(place)
                if address is not None and address[1] == port:
                    self.sockets.stop(place)
        counts = {name: len(streams) for name, streams in self.got.items() if streams}
        for streams in self.got.values():
            for stream in streams:
                stream.abort()
        return counts

    def test_open(self) -> None:
        """Bound, nobody accepts; open, the listener does."""
        openings = self.openings()
        self.assertEqual({place_of(Wanted("a", "127.0.0.1:0"))}, openings.places())
        openings.open()
        self.assertEqual({"one": 1}, self.count(self.port()))

    def test_next(self) -> None:
        """The next one's take over when they open, and not when they are bound."""
        for opened, who in ((False, "one"), (True, "two")):
            self.setUp()
            self.openings("one").open()
            after = self.openings("two")
            if opened:
                after.open()
            self.assertEqual({who: 1}, self.count(self.port()))

    def test_expose(self) -> None:
        """A further port of the listener's own address is accepted on at once, by whom it is for."""
        openings = self.openings()
        openings.open()
        port = self.free()
        self.assertEqual(("127.0.0.1", port), openings.expose(self.listen, "note", port, self.accepting("further")))
        self.assertEqual(2, len(openings.places()))
        self.assertEqual({"further": 1}, self.count(port))

    def test_expose_early(self) -> None:
        """Asked for before the listener opens, it opens with it."""
        openings = self.openings()
        port = self.free()
        openings.expose(self.listen, "note", port, self.accepting("further"))
        openings.open()
        self.assertEqual({"further": 1}, self.count(port))

    def test_expose_next(self) -> None:
        """What one assembly has exposed, the next may."""
        one, two = self.openings("one"), self.openings("two")
        one.open()
        port = self.free()
        for openings, name in ((one, "first"), (two, "second")):
            openings.open()
            openings.expose(self.listen, "note", port, self.accepting(name))
        self.assertEqual({"second": 1}, self.count(port))

    def refused(self, openings: Openings, port: int) -> str:
        places = openings.places()
        error = self.assertRaises(CannotListen, openings.expose, self.listen, "note", port, self.accepting("further"))
        self.assertEqual(places, openings.places())
        return str(error)

    def test_expose_taken(self) -> None:
        """Not where somebody listens, we ourselves included."""
        openings = self.openings()
        openings.open()
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            self.assertEqual(
                f"a: note: cannot listen on 127.0.0.1:{port}: Address already in use", self.refused(openings, port)
            )
        openings.expose(self.listen, "note", port, self.accepting("further"))
        self.assertEqual(
            f"a: note: cannot listen on 127.0.0.1:{port}: another listener does", self.refused(openings, port)
        )
        self.refused(openings, self.port())
        self.assertEqual({"one": 1}, self.count(self.port()))
        self.sockets.stop_all()

    def test_conceal(self) -> None:
        """What was exposed is given back, and to be had again; the listener's own port is not its to give."""
        openings = self.openings()
        openings.open()
        port = self.free()
        for _ in range(2):
            openings.expose(self.listen, "note", port, self.accepting("further"))
            openings.conceal(self.listen, port)
            self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", port))
        openings.conceal(self.listen, port)
        openings.conceal(self.listen, self.port())
        self.assertEqual({"one": 1}, self.count(self.port()))

    def test_conceal_late(self) -> None:
        """An assembly that retires gives nothing back: the next may have it."""
        one, two = self.openings("one"), self.openings("two")
        port = self.free()
        for openings, name in ((one, "first"), (two, "second")):
            openings.open()
            openings.expose(self.listen, "note", port, self.accepting(name))
        one.close()
        one.conceal(self.listen, port)
        self.assertEqual({"second": 1}, self.count(port))

    def test_conceal_early(self) -> None:
        """An assembly that has not opened gives back what it alone has bound: another that accepts there goes on."""
        one, two = self.openings("one"), self.openings("two")
        one.open()
        shared, own = self.free(), self.free()
        one.expose(self.listen, "note", shared, self.accepting("first"))
        for port in (shared, own):
            two.expose(self.listen, "note", port, self.accepting("second"))
            two.conceal(self.listen, port)
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", own))
        self.assertEqual({"first": 1}, self.count(shared))

    def test_expose_closed(self) -> None:
        """Not before the listener is bound, and not once its assembly retires."""
        said = "a: note: cannot listen on 99: the listener is not open"
        self.assertEqual(said, self.refused(Openings(self.sockets), 99))
        openings = self.openings()
        openings.open()
        openings.close()
        self.assertEqual(said, self.refused(openings, 99))
