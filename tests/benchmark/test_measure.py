"""
L{benchmark.measure}: what a process takes, and what the machine has to give.
"""

import os
import subprocess
import sys
from http.client import BadStatusLine, IncompleteRead
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from benchmark import measure
from benchmark.measure import ProcessStat
from lproxy.config import Metrics as Config
from lproxy.metrics.registry import Metrics


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
        for text in ("", "up 1\n", 'reactor_lag_seconds_bucket{le="+Inf"} 7\n'):
            self.assertIsNone(measure.lag_p99_ms(text))

    def test_other_metrics(self) -> None:
        """Other histograms, with other bounds, are not taken for it."""
        other = 'http_request_seconds_bucket{le="60"} 900\nx_reactor_lag_seconds_bucket{le="90"} 900\n'
        self.assertEqual(1.0, measure.lag_p99_ms(other + lag(99, 100, 100, 100) + other))

    def test_as_lproxy_writes_it(self) -> None:
        """What lproxy's admin port answers is understood: its bounds, its labels, its numbers."""
        metrics = Metrics(Config(), Clock())

        def page() -> str:
            return b"".join(metrics.text()).decode()

        self.assertIsNone(measure.lag_p99_ms(page()))
        for _ in range(100):
            metrics.lag.observe(0.0)
        self.assertEqual(1e3 * metrics.lag.bounds[0], measure.lag_p99_ms(page()))
        for _ in range(100):
            metrics.lag.observe(1e6)
        self.assertEqual(1e3 * metrics.lag.bounds[-1], measure.lag_p99_ms(page()))

    def test_unreachable(self) -> None:
        """An admin port that does not answer is no reason for a run to fail."""
        self.assertIsNone(measure.reactor_lag_ms(1))
        for error in (IncompleteRead(b""), BadStatusLine("x"), ConnectionResetError(), TimeoutError()):

            def urlopen(*where: object, error: Exception = error, **rest: object) -> None:
                raise error

            self.patch(measure.urllib.request, "urlopen", urlopen)
            self.assertIsNone(measure.reactor_lag_ms(1))


class TreeTests(SynchronousTestCase):
    def test_tree(self) -> None:
        """Everything that descends from a process, in any depth, and nothing else."""
        parents = {1: 0, 2: 1, 3: 2, 4: 1, 5: 0}
        stats = {pid: ProcessStat(pid, parent, 1, 1) for pid, parent in parents.items()}
        self.assertEqual({2, 3}, {stat.pid for stat in measure.tree(2, stats)})
        self.assertEqual([], measure.tree(99, stats))
        self.assertEqual([], measure.tree(1, {}))

    def stat(self, *lines: str) -> None:
        """A machine with these processes, and other things in /proc."""
        proc = Path(self.mktemp())
        for pid, line in enumerate(lines, 1):
            (proc / str(pid)).mkdir(parents=True)
            (proc / str(pid) / "stat").write_text(line)
        (proc / "self").mkdir()
        (proc / "99").mkdir()
        (proc / "stat").write_text("cpu  9 9 9 9 9 9 9 9\ncpu1 1 2 4 800 900 8 16 32 64 128\ncpu10 0 0 0 0 0 0 0 0\n")
        self.patch(measure, "PROC", proc)
        self.patch(measure, "TICKS_PER_SECOND", 100)
        self.patch(measure, "PAGE_KIB", 4)

    def line(self, pid: int, name: str, parent: int) -> str:
        """As the kernel writes it: fields 14 to 17 are ticks, 24 is memory."""
        fields = [pid, f"({name})", "S", parent, *range(5, 14), 100, 20, 3, 1, *range(18, 24), 7, *range(25, 53)]
        return " ".join(map(str, fields)) + "\n"

    def test_names(self) -> None:
        """A process may be called anything; one that ends while we look is left out."""
        self.stat(self.line(1, "a) S 7 (b", 0), self.line(2, "nginx: worker", 1))
        self.assertEqual({1: 0, 2: 1}, {pid: stat.parent for pid, stat in measure.process_stats().items()})

    def test_sums(self) -> None:
        """CPU is user, system and ended children's; memory pages become KiB; both of the whole tree, 0 of none."""
        self.stat(self.line(1, "a", 0), self.line(2, "b", 1), self.line(3, "c", 0))
        self.assertEqual((2.48, 56), (measure.cpu_seconds(1), measure.resident_kib(1)))
        self.assertEqual((0, 0), (measure.cpu_seconds(77), measure.resident_kib(77)))

    def test_core(self) -> None:
        """A core is busy when it neither idles nor waits for a disk; guests count already; no core is none."""
        self.stat(self.line(1, "a", 0))
        self.assertEqual(0.63, measure.core_busy_seconds(1))
        self.assertEqual(0.0, measure.core_busy_seconds(10))
        self.assertRaises(LookupError, measure.core_busy_seconds, 2)


class WindowTests(SynchronousTestCase):
    def window(self, pid: int | None, proxy_core: int, load_core: int, *after: float) -> measure.Window:
        """One after which time, the proxy's CPU, that of all of us, and both cores show this; all began at zero."""
        reads = [(0.0,) * 5, after]
        self.patch(measure.Window, "_read", lambda window: reads.pop(0))
        with measure.Window(pid, proxy_core, load_core) as window:
            pass
        return window

    def test_foreign(self) -> None:
        """What a core did beyond us is others' work: the proxy on its core, our load on the other."""
        window = self.window(1, 0, 1, 10.0, 4.0, 11.0, 5.0, 9.0)
        self.assertEqual((10.0, 4.0, 0.1, 0.2), (window.seconds, window.cpu, window.foreign_proxy, window.foreign_load))

    def test_never_negative(self) -> None:
        """Ticks are coarse, so that we may seem to have used more than there was."""
        window = self.window(1, 0, 1, 10.0, 4.0, 11.0, 3.9, 6.9)
        self.assertEqual((0.0, 0.0), (window.foreign_proxy, window.foreign_load))

    def test_one_core(self) -> None:
        """On one core for all, it is everything that is not ours."""
        window = self.window(1, 0, 0, 10.0, 4.0, 7.0, 9.0, 9.0)
        self.assertEqual((0.2, 0.2), (window.foreign_proxy, window.foreign_load))

    def test_children_count(self) -> None:
        """The CPU of a child that ended counts for us."""
        before = measure.cpu_seconds(os.getpid())
        burn = "import time\nwhile time.process_time() < 0.1: pass"
        subprocess.run([sys.executable, "-c", burn], check=True)
        self.assertGreater(measure.cpu_seconds(os.getpid()) - before, 0.05)

    def test_memory(self) -> None:
        """We take up more than a mebibyte, and less than all there is."""
        self.assertGreater(measure.resident_kib(os.getpid()), 1024)
