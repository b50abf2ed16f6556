# -*- test-case-name: tests.protocols.http.test_trace -*-
"""
L{lproxy.protocols.http.trace}: the spans of an exchange.
"""

from __future__ import annotations

import gc
from typing import Any

from lproxy.protocols.http.trace import LONGEST, Trace
from lproxy.transport.stream import Secured
from tests.protocols.http.h2.case import Http2Case
from tests.protocols.http.harness import GET, OK, HttpTestCase, get, ok, post
from tests.protocols.http.test_context import PARENT, SPAN, TRACE
from tests.protocols.http.tracer import ScriptedSpan, ScriptedTracer


class TraceTests(HttpTestCase):
    """What they tell."""

    def start(self, **changes: Any) -> None:
        self.tracer = ScriptedTracer()
        super().start(tracer=self.tracer, **changes)

    @property
    def kinds(self) -> list[str]:
        return [span.name if span.kind == "internal" else span.kind for span in self.tracer.spans]

    @property
    def spans(self) -> list[ScriptedSpan]:
        """All of them, which have ended once."""
        self.assertEqual({1}, {len(span.ended) for span in self.tracer.spans})
        return self.tracer.spans

    def test_attributes(self) -> None:
        """Both sides of a request, by OpenTelemetry's conventions; nothing of its query."""
        self.client(post(b"abc", "User-Agent: curl/8").replace(b"POST / ", b"POST /a/b?secret=1 "))
        self.say(self.up, ok(b"12345", status="201 Created"))
        server, acquire, call = self.spans
        self.assertEqual(("POST", "server", ""), (server.name, server.kind, server.error))
        self.assertEqual(
            {
                "http.request.method": "POST",
                "url.path": "/a/b",
                "url.scheme": "http",
                "server.address": "web.test",
                "network.protocol.version": "1.1",
                "client.address": "10.0.0.1",
                "network.peer.address": "10.0.0.1",
                "network.peer.port": 40000,
                "user_agent.original": "curl/8",
                "lproxy.target": "upstream.test:9000",
                "http.response.status_code": 201,
            },
            server.attributes,
        )
        self.assertEqual(("POST", "client", ""), (call.name, call.kind, call.error))
        self.assertEqual(
            {
                "http.request.method": "POST",
                "url.path": "/a/b",
                "server.address": "web.test",
                "network.peer.address": "10.0.0.9",
                "network.peer.port": 9000,
                "http.response.status_code": 201,
            },
            call.attributes,
        )
        self.assertEqual(("acquire", {"lproxy.try": 1}), (acquire.name, acquire.attributes))

    def test_times(self) -> None:
        """A wait for a service, then a call, within the whole."""
        self.proxy.connector.mode = "wait"
        self.client(GET)
        self.wait(0.5)
        self.proxy.connector.accept()
        self.settle()
        self.wait(2)
        self.say(self.up, OK)
        day = self.tracer.now()
        for span, (begin, end) in zip(self.spans, ((0, 2.5), (0, 0.5), (0.5, 2.5)), strict=True):
            self.assertAlmostEqual(begin, span.at - day)
            self.assertAlmostEqual(end, span.ended[0] - day)

    def test_retry(self) -> None:
        """Each try is a wait and a call of its own; the one that failed says why, the next how many there were."""
        client = self.client(GET)
        self.say(self.up, OK)
        self.tracer.spans.clear()
        self.say(client, GET)
        self.up.reset()
        self.settle()
        self.say(self.up, OK)
        self.assertEqual(["server", "acquire", "client", "acquire", "client"], self.kinds)
        server, _, first, again, second = self.spans
        self.assertEqual(("", "upstream_lost", ""), (server.error, first.error, second.error))
        self.assertEqual("upstream_lost", first.attributes["error.type"])
        self.assertNotIn("http.request.resend_count", first.attributes)
        self.assertEqual((1, 2), (second.attributes["http.request.resend_count"], again.attributes["lproxy.try"]))
        self.assertNotEqual(first.span_id, second.span_id)
        self.assertIn(second.span_id.encode(), self.heard(self.up))

    def test_not_acquired(self) -> None:
        """Who got no service has no call, and both the wait and the whole say why."""
        self.proxy.connector.mode = "refuse"
        self.client(GET)
        self.assertEqual(["server", "acquire"], self.kinds)
        for span in self.spans:
            self.assertEqual(span.error, span.attributes["error.type"])
        self.assertEqual(("connect", 502), (self.spans[1].error, self.spans[0].attributes["http.response.status_code"]))

    def test_failures(self) -> None:
        """5xx is a failure to both, 4xx to the one who called, by OpenTelemetry's conventions."""
        for status, server, call in (("404 No", "", "404"), ("503 No", "503", "503"), ("200 OK", "", "")):
            self.start()
            self.client(GET)
            self.say(self.up, ok(status=status))
            self.assertEqual((server, call), (self.spans[0].error, self.spans[2].error))

    def test_left(self) -> None:
        """A client that leaves ends all spans."""
        self.client(GET).reset()
        self.settle()
        self.assertEqual({"DC", ""}, {span.error for span in self.spans})

    def test_no_request(self) -> None:
        """What is refused before it is a request has no span."""
        self.client(b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual([], self.tracer.spans)

    def test_method(self) -> None:
        """A method that nobody knows is no name of a span: there might be any number."""
        self.client(get(method="BREW"))
        self.say(self.up, OK)
        for span in (self.spans[0], self.spans[2]):
            self.assertEqual("HTTP", span.name)
            self.assertEqual(
                ("_OTHER", "BREW"),
                (span.attributes["http.request.method"], span.attributes["http.request.method_original"]),
            )

    def test_long(self) -> None:
        """What a client says is told in part, where it is long: spans wait in memory."""
        self.client(get("/" + "a" * 5_000 + "?x", "User-Agent: " + "b" * 5_000))
        self.say(self.up, OK)
        for span in (self.spans[0], self.spans[2]):
            self.assertEqual("/" + "a" * (LONGEST - 1), span.attributes["url.path"])
        self.assertEqual("b" * LONGEST, self.spans[0].attributes["user_agent.original"])

    def test_secured(self) -> None:
        """Who came by TLS has asked by https."""
        self.client(GET, tls=Secured(version="TLSv1.3"))
        self.say(self.up, OK)
        self.assertEqual("https", self.spans[0].attributes["url.scheme"])

    def test_exemplar(self) -> None:
        """The latency of a traced request leads to its trace."""
        self.client(GET)
        self.wait(0.5)
        self.say(self.up, OK)
        latency = self.factory.metrics.route("web.test").latency
        assert latency.exemplars is not None
        (exemplar,) = latency.exemplars.values()
        self.assertEqual(self.spans[0].parent.trace_id, exemplar.trace_id)
        self.assertAlmostEqual(500.0, exemplar.value)
        self.assertAlmostEqual(self.tracer.now() + 0.5, exemplar.at)

    def test_tunnel(self) -> None:
        """A tunnel's spans end with it; its latency, which is until it began, has no exemplar of its whole length."""
        client = self.client(get("/", "Connection: Upgrade", "Upgrade: websocket"))
        self.say(self.up, b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        self.assertEqual([0, 1, 0], [len(span.ended) for span in self.tracer.spans])
        self.wait(500)
        client.hang_up()
        self.up.hang_up()
        self.settle()
        server, _, call = self.spans
        self.assertEqual([101, 101], [one.attributes["http.response.status_code"] for one in (server, call)])
        self.assertEqual(["", ""], [server.error, call.error])
        self.assertAlmostEqual(500.0, server.ended[0] - server.at)
        latency = self.factory.metrics.route("web.test").latency
        self.assertEqual((1, None), (sum(latency.counts), latency.exemplars))

    def test_let_go(self) -> None:
        """Nothing of it is kept in a cycle."""
        client = self.client()
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        self.say(client, GET)
        self.say(self.up, OK)
        self.tracer.spans.clear()
        self.assertEqual(0, sum(type(found) is Trace for found in gc.get_objects()))


class Http2TraceTests(Http2Case):
    """The same over HTTP/2, and of calls of gRPC."""

    def start(self, **changes: Any) -> None:
        self.tracer = ScriptedTracer()
        super().start(tracer=self.tracer, **changes)

    def test_request(self) -> None:
        """A stream is a request: its context is read and written, whatever version its upstream speaks."""
        client = self.talk()
        client.request(("traceparent", PARENT.decode()), ("tracestate", "a=b"), path="/a?secret")
        heard = self.heard(self.up)
        self.say(self.up, OK)
        server, _, call = self.tracer.spans
        self.assertEqual((TRACE.decode(), SPAN.decode()), server.parent)
        self.assertIn(b"\r\ntraceparent: 00-%b-%b-01\r\n" % (TRACE, call.span_id.encode()), heard)
        self.assertEqual(1, heard.count(b"traceparent"))
        self.assertIn(b"\r\ntracestate: a=b\r\n", heard)
        self.assertEqual(("2", "/a"), (server.attributes["network.protocol.version"], server.attributes["url.path"]))

    def test_call(self) -> None:
        """A call of gRPC says of which method of which service, and what came of it: that decides what is a failure."""
        for status, server, called in (("0", "", ""), ("5", "", "5"), ("14", "14", "14")):
            self.start()
            client = self.talk()
            fields = ("content-type", "application/grpc"), ("te", "trailers")
            client.request(*fields, method="POST", path="/shop.Cart/Add")
            self.say(self.up, ok(b"", f"grpc-status: {status}"))
            first, _, second = self.tracer.spans
            self.assertEqual((server, called), (first.error, second.error))
            names = ("rpc.system", "rpc.service", "rpc.method", "rpc.grpc.status_code")
            self.assertEqual(["grpc", "shop.Cart", "Add", int(status)], [first.attributes[name] for name in names])

    def test_id(self) -> None:
        """Ids are spelt as HTTP/2 spells names, in both directions."""
        self.start(listen={"request_id": "keep", "request_id_reply": True})
        client = self.talk()
        one = client.request(("x-request-id", "mine"))
        self.assertIn(b"\r\nx-request-id: mine\r\n", self.heard(self.up))
        self.say(self.up, ok(b"", "X-Request-Id: theirs"))
        client.hear()
        self.assertEqual("mine", client.answers[one].headers["x-request-id"])

    def test_reset(self) -> None:
        """A stream that its client gives up ends its spans."""
        client = self.talk()
        one = client.request()
        client.reset(one)
        self.assertEqual([1, 1, 1], [len(span.ended) for span in self.tracer.spans])
        self.assertEqual("DC", self.tracer.spans[0].error)
