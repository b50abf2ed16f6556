# -*- test-case-name: tests.protocols.http.test_context -*-
"""
L{lproxy.protocols.http.context}: a trace's context in a request's fields.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http import context, message
from lproxy.protocols.http.context import MULTI, SINGLE, UNDECIDED, W3C, Context, extract, fields, without
from lproxy.protocols.http.message import MEMO, Headers

TRACE = b"0af7651916cd43dd8448eb211c80319c"
SPAN = b"b7ad6b7169203331"
PARENT = b"00-%b-%b-01" % (TRACE, SPAN)


class ExtractTests(SynchronousTestCase):
    """What requests say."""

    def read(self, *headers: tuple[bytes, bytes]) -> Context:
        return extract([(b"Host", b"a"), *headers])

    def says(self, *headers: tuple[bytes, bytes]) -> tuple[bytes, bytes, int]:
        context = self.read(*headers)
        return context.trace_id, context.span_id, context.sampled

    def test_nothing(self) -> None:
        """Most say nothing."""
        headers: Headers = [(b"Host", b"a"), (b"Accept", b"*/*")]
        context = extract(headers)
        self.assertEqual((b"", UNDECIDED, []), (context.trace_id, context.sampled, context.formats))

    def test_bounded(self) -> None:
        """Peers choose the names, and can neither fill memory with them nor hide a context behind them."""
        for n in range(0, MEMO + 200, 100):
            self.assertEqual([], self.read(*((b"x-%d" % at, b"") for at in range(n, n + 100))).formats)
        self.assertLessEqual(len(context._places), MEMO)
        self.assertEqual(TRACE, self.read((b"tRACEPARENT", PARENT)).trace_id)

    def test_known(self) -> None:
        """Who reads a head sees which names are a trace's, however they are spelt, and these are all."""
        self.assertEqual({message.TRACE}, {message.kinds[name.title()] for name in context._NAMES})
        known = {name for name, kind in message._KINDS.items() if kind == message.TRACE}
        self.assertEqual(known, context._NAMES.keys())

    def test_debug(self) -> None:
        """Whether B3 wants it traced whatever others think (B3, Sampling State)."""
        ids = ((b"x-b3-traceid", TRACE), (b"x-b3-spanid", SPAN))
        for said, debug in (
            ([(b"b3", b"%b-%b-d" % (TRACE, SPAN))], True),
            ([(b"b3", b"%b-%b-1" % (TRACE, SPAN))], False),
            ([(b"b3", b"d")], True),
            ([*ids, (b"x-b3-flags", b"1")], True),
            ([*ids, (b"x-b3-flags", b"1"), (b"x-b3-sampled", b"0")], True),
            ([*ids, (b"x-b3-flags", b"0"), (b"x-b3-sampled", b"1")], False),
            ([(b"traceparent", PARENT)], False),
        ):
            self.assertEqual((debug, 1), (self.read(*said).debug, self.read(*said).sampled), said)

    def test_w3c(self) -> None:
        """traceparent, sampled or not, however its name is spelt; other flags of today's version mean nothing to us."""
        for flags, sampled, random in (
            (b"01", 1, False),
            (b"00", 0, False),
            (b"03", 1, True),
            (b"02", 0, True),
            (b"fd", 1, False),
        ):
            context = self.read((b"TraceParent", PARENT[:-2] + flags))
            self.assertEqual(
                (TRACE, SPAN, sampled, random), (context.trace_id, context.span_id, context.sampled, context.random)
            )
            self.assertEqual(([W3C], True), (context.formats, context.state))

    def test_later_version(self) -> None:
        """Versions to come are read as far as they are as today's."""
        self.assertEqual((TRACE, SPAN, 1), self.says((b"traceparent", b"cc" + PARENT[2:] + b"-what-may-come")))
        self.assertEqual((TRACE, SPAN, 1), self.says((b"traceparent", b"cc" + PARENT[2:])))

    def test_bad_w3c(self) -> None:
        """Whatever is not as the specification has it is as if there were none, but to be replaced."""
        for bad in (
            b"",
            b"x",
            b"ff" + PARENT[2:],
            PARENT + b"-more",
            b"cc" + PARENT[2:] + b".what",
            PARENT.upper(),
            PARENT.replace(TRACE, b"0" * 32),
            PARENT.replace(SPAN, b"0" * 16),
            PARENT[:-1],
            PARENT + b"\n",
            PARENT.replace(b"-", b"_"),
            b"00-" + b"g" * 32 + PARENT[35:],
        ):
            context = self.read((b"traceparent", bad))
            self.assertEqual((b"", UNDECIDED), (context.trace_id, context.sampled))
            self.assertEqual(([W3C], False), (context.formats, context.state))

    def test_two(self) -> None:
        """Two of a kind are none."""
        self.assertEqual((b"", b"", UNDECIDED), self.says((b"traceparent", PARENT), (b"traceparent", PARENT)))

    def test_single(self) -> None:
        """B3 in one field, with ids or without, decided or not; short ids are padded, and case means nothing."""
        ids = TRACE + b"-" + SPAN
        for value, wanted in (
            (ids + b"-1", (TRACE, SPAN, 1)),
            (ids + b"-0", (TRACE, SPAN, 0)),
            (ids + b"-d-" + SPAN, (TRACE, SPAN, 1)),
            (ids, (TRACE, SPAN, UNDECIDED)),
            (ids.upper() + b"-1", (TRACE, SPAN, 1)),
            (SPAN + b"-" + SPAN + b"-1", (b"0" * 16 + SPAN, SPAN, 1)),
            (b"0", (b"", b"", 0)),
            (b"1", (b"", b"", 1)),
            (b"d", (b"", b"", 1)),
            (b"2", (b"", b"", UNDECIDED)),
            (ids + b"-x", (b"", b"", UNDECIDED)),
            (b"0" * 32 + b"-" + SPAN + b"-1", (b"", b"", 1)),
            (ids[1:], (b"", b"", UNDECIDED)),
        ):
            self.assertEqual(wanted, self.says((b"B3", value)), value)
            self.assertEqual([SINGLE], self.read((b"b3", value)).formats)

    def test_multi(self) -> None:
        """B3 in several fields."""
        ids = ((b"X-B3-TraceId", TRACE), (b"X-B3-SpanId", SPAN))
        for more, sampled in (
            ((b"X-B3-Sampled", b"1"), 1),
            ((b"X-B3-Sampled", b"true"), 1),
            ((b"X-B3-Sampled", b"0"), 0),
            ((b"X-B3-Sampled", b"False"), 0),
            ((b"X-B3-Flags", b"1"), 1),
            ((b"X-B3-Flags", b"0"), UNDECIDED),
            ((b"X-B3-ParentSpanId", SPAN), UNDECIDED),
        ):
            self.assertEqual((TRACE, SPAN, sampled), self.says(*ids, more))
        self.assertEqual((b"", b"", 0), self.says((b"x-b3-sampled", b"0")))
        self.assertEqual((b"", b"", UNDECIDED), self.says((b"x-b3-traceid", TRACE)))
        self.assertEqual((b"", b"", UNDECIDED), self.says((b"x-b3-traceid", b"zz"), (b"x-b3-spanid", SPAN)))

    def test_several(self) -> None:
        """The first that can be read counts: traceparent, B3 in one field, in several; all are remembered."""
        other = b"f" * 32
        multi = ((b"x-b3-traceid", other), (b"x-b3-spanid", SPAN), (b"x-b3-sampled", b"0"))
        single = (b"b3", other + b"-" + SPAN + b"-0")
        context = self.read(*multi, single, (b"traceparent", PARENT))
        self.assertEqual((TRACE, 1, [W3C, SINGLE, MULTI]), (context.trace_id, context.sampled, context.formats))
        self.assertEqual((other, SPAN, 0), self.says((b"traceparent", b"bad"), single))
        self.assertEqual((other, SPAN, 0), self.says((b"b3", b"bad"), *multi))


class FieldsTests(SynchronousTestCase):
    """What others are told, which they read as it was meant."""

    def test_read_again(self) -> None:
        """In every format."""
        for format in (W3C, SINGLE, MULTI):
            for sampled in (True, False):
                context = extract(fields([format], TRACE, SPAN, sampled, False))
                self.assertEqual((TRACE, SPAN), (context.trace_id, context.span_id))
                self.assertEqual((int(sampled), [format]), (context.sampled, context.formats))
        self.assertEqual([(b"traceparent", PARENT)], fields([W3C], TRACE, SPAN, True, False))
        self.assertEqual([(b"traceparent", PARENT[:-2] + b"02")], fields([W3C], TRACE, SPAN, False, True))

    def test_debug(self) -> None:
        """B3's debug goes on as that, and is a decision by itself; others are told that it is sampled."""
        for format in (SINGLE, MULTI):
            told = fields([format], TRACE, SPAN, True, False, True)
            self.assertEqual((True, 1), (extract(told).debug, extract(told).sampled))
            self.assertNotIn(b"x-b3-sampled", dict(told))
        self.assertEqual([(b"traceparent", PARENT)], fields([W3C], TRACE, SPAN, True, False, True))

    def test_without(self) -> None:
        """Nothing is left of what others said, but tracestate where that still means something."""
        kept: Headers = [(b"Accept", b"a"), (b"X-B3", b"other")]
        state = (b"TraceState", b"a=b")
        headers = [kept[0], (b"Traceparent", PARENT), state, (b"B3", b"0"), (b"X-B3-Flags", b"1"), kept[1]]
        self.assertEqual(kept, without(headers, False))
        self.assertEqual([kept[0], state, kept[1]], without(headers, True))
