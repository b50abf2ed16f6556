# -*- test-case-name: tests.configfile.profile.test_keys -*-
"""
The keys of profiles in TOML.
"""

from __future__ import annotations

import dataclasses

from twisted.trial.unittest import SynchronousTestCase

from lproxy.configfile.profile import keys
from lproxy.configfile.profile.keys import has_prefix
from lproxy.configfile.profile.shape import Keys
from lproxy.profile import ALWAYS, All, AnyOf, Method, Not, Path


class KeysTests(SynchronousTestCase):
    def test_complete(self) -> None:
        """Whatever a profile can say, TOML can say."""
        for found in vars(keys).values():
            if isinstance(found, Keys):
                fields = {field.name for field in dataclasses.fields(found.kind)}
                # a route's name is its table's, routes are tables, and where a profile was read nobody writes
                missing = fields - {key.field for key in found.keys} - {"name", "routes", "source"}
                self.assertEqual(set(), missing, found.called)

    def test_has_prefix(self) -> None:
        """A prefix can be replaced where every request that fits begins with one that is known."""
        prefix, path = Path("/a", "prefix"), Path("/a")
        for condition in (prefix, All((Method("GET"), prefix)), AnyOf((prefix, Path("/b", "prefix")))):
            self.assertTrue(has_prefix(condition), condition)
        for condition in (path, ALWAYS, Not(prefix), AnyOf((prefix, path)), AnyOf((prefix, Method("GET")))):
            self.assertFalse(has_prefix(condition), condition)
