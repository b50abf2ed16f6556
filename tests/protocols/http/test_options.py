# -*- test-case-name: tests.protocols.http.test_options -*-
"""
L{lproxy.protocols.http.options}: what Connection may name.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http import options as module
from lproxy.protocols.http.message import MEMO
from lproxy.protocols.http.options import connection_options


class ConnectionTests(SynchronousTestCase):
    """Connection fields."""

    def test_options(self) -> None:
        """Names are told from the two words that are none."""
        for value, options in (
            (b"close", (set(), True, False, b"")),
            (b"Keep-Alive", (set(), False, True, b"")),
            (b" x , close,,\tY ", ({b"x", b"y"}, True, False, b"")),
            (b"", (set(), False, False, b"")),
            (b"X-Forwarded-For, a, close", ({b"a"}, True, False, b"x-forwarded-for")),
        ):
            self.assertEqual(options, connection_options(value))
            self.assertEqual(options, connection_options(value), "the second time as well")

    def test_protected(self) -> None:
        """Framing, routing and identity are nobody's to drop, in whatever case, spelling and company."""
        for value in (
            b"Content-Length",
            b"x, HOST",
            b"transfer-encoding,close",
            b"authorization",
            b"l5d-client-id",
            b"keep-alive, X-Forwarded-For",
            b"X-Real-IP",
            b"x-forwarded-anything",
            b"X_Forwarded_For",
            b"forwarded",
            b"True-Client-IP",
            b"x-ssl-client-verify",
            b"X-Remote-User",
            b"Client-Cert",
        ):
            for _ in range(2):
                fields, _, _, protected = connection_options(value)
                self.assertTrue(protected, value)
                self.assertNotIn(protected, fields)

    def test_bounded(self) -> None:
        """Values that peers make up are not all remembered."""
        before = dict(module._options)
        self.addCleanup(module._options.update, before)
        self.addCleanup(module._options.clear)
        for n in range(MEMO + 100):
            connection_options(b"x-%d" % n)
        self.assertLessEqual(len(module._options), MEMO)
