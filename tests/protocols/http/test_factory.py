# -*- test-case-name: tests.protocols.http.test_factory -*-
"""
L{lproxy.protocols.http.factory}: a listener's sessions, and the sweep over them.
"""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

from lproxy.config import Timeouts
from lproxy.protocols.http.detect import detect
from lproxy.target import Authority, Target
from lproxy.testing.wire import MemoryStream
from tests.protocols.http.harness import GET, OK, HttpTestCase
from tests.protocols.http.profile.test_router import ScriptedProfiles


class FactoryTests(HttpTestCase):
    """The sweep."""

    def test_detector(self) -> None:
        """It carries its own."""
        self.assertIs(detect, self.factory.detector)

    def test_checked(self) -> None:
        """Who is to be checked is kept from the start, and once; so is whoever joins them, by profiles that change."""
        targets: list[Target] = [Authority("a.local", 80)]
        profiles = ScriptedProfiles()
        self.start(profiles=profiles, checked=lambda: targets)
        kept = self.proxy.acquires["http"].kept
        self.assertEqual(targets, kept)
        profiles.change(None)
        targets.append(Authority("b.local", 80))
        profiles.change(None)
        self.assertEqual(targets, kept)
        self.factory.stop()
        self.assertEqual([], profiles.watchers)

    def test_sweep(self) -> None:
        """One timer for all sessions, shorter where the limits are; none when it has stopped."""
        for timeouts, tick in ((self.timeouts, 1.0), (Timeouts(header_read=0.4), 0.1)):
            self.factory.stop()
            self.start(timeouts=timeouts)
            for _ in range(5):
                self.client(GET[:5])
            (call,) = self.proxy.reactor.getDelayedCalls()
            self.assertAlmostEqual(tick, call.getTime() - self.proxy.reactor.seconds())
            for client in self.clients:
                client.reset()
            self.settle()
        self.factory.start()
        self.factory.stop()
        self.assertEqual([], self.proxy.reactor.getDelayedCalls())
        self.factory.stop()
        self.factory.drain()

    def test_stopped_amid(self) -> None:
        """The sweep that ends the last client of all may find itself stopped: there is no other, and nothing raises."""
        self.client()
        self.proxy.runtime.clock.callLater(30.0, self.factory.drain)

        def close(stream: MemoryStream) -> None:
            stream.abort()
            self.factory.stop()

        with patch.object(MemoryStream, "close", close):
            self.wait(61.0)
        self.assertEqual([], self.proxy.reactor.getDelayedCalls())

    def test_clocks(self) -> None:
        """A warm request makes no timer, whatever it is that the listener's clients are given time for."""
        client = self.client(GET)
        self.say(self.up, OK)
        before = self.proxy.reactor.getDelayedCalls()
        for _ in range(3):
            self.say(client, GET)
            self.assertEqual(before, self.proxy.reactor.getDelayedCalls())
            self.say(self.up, OK)
        self.assertIsNone(self.factory.listener.times)
        self.start(timeouts=replace(self.timeouts, stream=1.0))
        self.assertIsNotNone(self.factory.listener.times)

    def test_broken_tick(self) -> None:
        """What goes wrong over one client costs that one, is told, and does not stop the sweep."""
        broken, silent = self.client(), self.client()
        with patch.object(MemoryStream, "silent", side_effect=[ZeroDivisionError, True]):
            self.wait(61.0)
        self.assertEqual(["reset", "closed"], sorted((broken.ended, silent.ended), reverse=True))
        (crash,) = self.proxy.crashes
        crash.trap(ZeroDivisionError)
        self.crashed = 1
