# -*- test-case-name: tests.app.workers.test_portion -*-
"""
L{lproxy.app.workers.portion}: limits divided.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.workers.portion import ALONE, Portion
from lproxy.config import Config, Limits


class PortionTests(SynchronousTestCase):
    """What each may have."""

    def test_sum(self) -> None:
        """All of them together have what the proxy may; each has some."""
        for workers in (1, 2, 3, 7):
            for whole in (1, 2, 10, 10_000):
                parts = [Portion(index, workers).of(whole) for index in range(workers)]
                self.assertEqual(max(whole, workers), sum(parts))
                self.assertLessEqual(max(parts) - min(parts), 1)

    def test_config(self) -> None:
        """The limits of the whole proxy are divided, those of a connection, a stream or a target are not."""
        config = Config(limits=Limits(in_flight=11, connections=21, handshakes=5))
        mine = Portion(1, 2).config(config).limits
        self.assertEqual((5, 10, 2), (mine.in_flight, mine.connections, mine.handshakes))
        self.assertEqual((config.limits.acquiring, config.limits.h2_streams), (mine.acquiring, mine.h2_streams))
        self.assertIs(config, ALONE.config(config))
