# -*- test-case-name: tests.app.test_families -*-
"""
L{lproxy.app.families}: the reference of all metrics.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.families import BEGIN, CHAPTERS, OURS, families, reference
from lproxy.app.plugins import find
from lproxy.configfile import refresh
from lproxy.metrics.family import Family
from tests.floors_source import ROOT


class FamilyTests(SynchronousTestCase):
    """What there is, and the page that says so."""

    def setUp(self) -> None:
        self.every = families([one for one in find() if one.name in OURS])

    def test_page(self) -> None:
        """docs/metrics.rst has what the code has; C{python -m lproxy.app.families --write} mends it."""
        page = (ROOT / "docs" / "metrics.rst").read_text("utf-8")
        self.assertEqual(refresh(page, reference(self.every), BEGIN), page)

    def test_all(self) -> None:
        """Each family is there once, whoever counts in it: transport, stack, protocols, the process."""
        names = [family.name for family in self.every]
        self.assertEqual(len(set(names)), len(names))
        for name in ("tcp_open_total", "acquire_total", "request_total", "kafka_requests_total", "proxy_build_info"):
            self.assertIn(name, names)

    def test_chapters(self) -> None:
        """A family stands in the first chapter that its name begins like, and none is lost."""
        text = reference([Family(name, "counter", "Help.", ()) for name in ("zebra_total", "h2_x", "tcp_y", "kafka_z")])
        order = [
            text.index(word)
            for word in ("Connections\n", "tcp_y", "HTTP\n", "h2_x", "Kafka\n", "kafka_z", "zebra_total")
        ]
        self.assertEqual(sorted(order), order)
        self.assertNotIn("Endpoints", text)
        self.assertEqual(("",), CHAPTERS[-1][1])
