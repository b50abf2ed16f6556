# -*- test-case-name: tests.protocols.http.test_timeouts -*-
"""
L{lproxy.protocols.http.timeouts}: what may take how long.
"""

from __future__ import annotations

from lproxy.config import Timeouts
from tests.protocols.http.harness import GET, OK, HttpTestCase, get, ok, post


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
        """Each try has its own time for the head of its answer; the whole exchange has one for all of them."""
        self.client(GET)
        self.say(self.up, OK)
        client = self.client(GET)
        self.wait(1)
        self.up.hang_up()
        self.wait(1.2)
        self.assertEqual(b"", self.heard(client))
        self.wait(0.9)
        self.assertRegex(self.heard(client), b"^HTTP/1.1 504 ")
