# -*- test-case-name: tests.test_errors -*-
"""
Tests for L{lproxy.errors}.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import lproxy.discover
import lproxy.identity
import lproxy.protocols
import lproxy.stack
import lproxy.transport
from lproxy.errors import Bug, ProxyError, explain, grpc_status, judge, known, one_line
from lproxy.stack.balance import NoEndpointReady
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Authority, Endpoint
from lproxy.transport.connect import ConnectFailed

DOCS = Path(__file__).resolve().parent.parent / "docs" / "operations" / "errors.rst"


class Plain(ProxyError):
    """Overrides nothing."""


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
        self.assertEqual("proxy: failed", str(Plain("")))

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


class JudgeTests(SynchronousTestCase):
    """What a client is told."""

    def test_itself(self) -> None:
        """An error of ours is told as it is, with what its class carries."""
        error = AcquireTimedOut(Authority("web.local", 80), 3.0)
        self.assertIs(error, judge(error))
        self.assertEqual(("acquire_timeout", "UT", 503, True), (error.reason, error.flag, error.status, error.keep))

    def test_by_its_cause(self) -> None:
        """None of several endpoints: what the last one said decides; without that, that none could be connected to."""
        target = Authority("web.local", 80)
        error = NoEndpointReady(target, 2)
        self.assertIs(error, judge(error))
        error.__cause__ = cause = AcquireTimedOut(target, 3.0)
        outer = NoEndpointReady(target, 3)
        outer.__cause__ = error
        self.assertIs(cause, judge(outer))

    def test_bug(self) -> None:
        """Whatever else is a bug, also as a cause; the client is not told what."""
        around = NoEndpointReady(Authority("web.local", 80), 2)
        around.__cause__ = ZeroDivisionError("secret")
        for error in (around, ZeroDivisionError("secret"), SystemExit(3)):
            verdict = judge(error)
            self.assertIsInstance(verdict, Bug)
            self.assertEqual(("BUG", 500, False), (verdict.flag, verdict.status, verdict.keep))
            self.assertNotIn("secret", explain(verdict))

    def test_grpc(self) -> None:
        """gRPC's status follows from HTTP's; one that nobody thought of is UNKNOWN."""
        self.assertEqual([5, 14, 4, 13, 10, 2], [grpc_status(n) for n in (404, 503, 504, 500, 508, 418)])


class LegendTests(SynchronousTestCase):
    """docs/operations/errors.rst says what the classes say."""

    def setUp(self) -> None:
        for floor in (lproxy.stack, lproxy.identity, lproxy.transport, lproxy.discover, lproxy.protocols):
            for module in pkgutil.walk_packages(floor.__path__, f"{floor.__name__}."):
                importlib.import_module(module.name)
        self.kinds = [kind for kind in known() if kind.__module__.startswith("lproxy.")]
        self.text = DOCS.read_text("utf-8")

    def test_reasons(self) -> None:
        """Every reason with its status and flag, and none that is not."""
        told = re.findall(r"^``(\w+)`` +(\d{3}) +``(\w+)`` +\S", self.text, re.MULTILINE)
        self.assertGreater(len(told), 10)
        self.assertEqual(len(told), len(set(told)))
        self.assertEqual({(kind.reason, str(kind.status), kind.flag) for kind in self.kinds}, set(told))

    def test_flags(self) -> None:
        """Every flag: those of errors, and those that sessions set themselves."""
        told = re.findall(r"^``([A-Z]{2,3})`` +\S", self.text, re.MULTILINE)
        rooms = Path(next(iter(lproxy.protocols.__path__)))
        source = "".join(path.read_text("utf-8") for path in sorted(rooms.rglob("*.py")))
        own = set(re.findall(r"""\b_?flags = (?:self\._?flags or )?"([A-Z]+)\"""", source))
        self.assertTrue(own)
        self.assertEqual(sorted({kind.flag for kind in self.kinds} | own), sorted(told))

    def test_grpc(self) -> None:
        """No error of ours is UNKNOWN to gRPC."""
        self.assertEqual([], [kind for kind in self.kinds if grpc_status(kind.status) == 2])
