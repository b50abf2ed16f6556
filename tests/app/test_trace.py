# -*- test-case-name: tests.app.test_trace -*-
"""
What LPROXY_LOG=debug shows of a connection's way.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app import trace
from lproxy.app.log import log
from lproxy.testing.wire import MemoryStream, Peer, ScriptedReactor
from lproxy.transport.detect import Detected
from lproxy.transport.proxy_protocol.header import Header
from lproxy.transport.stream import Conn

CONN = Conn(("10.0.0.7", 4711), ("10.0.0.1", 80), ("10.0.0.9", 8080))


class TraceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lines: list[str] = []
        self.patch(log, "observer", lambda event: self.lines.append(formatEvent(event)))
        self.patch(log, "threshold", LogLevel.debug)
        self.stream = MemoryStream(ScriptedReactor(), Peer(), CONN)

    def test_way(self) -> None:
        """Each step names listener and client: accepted, whom it is for, what it speaks and why, what passed."""
        trace.accepted("web", self.stream)
        trace.proxied("web", self.stream, Header(28, 2, False, ("192.0.2.1", 5), ("192.0.2.2", 80), {}))
        trace.proxied("web", self.stream, Header(16, 2, True, None, None, {}))
        trace.proxied("web", self.stream, Header(15, 1, False, None, None, {}))
        trace.configured("web", self.stream, "http")
        trace.detected("web", self.stream, Detected("http", "http", b"GET /", False, 0.25))
        trace.over("web", self.stream, "http")
        self.assertEqual(
            [
                "listener web: 10.0.0.7:4711: accepted, redirected on its way to 10.0.0.9:8080",
                "listener web: 10.0.0.7:4711: for 192.0.2.1:5, says a PROXY protocol header of version 2",
                "listener web: 10.0.0.7:4711: for itself, says a PROXY protocol header of version 2",
                "listener web: 10.0.0.7:4711: for nobody knows whom, says a PROXY protocol header of version 1",
                "listener web: 10.0.0.7:4711: speaks http, as configured",
                "listener web: 10.0.0.7:4711: speaks http, http after 5 bytes and 0.250 s of detection",
                "listener web: 10.0.0.7:4711: http over: 0 bytes from the client, 0 to it",
            ],
            self.lines,
        )

    def test_done(self) -> None:
        """A request is told as the access log has it, without what is not known."""
        row: dict[str, Any] = {"kind": "request", "listener": "web", "client": "10.0.0.7:4711"}
        trace.done({**row, "method": "GET", "path": "/{x}", "status": 200, "upstream": None, "flags": ""})
        self.assertEqual(["listener web: 10.0.0.7:4711: request: method GET, path /{x}, status 200"], self.lines)

    def test_quiet(self) -> None:
        """At any other level nothing is written, nor put together."""
        log.threshold = LogLevel.info
        nothing: Any = None
        trace.accepted("web", nothing)
        trace.proxied("web", nothing, nothing)
        trace.configured("web", nothing, "http")
        trace.detected("web", nothing, nothing)
        trace.over("web", nothing, "http")
        trace.done(nothing)
        self.assertEqual([], self.lines)
