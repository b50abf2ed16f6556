# -*- test-case-name: tests.test_profile -*-
"""
Tests for L{lproxy.profile}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import ALWAYS, NO_PROFILE, All, Method, Path, Profile, Route, shared


class ProfileTests(SynchronousTestCase):
    def test_values(self) -> None:
        """Two profiles that say the same are the same, so that whoever reads one anew can tell what changed."""
        first = Profile((Route("read", All((Method("GET"), Path("/books", "prefix")))),))
        again = Profile((Route("read", All((Method("GET"), Path("/books", "prefix")))),))
        self.assertEqual((first, hash(first)), (again, hash(again)))
        self.assertNotEqual(first, Profile((Route("read", All((Method("PUT"), Path("/books", "prefix")))),)))

    def test_shared(self) -> None:
        """Routes that say the same can be one."""
        first, again = [Route("a", All((Method("GET"), Path("/a")))) for _ in range(2)]
        self.assertIs(first, shared(first))
        self.assertIs(first, shared(again))
        self.assertEqual(Route("b"), shared(Route("b")))

    def test_nothing_said(self) -> None:
        """A service without a profile has no routes; a route without a condition has every request."""
        self.assertEqual((), NO_PROFILE.routes)
        self.assertIs(ALWAYS, Route("all").condition)
