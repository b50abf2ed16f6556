# -*- test-case-name: tests.protocols.http.test_following -*-
"""
L{lproxy.protocols.http.following}: which requests are traced, and what upstreams are told.
"""

from __future__ import annotations

import re
from typing import Any

from tests.protocols.http.harness import GET, OK, HttpTestCase, get
from tests.protocols.http.test_context import PARENT, SPAN, TRACE
from tests.protocols.http.tracer import ScriptedTracer

NONE = "0" * 16


class FollowingTests(HttpTestCase):
    """Sampled by their parents, or by chance."""

    def told(self, *fields: str, **tracer: Any) -> dict[bytes, bytes]:
        """The context that the upstream is told of, where the client says C{fields}."""
        self.tracer = ScriptedTracer(**tracer)
        self.start(tracer=self.tracer, listen=self.listen)
        self.client(get("/", *fields))
        heard = self.heard(self.up)
        self.say(self.up, OK)
        found = re.findall(rb"(?im)^(trace\w+|b3|x-b3-\w+): (.*)\r$", heard)
        self.assertEqual(len(found), len(dict(found)), "each once")
        return {name.lower(): value for name, value in found}

    def test_off(self) -> None:
        """Where nothing is traced, the context goes through as it is (RFC: Trace Context, and B3)."""
        sent = get("/", "Traceparent: 00-x", "tracestate: a", "B3: 0", "X-B3-Flags: 1")
        self.client(sent)
        self.assertEqual(sent, self.heard(self.up))
        self.assertIsNone(self.factory.listener.following)

    def test_begins(self) -> None:
        """Who has no parent begins a trace, and its call is the upstream's parent."""
        told = self.told()
        server, acquire, call = self.tracer.spans
        self.assertEqual("", server.parent.span_id)
        self.assertEqual({server.parent.trace_id}, {span.parent.trace_id for span in self.tracer.spans})
        self.assertEqual({server.span_id}, {acquire.parent.span_id, call.parent.span_id})
        self.assertEqual({b"traceparent": f"00-{call.parent.trace_id}-{call.span_id}-01".encode()}, told)
        self.assertEqual(call.parent.trace_id, self.proxy.records[-1]["trace_id"])

    def test_not_sampled(self) -> None:
        """What is not is told so, for others not to begin with it; there is no span."""
        told = self.told(threshold=NONE)
        self.assertRegex(told[b"traceparent"], rb"\A00-[0-9a-f]{32}-[0-9a-f]{16}-00\Z")
        self.assertEqual([], self.tracer.spans)
        self.assertEqual(told[b"traceparent"][3:35].decode(), self.proxy.records[-1]["trace_id"])
        self.assertNotEqual(told, self.told(threshold=NONE))

    def test_part(self) -> None:
        """By chance, half of them are, where half of them should."""
        tracer = ScriptedTracer("8" + "0" * 15)
        self.start(tracer=tracer)
        client = self.client()
        for _ in range(300):
            self.say(client, GET)
            self.say(self.up, OK)
        sampled = len([span for span in tracer.spans if span.kind == "server"])
        self.assertTrue(90 < sampled < 210, sampled)

    def test_parent(self) -> None:
        """A parent decides, whatever the sample is."""
        told = self.told(f"Traceparent: {PARENT.decode()}", "Tracestate: a=b", threshold=NONE)
        server, _, call = self.tracer.spans
        self.assertEqual((TRACE.decode(), SPAN.decode()), server.parent)
        self.assertEqual({b"traceparent": b"00-%b-%b-01" % (TRACE, call.span_id.encode()), b"tracestate": b"a=b"}, told)
        unsampled = PARENT[:-2] + b"00"
        self.assertEqual({b"traceparent": unsampled}, self.told(f"traceparent: {unsampled.decode()}"))
        self.assertEqual([], self.tracer.spans)

    def test_bad_parent(self) -> None:
        """One that cannot be read is replaced, and its state with it."""
        told = self.told("Traceparent: 00-bad", "Tracestate: a=b")
        self.assertEqual([b"traceparent"], list(told))
        self.assertRegex(told[b"traceparent"], rb"\A00-[0-9a-f]{32}-[0-9a-f]{16}-01\Z")
        told = self.told("Traceparent: 00-bad", "Tracestate: a=b", threshold=NONE)
        self.assertRegex(told[b"traceparent"], rb"-00\Z")
        self.assertEqual([b"traceparent"], list(told))

    def test_b3(self) -> None:
        """Who speaks B3 is answered in it; others are told as is configured besides."""
        trace, span = TRACE.decode(), SPAN.decode()
        told = self.told(f"b3: {trace}-{span}-1")
        call = self.tracer.spans[-1].span_id
        self.assertEqual({b"traceparent": f"00-{trace}-{call}-01".encode(), b"b3": f"{trace}-{call}-1".encode()}, told)
        told = self.told(f"X-B3-TraceId: {trace}", f"X-B3-SpanId: {span}", "X-B3-Sampled: 1", propagation=("b3",))
        self.assertEqual({b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-sampled"}, told.keys())
        self.assertEqual((b"1", TRACE), (told[b"x-b3-sampled"], told[b"x-b3-traceid"]))
        self.assertRegex(self.told("b3: 0", propagation=("b3",))[b"b3"], rb"\A[0-9a-f]{32}-[0-9a-f]{16}-0\Z")
        self.assertEqual([], self.tracer.spans)

    def test_denied_in_all_ways(self) -> None:
        """What is not sampled is told in every way, so that nobody begins with it: the caller's ids go on."""
        trace, span = TRACE.decode(), SPAN.decode()
        told = self.told(f"b3: {trace}-{span}-0")
        self.assertEqual({b"b3": f"{trace}-{span}-0".encode(), b"traceparent": PARENT[:-2] + b"00"}, told)
        told = self.told(f"traceparent: {PARENT[:-2].decode()}00", "tracestate: a=b", propagation=("b3multi",))
        self.assertEqual((PARENT[:-2] + b"00", b"a=b"), (told[b"traceparent"], told[b"tracestate"]))
        self.assertEqual((TRACE, b"0"), (told[b"x-b3-traceid"], told[b"x-b3-sampled"]))
        self.assertEqual([], self.tracer.spans)

    def test_denied_in_one_way(self) -> None:
        """Where one way cannot be read, or says something else, it is put right."""
        trace, span = TRACE.decode(), SPAN.decode()
        for said in ("00-bad", f"00-{'f' * 32}-{span}-00"):
            told = self.told(f"traceparent: {said}", f"b3: {trace}-{span}-0", propagation=("b3",))
            trace_id = told[b"traceparent"][3:35]
            self.assertEqual(told[b"b3"], b"%b-%b-0" % (trace_id, SPAN))
            self.assertEqual(b"00-%b-%b-00" % (trace_id, SPAN), told[b"traceparent"])
            self.assertEqual([], self.tracer.spans)

    def test_debug(self) -> None:
        """B3's debug flag is heeded, whatever the sample is, and goes on."""
        trace, span = TRACE.decode(), SPAN.decode()
        told = self.told(f"b3: {trace}-{span}-d", threshold=NONE, propagation=())
        call = self.tracer.spans[-1].span_id
        self.assertEqual({b"b3": f"{trace}-{call}-d".encode()}, told)
        told = self.told(f"x-b3-traceid: {trace}", f"x-b3-spanid: {span}", "x-b3-flags: 1", threshold=NONE)
        self.assertEqual((b"1", None), (told[b"x-b3-flags"], told.get(b"x-b3-sampled")))
        self.assertRegex(told[b"traceparent"], rb"-01\Z")

    def test_undecided(self) -> None:
        """Where B3 leaves it open, we decide, and say so."""
        trace, span = TRACE.decode(), SPAN.decode()
        told = self.told(f"b3: {trace}-{span}", threshold=NONE, propagation=())
        self.assertEqual({b"b3": f"{trace}-{span}-0".encode()}, told)
        self.told(f"b3: {trace}-{span}", propagation=())
        self.assertEqual((trace, span), self.tracer.spans[0].parent)

    def test_decided_without_ids(self) -> None:
        """B3 may decide before there is a trace."""
        self.told("b3: d", threshold=NONE)
        self.assertEqual(3, len(self.tracer.spans))
        told = self.told("X-B3-Sampled: 0")
        self.assertEqual([], self.tracer.spans)
        self.assertEqual(b"0", told[b"x-b3-sampled"])

    def test_strangers(self) -> None:
        """Who is not trusted, where some are, makes nobody sample, and writes into no trace of ours."""
        self.listen = {"trusted": ("10.9.0.0/16",)}
        told = self.told(f"Traceparent: {PARENT.decode()}", "tracestate: a=b", threshold=NONE)
        self.assertEqual([], self.tracer.spans)
        self.assertEqual([b"traceparent"], list(told))
        self.assertNotIn(TRACE, told[b"traceparent"])
