# -*- test-case-name: tests.benchmark.test_reload -*-
"""
L{benchmark.reload}: what reloads cost.
"""

import asyncio
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import reload
from benchmark.reload import Asked, config, quantile, told
from lproxy.configfile import load


class ToldTests(SynchronousTestCase):
    """What is said of what was seen."""

    def test_told(self) -> None:
        """Requests by whether there was a reload while they were under way; lost ones are counted, and have no time."""
        asked = [Asked(0.0, 0.001), Asked(1.9, 0.2), Asked(2.1, 0.004), Asked(2.5, None), Asked(3.5, 0.002)]
        expected = [
            "1 reloads, 1.000 s each, the longest 1.000 s",
            "2 requests without a reload: p50 2.00 ms, p99 2.00 ms, at most 2.0 ms",
            "2 requests while there was one: p50 200.00 ms, p99 200.00 ms, at most 200.0 ms",
            "1 requests lost",
        ]
        self.assertEqual(expected, told(asked, [(2.0, 3.0)]))
        self.assertIn("0 requests lost", told([], []))

    def test_quantile(self) -> None:
        """The value that so many are not above."""
        self.assertEqual((0.0, 5, 9, 9), (quantile([], 0.5), *(quantile(range(10), q) for q in (0.5, 0.99, 1.0))))

    def test_config(self) -> None:
        """Each file is good, and another than the one before."""
        files = [load(config((1, 2, 3), 1_000, n), "x", {"http": lambda table: None}) for n in range(2)]
        self.assertEqual([(), ()], [file.problems for file in files])
        first, second = (file.config for file in files)
        assert first is not None and second is not None
        self.assertEqual(1_001, len(first.services))
        self.assertNotEqual(first.services["s7.local:80"], second.services["s7.local:80"])


class RunTests(SynchronousTestCase):
    """A small one."""

    def test_run(self) -> None:
        """Reloads are done, and no request is lost."""
        self.patch(reload, "QUIET", 0.2)
        self.patch(reload, "PAUSE", 0.1)
        with tempfile.TemporaryDirectory() as folder:
            lines = asyncio.run(reload.measure(10, 3, Path(folder)))
        self.assertTrue(lines[0].startswith("3 reloads"), lines)
        self.assertEqual("0 requests lost", lines[-1])
