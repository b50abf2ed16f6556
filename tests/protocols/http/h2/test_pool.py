# -*- test-case-name: tests.protocols.http.h2.test_pool -*-
"""
L{lproxy.protocols.http.h2.pool}: the connections to one endpoint, and the streams on them.
"""

from __future__ import annotations

import random

from twisted.internet.defer import CancelledError, Deferred

from lproxy.config import Limits, Timeouts
from lproxy.errors import explain
from lproxy.protocols.http.h2.faults import CANCEL, ENHANCE_YOUR_CALM, NO_ERROR, REFUSED_STREAM
from lproxy.protocols.http.h2.pool import SHARED_READ
from lproxy.protocols.http.streams import HttpLease
from lproxy.testing import Peer, shown
from tests.protocols.http.h2.upstream import Http2Peer, Http2UpstreamCase
from tests.protocols.http.harness import GET, get, post

MAX_STREAMS = 3


class PoolCase(Http2UpstreamCase):
    """What the tests of pools have in common."""

    def many(self, count: int, request: bytes = GET) -> list[Peer]:
        """So many clients, each with a request."""
        return [self.client(request) for _ in range(count)]

    def answered(self, clients: list[Peer]) -> int:
        """How many have a whole answer."""
        return sum(client.heard.endswith((b"ok", b"0\r\n\r\n")) for client in clients)

    def all_open(self) -> list[tuple[Http2Peer, int]]:
        """What waits to be answered, at every connection."""
        return [(up, stream) for up in self.h2 for stream in sorted(up.open)]

    def acquire(self) -> Deferred[HttpLease]:
        """From the pool itself."""
        return self.slots.acquire()


class SlotTests(PoolCase):
    """Streams."""

    settings = {MAX_STREAMS: 2}
    limits = Limits(h2_connections=2)

    def test_one_connection(self) -> None:
        """As long as there is room, all are streams of one."""
        clients = self.many(2)
        self.assertEqual((1, [1, 3]), (len(self.ups), sorted(self.server.open)))
        for stream in (3, 1):
            self.server.answer(stream)
        self.settle()
        self.assertEqual(2, self.answered(clients))

    def test_read_together(self) -> None:
        """What is read at once may be of many streams."""
        self.client(GET)
        self.assertEqual(SHARED_READ, self.stream(self.up).read_size)

    def test_second(self) -> None:
        """Where there is none, there is another connection; the one with fewer streams is taken then."""
        clients = self.many(3)
        self.assertEqual([2, 1], [len(up.open) for up in self.h2])
        self.h2[0].answer(1)
        self.h2[0].answer(3)
        clients += self.many(1)
        self.assertEqual([1, 1], [len(up.open) for up in self.h2])
        for up, stream in self.all_open():
            up.answer(stream)
        self.settle()
        self.assertEqual(4, self.answered(clients))

    def test_in_order(self) -> None:
        """Over the limit they wait, and are served in order of arrival; nobody comes in between."""
        self.many(4)
        paths = [f"/{n}" for n in range(5)]
        for path in paths:
            self.client(get(path))
        self.assertEqual({"in_flight": 9, "idle": 0, "connections": 2, "waiting_for_stream": 5}, shown(self.slots))
        served: list[bytes] = []
        for _ in paths:
            up, stream = self.all_open()[0]
            up.answer(stream)
            self.settle()
            self.assertEqual([2, 2], [len(up.open) for up in self.h2])
        served = [up.requests[stream][b":path"] for up in self.h2 for stream in sorted(up.requests)]
        self.assertEqual(sorted(paths), sorted(path.decode() for path in served if path != b"/"))
        self.assertEqual([2, 2], [up.most for up in self.h2])

    def test_cancelled(self) -> None:
        """Who does not wait any more is left out."""
        self.many(4)
        first, second = self.acquire(), self.acquire()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        up, stream = self.all_open()[0]
        up.answer(stream)
        self.settle()
        self.successResultOf(second).close()
        self.assertEqual(3, self.slots.load)

    def test_settings_first(self) -> None:
        """Nothing is sent before the peer has said how many streams it takes."""
        self.start()
        client = self.proxy.client()
        self.clients.append(client)
        client.say(GET)
        self.proxy.settle()
        self.assertNotIn(b"web.test", self.up.heard)
        said = len(self.up.heard)
        self.settle()
        self.assertEqual([1], list(self.server.requests))
        self.assertLess(said, len(self.up.heard))

    def test_lowered(self) -> None:
        """A limit that is lowered in mid-flight holds from then on; one that is raised as well."""
        clients = self.many(2)
        first = self.server
        first.allow(1)
        clients += self.many(1)
        second = self.server
        second.allow(1)
        self.settle()
        clients += self.many(3)
        self.assertEqual([2, 1], [len(up.open) for up in self.h2])
        first.answer(1)
        self.settle()
        self.assertEqual([1, 1], [len(up.open) for up in self.h2])
        first.allow(10)
        self.settle()
        self.assertEqual([4, 1], [len(up.open) for up in self.h2])
        for up, stream in self.all_open():
            up.answer(stream)
        self.settle()
        self.assertEqual(len(clients), self.answered(clients))

    def test_none_allowed(self) -> None:
        """A peer that allows none for a while is waited for."""
        self.server_allows(0)
        client = self.client(GET)
        self.assertEqual([1], list(self.h2[0].requests))
        self.h2[0].allow(1)
        self.settle()
        stream = self.h2[0].last
        self.h2[0].answer(stream)
        self.settle()
        self.assertEqual(1, self.answered([client]))

    def server_allows(self, streams: int) -> None:
        """The first connection, which has served one, takes so many; and there is no other."""
        self.start(limits=Limits(h2_connections=1))
        self.client(GET)
        self.server.answer(1)
        self.server.allow(streams)
        self.settle()

    def test_unused_lease(self) -> None:
        """A lease that was not needed leaves its stream to others."""
        self.many(1)
        lease = self.slots.try_acquire()
        assert lease is not None
        self.assertIs(None, self.slots.try_acquire())
        lease.close()
        lease = self.slots.try_acquire()
        assert lease is not None
        lease.close()
        self.assertEqual(1, self.slots.load)

    def test_fuzz(self) -> None:
        """Whatever comes, goes and fails in whatever order: nobody is lost, no stream is over the limit, none leaks."""
        rng = random.Random(13)
        clients: list[Peer] = []
        for _ in range(400):
            what = rng.random()
            streams = self.all_open()
            if what < 0.4 or not streams:
                clients.append(self.client(rng.choice((GET, post(b"hello"), post(b"half", length=9)))))
            elif what < 0.7:
                up, stream = rng.choice(streams)
                up.answer(stream)
            elif what < 0.8:
                up, stream = rng.choice(streams)
                up.reset(stream, rng.choice((CANCEL, REFUSED_STREAM, NO_ERROR)))
            elif what < 0.9:
                rng.choice(clients).reset()
            elif what < 0.92:
                up, stream = rng.choice(streams)
                up.peer.hang_up()
                up.open.clear()
            else:
                up, stream = rng.choice(streams)
                up.head(stream)
            self.settle()
            for up in self.h2:
                self.assertLessEqual(up.most, 2)
        for client in clients:
            client.reset()
        self.settle()
        self.assertEqual((0, {}), (self.slots.load, self.slots._waiters))
        # every slot is free again
        for _ in range(4):
            self.client(GET)
        self.assertEqual(4, len([stream for up in self.h2 if not up.peer.ended for stream in up.open]))


class ConnectTests(PoolCase):
    """Connections come."""

    settings = {MAX_STREAMS: 1}

    def test_as_many_as_needed(self) -> None:
        """As long as nobody knows how many streams a connection takes, one is made for a hundred who wait."""
        self.proxy.connector.mode = "wait"
        for _ in range(50):
            self.client(GET)
        self.assertEqual(1, len(self.proxy.connector.waiting))
        self.proxy.connector.mode = "accept"
        self.proxy.connector.accept()
        self.settle()
        self.assertEqual(50, len(self.ups))

    def test_limited(self) -> None:
        """No more than limits.h2_connections of them: the others wait, and all are served."""
        self.start(limits=Limits(h2_connections=3))
        clients = self.many(30)
        self.assertEqual(3, len(self.ups))
        for _ in range(10):
            for up, stream in self.all_open():
                up.answer(stream)
            self.settle()
        self.assertEqual((30, 3, 1), (self.answered(clients), len(self.ups), max(up.most for up in self.h2)))

    def test_refused(self) -> None:
        """Where none can be made, all who wait are told why, and each is counted."""
        self.proxy.connector.mode = "wait"
        clients = self.many(2)
        self.proxy.connector.refuse()
        self.settle()
        for client in clients:
            self.assertIn(b"502 Bad Gateway", client.heard)
        self.assertEqual({"connect": 1}, self.acquires().counter.not_connected)

    def test_another_is_refused(self) -> None:
        """Where there is one that serves, they go on to wait for that."""
        first = self.client(GET)
        self.proxy.connector.mode = "refuse"
        second = self.client(GET)
        self.assertEqual(b"", second.heard)
        self.server.answer(1)
        self.settle()
        self.server.answer(3)
        self.settle()
        self.assertEqual(2, self.answered([first, second]))

    def test_cancelled(self) -> None:
        """Where nobody waits any more, connecting is given up."""
        self.proxy.connector.mode = "wait"
        self.client(GET).reset()
        self.settle()
        self.assertEqual(([], 1), (self.proxy.connector.waiting, self.proxy.connector.cancelled))

    def test_not_http2(self) -> None:
        """What answers in HTTP/1 is not sent anything but a preface, and the client told what is wrong."""
        client = self.proxy.client()
        self.clients.append(client)
        client.say(GET)
        self.proxy.settle()
        self.up.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        self.proxy.settle()
        self.assertIn(b"10.0.0.9:9000 does not speak HTTP/2: it answers in HTTP/1", client.heard)
        self.assertIn(b'(protocol = "http1" for its service: it is spoken to in that) (after ', client.heard)
        self.assertNotIn(b"web.test", self.up.heard)
        self.assertEqual({"not_http2": 1}, self.acquires().counter.not_connected)
        self.assertEqual({"not_http2": 1}, self.errors)

    def test_ended_before(self) -> None:
        """So is one that ends before it has said SETTINGS; or says nothing for most of timeouts.acquire."""
        for what, words in (
            ("hang_up", b"it ended the connection before its SETTINGS"),
            ("", b"sent no SETTINGS within 2.25 s"),
        ):
            client = self.proxy.client()
            self.clients.append(client)
            client.say(GET)
            self.proxy.settle()
            if what:
                self.up.hang_up()
            self.proxy.settle()
            self.proxy.settle(2.3)
            self.assertIn(words, client.heard)
            self.assertNotEqual("", self.up.ended)
            self.h2.append(Http2Peer(Peer(), settle=False))


class GoneTests(PoolCase):
    """Connections go."""

    timeouts = Timeouts(h2_ping=10.0)

    def test_goaway(self) -> None:
        """Streams that were looked at go on; the others are sent once more, elsewhere, and nothing new goes there."""
        clients = self.many(3, post(b"hello"))
        first = self.server
        first.go_away(3)
        self.settle()
        second = self.server
        self.assertIsNot(first, second)
        self.assertEqual((b"hello", [1]), (second.bodies[1], list(second.requests)))
        clients += self.many(1)
        self.assertEqual([1, 3], list(second.requests))
        for stream in (1, 3):
            first.answer(stream)
        self.settle()
        self.assertEqual("closed", first.peer.ended)
        for stream in (1, 3):
            second.answer(stream)
        self.settle()
        self.assertEqual((4, {}), (self.answered(clients), self.errors))
        self.assertEqual([], self.acquires().failures)

    def test_goaway_while_idle(self) -> None:
        """A connection with nothing on it is closed by it, and the next request has another."""
        self.many(1)
        self.server.answer(1)
        self.settle()
        self.server.go_away(1)
        self.settle()
        self.assertEqual("closed", self.up.ended)
        clients = self.many(1)
        self.server.answer(1)
        self.settle()
        self.assertEqual(1, self.answered(clients))

    def test_half_sent(self) -> None:
        """What cannot be sent once more, as some of it is gone, is not; the client is told why."""
        client = self.client(post(b"half", length=9))
        self.say(client, b"more")
        self.server.go_away(0)
        self.settle()
        self.assertIn(b"said GOAWAY (NO_ERROR) before it looked at the request", client.heard)
        self.assertIn(b"502 Bad Gateway", client.heard)

    def test_refused_stream(self) -> None:
        """A stream that was refused is sent once more, whatever its method: nothing was done of it."""
        client = self.client(post(b"hello"))
        self.server.reset(1, REFUSED_STREAM)
        self.settle()
        self.assertEqual((b"hello", [1, 3]), (self.server.bodies[3], list(self.server.requests)))
        self.server.answer(3)
        self.settle()
        self.assertEqual((1, {}), (self.answered([client]), self.errors))

    def test_refused_for_ever(self) -> None:
        """It is not sent for ever."""
        client = self.client(GET)
        for _ in range(3):
            self.server.reset(self.server.last, REFUSED_STREAM)
            self.settle()
        self.assertIn(b"502 Bad Gateway", client.heard)
        self.assertEqual(3, len(self.server.requests))

    def test_idle(self) -> None:
        """A connection that nobody uses for upstream_idle is closed; one with a stream on it is not; no timer stays."""
        self.many(1)
        self.wait(8)
        self.assertEqual("", self.up.ended)
        self.server.answer(1)
        self.settle()
        self.wait(6.2)
        self.assertEqual(("closed", NO_ERROR), (self.up.ended, self.server.goaway))
        self.factory.stop()
        self.assertEqual([], self.proxy.reactor.getDelayedCalls())
        self.factory.start()

    def test_closed_while_idle(self) -> None:
        """One that has ended just now, unread, is not used."""
        self.many(1)
        self.server.answer(1)
        self.settle()
        self.wait(0.1)
        self.up.hang_up()
        client = self.client()
        client.say(post(b"hello"))
        self.stream(client).turn()
        self.settle()
        self.assertEqual(2, len(self.ups))
        self.server.answer(1)
        self.settle()
        self.assertEqual(1, self.answered([client]))

    def test_pool_closed(self) -> None:
        """A service that is closed closes what is idle, and what is in use when its streams have ended."""
        self.many(1)
        self.slots.close()
        self.settle()
        self.assertEqual("", self.up.ended)
        self.server.answer(1)
        self.settle()
        self.assertEqual("closed", self.up.ended)

    def test_ping(self) -> None:
        """A connection with streams that is not heard for h2_ping is asked; one that answers stays."""
        self.many(1)
        self.wait(40, 0.5)
        self.assertEqual((1, "", True), (len(self.ups), self.up.ended, 1 <= self.server.pings <= 3))

    def test_no_answer_to_ping(self) -> None:
        """One that does not is lost, and so is what was on it."""
        (client,) = self.many(1, post(b"hello"))
        self.server.read = lambda: None  # type: ignore[method-assign]
        self.wait(40, 0.5)
        self.assertNotEqual("", self.up.ended)
        self.assertIn(b"does not answer PING (timeouts.h2_ping) without an answer", client.heard)
        self.assertEqual(1, len(self.acquires().failures))

    def test_too_many_pings(self) -> None:
        """A server that complains of them is asked half as often; what it has goes on."""
        (client,) = self.many(1)
        self.server.go_away(1, ENHANCE_YOUR_CALM, b"too_many_pings")
        self.settle()
        self.assertEqual(20.0, self.slots._ping)
        self.server.answer(1)
        self.settle()
        self.assertEqual(1, self.answered([client]))

    def test_lost(self) -> None:
        """All that was on it is lost: what had no answer, of a connection that had served, is sent once more."""
        self.many(1)
        self.server.answer(1)
        self.settle()
        idempotent, other = self.client(GET), self.client(post(b"hello"))
        self.up.reset()
        self.settle()
        self.assertIn(b"reset the connection without an answer", other.heard)
        self.server.answer(1)
        self.settle()
        self.assertEqual((2, 1), (len(self.ups), self.answered([idempotent])))

    def test_ids_end(self) -> None:
        """Where the ids come to their end there is a new connection in time."""
        self.many(1)
        self.server.answer(1)
        self.settle()
        engine = self.slots._clients[0].engine
        engine._next_id = 2**31 - 2001  # type: ignore[attr-defined]
        clients = self.many(3)
        self.assertLessEqual(2, len(self.ups))
        for up, stream in self.all_open():
            up.answer(stream)
        self.settle()
        self.assertEqual(3, self.answered(clients))

    def test_explained(self) -> None:
        """What an endpoint is blamed for says what happened."""
        self.many(1, post(b"hello"))
        self.up.reset()
        self.settle()
        (error,) = self.acquires().failures
        self.assertEqual("upstream: 10.0.0.9:9000 reset the connection without an answer", explain(error))


class ReferenceSlotTests(SlotTests):
    """The same with the h2 library beneath."""

    listen = {"http2_engine": "reference"}


class ReferenceGoneTests(GoneTests):
    """Likewise."""

    listen = {"http2_engine": "reference"}
