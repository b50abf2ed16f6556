# -*- test-case-name: tests.terminal.test_commands -*-
"""
L{lproxy.terminal.commands}: what the commands print, and with what status they end.
"""

from __future__ import annotations

import io
import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy import cli
from lproxy.terminal import commands
from tests.terminal.test_top import service, shown


class CommandCase(SynchronousTestCase):
    """An admin server that says what a test wants."""

    def setUp(self) -> None:
        self.asked: list[str] = []
        self.slept: list[float] = []
        self.said: list[Any] = []
        self.out, self.err = io.StringIO(), io.StringIO()
        self.patch(commands, "ask", self.ask)
        self.patch(commands.time, "sleep", self.sleep)
        self.patch(commands.sys, "stdout", self.out)
        self.patch(commands.sys, "stderr", self.err)

    def ask(self, admin: str, page: str, seconds: float, arguments: Any) -> bytes:
        self.asked.append(f"{admin}/{page}")
        said = self.said.pop(0)
        if isinstance(said, BaseException):
            raise said
        return json.dumps(said).encode()

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
