# -*- test-case-name: tests.terminal.test_commands -*-
"""
L{lproxy.terminal.commands}: what the commands print, and with what status they end.
"""

from __future__ import annotations

import io
import json
import re
from email.message import Message
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError

from twisted.trial.unittest import SynchronousTestCase

from lproxy import cli
from lproxy.admin.order import SORTS
from lproxy.terminal import commands, screen
from tests.admin.test_tapping import ROW
from tests.terminal.test_top import service, shown


class CommandCase(SynchronousTestCase):
    """An admin server that says what a test wants."""

    def setUp(self) -> None:
        self.asked: list[str] = []
        self.slept: list[float] = []
        self.said: list[Any] = []
        self.out, self.err = io.StringIO(), io.StringIO()
        self.patch(commands, "undo", lambda: None)
        self.patch(commands, "conversation", self.conversation)
        self.patch(commands, "opened", self.opened)
        self.clock = 1_000.0
        self.patch(commands.time, "sleep", self.sleep)
        self.patch(commands.time, "monotonic", lambda: self.clock)
        self.patch(commands.sys, "stdout", self.out)
        self.patch(commands.sys, "stderr", self.err)

    def conversation(self, admin: str, seconds: float, arguments: Any) -> Any:
        return SimpleNamespace(ask=partial(self.ask, admin))

    def ask(self, admin: str, page: str) -> bytes:
        self.asked.append(f"{admin}/{page}")
        said = self.said.pop(0)
        if isinstance(said, BaseException):
            raise said
        return json.dumps(said).encode()

    def opened(self, admin: str, page: str, seconds: float | None, arguments: Any) -> Any:
        self.asked.append(f"{admin}/{page}")
        said = self.said.pop(0) if self.said else [ConnectionRefusedError("refused")]
        if isinstance(said[0], BaseException):
            raise said[0]
        return io.BytesIO(b"".join(b"\n" + json.dumps(row).encode() for row in said) + b"\n")

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock += seconds


class TopTests(CommandCase):
    """C{lproxy top}."""

    def test_once(self) -> None:
        """One picture, of two seconds, without anything that only a terminal understands."""
        self.said = [shown(service("old:80")), shown(service("web:80"))]
        self.assertEqual(0, cli.main(["top", "10.0.0.1:4191", "--once", "-q", "web 80", "--sort", "p99"]))
        self.assertEqual(["10.0.0.1:4191/overview.json?q=web+80&sort=p99"] * 2, self.asked)
        self.assertIn("web:80", self.out.getvalue())
        self.assertNotIn("old:80", self.out.getvalue())
        self.assertNotIn("\x1b", self.out.getvalue())
        self.assertEqual([commands.INTERVAL], self.slept)

    def test_until(self) -> None:
        """One after the other until Ctrl-C, no more often than the server says."""
        self.said = [shown(service("web:80"), interval=7.5), shown(service("app:80")), KeyboardInterrupt()]
        self.assertEqual(0, cli.main(["top"]))
        self.assertEqual([7.5, commands.INTERVAL], self.slept)
        self.assertIn("app:80", self.out.getvalue())

    def test_nobody(self) -> None:
        """Nobody answers, or something else does: a line, and 1."""
        for error in (ConnectionRefusedError("refused"), ValueError("no JSON"), [], {"services": []}, "\x1b"):
            self.said = [error]
            self.assertEqual(1, cli.main(["top", "127.0.0.1:1"]))
            what = error if isinstance(error, Exception) else "what is there is no admin server of this lproxy"
            self.assertIn(f"lproxy: 127.0.0.1:1 does not answer: {what}\n", self.err.getvalue())

    def test_comes_back(self) -> None:
        """On a terminal, who has answered once is asked again: what was shown stays, with a line that says so."""
        self.out.isatty = lambda: True  # type: ignore[method-assign]
        self.out.fileno = lambda: -1  # type: ignore[method-assign]
        self.patch(screen.Screen, "wait", lambda _, seconds: self.slept.append(seconds))
        gone = ConnectionRefusedError("refused")
        self.said = [shown(service("web:80")), gone, gone, shown(service("app:80")), KeyboardInterrupt()]
        self.assertEqual(0, cli.main(["top"]))
        first, *lost, last = self.out.getvalue().split(screen.HOME)[1:]
        for picture in lost:
            self.assertIn("does not answer: refused; this is of", picture)
            self.assertIn("web:80", picture)
        self.assertEqual((2, False, False), (len(lost), "refused" in first, "refused" in last))
        self.assertEqual("", self.err.getvalue())

    def test_sort(self) -> None:
        """By what the page can be sorted by, and nothing else."""
        self.assertEqual(SORTS, commands.SORTS)
        self.assertRaises(SystemExit, cli.main, ["top", "--sort", "p98"])


class TapTests(CommandCase):
    """C{lproxy tap}."""

    def test_lines(self) -> None:
        """What is asked for, a line each, for people or for programs."""
        self.said = [[ROW, ROW]]
        self.assertEqual(1, cli.main(["tap", "10.0.0.1:1", "--service", "web", "--status", "5xx"]))
        self.assertEqual("10.0.0.1:1/tap?service=web&status=5xx", self.asked[0])
        self.assertEqual(2, self.out.getvalue().count("GET None/a/b?token=secret 503"))

    def test_count(self) -> None:
        """So many and no more, as JSON; none is no number of lines."""
        self.said = [[ROW, ROW, ROW]]
        self.assertEqual(0, cli.main(["tap", "-n", "2", "--json"]))
        self.assertEqual([ROW, ROW], [json.loads(line) for line in self.out.getvalue().splitlines()])
        for wrong in ("0", "-1", "x", ""):
            self.assertRaises(SystemExit, cli.main, ["tap", "-n", wrong])

    def test_ended(self) -> None:
        """Where another takes the place of the one that is read, it is read; where nobody does soon, 1."""
        refused = [ConnectionRefusedError("refused")]
        self.said = [[ROW], refused, refused, [ROW, ROW]]
        self.assertEqual(1, cli.main(["tap"]))
        self.assertEqual(3, self.out.getvalue().count("503"))
        said = self.err.getvalue().splitlines()
        self.assertEqual(
            ["ended", "again", "ended", "answer"],
            [re.findall("ended|again|answer", one)[-1] if "again, for" not in one else "ended" for one in said],
            said,
        )
        self.assertGreaterEqual(sum(self.slept), commands.RESTART)

    def test_broken(self) -> None:
        """A line that is cut off, as its end is, is none."""
        self.patch(
            commands,
            "opened",
            lambda *more: (
                self.asked.append("") or io.BytesIO(b'\n{"kind": "requ') if not self.asked else self.opened(*more)
            ),
        )
        self.assertEqual(1, cli.main(["tap", "--json"]))
        self.assertEqual("", self.out.getvalue())

    def test_no_status(self) -> None:
        """What no row could match is told at once."""
        for wrong in ("oops", "5", "5xxx", "200,", "0xx"):
            self.assertRaises(SystemExit, cli.main, ["tap", "--status", wrong])
        for right in ("0", "503", "5XX", "4xx,503,0"):
            self.assertEqual(right, commands.statuses(right))

    def test_refused(self) -> None:
        """Why, and 1; whatever it says, the terminal obeys none of it."""
        error = HTTPError("http://x", 400, "Bad", Message(), io.BytesIO(b"there is no filter 'x'\x1b[2J"))
        for wrong, words in ((error, "there is no filter 'x'?[2J"), (OSError("\x1b[2J"), "does not answer: ?[2J")):
            self.said = [[wrong]]
            self.assertEqual(1, cli.main(["tap"]))
            self.assertIn(words, self.err.getvalue())
