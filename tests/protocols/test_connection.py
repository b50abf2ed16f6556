# -*- test-case-name: tests.protocols.test_connection -*-
"""
Tests for L{lproxy.protocols.connection}.
"""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.discover.host import ResolveFailed
from lproxy.discover.literal import NoRoute
from lproxy.protocols.connection import rescue
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.stack.admit import TooManyInFlight
from lproxy.stack.cache import CacheFull
from lproxy.stack.failfast import FailedFast
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Authority, Endpoint
from lproxy.testing.proxy import ScriptedProxy
from lproxy.transport.connect import ConnectFailed, ConnectTimedOut, LoopRefused

WEB, ENDPOINT = Authority("web", 80), Endpoint("10.0.0.9", 80)


class RescueTests(SynchronousTestCase):
    """Each cause has its flag, and a line that names layer, target and cause."""

    def rescue(self, error: BaseException) -> tuple[str, ScriptedProxy, dict[str, str]]:
        proxy = ScriptedProxy(TcpPlugin())
        kinds: dict[str, str] = {}
        runtime: Any = proxy.runtime
        object.__setattr__(runtime, "warn", kinds.__setitem__)
        return rescue(Failure(error), runtime, "redis", WEB, 0.25), proxy, kinds

    def test_causes(self) -> None:
        """What can happen."""
        timed_out = AcquireTimedOut(WEB, 3)
        timed_out.__cause__ = ConnectFailed(ENDPOINT, "EHOSTUNREACH")
        for error, flags, words in (
            (TooManyInFlight(WEB, 10), "UO", "admit: web:80 refused: 10 requests in flight (limits.in_flight)"),
            (timed_out, "UT", "acquire: web:80 not ready within 3 s: connect: 10.0.0.9:80 EHOSTUNREACH"),
            (FailedFast(WEB, 2), "UH", "failfast: web:80 not ready for 2 s, failing at once until it is"),
            (ConnectFailed(ENDPOINT, "ECONNREFUSED"), "UF", "connect: 10.0.0.9:80 refused"),
            (ConnectTimedOut(ENDPOINT, 1), "UF", "connect: 10.0.0.9:80 did not answer within 1 s"),
            (NoRoute(WEB), "NR", "resolve: web:80 does not exist"),
            (ResolveFailed(WEB), "UH", "resolve: web:80 could not be resolved"),
            (LoopRefused(ENDPOINT), "LP", "connect: 10.0.0.9:80 is this proxy itself: refused to loop"),
            (CacheFull(WEB, 5), "UO", "cache: web:80 refused: all 5 cached services are in use"),
        ):
            told, proxy, kinds = self.rescue(error)
            self.assertEqual(flags, told)
            line = f"listener scripted: redis connection to web:80 closed after 0.250 s: {words}"
            self.assertEqual(({f"redis-{flags}": line}, []), (kinds, proxy.crashes))

    def test_bug(self) -> None:
        """What must not happen is a crash, with its traceback."""
        told, proxy, kinds = self.rescue(ZeroDivisionError())
        self.assertEqual(("BUG", {}), (told, kinds))
        self.assertEqual([ZeroDivisionError], [failure.type for failure in proxy.crashes])
