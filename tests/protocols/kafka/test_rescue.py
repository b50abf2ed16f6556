# -*- test-case-name: tests.protocols.kafka.test_rescue -*-
"""
Tests for L{lproxy.protocols.kafka.rescue}: what is said of a connection that ends.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

import lproxy.protocols.kafka as room
from lproxy.discover.literal import NoRoute
from lproxy.protocols.connection import rescue
from lproxy.protocols.kafka.plugin import KafkaPlugin
from lproxy.protocols.kafka.rescue import FAULTS, invalid
from lproxy.stack.admit import TooManyInFlight
from lproxy.stack.failfast import FailedFast
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Authority, Endpoint
from lproxy.testing import ScriptedProxy
from lproxy.transport.connect import ConnectFailed

TARGET = Authority("upstream.test", 9000)


class RescueTests(SynchronousTestCase):
    """The one table from errors to flags and lines."""

    def setUp(self) -> None:
        self.proxy = ScriptedProxy(KafkaPlugin())
        self.kinds: list[str] = []
        self.lines: list[str] = []

        def warn(kind: str, text: str) -> None:
            self.kinds.append(kind)
            self.lines.append(text)

        self.runtime = replace(self.proxy.runtime, warn=warn)

    def test_known(self) -> None:
        """Each error has its flag, is logged under a kind of its own, and told with its cause."""
        for error, flags in (
            (TooManyInFlight(TARGET, 3), "UO"),
            (AcquireTimedOut(TARGET, 3.0), "UT"),
            (FailedFast(TARGET, 3.0), "UH"),
            (NoRoute(TARGET), "NR"),
            (ConnectFailed(Endpoint("10.0.0.9", 9000), "ECONNREFUSED"), "UF"),
        ):
            self.assertEqual(flags, rescue(Failure(error), self.runtime, "kafka", TARGET, 1.5))
            self.assertEqual(f"kafka-{flags}", self.kinds[-1])
            self.assertEqual(
                f"listener scripted: kafka connection to upstream.test:9000 closed after 1.500 s: {error}",
                self.lines[-1],
            )
        self.assertEqual(5, len(self.lines))

    def test_unknown(self) -> None:
        """What must not happen is a crash, and no line of its own."""
        self.assertEqual("BUG", rescue(Failure(KeyError("x")), self.runtime, "kafka", TARGET, 0.0))
        self.assertEqual(([], [KeyError]), (self.lines, [crash.type for crash in self.proxy.crashes]))

    def test_invalid(self) -> None:
        """What is no Kafka is told in words, with who said it and what becomes of it."""
        for side, reason, goes_on, words in (
            ("client", "http", True, "the client speaks HTTP: passed on unread"),
            ("broker", "correlation", False, "the broker answers a request that is not the next one: closed"),
            ("broker", "rewrite: x", False, "the broker sends what cannot be passed on (rewrite: x): closed"),
        ):
            invalid(self.runtime, "10.0.0.1", side, reason, goes_on)
            self.assertEqual(f"listener scripted: kafka connection from 10.0.0.1: {words}", self.lines.pop())
        self.assertEqual(["kafka-http", "kafka-correlation", "kafka-rewrite"], self.kinds)

    def test_all_told(self) -> None:
        """Every reason that is counted anywhere has its words."""
        files = ("requests", "answers", "header", "filter", "session")
        source = "".join((Path(room.__file__).parent / f"{name}.py").read_text("utf-8") for name in files)
        raised = re.findall(r"(?:_invalid|Malformed)\((.*)\)", source)
        reasons = {reason for said in raised for reason in re.findall(r'"(\w+)"', said)}
        # what is looked up, not said
        reasons.discard("tls")
        self.assertGreater(len(reasons), 7)
        self.assertEqual(set(), reasons - set(FAULTS))
