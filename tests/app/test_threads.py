# -*- test-case-name: tests.app.test_threads -*-
"""
Tests for L{lproxy.app.threads}.
"""

from __future__ import annotations

import sys
import threading

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from lproxy.app.threads import TURN, beside
from lproxy.configfile import pauses


class BesideTests(TestCase):
    """Work in a thread."""

    def test_beside(self) -> Deferred[None]:
        """It is done in another thread, which has short turns and pauses, and only it has; what it raises is told."""
        before = sys.getswitchinterval()

        def work() -> tuple[bool, bool, float]:
            in_main = threading.current_thread() is threading.main_thread()
            return in_main, pauses._thread.due < pauses.NEVER, sys.getswitchinterval()

        async def go() -> None:
            call = beside(reactor)
            in_main, pausing, interval = await call(work)
            self.assertEqual((False, True, True), (in_main, pausing, abs(interval - TURN) < 0.00001))
            await self.assertFailure(call(lambda: 1 / 0), ZeroDivisionError)  # type: ignore[arg-type, return-value]
            self.assertAlmostEqual(before, sys.getswitchinterval(), 4)

        return Deferred.fromCoroutine(go())
