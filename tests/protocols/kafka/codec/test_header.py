# -*- test-case-name: tests.protocols.kafka.codec.test_header -*-
"""
Tests for L{lproxy.protocols.kafka.codec.header}.
"""

from __future__ import annotations

import random
from typing import Any

from kafka.protocol import admin, consumer, metadata, producer, sasl
from kafka.protocol.api_header import RequestHeader
from kafka.protocol.api_message import ApiMessage
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.apis import APIS
from lproxy.protocols.kafka.codec.header import (
    MOST_TAGS,
    Malformed,
    RequestHead,
    find_acks,
    other_protocol,
    read_acks,
    read_request,
    refused_size,
    skip_tags,
    uvarint,
)
from tests.protocols.kafka.talk.scripted import compact, framed, head, string

#: of all keys in order the newest version and the first flexible one, as the message schemas of Kafka have them
_SCHEMAS = """
13/9 18/12 11/6 13/9 7/4 4/2 8/6 3/3 10/8 10/6 6/3 9/6 4/4 5/4 5/4 6/5 5/3 1/- 4/3 7/5 6/4 2/2 6/2 4/4 5/3 4/3
5/3 2/1 5/3 3/2 3/2 3/2 4/4 2/2 2/2 5/2 2/2 3/2 3/2 2/2 2/2 3/2 2/2 2/2 1/1 1/0 0/0 0/- 1/1 1/1 0/0 0/0 2/0
1/1 1/1 2/0 3/0 2/0 0/0 1/0 2/0 0/0 4/0 1/0 0/0 0/0 2/0 0/0 1/0 1/0 0/0 0/0 0/0 0/0 1/0 0/0 1/0 1/0 2/0 2/0
1/0 0/0 0/0 0/0 0/0 1/0 0/0 1/0 0/0 0/0 1/0 0/0 0/0 0/0
"""
SCHEMAS = _SCHEMAS.split()
#: tags as they may come one day: two, one of them empty, one with a number and a size of two bytes
TAGS = b"\x02\x05\x00\xac\x02\x80\x01" + b"t" * 128
#: who clients may be; the last is no UTF-8
CLIENTS = (None, b"", b"x", "größe".encode(), b"c" * 300, b"\xff\xfe")


#: where kafka-python has its messages
KNOWN = (admin, consumer, metadata, producer, sasl)


def messages(kind: str) -> list[Any]:
    """All of kafka-python's requests or responses."""
    return [one for one in ApiMessage.__subclasses__() if one.type == kind]


class RequestTests(SynchronousTestCase):
    """Heads of requests."""

    def each_prefix_waits(self, frame: bytes, read: RequestHead) -> None:
        """As soon as the head is there, it is read; before, nothing is said."""
        for n in range(len(frame) + 1):
            self.assertEqual(read if n >= read.body else None, read_request(frame[:n]), (frame, n))

    def test_kafka_python(self) -> None:
        """What kafka-python says is understood: every request that it knows, in every version."""
        count = 0
        for message in messages("request"):
            for version in range(message.max_version + 1):
                for correlation, client in ((1, None), (-1, ""), (2**31 - 1, "x"), (-(2**31), "größe" * 30)):
                    header = RequestHeader(
                        request_api_key=message.API_KEY,
                        request_api_version=version,
                        correlation_id=correlation,
                        client_id=client,
                    ).encode(flexible=message.flexible_version_q(version))
                    if (message.API_KEY, version) == (7, 0):
                        continue
                    frame = framed(bytes(header) + b"body")
                    self.assertEqual(
                        RequestHead(len(frame) - 4, message.API_KEY, version, correlation, client, len(header) + 4),
                        read_request(frame),
                    )
                    count += 1
        self.assertGreater(count, 700)

    def test_all(self) -> None:
        """Every key in every version: tags are there from the first flexible version on, and newer ones have them."""
        self.assertEqual(94, len(SCHEMAS))
        for key, row in enumerate(SCHEMAS):
            newest, flexible = row.split("/")
            self.assertEqual(int(newest), APIS[key].newest, key)
            for version in range(int(newest) + 3):
                tagged = flexible != "-" and version >= int(flexible)
                bare = (key, version) == (7, 0)
                for client in CLIENTS[:3]:
                    raw = head(key, version, 7, client, b"\0" if tagged else b"")[: 8 if bare else None]
                    read = read_request(framed(raw + b"\1\2\3"))
                    assert read is not None
                    self.assertEqual(
                        (key, version, 7, 4 + len(raw)), (read.key, read.version, read.correlation_id, read.body)
                    )
                    self.assertEqual(None if bare or client is None else client.decode(), read.client_id)

    def test_client_ids(self) -> None:
        """Null is none and empty is empty; what is no UTF-8 can be read and shown nevertheless. Split anywhere."""
        for client in CLIENTS:
            for key, version in ((12, 3), (12, 4), (10_000, 0)):
                raw = head(key, version, 5, client)
                frame = framed(raw + b"rest")
                shown = None if client is None else client.decode(errors="replace")
                self.each_prefix_waits(frame, RequestHead(len(frame) - 4, key, version, 5, shown, len(raw) + 4))

    def test_client_id_does_not_fit(self) -> None:
        """A length that goes beyond the frame, or is negative but for null's, is malformed once it can be seen."""
        for length in (-2, -32768, 4, 5, 32767):
            frame = framed(head(12, 3, client=b"abc")[:8] + length.to_bytes(2, "big", signed=True) + b"abc")
            for n in range(14):
                self.assertIsNone(read_request(frame[:n]))
            for n in range(14, len(frame) + 1):
                self.assertRaises(Malformed, read_request, frame[:n])
            self.assertRaises(Malformed, read_request, frame + b"more")

    def test_tags(self) -> None:
        """Tags that nobody knows are part of the head, and what is behind them is not."""
        raw = head(3, 12, 1, b"x", TAGS)
        frame = framed(raw + b"body")
        self.each_prefix_waits(frame, RequestHead(len(frame) - 4, 3, 12, 1, "x", len(raw) + 4))

    def test_tags_do_not_fit(self) -> None:
        """Tags that end beyond their frame are malformed, however many bytes of the next follow."""
        for tags in (b"", b"\1", b"\1\5", b"\1\5\1", b"\1\5\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x0f", b"\x80" * 5):
            frame = framed(head(3, 12, 1, b"x", tags))
            for trailing in (b"", b"\0", bytes(100), b"\x80" * 9, b"\xff" * 9):
                self.assertRaises(Malformed, read_request, frame + trailing)

    def test_truncated(self) -> None:
        """A frame that is too small for a header is malformed, at every length, and whatever follows it."""
        raw = head(3, 12, 1, b"shop", TAGS)
        for size in range(8, len(raw)):
            frame = size.to_bytes(4, "big") + raw[:size]
            for trailing in (b"", framed(raw)):
                self.assertRaises(Malformed, read_request, frame + trailing)

    def test_controlled_shutdown(self) -> None:
        """ControlledShutdown v0 has no client id, all others have."""
        frame = framed(head(7, 0)[:8] + b"\0\0\0\1")
        self.each_prefix_waits(frame, RequestHead(12, 7, 0, 1, None, 12))
        self.assertEqual("shop", getattr(read_request(framed(head(7, 1))), "client_id", None))

    def test_unknown(self) -> None:
        """Keys of vendors, and such as nobody can have: their header is taken for version 1."""
        for key in (94, 999, 10_000, 32_767, 32_768, 65_535):
            for version in (0, 9, 32_767, 65_535):
                raw = head(key, version, -3, b"v")
                read = read_request(framed(raw + b"\5\5"))
                self.assertEqual(RequestHead(len(raw) + 2, key, version, -3, "v", len(raw) + 4), read)

    def test_anything(self) -> None:
        """Of whatever bytes, more never change what was said of fewer; and nothing is raised but Malformed."""
        rng = random.Random(4)

        def judged(data: bytes) -> object:
            try:
                return read_request(data)
            except Malformed:
                return Malformed

        for _ in range(300):
            raw = bytearray(
                head(rng.randrange(96), rng.randrange(14), 1, b"shop"[: rng.randrange(5)], TAGS[: rng.randrange(9)])
            )
            for _ in range(rng.randrange(4)):
                raw[rng.randrange(len(raw))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            frame = framed(bytes(raw)) + bytes(rng.randrange(256) for _ in range(8))
            said = None
            for n in range(len(frame) + 1):
                now = judged(frame[:n])
                self.assertTrue(said is None or said == now, (frame, n))
                said = now


class AnswerTests(SynchronousTestCase):
    """Heads of answers."""

    def test_kafka_python(self) -> None:
        """Where kafka-python has tags in an answer's header, lproxy has; of ApiVersions there are never any."""
        for message in messages("response"):
            for version in range(message.max_version + 1):
                one = message[version]()
                one.with_header(7)
                header = bytes(one.encode_header(flexible=message.flexible_version_q(version)))
                tagged = APIS[message.API_KEY].has_tagged_response(version)
                self.assertEqual(b"\0\0\0\7" + b"\0" * tagged, header, (message.name, version))

    def test_all(self) -> None:
        """Of all keys: tags in the answer's header exactly where the request's has some, but for ApiVersions."""
        for key, row in enumerate(SCHEMAS):
            newest, flexible = row.split("/")
            for version in range(int(newest) + 3):
                tagged = flexible != "-" and version >= int(flexible) and key != 18
                self.assertEqual(tagged, APIS[key].has_tagged_response(version), (key, version))


class AcksTests(SynchronousTestCase):
    """What a Produce request wants acknowledged."""

    def test_versions(self) -> None:
        """All versions, with a transactional id and without: found as soon as it is there, and not before."""
        for version in range(14):
            ids: tuple[bytes | None, ...] = (None, b"", b"tx", b"t" * 120) if version >= 3 else (None,)
            for id in ids:
                own = b"" if version < 3 else string(id) if version < 9 else compact(id)
                for acks in (-1, 0, 1):
                    body = own + acks.to_bytes(2, "big", signed=True) + b"rest"
                    at = len(own)
                    for n in range(len(body) + 1):
                        said = read_acks(b"??" + body[:n], 2, 2 + len(body), version)
                        self.assertEqual(acks if n >= at + 2 else None, said, (version, id, acks, n))
                    self.assertEqual(2 + at, find_acks(b"??" + body, 2, 2 + len(body), version))

    def test_long_id(self) -> None:
        """A compact length may take more than one byte, and be longer than it need be."""
        for length in (b"\xc9\x01", b"\xc9\x81\x00"):
            body = length + b"t" * 200 + b"\0\0"
            self.assertEqual(0, read_acks(body, 0, len(body), 9))

    def test_truncated(self) -> None:
        """A body too short for its acks is malformed, whatever follows it, and however it was cut."""
        for version, id in ((0, None), (2, None), (3, None), (8, b"tx"), (9, None), (13, b"tx")):
            own = b"" if version < 3 else string(id) if version < 9 else compact(id)
            body = own + b"\0\0"
            for stop in range(len(body)):
                for trailing in (b"", b"\0" * 9, b"\xff" * 9, b"\x80" * 9):
                    self.assertRaises(Malformed, read_acks, body[:stop] + trailing, 0, stop, version)


class VarintTests(SynchronousTestCase):
    """Unsigned varints, and tag buffers made of them."""

    def test_uvarint(self) -> None:
        """Up to 32 bits; of a part nothing is said, and of more it is said that this is none."""
        for value, raw in (
            (0, "00"),
            (127, "7f"),
            (128, "8001"),
            (300, "ac02"),
            (2**32 - 1, "ffffffff0f"),
            (5, "8500"),
        ):
            data = bytes.fromhex(raw)
            self.assertEqual((value, 1 + len(data)), uvarint(b"\xff" + data + b"\1", 1))
            for n in range(len(data)):
                self.assertIsNone(uvarint(data[:n], 0))
        for raw in ("ffffffff10", "8080808080", "ffffffffff01", "ffffffff7f"):
            self.assertRaises(Malformed, uvarint, bytes.fromhex(raw), 0)

    def test_skip_tags(self) -> None:
        """They end where they end, and cannot end beyond their frame."""
        self.assertEqual(1 + len(TAGS), skip_tags(b"?" + TAGS + b"?", 1, len(TAGS) + 2))
        self.assertEqual(1 + len(TAGS), skip_tags(b"?" + TAGS, 1, len(TAGS) + 1))
        self.assertRaises(Malformed, skip_tags, b"?" + TAGS, 1, len(TAGS))
        for n in range(len(TAGS)):
            self.assertIsNone(skip_tags(TAGS[:n], 0, len(TAGS)))
        for count in (MOST_TAGS, MOST_TAGS + 1):
            tags = bytes([count]) + b"\5\0" * count
            if count == MOST_TAGS:
                self.assertEqual(len(tags), skip_tags(tags, 0, len(tags)))
            else:
                self.assertRaises(Malformed, skip_tags, tags[:1], 0, len(tags))
        # so many cannot be there: nobody begins to count them
        self.assertRaises(Malformed, skip_tags, b"\xff\xff\xff\xff\x0f", 0, 1000)


class SizeTests(SynchronousTestCase):
    """What a size is in truth."""

    def test_other_protocol(self) -> None:
        """TLS hellos and alerts of all versions, and all that HTTP begins with."""
        for word in ("16030100", "16030302", "15030100", "15030300"):
            self.assertEqual("tls", other_protocol(int(word, 16)))
        for text in (
            b"GET ",
            b"POST",
            b"PUT ",
            b"HEAD",
            b"DELETE",
            b"OPTIONS",
            b"PATCH",
            b"CONNECT",
            b"PRI *",
            b"HTTP/1.1",
        ):
            self.assertEqual("http", other_protocol(int.from_bytes(text[:4])), text)
        for size in (-1, 0, 7, 2**31 - 1, -(2**31), 0x17030300, 0x16020000):
            self.assertEqual("", other_protocol(size))

    def test_refused(self) -> None:
        """Too large, too small for a header, or no size at all."""
        for size in (-(2**31), -1, 0, 7):
            self.assertEqual("size", refused_size(size))
        self.assertEqual(["truncated", "truncated"], [refused_size(8), refused_size(9)])
        self.assertEqual("too_large", refused_size(2**31 - 1))
