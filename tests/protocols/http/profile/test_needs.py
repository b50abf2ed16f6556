# -*- test-case-name: tests.protocols.http.profile.test_needs -*-
"""
Tests for L{lproxy.protocols.http.profile.needs}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import ALWAYS, All, AnyOf, Condition, Header, Method, Not, Path, Statuses
from lproxy.protocols.http.profile.needs import Needs, needs

GET, PUT = Method("GET"), Method("PUT")
A, B = Path("/a"), Path("/b", "prefix")


class NeedsTests(SynchronousTestCase):
    """What conditions cannot do without."""

    def found(self, condition: Condition) -> tuple[object, object, bool]:
        """Of C{condition}, methods and paths in order."""
        methods, paths, whole = needs(condition)
        return methods and sorted(methods), paths and sorted([path.value for path in paths]), whole

    def test_one(self) -> None:
        """A method, a path, or something that no look-up knows; nothing where no request can be meant."""
        self.assertEqual((["GET"], None, True), self.found(GET))
        self.assertEqual((None, ["/a"], True), self.found(A))
        for condition in (Header("x"), Not(GET)):
            self.assertEqual((None, None, False), self.found(condition))
        self.assertEqual(Needs(frozenset(), None, True), needs(Statuses(200, 299)))

    def test_all(self) -> None:
        """All of it together; of two paths one is looked up."""
        self.assertEqual((None, None, True), self.found(ALWAYS))
        self.assertEqual((["GET"], ["/a"], True), self.found(All((GET, A))))
        self.assertEqual((["GET"], ["/a"], False), self.found(All((GET, A, Header("x")))))
        self.assertEqual((None, ["/a"], False), self.found(All((AnyOf((A, B)), A))))
        self.assertEqual(frozenset(), needs(All((GET, PUT))).methods)

    def test_any(self) -> None:
        """One of it: what all parts need; (GET /a) or (PUT /b) is more than that."""
        self.assertEqual(frozenset(), needs(AnyOf(())).methods)
        self.assertEqual((["GET", "PUT"], None, True), self.found(AnyOf((GET, PUT))))
        self.assertEqual((["GET"], ["/a", "/b"], True), self.found(AnyOf((All((GET, A)), All((GET, B))))))
        self.assertEqual((["GET", "PUT"], ["/a", "/b"], False), self.found(AnyOf((All((GET, A)), All((PUT, B))))))
        self.assertEqual((None, None, False), self.found(AnyOf((GET, A))))
