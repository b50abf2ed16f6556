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
    FORWARDED,
    HOST,
    HOST_FIELD,
    ORDINARY,
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
        self.assertEqual([DROP, DROP, DROP, ORDINARY], [kinds[n] for n in (b"l5d-x", b"L5D-", b"L5d_x", b"l5d")])

    def test_forwarded(self) -> None:
        """What says for whom a request is forwarded, as applications read it."""
        for name in (b"Forwarded", b"X-Forwarded-For", b"x-forwarded-anything", b"X_FORWARDED_PROTO", b"X-Real_IP"):
            self.assertEqual(FORWARDED, kinds[name])

    def test_bounded(self) -> None:
        """Names that peers make up are known, and not all remembered."""
        before = dict(kinds)
        self.addCleanup(kinds.update, before)
        self.addCleanup(kinds.clear)
        for n in range(message.MEMO + 100):
            self.assertEqual(ORDINARY, kinds[b"x-%d" % n])
        self.assertLessEqual(len(kinds), message.MEMO)
        self.assertEqual(DROP, kinds[b"pRoXy-CoNnEcTiOn"])


class FieldTests(SynchronousTestCase):
    """The rest."""

    def test_trailers(self) -> None:
        """Of trailers, those pass that mean something behind the content."""
        fields = [(b"Grpc-Status", b"0"), (b"Content-Type", b"x"), (b"L5d-x", b"y"), (b"TE", b"x"), (b"Digest", b"z")]
        fields += [(b"Authorization", b"x"), (b"X-Forwarded-For", b"x"), (b"X_Real_IP", b"x"), (b"Set-Cookie", b"x")]
        self.assertEqual([(b"Grpc-Status", b"0"), (b"Digest", b"z")], trailer_fields(fields))
        self.assertEqual([(b"traceparent", b"x")], trailer_fields([(b"traceparent", b"x")]), "as any other")

    def test_host(self) -> None:
        """What may stand in Host."""
        for host in (
            b"a",
            b"a:80",
            b"a.b.",
            b"[::1]",
            b"[::1]:80",
            b"1.2.3.4",
            b"a_b",
            b"%61",
            b"a-b:",
            b"A",
            b"a%2Db",
        ):
            self.assertIsNotNone(HOST.fullmatch(host), host)
        for host in (b"", b":", b":80", b"a b", b"a/b", b"a@b", b"a:b", b"[::1", b"a:123456", b"a\x7f", b"\xe9"):
            self.assertIsNone(HOST.fullmatch(host), host)
        for host in (b"%zz", b"a%", b"a%2", b"%", b"%%41", b"a%4g:80"):
            self.assertIsNone(HOST.fullmatch(host), host)

    def test_find(self) -> None:
        """The first of a name, in any case."""
        self.assertEqual(b"1", find([(b"A", b"0"), (b"Content-TYPE", b"1"), (b"content-type", b"2")], b"content-type"))
        self.assertIsNone(find([], b"a"))
