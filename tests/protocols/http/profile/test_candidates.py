# -*- test-case-name: tests.protocols.http.profile.test_candidates -*-
"""
Tests for L{lproxy.protocols.http.profile.candidates}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import Header, Path
from lproxy.protocols.http.profile.candidates import FEW, Candidate, Candidates
from tests.protocols.http.profile.test_match import asked

#: a number that no route has
NONE = 1_000


class CandidatesTests(SynchronousTestCase):
    """Those that a look-up leaves."""

    def first(self, path: str, *all: Candidate, before: int = NONE) -> int:
        """The first of them that has a request for C{path}."""
        candidates = Candidates()
        candidates.all = list(all)
        # what was made for one is there for the next
        return [candidates.first(asked(path), path.encode(), before) for _ in range(2)][1]

    def paths(self, *patterns: str) -> list[Candidate]:
        """Candidates with numbers from 10."""
        return [Candidate(10 + n, Path(pattern, "regex"), None) for n, pattern in enumerate(patterns)]

    def test_first(self) -> None:
        """The one of the lowest number that fits, unless another one is known with a lower one, of few and of many."""
        for more in (0, 3 * FEW):
            paths = ("/a", "/[ab]", "/.*", *[f"/x{n}" for n in range(more)])
            for path, before, number in (
                ("/a", NONE, 10),
                ("/b", NONE, 11),
                ("/c", NONE, 12),
                ("d", NONE, 999),
                ("/b", 12, 11),
                ("/b", 11, 11),
                ("d", 10, 10),
            ):
                found = [*self.paths(*paths), Candidate(999, None, None)]
                self.assertEqual(number, self.first(path, *found, before=before), path)
            self.assertEqual(NONE, self.first("d", *self.paths(*paths)))

    def test_alike(self) -> None:
        """Routes of one expression are told apart by what they say besides, also among many of it."""
        for more in (0, 3 * FEW):
            paths = ["/a", *[f"/x{n}" for n in range(more)]]
            absent = Candidate(0, Path("/a", "regex"), Header("x-absent"))
            self.assertEqual(10, self.first("/a", absent, *self.paths(*paths)))

    def test_begins(self) -> None:
        """A beginning that is too long to be looked up is tried, also among many expressions."""
        for more in (0, 3 * FEW):
            for path, number in (("/a/b", 0), ("/a/b/c", 0), ("/a/bc", 10)):
                begins = Candidate(0, Path("/a/b", "prefix"), None)
                found = [begins, *self.paths("/a/.*", *[f"/x{n}" for n in range(more)])]
                self.assertEqual(number, self.first(path, *found), path)

    def test_made_when_asked(self) -> None:
        """What nobody asks is not compiled."""
        found = self.paths("/a", "/[b]+")
        self.first("/a", *found)
        self.assertEqual([True, False], [one.made for one in found])
