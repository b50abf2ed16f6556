# -*- test-case-name: tests.test_timeouts -*-
"""
Timeouts, and what differs on the inbound side.
"""

from __future__ import annotations

from dataclasses import fields

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Config
from lproxy.timeouts import INBOUND, Timeouts


class TimeoutsTests(SynchronousTestCase):
    def test_durations(self) -> None:
        """Each is a duration, or none."""
        for field in fields(Timeouts):
            self.assertEqual("duration", field.metadata["unit"], field.name)

    def test_inbound(self) -> None:
        """The application is on the same machine: it is waited for less long, and kept longer."""
        config = Config()
        for name, value in INBOUND.items():
            self.assertEqual(value, getattr(config.inbound, name))
            self.assertEqual(Timeouts.__dataclass_fields__[name].default, getattr(config.outbound, name))
        self.assertLess(config.inbound.connect, config.outbound.connect)
        self.assertGreater(config.inbound.service_idle, config.outbound.service_idle)
