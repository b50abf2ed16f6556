# -*- test-case-name: tests.protocols.http.profile.test_seen -*-
"""
L{lproxy.protocols.http.profile.seen}: what conditions see of requests.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.profile.seen import Seen, path_of
from tests.protocols.http.profile.test_match import asked


class SeenTests(SynchronousTestCase):
    """What there is to see."""

    def test_path(self) -> None:
        """Without its query, and in its normal form."""
        for target, path in (
            (b"/", b"/"),
            (b"/a/b?c/./d=%61", b"/a/b"),
            (b"/%61%2f%2D%zz%e4", b"/a%2F-%zz%E4"),
            (b"/a/./b/../c", b"/a/c"),
            (b"/a/b/..", b"/a/"),
            (b"/a/.", b"/a/"),
            (b"/../../a", b"/a"),
            (b"/%2e%2E/a", b"/a"),
            (b"/.well-known/..a/b..", b"/.well-known/..a/b.."),
            (b"//a//b", b"//a//b"),
            (b"*", b"*"),
            (b"web.test:80", b"web.test:80"),
        ):
            self.assertEqual(path, path_of(target), target)

    def test_host(self) -> None:
        """The host is what the request is for, wherever it says so."""
        self.assertEqual(b"web.test", Seen(asked(), b"/").field(b"host"))
        self.assertIsNone(Seen(asked(host=""), b"/").field(b"host"))
