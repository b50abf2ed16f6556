# -*- test-case-name: tests.app.test_binder -*-
"""
L{lproxy.app.binder}: sockets of a process that is on its own.
"""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.binder import Direct
from lproxy.app.sockets import CannotListen, Wanted
from lproxy.supervise.handover import Given
from lproxy.supervise.places import listening

WEB = Wanted("web", "127.0.0.1:0")


class DirectTests(SynchronousTestCase):
    """Bound, given, handed over."""

    def setUp(self) -> None:
        self.binder = Direct(reactor)

    def test_own(self) -> None:
        """What is bound can be handed over until it is let go of."""
        (bound,) = self.binder.bind(WEB)
        ((place, fds),) = self.binder.describe()
        self.assertEqual(({"place": "web 127.0.0.1:0", "shared": False, "owner": "", "note": ""}), place)
        self.assertEqual([bound.sock.fileno()], fds)
        bound.release()
        self.assertEqual([], list(self.binder.describe()))
        self.assertEqual(-1, bound.sock.fileno())

    def test_taken(self) -> None:
        """An address that somebody has cannot be had."""
        with socket.create_server(("127.0.0.1", 0)) as holder:
            address = f"127.0.0.1:{holder.getsockname()[1]}"
            self.assertRaises(CannotListen, self.binder.bind, Wanted("web", address))
        self.assertEqual([], list(self.binder.describe()))

    def test_wildcard(self) -> None:
        """One's own port at another address keeps nobody from any address, nor the reverse; another's does."""
        for first, then in (("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "[::]")):
            (one,) = self.binder.bind(Wanted("web", f"{first}:0"))
            port = one.sock.getsockname()[1]
            (two,) = self.binder.bind(Wanted("web", f"{then}:{port}"))
            one.release()
            self.assertEqual(port, two.sock.getsockname()[1])
            with socket.create_connection(("127.0.0.1", port)):
                two.release()
        with socket.create_server(("127.0.0.1", 0)) as holder:
            (own,) = self.binder.bind(Wanted("web", f"127.0.0.2:{holder.getsockname()[1]}"))
            address = f"0.0.0.0:{holder.getsockname()[1]}"
            self.assertRaises(CannotListen, self.binder.bind, Wanted("all", address))
            own.release()

    def test_wildcard_of_another(self) -> None:
        """Nor does one that another lproxy has given."""
        sock = listening("127.0.0.1", 0)
        port = sock.getsockname()[1]
        place = {"place": f"127.0.0.1:{port}", "shared": False, "owner": "", "note": ""}
        self.binder.take([Given(place, [sock])])
        (bound,) = self.binder.bind(Wanted("web", f"0.0.0.0:{port}"))
        self.binder.drop()
        bound.release()

    def test_given(self) -> None:
        """What another lproxy gives is had by whoever wants to listen there, all of its sockets, once."""
        sockets = [listening("127.0.0.1", 0) for _ in range(2)]
        place = {"place": "web 127.0.0.1:0", "shared": False, "owner": "", "note": ""}
        other = listening("127.0.0.1", 0)
        self.binder.take([Given(place, sockets), Given({**place, "place": "gone"}, [other])])
        one, two = self.binder.bind(WEB)
        self.assertEqual(sockets, [one.sock, two.sock])
        (fresh,) = self.binder.bind(WEB._replace(name="other"))
        self.assertNotIn(fresh.sock, sockets)
        self.assertEqual([], self.binder.owned())
        self.binder.drop()
        self.assertEqual(-1, other.fileno())
        for bound in (one, two, fresh):
            bound.release()
        self.assertEqual([-1, -1], [sock.fileno() for sock in sockets])

    def test_owned(self) -> None:
        """Whose a port is goes with it, and what there is to know of him, until somebody wants it."""
        wanted = Wanted("web: kafka", "127.0.0.1:0", "web: kafka: 7", "note")
        (bound,) = self.binder.bind(wanted)
        ((place, fds),) = self.binder.describe()
        self.assertEqual(("web: kafka: 7", "note"), (place["owner"], place["note"]))
        next_one = Direct(reactor)
        next_one.take([Given(place, [socket.socket(fileno=socket.dup(fds[0]))])])
        self.assertEqual([("web: kafka: 7", "note", place["place"])], next_one.owned())
        (again,) = next_one.bind(wanted)
        self.assertEqual([], next_one.owned())
        for one in (bound, again):
            one.release()

    def test_unix(self) -> None:
        """The file of a UNIX socket goes with it, whoever made it, but not where another process has it now."""
        path = Path(tempfile.mkdtemp()) / "socket"
        wanted = Wanted("web", f"unix:{path}")
        (bound,) = self.binder.bind(wanted)
        ((place, fds),) = self.binder.describe()
        theirs = socket.socket(fileno=socket.dup(fds[0]))
        error = self.assertRaises(CannotListen, self.binder.bind, Wanted("web", f"unix:{path}:mode=600"))
        self.assertIn("somebody listens there already", str(error))
        self.binder.given = True
        bound.release()
        self.assertTrue(path.is_socket())
        next_one = Direct(reactor)
        next_one.take([Given(place, [theirs])])
        (again,) = next_one.bind(wanted)
        again.release()
        self.assertFalse(path.exists())
        bound.sock.close()
