# -*- test-case-name: tests.testing.test_sessions -*-
"""
L{lproxy.testing.sessions}: sessions that break a promise at their beginning are found out.
"""

from __future__ import annotations

from typing import Any
from unittest import TestResult

from twisted.trial.unittest import SynchronousTestCase

from lproxy.api import Accepted, Runtime, TcpFactory
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.testing import PluginContract
from tests.source import source

#: whose promises are broken by inheriting from it, which a compiled class refuses
TcpSession: Any = source("lproxy.protocols.tcp.session").TcpSession


class Hopeful(TcpSession):
    """Believes that it is there once it has started."""

    def start(self) -> None:
        super().start()
        runtime = self._runtime
        self.timer = runtime.clock.callLater(60, self.abort)


class Early(TcpSession):
    """Does nothing at its end but what it has begun by then."""

    def drain(self) -> None:
        raise NotImplementedError


class Deaf(TcpSession):
    """Does not hear that it is to end, where it has not heard anything."""

    def abort(self) -> None:
        if self._stream.bytes_in:
            super().abort()

    def _ended(self) -> None:
        if self._stream.bytes_in:
            super()._ended()


class Made(TcpPlugin):
    """TCP, by a session of C{kind}."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def factory(self, runtime: Runtime, config: None) -> TcpFactory:
        kind = self.kind

        class Factory(TcpFactory):
            def session(self, accepted: Accepted) -> Any:
                return kind(self.runtime, self.acquire, self.name, accepted)

        return Factory(runtime)


class SessionContractTests(SynchronousTestCase):
    """Run on a plugin, as its author would."""

    def broken(self, kind: Any) -> set[str]:
        """Which of the promises sessions of C{kind} break."""

        class Case(PluginContract, SynchronousTestCase):
            plugin: Any = Made(kind)
            conversation = b"hello"
            answer = b"bye"

        found: set[str] = set()
        for name in ("test_gone_before", "test_at_once"):
            result = TestResult()
            Case(name).run(result)
            if not result.wasSuccessful():
                found.add(name)
        return found

    def test_kept(self) -> None:
        """TCP's keep them."""
        self.assertEqual(set(), self.broken(TcpSession))

    def test_broken(self) -> None:
        """Others do not."""
        for kind, broken in (
            (Hopeful, {"test_gone_before", "test_at_once"}),
            (Early, {"test_at_once"}),
            (Deaf, {"test_gone_before", "test_at_once"}),
        ):
            self.assertEqual(broken, self.broken(kind), kind)
