# -*- test-case-name: tests.app.test_tracing -*-
"""
L{lproxy.app.tracing}: traces of a proxy that runs, from its configuration to the collector.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from lproxy.app import spans
from lproxy.app.assembly import CannotStart
from lproxy.app.plugins import Found
from lproxy.app.service import Proxy
from lproxy.config import Listen, Tracing
from lproxy.protocols.http.plugin import HttpPlugin
from tests.app.collector import Collector, attributes
from tests.app.running import ANY, RunningCase, reactor
from tests.components import require

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Upstream(Protocol):
    """Answers whatever it hears."""

    heard = b""

    def dataReceived(self, data: bytes) -> None:
        Upstream.heard = data
        self.transport.write(ANSWER)  # type: ignore[union-attr]


class TracingTests(RunningCase):
    """On real sockets."""

    def proxy(self, config: Any) -> Proxy:
        return Proxy(config, self.found(Found("http.py", "http", "1", HttpPlugin())), self.reactor)

    def http(self, **more: Any) -> Any:
        """A proxy's configuration, before a server of HTTP."""
        port = reactor.listenTCP(0, Factory.forProtocol(Upstream), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        to = f"127.0.0.1:{port.getHost().port}"
        return self.config(Listen(name="web", address=ANY, protocol="http", target=to), **more)

    async def ask(self, proxy: Proxy) -> None:
        client = await self.connect(proxy.addresses()["web"])
        answer = await client.ask(b"GET /a HTTP/1.1\r\nHost: web.test\r\n\r\n", len(ANSWER))
        self.assertEqual(ANSWER, answer)
        await client.leave()

    def test_request(self) -> Deferred[None]:
        """A request's spans are at the collector when the proxy has ended, and its upstream was told of the trace."""
        collector = Collector(self)

        async def go() -> None:
            proxy = self.start(self.http(tracing=Tracing(endpoint=collector.url, sample=1.0, service="edge")))
            await self.ask(proxy)
            await self.stop(proxy)
            await self.until(lambda: len(collector.spans) == 3)
            self.assertEqual("edge", collector.resources[0]["service.name"])
            acquire, call, server = sorted(collector.spans, key=lambda span: {1: 0, 3: 1, 2: 2}[span.kind])
            self.assertEqual({server.span_id}, {acquire.parent_span_id, call.parent_span_id})
            self.assertEqual(200, attributes(server)["http.response.status_code"])
            self.assertEqual("127.0.0.1", attributes(call)["network.peer.address"])
            parent = f"traceparent: 00-{server.trace_id.hex()}-{call.span_id.hex()}-01\r\n".encode()
            self.assertIn(parent, Upstream.heard)
            await self.until(lambda: proxy.metrics.spans["exported"] == 3)

        return Deferred.fromCoroutine(go())

    def test_down(self) -> Deferred[None]:
        """A collector that is down costs no request: it is said, and counted."""
        self.patch(spans, "INTERVAL", 0.01)
        collector = Collector(self)
        collector.close()

        async def go() -> None:
            proxy = self.start(self.http(tracing=Tracing(endpoint=collector.url, sample=1.0)))
            await self.ask(proxy)
            await self.until(lambda: proxy.metrics.spans["failed"] == 3)
            await self.until(proxy.failures)
            (failure,) = proxy.failures()
            self.assertIn(f"tracing: {collector.url}: spans are lost: ", str(failure))
            await self.stop(proxy)

        return Deferred.fromCoroutine(go())

    def test_not_installed(self) -> None:
        """Without the extra a start that needs it says what to install."""
        require(packages=("opentelemetry.sdk",))
        there: Any = sys.modules.pop("lproxy.app.otel", None)
        sys.modules["lproxy.app.otel"] = None  # type: ignore[assignment]
        if there is not None:
            self.addCleanup(sys.modules.__setitem__, "lproxy.app.otel", there)
        # first
        self.addCleanup(lambda: sys.modules.pop("lproxy.app.otel"))
        proxy = self.proxy(self.config(tracing=Tracing(endpoint="http://127.0.0.1:4318")))
        error = self.assertRaises(CannotStart, proxy.privilegedStartService)
        self.assertIn("tracing.endpoint: needs pip install 'lproxy[otel]'", str(error))
