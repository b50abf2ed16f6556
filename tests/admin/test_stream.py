# -*- test-case-name: tests.admin.test_stream -*-
"""
L{lproxy.admin.stream}: long answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tests.admin.case import AdminCase, Answer


class StreamTests(AdminCase):
    """Piece by piece."""

    def test_rows(self) -> None:
        """Lists of any length are whole, and leave the reactor to others in between."""
        for count in (0, 1, 19, 20, 21, 500):
            self.proxy.rows = [{"target": f"t{n}", "waiting": n} for n in range(count)]
            for path in ("/services", "/connections"):
                answer = self.ask(f"GET {path}")
                self.assertEqual((True, self.proxy.rows), (answer.whole, json.loads(answer.text)))
        self.assertEqual([], json.loads(self.ask("GET /plugins").text))

    def test_slices(self) -> None:
        """Of a long list, a turn of the reactor writes a part."""
        self.proxy.rows = [{"n": n} for n in range(500)]
        channel, transport = self.connect()
        channel.dataReceived(b"GET /services HTTP/1.1\r\nHost: localhost\r\n\r\n")
        lengths = [len(transport.value())]
        for _ in range(5):
            self.clock.advance(0.001)
            lengths.append(len(transport.value()))
        self.assertEqual(sorted(set(lengths)), lengths)
        self.assertFalse(Answer(transport.value()).whole)

    def test_half_an_answer(self) -> None:
        """Where the status has gone out already, the connection is cut: half a scrape never looks like a whole one."""

        def text(open_metrics: bool) -> Iterator[bytes]:
            yield b"a 1\n"
            yield b"b 1\n"
            raise KeyError("secret")

        self.patch(self.metrics, "text", text)
        self.site = self.make(self.settings, self.host)
        channel, transport = self.connect()
        channel.dataReceived(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(10):
            self.clock.advance(0.001)
        self.assertEqual(1, len(self.flushLoggedErrors(KeyError)))
        answer = Answer(transport.value())
        self.assertEqual((200, False, "a 1\nb 1\n"), (answer.status, answer.whole, answer.text))
        self.assertTrue(transport.disconnecting)

    def test_gone(self) -> None:
        """Nothing is rendered for a client that has gone away."""
        self.proxy.rows = [{"n": n} for n in range(500)]
        channel, _ = self.connect()
        channel.dataReceived(b"GET /services HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.clock.advance(0.001)
        channel.connectionLost(Failure(ConnectionDone()))
        self.clock.advance(0.001)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_slow_reader(self) -> None:
        """A client that does not read is not rendered for, until it reads again."""
        self.proxy.rows = [{"n": n} for n in range(500)]
        channel, transport = self.connect()
        channel.dataReceived(b"GET /services HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.clock.advance(0.001)
        transport.producer.pauseProducing()
        before = transport.value()
        for _ in range(50):
            self.clock.advance(0.001)
        self.assertEqual(before, transport.value())
        transport.producer.resumeProducing()
        for _ in range(50):
            self.clock.advance(0.001)
        self.assertEqual(self.proxy.rows, json.loads(Answer(transport.value()).text))

    def test_no_json(self) -> None:
        """A row that is no JSON costs itself alone; its protocol is named and counted."""
        self.proxy.rows = [{"protocol": "a"}, {"protocol": "memo", "client": b"bytes"}, {"n": {1, 2}}]
        rows = json.loads(self.ask("GET /connections").text)
        error = "no JSON: TypeError"
        expected = [{"protocol": "a"}, {"protocol": "memo", "error": error}, {"protocol": "lproxy", "error": error}]
        self.assertEqual(expected, rows)
        self.assertIn('plugin_errors_total{plugin="memo"} 1', self.ask("GET /metrics").text)
