# -*- test-case-name: tests.protocols.http.h2.test_limits -*-
"""
Tests for L{lproxy.protocols.http.h2.limits}.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

from twisted.trial.unittest import SynchronousTestCase

from lproxy import config
from lproxy.protocols.http.h2.limits import Limits, configured


class LimitsTests(SynchronousTestCase):
    """Limits are one value for many connections."""

    def test_value(self) -> None:
        """Nobody changes it; equal ones are the same."""
        with self.assertRaises((FrozenInstanceError, AttributeError)):
            Limits().streams = 5  # type: ignore[misc]
        self.assertEqual(Limits(streams=3), replace(Limits(), streams=3))

    def test_bounded(self) -> None:
        """What a peer can have us hold by default: 100 streams of 64 KiB, and less of all else."""
        limits = Limits()
        self.assertEqual(6_553_600, limits.streams * limits.stream_window)
        self.assertLessEqual(max(limits.connection_window, 4 * limits.header_list), 1 << 20)

    def test_configured(self) -> None:
        """The defaults of the configuration are these; what it says is so, but no window is too large."""
        self.assertEqual(Limits(), configured(config.Limits()))
        changed = configured(config.Limits(h2_streams=7, headers=9, h2_stream_window=1 << 40, h2_resets=3))
        self.assertEqual(Limits(streams=7, header_list=9, stream_window=2**31 - 1, resets=3), changed)
