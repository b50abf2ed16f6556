# -*- test-case-name: tests.benchmark.endurance.test_report -*-
"""
L{benchmark.endurance.report}: what is said of what was counted.
"""

from twisted.trial.unittest import SynchronousTestCase

from benchmark.endurance.census import Census
from benchmark.endurance.report import Row, lines, missed
from benchmark.endurance.tally import Kill, Loss, Tally


class ReportTests(SynchronousTestCase):
    """One action."""

    def setUp(self) -> None:
        losses = [Loss("Kafka", "closed before an answer", port, 1.0, 3.0) for port in (7, 8)]
        self.tallies = [Tally("Kafka", 100, 98, 0, losses), Tally("HTTP/2", 10, 10, 1)]
        self.quiet = Census(3, 60, 100.0)
        self.row = Row("kills", self.tallies, [Kill(2.0, frozenset({7}))], self.quiet, self.quiet, ())

    def test_lines(self) -> None:
        """A row for each kind of client, and who was there before and after."""
        text = list(lines(self.row))
        self.assertEqual("kills", text[0])
        self.assertEqual(["Kafka", "100", "98", "0", "2", "1"], text[2].split()[:6])
        self.assertEqual(["HTTP/2", "10", "10", "1", "0", "0"], text[3].split())
        self.assertEqual("  after:  3 processes, 60 descriptors, 100.0 MiB", text[5])

    def test_missed(self) -> None:
        """What was lost without a death, what nobody did, what has come to stay, what has not come of it."""
        self.assertEqual(["kills: Kafka: lost 1 of 100: 1 closed before an answer"], list(missed(self.row)))
        row = Row("more", [Tally("TCP")], (), self.quiet, Census(4, 60, 100.0), ["a reload: refused"])
        expected = ["more: TCP: nothing was done", "more: 4 processes, 3 before", "more: a reload: refused"]
        self.assertEqual(expected, list(missed(row)))
