# -*- test-case-name: tests.admin.test_tapping -*-
"""
L{lproxy.admin.tapping}: what ends, told as it does.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.admin.tapping import RATE, READERS, matches
from tests.admin.case import AdminCase, Answer

ROW: dict[str, Any] = {
    "kind": "request",
    "listener": "web",
    "method": "GET",
    "path": "/a/b?token=secret",
    "referer": "http://x/?token=secret",
    "protocol": "HTTP/1.1",
    "status": 503,
    "target": "web.local:80",
    "route": None,
    "client": "10.0.0.1:5",
    "upstream": "10.0.0.9:80",
    "remote_identity": "app.mesh",
}


class MatchTests(SynchronousTestCase):
    """What rows are asked for by."""

    def test_matches(self) -> None:
        """Each filter has to fit; a status is a number, a class of them, or several."""
        for wanted in (
            {},
            {"service": "web", "status": "5xx"},
            {"status": "503"},
            {"status": "404,50x"},
            {"status": "5XX"},
            {"path": "/a", "method": "get", "kind": "request"},
            {"client": "10.0.0.1", "upstream": "10.0.0.9", "identity": "app"},
            {"protocol": "HTTP", "listener": "web"},
        ):
            self.assertTrue(matches(ROW, wanted), wanted)
        for wanted in (
            {"service": "app"},
            {"service": "web", "status": "2xx"},
            {"status": "50"},
            {"status": "xxxx"},
            {"listener": "we"},
            {"route": "GET /"},
            {"path": "/b"},
        ):
            self.assertFalse(matches(ROW, wanted), wanted)


class TapTests(AdminCase):
    """A page that goes on."""

    def read(self, query: str = "") -> tuple[Any, Any]:
        channel, transport = self.connect()
        channel.dataReceived(f"GET /tap{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return channel, transport

    def lines(self, transport: Any) -> list[dict[str, Any]]:
        body = transport.value().partition(b"\r\n\r\n")[2].decode()
        return [json.loads(line) for line in body.split("\r\n") if line.startswith("{")]

    def leave(self, channel: Any) -> None:
        channel.connectionLost(Failure(ConnectionDone()))

    def test_told(self) -> None:
        """A line for each that is wanted, without queries, until the reader leaves."""
        channel, transport = self.read("?service=web&status=5xx")
        for row in (ROW, {**ROW, "status": 200}, {**ROW, "target": "app:80"}):
            self.proxy.taps(row)
        (row,) = self.lines(transport)
        self.assertEqual(("/a/b?...", "http://x/?..."), (row["path"], row["referer"]))
        self.assertNotIn(b"secret", transport.value())
        self.leave(channel)
        self.assertFalse(self.proxy.taps.on)

    def test_rate(self) -> None:
        """So many a second; how many more there were is said when there is room again."""
        channel, transport = self.read()
        for _ in range(RATE + 7):
            self.proxy.taps(ROW)
        self.assertEqual(RATE, len(self.lines(transport)))
        self.clock.advance(1.0)
        for _ in range(2):
            self.proxy.taps(ROW)
        *_, first, second = self.lines(transport)
        self.assertEqual((7, None), (first["dropped"], second.get("dropped")))
        self.leave(channel)

    def test_from_elsewhere(self) -> None:
        """What another process has found to be wanted is not judged again; what it left out counts."""
        channel, transport = self.read("?path=/a%3Fb")
        (tell,) = self.proxy.taps._told
        for n in (2, 3):
            tell.passed({"path": "/a?...", "worker": n, "dropped": n})
        for _ in range(RATE):
            tell.passed({"dropped": 1})
        first, second, *_ = self.lines(transport)
        self.assertEqual(({"path": "/a?...", "worker": 2, "dropped": 2}, 3), (first, second["dropped"]))
        self.clock.advance(1.0)
        tell.passed({})
        # two lines of this second, with what they said of others, and no more than the sum
        self.assertEqual(4, self.lines(transport)[-1]["dropped"])
        self.leave(channel)

    def test_slow(self) -> None:
        """A reader who does not keep up misses lines, and is told."""
        channel, transport = self.read()
        (tell,) = self.proxy.taps._told
        tell.pauseProducing()
        self.proxy.taps(ROW)
        self.assertEqual([], self.lines(transport))
        tell.resumeProducing()
        self.proxy.taps(ROW)
        self.assertEqual([1], [row["dropped"] for row in self.lines(transport)])
        self.leave(channel)

    def test_refused(self) -> None:
        """From elsewhere; by a filter that there is not; where too many read."""
        self.assertEqual(403, self.ask("GET /tap", peer="10.0.0.1").status)
        answer = self.ask("GET /tap?staus=500")
        self.assertEqual((400, True), (answer.status, "'staus'" in answer.text and "status" in answer.text))
        for query, words in (
            ("listener=wbe", "there is no listener 'wbe'; there are web"),
            ("status=oops", "'oops' is no status"),
            ("kind=requests", "there is no kind 'requests'"),
        ):
            answer = self.ask(f"GET /tap?{query}")
            self.assertEqual((400, True), (answer.status, words in answer.text), answer.text)
        readers = [self.read() for _ in range(READERS + 1)]
        self.assertEqual(503, Answer(readers[-1][1].value()).status)
        for channel, _ in readers:
            self.leave(channel)
        self.assertFalse(self.proxy.taps.on)
