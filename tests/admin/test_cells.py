# -*- test-case-name: tests.admin.test_cells -*-
"""
L{lproxy.admin.cells}: what tables are made of. The tables are in L{tests.admin.test_page}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.admin import cells
from lproxy.admin.order import NONE, Traffic


class CellsTests(SynchronousTestCase):
    """A cell at a time."""

    def test_link(self) -> None:
        """What a cell is made of is a link away; whatever a name has in it, it stays one name."""
        self.assertEqual('<a href="/services?q=web%3A80">2</a>', cells.link("/services", "web:80", "2"))
        hostile = cells.link("/", '"><script>&q=', "<b>", "bad")
        self.assertEqual('<a href="/?q=%22%3E%3Cscript%3E%26q%3D" class="bad">&lt;b&gt;</a>', hostile)

    def test_waits(self) -> None:
        """Who waits, behind how many, and for how long the first of those has been at it."""
        self.assertEqual("0", cells.waits({"waiters": 0, "lock": "free"}))
        waits = cells.waits({"waiters": 3, "lock": {"holders": 2, "held_seconds": 1.25}})
        self.assertEqual('<span class="doubt">3</span> <small>behind 2 acquiring, for 1 s</small>', waits)

    def test_passed_over(self) -> None:
        """Since when an endpoint is, and until when."""
        self.assertEqual("", cells.passed_over({"state": "healthy"}))
        said = cells.passed_over({"down_seconds": 61, "backoff_seconds": 2})
        self.assertEqual(" <small>for 1 min 1 s, next try in 2 s</small>", said)

    def test_traffic(self) -> None:
        """Rate, success and quantiles; nothing is said of what there was none of."""
        self.assertEqual(["0", "-", "-", "-", "-"], cells.of_traffic(Traffic(0.0, None, (None, None, None))))
        for nothing in (None, NONE):
            self.assertEqual(["-"] * 5, cells.of_traffic(nothing), "which nobody has measured")
        self.assertEqual(
            ["120", '<span class="bad">50 %</span>', "1 ms", "2.5 ms", "-"],
            cells.of_traffic(Traffic(120.4, 0.5, (1.0, 2.5, None))),
        )
