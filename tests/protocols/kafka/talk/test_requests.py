# -*- test-case-name: tests.protocols.kafka.talk.test_requests -*-
"""
Tests for L{lproxy.protocols.kafka.talk.requests}: the way to the broker, and what does not go there.

Over 300 lines: what is refused is so in many ways, which share their scene.
"""

from __future__ import annotations

import random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.filter import Answer, Close, Decision, Filter, Filters, Forward
from tests.protocols.kafka.talk.scripted import (
    NAME,
    Talk,
    answer,
    ask,
    beat,
    compact,
    framed,
    handshake,
    head,
    heartbeat,
    produce,
)

#: as much as brokers take
MOST = 100 << 20
HELLO = bytes.fromhex("160301002f0100002b0303") + bytes(40)
#: many tags, of which nobody knows any
TAGS = b"\x02\x05\x00\x06\x03abc"


class PassTests(SynchronousTestCase):
    """Requests go on as they are, whatever they are."""

    def test_three_ways(self) -> None:
        """Of every kind, whole, byte by byte, in pieces and with others behind: the same bytes, the same count."""
        requests = [heartbeat(), heartbeat(client=None), heartbeat(client=b""), heartbeat(client=b"\xff\xfe" * 90)]
        requests += [ask(3, 12, 5, b"body", tags=TAGS), ask(10_000, 3, 6, b"a vendor's own")]
        requests += [ask(0, 9, 1, compact(b"tx" * 20) + b"\0\1" + bytes(300), tags=TAGS), handshake(), ask(47, 0, -9)]
        requests += [framed(head(7, 0)[:8] + b"\0\0\0\1"), ask(12, 4, client=b"c" * 3000), ask(17, 1, 4, b"\0\0")]
        requests += [
            produce(1, acks, version, id) for version in range(14) for acks in (-1, 0, 1) for id in (None, b"t")
        ]
        counts = set()
        data = b"".join(requests)
        for seed in range(12):
            rng = random.Random(seed)
            talk = Talk()
            rest = data
            while rest:
                size = 1 if seed == 0 else len(rest) if seed == 1 else rng.choice((1, 2, 3, 5, 20, 400))
                talk.client(rest[:size])
                rest = rest[size:]
                self.assertLess(talk.kept, 3100)
            self.assertEqual((data, 0), (talk.to_broker, talk.kept))
            self.assertEqual(({}, False, False), (talk.metrics.protocol_errors, talk.over, talk.opaque))
            apis = {name: (api.request_bytes, sum(api.sizes.counts)) for name, api in talk.metrics.apis.items()}
            counts.add(repr((apis, {at: one.requests for at, one in talk.metrics.versions.items()})))
            self.assertEqual(len(requests), sum(one.requests for one in talk.metrics.versions.values()))
            self.assertEqual(len(data), sum(api.request_bytes for api in talk.metrics.apis.values()))
        self.assertEqual(1, len(counts))

    def test_same(self) -> None:
        """On the usual way nobody copies anything: the very bytes that came go on."""
        for data in (heartbeat(), produce() * 50, produce(records=10**6)[:65_536]):
            self.assertIs(data, Talk().requests.feed(data))

    def test_large(self) -> None:
        """Of the largest body that is let through nothing is kept."""
        talk = Talk()
        first = MOST.to_bytes(4, "big") + produce()[4:30]
        self.assertIs(first, talk.requests.feed(first))
        chunk = bytes(1 << 20)
        for _ in range(99):
            self.assertIs(chunk, talk.requests.feed(chunk))
            self.assertEqual(0, talk.kept)
        self.assertEqual(MOST + 4 - len(first) - 99 * len(chunk), talk.requests.unseen)
        talk.requests.skip(talk.requests.unseen)
        self.assertEqual(heartbeat(), talk.client(heartbeat()))
        self.assertEqual({}, talk.metrics.protocol_errors)

    def test_client_id(self) -> None:
        """What the client calls itself is known, and may change; what is no UTF-8 can be shown."""
        talk = Talk()
        self.assertIsNone(talk.talk.context.client_id)
        for name, shown in ((NAME, "shop"), (b"", ""), (None, None), ("größe".encode(), "größe"), (b"\xff", "\ufffd")):
            for piece in heartbeat(client=name):
                talk.client(bytes([piece]))
            self.assertEqual(shown, talk.talk.context.client_id)


class RefusedTests(SynchronousTestCase):
    """What is no request."""

    def refused(self, data: bytes, reason: str, goes_on: bool, keeps: int = 4096 + 14, **settings: Any) -> None:
        """
        C{data} is refused for C{reason} (or one of several), and what came before it passes: at once, byte by byte,
        or with more behind.

        @param goes_on: or it passes unread, where it may
        """
        for on_invalid in ("auto", "close"):
            opaque = goes_on and on_invalid == "auto"
            for trailing in (b"", bytes(50)):
                for size in (1, 10**6):
                    talk = Talk(on_invalid=on_invalid, **settings)
                    said = heartbeat(1) + data + trailing
                    for at in range(0, len(said), size):
                        talk.client(said[at : at + size])
                        self.assertLessEqual(talk.kept, keeps)
                    ((said_reason, count),) = talk.metrics.protocol_errors.items()
                    self.assertIn(said_reason, reason.split("|"), (data[:20], size, trailing))
                    self.assertEqual(1, count)
                    self.assertEqual([("client", said_reason, opaque)], talk.told("invalid"))
                    self.assertEqual((opaque, not opaque), (talk.opaque, talk.over))
                    self.assertEqual(said if opaque else heartbeat(1), talk.to_broker)
                    self.assertEqual(b"", talk.requests.end())

    def test_sizes(self) -> None:
        """A size that cannot be is refused with its fourth byte, in every mode: no broker would take it."""
        for size in (-1, -(2**31), *range(8)):
            self.refused(size.to_bytes(4, "big", signed=True), "size", False)
        for size in (MOST + 1, 2**31 - 1):
            self.refused(size.to_bytes(4, "big"), "too_large", False)
        self.refused((101).to_bytes(4, "big"), "too_large", False, max_request=100)
        talk = Talk(max_request=len(heartbeat()) - 4)
        self.assertEqual(heartbeat(), talk.client(heartbeat()))

    def test_too_small(self) -> None:
        """A frame that has no room for a header is truncated, and known to be by its size."""
        for size in (8, 9):
            self.refused(size.to_bytes(4, "big") + head(12, 3)[:size], "truncated", True)
            talk = Talk()
            self.assertEqual(size.to_bytes(4, "big"), talk.client(size.to_bytes(4, "big")))

    def test_foreign(self) -> None:
        """TLS and HTTP are called by their names."""
        self.refused(HELLO, "tls_on_plaintext", True)
        self.refused(bytes.fromhex("15030300020228"), "tls_on_plaintext", True)
        for line in (b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.0\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            self.refused(line, "http", True)

    def test_client_id(self) -> None:
        """A client id that does not fit into its frame, whatever the requests before had."""
        for length in (-2, -32768, 1, 4, 32767):
            raw = head(12, 3)[:8] + length.to_bytes(2, "big", signed=True)
            self.refused(framed(raw), "client_id", True)
        # the one of the requests before, of which the end lies in the next frame
        for size in range(10, 14):
            self.refused(size.to_bytes(4, "big") + head(12, 3)[:14], "client_id", True)

    def test_truncated(self) -> None:
        """A Produce request that ends before its acks, at every length."""
        for version in (0, 2, 3, 8, 9, 13):
            own = b"" if version < 3 else compact(b"tx") if version >= 9 else b"\0\2tx"
            raw = head(0, version, tags=TAGS if version >= 9 else b"") + own
            for size in range(14, len(raw) + 2):
                data = (raw + b"\0\1")[:size]
                self.refused(framed(data), "truncated|tags", True)

    def test_long(self) -> None:
        """A header that is longer than is kept of it."""
        self.refused(heartbeat(client=b"c" * 4097), "header_too_long", True, max_header=4096)
        long = framed(head(12, 3)[:8] + b"\x7f\xff" + bytes(32767))
        self.refused(long, "header_too_long", True, max_header=4096)
        for raw in (
            head(0, 9) + b"\x88\x27" + b"t" * 4999 + b"\0\1",
            head(0, 8) + b"\x7f\xff" + b"t" * 32767 + b"\0\1",
            head(17, 1) + b"\x7f\xff" + b"m" * 32767,
            head(0, 9, tags=b"\1\5\xff\x7f" + bytes(16383)) + b"\0\0\1",
        ):
            talk = Talk(max_header=4096)
            for at in range(0, len(raw), 100):
                talk.client((len(raw).to_bytes(4, "big") if at == 0 else b"") + raw[at : at + 100])
                self.assertLess(talk.kept, 4096 + 104)
            self.assertEqual(({"header_too_long": 1}, True), (talk.metrics.protocol_errors, talk.opaque))
            self.assertEqual(framed(raw), talk.to_broker)

    def test_vendor(self) -> None:
        """The header of an unknown key may be its own: it goes on, whatever stands where a client id would."""
        for on_invalid in ("auto", "close"):
            for body in (b"\x7f\xff" + bytes(9), b"\xff\xfe", b"\x13\x88" + bytes(6000), b"\0\4ab", b"\0\2\xff\xff"):
                data = heartbeat() + framed(head(10_000, 3)[:8] + body) + heartbeat()
                for size in (1, 10**6):
                    talk = Talk(on_invalid=on_invalid)
                    for at in range(0, len(data), size):
                        talk.client(data[at : at + size])
                    self.assertEqual((data, {}, False), (talk.to_broker, talk.metrics.protocol_errors, talk.over))

    def test_denied(self) -> None:
        """A denied request is refused before anything of it goes on, even if it is not wanted answered."""
        for data in (ask(20, 6, 2, b"body"), ask(20, 6, 2, tags=TAGS), ask(20, 0, 2), ask(20, 300, 2)):
            for size in (1, 10**6):
                talk = Talk(deny=("20",))
                said = heartbeat() + data + heartbeat()
                for at in range(0, len(said), size):
                    talk.client(said[at : at + size])
                self.assertEqual(
                    (heartbeat(), True, {"DeleteTopics": 1}), (talk.to_broker, talk.over, talk.metrics.denied)
                )
                self.assertEqual([("client", "denied", False)], talk.told("invalid"))
        talk = Talk(deny=("10000", "0"))
        talk.client(produce(1, 0))
        self.assertEqual((b"", {"Produce": 1}, 0), (talk.to_broker, talk.metrics.denied, talk.metrics.no_response))
        talk = Talk(deny=("10000",))
        talk.client(ask(10_000, 9))
        self.assertEqual((b"", {"other": 1}), (talk.to_broker, talk.metrics.denied))


class EndTests(SynchronousTestCase):
    """The client says no more."""

    def test_half(self) -> None:
        """What it began goes on, at whatever byte."""
        data = produce(1, 1, 9, b"tx")
        for n in range(len(data)):
            talk = Talk()
            self.assertEqual(data[:n], talk.client(data[:n]) + talk.requests.end())

    def test_denied(self) -> None:
        """But not of what was refused, or is half of what a rule is to judge."""
        data = ask(20, 6, 2, b"body", tags=TAGS)
        for n in range(len(data)):
            talk = Talk(deny=("20",))
            passed = talk.client(data[:n]) + talk.requests.end()
            self.assertLess(len(passed), len(data))
            self.assertTrue(n < 14 + 4 + len(TAGS) or not passed)


class Scripted(Filter):
    """Decides by correlation id: none but 1 goes on; 2 is answered, 3 closes."""

    def __init__(self, *requests: str) -> None:
        self.requests = requests
        self.asked: list[tuple[int, bool]] = []

    def on_request(self, context: Any, head: Any, body: Any) -> Decision:
        self.asked.append((head.correlation_id, body is not None))
        if head.correlation_id == 2:
            return Answer(b"ours")
        return Close() if head.correlation_id == 3 else Forward()


class FilterTests(SynchronousTestCase):
    """What filters decide."""

    def test_answered(self) -> None:
        """An answer of ours takes its turn, and the request does not go on; whole, or byte by byte."""
        ours = answer(12, 4, 2, b"ours")
        for wants in ((), ("Heartbeat",)):
            for size in (1, 10**6):
                filter = Scripted(*wants)
                talk = Talk(filters=Filters([filter]))
                said = heartbeat(1) + heartbeat(2) + heartbeat(2) + heartbeat(4)
                for at in range(0, len(said), size):
                    talk.client(said[at : at + size])
                    talk.turn()
                self.assertEqual(heartbeat(1) + heartbeat(4), talk.to_broker)
                self.assertEqual([(1, bool(wants)), (2, bool(wants)), (2, bool(wants)), (4, bool(wants))], filter.asked)
                self.assertEqual(b"", talk.to_client)
                talk.broker(beat(1)[:9])
                self.assertEqual(beat(1)[:9], talk.to_client)
                talk.broker(beat(1)[9:])
                talk.turn()
                self.assertEqual(beat(1) + ours + ours, talk.to_client)
                talk.broker(beat(4))
                self.assertEqual((beat(1) + ours + ours + beat(4), []), (talk.to_client, talk.outstanding))
                self.assertEqual({"Heartbeat": 2}, talk.metrics.denied)

    def test_answered_while_held(self) -> None:
        """It does not overtake the answer that made room for its request."""
        talk = Talk(filters=Filters([Scripted()]), max_in_flight=1)
        talk.client(heartbeat(1) + heartbeat(2))
        talk.broker(beat(1))
        for _ in range(3):
            talk.turn()
        self.assertEqual((beat(1) + answer(12, 4, 2, b"ours"), ""), (talk.to_client, talk.held))

    def test_closed(self) -> None:
        """What is to be closed is, before anything of it goes on, and what follows does not go on either."""
        for wants in ((), ("Heartbeat",)):
            for size in (1, 10**6):
                talk = Talk(filters=Filters([Scripted(*wants)]))
                said = heartbeat(1) + heartbeat(3) + heartbeat(1)
                for at in range(0, len(said), size):
                    talk.client(said[at : at + size])
                self.assertEqual((heartbeat(1), True, b""), (talk.to_broker, talk.over, talk.requests.end()))

    def test_undecodable(self) -> None:
        """A body that a filter wants to read and cannot ends it, and nothing behind it goes on."""
        talk = Talk(filters=Filters([Scripted("Heartbeat")]))
        talk.client(heartbeat(1) + ask(12, 4, 1, b"\x7f") + heartbeat(1))
        self.assertEqual((heartbeat(1), True), (talk.to_broker, talk.over))
        self.assertEqual({"undecodable": 1}, talk.metrics.protocol_errors)

    def test_too_large(self) -> None:
        """Nor is more gathered for one than may be."""
        talk = Talk(filters=Filters([Scripted("Heartbeat")]), buffered=100)
        talk.client(ask(12, 4, 1, bytes(200))[:40])
        self.assertEqual(
            (b"", True, {"filter_too_large": 1}), (talk.to_broker, talk.over, talk.metrics.protocol_errors)
        )

    def test_silent(self) -> None:
        """Where no answer is wanted, none is given."""
        talk = Talk(filters=Filters([Scripted()]))
        talk.client(produce(2, 0, records=5000)[:100])
        talk.client(produce(2, 0, records=5000)[100:] + heartbeat(1))
        talk.broker(beat(1))
        talk.turn()
        self.assertEqual((heartbeat(1), beat(1), []), (talk.to_broker, talk.to_client, talk.outstanding))
