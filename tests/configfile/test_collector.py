# -*- test-case-name: tests.configfile.test_collector -*-
"""
The collector of cycles, while files are read.
"""

from __future__ import annotations

import gc

from twisted.trial.unittest import SynchronousTestCase

from lproxy.configfile.collector import uncollected


class UncollectedTests(SynchronousTestCase):
    def test_off(self) -> None:
        """Within it is off, whatever is raised there; afterwards it is as it was."""
        self.addCleanup(gc.enable)
        for was in (True, False):
            (gc.enable if was else gc.disable)()
            with uncollected():
                self.assertFalse(gc.isenabled())
                with uncollected():
                    pass
                self.assertFalse(gc.isenabled())
            self.assertEqual(was, gc.isenabled())
            with self.assertRaises(ValueError), uncollected():
                raise ValueError
            self.assertEqual(was, gc.isenabled())
