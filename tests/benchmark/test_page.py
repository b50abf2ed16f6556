"""
L{benchmark.page}: a run folder to look at.
"""

import contextlib
import io
import json
from html.parser import HTMLParser
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import page
from benchmark.summary import COUNTS, LABELS, Row, Spread, write

CPU = "cpu_us_per_request"
VOID = {"meta", "img", "link"}


class Balanced(HTMLParser):
    """Fails unless what is opened is closed; collects links."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [str(value) for key, value in attrs if key in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag


class PageTests(SynchronousTestCase):
    def folder(self, proxies: list[str], counts: dict[str, int] | None = None, **results: object) -> Path:
        path = Path(self.mktemp())
        path.mkdir()
        rows = []
        for proxy in proxies:
            labels = dict.fromkeys(LABELS, "") | {"scenario": "http", "proxy": proxy, "product": proxy}
            full = dict.fromkeys(COUNTS, 0) | {"runs": 3, "counted": 3} | (counts or {})
            rows.append(Row(labels, full, {CPU: Spread(2.0, 1.0, 3.0)}, {"cost_of_envoy": 0.5}))
        if rows:
            (path / "summary.txt").write_text(write(rows))
        scenarios = {"http": {"question": "what?", "metrics": [CPU]}}
        (path / "results.json").write_text(json.dumps({"scenarios": scenarios, "lacking": []} | results))
        return path

    def built(self, folder: Path) -> str:
        text = page.build(folder).read_text()
        checked = Balanced()
        checked.feed(text)
        self.assertEqual([], checked.open)
        for link in checked.links:
            self.assertTrue((folder / link).exists(), link)
        return text

    def test_table(self) -> None:
        """Medians with their spread, and the ratio to a peer; lproxy's row stands out."""
        text = self.built(self.folder(["none", "lproxy", "envoy"], environment={"tools": {"wrk": "4"}}))
        self.assertIn("2.0 <small>1.0 to 3.0</small>", text)
        self.assertIn("cost / envoy", text)
        self.assertEqual(1, text.count("<tr class=ours>"))
        self.assertIn("<td>direct</td>", text)
        self.assertIn("wrk: 4", text)

    def test_links(self) -> None:
        """Pictures, profiles and comparisons that are there are shown; what is not there is not linked."""
        folder = self.folder(["lproxy"])
        (folder / "profiles").mkdir()
        for name in ("all-cpu.png", "all-latency.png", "all-latency.svg", "profiles/a-cpu.svg", "profiles/a-heap.html"):
            (folder / name).touch()
        (folder / "compare-a-b.txt").write_text("within <noise>")
        text = self.built(folder)
        for part in ('src="all-cpu.png"', 'href="all-latency.svg"', "profiles/a-heap.html", "within &lt;noise&gt;"):
            self.assertIn(part, text)

    def test_hostile(self) -> None:
        """Names and errors are text, never markup."""
        bad = "<script>&\"'"
        text = self.built(self.folder([bad], lacking=[bad + "\nsecond line"], environment={bad: bad}))
        self.assertNotIn("<script>", text)

    def test_lacking(self) -> None:
        """What is not complete is said on top."""
        text = self.built(self.folder(["lproxy"], lacking=["http, envoy, round 1: refused"]))
        self.assertLess(text.index("http, envoy, round 1: refused"), text.index("<table>"))

    def test_remarks(self) -> None:
        """Failed and noisy rounds and missed targets stand in the row."""
        text = self.built(self.folder(["lproxy"], {"runs": 4, "failed": 1, "noisy": 1, "missed_target": 2}))
        for words in ("1 of 4 runs failed", "1 noisy left out", "2 missed the target rate"):
            self.assertIn(words, text)
        text = self.built(self.folder(["lproxy"], {"runs": 3, "noisy": 3}))
        self.assertIn("all rounds disturbed", text)

    def test_profiles_alone(self) -> None:
        """A session that only profiled has a page, too."""
        self.assertIn("</html>", self.built(self.folder([])))

    def test_no_folder(self) -> None:
        """A folder that is no session's is a line and status 2."""
        folder = Path(self.mktemp())
        folder.mkdir()
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            self.assertEqual(2, page.main([str(folder)]))
        self.assertIn("results.json", said.getvalue())
