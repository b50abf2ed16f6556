# -*- test-case-name: tests.app.test_early -*-
"""
What has to be loaded early. That it is enough is for a real chroot: L{tests.integration.test_twistd}.
"""

from __future__ import annotations

import codecs
import sys

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app import early


class EarlyTests(SynchronousTestCase):
    def test_load(self) -> None:
        """All of it is there afterwards: codecs and modules."""
        looked_up: list[str] = []
        self.patch(codecs, "lookup", looked_up.append)
        early.load()
        self.assertEqual(sorted(early.CODECS), sorted(looked_up))
        for name in early.MODULES:
            self.assertIn(name, sys.modules)
