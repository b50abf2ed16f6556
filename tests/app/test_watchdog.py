# -*- test-case-name: tests.app.test_watchdog -*-
"""
Tests for L{lproxy.app.watchdog}.
"""

from __future__ import annotations

import sys
import threading
import time
import types
from functools import partial
from types import FrameType
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.watchdog import INTERVAL, LATE, Watchdog

#: in the module that it is run in, calls what it is given
SOURCE = "def work(then):\n    return then()\n"


class Reactor(Clock):
    """A clock that calls what other threads ask for, at once."""

    def callFromThread(self, f: Any, *args: Any) -> None:
        f(*args)


def within(*modules: str) -> FrameType:
    """What a thread is in that has come through functions of these modules, the last of them innermost."""
    found: list[FrameType] = []

    def innermost() -> None:
        frame = sys._getframe().f_back
        assert frame is not None
        found.append(frame)

    call: Any = innermost
    for name in reversed(modules):
        module = types.ModuleType(name)
        exec(SOURCE, module.__dict__)
        call = partial(module.__dict__["work"], call)
    call()
    return found[0]


class WatchdogTests(SynchronousTestCase):
    """It names who holds the reactor."""

    def setUp(self) -> None:
        self.said: list[str] = []
        self.reactor = Reactor()
        self.dog = Watchdog({"brk": "broken"}, lambda kind, text, parts: self.said.append(text), self.reactor)
        self.dog._turn()
        self.turned = time.monotonic()

    def look(self, late: float, *modules: str) -> None:
        self.dog.look(self.turned + INTERVAL + late, within(*modules))

    def test_in_time(self) -> None:
        """Nobody is named while it is not late, or not by much."""
        self.look(0.0, "brk.plugin")
        self.look(LATE / 2, "brk.plugin")
        self.assertEqual([], self.said)

    def test_named(self) -> None:
        """The innermost call of a plugin's, however deep in others' code it is; else a protocol's, else lproxy's."""
        for modules, who in (
            (
                ("twisted.internet", "lproxy.transport.hub", "brk.plugin"),
                "by plugin broken: brk.plugin.work, line 2",
            ),
            (("lproxy.transport.hub", "brk.plugin", "json.decoder"), "by plugin broken: brk.plugin.work, line 2"),
            (
                ("lproxy.transport.hub", "lproxy.protocols.kafka.talk", "re"),
                "by protocol kafka: lproxy.protocols.",
            ),
            (("twisted.internet.base", "lproxy.app.stacks", "re"), "by lproxy: lproxy.app.stacks.work, line 2"),
            (("twisted.internet.base",), "by another service of this process: twisted.internet.base.work"),
        ):
            self.said.clear()
            self.dog._turn()
            self.look(LATE + 1.0, *modules)
            self.assertRegex(self.said[0], "^the reactor was held for more than 1.[23] s, ")
            self.assertIn(who, self.said[0])

    def test_no_time(self) -> None:
        """A reactor that is late and waits for something to do is held by nobody: no protocol is blamed."""

        def doPoll() -> FrameType:
            return sys._getframe()

        self.dog.look(self.turned + INTERVAL + LATE + 1.0, doPoll())
        (said,) = self.said
        self.assertRegex(said, "^the reactor had no time to turn for more than 1.[23] s: the machine is busy")

    def test_once(self) -> None:
        """However long that lasts it is said once, and again the next time."""
        for _ in range(5):
            self.look(LATE + 0.1, "brk.plugin")
        self.assertEqual(1, len(self.said))
        self.reactor.advance(INTERVAL)
        self.look(LATE + 1.0, "brk.plugin")
        self.assertEqual(2, len(self.said))

    def test_thread(self) -> None:
        """Its thread looks at the one that has started it, and ends with it."""
        seen: list[str] = []
        looked = threading.Event()

        def look(now: float, frame: Any) -> None:
            while frame is not None:
                seen.append(frame.f_code.co_name)
                frame = frame.f_back
            looked.set()

        self.patch(self.dog, "look", look)
        self.dog.start()
        self.assertTrue(looked.wait(10))
        self.dog.stop()
        self.assertIn("test_thread", seen)
        self.assertEqual([], [thread for thread in threading.enumerate() if thread.name == "lproxy-watchdog"])
        self.dog.stop()
