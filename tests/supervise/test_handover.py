# -*- test-case-name: tests.supervise.test_handover -*-
"""
L{lproxy.supervise.handover}: one side asks, the other gives.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.supervise.channel import Channel
from lproxy.supervise.handover import STARTING, CannotTakeOver, Claim, Door, claim
from lproxy.supervise.places import listening


class FakeWatch:
    """Looks when it is told to."""

    def __init__(self) -> None:
        self.watched: dict[Any, Callable[[], None]] = {}

    def watch(self, watched: Any, readable: Callable[[], None]) -> None:
        self.watched[watched] = readable

    def unwatch(self, watched: Any) -> None:
        self.watched.pop(watched, None)

    def look(self) -> None:
        """Whatever there is to read is read."""
        for watched, readable in list(self.watched.items()):
            if watched in self.watched:
                readable()


class FakeOwner:
    """Has one place with two sockets."""

    def __init__(self) -> None:
        self.sockets = [listening("127.0.0.1", 0) for _ in range(2)]
        self.was_taken: list[tuple[int, str]] = []
        self.said: list[str] = []

    def greeting(self) -> dict[str, Any]:
        return {"pidfile": "/run/l.pid", "pid": 7}

    def given(self) -> Iterable[tuple[dict[str, Any], list[int]]]:
        yield {"place": "web", "shared": False, "owner": "", "note": ""}, [sock.fileno() for sock in self.sockets]

    def taken(self, pid: int, pidfile: str) -> None:
        self.was_taken.append((pid, pidfile))

    def say(self, level: str, text: str) -> None:
        self.said.append(text)


class HandoverTests(SynchronousTestCase):
    """Both sides, in one process: the asking one in a thread, since it waits."""

    def setUp(self) -> None:
        self.owner, self.watch = FakeOwner(), FakeWatch()
        self.door = Door(self.owner, self.watch)
        self.door.open()
        self.claims: list[Claim] = []
        self.addCleanup(self.close)

    def close(self) -> None:
        self.door.close()
        self.door.close()
        for one in self.claims:
            one.channel.close()
            for _, sockets in one.given:
                for sock in sockets:
                    sock.close()
        for sock in self.owner.sockets:
            sock.close()

    def ask(self) -> Any:
        """Ask: a claim, or why there is none."""
        found: list[Any] = []

        def asks() -> None:
            try:
                found.append(claim(self.door.name))
            except CannotTakeOver as e:
                found.append(str(e))

        thread = threading.Thread(target=asks)
        thread.start()
        while thread.is_alive():
            self.watch.look()
            thread.join(0.01)
        if isinstance(found[0], Claim):
            self.claims.append(found[0])
        return found[0]

    def test_taken(self) -> None:
        """The sockets are the very same; once the new one is ready they are its own, and the old one is told so."""
        mine = self.ask()
        self.assertEqual(7, mine.greeting["pid"])
        ((place, sockets),) = mine.given
        self.assertEqual("web", place["place"])
        self.assertEqual([s.getsockname() for s in self.owner.sockets], [s.getsockname() for s in sockets])
        self.assertEqual([], self.owner.was_taken)
        done: list[bool] = []
        theirs = FakeWatch()
        mine.ready(theirs, 4711, "/run/l.pid", done.append)
        self.watch.look()
        self.assertEqual([(4711, "/run/l.pid")], self.owner.was_taken)
        theirs.look()
        self.assertEqual(([True], {}), (done, theirs.watched))

    def test_fails(self) -> None:
        """A new one that ends before it is ready has changed nothing, and the next one may try."""
        self.ask().channel.close()
        self.watch.look()
        self.assertEqual([], self.owner.was_taken)
        self.assertIn("the new lproxy has failed: it takes nothing over, and we serve on", self.owner.said)
        self.assertIsInstance(self.ask(), Claim)

    def test_early(self) -> None:
        """Who has yet to take another's place gives none, as that one still serves; afterwards it does."""
        self.door.early = True
        self.assertEqual(f"{self.door.name} does not hand over: it is about to take another's place itself", self.ask())
        self.assertEqual(([], []), (self.owner.was_taken, self.owner.said))
        self.door.early = False
        self.assertIsInstance(self.ask(), Claim)

    def test_slow(self) -> None:
        """One that is not ready in time is given up, and told that it is one too many."""
        mine = self.ask()
        self.door.look(0)
        self.door.look(1e12)
        self.assertIn(f"not ready in {STARTING:g} s", self.owner.said[-1])
        done: list[bool] = []
        theirs = FakeWatch()
        mine.ready(theirs, 1, "", done.append)
        theirs.look()
        self.assertEqual([False], done)

    def test_old_gone(self) -> None:
        """Where the old one has ended meanwhile the place is the new one's all the same: there is nobody else."""
        mine = self.ask()
        done: list[bool] = []
        theirs = FakeWatch()
        self.door.close()
        mine.ready(theirs, 1, "", done.append)
        theirs.look()
        self.assertEqual([True], done)

    def test_shut(self) -> None:
        """Who ends lets nobody new ask; whoever has asked already goes on to take the place."""
        mine = self.ask()
        self.assertEqual(os.getpid(), self.door.asking)
        self.door.shut()
        self.assertIn("nobody hands over at", self.ask())
        done: list[bool] = []
        theirs = FakeWatch()
        mine.ready(theirs, 4711, "", done.append)
        self.watch.look()
        theirs.look()
        self.assertEqual(([True], [(4711, "")], 0), (done, self.owner.was_taken, self.door.asking))

    def test_one_at_a_time(self) -> None:
        """Two cannot take one place."""
        self.ask()
        self.assertEqual(f"{self.door.name} does not hand over: another lproxy is about to", self.ask())

    def test_other_user(self) -> None:
        """Another user is refused, and his process named in the log."""
        self.patch(Channel, "peer", lambda channel: (99, os.geteuid() + 1))
        self.assertEqual(f"{self.door.name} does not hand over: user {os.geteuid() + 1} may not", self.ask())
        self.assertEqual([f"process 99 of user {os.geteuid() + 1} may not take our place"], self.owner.said)

    def test_nobody(self) -> None:
        """Where nobody listens, that is said."""
        error = self.assertRaises(CannotTakeOver, claim, "@lproxy-nobody")
        self.assertIn("nobody hands over at @lproxy-nobody", str(error))

    def test_nonsense(self) -> None:
        """Somebody else who listens there is found out."""
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("\0lproxy-test-nonsense")
            server.listen()
            thread = threading.Thread(target=self._answer, args=(server,))
            thread.start()
            self.assertRaises(CannotTakeOver, claim, "@lproxy-test-nonsense")
            thread.join()

    def _answer(self, server: socket.socket) -> None:
        with server.accept()[0] as sock:
            sock.sendall(struct.pack("!II", 2, 0) + b"{}")
