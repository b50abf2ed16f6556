# -*- test-case-name: tests.admin.test_live -*-
"""
L{lproxy.admin.live}: what changes of the page, for as long as somebody watches.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from lproxy.admin.live import INTERVAL, VIEWERS, Live
from lproxy.admin.order import WHOLE
from tests.admin.case import AdminCase


class LiveTests(AdminCase):
    """Server-sent events."""

    def watch(self, query: str = "") -> tuple[Any, Any]:
        """Somebody who has opened the page."""
        channel, transport = self.connect()
        channel.dataReceived(f"GET /events{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return channel, transport

    def leave(self, channel: Any) -> None:
        channel.connectionLost(Failure(ConnectionDone()))

    def events(self, transport: Any) -> list[str]:
        """What was sent so far."""
        lines = transport.value().decode().splitlines()
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]

    def test_told(self) -> None:
        """What the page shows is sent every two seconds, in the language of EventSource."""
        channel, transport = self.watch()
        self.assertIn(b"text/event-stream", transport.value())
        self.assertEqual([], self.events(transport))
        for _ in range(3):
            self.clock.advance(INTERVAL)
        first, *_, last = self.events(transport)
        self.assertEqual(3, len(self.events(transport)))
        self.assertIn('id="services"', first)
        self.assertIn("the last 4 seconds", last)
        self.leave(channel)

    def test_pace(self) -> None:
        """Where looking takes long, it is done less often: a hundredth of the time goes into it."""
        used = [0.0]
        live = Live(self.proxy, self.metrics.families, self.clock, self.clock.seconds, lambda: used[0])

        class Request(StringTransport):
            channel = None

            def registerProducer(self, producer: Any, streaming: bool) -> None:
                pass

            def notifyFinish(self) -> Deferred[Any]:
                return gone

        gone: Deferred[Any] = Deferred()
        self.patch(self.proxy, "ready", lambda: used.__setitem__(0, used[0] + 0.05))
        live.watch(Request(), WHOLE)
        self.clock.advance(INTERVAL)
        (call,) = self.clock.getDelayedCalls()
        self.assertAlmostEqual(5.0, call.getTime() - self.clock.seconds(), 3)
        gone.callback(None)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_nobody(self) -> None:
        """Where nobody watches nothing is done, and no timer runs."""
        first, second = self.watch()[0], self.watch()[0]
        self.leave(first)
        self.assertEqual(1, len([call for call in self.clock.getDelayedCalls() if call.getTime() == INTERVAL]))
        self.leave(second)
        self.clock.advance(0)
        asked: list[None] = []
        self.proxy.services = lambda: asked.append(None) or []  # type: ignore[method-assign, func-returns-value]
        self.clock.advance(10 * INTERVAL)
        self.assertEqual([], asked)

    def test_slow(self) -> None:
        """Whoever does not read misses pictures; they do not pile up."""
        channel, transport = self.watch()
        transport.producer.pauseProducing()
        for _ in range(5):
            self.clock.advance(INTERVAL)
        self.assertEqual([], self.events(transport))
        transport.producer.resumeProducing()
        self.clock.advance(INTERVAL)
        self.assertEqual(1, len(self.events(transport)))
        self.leave(channel)

    def test_filter(self) -> None:
        """Each sees what was asked for, and one picture serves all who asked for the same."""
        self.proxy.rows = [{"target": name, "state": "open"} for name in ("alpha", "beta")]
        watching = [self.watch(query) for query in ("?q=alp", "", "")]
        self.clock.advance(INTERVAL)
        alpha, both, same = (self.events(transport)[0] for _, transport in watching)
        self.assertEqual((True, False), ("alpha" in alpha, "beta" in alpha))
        self.assertIn("beta", both)
        self.assertEqual(both, same)
        for channel, _ in watching:
            self.leave(channel)

    def test_many(self) -> None:
        """There is a bound to those who watch."""
        watching = [self.watch() for _ in range(VIEWERS)]
        refused, transport = self.watch()
        self.assertIn(b"503", transport.value())
        for channel, _ in (*watching, (refused, None)):
            self.leave(channel)

    def test_broken(self) -> None:
        """What cannot be shown is a line of the log; the connection ends, and the browser comes again."""
        channel, transport = self.watch()
        self.proxy.rows = [ValueError("broken")]
        self.clock.advance(INTERVAL)
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))
        self.assertTrue(transport.disconnected or transport.disconnecting or transport.aborting)
        self.leave(channel)

    def test_since_the_last(self) -> None:
        """A page that is loaded again shows what was since, not all there ever was; after a while it begins anew."""
        self.assertIn("all time", self.ask("GET /").text)
        self.clock.advance(5)
        self.assertIn("the last 5 seconds", self.ask("GET /").text)
        self.clock.advance(60)
        self.assertIn("all time", self.ask("GET /").text)
