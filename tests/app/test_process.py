# -*- test-case-name: tests.app.test_process -*-
"""
L{lproxy.app.process}: which process this is.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.binder import Direct
from lproxy.app.process import alone, of
from lproxy.app.workers.portion import ALONE, Portion


class FakeWorker:
    """The second of three."""

    portion = Portion(1, 3)
    door = "@d"

    def held(self, text: str) -> None:
        """Nobody hears it."""


class ProcessTests(SynchronousTestCase):
    """Alone, or one of several."""

    def test_alone(self) -> None:
        """The only process binds for itself, has all of every limit, and no door by itself."""
        process = alone(None)
        self.assertIsInstance(process.binder, Direct)
        self.assertEqual((ALONE, "", None), (process.portion, process.door(), process.worker))

    def test_worker(self) -> None:
        """A worker's sockets, portion and door are its supervisor's to say."""
        worker: Any = FakeWorker()
        process = of(worker)
        self.assertIs(worker, process.binder)
        self.assertEqual((Portion(1, 3), "@d", worker), (process.portion, process.door(), process.worker))
