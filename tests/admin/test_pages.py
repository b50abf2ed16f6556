# -*- test-case-name: tests.admin.test_pages -*-
"""
L{lproxy.admin.pages}: how a page may be asked for.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import globalLogPublisher

from tests.admin.case import COMMANDS, PATHS, AdminCase


class MethodTests(AdminCase):
    """How a page may be asked for."""

    def test_others(self) -> None:
        """Other methods are 405 and told which would do."""
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"):
            for path in PATHS:
                answer = self.ask(f"{method} {path}")
                self.assertEqual((405, "GET, HEAD"), (answer.status, answer.fields["allow"]), (method, path))

    def test_commands(self) -> None:
        """To look at a command does nothing."""
        for method in ("GET", "HEAD", "PUT"):
            for path in COMMANDS:
                answer = self.ask(f"{method} {path}?level=debug")
                self.assertEqual((405, "POST"), (answer.status, answer.fields["allow"]))
        self.assertEqual([], self.proxy.done)

    def test_head(self) -> None:
        """HEAD tells what GET would, without a body, and without a word in the log."""
        said: list[Any] = []
        globalLogPublisher.addObserver(said.append)
        self.addCleanup(globalLogPublisher.removeObserver, said.append)
        for path in (*PATHS, "/nothing"):
            get, head = self.ask(f"GET {path}"), self.ask(f"HEAD {path}")
            self.assertEqual((get.status, b""), (head.status, head.body), path)
            for name in ("content-type", "cache-control"):
                self.assertEqual(get.fields[name], head.fields[name], path)
            if "content-length" in get.fields and path != "/":  # which says when it was looked at last
                self.assertEqual(get.fields["content-length"], head.fields["content-length"], path)
        self.assertEqual([], said, "neither for HEAD nor for any request")


class TroubleTests(AdminCase):
    """When something goes wrong."""

    def test_exception(self) -> None:
        """A mistake of ours is logged; the client gets 500 and nothing of the inside."""
        self.proxy.rows = [KeyError("secret")]
        for method in ("GET", "HEAD"):
            answer = self.ask(f"{method} /services")
            self.assertEqual(500, answer.status)
            for word in ("secret", "KeyError", "Traceback", "lproxy/"):
                self.assertNotIn(word, answer.text)
        self.assertEqual(2, len(self.flushLoggedErrors(KeyError)))
