# -*- test-case-name: tests.protocols.kafka.test_protocol_errors -*-
"""
Tests for L{lproxy.protocols.kafka.protocol_errors}: what is said of a connection that ends.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import lproxy.protocols.kafka as room
from lproxy.protocols.kafka.plugin import KafkaPlugin
from lproxy.protocols.kafka.protocol_errors import REASONS, invalid
from lproxy.testing import ScriptedProxy


class ReasonTests(SynchronousTestCase):
    """Reasons and what is said of them."""

    def setUp(self) -> None:
        self.proxy = ScriptedProxy(KafkaPlugin())
        self.kinds: list[str] = []
        self.lines: list[str] = []

        def warn(kind: str, text: str, parts: object = None, /) -> None:
            self.kinds.append(kind)
            self.lines.append(text)

        self.runtime = replace(self.proxy.runtime, warn=warn)

    def test_invalid(self) -> None:
        """What is no Kafka is told in words, with who said it and what becomes of it."""
        for side, reason, goes_on, words in (
            ("client", "http", True, "the client speaks HTTP: passed on unread"),
            ("broker", "correlation", False, "the broker responds to a request that is not the next one: closed"),
            ("broker", "rewrite: x", False, "the broker sends what cannot be passed on (rewrite: x): closed"),
        ):
            invalid(self.runtime, "10.0.0.1", "kafka", side, reason, goes_on)
            self.assertEqual(f"listener scripted: kafka connection from 10.0.0.1: {words}", self.lines.pop())
        self.assertEqual(["kafka-http", "kafka-correlation", "kafka-rewrite"], self.kinds)

    def test_all_told(self) -> None:
        """Every reason that is counted anywhere has its words."""
        files = ("talk/requests", "talk/answers", "codec/header", "filter", "session")
        source = "".join((Path(room.__file__).parent / f"{name}.py").read_text("utf-8") for name in files)
        raised = re.findall(r"(?:_invalid|Malformed)\((.*)\)", source)
        reasons = {reason for said in raised for reason in re.findall(r'"(\w+)"', said)}
        # what is looked up, not said
        reasons.discard("tls")
        self.assertGreater(len(reasons), 7)
        self.assertEqual(set(), reasons - set(REASONS))
