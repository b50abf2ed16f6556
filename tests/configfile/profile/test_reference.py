# -*- test-case-name: tests.configfile.profile.test_reference -*-
"""
The reference of profiles in TOML.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.configfile.profile.condition import ANSWER, NAMED, NESTED, REQUEST
from lproxy.configfile.profile.reference import CONDITIONS, INNER, sections, service_keys


class ReferenceTests(SynchronousTestCase):
    def test_every_key(self) -> None:
        """Every key is there, with its kind and default."""
        text = sections()
        for keys in INNER.values():
            for key in keys.keys:
                self.assertIn(f"``{key.key}``\n", text)
        self.assertIn('``body``\n    Size; default ``"64KiB"``.', text)
        self.assertIn("``service``\n    String; required.", text)
        self.assertIn("``weight``\n    Whole number; default ``1``.", text)
        self.assertIn("``unsafe``\n    Boolean; default ``false``.", text)
        self.assertIn("``routes``", service_keys())

    def test_conditions(self) -> None:
        """Whatever a condition may ask is explained."""
        self.assertEqual({*REQUEST, *ANSWER, *NAMED, *NESTED}, set(CONDITIONS))
