"""
L{benchmark.measure}, and the arithmetic of C{benchmark.clients}.
"""

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from benchmark import measure
from benchmark.clients import common
from benchmark.measure import ProcessStat


def lag(*counts: int) -> str:
    """Cumulative counts under the bounds that lproxy's histogram has, as /metrics shows them."""
    bounds = ("0.001", "0.01", "0.1", "+Inf")
    lines = [f'reactor_lag_seconds_bucket{{le="{bound}"}} {n}' for bound, n in zip(bounds, counts, strict=True)]
    return "\n".join(["# HELP reactor_lag_seconds x", *lines, f"reactor_lag_seconds_count {counts[-1]}"]) + "\n"


class LagTests(SynchronousTestCase):
    def test_p99(self) -> None:
        """The step below which 99 of 100 lie, in milliseconds; of what lies beyond all steps, the last."""
        self.assertEqual(1.0, measure.lag_p99_ms(lag(99, 100, 100, 100)))
        self.assertEqual(10.0, measure.lag_p99_ms(lag(98, 100, 100, 100)))
        self.assertEqual(100.0, measure.lag_p99_ms(lag(0, 0, 0, 5)))

    def test_none(self) -> None:
        """Without a sample, or without the metric, nothing is said."""
        self.assertIsNone(measure.lag_p99_ms(lag(0, 0, 0, 0)))
        self.assertIsNone(measure.lag_p99_ms("up 1\n"))

    def test_unreachable(self) -> None:
        """An admin port that does not answer is no reason for a run to fail."""
        self.assertIsNone(measure.reactor_lag_ms(1))


class TreeTests(SynchronousTestCase):
    def test_tree(self) -> None:
        """Everything that descends from a process, in any depth, and nothing else."""
        parents = {1: 0, 2: 1, 3: 2, 4: 1, 5: 0}
        stats = {pid: ProcessStat(pid, parent, 1, 1) for pid, parent in parents.items()}
        self.assertEqual({2, 3}, {stat.pid for stat in measure.tree(2, stats)})
        self.assertEqual([], measure.tree(99, stats))

    def test_children_count(self) -> None:
        """The CPU of a child that ended counts for us."""
        before = measure.cpu_seconds(os.getpid())
        burn = "import time\nwhile time.process_time() < 0.1: pass"
        subprocess.run([sys.executable, "-c", burn], check=True)
        self.assertGreater(measure.cpu_seconds(os.getpid()) - before, 0.05)

    def test_memory(self) -> None:
        """We take up more than a mebibyte, and less than all there is."""
        self.assertGreater(measure.resident_kib(os.getpid()), 1024)


class ClientTests(SynchronousTestCase):
    def test_percentiles(self) -> None:
        """Nearest rank of sorted seconds, in microseconds; zero of none."""
        found = common.percentiles([at / 1000 for at in range(1000)])
        self.assertEqual([500_000, 900_000, 990_000, 999_000], [round(value) for value in found.values()])
        self.assertEqual({0.0}, set(common.percentiles([]).values()))

    def test_requests(self) -> None:
        """No two requests are alike: nothing can be remembered from one to the next."""
        requests = common.Requests(80)
        self.assertEqual(1000, len({requests.next() for _ in range(1000)}))

    def test_answers(self) -> None:
        """An answer's length is known once its head is whole; anything but a 200 is the proxy's fault."""
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
        self.assertIsNone(common.answer_length(answer[:20]))
        self.assertEqual(len(answer), common.answer_length(answer))
        self.assertRaises(ValueError, common.answer_length, b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
