# -*- test-case-name: tests.profiles.test_library -*-
"""
All files of a configuration.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profiles.library import Change, Library
from lproxy.profiles.read import Within
from tests.profiles.case import SP
from tests.profiles.test_conflicts import profile

ROUTES = "  routes: [{name: a, condition: {method: GET}}]\n"
OTHER = ROUTES.replace("name: a", "name: b")


class LibraryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.turns = 0
        self.library = self.made()

    def made(self, patterns: Sequence[str] = (), before: Library | None = None) -> Library:
        return Library(patterns or [str(self.folder)], Within(), {}, before)

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        self.turns += 1
        os.utime(path, ns=(self.turns, self.turns))
        return str(path)

    def look(self, looks: int = 1, insist: bool = False) -> list[Change]:
        """What so many looks have found, together."""
        found: list[Change] = []
        for _ in range(looks):
            steps = self.library.look(insist)
            try:
                while True:
                    next(steps)
            except StopIteration as over:
                found += over.value
        return found

    def names(self, host: str = "web.shop") -> list[str] | None:
        found = self.library.book.of(host, 80)
        return None if found is None else [route.name for route in found.routes]

    def test_begins(self) -> None:
        """At the start all is read at once."""
        path = self.write("a.yaml", SP + ROUTES)
        self.assertEqual([Change(path)], self.look(insist=True))
        self.assertEqual((["a"], []), (self.names(), self.library.problems()))
        self.assertTrue(self.library.uses(path))
        self.assertEqual([], self.look(3))

    def test_changes(self) -> None:
        """A change is used once it has settled; one that says the same changes nothing."""
        path = self.write("a.yaml", SP + ROUTES)
        self.look(insist=True)
        before = self.library.book.of("web.shop", 80)
        self.write("a.yaml", SP + ROUTES + "# the same\n")
        self.assertEqual([], self.look(2))
        self.assertIs(before, self.library.book.of("web.shop", 80))
        self.write("a.yaml", SP + OTHER)
        self.assertEqual([], self.look())
        self.assertTrue(self.library.pending)
        self.assertEqual([Change(path)], self.look())
        self.assertFalse(self.library.pending)
        self.assertEqual(["b"], self.names())

    def test_wrong(self) -> None:
        """What is wrong is not used, and told once; what was before still holds. When it is right again, it is used."""
        path = self.write("a.yaml", SP + ROUTES)
        self.look(insist=True)
        for _ in range(2):
            self.write("a.yaml", SP + "  rotues: []\n")
            changes = self.look(3)
            self.assertLessEqual(len(changes), 1)
        self.assertEqual((["a"], True), (self.names(), self.library.uses(path)))
        self.assertEqual([path], list(self.library.refused))
        self.assertIn('did you mean "routes"?', str(self.library.problems()[0]))
        self.write("a.yaml", SP + ROUTES)
        self.assertEqual([Change(path)], self.look(2))
        self.assertEqual({}, self.library.refused)

    def test_wrong_from_the_start(self) -> None:
        """Of a file that never was right nothing is known; others are as they are."""
        bad = self.write("a.yaml", "a: b: c")
        good = self.write("b.yaml", SP + ROUTES)
        changes = self.look(insist=True)
        self.assertEqual([bad, good], [one.file for one in changes])
        self.assertEqual([True, False], [bool(one.errors) for one in changes])
        self.assertEqual((["a"], False), (self.names(), self.library.uses(bad)))

    def test_new_and_gone(self) -> None:
        """A file that comes is used; one that goes is missed for a look, and then what it said goes with it."""
        self.look(insist=True)
        path = self.write("a.yaml", SP + ROUTES)
        self.assertEqual([Change(path)], self.look(2))
        Path(path).unlink()
        self.assertEqual([], self.look())
        self.assertEqual(["a"], self.names())
        self.assertEqual([Change(path, gone=True)], self.look())
        self.assertIsNone(self.names())
        self.assertEqual([], self.look(2))

    def test_folder_comes(self) -> None:
        """A folder that is not there at first is read once it is, and nothing is said to be gone then."""
        folder = Path(self.mktemp())
        self.library = self.made([str(folder)])
        (change,) = self.look(insist=True)
        self.assertIn("No such file", str(change.errors[0]))
        folder.mkdir()
        path = folder / "a.yaml"
        path.write_text(SP + ROUTES)
        self.assertEqual([Change(str(path))], self.look(3))
        self.assertEqual((["a"], {}), (self.names(), self.library.refused))

    def test_moved_aside(self) -> None:
        """One that is moved aside for a moment was never away."""
        path = Path(self.write("a.yaml", SP + ROUTES))
        self.look(insist=True)
        path.rename(path.with_suffix(".bak"))
        self.assertEqual([], self.look())
        path.with_suffix(".bak").rename(path)
        self.assertEqual([], self.look(3))
        self.assertEqual(["a"], self.names())

    def test_named_and_gone(self) -> None:
        """One that is named by itself is to be there: that it is not is an error, and what it said still holds."""
        path = self.write("a.yaml", SP + ROUTES)
        self.library = self.made([path])
        self.look(insist=True)
        Path(path).unlink()
        (change,) = self.look(2)
        self.assertIn("No such file", str(change.errors[0]))
        self.assertEqual(["a"], self.names())

    def test_folder_away(self) -> None:
        """Of a folder that goes, what its files said still holds; that is told, and when it is back it is as before."""
        path = self.write("a.yaml", SP + ROUTES)
        self.look(insist=True)
        self.folder.rename(away := self.folder.with_suffix(".away"))
        (change,) = self.look(4)
        self.assertEqual((path, ["a"]), (change.file, self.names()))
        self.assertIn("cannot be listed", str(self.library.problems()[0]))
        away.rename(self.folder)
        self.assertEqual([Change(path)], self.look(4))
        self.assertEqual(([], ["a"]), (self.library.problems(), self.names()))

    def test_not_together(self) -> None:
        """What does not go together with others is refused as a whole, and what it said before still holds."""
        self.write("a.yaml", profile("a", "b.shop"))
        b = self.write("b.yaml", profile("b", "c.shop"))
        self.look(insist=True)
        before = self.library.book.of("b.shop", 80)
        self.write("b.yaml", profile("b", "a.shop.svc.cluster.local"))
        (change,) = self.look(2)
        self.assertIn("in a circle", str(change.errors[0]))
        self.assertIs(before, self.library.book.of("b.shop", 80))
        self.write("b.yaml", profile("b"))
        self.assertEqual([Change(b)], self.look(2))

    def test_twice_from_the_start(self) -> None:
        """Of two that are the same service's, the first is used."""
        self.write("a.yaml", SP + ROUTES)
        b = self.write("b.yaml", SP + OTHER)
        self.look(insist=True)
        self.assertEqual((["a"], [b]), (self.names(), list(self.library.refused)))

    def test_follows(self) -> None:
        """The library of the next configuration reads nothing that was read already, and says it with the same "
        "values."""
        path = self.write("a.yaml", SP + ROUTES)
        self.look(insist=True)
        before, watched = self.library.book.of("web.shop", 80), self.library.files[path]
        latest = watched.latest
        self.library = self.made(before=self.library)
        self.assertEqual([], self.look(insist=True))
        self.assertIs(before, self.library.book.of("web.shop", 80))
        self.assertIs(latest, self.library.files[path].latest)
        other = Library([str(self.folder)], Within("else"), {}, self.library)
        self.assertEqual({}, other.files)

    def test_follows_apart(self) -> None:
        """What one has seen of a file the other sees, too, whoever looks first; each tells of it."""
        path = self.write("a.yaml", SP + ROUTES)
        self.look(insist=True)
        first, second = self.library, self.made(before=self.library)
        self.library = second
        self.look(insist=True)
        self.write("a.yaml", SP + OTHER)
        for library in (second, first):
            self.library = library
            self.assertEqual([[], [Change(path)]], [self.look() for _ in range(2)])

    def test_ambiguous(self) -> None:
        """A bare name that may be any of two is told of."""
        self.write("a.yaml", SP + ROUTES)
        self.write("b.yaml", (SP + ROUTES).replace("shop", "beta"))
        self.look(insist=True)
        (problem,) = self.library.problems()
        self.assertIn("web alone may be any of web.beta.svc.cluster.local, web.shop.svc.cluster.local", str(problem))
        self.assertEqual("warning", problem.severity)
