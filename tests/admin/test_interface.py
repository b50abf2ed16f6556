# -*- test-case-name: tests.admin.test_interface -*-
"""
L{lproxy.admin.interface}: the proxy tells all that is asked of it.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.admin.server import Proxy as Asked
from lproxy.app.rows import Standing
from lproxy.app.service import Proxy


class ToldTests(SynchronousTestCase):
    """The proxy itself."""

    def test_all(self) -> None:
        """Whatever the admin server asks for it has, and what it says of a service has all its parts."""
        asked = [
            name
            for kind in Asked.__mro__
            for name, value in vars(kind).items()
            # what is no method is an attribute of instances
            if not name.startswith("_") and not isinstance(value, property)
        ]
        self.assertIn("standings", asked)
        self.assertEqual([], [name for name in asked if not hasattr(Proxy, name)])
        self.assertEqual(("target", "serves", "ailing", "busy", "row"), Standing._fields)
