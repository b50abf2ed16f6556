"""
L{benchmark.pairs}: what of two results belongs together.
"""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import pairs
from benchmark.pairs import Side
from benchmark.summary import COUNTS, LABELS, Row, Spread, WrongSummary, write


def row(scenario: str, proxy: str, **values: float) -> Row:
    labels = dict.fromkeys(LABELS, "") | {"scenario": scenario, "proxy": proxy}
    return Row(labels, dict.fromkeys(COUNTS, 1), {key: Spread(value, value, value) for key, value in values.items()})


class SideTests(SynchronousTestCase):
    def folder(self, *proxies: str) -> str:
        path = Path(self.mktemp())
        path.mkdir(parents=True)
        (path / "summary.txt").write_text(write([row("http", proxy, p99_ms=1.0) for proxy in proxies]))
        return str(path)

    def test_whole(self) -> None:
        """A folder, or its summary, is called by the folder's name."""
        folder = self.folder("a", "b")
        for text in (folder, f"{folder}/summary.txt", f"{folder}/"):
            found = pairs.side(text)
            self.assertEqual((Path(folder).name, ["a", "b"]), (found.label, [one.proxy for one in found.rows]))

    def test_one_proxy(self) -> None:
        """One proxy of a folder is called by its own name, even with a colon in the path."""
        folder = self.folder("a", "b@epoll")
        found = pairs.side(f"{folder}:b@epoll")
        self.assertEqual(("b@epoll", 1), (found.label, len(found.rows)))

    def test_wrong(self) -> None:
        """A folder or a proxy that is not there is said, with those that are."""
        folder = self.folder("a", "b")
        self.assertIn("there are a, b", str(self.assertRaises(WrongSummary, pairs.side, f"{folder}:c")))
        self.assertIn("no such file", str(self.assertRaises(WrongSummary, pairs.side, "nowhere")))
        self.assertIn("No such file", str(self.assertRaises(WrongSummary, pairs.side, "nowhere:a")))

    def test_names_differ(self) -> None:
        """Two sides never have one name, or nobody could tell whose bar is whose."""
        first, second = self.folder("a"), self.folder("a")
        for texts in ((first, first), (f"{first}:a", f"{second}:a"), (first, second)):
            one, two = pairs.sides(*texts)
            self.assertNotEqual(one.label, two.label)


class PairedTests(SynchronousTestCase):
    def names(self, one: list[Row], two: list[Row]) -> tuple[list[str], list[str]]:
        found, alone = pairs.paired(Side("A", one), Side("B", two))
        return [f"{pair.scenario} {pair.name}" for pair in found], alone

    def test_same(self) -> None:
        """The same scenario and proxy belong together, whatever the order."""
        one = [row("http", "x"), row("http", "y"), row("tcp", "x")]
        self.assertEqual((["http x", "http y", "tcp x"], []), self.names(one, one[::-1]))

    def test_two_names(self) -> None:
        """If each side has just one more proxy, those two do."""
        one, two = [row("http", "none"), row("http", "main~1")], [row("http", "none"), row("http", "main")]
        self.assertEqual((["http none", "http main~1 / main"], []), self.names(one, two))

    def test_alone(self) -> None:
        """What has no counterpart, or might have several, is said and not guessed."""
        one, two = [row("http", "a"), row("tcp", "a")], [row("http", "b"), row("http", "c")]
        found, alone = self.names(one, two)
        self.assertEqual([], found)
        self.assertEqual(4, len(alone))
        self.assertIn("tcp, a: only in A", alone)
