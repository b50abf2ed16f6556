# -*- test-case-name: tests.test_errors -*-
"""
Tests for L{lproxy.errors}.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.trial.unittest import SynchronousTestCase

from lproxy.errors import ProxyError, explain, one_line
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Authority, Endpoint
from lproxy.transport.connect import ConnectFailed


@dataclass(eq=False)
class Plain(ProxyError):
    """Overrides nothing."""

    target: object


class ExplainTests(SynchronousTestCase):
    """What users are told."""

    def test_whole_story(self) -> None:
        """Layer, target, what happened, and every cause, on one line."""
        refused = ConnectFailed(Endpoint("10.0.0.7", 8080), "ECONNREFUSED")
        refused.__cause__ = OSError(111, "Connection refused")
        error = AcquireTimedOut(Authority("web.local", 80), 3.0)
        error.__cause__ = refused
        self.assertEqual(
            "acquire: web.local:80 not ready within 3 s: connect: 10.0.0.7:8080 refused: "
            "[Errno 111] Connection refused",
            explain(error),
        )

    def test_base(self) -> None:
        """An error that says nothing of its own still names layer and target."""
        self.assertEqual("proxy: web failed", str(Plain("web")))

    def test_cycle(self) -> None:
        """Errors that cause each other are told once each."""
        a, b = Plain("a"), Plain("b")
        a.__cause__, b.__cause__ = b, a
        self.assertEqual("proxy: a failed: proxy: b failed", explain(a))

    def test_nameless(self) -> None:
        """An exception without a text is told by its type."""
        self.assertEqual("ValueError", explain(ValueError()))

    def test_one_line(self) -> None:
        """Whatever a peer put into a text, it stays one printable line of bounded length."""
        self.assertEqual("a?b?c?d", one_line("a\r" + "b\nc\x1bd"))
        long = one_line("x" * 5_000)
        self.assertEqual((1_000, "..."), (len(long), long[-3:]))
