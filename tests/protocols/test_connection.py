# -*- test-case-name: tests.protocols.test_connection -*-
"""
Tests for L{lproxy.protocols.connection}.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.discover.host import ResolveFailed
from lproxy.discover.literal import NoRoute
from lproxy.protocols.connection import ConnectionClient, let_go, rescue
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.stack.admit import TooManyInFlight
from lproxy.stack.cache import CacheFull
from lproxy.stack.failfast import FailedFast
from lproxy.stack.lease import Hold
from lproxy.stack.report import Report
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import UNKNOWN, Authority, Endpoint, Metadata
from lproxy.testing import Peer, ScriptedLease
from lproxy.testing.proxy import ScriptedProxy
from lproxy.testing.upstream import CLIENT, OURS, UPSTREAM
from lproxy.transport.connect import ConnectFailed, ConnectTimedOut, LoopRefused
from lproxy.transport.proxy_protocol import v1, v2
from lproxy.transport.proxy_protocol.announce import announcement
from lproxy.transport.relay import Relay
from lproxy.transport.stream import Conn, Secured

WEB, ENDPOINT = Authority("web", 80), Endpoint("10.0.0.9", 80)


class ClientTests(SynchronousTestCase):
    """The service of one endpoint: a lease is a connection, and its end is the connection's."""

    def setUp(self) -> None:
        self.proxy = ScriptedProxy(TcpPlugin())
        self.kept: list[Any] = []
        self.client = ConnectionClient(self.proxy.runtime.outward, UPSTREAM, UNKNOWN, "redis")

    def lease(self) -> Any:
        return self.successResultOf(self.client.acquire())

    def keep(self) -> None:
        """A lease that is out for as long as the test is."""
        self.kept.append(self.lease())

    @property
    def upstream(self) -> Peer:
        return self.proxy.connector.upstreams[-1]

    def test_far(self) -> None:
        """Of an endpoint that was never seen to be near nothing is had at once, nor after one that took its time."""
        self.assertIsNone(self.client.try_acquire())
        self.proxy.connector.mode = "wait"
        self.kept.append(self.client.acquire())
        self.proxy.connector.accept()
        self.proxy.connector.mode = "accept"
        self.assertIsNone(self.client.try_acquire())
        self.assertEqual(1, self.client.load)

    def test_near(self) -> None:
        """After a connection that stood at once the next is had at once: a new one, counted like any other."""
        first = self.lease()
        lease = self.client.try_acquire()
        assert lease is not None
        self.assertEqual((2, 2), (self.client.load, len(self.proxy.connector.upstreams)))
        for one in (first, lease):
            one.close()
        self.assertEqual(0, self.client.load)

    def test_no_longer_near(self) -> None:
        """One that did not stand at once, or was refused, is waited for; and so are those after it, until one does."""
        self.keep()
        self.proxy.connector.mode = "wait"
        self.assertIsNone(self.client.try_acquire())
        self.proxy.connector.mode = "accept"
        self.assertIsNone(self.client.try_acquire())
        self.keep()
        self.proxy.connector.mode = "refuse"
        self.failureResultOf(self.client.acquire(), ConnectFailed)
        self.proxy.connector.mode = "accept"
        self.assertIsNone(self.client.try_acquire())
        self.assertEqual(2, self.client.load)

    def test_load(self) -> None:
        """Connections count from the attempt to the end of the lease, and are not closed with the service."""
        self.proxy.connector.mode = "wait"
        d = self.client.acquire()
        self.assertEqual(1, self.client.load)
        self.proxy.connector.accept()
        lease = self.successResultOf(d)
        report = Report(True)
        self.client.report(report)
        self.assertEqual({"in_flight": 1}, report.row())
        self.client.close()
        self.assertEqual("", self.upstream.ended)
        lease.close()
        self.assertEqual(0, self.client.load)
        self.proxy.settle()
        self.assertEqual("reset", self.upstream.ended)

    def test_failed(self) -> None:
        """A failed attempt counts no longer, nor does one that was cancelled."""
        self.proxy.connector.mode = "refuse"
        self.failureResultOf(self.client.acquire(), ConnectFailed)
        self.assertEqual(0, self.client.load)
        self.proxy.connector.mode = "wait"
        d = self.client.acquire()
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertEqual((0, 1), (self.client.load, self.proxy.connector.cancelled))

    def test_counted(self) -> None:
        """The connection is counted by its endpoint, under the name that the protocol gave it."""
        self.lease()
        self.assertEqual([("outbound", "dst", "10.0.0.2", "10.0.0.9:9000", "redis")], list(self.proxy.counted))

    def test_told(self) -> None:
        """An endpoint that is told of clients hears for whom it is before all else, or that it is for nobody."""
        for version, told in (("v1", v1.build(CLIENT, OURS)), ("v2", v2.build(CLIENT, OURS))):
            about = Metadata(proxy_protocol=version)
            client = ConnectionClient(self.proxy.runtime.outward, UPSTREAM, about, "redis")
            for conn, header in ((Conn(CLIENT, OURS), told), (None, announcement(version, None))):
                lease = self.successResultOf(client.acquire())
                upstream = self.proxy.connector.upstreams[-1]
                self.assertEqual(b"", upstream.heard)
                lease.call(conn).stream.write(b"first")
                self.assertEqual(header + b"first", upstream.heard)
                lease.close()

    def test_call(self) -> None:
        """
        C{call} gives the connection, which nobody reads, and where it leads. Joined with a client's, it ends when both
        have, and then the lease may.
        """
        ended: list[int] = []
        lease = self.lease()
        upstream = lease.call()
        self.upstream.say(b"unread")
        self.proxy.settle()
        self.assertEqual((UPSTREAM, 6), (upstream.endpoint, self.upstream.unread))
        peer = Peer()
        relay = Relay(self.proxy.reactor.stream(peer, CLIENT, OURS), lambda: ended.append(self.client.load), 65536)
        relay.start(b"first")
        relay.join(upstream.stream)
        peer.hang_up()
        self.upstream.say(b" answer")
        self.upstream.hang_up()
        self.proxy.settle()
        self.assertEqual((b"first", b"unread answer", [1]), (self.upstream.heard, peer.heard, ended))
        lease.close()
        self.proxy.settle()
        self.assertEqual(("closed", 0), (self.upstream.ended, self.client.load))

    def test_closed_early(self) -> None:
        """A lease that ends before its relay takes it along."""
        ended: list[int] = []
        lease = self.lease()
        peer = Peer()
        relay = Relay(self.proxy.reactor.stream(peer, CLIENT, OURS), lambda: ended.append(1), 65536)
        relay.start()
        relay.join(lease.call().stream)
        lease.close()
        self.proxy.settle()
        self.assertEqual(("reset", "reset", [1]), (self.upstream.ended, peer.ended, ended))

    def test_unused(self) -> None:
        """A lease that ends unused closes its connection."""
        self.lease().close()
        self.assertEqual(("reset", 0), (self.upstream.ended, self.client.load))

    def test_twice(self) -> None:
        """A lease that is ended twice is a mistake, which is logged; nothing is counted twice."""
        lease = self.lease()
        hold = lease.hold = Hold()
        hold.count = 1
        with capturedLogs() as lines:
            lease.close()
            self.assertEqual([], lines)
            lease.close()
        self.assertEqual((0, 0, 1), (self.client.load, hold.count, len(lines)))
        self.assertIn("<ConnectionLease on 10.0.0.9:9000> was ended twice", formatEvent(lines[0]))

    def test_dropped(self) -> None:
        """
        A lease that nobody has ended and nobody has any more is ended when its endpoint is used or shown next, and told
        by its protocol's name; what was held for it is given back.
        """
        told: list[Any] = []
        outward = self.proxy.runtime.outward
        object.__setattr__(outward, "crashed", lambda name, failure: told.append((name, str(failure.value))))
        for use in (self.client.try_acquire, self.client.acquire, lambda: self.client.report(Report(True))):
            hold = Hold()
            lease = self.lease()
            hold.take(lease)
            upstream = self.upstream
            del lease
            self.assertEqual((1, "", []), (hold.count, upstream.ended, told))
            used: Any = use()
            self.assertEqual((0, "reset"), (hold.count, upstream.ended))
            self.assertEqual([("redis", "a lease on 10.0.0.9:9000 was dropped, but not closed")], told)
            if used is not None:
                (used.result if isinstance(used, Deferred) else used).close()
            told.clear()
        self.assertEqual(0, self.client.load)

    def test_not_dropped(self) -> None:
        """One that has ended may go, with or without a hold."""
        for held in (True, False):
            lease = self.lease()
            if held:
                Hold().take(lease)
            lease.close()
            del lease
        self.assertEqual([], self.client.dropped)

    def test_exception(self) -> None:
        """An exception of whoever reads the upstream's connection is told as this protocol's."""
        told: list[Any] = []
        object.__setattr__(
            self.proxy.runtime.outward, "crashed", lambda name, failure, where="": told.append((name, failure.type))
        )
        lease = self.lease()
        reader: Any = Peer()  # which has none of a reader's methods
        lease.call().stream.attach(reader)
        lease.call().stream.resume()
        self.upstream.say(b"x")
        self.proxy.settle()
        self.assertEqual([("redis", AttributeError)], told)
        self.assertEqual("reset", self.upstream.ended)
        lease.close()


class Session:
    """One that is over."""

    def start(self) -> None:
        """Never called."""

    drain = abort = start

    def describe(self) -> dict[str, Any]:
        return {"upstream": None, "state": "relaying"}


class LetGoTests(SynchronousTestCase):
    """The end of a session."""

    def setUp(self) -> None:
        self.proxy = ScriptedProxy(TcpPlugin())
        self.rows: list[dict[str, Any]] = []
        self.over: list[Any] = []
        object.__setattr__(self.proxy.runtime, "access", self.rows.append)
        self.patch(self.proxy.runtime.sessions, "remove", self.over.append)
        self.stream: Any = SimpleNamespace(errno="ECONNRESET", conn=Conn(("10.0.0.1", 1), ("10.0.0.2", 2)))

    def test_all(self) -> None:
        """The lease is closed, the line written, and the session over: where it was, or was tried, and how it ended."""
        lease, session = ScriptedLease(), Session()
        let_go(session, self.proxy.runtime, lease, self.stream, "SD")
        let_go(session, self.proxy.runtime, None, self.stream, "UF", ENDPOINT)
        self.assertEqual(([session] * 2, 1), (self.over, lease.closed))
        row = {"kind": "connection", "errno": "ECONNRESET"}
        self.assertEqual(
            [{**row, "upstream": None, "flags": "SD"}, {**row, "upstream": "10.0.0.9:80", "flags": "UF"}], self.rows
        )

    def test_times(self) -> None:
        """How long it waited for its upstream, and how long it had that, where this is known."""
        runtime = self.proxy.runtime
        since = runtime.clock.seconds()
        self.proxy.settle(2.5)
        let_go(Session(), runtime, ScriptedLease(), self.stream, "", waited=0.25, since=since)
        let_go(Session(), runtime, None, self.stream, "UF", waited=0.5)
        names = ("acquire_seconds", "upstream_seconds")
        self.assertEqual([(0.25, 2.5), (0.5, None)], [tuple(row.get(name) for name in names) for row in self.rows])

    def test_secured(self) -> None:
        """Of one who came by TLS, the line says who that was."""
        self.stream.conn = self.stream.conn._replace(tls=Secured(version="TLSv1.3", remote_identity="a.mesh"))
        let_go(Session(), self.proxy.runtime, None, self.stream, "")
        (row,) = self.rows
        self.assertEqual(("TLSv1.3", "a.mesh"), (row["tls"], row["remote_identity"]))

    def test_raises(self) -> None:
        """Whatever is raised on the way, it is over."""
        object.__setattr__(self.proxy.runtime, "access", None)
        let_go(Session(), self.proxy.runtime, None, self.stream, "")
        lease: Any = SimpleNamespace(close=self.fail)
        self.assertRaises(self.failureException, let_go, Session(), self.proxy.runtime, lease, self.stream, "")
        self.assertEqual(2, len(self.over))


class RescueTests(SynchronousTestCase):
    """Each cause has its flag, and a line that names layer, target and cause."""

    def rescue(self, error: BaseException) -> tuple[str, ScriptedProxy, dict[str, str]]:
        proxy = ScriptedProxy(TcpPlugin())
        kinds: dict[str, str] = {}
        self.parts: list[Any] = []
        runtime: Any = proxy.runtime
        object.__setattr__(
            runtime, "warn", lambda kind, text, parts: (kinds.__setitem__(kind, text), self.parts.append(parts))
        )
        return rescue(Failure(error), runtime, "redis", WEB, 0.25), proxy, kinds

    def test_causes(self) -> None:
        """What can happen."""
        timed_out = AcquireTimedOut(WEB, 3)
        timed_out.__cause__ = ConnectFailed(ENDPOINT, "EHOSTUNREACH")
        for error, flags, words in (
            (TooManyInFlight(WEB, 10), "UO", "admit: web:80 refused: 10 requests in flight (limits.in_flight)"),
            (timed_out, "UT", "acquire: web:80 not ready within 3 s: connect: 10.0.0.9:80 EHOSTUNREACH"),
            (FailedFast(WEB, 2), "UH", "failfast: web:80 not ready for 2 s, failing at once until it is"),
            (ConnectFailed(ENDPOINT, "ECONNREFUSED"), "UF", "connect: 10.0.0.9:80 refused"),
            (ConnectTimedOut(ENDPOINT, 1), "UF", "connect: 10.0.0.9:80 did not answer within 1 s"),
            (NoRoute(WEB), "NR", "resolve: web:80 does not exist"),
            (ResolveFailed(WEB), "UH", "resolve: web:80 could not be resolved"),
            (LoopRefused(ENDPOINT), "LP", "connect: 10.0.0.9:80 is this proxy itself: refused to loop"),
            (CacheFull(WEB, 5), "UO", "cache: web:80 refused: all 5 cached services are in use"),
        ):
            told, proxy, kinds = self.rescue(error)
            self.assertEqual(flags, told)
            line = f"listener scripted: redis connection to web:80 closed after 0.250 s: {words}"
            self.assertEqual(({f"redis-{flags}": line}, []), (kinds, proxy.crashes))
            self.assertEqual([(words.partition(":")[0], "web:80", words, 0.25)], self.parts)

    def test_bug(self) -> None:
        """What must not happen is a crash, with its traceback."""
        told, proxy, kinds = self.rescue(ZeroDivisionError())
        self.assertEqual(("BUG", {}), (told, kinds))
        self.assertEqual([ZeroDivisionError], [failure.type for failure in proxy.crashes])
