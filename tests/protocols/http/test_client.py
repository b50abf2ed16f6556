# -*- test-case-name: tests.protocols.http.test_client -*-
"""
L{lproxy.protocols.http.client}: connections to one endpoint.
"""

from __future__ import annotations

from lproxy.config import Limits
from lproxy.testing import shown
from tests.protocols.http.harness import GET, OK, HttpTestCase, get, ok, post

METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "POST", "PATCH", "FROB")
IDEMPOTENT = METHODS[:6]
CHUNKED = get("/", "Transfer-Encoding: chunked", method="POST")


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
        self.factory.doStop()
        self.assertEqual([], self.proxy.reactor.getDelayedCalls())
        self.factory.doStart()

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
        self.proxy._acquires["http"].service.close()
        self.settle()
        self.assertEqual(["", ""], [up.ended for up in self.ups])
        for up in self.ups:
            self.say(up, OK)
        self.assertEqual((["closed", "closed"], 0), ([up.ended for up in self.ups], self.idle))

    def test_unused_lease(self) -> None:
        """A connection that was made for nothing is kept for the next request."""
        client = self.client(b"")
        service = self.proxy._acquires["http"].service
        lease = self.successResultOf(service.acquire())
        self.assertEqual(1, service.load)
        lease.close()
        self.assertEqual((0, 1), (service.load, self.idle))
        self.say(client, GET)
        self.assertEqual((GET, 1), (self.heard(self.up), len(self.ups)))

    def test_not_connected(self) -> None:
        """A connect that fails leaves no load."""
        self.proxy.connector.mode = "refuse"
        self.client(GET)
        self.assertEqual({"in_flight": 0, "idle": 0}, shown(self.proxy._acquires["http"].service))

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


class RetryTests(HttpTestCase):
    """A kept connection that dies as it is used."""

    def used(self) -> None:
        """There is one."""
        self.client(GET)
        self.say(self.up, OK)
        self.heard(self.clients[-1])
        self.heard(self.up)

    def dies(self, request: bytes, how: str = "hang_up") -> bytes:
        """What a client hears whose C{request} was sent on a connection that then dies without a word."""
        self.used()
        kept = self.up
        client = self.client(request)
        self.assertEqual(request, self.heard(kept))
        getattr(kept, how)()
        self.settle()
        if self.up is not kept:
            self.assertEqual(request, self.heard(self.up))
            self.say(self.up, ok(b"2"))
        return self.heard(client)

    def test_idempotent(self) -> None:
        """A request that may be sent twice is, with all of its body; the client notices nothing."""
        for method in IDEMPOTENT:
            answer = ok(b"", length=1) if method == "HEAD" else ok(b"2")
            for how in ("hang_up", "reset"):
                if method != "HEAD":
                    self.assertEqual(answer, self.dies(post(b"body" * 100, method=method), how), method)
                self.assertEqual(ok(b"2")[: len(answer)], self.dies(get(method=method), how)[: len(answer)], method)
        self.assertEqual({}, self.errors)

    def test_not_idempotent(self) -> None:
        """Another is not, as nobody knows what it did: 502."""
        for method in METHODS[6:]:
            for how in ("hang_up", "reset"):
                self.assertRegex(self.dies(post(b"body", method=method), how), b"^HTTP/1.1 502 ", method)
        self.assertEqual({"upstream_lost": 6}, self.errors)

    def test_nothing_written(self) -> None:
        """Where the kernel refused every byte of it, it is: it did nothing."""
        self.used()
        self.up.reset()
        client = self.client()
        client.say(post(b"body"))
        # the reset is not read before the request is written
        self.session_of(client).transport.doRead()
        self.settle()
        self.assertEqual(post(b"body"), self.heard(self.up))
        self.say(self.up, OK)
        self.assertEqual((OK, 2), (self.heard(client), len(self.ups)))

    def session_of(self, client: object) -> object:
        """The session that C{client} talks to."""
        (session,) = (s for s in self.factory.sessions if s.transport.getHandle() is client)  # type: ignore[attr-defined]
        return session

    def closed_unnoticed(self, request: bytes) -> None:
        """C{request} is dispatched before the proxy has read that the kept connection was closed."""
        self.used()
        self.up.hang_up()
        client = self.client()
        client.say(request)
        self.session_of(client).transport.doRead()  # type: ignore[attr-defined]
        self.settle()

    def test_closed_while_idle(self) -> None:
        """A POST on a connection that the upstream has closed already is not lost, nor sent there."""
        self.closed_unnoticed(post(b"body"))
        self.assertEqual([b"", post(b"body")], [up.heard for up in self.ups])
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(self.clients[-1]))
        self.assertEqual(1, self.idle)

    def test_closed_while_idle_upload(self) -> None:
        """Nor is one with a body that is still coming, in whatever form, connected at once or later."""
        for head, encode in ((post(b"", length=9), bytes), (CHUNKED, lambda data: b"3\r\n" + data + b"\r\n")):
            for mode in ("accept", "wait"):
                self.proxy.connector.mode = "accept"
                self.used()
                self.up.hang_up()
                self.proxy.connector.mode = mode
                client = self.client()
                client.say(head + encode(b"abc"))
                self.session_of(client).transport.doRead()  # type: ignore[attr-defined]
                self.settle()
                self.say(client, encode(b"def"))
                self.wait(0.5)
                if mode == "wait":
                    self.proxy.connector.accept()
                self.say(client, encode(b"ghi") + (b"0\r\n\r\n" if head == CHUNKED else b""))
                heard = self.heard(self.up)
                self.assertEqual(b"abcdefghi", heard.partition(b"\r\n\r\n")[2].translate(None, b"0369\r\n"))
                self.assertEqual(head == CHUNKED, heard.endswith(b"\r\n0\r\n\r\n"))
                self.say(self.up, OK)
                self.assertEqual(OK, self.heard(client))
                self.say(client, get("/next"))
                self.assertEqual(get("/next"), self.heard(self.up))
                client.reset()
                self.settle()

    def test_closed_while_idle_long_upload(self) -> None:
        """While the second connection is waited for no more of a body is read than is to be kept."""
        self.used()
        self.up.hang_up()
        self.proxy.connector.mode = "wait"
        client = self.client()
        client.say(post(b"x" * 1_000_000))
        self.session_of(client).transport.doRead()  # type: ignore[attr-defined]
        self.settle()
        self.assertGreater(client.unread, 700_000)
        self.proxy.connector.accept()
        self.assertEqual(post(b"x" * 1_000_000), self.heard(self.up))

    def test_once(self) -> None:
        """There is no third try."""
        self.used()
        client = self.client(GET)
        for up in (1, 2):
            self.assertEqual(up, len(self.ups))
            self.up.hang_up()
            self.settle()
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")
        self.assertEqual((2, 0), (len(self.ups), self.idle))

    def test_not_a_fresh_one(self) -> None:
        """A connection that was never used before did not die of idleness."""
        client = self.client(GET)
        self.up.hang_up()
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")
        self.assertEqual(1, len(self.ups))

    def test_fresh_one(self) -> None:
        """The second try is not made on another kept connection, which may be as dead."""
        self.client(GET)
        self.client(GET)
        for up in list(self.ups):
            self.say(up, OK)
        client = self.client(GET)
        self.ups[1].hang_up()
        self.settle()
        self.assertEqual(3, len(self.ups))
        self.say(self.up, ok(b"3"))
        self.assertEqual((ok(b"3"), 2), (self.heard(client), self.idle))

    def test_not_after_a_byte(self) -> None:
        """Not where anything of the answer came."""
        for said in (b"H", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 E\r\n\r\n"):
            self.used()
            client = self.client(GET)
            n = len(self.ups)
            self.say(self.up, said)
            self.up.hang_up()
            self.assertIn(b"HTTP/1.1 502 ", self.heard(client))
            self.assertEqual(n, len(self.ups))

    def test_not_half_a_body(self) -> None:
        """Not where a part of the body is gone, whatever the method."""
        self.used()
        client = self.client(post(b"ab", method="PUT", length=4))
        self.up.hang_up()
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")
        self.assertEqual(1, len(self.ups))

    def test_not_in_pieces(self) -> None:
        """Not where the body was sent in pieces, as they are not kept."""
        self.used()
        client = self.client(post(b"ab", method="PUT", length=4), b"cd")
        self.up.hang_up()
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")
        self.assertEqual(1, len(self.ups))

    def test_not_an_upgrade(self) -> None:
        """Not where more than an answer was asked for."""
        self.used()
        client = self.client(get("/", "Connection: Upgrade", "Upgrade: x"))
        self.up.hang_up()
        self.assertRegex(self.heard(client), b"^HTTP/1.1 502 ")

    def test_not_connected(self) -> None:
        """The second try's own failure is what the client hears."""
        for mode in ("refuse", "wait"):
            self.proxy.connector.mode = "accept"
            self.used()
            self.proxy.connector.mode = mode
            client = self.client(GET)
            self.up.hang_up()
            self.settle()
            if mode == "wait":
                self.proxy.connector.refuse()
            self.assertIn(b"connect: 10.0.0.9:9000 refused", self.heard(client))
            self.assertEqual((0, 0), (self.idle, self.proxy.open))
            client.reset()

    def test_not_connected_after_all(self) -> None:
        """A dead connection that nothing was sent on is not kept either."""
        self.proxy.connector.mode = "accept"
        self.used()
        self.up.hang_up()
        self.proxy.connector.mode = "refuse"
        client = self.client()
        client.say(post(b"body"))
        self.session_of(client).transport.doRead()  # type: ignore[attr-defined]
        self.assertEqual(0, self.idle)
        self.assertIn(b"connect: 10.0.0.9:9000 refused", self.heard(client))

    def test_client_leaves(self) -> None:
        """A client that leaves meanwhile stops it."""
        for request in (GET, post(b"body")):
            self.proxy.connector.mode = "accept"
            self.used()
            self.proxy.connector.mode = "wait"
            if request is GET:
                client = self.client(GET)
                self.up.hang_up()
                self.settle()
            else:
                self.up.hang_up()
                client = self.client()
                client.say(request)
                self.session_of(client).transport.doRead()  # type: ignore[attr-defined]
            self.assertEqual(1, len(self.proxy.connector.waiting))
            client.reset()
            self.settle()
            self.assertEqual((0, 0, 0), (self.idle, self.proxy.open, len(self.proxy.connector.waiting)))
        self.assertEqual(2, self.proxy.connector.cancelled)

    def test_lease(self) -> None:
        """However often a request is sent, one lease is held for it, and one load."""
        self.used()
        self.client(GET)
        self.up.hang_up()
        self.settle()
        self.assertEqual((1, 1), (self.proxy.open, self.proxy._acquires["http"].service.load))
        self.say(self.up, OK)
        self.assertEqual((0, 0), (self.proxy.open, self.proxy._acquires["http"].service.load))

    def test_speaking_while_idle(self) -> None:
        """A POST is not sent where something waits that nobody asked for, and that is never taken for its answer."""
        self.used()
        self.up.say(ok(b"evil"))
        client = self.client()
        client.say(post(b"body"))
        self.session_of(client).transport.doRead()  # type: ignore[attr-defined]
        self.settle()
        self.say(self.up, ok(b"good"))
        self.assertEqual((ok(b"good"), 2), (self.heard(client), len(self.ups)))
