# -*- test-case-name: tests.app.test_sockets -*-
"""
Tests for L{lproxy.app.sockets}: what is bound, who accepts there, and that one takes over from another without a gap.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lproxy.api import Stream
from lproxy.app import sockets as module
from lproxy.app.binder import Direct
from lproxy.app.own import OwnAddresses
from lproxy.app.sockets import Accepting, CannotListen, Sockets, Wanted, place_of
from lproxy.transport.keepalive import Keepalive
from lproxy.transport.listen import Bound, ConnectionLimit
from tests.app.quiet import QuietHub

ANY = "127.0.0.1:0"


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


class Owner:
    """Somebody who accepts."""

    def __init__(self, redirected: bool = False, keepalive: Keepalive | None = None) -> None:
        self.streams: list[Stream] = []
        self.refused: list[str] = []
        self.accepting = Accepting(self.streams.append, self.refused.append, redirected, keepalive)


class PlaceTests(SynchronousTestCase):
    """What is the same place."""

    def test_spelling(self) -> None:
        """An address has one, however it is written and whoever wants it."""
        here = place_of(Wanted("a", "127.0.0.1:4140"))
        self.assertEqual(here, place_of(Wanted("b", "tcp:4140:interface=127.0.0.1")))
        for other in ("127.0.0.2:4140", "127.0.0.1:4141", "[::1]:4140", "tcp:4140"):
            self.assertNotEqual(here, place_of(Wanted("a", other)), other)

    def test_fresh(self) -> None:
        """A port that the kernel chooses is another one for each who wants it, and the same for the same."""
        for address in (ANY, "[::1]:0", "tcp:0:interface=127.0.0.1"):
            self.assertEqual(place_of(Wanted("a", address)), place_of(Wanted("a", address)))
            self.assertNotEqual(place_of(Wanted("a", address)), place_of(Wanted("b", address)))

    def test_strings(self) -> None:
        """Of others, the string tells."""
        self.assertEqual(place_of(Wanted("a", "systemd:domain=INET:index=0")), "systemd:domain=INET:index=0")


class SocketsTests(SynchronousTestCase):
    """Sockets that outlive who uses them."""

    def setUp(self) -> None:
        self.hub: Any = QuietHub()
        self.own = OwnAddresses()
        self.limit = ConnectionLimit(100)
        self.before = descriptors()
        self.sockets = Sockets(Direct(None), self.hub, self.limit, self.own)
        self.addCleanup(self.stop)
        self.streams: list[Stream] = []

    def stop(self) -> None:
        """Nothing stays open."""
        self.sockets.stop_all()
        for stream in self.streams:
            stream.abort()
        self.assertEqual(self.before, descriptors())
        self.assertEqual("<Sockets [], 0 bound>", repr(self.sockets))
        self.assertEqual("<OwnAddresses {}>", repr(self.own))

    def bind(self, *names: str) -> list[Any]:
        """Bind a port for each of C{names}."""
        wanted = [Wanted(name, ANY) for name in names]
        self.sockets.bind(wanted)
        return [place_of(one) for one in wanted]

    def connect(self, place: Any) -> None:
        """A client connects, and nobody knows yet."""
        address = self.sockets.address(place)
        assert address is not None
        client = socket.create_connection(address, 5)
        self.addCleanup(client.close)

    def ports(self, *places: Any) -> list[int]:
        addresses = [self.sockets.address(place) for place in places]
        return [address[1] for address in addresses if address is not None]

    def test_bind(self) -> None:
        """A bound port is known before anybody listens; two that want any port get two."""
        a, b = self.bind("a", "b")
        self.assertEqual(2, len(set(self.ports(a, b))))
        self.assertFalse(self.own.contains("127.0.0.1", self.ports(a)[0]), "nobody accepts there yet")
        self.assertIsNone(self.sockets.address("nowhere"))

    def test_kept(self) -> None:
        """What is bound, or accepts already, is not bound again."""
        a, b = self.bind("a", "b")
        self.sockets.listen(a, Owner().accepting)
        ports = self.ports(a, b)
        self.bind("a", "b")
        self.assertEqual(ports, self.ports(a, b))

    def test_all_or_none(self) -> None:
        """Where one cannot be bound, those before it are let go of; what was there before stays."""
        (a,) = self.bind("a")
        with socket.create_server(("127.0.0.1", 0)) as holder:
            taken = f"127.0.0.1:{holder.getsockname()[1]}"
            error = self.assertRaises(
                CannotListen, self.sockets.bind, [Wanted(n, ANY) for n in "ab"] + [Wanted("c", taken)]
            )
        self.assertEqual(f"c: cannot listen on {taken}: Address already in use", str(error))
        self.assertEqual((1, []), (len(self.ports(a)), self.ports(place_of(Wanted("b", ANY)))))

    def test_twice(self) -> None:
        """One place for two is refused, in whatever spelling."""
        (a,) = self.bind("a")
        port = self.ports(a)[0]
        self.sockets.stop(a)
        wanted = [Wanted("x", f"127.0.0.1:{port}"), Wanted("y", f"tcp:{port}:interface=127.0.0.1")]
        error = self.assertRaises(CannotListen, self.sockets.bind, wanted)
        self.assertEqual(f"y: cannot listen on {wanted[1].address}: another listener does", str(error))
        self.assertEqual([], self.ports(place_of(wanted[0])))

    def test_listen(self) -> None:
        """Who listens gets the connections, and the address is the proxy's own until that ends."""
        (a,) = self.bind("a")
        owner = Owner()
        self.connect(a)  # bound, it has a queue
        self.sockets.listen(a, owner.accepting)
        (port,) = self.ports(a)
        self.assertTrue(self.own.contains("127.0.0.1", port))
        self.sockets.stop(a)
        self.assertEqual(1, len(owner.streams), "what waits when that ends is accepted")
        self.assertFalse(self.own.contains("127.0.0.1", port))
        self.assertIsNone(self.sockets.address(a))
        self.streams += owner.streams

    def test_relieved(self) -> None:
        """
        Whoever listens where somebody does already takes over: the clients that wait, and with its own settings for
        those that follow.
        """
        (a,) = self.bind("a")
        first, second = Owner(), Owner(keepalive=Keepalive(7, 3))
        self.sockets.listen(a, first.accepting)
        port = self.ports(a)
        self.connect(a)
        self.sockets.listen(a, second.accepting)
        self.connect(a)
        self.assertEqual(port, self.ports(a))
        self.sockets.stop(a)
        self.assertEqual((0, 2), (len(first.streams), len(second.streams)))
        self.streams += second.streams
        raw = self.streams[1].raw()
        assert raw is not None
        with socket.socket(fileno=os.dup(raw.fileno())) as sock:
            self.assertEqual(7, sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))
            self.assertTrue(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def test_keepalive_off(self) -> None:
        """Also where these say that nobody is to be asked whether he is there."""
        (a,) = self.bind("a")
        first, second = Owner(keepalive=Keepalive(7, 3)), Owner()
        self.sockets.listen(a, first.accepting)
        self.sockets.listen(a, second.accepting)
        self.connect(a)
        self.sockets.stop(a)
        self.streams += second.streams
        raw = self.streams[0].raw()
        assert raw is not None
        with socket.socket(fileno=os.dup(raw.fileno())) as sock:
            self.assertFalse(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def test_limit(self) -> None:
        """One limit for all; who listens is told of those that were closed for it."""
        self.limit.limit = 1
        a, b = self.bind("a", "b")
        owner = Owner()
        for place in (a, b):
            self.sockets.listen(place, owner.accepting)
            self.connect(place)
        self.sockets.stop_all()
        self.assertEqual((1, ["limit"], 1), (len(owner.streams), owner.refused, self.limit.open))
        self.streams += owner.streams
        owner.streams.pop().abort()
        self.assertEqual(0, self.limit.open)

    def test_stop(self) -> None:
        """What is bound and not used is let go of as well; a second time is harmless."""
        a, b = self.bind("a", "b")
        for _ in range(2):
            self.sockets.stop(a)
        self.assertEqual((0, 1), (len(self.ports(a)), len(self.ports(b))))

    def test_trouble(self) -> None:
        """Which of them nobody can connect to in truth; one that is only bound is not to be connected to yet."""
        a, b = self.bind("a", "b")
        self.assertIsNone(self.sockets.trouble())
        self.sockets.listen(a, Owner().accepting)
        self.assertIsNone(self.sockets.trouble())
        self.hub.wanted.clear()
        self.assertEqual(
            f"nobody can connect to 127.0.0.1:{self.ports(a)[0]}: it is not served any more", self.sockets.trouble()
        )


class BindTests(SynchronousTestCase):
    """What a failed bind says."""

    def test_no_answer(self) -> None:
        """An endpoint that takes its time is given up, and what it opens after all is not ours."""
        cancelled: list[Any] = []
        self.patch(module, "bind", lambda address, reactor: Deferred(cancelled.append))
        error = self.assertRaises(CannotListen, module.bind_now, "a", "strange:", None)
        self.assertEqual("a: cannot listen on strange:: it is not an endpoint of a plain stream socket", str(error))
        self.assertEqual(1, len(cancelled))

    def test_foreign(self) -> None:
        """An address that is not this machine's is named, with the kernel's reason."""
        error = self.assertRaises(CannotListen, module.bind_now, "a", "192.0.2.7:4140", None)
        self.assertEqual("a: cannot listen on 192.0.2.7:4140: Cannot assign requested address", str(error))

    def test_nonsense(self) -> None:
        """So is whatever else is wrong."""
        error = self.assertRaises(CannotListen, module.bind_now, "a", "127.0.0.1:99999", None)
        self.assertRegex(str(error), r"\Aa: cannot listen on 127\.0\.0\.1:99999: .+")

    def test_bound(self) -> None:
        """What can be bound is."""
        bound = module.bind_now("a", ANY, None)
        self.assertIsInstance(bound, Bound)
        bound.release()
