# -*- test-case-name: tests.protocols.http.test_client_fields -*-
"""
L{lproxy.protocols.http.client_fields}: what the access log has of a request's fields.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.client_fields import FORWARDED_FOR, REFERER, REQUEST_ID, USER_AGENT, _places, said, trace_id
from lproxy.protocols.http.message import MEMO

TRACE = b"0af7651916cd43dd8448eb211c80319c"


class SaidTests(SynchronousTestCase):
    """Fields, however they are spelt."""

    def test_found(self) -> None:
        """The first of each counts; what is not there is not said."""
        found = said([(b"User-Agent", b"a"), (b"REFERER", b"b"), (b"user-agent", b"c"), (b"X-Request-Id", b"")])
        self.assertEqual(
            (b"a", b"b", b"", None), tuple(found[at] for at in (USER_AGENT, REFERER, REQUEST_ID, FORWARDED_FOR))
        )

    def test_bounded(self) -> None:
        """Peers choose the names, and cannot fill memory with them."""
        said([(b"x-%d" % n, b"") for n in range(MEMO + 100)])
        self.assertLessEqual(len(_places), MEMO)

    def test_trace(self) -> None:
        """A trace's id stands in one of three places, or nowhere."""
        for name, value in (
            (b"traceparent", b"00-%b-b7ad6b7169203331-01" % TRACE),
            (b"b3", b"%b-b7ad6b7169203331-1" % TRACE),
            (b"X-B3-TraceId", TRACE),
        ):
            self.assertEqual(TRACE, trace_id(said([(name, value)])))
        for nothing in (
            [],
            [(b"b3", b"0")],
            [(b"b3", b'"-x')],
            [(b"traceparent", b"00-abc")],
            [(b"traceparent", b'"' * 60)],
            [(b"traceparent", b"00-%b-b7ad6b7169203331-01" % (b"0" * 32))],
            [(b"x-b3-traceid", b"no id")],
        ):
            self.assertIsNone(trace_id(said(nothing)), nothing)
        both = [(b"traceparent", b"no" * 30), (b"b3", b"%b-b7ad6b7169203331-1" % TRACE)]
        self.assertEqual(TRACE, trace_id(said(both)))
