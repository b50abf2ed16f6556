# -*- test-case-name: tests.admin.test_assets -*-
"""
L{lproxy.admin.assets}: the page's style and script.
"""

from __future__ import annotations

import re

from lproxy.admin.assets import CSS, JS
from lproxy.admin.cells import TONES
from tests.admin.case import AdminCase


class AssetTests(AdminCase):
    """They are served, and lead nowhere else."""

    def test_served(self) -> None:
        """Under their types, which a browser insists on."""
        for path, kind, text in (("/lproxy.css", "text/css", CSS), ("/lproxy.js", "text/javascript", JS)):
            answer = self.ask(f"GET {path}")
            self.assertEqual((200, kind, text), (answer.status, answer.fields["content-type"], answer.text))

    def test_outside(self) -> None:
        """Nothing is loaded from anywhere, and what is shown never becomes code."""
        for outside in ("http:", "https:", "url(", "@import", "eval(", "fetch("):
            self.assertNotIn(outside, CSS + JS)

    def test_tones(self) -> None:
        """Each state has a colour, by day and by night."""
        for tone in {*TONES.values(), "idle"}:
            self.assertIn(f".{tone} {{", CSS)
        for name in set(re.findall(r"var\((--\w+)\)", CSS)):
            self.assertEqual(2, len(re.findall(rf"{name}: ", CSS)), name)
