# -*- test-case-name: tests.test_main -*-
"""
Tests for L{lproxy.__main__}: what comes before all that C{lproxy} imports.
"""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from lproxy import __main__, cli
from tests.floors_source import ROOT

#: the modules that are there when signals are minded
EARLY = """
import sys
from lproxy import __main__
__main__.calm = lambda: sys.exit(" ".join(name for name in sys.modules if name.startswith(("lproxy", "twisted"))))
__main__.main()
"""


class MainTests(SynchronousTestCase):
    """The command's first steps."""

    def test_order(self) -> None:
        """Signals are minded, then the command is run; its status is the process's."""
        done: list[str] = []
        self.patch(__main__, "calm", lambda: done.append("calm"))
        self.patch(cli, "main", lambda: done.append("main") or 7)
        self.assertEqual(7, __main__.main())
        self.assertEqual(["calm", "main"], done)

    def test_early(self) -> None:
        """Next to nothing is imported by then: a container that is told to end while it starts does so at once."""
        done = subprocess.run([sys.executable, "-c", EARLY], cwd=ROOT, capture_output=True, text=True, timeout=60)
        self.assertEqual(["lproxy", "lproxy.app", "lproxy.app.signals", "lproxy.__main__"], done.stderr.split())
