# -*- test-case-name: tests.terminal.test_asking -*-
"""
L{lproxy.terminal.asking}: what a command is told of the admin server that it asks.
"""

from __future__ import annotations

import argparse
import errno
import json
from io import BytesIO
from urllib.error import URLError

from twisted.trial.unittest import SynchronousTestCase

from lproxy.admin import asking
from lproxy.terminal.asking import ask, conversation, opened, secure, why


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


class WhyTests(SynchronousTestCase):
    """Of whoever does not answer."""

    def test_words(self) -> None:
        """As people read it: neither numbers nor the names of what asks."""
        refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        self.assertEqual("Connection refused", why(URLError(refused)))
        self.assertEqual("Connection refused", why(refused))
        self.assertEqual("timed out", why(URLError(TimeoutError("timed out"))))
        self.assertEqual("no host given", why(ValueError("no host given")))

    def test_something_else(self) -> None:
        """Where something else answers, that is said."""
        error = self.assertRaises(json.JSONDecodeError, json.loads, "<html>")
        self.assertEqual("what is there is no admin server of lproxy", why(error))
