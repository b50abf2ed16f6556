# -*- test-case-name: tests.protocols.http.profile.test_conditions -*-
"""
L{lproxy.protocols.http.profile.conditions}: conditions, held against requests. Those that are made of others, and of
paths, are tried with all that looks them up, in L{tests.protocols.http.profile.test_match}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import Header, Path, Query
from lproxy.protocols.http.profile.conditions import ready
from lproxy.protocols.http.profile.seen import Seen
from tests.protocols.http.profile.test_match import asked


class ConditionTests(SynchronousTestCase):
    """Which requests fit."""

    def test_fields(self) -> None:
        """Whatever its case; several are one; the host is the authority, in both versions."""
        request = asked("/", "GET", ("X-Who", "me"), ("x-who", "you"), ("cookie", "a=b"), ("cookie", "c=d"))
        for condition, fits in (
            (Header("x-WHO"), True),
            (Header("X-Who", "me, you"), True),
            (Header("X-Who", "me"), False),
            (Header("X-Who", "me", "prefix"), True),
            (Header("X-Who", ".*you", "regex"), True),
            (Header("Cookie", "a=b; c=d"), True),
            (Header("X-Other"), False),
            (Header("Host", "web.test"), True),
        ):
            self.assertEqual(fits, ready(condition).fits(Seen(request, b"/")), condition)

    def test_query(self) -> None:
        """The first of a name, decoded."""
        request = asked("/?a=1&b=x%20y+z&a=2&c")
        for condition, fits in (
            (Query("a", "1"), True),
            (Query("a", "2"), False),
            (Query("b", "x y z"), True),
            (Query("c", ""), True),
            (Query("d", ""), False),
        ):
            self.assertEqual(fits, ready(condition).fits(Seen(request, b"/")), condition)

    def test_expression(self) -> None:
        """An expression has to match all of a path."""
        test = ready(Path("/a[^/]*", "regex"))
        for path, fits in ((b"/a", True), (b"/ab", True), (b"/a/b", False), (b"/b", False)):
            self.assertEqual(fits, test.fits(Seen(asked(), path)), path)
