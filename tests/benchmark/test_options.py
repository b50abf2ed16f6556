"""
L{benchmark.options} and the command line of C{python -m benchmark}.
"""

import argparse
import contextlib
import io
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import __main__ as command
from benchmark import options
from benchmark.matrix import Matrix
from benchmark.peer import DIRECT
from benchmark.scenarios import SCENARIOS
from benchmark.session import ALL_PEERS, ALL_SCENARIOS
from benchmark.settings import TINY, Settings


class OptionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.parser = options.parser()

    def parsed(self, *words: str) -> argparse.Namespace:
        return self.parser.parse_args(words)

    def refused(self, *words: str) -> str:
        """The last line of what is said about wrong words; the exit status is 2, and nothing was started."""
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            self.assertEqual(2, self.assertRaises(SystemExit, command.main, list(words)).code)
        return said.getvalue().splitlines()[-1]

    def scenarios(self, *words: str) -> list[str]:
        given = self.parsed(*words)
        asked = options.matrix_of(given, self.parser)
        return [one.name for one in options.scenarios_of(given, asked, self.parser)]

    def peers(self, *words: str) -> list[str]:
        return [peer.name for peer in options.peers_of(self.parsed(*words), self.parser)]

    def test_default(self) -> None:
        """Without a word: every scenario but Kafka's, which takes a broker; every proxy."""
        self.assertEqual(list(SCENARIOS), self.scenarios())
        self.assertEqual(list(ALL_PEERS), self.peers())

    def test_only(self) -> None:
        """Scenarios by name, each once; some names stand for several."""
        self.assertEqual(["tcp", "http"], self.scenarios("--only", "tcp, http,tcp"))
        self.assertEqual(
            [name for name in ALL_SCENARIOS if name.startswith("kafka-")], self.scenarios("--only", "kafka")
        )
        self.assertEqual(list(ALL_SCENARIOS), self.scenarios("--only", "all"))

    def test_matrix(self) -> None:
        """The matrix instead of the scenarios; with --only, besides."""
        self.assertEqual(3, len(self.scenarios("--matrix")))
        self.assertEqual(["tcp", "fortio-http-b10-r1000-c10"], self.scenarios("--only", "tcp", "--matrix", "body=10"))

    def test_tiny(self) -> None:
        """The tiny session goes through the matrix with two reactors, unless it is told what to do."""
        asked = options.matrix_of(self.parsed("--tiny"), self.parser)
        assert isinstance(asked, Matrix)
        self.assertEqual(("epoll", "asyncio"), asked.reactor)
        self.assertEqual([*SCENARIOS, "fortio-http-b200-r200-c4"], self.scenarios("--tiny"))
        self.assertEqual(["tcp"], self.scenarios("--tiny", "--only", "tcp"))

    def test_branches(self) -> None:
        """Beside revisions there is direct traffic alone, unless others are wanted."""
        self.assertEqual([DIRECT], self.peers("--branch", "main"))
        self.assertEqual(["envoy"], self.peers("--branch", "main", "--proxies", "envoy"))

    def test_custom(self) -> None:
        """A proxy of one's own has a name of its own, fit for files."""
        self.assertEqual(["nginx", "mine"], self.peers("--proxies", "nginx", "--custom", "mine=x {http}"))
        for text in ("mine", "=x", "mine=", "a/b=x", "envoy=x", "a,b=x", "mine=x 'y"):
            self.assertIn("--custom", self.refused("--custom", text))

    def test_settings(self) -> None:
        """What is given replaces a default, also the tiny ones."""
        found = options.settings_of(self.parsed("--seconds", "7", "--rounds", "0"), self.parser)
        self.assertEqual((7.0, 0, Settings().rate), (found.seconds, found.rounds, found.rate))
        found = options.settings_of(self.parsed("--tiny", "--idle", "5"), self.parser)
        self.assertEqual((TINY.seconds, 5), (found.seconds, found.idle))

    def test_refused(self) -> None:
        """Whatever is wrong is one clear line, with what would be right, before anything is started."""
        for words, said in (
            (["--only", "htp"], "no such scenario: htp (there are http,"),
            (["--only", ","], "no scenario given"),
            (["--proxies", "apache"], "no such proxy: apache"),
            (["--profile", "x"], "no such profiler: x (there are cpu, native, perf, heap)"),
            (["--matrix", "size=1"], "--matrix 'size=1'"),
            (["--seconds", "nan"], "--seconds must be at least 0.1"),
            (["--seconds", "-1"], "--seconds must be"),
            (["--rounds", "-1"], "--rounds must be at least 0"),
            (["--rate", "0"], "--rate must be"),
            (["--seconds", "inf"], "--seconds must be"),
            (["--noise", "-1"], "--noise must be"),
            (["--proxy-core", "4096"], "we may use the cores"),
            (["--nonsense"], "--nonsense"),
        ):
            self.assertIn(said, self.refused(*words))

    def test_help(self) -> None:
        """The help names every scenario, proxy, command and profiler."""
        text = self.parser.format_help()
        for word in (*ALL_SCENARIOS, *ALL_PEERS, *command.COMMANDS, *options.PROFILERS, "--branch", "exit status"):
            self.assertIn(word, text)


class CommandTests(SynchronousTestCase):
    def said(self, *words: str) -> tuple[int, str]:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            return command.main(words), said.getvalue()

    def test_commands(self) -> None:
        """The commands that look at results get their own words."""
        for name in command.COMMANDS:
            status, text = self.said(name, "nowhere", *(["nowhere"] if name == "compare" else []))
            self.assertEqual(2, status, name)
            self.assertIn("nowhere", text)

    def test_no_revision(self) -> None:
        """A revision that is not there is a line and status 2."""
        status, text = self.said("--branch", "no-such-revision")
        self.assertEqual(2, status)
        self.assertIn("no-such-revision", text)

    def test_nothing_left(self) -> None:
        """Where nothing can be measured, it is said why, and no folder is made."""
        self.patch(os, "sched_setaffinity", lambda pid, cores: None)
        into = Path(self.mktemp())
        status, text = self.said("--only", "kafka-rate", "--proxies", "lproxy", "--rounds", "0", "--out", str(into))
        self.assertEqual(2, status)
        self.assertIn("nothing left to measure", text)
        self.assertFalse(into.exists())

    def test_not_over_results(self) -> None:
        """Results are never written into a folder that has something in it."""
        into = Path(self.mktemp())
        into.mkdir()
        (into / "x").touch()
        status, text = self.said("--only", "churn", "--proxies", "none", "--out", str(into))
        self.assertEqual(2, status)
        self.assertIn("is not empty", text)
