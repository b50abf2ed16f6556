"""
L{benchmark.rst}: tables for a document; and docs/performance.rst, whose tables are those of the results kept beside it.
"""

import contextlib
import io
import json
import re
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import aims, rst
from benchmark.summary import COUNTS, LABELS, Row, Spread, read, write
from tests.components import missing

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def row(proxy: str, values: dict[str, Spread], ratios: dict[str, float]) -> Row:
    labels = dict.fromkeys(LABELS, "") | {"scenario": "http", "proxy": proxy}
    return Row(labels, dict.fromkeys(COUNTS, 3), values, ratios)


class TableTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Medians with their range, a dash for what is not there, and what a unit costs as a ratio to Envoy's."""
        cpu, rate = Spread(1.25, 1.0, 2.0), Spread(1000.0, 1000.0, 1000.0)
        text = rst.table(
            [
                row("none", {"requests_per_s": rate}, {}),
                row("lproxy", {"cpu_us_per_request": cpu, "requests_per_s": rate}, {"cost_of_envoy": 0.5}),
                row("envoy", {"cpu_us_per_request": cpu, "requests_per_s": rate}, {}),
            ]
        )
        lines = [re.split(r" {2,}| (?=\d of)", line) for line in text.splitlines() if "=" not in line]
        self.assertEqual(
            ["direct", "-", "1,000", "3 of 3", "-"], text.splitlines()[3].split(None, 3)[:3] + ["3 of 3", "-"]
        )
        self.assertIn("1.2 (1.0 to 2.0)", text)
        self.assertIn("cost of envoy's", text.splitlines()[1])
        self.assertTrue(text.splitlines()[4].endswith("0.50"), text)
        self.assertTrue(text.splitlines()[5].endswith("1.00"), text)
        self.assertEqual(4, len(lines))

    def test_no_reference(self) -> None:
        """Without Envoy and HAProxy there is no such column."""
        self.assertNotIn("cost of", rst.table([row("lproxy", {}, {"cost_of_nginx": 0.5})]))


class ReplacedTests(SynchronousTestCase):
    TABLE = rst.table([row("lproxy", {"cpu_us_per_request": Spread(1.0, 1.0, 1.0)}, {})])
    OTHER = rst.table([row("envoy", {"cpu_us_per_request": Spread(2.0, 1.0, 3.0)}, {})])

    def test_in_place(self) -> None:
        """The table behind a comment of its name becomes the new one; everything else stays, other tables too."""
        text = f"Words\n\n.. figures: http\n\n{self.TABLE}\nmore\n\n.. figures: tcp\n\n{self.TABLE}\nend\n"
        found, homeless = rst.replaced(text, {"http": self.OTHER, "echo": self.OTHER})
        self.assertEqual(text.replace(self.TABLE, self.OTHER, 1), found)
        self.assertEqual(["echo"], homeless)

    def test_first(self) -> None:
        """A comment behind which there is no table yet gets one; other text behind it stays."""
        text = ".. figures: http\n\nWords.\n"
        once, homeless = rst.replaced(text, {"http": self.TABLE})
        self.assertEqual((f".. figures: http\n\n{self.TABLE}\nWords.\n", []), (once, homeless))
        self.assertEqual(once, rst.replaced(once, {"http": self.TABLE})[0])

    def test_again(self) -> None:
        """What was put in once is found again."""
        text = f".. figures: http\n\n{self.TABLE}"
        once, _ = rst.replaced(text, {"http": self.OTHER})
        self.assertEqual(text, rst.replaced(once, {"http": self.TABLE})[0])

    def test_into(self) -> None:
        """From the command line: the document is changed, and what has no place in it is told."""
        folder = Path(self.mktemp())
        folder.mkdir()
        document = folder / "x.rst"
        document.write_text(f".. figures: http\n\n{self.TABLE}")
        rows = [row("envoy", {"cpu_us_per_request": Spread(2.0, 1.0, 3.0)}, {})]
        (folder / "summary.txt").write_text(write([*rows, replace(rows[0], labels=rows[0].labels | {"scenario": "x"})]))
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            self.assertEqual(0, rst.main([str(folder), "--into", str(document)]))
        self.assertEqual(f".. figures: http\n\n{self.OTHER}", document.read_text())
        self.assertIn("no place for x", said.getvalue())


class DocumentTests(SynchronousTestCase):
    """docs/performance.rst and the results that are kept."""

    def setUp(self) -> None:
        if not DOCS.exists():
            missing("there are no docs beside the tests")
        self.text = (DOCS / "performance.rst").read_text()
        self.kept = sorted(path.parent for path in (DOCS / "performance").rglob("summary.txt"))

    def test_tables(self) -> None:
        """Every table of a scenario is, to the letter, what the kept results make it."""
        found = {text for folder in self.kept for text in rst.tables(read(folder)).values()}
        shown = re.findall(r"^=+(?: =+)+\nproxy .*?\n(?:=+ )+=+\n.*?\n(?:=+ )+=+\n", self.text, re.M | re.S)
        self.assertTrue(shown)
        for text in shown:
            self.assertIn(text, found)

    def test_aims(self) -> None:
        """So is every table of what was aimed at that the benchmark makes."""
        found = {text for folder in self.kept for text in aims.tables(read(folder)).values()}
        for place in rst.PLACE.finditer(self.text):
            if place["name"] in aims.AIMS and place["table"]:
                self.assertIn(place["table"], found, place["name"])

    def test_pictures(self) -> None:
        """Every picture is there, and README's."""
        texts = {DOCS: self.text, DOCS.parent: (DOCS.parent / "README.rst").read_text()}
        for folder, text in texts.items():
            pictures = re.findall(r"^\.\. image:: (\S+)", text, re.M)
            self.assertTrue(pictures, f"{folder.name} shows nothing")
            for name in pictures:
                self.assertTrue((folder / name).exists(), name)

    def test_complete(self) -> None:
        """What is kept says on what machine it was measured and with which versions, and lacks nothing."""
        self.assertTrue(self.kept)
        for folder in self.kept:
            results = json.loads((folder / "results.json").read_text())
            self.assertEqual([], results["lacking"], folder)
            self.assertIn("proxies", results["environment"])
