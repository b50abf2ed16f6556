# -*- test-case-name: tests.protocols.test_corpus -*-
"""
Real first bytes of real protocols, judged by all detectors in every order: nobody is taken for somebody else.
"""

from __future__ import annotations

from itertools import permutations
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from lproxy.api import Detector, Match, NeedMore, NoMatch, Verdict
from lproxy.protocols.http.detect import detect as http
from lproxy.protocols.kafka.detect import detect as kafka
from lproxy.protocols.tcp.detect import detect as tcp
from tests.protocols.kafka.vectors import CLIENTS, NO, YES, packed

HTTP = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /x?y=z HTTP/1.0\r\n\r\n",
    b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n\r\n",
    b"PATCH /a/very/long/path" + b"/x" * 500 + b" HTTP/1.1\r\n",
    b"GET http://a.b/ HTTP/1.1\r\nHost: a.b\r\n\r\n",
    b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n",
    b"PURGE /cache HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    # malformed, and to be refused by HTTP
    b"GET  / HTTP/1.1\r\n\r\n",
    b"GET\t/ HTTP/1.1\r\n\r\n",
    b"GET /\n",
    b"\r\nGET / HTTP/1.1\r\n\r\n",
]
KAFKA = [packed(text) for text in (CLIENTS | YES).values()]
TLS = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x11" * 32,
    b"\x16\x03\x03\x00\x40\x01\x00\x00\x3c\x03\x03" + b"\x22" * 57,
]
#: whose is it?
OWN = {"http": HTTP, "kafka": KAFKA, "tls": TLS}
OTHERS = {
    **{name: packed(text) for name, (text, _) in NO.items() if not text.startswith(("16", '"GET', '"PRI'))},
    "redis": b"*1\r\n$4\r\nPING\r\n",
    "redis inline": b"PING\r\n",
    "redis inline get": b"GET key\r\n",
    "redis inline set": b"SET key value\r\n",
    "mysql login": b"\x20\x00\x00\x01\x85\xa6\xff\x01\x00\x00\x00\x01\x21" + b"\0" * 23,
    "postgresql startup": b"\x00\x00\x00\x29\x00\x03\x00\x00user\x00postgres\x00database\x00x\x00\x00",
    "postgresql ssl": b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
    "smtp": b"EHLO mail.example.com\r\n",
    "imap": b"a001 CAPABILITY\r\n",
    "pop3": b"USER someone\r\n",
    "ftp": b"USER anonymous\r\nPASS x\r\n",
    "nats": b'CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n',
    "memcached": b"get key1 key2\r\n",
    "memcached set": b"set key 0 0 5\r\nhello\r\n",
    "memcached binary": b"\x80\x00\x00\x03" + b"\0" * 20 + b"key",
    "ssh": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    "rtsp": b"OPTIONS rtsp://example.com/media RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    "rtsp star": b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    "sip": b"REGISTER sip:example.com SIP/2.0\r\n",
    "sip options": b"OPTIONS sip:carol@chicago.com SIP/2.0\r\n",
    "stomp": b"CONNECT\naccept-version:1.2\nhost:a\n\n\0",
    "amqp": b"AMQP\x00\x00\x09\x01",
    "mqtt": b"\x10\x16\x00\x04MQTT\x04\x02\x00\x3c\x00\x0apython_cli",
    "bittorrent": b"\x13BitTorrent protocol" + b"\0" * 8,
    "socks5": b"\x05\x01\x00",
    "ldap": b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00",
    "zookeeper": b"\x00\x00\x00\x2d" + b"\0" * 41,
    "proxy protocol": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    "irc": b"NICK someone\r\nUSER a 0 * :b\r\n",
    "finger": b"root\r\n",
    "gopher": b"/\r\n",
}


def memo(prefix: bytes) -> Verdict:
    """Another detector, for a protocol of text: C{MEMO/1}."""
    word = b"MEMO/1 "
    if prefix.startswith(word):
        return Match()
    return NeedMore(len(prefix) + 1) if word.startswith(prefix) else NoMatch()


def tls(prefix: bytes) -> Verdict:
    """And one for a TLS ClientHello: a handshake record of version 3.x, and a hello in it."""
    for at, wanted in enumerate((b"\x16", b"\x03", b"\x00\x01\x02\x03\x04")):
        if at < len(prefix) and prefix[at] not in wanted:
            return NoMatch()
    if len(prefix) < 6:
        return NeedMore(len(prefix) + 1)
    return Match("TLS") if prefix[5] == 1 else NoMatch()


DETECTORS: dict[str, Detector] = {"http": http, "kafka": kafka, "memo": memo, "tls": tls}


def judged(order: tuple[str, ...], data: bytes, step: int) -> str:
    """Who gets a connection that sends C{data}, C{step} bytes at a time: as L{lproxy.transport.detect} does it."""
    pending = list(order)
    for end in range(step, len(data) + step, step):
        undecided = []
        for name in pending:
            verdict = DETECTORS[name](data[:end])
            if isinstance(verdict, Match):
                return name
            if isinstance(verdict, NeedMore):
                undecided.append(name)
        pending = undecided
        if not pending:
            return "tcp"
    return "undecided"


class CorpusTests(SynchronousTestCase):
    """Precision and recall."""

    def orders(self) -> list[tuple[str, ...]]:
        return list(permutations(DETECTORS))

    def test_recall(self) -> None:
        """Whatever is somebody's is taken for theirs, in any order of detectors and pieces of any size."""
        for owner, openings in OWN.items():
            for data in openings:
                for order in self.orders():
                    for step in (1, 7, len(data)):
                        if judged(order, data, step) != owner:
                            self.fail(f"{data[:40]!r} in steps of {step} is {judged(order, data, step)} by {order}")

    def test_precision(self) -> None:
        """Nothing else is, and none of it is still waited for when all its bytes are there."""
        for name, data in OTHERS.items():
            for order in self.orders():
                for step in (1, len(data)):
                    with self.subTest(protocol=name, order=order, step=step):
                        self.assertEqual("tcp", judged(order, data, step))

    def test_random(self) -> None:
        """Of 20,000 random openings, none is taken for HTTP or Kafka."""
        random = Random(7)
        for _ in range(20_000):
            self.assertNotIn(judged(("http", "kafka"), random.randbytes(40), 40), OWN)

    def test_tcp(self) -> None:
        """TCP matches everything, at once."""
        for data in (b"", *HTTP, *KAFKA, *TLS, *OTHERS.values()):
            self.assertEqual(Match(), tcp(data))
