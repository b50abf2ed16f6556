# -*- test-case-name: tests.terminal.test_asking -*-
"""
L{lproxy.terminal.asking}: what a command is told of the admin server that it asks.
"""

from __future__ import annotations

import argparse
from io import BytesIO

from twisted.trial.unittest import SynchronousTestCase

from lproxy.admin import asking
from lproxy.terminal.asking import ask, conversation, opened, secure


class AskTests(SynchronousTestCase):
    """With nobody to be asked."""

    def setUp(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.patch(asking, "opened", self.opened)
        parser = argparse.ArgumentParser()
        secure(parser)
        self.arguments = parser.parse_args(["--ca", "ca.pem", "--certificate", "own.pem", "--key", "key.pem"])

    def opened(self, *asked: object) -> BytesIO:
        self.asked.append(asked)
        return BytesIO(b"said")

    def test_ask(self) -> None:
        """All at once, or to be read: the files of the command line are used."""
        files = ("ca.pem", "own.pem", "key.pem")
        self.assertEqual(b"said", ask("127.0.0.1:1", "ready", 5.0, self.arguments))
        self.assertEqual(b"sa", opened("127.0.0.1:1", "tap", None, self.arguments).read(2))
        self.assertEqual([("127.0.0.1:1", "ready", 5.0, *files), ("127.0.0.1:1", "tap", None, *files)], self.asked)

    def test_conversation(self) -> None:
        """Many questions, with the same files."""
        made: list[tuple[object, ...]] = []
        self.patch(asking, "Conversation", lambda *asked: made.append(asked))
        conversation("127.0.0.1:1", 5.0, self.arguments)
        self.assertEqual([("127.0.0.1:1", 5.0, "ca.pem", "own.pem", "key.pem")], made)
