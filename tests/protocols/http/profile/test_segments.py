# -*- test-case-name: tests.protocols.http.profile.test_segments -*-
"""
Tests for L{lproxy.protocols.http.profile.segments}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.profile.segments import beginning, cut


class SegmentTests(SynchronousTestCase):
    """What paths begin with."""

    def test_cut(self) -> None:
        """As many segments as are looked up."""
        for path, begins in (
            (b"", b""),
            (b"/", b"/"),
            (b"/a/b", b"/a/b"),
            (b"/1/2/3/4/5/6", b"/1/2/3/4/5/6"),
            (b"/1/2/3/4/5/6/", b"/1/2/3/4/5/6"),
            (b"/1/2/3/4/5/6/7/8", b"/1/2/3/4/5/6"),
        ):
            self.assertEqual(begins, cut(path), path)

    def test_of_patterns(self) -> None:
        """Where every path that matches has it, and that is plain to see."""
        for pattern, begins in (
            ("/users/[^/]+", "/users"),
            ("^/users/.*$", "/users"),
            ("/users", "/users"),
            ("/users$", "/users"),
            ("/api/v1/users/[^/]+/carts", "/api/v1/users"),
            ("/api/v1/users?/x", "/api/v1"),
            ("/api/v1/u.ers/x", "/api/v1"),
            ("/api/v1/", "/api/v1"),
            ("/1/2/3/4/5/6/7/8", "/1/2/3/4/5/6"),
            ("/users/(a|b)/x", "/users"),
            (r"/users/a\|b", "/users"),
            ("/users/(a|[bc])", ""),
            ("/users/?", ""),
            ("/users/*x", ""),
            ("/users/{0,1}x", ""),
            ("/api/users/{0,1}x", "/api"),
            ("/users?/a", ""),
            ("/user[s]/a", ""),
            ("/users(/a)?", ""),
            ("/users/a|/b", ""),
            (r"/users/\)|/b", ""),
            (r"/users/(a\)|b)|/b", ""),
            ("(?i)/users/a", ""),
            ("/.*/users", ""),
            ("/%61/x", ""),
            ("/a.b/x", ""),
            ("users/a", ""),
            ("/", ""),
            (".*", ""),
        ):
            self.assertEqual(begins.encode(), beginning(pattern), pattern)
