# -*- test-case-name: tests.protocols.http.test_grpc -*-
"""
L{lproxy.protocols.http.grpc}: what gRPC says by means of HTTP/2.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http import grpc
from lproxy.protocols.http.message import Headers, Request


class RequestTests(SynchronousTestCase):
    """Calls, and how long their callers wait."""

    def request(self, *headers: tuple[bytes, bytes]) -> Request:
        """One, which was looked at."""
        request = Request(b"POST", b"/a.B/C", list(headers), 0, b"web.local", False)
        grpc.recognise(request)
        return request

    def test_is_grpc(self) -> None:
        """gRPC's type alone or with what may follow; grpc-web is not it, nor what only begins so."""
        for good in (b"application/grpc", b"application/grpc+proto", b"Application/gRPC;a=b", b"application/grpc ; a"):
            self.assertTrue(grpc.is_grpc(good), good)
        for other in (b"application/grpc-web", b"application/grpc-web+proto", b"application/grpcs", b"text/plain", b""):
            self.assertFalse(grpc.is_grpc(other), other)

    def test_timeout(self) -> None:
        """Digits, at most eight, and a unit: nothing else is a timeout."""
        for value, seconds in (
            (b"1H", 3600.0),
            (b"2M", 120.0),
            (b"3S", 3.0),
            (b"250m", 0.25),
            (b"5000000u", 5.0),
            (b"99999999n", 0.099999999),
            (b"0n", 0.0),
        ):
            self.assertAlmostEqual(seconds, grpc.timeout(value) or 0.0, 12, value.decode())
        for wrong in (
            b"",
            b"S",
            b"1",
            b"1s",
            b"+1S",
            b"-1S",
            b"1.5S",
            b" 1S",
            b"1 S",
            b"1_0S",
            b"123456789S",
            b"\xb2S",
        ):
            self.assertIs(None, grpc.timeout(wrong), wrong)

    def test_recognised(self) -> None:
        """A call knows that it is one, and its deadline; what is none has no deadline, whatever it says."""
        call = self.request((b"grpc-timeout", b"2S"), (b"content-type", b"application/grpc"))
        self.assertEqual((True, 2.0), (call.grpc, call.timeout))
        endless = self.request((b"content-type", b"application/grpc"), (b"grpc-timeout", b"soon"))
        self.assertEqual((True, None), (endless.grpc, endless.timeout))
        other = self.request((b"content-type", b"application/json"), (b"grpc-timeout", b"2S"))
        self.assertEqual((False, None), (other.grpc, other.timeout))


class OutcomeTests(SynchronousTestCase):
    """What came of a call."""

    def test_status(self) -> None:
        """The status that there is; UNKNOWN where there is none, or it means nothing."""
        for value, status in ((b"0", 0), (b"14", 14), (b"16", 16), (b"17", 2), (b"1x", 2), (b"", 2), (b"99999", 2)):
            fields: Headers = [(b"grpc-message", b"x"), (b"grpc-status", value)]
            self.assertEqual(status, grpc.outcome(200, fields), value)
        self.assertEqual(grpc.UNKNOWN, grpc.outcome(200, []))

    def test_of_http(self) -> None:
        """An answer of a server that does not speak gRPC means what gRPC's table says of it."""
        table = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14, 500: 2, 302: 2, 418: 2}
        for status, code in table.items():
            self.assertEqual(code, grpc.outcome(status, [(b"grpc-status", b"0")]), status)

    def test_failures(self) -> None:
        """What the server is to blame for is a failure; what its caller asked wrongly, or gave up, is none."""
        failures = {code for code in range(17) if grpc.http_status(code) >= 500}
        self.assertEqual({2, 4, 12, 13, 14, 15}, failures)
        self.assertEqual(500, grpc.http_status(99))
