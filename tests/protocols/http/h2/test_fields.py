# -*- test-case-name: tests.protocols.http.h2.test_fields -*-
"""
Tests for L{lproxy.protocols.http.h2.fields}.
"""

from __future__ import annotations

from hpack import NeverIndexedHeaderTuple
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2.engine import NO_LENGTH, Head
from lproxy.protocols.http.h2.faults import FIELD, PSEUDO, TOO_LARGE, StreamFault
from lproxy.protocols.http.h2.fields import lowered, request_head, response_head, trailer_section
from lproxy.protocols.http.message import AUTHORIZATION, DROP, FORWARDED, LENGTH, MEMO, TE, Headers
from tests.protocols.http.h2.harness import ANSWER, REQUEST


def request(*fields: tuple[bytes, bytes], without: tuple[bytes, ...] = (), **pseudo: bytes) -> Headers:
    """A request's fields: the usual ones, with C{pseudo} instead, and C{fields} behind them."""
    usual = dict(REQUEST) | {b":" + name.encode(): value for name, value in pseudo.items()}
    return [*((name, value) for name, value in usual.items() if name not in without), *fields]


class FieldsTestCase(SynchronousTestCase):
    """What fields become."""

    def head(self, fields: Headers, limit: int = 100, extended: bool = True) -> Head:
        """A request's, judged twice: what is remembered changes nothing."""
        first = request_head(fields, limit, extended)
        again = request_head(fields, limit, extended)
        self.assertEqual((first.fields, first.seen, first.length), (again.fields, again.seen, again.length))
        return again

    def reason(self, fields: Headers, limit: int = 100, extended: bool = True) -> str:
        """The word that a request is refused with, each time."""
        first = self.assertRaises(StreamFault, request_head, fields, limit, extended)
        self.assertEqual(first.reason, self.assertRaises(StreamFault, request_head, fields, limit, extended).reason)
        return first.reason


class RequestTests(FieldsTestCase):
    """Heads of requests."""

    def test_usual(self) -> None:
        """Pseudo-fields apart, the others in order with their duplicates, and nothing to be done about them."""
        rest = [(b"a", b"1"), (b"b", b""), (b"a", b"2"), (b"x-\xc2"[:2], b"\xfe\t caf\xc3\xa9")]
        head = self.head(request(*rest, path=b"/x?y=%20#z"))
        self.assertEqual(
            (b"GET", b"http", b"web.local", b"/x?y=%20#z", b"", 0),
            (head.method, head.scheme, head.authority, head.path, head.protocol, head.status),
        )
        self.assertEqual((rest, 0, NO_LENGTH), (head.fields, head.seen, head.length))

    def test_seen(self) -> None:
        """Kinds of fields that somebody has to look at are named at once."""
        for field, kind in (
            ((b"te", b"trailers"), TE),
            ((b"content-length", b"12"), LENGTH),
            ((b"authorization", b"x"), AUTHORIZATION),
            ((b"x-forwarded-for", b"x"), FORWARDED),
            ((b"l5d-client-id", b"x"), DROP),
        ):
            head = self.head(request(field))
            self.assertEqual((1 << kind, [field]), (head.seen, head.fields))
        self.assertEqual(12, self.head(request((b"content-length", b"12"))).length)
        self.assertEqual(0, self.head(request((b"host", b"web.local"), (b"cookie", b"x"))).seen)

    def test_authority(self) -> None:
        """It comes from :authority or from host, which is taken out; where both are there they say the same."""
        self.assertEqual(b"a:80", self.head(request((b"host", b"a:80"), without=(b":authority",))).authority)
        head = self.head(request((b"host", b"WEB.local")))
        self.assertEqual((b"web.local", []), (head.authority, head.fields))
        self.assertEqual(b"x", self.head(request(authority=b"x:")).authority)
        self.assertEqual(b"[::1]:8080", self.head(request(authority=b"[::1]:8080")).authority)
        for fields in (
            request((b"host", b"other")),
            request((b"host", b"web.local"), (b"host", b"web.local")),
            request(without=(b":authority",)),
            request((b"host", b""), without=(b":authority",)),
            *(request(authority=value) for value in (b"", b"u@h", b"a b", b"a/b", b"a:b", b"a\r\nb", b"%zz", b":80")),
        ):
            self.assertEqual(PSEUDO, self.reason(fields))

    def test_pseudo(self) -> None:
        """Each once, all of them, none unknown, none behind others, none of an answer."""
        for fields in (
            *(request(without=(name,)) for name in (b":method", b":scheme", b":path")),
            *([*request(), field] for field in REQUEST),
            [*REQUEST, REQUEST[0]],
            [REQUEST[0], *REQUEST],
            [(b"a", b"b"), *REQUEST],
            [*REQUEST[:3], (b"host", b"x"), REQUEST[3]],
            [*REQUEST[:3], (b"cookie", b"x"), REQUEST[3]],
            [(b":status", b"200"), *REQUEST],
            [(b":unknown", b"x"), *REQUEST],
            [(b":", b"x"), *REQUEST],
            [(b":Method", b"GET"), *REQUEST],
            [],
        ):
            self.assertEqual(PSEUDO, self.reason(fields))

    def test_values(self) -> None:
        """Nothing that a request line of HTTP/1 could be made to say something else with."""
        for name, values in {
            "method": (b"", b"GET /", b"G\0", b"GET\r\n", b"\xe9"),
            "scheme": (b"", b"ftp", b"http://x", b"a b", b"http\r\n", b"javascript"),
            "path": (b"", b"x", b"/a b", b"/\t", b"/\r\nX: y", b"/\0", b"/\x7f", b"/\xe9", b"http://x/", b"*", b"**"),
        }.items():
            for value in values:
                self.assertEqual(PSEUDO, self.reason(request(**{name: value})), value)
        self.assertEqual(b"*", self.head(request(method=b"OPTIONS", path=b"*")).path)
        self.assertEqual(b"https", self.head(request(scheme=b"HTTPS")).scheme)

    def test_connect(self) -> None:
        """CONNECT is for a host and a port, and nothing else."""
        head = self.head([(b":method", b"CONNECT"), (b":authority", b"db.local:5432"), (b"a", b"b")])
        self.assertEqual((b"db.local:5432", b"", b""), (head.authority, head.path, head.scheme))
        connect = [(b":method", b"CONNECT"), (b":authority", b"db.local:5432")]
        for fields in (
            [*connect, (b":path", b"/")],
            [*connect, (b":scheme", b"http")],
            [*connect, (b"content-length", b"0")],
            [connect[0]],
            [connect[0], (b"host", b"db.local:5432")],
            *([connect[0], (b":authority", value)] for value in (b"db", b"db:", b"db:0", b"db:65536", b"u@db:1")),
        ):
            self.assertEqual(PSEUDO, self.reason(fields), fields)

    def test_extended(self) -> None:
        """Extended CONNECT has all five, and has been announced."""
        fields = request(method=b"CONNECT", protocol=b"websocket")
        self.assertEqual((b"websocket", b"/"), (self.head(fields).protocol, self.head(fields).path))
        self.assertEqual(PSEUDO, self.reason(fields, extended=False))
        for name in (b":path", b":scheme"):
            self.assertEqual(PSEUDO, self.reason(request(method=b"CONNECT", protocol=b"x", without=(name,))))
        self.assertEqual(PSEUDO, self.reason(request(protocol=b"websocket")))
        self.assertEqual(PSEUDO, self.reason(request(method=b"CONNECT", protocol=b"web socket")))
        self.assertEqual(
            PSEUDO, self.reason(request((b"host", b"x"), method=b"CONNECT", protocol=b"x", without=(b":authority",)))
        )


class FieldTests(FieldsTestCase):
    """Fields one by one, wherever they stand."""

    def test_names(self) -> None:
        """A token in lower case."""
        for name in (b"", b"A", b"a b", b"a:b", b"a\0", b"a\n", b"a\x7f", b"caf\xe9", b"(a)"):
            self.assertEqual(FIELD, self.reason(request((name, b"x"))), name)

    def test_values(self) -> None:
        """No control characters but tab, and no blanks around."""
        for value in (b"a\0", b"a\rb", b"a\nb", b"\x01", b"\x7f", b" a", b"a ", b"\ta", b"a\t", b" ", b"a\r\nb: c"):
            self.assertEqual(FIELD, self.reason(request((b"a", value))), value)

    def test_connection(self) -> None:
        """Nothing that belongs to a connection of HTTP/1."""
        for name in (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"):
            for value in (b"", b"close", b"chunked", b"h2c"):
                self.assertEqual(FIELD, self.reason(request((name, value))), name)
        self.assertEqual(FIELD, self.reason(request((b"te", b"gzip"))))
        self.assertEqual(FIELD, self.reason(request((b"te", b"trailers, gzip"))))

    def test_length(self) -> None:
        """Digits, once."""
        for value in (b"", b"+3", b"-1", b"3, 3", b"0x3", b"1_0", b"\xd9\xa3", b"9" * 19):
            self.assertEqual(FIELD, self.reason(request((b"content-length", value))), value)
        field = (b"content-length", b"3")
        self.assertEqual(FIELD, self.reason(request(field, field)))

    def test_cookies(self) -> None:
        """Crumbs become one cookie, where the first was, as secret as any of them; they count as one field."""
        crumbs = [(b"cookie", b"a=%d" % number) for number in range(3)]
        fields = request(crumbs[0], (b"x", b"y"), crumbs[1], crumbs[2])
        joined = (b"cookie", b"a=0; a=1; a=2")
        self.assertEqual([joined, (b"x", b"y")], self.head(fields, 2).fields)
        self.assertIs(tuple, type(self.head(fields).fields[0]))
        secret = self.head(request(crumbs[0], NeverIndexedHeaderTuple(*crumbs[1]))).fields[0]
        self.assertIs(NeverIndexedHeaderTuple, type(secret))

    def test_never_indexed(self) -> None:
        """Who asked that a field never be indexed still asks for it."""
        field = NeverIndexedHeaderTuple(b"x-token", b"secret")
        self.assertIs(field, self.head(request((b"x-token", b"secret"), field)).fields[1])

    def test_many(self) -> None:
        """Too many fields are another matter than malformed ones, of which they may be both."""
        fields = [(b"a", b"b")] * 5
        self.assertEqual(5, len(self.head(request(*fields), 5).fields))
        self.assertEqual(TOO_LARGE, self.reason(request(*fields), 4))
        self.assertEqual(PSEUDO, self.reason(request(*fields, without=(b":path",)), 4))


class AnswerTests(SynchronousTestCase):
    """Heads of answers, and trailers."""

    def refused(self, fields: Headers) -> str:
        """The word."""
        return self.assertRaises(StreamFault, response_head, fields, 100).reason

    def test_status(self) -> None:
        """Three digits from 100 on; no 101, as HTTP/2 has no such switching."""
        for status in (100, 103, 200, 599, 999):
            self.assertEqual(status, response_head([(b":status", b"%d" % status)], 100).status)
        for value in (b"", b"99", b"099", b"1000", b"20", b"2 0", b"+20", b"200 OK", b"101", b"\xd9\xa22"):
            self.assertEqual(PSEUDO, self.refused([(b":status", value)]), value)

    def test_pseudo(self) -> None:
        """The one, once, first."""
        for fields in ([], [(b"a", b"b")], ANSWER * 2, [(b"a", b"b"), *ANSWER], [*ANSWER, REQUEST[0]]):
            self.assertEqual(PSEUDO, self.refused(fields))

    def test_fields(self) -> None:
        """The rest as in requests."""
        head = response_head([*ANSWER, (b"set-cookie", b"a"), (b"set-cookie", b"b"), (b"content-length", b"0")], 100)
        self.assertEqual(3, len(head.fields))
        self.assertEqual(0, head.length)
        self.assertEqual(FIELD, self.refused([*ANSWER, (b"connection", b"close")]))
        self.assertEqual(TOO_LARGE, self.assertRaises(StreamFault, response_head, [*ANSWER, (b"a", b"b")], 0).reason)

    def test_trailers(self) -> None:
        """Fields, and no pseudo-field among them."""
        fields = [(b"grpc-status", b"0"), (b"x-bin", b"AA==")]
        self.assertEqual(fields, trailer_section(fields, 2))
        self.assertEqual([], trailer_section([], 2))
        self.assertEqual(PSEUDO, self.assertRaises(StreamFault, trailer_section, [*fields, *ANSWER], 9).reason)
        self.assertEqual(PSEUDO, self.assertRaises(StreamFault, trailer_section, ANSWER, 9).reason)
        self.assertEqual(FIELD, self.assertRaises(StreamFault, trailer_section, [(b"A", b"")], 9).reason)


class LoweredTests(SynchronousTestCase):
    """Names on their way from HTTP/1."""

    def test_lowered(self) -> None:
        """In lower case, remembered within bounds."""
        self.assertEqual([b"x-y", b"x-y"], [lowered[b"X-Y"], lowered[b"x-y"]])
        for number in range(2 * MEMO):
            self.assertEqual(b"n%d" % number, lowered[b"N%d" % number])
        self.assertLessEqual(len(lowered), MEMO)
        lowered.clear()
