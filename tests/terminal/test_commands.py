# -*- test-case-name: tests.terminal.test_commands -*-
"""
L{lproxy.terminal.commands}: what the commands print, and with what status they end.
"""

from __future__ import annotations

import io
import json
from email.message import Message
from typing import Any
from urllib.error import HTTPError

from twisted.trial.unittest import SynchronousTestCase

from lproxy import cli
from lproxy.terminal import commands
from tests.admin.test_tapping import ROW
from tests.terminal.test_top import service, shown


class CommandCase(SynchronousTestCase):
    """An admin server that says what a test wants."""

    def setUp(self) -> None:
        self.asked: list[str] = []
        self.slept: list[float] = []
        self.said: list[Any] = []
        self.out, self.err = io.StringIO(), io.StringIO()
        self.patch(commands, "ask", self.ask)
        self.patch(commands, "opened", self.opened)
        self.patch(commands.time, "sleep", self.sleep)
        self.patch(commands.sys, "stdout", self.out)
        self.patch(commands.sys, "stderr", self.err)

    def ask(self, admin: str, page: str, seconds: float, arguments: Any) -> bytes:
        self.asked.append(f"{admin}/{page}")
        said = self.said.pop(0)
        if isinstance(said, BaseException):
            raise said
        return json.dumps(said).encode()

    def opened(self, admin: str, page: str, seconds: float | None, arguments: Any) -> Any:
        self.asked.append(f"{admin}/{page}")
        if isinstance(self.said[0], BaseException):
            raise self.said[0]
        return io.BytesIO(b"\n".join(json.dumps(row).encode() for row in self.said))

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class TopTests(CommandCase):
    """C{lproxy top}."""

    def test_once(self) -> None:
        """One picture, of two seconds, without anything that only a terminal understands."""
        self.said = [shown(service("old:80")), shown(service("web:80"))]
        self.assertEqual(0, cli.main(["top", "10.0.0.1:4191", "--once", "-q", "web 80"]))
        self.assertEqual(["10.0.0.1:4191/overview.json?q=web%2080"] * 2, self.asked)
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
        for error in (ConnectionRefusedError("refused"), ValueError("no JSON")):
            self.said = [error]
            self.assertEqual(1, cli.main(["top", "127.0.0.1:1"]))
            self.assertIn(f"lproxy: 127.0.0.1:1 does not answer: {error}\n", self.err.getvalue())


class TapTests(CommandCase):
    """C{lproxy tap}."""

    def test_lines(self) -> None:
        """What is asked for, a line each, for people or for programs; 1 when the proxy ends it."""
        self.said = [ROW, ROW]
        self.assertEqual(1, cli.main(["tap", "10.0.0.1:1", "--service", "web", "--status", "5xx"]))
        self.assertEqual(["10.0.0.1:1/tap?service=web&status=5xx"], self.asked)
        self.assertEqual(2, self.out.getvalue().count("GET None/a/b?token=secret 503"))
        self.assertIn("has ended it", self.err.getvalue())

    def test_count(self) -> None:
        """So many and no more, as JSON."""
        self.said = [ROW, ROW, ROW]
        self.assertEqual(0, cli.main(["tap", "-n", "2", "--json"]))
        self.assertEqual([ROW, ROW], [json.loads(line) for line in self.out.getvalue().splitlines()])

    def test_no_status(self) -> None:
        """What no row could match is told at once."""
        for wrong in ("oops", "5", "5xxx", "200,", "0xx"):
            self.assertRaises(SystemExit, cli.main, ["tap", "--status", wrong])
        for right in ("0", "503", "5XX", "4xx,503,0"):
            self.assertEqual(right, commands.statuses(right))

    def test_refused(self) -> None:
        """Why, and 1."""
        error = HTTPError("http://x", 400, "Bad", Message(), io.BytesIO(b"there is no filter 'x'"))
        for wrong, words in ((error, "there is no filter 'x'"), (ConnectionRefusedError("refused"), "does not answer")):
            self.said = [wrong]
            self.assertEqual(1, cli.main(["tap"]))
            self.assertIn(words, self.err.getvalue())
