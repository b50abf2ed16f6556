# -*- test-case-name: tests.protocols.http.test_patience -*-
"""
L{lproxy.protocols.http.patience}: what may take how long.
"""

from __future__ import annotations

from dataclasses import replace

from lproxy.config import Timeouts
from tests.protocols.http.harness import GET, OK, HttpTestCase, get, ok, post


class ClientTests(HttpTestCase):
    """Clients that take their time, with the default limits."""

    def test_head(self) -> None:
        """A head may take 10 s from its first byte, however it drips: 408, and the end."""
        client = self.client(GET)
        self.say(self.up, OK)
        self.heard(client)
        self.wait(5)
        for byte in GET[:20]:
            self.say(client, bytes([byte]))
            self.wait(0.49)
        self.assertEqual((b"", ""), (client.heard, client.ended))
        self.wait(1.3)
        self.assertRegex(
            self.heard(client), b"^HTTP/1.1 408 Request Timeout\r\n(?s:.*)connection: close\r\n(?s:.*)10 s"
        )
        self.assertEqual("eof", client.ended)
        self.assertEqual(({"slow": 1}, [(200, ""), (408, "SL")]), (self.rejected, self.rows))
        self.wait(3.5)
        self.assertEqual("closed", client.ended)

    def test_pipelined_head(self) -> None:
        """The beginning of a head that came with the request before is timed from that one's answer."""
        client = self.client(GET + GET[:5])
        self.wait(30)
        self.say(self.up, OK)
        self.wait(9.8)
        self.assertEqual((OK, ""), (self.heard(client), client.ended))
        self.wait(1.5)
        self.assertRegex(self.heard(client), b"^HTTP/1.1 408 ")

    def test_idle(self) -> None:
        """An idle connection is closed after 60 s, without a word, the first byte and each answer beginning anew."""
        silent, client = self.client(), self.client(GET)
        self.wait(40)
        self.say(self.up, OK)
        self.heard(client)
        self.wait(19.5)
        self.assertEqual("", silent.ended)
        self.wait(2)
        self.assertEqual("closed", silent.ended)
        self.wait(38)
        self.assertEqual("", client.ended)
        self.wait(2)
        self.assertEqual(("closed", b"", {}), (client.ended, client.heard, self.rejected))

    def test_request_at_the_last_moment(self) -> None:
        """A request that has arrived when the time is over is answered."""
        client = self.client(GET)
        self.say(self.up, OK)
        self.heard(client)
        self.wait(59.9)
        client.say(GET)
        self.proxy.reactor.advance(3)
        self.settle()
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))

    def test_body(self) -> None:
        """A body may take for ever as long as something comes; after 60 s without a byte it is a 408."""
        client = self.client(GET)
        self.say(self.up, OK)
        self.heard(client)
        self.wait(59)
        self.say(client, post(b"a", length=10))
        for _ in range(4):
            self.wait(58)
            self.assertEqual((b"", ""), (client.heard, client.ended))
            self.say(client, b"b")
        self.wait(62)
        self.assertRegex(self.heard(client), b"^HTTP/1.1 408 ")
        self.assertEqual(("reset", {"slow": 1}, (408, "SL")), (self.ups[-1].ended, self.rejected, self.rows[-1]))

    def test_body_behind_the_answer(self) -> None:
        """Where the answer has begun that cannot be said: the connection has no clean end."""
        client = self.client(post(b"a", length=10))
        self.say(self.up, ok(b"1", length=2))
        self.wait(63)
        self.assertEqual(("reset", "reset"), (client.ended, self.up.ended))
        self.assertEqual([(200, "SL")], self.rows)

    def test_not_its_turn(self) -> None:
        """A client that waits for 100 Continue, or for the upstream to take what it has, is not slow."""
        waiting = self.client(post(b"", "Expect: 100-continue", length=4))
        self.wait(200)
        self.say(self.up, b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(b"HTTP/1.1 100 Continue\r\n\r\n", self.heard(waiting))
        blocked = self.client(post(b"", length=1_000_000))
        self.up.room = 0
        self.say(blocked, b"x" * 300_000)
        self.wait(59)
        self.say(waiting, b"b")
        self.wait(59)
        self.assertEqual(("", b"", "", b""), (waiting.ended, waiting.heard, blocked.ended, blocked.heard))
        self.wait(3)
        self.assertRegex(self.heard(waiting), b"^HTTP/1.1 408 ")
        self.wait(200)
        self.assertEqual("", blocked.ended)

    def test_slow_upload(self) -> None:
        """265 KB at 10 KB/s and an upstream that then thinks twice as long as an acquisition may take: no problem."""
        client = self.client(post(b"", length=265_000))
        for _ in range(265):
            self.wait(0.1)
            self.say(client, b"x" * 1000)
        self.wait(6)
        self.say(self.up, OK)
        self.assertEqual((OK, {}), (self.heard(client), self.errors))

    def test_slow_reader(self) -> None:
        """An answer may take for ever as long as some of it is taken; after 60 s of nothing the connection is reset."""
        client = self.client(GET)
        client.room = 10
        self.say(self.up, ok(b"x" * 100_000, length=1_000_000))
        for _ in range(3):
            self.wait(58)
            client.room = 10
            self.settle()
        self.assertEqual("", client.ended)
        self.wait(62)
        self.assertEqual(("reset", "reset"), (client.ended, self.up.ended))
        self.assertEqual(({"slow": 1}, [(200, "SL")]), (self.rejected, self.rows))

    def test_slow_reader_of_the_last(self) -> None:
        """The same where the answer is complete for us: kept, closing, or refused, it is not held for ever."""
        for request in (GET, get("/", "Connection: close"), b"GET / HTTP/1.1\r\n\r\n", GET * 30_000):
            self.proxy.connector.mode = "refuse"
            client = self.client()
            client.room = 10
            self.say(client, request)
            self.wait(58)
            self.assertNotEqual("reset", client.ended)
            client.room = 10
            self.wait(58)
            self.assertNotEqual("reset", client.ended)
            self.wait(5)
            self.assertEqual("reset", client.ended)
            self.assertEqual(1, self.rejected.pop("slow"))

    def test_last_answer_in_time(self) -> None:
        """Lingering begins when the answer is taken: a slow reader gets all of it."""
        client = self.client(post(b"", length=4))
        client.room = 10
        self.say(self.up, ok(b"x" * 5000))
        for _ in range(5):
            self.wait(10)
            client.room = 500
        client.room = None
        heard = self.heard(client)
        self.assertEqual((5000, "eof"), (heard.count(b"x"), client.ended))

    def test_no_limits(self) -> None:
        """Both can be turned off."""
        self.start(timeouts=replace(self.timeouts, body=None, write=None))
        body = self.client(post(b"a", length=4))
        reader = self.client(GET)
        reader.room = 10
        self.say(self.up, ok(b"x" * 1000))
        self.wait(300, 1)
        self.assertEqual(("", ""), (body.ended, reader.ended))

    def test_slow_application(self) -> None:
        """An application may take as long as it likes, with every clock as it is by default."""
        client = self.client(GET)
        self.wait(500, 1)
        self.say(self.up, ok(b"1", length=2))
        self.wait(500, 1)
        self.say(self.up, b"2")
        self.assertEqual(ok(b"12"), self.heard(client))

    def test_linger_bounded(self) -> None:
        """Who never stops sending is left behind after a while."""
        client = self.client(b"GET / HTTP/1.1\r\n\r\n")
        for _ in range(40):
            self.say(client, b"more" * 1000)
            self.wait(0.1)
        self.assertEqual("closed", client.ended)


class ApplicationTests(HttpTestCase):
    """The application's clocks, where they are configured."""

    timeouts = Timeouts(response_headers=2.0, stream=10.0)

    def test_response_headers(self) -> None:
        """From the request's end to the answer's head: 504, naming the setting; the client's connection lives on."""
        client = self.client(GET)
        self.wait(1.9)
        self.assertEqual(b"", self.heard(client))
        self.wait(0.2)
        heard = self.heard(client)
        self.assertRegex(heard, b"^HTTP/1.1 504 Gateway Timeout\r\n")
        self.assertIn(b"call: upstream.test:9000 did not answer within 2 s (timeouts.response_headers) (after 2", heard)
        self.assertEqual(("", "reset"), (client.ended, self.up.ended))
        self.assertEqual(({"response_timeout": 1}, [(504, "UT")]), (self.errors, self.rows))
        self.say(client, GET)
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))
        self.wait(20)
        self.assertEqual("", client.ended)

    def test_not_the_answer(self) -> None:
        """An answer that has begun may take longer, also where this is the only clock."""
        self.start(timeouts=Timeouts(response_headers=2.0))
        client = self.client(GET)
        self.say(self.up, ok(b"1", length=2))
        self.wait(5)
        self.say(self.up, b"2")
        self.assertEqual(ok(b"12"), self.heard(client))

    def test_not_the_upload(self) -> None:
        """Nor does the request's own body count."""
        client = self.client(post(b"", length=4))
        for n in range(4):
            self.wait(1.5)
            self.say(client, b"%d" % n)
        self.wait(1.5)
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))

    def test_after_the_upload(self) -> None:
        """From its end it does."""
        client = self.client(post(b"", length=4))
        self.wait(3)
        self.say(client, b"body")
        self.wait(2.1)
        self.assertRegex(self.heard(client), b"^HTTP/1.1 504 ")

    def test_not_the_acquisition(self) -> None:
        """Nor what the proxy took to acquire a service, which has a clock of its own."""
        self.start(timeouts=Timeouts(response_headers=2.0, stream=2.0))
        self.proxy.connector.mode = "wait"
        client = self.client(GET)
        self.wait(3)
        self.proxy.connector.accept()
        self.wait(1.9)
        self.assertEqual(b"", client.heard)
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))

    def test_stream(self) -> None:
        """A whole exchange: 504 before the answer has begun, no clean end afterwards."""
        self.start(timeouts=Timeouts(stream=10.0))
        a, b = self.client(GET), self.client(get("/b"))
        self.say(self.ups[1], ok(b"1", length=2))
        self.wait(9.9)
        self.assertEqual(("", ""), (a.ended, b.ended))
        self.wait(0.2)
        self.assertIn(b"(timeouts.stream)", self.heard(a))
        self.assertEqual("reset", b.ended)
        self.assertEqual([(200, "UT"), (504, "UT")], sorted(self.rows))

    def test_tunnel(self) -> None:
        """What became a tunnel is on no clock."""
        client = self.client(get("/", "Connection: Upgrade", "Upgrade: x"))
        self.say(self.up, b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
        self.wait(200, 1)
        self.assertEqual(("", ""), (client.ended, self.up.ended))

    def test_retry(self) -> None:
        """A second try has no more time than the first."""
        self.client(GET)
        self.say(self.up, OK)
        client = self.client(GET)
        self.wait(1)
        self.up.hang_up()
        self.wait(1.2)
        self.assertRegex(self.heard(client), b"^HTTP/1.1 504 ")
