# -*- test-case-name: tests.protocols.http.test_pool -*-
"""
L{lproxy.protocols.http.pool}: connections to one endpoint.
"""

from __future__ import annotations

from lproxy.config import Limits, Timeouts
from lproxy.discover.literal import NoRoute
from lproxy.errors import explain
from lproxy.metrics.counters import EndpointCounter
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.streams import UpstreamLost
from lproxy.testing import shown
from tests.protocols.http.harness import GET, OK, HttpTestCase, get, ok


class PoolTests(HttpTestCase):
    """What is kept."""

    limits = Limits(pool=3)

    def both(self, *requests: bytes) -> None:
        """All of C{requests} at once, then all answers."""
        before = len(self.open)
        for request in requests:
            self.client(request)
        for up in self.ups[before:]:
            self.say(up, OK)

    def test_latest_first(self) -> None:
        """The connection that came back last is given out first, so that those not needed grow old."""
        self.both(GET, GET, GET)
        client = self.client()
        for _ in range(5):
            self.say(client, GET)
            self.say(self.ups[2], OK)
        self.assertEqual([1, 1, 6], [up.heard.count(GET) for up in self.ups])

    def test_limit(self) -> None:
        """No more than limits.pool of them."""
        self.both(*[GET] * 5)
        self.assertEqual((3, 3), (self.idle, len(self.open)))

    def test_idle(self) -> None:
        """Those that are idle for upstream_idle are closed, the others are not; no timer stays."""
        self.both(GET, GET)
        for _ in range(4):
            self.wait(2)
            self.client(GET)
            self.say(self.up, OK)
        self.assertEqual(["closed", ""], [up.ended for up in self.ups])
        self.wait(7)
        self.assertEqual((0, []), (self.idle, self.open))
        self.factory.stop()
        self.assertEqual([], self.proxy.reactor.getDelayedCalls())
        self.factory.start()

    def test_closed_by_upstream(self) -> None:
        """One that the upstream closes is forgotten at once."""
        self.both(GET)
        self.up.hang_up()
        self.settle()
        self.assertEqual((0, "closed"), (self.idle, self.up.ended))
        self.client(GET)
        self.assertEqual(2, len(self.ups))

    def test_service_closed(self) -> None:
        """A service that is closed closes what is idle, and what is in use when it comes back."""
        self.both(GET)
        self.client(GET)
        self.client(GET)
        self.pool.close()
        self.settle()
        self.assertEqual(["", ""], [up.ended for up in self.ups])
        for up in self.ups:
            self.say(up, OK)
        self.assertEqual((["closed", "closed"], 0), ([up.ended for up in self.ups], self.idle))

    def test_unused_lease(self) -> None:
        """A connection that was made for nothing is kept for the next request."""
        client = self.client(b"")
        service = self.pool
        lease = self.successResultOf(service.acquire())
        self.assertEqual({"in_flight": 1, "idle": 0}, shown(service))
        lease.close()
        self.assertEqual((0, 1), (service.load, self.idle))
        self.say(client, GET)
        self.assertEqual((GET, 1), (self.heard(self.up), len(self.ups)))

    def test_not_connected(self) -> None:
        """A connect that fails leaves no load."""
        self.proxy.connector.mode = "refuse"
        self.client(GET)
        self.assertEqual({"in_flight": 0, "idle": 0}, shown(self.pool))

    def test_http10_upstream(self) -> None:
        """An upstream that speaks HTTP/1.0 keeps its connection only if it says so."""
        client = self.client(GET)
        self.say(self.up, b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
        self.assertEqual((OK, "closed"), (self.heard(client), self.up.ended))
        self.say(client, GET)
        self.say(self.up, b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok")
        self.assertEqual((OK, 1), (self.heard(client), self.idle))

    def test_gentle_close(self) -> None:
        """An upstream that wants to close after a complete answer sees a close, and no reset."""
        self.client(GET)
        self.say(self.up, ok(b"ok", "Connection: close"))
        self.assertEqual("closed", self.up.ended)

    def test_paused_connection_of_others(self) -> None:
        """No connection comes back paused."""
        for _ in range(3):
            client = self.client(GET)
            client.room = 0
            self.say(self.up, ok(b"x" * 60_000, length=65_600))
            self.say(self.up, b"x" * 5_600)
            client.room = None
            self.assertEqual(65_600, self.heard(client).count(b"x"))
        self.assertEqual(1, len(self.ups))

    def test_unused_lease_of_a_dead_connection(self) -> None:
        """One whose connection ended meanwhile cannot be called, and nothing was sent."""
        self.both(GET)
        lease = self.pool.try_acquire()
        assert lease is not None
        self.up.hang_up()
        self.settle()
        request = Request(b"POST", b"/", [], 0, b"web.test", False)
        error = self.assertRaises(UpstreamLost, lease.call, request, b"", True, None)
        self.assertEqual((True, False), (error.unsent, error.answered))
        lease.close()
        self.assertEqual((0, 0), (self.pool.load, self.idle))

    def test_ended_once(self) -> None:
        """A lease that is ended twice is a mistake that is logged, and never a negative count."""
        self.both(GET)
        lease = self.pool.try_acquire()
        assert lease is not None
        lease.close()
        lease.close()
        self.assertEqual((0, 1), (self.pool.load, self.idle))

    def test_spoken_while_idle(self) -> None:
        """What a connection said while it was idle is nobody's answer: it is closed, and the one before it is used."""
        self.both(GET, GET)
        self.wait(0.1)
        for up in self.ups:
            self.heard(up)
        self.ups[1].say(ok(b"evil"))
        client = self.client()
        client.say(GET)
        # the request is read first
        self.stream(client).turn()
        self.assertEqual(([GET, b""], "closed"), ([self.heard(up) for up in self.ups], self.ups[1].ended))
        self.say(self.ups[0], ok(b"good"))
        self.assertEqual(ok(b"good"), self.heard(client))

    def test_closed_while_idle(self) -> None:
        """The same where it has ended."""
        self.both(GET, GET)
        self.wait(0.1)
        self.ups[1].hang_up()
        client = self.client()
        client.say(GET)
        self.stream(client).turn()
        self.say(self.ups[0], OK)
        self.assertEqual((OK, 2), (self.heard(client), len(self.ups)))

    def test_doubtful(self) -> None:
        """Where one died as it was used, the others are not trusted until an exchange has succeeded; then they are."""
        self.both(GET, GET, GET)
        client = self.client(GET)
        self.ups[2].hang_up()
        self.settle()
        self.assertEqual((4, 2), (len(self.ups), self.idle))
        self.client(get("/other"))
        self.assertEqual(5, len(self.ups))
        self.say(self.ups[3], OK)
        self.assertEqual((OK, 3), (self.heard(client), self.idle))
        self.say(client, GET)
        self.assertEqual(5, len(self.ups))


class EndpointTests(HttpTestCase):
    """What is counted of the endpoint, and what its balancer is told of it."""

    @property
    def counter(self) -> EndpointCounter:
        """Of the endpoint."""
        return self.proxy.acquires["http"].counter

    @property
    def told(self) -> list[str]:
        """What its balancer was told, in words."""
        return [explain(error) for error in self.proxy.acquires["http"].failures]

    def counts(self) -> tuple[int, int, int]:
        """Connections, requests that went well, and others."""
        return self.counter.connected, self.counter.succeeded, self.counter.failed

    def answer(self, *statuses: str) -> None:
        """A request for each, answered so."""
        client = self.client()
        for status in statuses:
            self.say(client, GET)
            self.wait(0.25)
            self.say(self.up, ok(status=status))

    def test_counted(self) -> None:
        """Connections and requests, each once; an answer of 500 and above is a failure; and how long they took."""
        self.answer("200 OK", "404 Not Found", "500 Oh", "201 Created", "599 Odd")
        self.assertEqual((1, 3, 2), self.counts())
        self.assertEqual((5, 1250), (sum(self.counter.latency.counts), round(self.counter.latency.total)))

    def test_not_connected(self) -> None:
        """A connection that could not be opened is counted by the reason, and is no request."""
        self.proxy.connector.mode = "refuse"
        self.client(GET)
        self.assertEqual(({"connect": 1}, (0, 0, 0)), (self.counter.not_connected, self.counts()))

    def test_unused(self) -> None:
        """A lease that was never used, and a client that did not wait for its answer, say nothing of the endpoint."""
        self.client(b"")
        self.successResultOf(self.pool.acquire()).close()
        self.client(GET).reset()
        self.settle()
        self.assertEqual((0, 0), self.counts()[1:])

    def test_bad_answers(self) -> None:
        """An answer of 500 and above is told, with its status; one that the request itself is to blame for is not."""
        self.answer("200 OK", "503 Busy", "501 Not Implemented", "505 HTTP Version Not Supported", "500 Oh", "404 No")
        where = "upstream: 10.0.0.9:9000"
        self.assertEqual([f"{where} answered 503", f"{where} answered 500"], self.told)

    def test_malformed(self) -> None:
        """What is no answer at all is as bad, and so is one that did not come in time."""
        self.client(GET)
        self.say(self.up, b"SSH-2.0-OpenSSH\r\n\r\n")
        self.assertRegex(self.told[0], "^upstream: 10.0.0.9:9000 sent a malformed answer")
        self.assertEqual((1, 0, 1), self.counts())
        self.start(timeouts=Timeouts(response_headers=1.0))
        self.client(GET)
        self.wait(1.5)
        self.assertRegex(self.told[0], "did not answer within 1 s")
        self.assertEqual((1, 0, 1), self.counts())

    def test_lost(self) -> None:
        """A connection that is lost under a request is a failure, once, also in the middle of an answer."""
        self.client(GET)
        self.up.reset()
        self.settle()
        self.assertEqual((1, 0, 1), self.counts())
        self.client(GET)
        self.say(self.up, ok(b"half", length=100))
        self.up.reset()
        self.settle()
        self.assertEqual((2, 0, 2), self.counts())
        self.assertEqual(2, len(self.told))

    def test_well_again(self) -> None:
        """Good answers are told while somebody waits for one, and no longer."""
        health = self.proxy.acquires["http"]
        well: list[float] = []
        results = [False, False, True]

        def answered_well(began: float) -> bool:
            well.append(self.proxy.reactor.seconds() - began)
            return results.pop(0)

        self.patch(health, "answered_well", answered_well)
        self.answer("200 OK", "500 Oh", *["200 OK"] * 5)
        self.assertEqual([0.25] * 3, [round(seconds, 2) for seconds in well])
        self.assertEqual((1, 6, 1), self.counts())

    def test_tunnel(self) -> None:
        """An upgrade is a good answer, however long it lasts."""
        client = self.client(get("/", "Connection: Upgrade", "Upgrade: websocket"))
        self.say(self.up, b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        self.assertEqual((1, 1, 0), self.counts())
        self.wait(10)
        client.reset()
        self.settle()
        self.assertEqual(((1, 1, 0), 0), (self.counts(), sum(self.counter.latency.counts)))


class TriedTests(HttpTestCase):
    """The access log names the endpoint, whatever came of it."""

    def upstreams(self) -> list[object]:
        """Of each line."""
        return [row["upstream"] for row in self.proxy.records]

    def test_refused(self) -> None:
        """It refused."""
        self.proxy.connector.mode = "refuse"
        self.client(GET)
        self.assertEqual((["10.0.0.9:9000"], [(502, "UF")]), (self.upstreams(), self.rows))

    def test_lost(self) -> None:
        """It took the request, and no answer came; or one did."""
        self.client(GET)
        self.up.reset()
        self.settle()
        self.client(GET)
        self.say(self.up, OK)
        self.assertEqual((["10.0.0.9:9000"] * 2, [(502, "UC"), (200, "")]), (self.upstreams(), self.rows))

    def test_again_in_vain(self) -> None:
        """It lost the request, which could not be sent to another."""
        client = self.client(GET)
        self.say(self.up, OK)
        self.say(client, GET)
        self.proxy.acquires["http"].error = NoRoute("web.test")
        self.up.reset()
        self.settle()
        self.assertEqual((["10.0.0.9:9000"] * 2, (404, "NR")), (self.upstreams(), self.rows[-1]))

    def test_none(self) -> None:
        """Where none was tried, none is named."""
        self.client(b"")
        self.proxy.acquires["http"].error = NoRoute("web.test")
        self.client(GET)
        self.assertEqual([None], self.upstreams())
