# -*- test-case-name: tests.transport.tls.test_hello -*-
"""
Tests for L{lproxy.transport.tls.hello}, on what OpenSSL says and on what nobody should.
"""

from __future__ import annotations

from collections.abc import Sequence

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from lproxy.testing.detectors import DetectorContract
from lproxy.transport.tls import hello
from lproxy.transport.tls.hello import EXTENSIONS, LIMIT, PROTOCOLS, RECORDS, Hello, detect, examine
from lproxy.verdict import Match, NeedMore, NoMatch

TLS13, TLS12 = 0x0304, 0x0303


def u16(body: bytes) -> bytes:
    """C{body} after its length in two bytes."""
    return len(body).to_bytes(2, "big") + body


def extension(kind: int, body: bytes) -> bytes:
    """One extension."""
    return kind.to_bytes(2, "big") + u16(body)


def server_name(name: bytes, kind: int = 0) -> bytes:
    """The extension of SNI."""
    return extension(0, u16(bytes([kind]) + u16(name)))


def message(*extensions: bytes, ciphers: bytes = b"\x13\x01", length: int | None = None) -> bytes:
    """A ClientHello, without records."""
    body = b"\x03\x03" + bytes(32) + b"\0" + u16(ciphers) + b"\1\0"
    if extensions:
        body += u16(b"".join(extensions))
    return b"\1" + (len(body) if length is None else length).to_bytes(3, "big") + body


def records(data: bytes, size: int = 16384) -> bytes:
    """C{data} in handshake records of C{size} bytes."""
    return b"".join(b"\x16\3\1" + u16(data[at : at + size]) for at in range(0, len(data), size))


def openssl(name: bytes = b"", alpn: Sequence[bytes] = (), most: int = SSL.TLS1_3_VERSION) -> bytes:
    """What OpenSSL says first."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(most)
    if alpn:
        context.set_alpn_protos(list(alpn))
    connection = SSL.Connection(context)
    connection.set_connect_state()
    if name:
        connection.set_tlsext_host_name(name)
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        pass
    return connection.bio_read(LIMIT)


USUAL = records(message(server_name(b"web.shop.test"), extension(16, u16(b"\2h2\x08http/1.1"))))


class HelloContractTests(DetectorContract, SynchronousTestCase):
    """It keeps what detectors promise."""

    detector = staticmethod(detect)
    limit = LIMIT
    matches = (
        USUAL,
        openssl(b"web.shop.test", [b"h2", b"http/1.1"]),
        openssl(most=SSL.TLS1_2_VERSION),
        records(message()),
        records(message(server_name(b"a.test")), 1),
        records(message(server_name(b"a.test")), 7),
        records(message(extension(21, bytes(1000))), 270),
        records(message(*[extension(n, b"") for n in range(100, 100 + EXTENSIONS - 1)])),
        USUAL + b"garbage",
    )
    others = (
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",  # SSL 2.0
        b"\x15\x03\x01\x00\x02\x02\x28",  # an alert
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",  # a ServerHello
        records(message(), 1 << 14).replace(b"\x16\3", b"\x16\2"),
    )
    foreign = tuple(each for each in DetectorContract.foreign if not each.startswith(b"\x16\x03"))


class DetectTests(SynchronousTestCase):
    """What is a ClientHello, and when that is known."""

    def test_every_split(self) -> None:
        """It is one from its last byte on, whatever the records; until then more is asked for, and never too much."""
        for data in (USUAL, records(message(server_name(b"a.b")), 1), records(message(server_name(b"a.b")), 11)):
            for end in range(len(data)):
                verdict = detect(data[:end])
                assert isinstance(verdict, NeedMore), end
                self.assertTrue(end < verdict.at_least <= len(data), (end, verdict))
            self.assertIsInstance(detect(data), Match)

    def test_records_split(self) -> None:
        """Two records may part it anywhere."""
        whole = message(server_name(b"web.shop.test"))
        for at in range(1, len(whole)):
            self.assertEqual("web.shop.test", self.found(records(whole[:at]) + records(whole[at:])).sni)

    def test_earliest(self) -> None:
        """Each byte that cannot be right says so by itself."""
        good = records(message(server_name(b"a")))
        for at, bad in ((0, 0x15), (1, 2), (3, 0x41), (4, 0), (5, 2), (6, 1), (9, 2)):
            wrong = bytearray(good)
            if at == 4:
                wrong[3] = 0
            wrong[at] = bad
            self.assertIsInstance(detect(bytes(wrong[:at])), NeedMore, at)
            self.assertEqual(NoMatch(), detect(bytes(wrong[: at + 1])), at)

    def test_limits(self) -> None:
        """What is longer than a hello may be, is none as soon as its length is known; the longest is one."""
        longest = LIMIT - 4 * 5
        for size, expected in ((longest, Match), (longest + 1, NoMatch)):
            data = records(message(extension(21, bytes(size - len(message(extension(21, b"")))))))
            self.assertIsInstance(detect(data), expected)
        self.assertEqual(NoMatch(), detect(records(message(length=LIMIT))[:9]))
        many = message(extension(21, bytes(RECORDS)))
        self.assertEqual(NoMatch(), detect(records(many, 1)))
        self.assertIsInstance(detect(records(many[:-1] + many[-1:], 2)), Match)

    def test_too_many_extensions(self) -> None:
        """Nobody has so many: we do not look through them."""
        few = [extension(n, b"") for n in range(100, 100 + EXTENSIONS)]
        self.assertEqual(NoMatch(), detect(records(message(*few))))

    def test_malformed(self) -> None:
        """Lengths that lead out of the message, or not to its end, make no sense."""
        whole = message(server_name(b"a.test"), extension(16, b""))
        # of the session's name, the ciphers, the compressions, all extensions, and each extension
        for at in (38, 39, 43, 45, 46, 49, 50, len(whole) - 1):
            for value in (0xFF, 0x80, 1):
                wrong = bytearray(whole)
                wrong[at] ^= value
                self.assertEqual(NoMatch(), detect(records(bytes(wrong))), (at, value))
        for body in (b"", b"\3\3", bytes(37), whole[4:-1], whole[4:] + b"\0"):
            self.assertEqual(NoMatch(), detect(records(b"\1" + len(body).to_bytes(3, "big") + body)), body)

    def found(self, data: bytes) -> Hello:
        """What the hello in C{data} says."""
        hello = examine(data)
        assert isinstance(hello, Hello), hello
        return hello


class ReadTests(SynchronousTestCase):
    """What a hello says."""

    def read(self, *extensions: bytes) -> Hello:
        """What one with these extensions says."""
        found = examine(records(message(*extensions)))
        assert isinstance(found, Hello), found
        return found

    def sni(self, name: bytes) -> str:
        """What is taken of the C{name} asked for."""
        return self.read(server_name(name)).sni

    def test_openssl(self) -> None:
        """What a real client says is read."""
        found = examine(openssl(b"Web.Shop.test", [b"h2", b"http/1.1"]))
        assert isinstance(found, Hello)
        self.assertEqual(("web.shop.test", (b"h2", b"http/1.1")), found[:2])
        self.assertIn(TLS13, found.versions)
        self.assertEqual(Hello("", (), (TLS12,)), examine(openssl(most=SSL.TLS1_2_VERSION)))

    def test_nothing(self) -> None:
        """A hello without extensions says but its version."""
        self.assertEqual(Hello("", (), (TLS12,)), self.read())

    def test_name(self) -> None:
        """Names are taken without case, and without the root's dot."""
        for name, expected in (
            (b"web.shop.test", "web.shop.test"),
            (b"WEB.Shop.TEST", "web.shop.test"),
            (b"web.shop.test.", "web.shop.test"),
            (b"xn--bcher-kva.test", "xn--bcher-kva.test"),
            (b"_acme.a-b.test", "_acme.a-b.test"),
            (b"localhost", "localhost"),
            (b"4.example", "4.example"),
            (b"a" * 63 + b".test", "a" * 63 + ".test"),
        ):
            self.assertEqual(expected, self.sni(name))

    def test_no_name(self) -> None:
        """What cannot be a DNS name counts as none."""
        long = b".".join([b"a" * 49] * 5)
        self.assertEqual(249, len(self.sni(long)))
        for name in (
            *(b"", b".", b"..", b"a..b", b".a", b"a.test..", b"-a.test", b"a-.test", b"a" * 64),
            *(b"a\0.test", b"\0", b"a.test\n", b"a b", b"a/b", b"*.test", b"a:443", b"b\xc3\xbccher.test"),
            *(b"127.0.0.1", b"127.1", b"2130706433", b"::1", b"[::1]", b"fe80::1%eth0"),
            *(long + b".abcd", b"a" * 256, b"a" * 60_000),
        ):
            self.assertEqual("", self.sni(name), name[:80])

    def test_other_names(self) -> None:
        """A name of another kind than a host's is none, nor is what is cut off."""
        self.assertEqual("", self.read(server_name(b"a.test", kind=1)).sni)
        for body in (b"", b"\0", b"\0\3\0\0", b"\0\7\0\0\0"):
            self.assertEqual("", self.read(extension(0, body)).sni)

    def test_alpn(self) -> None:
        """Protocols are read as far as they are whole, and so many of them."""
        for body, expected in (
            (u16(b"\2h2"), (b"h2",)),
            (u16(b"\2h2\x08http/1.1"), (b"h2", b"http/1.1")),
            (b"", ()),
            (b"\0", ()),
            (u16(b""), ()),
            (u16(b"\2h2\7http"), (b"h2",)),
        ):
            self.assertEqual(expected, self.read(extension(16, body)).alpn)
        self.assertEqual(PROTOCOLS, len(self.read(extension(16, u16(b"\1a" * 5000))).alpn))

    def test_versions(self) -> None:
        """The extension has them, whatever stands outside for old servers; of what is odd, none."""
        for body, expected in (
            (b"\4\x0a\x0a\3\4", (0x0A0A, TLS13)),
            (b"\2\3\4", (TLS13,)),
            (b"", ()),
            (b"\1\3", ()),
            (bytes(1000), ()),
        ):
            self.assertEqual(expected, self.read(extension(43, body)).versions)

    def test_constants(self) -> None:
        """A server is shown no hello that it would be wrong to wait for: OpenSSL takes as much, and more."""
        self.assertLessEqual(hello.LIMIT, 131396)
