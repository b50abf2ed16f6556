# -*- test-case-name: tests.test_setting -*-
"""
How settings are written down.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from twisted.trial.unittest import SynchronousTestCase

from lproxy.setting import setting


@dataclass(frozen=True, slots=True)
class Some:
    """A table."""

    size: int = setting(5, "how large", "size", required=True)


class SettingTests(SynchronousTestCase):
    def test_field(self) -> None:
        """A setting is a field with its default, and all that checks and docs need to know of it."""
        (field,) = fields(Some)
        self.assertEqual((5, 5), (Some().size, field.default))
        self.assertEqual({"help": "how large", "unit": "size", "required": True}, dict(field.metadata))
