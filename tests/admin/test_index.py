# -*- test-case-name: tests.admin.test_index -*-
"""
L{lproxy.admin.index}: the first page.
"""

from __future__ import annotations

import re

from tests.admin.case import PATHS, AdminCase


class IndexTests(AdminCase):
    """What people see first."""

    def test_index(self) -> None:
        """The first page leads to all others and loads nothing from anywhere."""
        self.proxy.reason = '<script>"&'
        answer = self.ask("GET /")
        self.assertEqual((200, "text/html; charset=utf-8"), (answer.status, answer.fields["content-type"]))
        self.assertEqual(set(PATHS) - {"/"}, set(re.findall('href="([^"]*)"', answer.text)))
        self.assertIn("1.2&lt;3", answer.text)
        self.assertIn("&lt;script&gt;&quot;&amp;", answer.text)
        self.assertNotIn("<script", answer.text)
        for outside in ("src=", "http:", "https:", "url(", "@import"):
            self.assertNotIn(outside, answer.text)
