# -*- test-case-name: tests.protocols.http.test_message -*-
"""
Tests for L{lproxy.protocols.http.message}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http import message
from lproxy.protocols.http.message import (
    CONNECTION,
    DROP,
    HOST,
    HOST_FIELD,
    ORDINARY,
    Rejected,
    connection_options,
    find,
    kinds,
    trailer_fields,
)


class KindTests(SynchronousTestCase):
    """What is done with a field."""

    def test_case(self) -> None:
        """A field's kind does not depend on how it is spelt."""
        for name, kind in (
            (b"host", HOST_FIELD),
            (b"connection", CONNECTION),
            (b"keep-alive", DROP),
            (b"x-y", ORDINARY),
        ):
            for spelt in (name, name.upper(), name.title()):
                self.assertEqual(kind, kinds[spelt])

    def test_mesh(self) -> None:
        """Whatever begins as lproxy's own fields do is dropped."""
        self.assertEqual([DROP, DROP, ORDINARY], [kinds[b"l5d-x"], kinds[b"L5D-"], kinds[b"l5d"]])

    def test_bounded(self) -> None:
        """Names that peers make up are known, and not all remembered."""
        before = dict(kinds)
        self.addCleanup(kinds.update, before)
        self.addCleanup(kinds.clear)
        for n in range(message._MEMO + 100):
            self.assertEqual(ORDINARY, kinds[b"x-%d" % n])
        self.assertLessEqual(len(kinds), message._MEMO)
        self.assertEqual(DROP, kinds[b"pRoXy-CoNnEcTiOn"])


class ConnectionTests(SynchronousTestCase):
    """Connection fields."""

    def test_options(self) -> None:
        """Names are told from the two words that are none."""
        for value, options in (
            (b"close", (set(), True, False)),
            (b"Keep-Alive", (set(), False, True)),
            (b" x , close,,\tY ", ({b"x", b"y"}, True, False)),
            (b"", (set(), False, False)),
        ):
            self.assertEqual(options, connection_options(value))
            self.assertEqual(options, connection_options(value), "the second time as well")

    def test_protected(self) -> None:
        """Framing, routing and identity are nobody's to drop, in whatever case and company."""
        for value in (b"Content-Length", b"x, HOST", b"transfer-encoding,close", b"authorization", b"l5d-client-id"):
            for _ in range(2):
                self.assertEqual("connection", self.assertRaises(Rejected, connection_options, value).reason)

    def test_bounded(self) -> None:
        """Values that peers make up are not all remembered."""
        before = dict(message._options)
        self.addCleanup(message._options.update, before)
        self.addCleanup(message._options.clear)
        for n in range(message._MEMO + 100):
            connection_options(b"x-%d" % n)
        self.assertLessEqual(len(message._options), message._MEMO)


class FieldTests(SynchronousTestCase):
    """The rest."""

    def test_trailers(self) -> None:
        """Of trailers, those pass that mean something behind the content."""
        fields = [(b"Grpc-Status", b"0"), (b"Content-Type", b"x"), (b"L5d-x", b"y"), (b"TE", b"x"), (b"Digest", b"z")]
        self.assertEqual([(b"Grpc-Status", b"0"), (b"Digest", b"z")], trailer_fields(fields))

    def test_host(self) -> None:
        """What may stand in Host."""
        for host in (b"a", b"a:80", b"a.b.", b"[::1]", b"[::1]:80", b"1.2.3.4", b"a_b", b"%61", b"a-b:", b"A"):
            self.assertEqual(not host.endswith(b":"), HOST.fullmatch(host) is not None, host)
        for host in (b"", b"a b", b"a/b", b"a@b", b"a:b", b"[::1", b"a:123456", b"a\x7f", b"\xe9"):
            self.assertIsNone(HOST.fullmatch(host), host)

    def test_find(self) -> None:
        """The first of a name, in any case."""
        self.assertEqual(b"1", find([(b"A", b"0"), (b"Content-TYPE", b"1"), (b"content-type", b"2")], b"content-type"))
        self.assertIsNone(find([], b"a"))
