# -*- test-case-name: tests.app.test_outcome -*-
"""
L{lproxy.app.outcome}: what is said of how detection ended.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.outcome import explain, without_detector
from lproxy.config import Listen
from lproxy.errors import Failed
from lproxy.protocols.http.plugin import HttpPlugin
from lproxy.testing import ScriptedProxy
from lproxy.transport.detect import TCP, Detected
from lproxy.transport.stream import Conn


class OutcomeTests(SynchronousTestCase):
    """Lines and their parts."""

    def setUp(self) -> None:
        self.said: list[tuple[str, str, Failed | None]] = []
        self.stream: Any = SimpleNamespace(conn=Conn(("10.9.9.9", 5), ("127.0.0.1", 80)))

        def warn(kind: str, text: str, parts: Failed | None = None, /) -> None:
            self.said.append((kind, text, parts))

        listen = Listen("web", "127.0.0.1:0", detect=("http",))
        self.runtime = replace(ScriptedProxy(HttpPlugin()).runtime, warn=warn, listen=listen)

    def of(self, found: Detected) -> str:
        """The kind of what is said of it, if anything."""
        self.said.clear()
        explain(self.runtime, self.stream, found, lambda stream: True)
        for kind, text, parts in self.said:
            assert parts is not None
            self.assertEqual(("detect", found.seconds), (parts.layer, parts.waited))
            self.assertTrue(parts.target)
            self.assertIn("listener web", text)
            return kind
        return ""

    def test_expected(self) -> None:
        """There is nothing to say of what was hoped for."""
        self.assertEqual("", self.of(Detected("http", "http", b"GET /", False, 0.1, variant="http/1")))

    def test_other(self) -> None:
        """Each way that is not has its words, its layer, whom it was meant for and how long that took."""
        for result, kind in ((TCP, "detect-other"), ("timeout", "detect-timeout"), ("eof", "detect-eof")):
            self.assertEqual(kind, self.of(Detected(TCP, result, b"abc", False, 1.5)), result)
        self.assertEqual("", self.of(Detected(TCP, "eof", b"", True, 1.5)), "who has only looked")

    def test_raised(self) -> None:
        """A detector that raised is named, with what becomes of the connection."""
        without_detector(self.runtime, self.stream, Detected(TCP, TCP, b"abc", False, 0.5), "memo")
        ((kind, text, parts),) = self.said
        assert parts is not None
        self.assertEqual(("detector-memo", "detect", 0.5), (kind, parts.layer, parts.waited))
        self.assertIn("the detector of memo failed", text)
