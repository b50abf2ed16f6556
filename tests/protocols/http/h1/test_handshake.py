# -*- test-case-name: tests.protocols.http.h1.test_handshake -*-
"""
L{lproxy.protocols.http.h1.handshake}: an extended CONNECT as HTTP/1 has it.
"""

from __future__ import annotations

from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h1.handshake import check, encode_handshake
from lproxy.protocols.http.message import Rejected, Request, Response

#: of RFC 6455, 1.3
KEY, PROOF = b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def connect(protocol: bytes) -> Request:
    """An extended CONNECT."""
    request = Request(b"CONNECT", b"/chat", [(b"sec-websocket-version", b"13")], 0, b"web.test", False)
    request.stream_id, request.protocol = 1, protocol
    return request


class HandshakeTests(SynchronousTestCase):
    """Both sides of it."""

    def test_websocket(self) -> None:
        """A GET with a key, that nobody can foresee, and the proof that goes with it."""
        with patch("os.urandom", return_value=b"the sample nonce"):
            head, proof = encode_handshake(connect(b"websocket"))
        self.assertEqual(
            b"GET /chat HTTP/1.1\r\nhost: web.test\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-key: " + KEY + b"\r\nsec-websocket-version: 13\r\n\r\n",
            head,
        )
        self.assertEqual(PROOF, proof)
        self.assertNotEqual(proof, encode_handshake(connect(b"websocket"))[1])

    def test_other(self) -> None:
        """Other protocols have neither."""
        head, proof = encode_handshake(connect(b"connect-ip"))
        self.assertIn(b"\r\nupgrade: connect-ip\r\nsec-websocket-version: 13\r\n\r\n", head)
        self.assertEqual(b"", proof)
        check(Response(101, b"", [], 0), b"")

    def test_check(self) -> None:
        """A proof that is missing or wrong, or success without 101, is no WebSocket; any other answer is one."""
        check(Response(101, b"", [(b"Sec-WebSocket-Accept", PROOF + b" ")], 0), PROOF)
        for status in (103, 301, 403, 426, 503):
            check(Response(status, b"", [], 0), PROOF)
        for bad in (
            Response(101, b"", [], 0),
            Response(101, b"", [(b"Sec-WebSocket-Accept", KEY)], 0),
            Response(200, b"OK", [], 0),
            Response(204, b"", [], 0),
        ):
            self.assertEqual(502, self.assertRaises(Rejected, check, bad, PROOF).status)
