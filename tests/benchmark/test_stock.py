"""
L{benchmark.stock}: Twisted's own proxies as a proxy under test.
"""

import contextlib
import io
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import stock
from benchmark.peer import Ports, Setting
from benchmark.stock import Forward
from benchmark.upstreams import Upstreams


class OptionsTests(SynchronousTestCase):
    def refused(self, *words: str) -> str:
        """What is said about wrong words."""
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            self.assertEqual(2, self.assertRaises(SystemExit, stock.options, list(words)).code)
        return said.getvalue()

    def test_both(self) -> None:
        """Each option is a port, a host and its port, as often as one likes."""
        words = ["--http", "80", "h", "81", "--tcp", "90", "t", "91", "--tcp", "92", "u", "93"]
        self.assertEqual(
            ([Forward(80, "h", 81)], [Forward(90, "t", 91), Forward(92, "u", 93)]),
            stock.options(words),
        )

    def test_wrong(self) -> None:
        """Nothing to do, and a port that is none, are said in a line."""
        self.assertIn("nothing to do", self.refused())
        self.assertIn("a port is a number", self.refused("--http", "x", "h", "1"))

    def test_what_the_harness_runs(self) -> None:
        """The command line of the peer serves all three listeners, and is one that the module understands."""
        setting = Setting(Path("/nowhere"), Ports(1, 2, 3, 4), Upstreams(11, 12, 13), 10)
        _python, _m, module, *words = stock.PEER.command(setting)
        self.assertEqual("benchmark.stock", module)
        http, tcp = stock.options(words)
        self.assertEqual([(1, 11), (2, 12), (3, 13)], [(one.port, one.upstream) for one in http + tcp])
        self.assertEqual({"http", "tcp", "echo", "kafka"}, stock.PEER.listeners)
