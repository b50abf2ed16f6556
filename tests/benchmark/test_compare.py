"""
L{benchmark.compare}: what differs beyond the noise.
"""

import contextlib
import io
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import compare
from benchmark.summary import COUNTS, LABELS, Row, Spread, write

CPU, RATE = "cpu_us_per_request", "requests_per_s"
Three = tuple[float, float, float]


class CompareTests(SynchronousTestCase):
    def result(self, runs: int = 3, proxy: str = "lproxy", **values: Three) -> str:
        """A folder with one row."""
        path = Path(self.mktemp())
        path.mkdir()
        labels = dict.fromkeys(LABELS, "") | {"scenario": "http", "proxy": proxy}
        spreads = {key: Spread(middle, least, most) for key, (least, middle, most) in values.items()}
        counts = dict.fromkeys(COUNTS, 0) | {"runs": runs, "counted": runs if values else 0}
        (path / "summary.txt").write_text(write([Row(labels, counts, spreads)]))
        return str(path)

    def said(self, *words: str) -> tuple[int, str]:
        """The exit status, and all that was printed."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            return compare.main(words), out.getvalue()

    def verdict(self, first: Three, second: Three, key: str = CPU, factor: float = 1.25) -> tuple[int, str]:
        one, two = self.result(**{key: first}), self.result(**{key: second})
        status, text = self.said(one, two, "--factor", str(factor))
        (line,) = [line for line in text.splitlines() if line.startswith("http ")]
        return status, next(
            word for word in ("within noise", "better", "WORSE", "worse", "same") if line.rstrip().endswith(word)
        )

    def test_same(self) -> None:
        """A result and itself do not differ, and that is no failure."""
        one = self.result(**{CPU: (1, 2, 3), RATE: (5, 6, 7)})
        status, text = self.said(one, one)
        self.assertEqual(0, status)
        self.assertIn("of 2 figures none is worse", text)

    def test_noise(self) -> None:
        """Where the spreads overlap, a difference is within noise, however large."""
        self.assertEqual((0, "within noise"), self.verdict((1, 2, 10), (9, 50, 90)))

    def test_regression(self) -> None:
        """Worse by more than the factor, beyond the noise: said loudly, and the exit status is 1."""
        self.assertEqual((1, "WORSE"), self.verdict((9, 10, 11), (19, 20, 21)))

    def test_factor(self) -> None:
        """Worse by less than the factor is told and is no failure."""
        self.assertEqual((0, "worse"), self.verdict((9, 10, 11), (19, 20, 21), factor=2.5))

    def test_better(self) -> None:
        """Less CPU is better."""
        self.assertEqual((0, "better"), self.verdict((19, 20, 21), (9, 10, 11)))

    def test_rates(self) -> None:
        """Of a rate, more is better, and half of it is twice as bad."""
        self.assertEqual((0, "better"), self.verdict((9, 10, 11), (19, 20, 21), RATE))
        self.assertEqual((1, "WORSE"), self.verdict((19, 20, 21), (9, 10, 11), RATE, 1.9))
        self.assertEqual((0, "worse"), self.verdict((19, 20, 21), (9, 10, 11), RATE, 2.1))

    def test_from_zero(self) -> None:
        """Errors where there were none are a regression, though nothing can be divided by zero."""
        self.assertEqual((1, "WORSE"), self.verdict((0, 0, 0), (1, 2, 3), "errors"))
        self.assertEqual((0, "better"), self.verdict((1, 2, 3), (0, 0, 0), "errors"))
        self.assertEqual((0, "same"), self.verdict((0, 0, 0), (0, 0, 0), "errors"))

    def test_lost(self) -> None:
        """A figure that is gone, or a proxy that failed, is no success."""
        both, one = self.result(**{CPU: (1, 2, 3), RATE: (1, 2, 3)}), self.result(**{CPU: (1, 2, 3)})
        status, text = self.said(both, one)
        self.assertEqual(1, status)
        self.assertIn("LOST: http, lproxy: not in B: requests_per_s", text)
        # another proxy, so that there is something to compare
        failed = self.result()
        Path(failed, "summary.txt").write_text(
            Path(both, "summary.txt").read_text()
            + Path(both, "summary.txt").read_text().splitlines()[1].replace("lproxy", "envoy ")
        )
        lost = Path(failed, "summary.txt").read_text().splitlines()
        other = self.result()
        Path(other, "summary.txt").write_text("\n".join([*lost[:2], "http, envoy"]))
        status, text = self.said(failed, other)
        self.assertEqual(1, status)
        self.assertIn("LOST: http, envoy: failed in B", text)

    def test_once(self) -> None:
        """With a single run there is no spread, and the reader is told."""
        one, two = self.result(1, **{CPU: (1, 1, 1)}), self.result(1, **{CPU: (1.1, 1.1, 1.1)})
        self.assertIn("measured only once", self.said(one, two)[1])
        self.assertNotIn("measured only once", self.said(*[self.result(**{CPU: (1, 2, 3)})] * 2)[1])

    def test_nothing(self) -> None:
        """Nothing in common, or no such file: a line, and status 2."""
        one, two = self.result(**{CPU: (1, 2, 3)}), self.result(**{RATE: (1, 2, 3)})
        for words in ((one, two), (one, "nowhere"), (one, f"{two}:nobody")):
            status, text = self.said(*words)
            self.assertEqual((2, 1), (status, len(text.splitlines())), text)

    def test_wrong_factor(self) -> None:
        """A factor below one, or none at all, would make everything a regression."""
        one = self.result(**{CPU: (1, 2, 3)})
        for factor in ("0.9", "nan", "x"):
            with contextlib.redirect_stderr(io.StringIO()):
                error = self.assertRaises(SystemExit, compare.main, [one, one, "--factor", factor])
            self.assertEqual(2, error.code)
