# -*- test-case-name: tests.protocols.http.h2.test_codes -*-
"""
L{lproxy.protocols.http.h2.codes}: what a reset means on the other side.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2 import faults
from lproxy.protocols.http.h2.codes import StreamReset, code_of, grpc_of
from lproxy.protocols.http.message import Rejected
from lproxy.protocols.http.streams import BadResponse, UpstreamLost
from lproxy.protocols.http.timeouts import BodyNotTaken, CallTimedOut, TooSlow
from lproxy.target import Endpoint

END = Endpoint("10.0.0.7", 8080)


class CodeTests(SynchronousTestCase):
    """Errors to codes, codes to statuses."""

    def test_errors(self) -> None:
        """Who gave up is told from who broke something."""
        for error, code in (
            (CancelledError(), faults.CANCEL),
            (CallTimedOut("x", "stream", 1.0), faults.CANCEL),
            (TooSlow("x"), faults.CANCEL),
            (BodyNotTaken("x", 1.0), faults.CANCEL),
            (Rejected("", 400, "h2_length", "x"), faults.PROTOCOL_ERROR),
            (UpstreamLost(END, "ECONNRESET", "in the middle"), faults.INTERNAL_ERROR),
            (BadResponse(END), faults.INTERNAL_ERROR),
            (ZeroDivisionError(), faults.INTERNAL_ERROR),
        ):
            self.assertEqual(code, code_of(error), error)

    def test_passed_on(self) -> None:
        """An upstream's reset is passed on as what it was, but for what claims too much, or is about its connection."""
        for code in (faults.CANCEL, faults.ENHANCE_YOUR_CALM, faults.INTERNAL_ERROR, faults.CONNECT_ERROR, 0xBEEF):
            self.assertEqual(code, code_of(StreamReset(END, code, "x")))
        for code in (faults.NO_ERROR, faults.REFUSED_STREAM, faults.HTTP_1_1_REQUIRED, faults.FLOW_CONTROL_ERROR):
            self.assertEqual(faults.INTERNAL_ERROR, code_of(StreamReset(END, code, "x")))

    def test_grpc(self) -> None:
        """As gRPC over HTTP/2 has it; every code has a status."""
        self.assertEqual(
            [14, 1, 8, 7, 13, 13],
            [grpc_of(code) for code in (7, 8, 11, 12, 0, 0xBEEF)],
        )
        self.assertEqual(set(), {code for code in faults.CODE_NAMES if not grpc_of(code)})

    def test_said(self) -> None:
        """Which code, in words."""
        error = StreamReset(END, faults.CANCEL, "without an answer")
        self.assertEqual("upstream: 10.0.0.7:8080 reset the stream (CANCEL) without an answer", str(error))
        self.assertEqual((502, "upstream_reset", "UR"), (error.status, error.reason, error.flag))
