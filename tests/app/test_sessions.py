# -*- test-case-name: tests.app.test_sessions -*-
"""
Tests for L{lproxy.app.sessions}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.sessions import OVERDUE, NeverOver, Sessions
from lproxy.testing import Peer, ScriptedReactor
from lproxy.testing.upstream import CLIENT, OURS
from lproxy.transport.stream import Secured


class FakeSession:
    """
    Remembers what it was told, and does then what C{on} says.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.calls: list[str] = []
        self.on: dict[str, Callable[[], object]] = {}

    def told(self, what: str) -> None:
        self.calls.append(what)
        self.on.get(what, lambda: None)()

    def start(self) -> None:
        self.told("start")

    def drain(self) -> None:
        self.told("drain")

    def abort(self) -> None:
        self.told("abort")

    def describe(self) -> dict[str, Any]:
        self.on.get("describe", lambda: None)()
        return {"name": self.name}


class Broken:
    """A reader that raises when it hears of the end."""

    def connection_lost(self) -> None:
        raise ZeroDivisionError

    def data_received(self, data: bytes) -> None:
        raise NotImplementedError

    eof_received = pause_writing = resume_writing = connection_lost


class SessionsMixin(SynchronousTestCase):
    """A set of sessions, whose crashes are remembered."""

    def setUp(self) -> None:
        self.reactor = ScriptedReactor()
        self.crashes: list[tuple[str, type]] = []
        self.where: list[str] = []
        self.sessions = Sessions(self.crashed)
        self.peers: dict[str, Peer] = {}

    def crashed(self, protocol: str, failure: Failure, where: str = "") -> None:
        self.crashes.append((protocol, failure.type))
        self.where.append(where)

    def begin(self, session: FakeSession, protocol: str = "note", instead: Any = None) -> FakeSession:
        """C{session} begins, on a connection with the peer of its name."""
        peer = self.peers[session.name] = Peer()
        self.sessions.begin(session, protocol, self.reactor.stream(peer, CLIENT, OURS), instead)
        return session

    def add(self, *names: str) -> list[FakeSession]:
        return [self.begin(FakeSession(name)) for name in names]

    def names(self) -> list[str]:
        return [row["name"] for row in self.sessions.describe()]


class LiveTests(SessionsMixin):
    """Who is live, and what a shutdown waits for."""

    def test_live(self) -> None:
        """From its beginning to remove; a second remove is harmless."""
        a, b = self.add("a", "b")
        self.assertEqual((2, [a, b], ["a", "b"]), (len(self.sessions), list(self.sessions), self.names()))
        self.sessions.remove(a)
        self.sessions.remove(a)
        self.assertEqual([{"name": "b"}], self.sessions.describe())
        self.assertEqual(["start"], b.calls)

    def test_known_before_start(self) -> None:
        """It is known before it starts, so that it may end within that."""
        a = FakeSession("a")
        seen: list[int] = []
        a.on["start"] = lambda: (seen.append(len(self.sessions)), self.sessions.remove(a))
        self.begin(a)
        self.assertEqual(([1], 0, ["start"]), (seen, len(self.sessions), a.calls))

    def test_bounded(self) -> None:
        """Of very many the oldest are shown."""
        self.add("a", "b", "c")
        self.assertEqual([{"name": "a"}, {"name": "b"}], self.sessions.describe(limit=2))

    def test_drain(self) -> None:
        """All are told once, and it is over when the last has ended."""
        a, b = self.add("a", "b")
        self.sessions.drain()
        d = self.sessions.empty()
        self.assertEqual([["start", "drain"]] * 2, [a.calls, b.calls])
        self.sessions.remove(a)
        self.assertNoResult(d)
        self.sessions.remove(b)
        self.assertIsNone(self.successResultOf(d))

    def test_nobody(self) -> None:
        """With nobody there it is over at once."""
        self.sessions.drain()
        self.assertIsNone(self.successResultOf(self.sessions.empty()))

    def test_at_once(self) -> None:
        """Also where all end within the call."""
        for one in self.add("a", "b"):
            one.on["drain"] = lambda one=one: self.sessions.remove(one)
        self.sessions.drain()
        self.assertIsNone(self.successResultOf(self.sessions.empty()))

    def test_taken_along(self) -> None:
        """Whoever ended because another was told is told nothing."""
        a, b = self.add("a", "b")
        a.on["drain"] = a.on["abort"] = lambda: self.sessions.remove(b)
        self.sessions.drain()
        self.assertEqual(["start"], b.calls)
        self.assertEqual(["a"], self.names())

    def test_latecomer(self) -> None:
        """Whoever begins during a drain is told, once it has started, and waited for."""
        (a,) = self.add("a")
        self.sessions.drain()
        d = self.sessions.empty()
        (late,) = self.add("late")
        self.assertEqual(["start", "drain"], late.calls)
        self.sessions.remove(a)
        self.assertNoResult(d)
        self.sessions.remove(late)
        self.assertIsNone(self.successResultOf(d))

    def test_late_and_over(self) -> None:
        """But not where it is over by then."""
        self.sessions.drain()
        late = FakeSession("late")
        late.on["start"] = lambda: self.sessions.remove(late)
        self.begin(late)
        self.assertEqual(["start"], late.calls)

    def test_again(self) -> None:
        """Whoever else waits is told, too; whoever does not any more is not."""
        (a,) = self.add("a")
        first, second = self.sessions.empty(), self.sessions.empty()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.sessions.remove(a)
        self.assertIsNone(self.successResultOf(second))

    def test_abort(self) -> None:
        """All are ended."""
        a, b = self.add("a", "b")
        self.sessions.abort()
        self.assertEqual([["start", "abort"]] * 2, [a.calls, b.calls])


class ReplaceTests(SessionsMixin):
    """A connection changes hands in one step."""

    def test_instead(self) -> None:
        """The next has the place of the one before when it starts, and nobody who waits for none sees none."""
        (a,) = self.add("a")
        empty = self.sessions.empty()
        seen: list[list[str]] = []
        b = FakeSession("b")
        b.on["start"] = lambda: seen.append(self.names())
        self.begin(b, instead=a)
        self.assertEqual([["b"]], seen)
        self.assertNoResult(empty)
        self.sessions.remove(a)
        self.assertNoResult(empty)
        self.sessions.remove(b)
        self.successResultOf(empty)

    def test_replace(self) -> None:
        """A session hands its own connection over: the other is started, and drained if everybody is."""
        (a,) = self.add("a")
        self.sessions.drain()
        empty = self.sessions.empty()
        b = FakeSession("b")
        self.sessions.replace(a, b)
        self.assertEqual((["start", "drain"], ["b"]), (b.calls, self.names()))
        self.assertNoResult(empty)

    def test_ends_at_once(self) -> None:
        """One that ends within its start leaves nothing of either."""
        (a,) = self.add("a")
        empty = self.sessions.empty()
        b = FakeSession("b")
        b.on["start"] = lambda: self.sessions.remove(b)
        self.sessions.replace(a, b)
        self.successResultOf(empty)
        self.assertEqual(0, len(self.sessions))

    def test_over(self) -> None:
        """What is over has nothing to hand over."""
        (a,) = self.add("a")
        self.sessions.remove(a)
        self.assertRaises(KeyError, self.sessions.replace, a, FakeSession("b"))
        self.assertEqual(0, len(self.sessions))

    def test_inherits(self) -> None:
        """What the next one raises costs the same connection, by the same name."""
        (a,) = self.add("a")
        b = FakeSession("b")
        b.on["start"] = lambda: 1 / 0
        self.sessions.replace(a, b)
        self.assertEqual([("note", ZeroDivisionError)], self.crashes)
        self.assertEqual(("reset", 0), (self.peers["a"].ended, len(self.sessions)))


class CrashTests(SessionsMixin):
    """What a session raises, whatever its class, costs its connection and nothing else, and is told by its name."""

    def test_each(self) -> None:
        """In its start, drain and abort."""
        for error in (ZeroDivisionError, SystemExit, KeyboardInterrupt):
            for when in ("start", "drain", "abort"):
                self.setUp()
                bad = FakeSession("bad")
                bad.on[when] = lambda error=error: self.throw(error())
                self.add("before")
                self.begin(bad)
                self.add("after")
                self.sessions.drain()
                self.sessions.abort()
                self.assertEqual([("note", error)], self.crashes)
                self.assertEqual(
                    {"before": "", "bad": "reset", "after": ""}, {n: p.ended for n, p in self.peers.items()}
                )
                self.assertEqual(["before", "after"], self.names())

    def test_reader(self) -> None:
        """And as the reader of its stream, also at the very end: it is not waited for to say that it is over."""
        (a,) = self.add("a")
        empty = self.sessions.empty()
        reader = Broken()
        (stream,) = self.reactor.streams
        stream.attach(reader)
        self.assertNoResult(empty)
        stream.abort()
        self.assertEqual([("note", ZeroDivisionError)], self.crashes)
        self.successResultOf(empty)

    def throw(self, error: BaseException) -> None:
        raise error

    def test_waited_for(self) -> None:
        """Nobody waits for one that is gone by this."""
        (a,) = self.add("a")
        empty = self.sessions.empty()
        a.on["abort"] = lambda: 1 / 0
        self.sessions.abort()
        self.successResultOf(empty)

    def test_describe(self) -> None:
        """One that cannot be shown costs its row."""
        _, b, _ = self.add("a", "b", "c")
        b.on["describe"] = lambda: self.throw(SystemExit())
        self.assertEqual(["a", "c"], self.names())
        self.assertEqual(([("note", SystemExit)], 3), (self.crashes, len(self.sessions)))
        self.assertEqual("", self.peers["b"].ended)

    def test_describe_secured(self) -> None:
        """Whose connection is secured by TLS is shown with who is at both ends, whatever its protocol."""
        self.begin(FakeSession("a"))
        (stream,) = self.reactor.streams
        stream.conn = stream.conn._replace(tls=Secured("a.mesh", "", "TLSv1.3", "", "a.mesh", "b.mesh"))
        row = {"tls": "TLSv1.3", "sni": "a.mesh", "remote_identity": "b.mesh", "local_identity": "a.mesh"}
        self.assertEqual([{"name": "a", **row}], self.sessions.describe())

    def test_describe_nonsense(self) -> None:
        """Nor does one whose row cannot be shown, which is its protocol's mistake, not the page's."""
        session = FakeSession("a")
        self.begin(session)
        for row in (None, "a", {"x": object()}, {b"k": 1}, {"x": [1, {"y": {2}}]}):
            session.describe = lambda row=row: row  # type: ignore[method-assign,misc]
            self.assertEqual([], self.sessions.describe())
        self.assertEqual([("note", TypeError)] * 5, self.crashes)
        session.describe = lambda: {"x": [1, None, {"y": (True, 1.5)}]}  # type: ignore[method-assign]
        self.assertEqual(1, len(self.sessions.describe()))

    def test_describe_ends(self) -> None:
        """One that ends, or ends another, while it is shown confuses nobody."""
        a, b = self.add("a", "b")
        a.on["describe"] = lambda: (self.sessions.remove(a), self.sessions.remove(b))
        self.assertEqual(["a", "b"], self.names())
        self.assertEqual(0, len(self.sessions))


class OverdueTests(SessionsMixin):
    """Sessions whose connections have ended, and that do not say so."""

    def lose(self, session: FakeSession, seconds: float = OVERDUE) -> None:
        """Its connection ends, and so much time passes."""
        (stream,) = [one for one in self.reactor.streams if one.peer is self.peers[session.name]]
        stream.abort()
        self.sessions.look(0.0)
        self.sessions.look(seconds)

    def test_forgotten(self) -> None:
        """It is told to end; if that does not help it is forgotten, named, and nobody waits for it."""
        a, _ = self.add("a", "b")
        self.lose(a)
        self.assertEqual((["start", "abort"], ["b"]), (a.calls, self.names()))
        self.assertEqual([("note", NeverOver)], self.crashes)
        self.assertEqual(["listener , client 10.0.0.1:40000"], self.where)

    def test_ends(self) -> None:
        """One that ends when it is told to has done nothing wrong."""
        (a,) = self.add("a")
        a.on["abort"] = lambda: self.sessions.remove(a)
        self.lose(a)
        self.assertEqual(([], 0), (self.crashes, len(self.sessions)))

    def test_in_time(self) -> None:
        """One may have its time to finish what it does elsewhere."""
        (a,) = self.add("a")
        self.lose(a, OVERDUE - 1)
        self.assertEqual((["start"], ["a"]), (a.calls, self.names()))

    def test_raises(self) -> None:
        """What it raises then is its own, and told once."""
        (a,) = self.add("a")
        a.on["abort"] = lambda: 1 / 0
        self.lose(a)
        self.assertEqual(([("note", ZeroDivisionError)], 0), (self.crashes, len(self.sessions)))

    def test_count(self) -> None:
        """How many there are, by protocol."""
        self.add("a", "b")
        self.begin(FakeSession("c"), "memo")
        self.assertEqual({"note": 2, "memo": 1}, self.sessions.count())
