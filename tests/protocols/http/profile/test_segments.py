# -*- test-case-name: tests.protocols.http.profile.test_segments -*-
"""
Tests for L{lproxy.protocols.http.profile.segments}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import Path
from lproxy.protocols.http.profile.segments import first_segment, known_by


class SegmentTests(SynchronousTestCase):
    """The first of a path."""

    def test_of_paths(self) -> None:
        """As far as the second slash, whatever it is."""
        for path, segment in (
            (b"/users/1", b"/users"),
            (b"/users", b"/users"),
            (b"/users/", b"/users"),
            (b"/", b"/"),
            (b"//a", b"/"),
            (b"/%2F/a", b"/%2F"),
            (b"*", b"*"),
            (b"web:80", b"web:80"),
            (b"", b""),
        ):
            self.assertEqual(segment, first_segment(path), path)

    def test_of_conditions(self) -> None:
        """Whole paths and prefixes, as they are spelt in requests; the prefix of all has none."""
        for path, segment in (
            (Path("/a/b"), b"/a"),
            (Path("/%61/b"), b"/a"),
            (Path("/"), b"/"),
            (Path("/a", "prefix"), b"/a"),
            (Path("/a/b/", "prefix"), b"/a"),
            (Path("/", "prefix"), None),
        ):
            self.assertEqual(segment, known_by(path), path)

    def test_of_patterns(self) -> None:
        """Where every path that matches has it, and that is plain to see."""
        for pattern, segment in (
            ("/users/[^/]+", b"/users"),
            ("^/users/.*$", b"/users"),
            ("/users", b"/users"),
            ("/users$", b"/users"),
            ("/users/(a|b)/x", b"/users"),
            (r"/users/a\|b", b"/users"),
            ("/users/(a|[bc])", None),
            ("/users/?", None),
            ("/users/*x", None),
            ("/users/{0,1}x", None),
            ("/users?/a", None),
            ("/user[s]/a", None),
            ("/users(/a)?", None),
            ("/users/a|/b", None),
            (r"/users/\)|/b", None),
            (r"/users/(a\)|b)|/b", None),
            ("(?i)/users/a", None),
            ("/.*/users", None),
            ("/%61/x", None),
            ("/a.b/x", None),
            ("users/a", None),
            ("/", None),
            (".*", None),
        ):
            self.assertEqual(segment, known_by(Path(pattern, "regex")), pattern)
