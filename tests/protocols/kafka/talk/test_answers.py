# -*- test-case-name: tests.protocols.kafka.talk.test_answers -*-
"""
Tests for L{lproxy.protocols.kafka.talk.answers}: broker to client; and what is wrong in either direction.
"""

from __future__ import annotations

import random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.settings import Quota
from tests.protocols.kafka.codec.test_tally import fetched, produced
from tests.protocols.kafka.talk.scripted import Talk, answer, ask, beat, framed, handshake, heartbeat, produce

#: the largest answer that is taken for one
MOST = 100 << 20
#: the answer to SaslHandshake
GRANTED = b"\0\0\0\0\0\1\0\5PLAIN"


class PassTests(SynchronousTestCase):
    """Answers go on as they are."""

    def test_three_ways(self) -> None:
        """Whole, byte by byte, in pieces and with others behind: the same bytes, the same count."""
        asked = (
            heartbeat(1) + ask(3, 12, 2) + produce(3) + ask(18, 4, 4) + ask(10_000, 1, 5) + ask(7, 0, 6, b"\0\0\0\1")
        )
        data = beat(1) + answer(3, 12, 2, bytes(900)) + answer(0, 9, 3, b"x") + answer(18, 4, 4, b"\0\x23" + bytes(9))
        data += framed(b"\0\0\0\5") + framed(b"\0\0\0\6!")
        counts = set()
        for seed in range(12):
            rng = random.Random(seed)
            talk = Talk()
            talk.client(asked)
            rest = data
            while rest:
                size = 1 if seed == 0 else len(rest) if seed == 1 else rng.choice((1, 2, 3, 5, 20, 400))
                talk.broker(rest[:size])
                rest = rest[size:]
                self.assertLess(talk.kept, 10)
            self.assertEqual((data, [], {}), (talk.to_client, talk.outstanding, talk.metrics.protocol_errors))
            counts.add(repr({name: api.response_bytes for name, api in talk.metrics.apis.items()}))
        self.assertEqual(1, len(counts))

    def test_same(self) -> None:
        """Nobody copies them: the very bytes that came go on, and of a body of 100 MB nothing is kept."""
        talk = Talk()
        talk.client(ask(1, 12, 1) + heartbeat(2))
        first = MOST.to_bytes(4, "big") + b"\0\0\0\1" + bytes(1000)
        self.assertIs(first, talk.answers.feed(first))
        chunk = bytes(1 << 20)
        for _ in range(99):
            self.assertIs(chunk, talk.answers.feed(chunk))
            self.assertEqual(0, talk.kept)
        talk.answers.skip(talk.answers.unseen)
        last = beat(2)
        self.assertIs(last, talk.answers.feed(last))
        self.assertEqual(
            {"Fetch": MOST + 4, "Heartbeat": len(last)}, {n: a.response_bytes for n, a in talk.metrics.apis.items()}
        )

    def test_smallest(self) -> None:
        """An answer may be its header alone, though kinds have more in it that lproxy would read."""
        for key, version in ((17, 1), (36, 0), (36, 1), (12, 3), (10_000, 0)):
            talk = Talk()
            talk.client(ask(key, version, 1, b"\0\1X" if key == 17 else b"") + heartbeat(2))
            data = framed(b"\0\0\0\1") + beat(2)
            for at in range(len(data)):
                talk.broker(data[at : at + 1])
            self.assertEqual((data, [], {}), (talk.to_client, talk.outstanding, talk.metrics.protocol_errors))

    def test_topics(self) -> None:
        """Bytes by topic are read off them, whatever they are, and whatever tags they have; all pass."""
        for tags in (b"\0", b"\1\5\3abc"):
            for body in (bytes(40), b"\xff" * 40, b""):
                talk = Talk(topics=True)
                talk.client(ask(1, 12, 1) + ask(3, 12, 2) + heartbeat(3))
                data = framed(b"\0\0\0\1" + tags + body) + framed(b"\0\0\0\2" + tags + body) + beat(3)
                for at in range(0, len(data), 3):
                    talk.broker(data[at : at + 3])
                self.assertEqual((data, [], {}), (talk.to_client, talk.outstanding, talk.metrics.protocol_errors))


class TallyTests(SynchronousTestCase):
    """Errors in responses are counted while they pass, where that is wanted."""

    def test_counted(self) -> None:
        """Of Produce and Fetch alone, in whatever pieces they come, and nothing of them changes."""
        said = answer(0, 9, 1, produced(9)) + answer(1, 12, 2, fetched(12)) + beat(3)
        for size in (1, 20, 10_000):
            talk = Talk(errors=True)
            talk.client(produce(1) + ask(1, 12, 2) + heartbeat(3))
            for at in range(0, len(said), size):
                talk.broker(said[at : at + size])
            self.assertEqual(said, talk.to_client)
            tallies = talk.metrics.tallies
            self.assertEqual({("Produce", ""), ("Fetch", "")}, set(tallies))
            self.assertEqual([3, 4], [sum(tallies[api, ""].errors.values()) for api in ("Produce", "Fetch")])
            self.assertEqual({}, talk.metrics.topics.fetched)

    def test_with_topics(self) -> None:
        """Topics are counted by the same walk."""
        talk = Talk(errors=True, topics=True)
        talk.client(ask(1, 12, 2))
        talk.broker(answer(1, 12, 2, fetched(12)))
        self.assertEqual({"orders": 27, "paid": 9}, talk.metrics.topics.fetched)
        self.assertEqual(4, sum(talk.metrics.tallies["Fetch", ""].errors.values()))

    def test_off(self) -> None:
        """Without it, nothing is looked at."""
        talk = Talk()
        talk.client(produce(1))
        talk.broker(answer(0, 9, 1, produced(9)))
        self.assertEqual({}, talk.metrics.tallies)


class RefusedTests(SynchronousTestCase):
    """What is no answer, or none to what was asked."""

    def refused(self, data: bytes, reason: str, asked: bytes = b"", before: bytes = b"", **settings: bool) -> None:
        """
        C{data} is refused for C{reason}: unread from there on, both ways, or closed where nothing may pass unread.
        """
        for on_invalid in ("auto", "close"):
            opaque = on_invalid == "auto"
            for trailing in (b"", bytes(50)):
                for size in (1, 10**6):
                    talk = Talk(on_invalid=on_invalid, **settings)
                    talk.client(asked)
                    said = before + data + trailing
                    for at in range(0, len(said), size):
                        talk.broker(said[at : at + size])
                        self.assertLess(talk.kept, 4200)
                    self.assertEqual({reason: 1}, talk.metrics.protocol_errors, (data[:30], size))
                    self.assertEqual([("broker", reason, opaque)], talk.told("invalid"))
                    self.assertEqual((opaque, not opaque), (talk.opaque, talk.over))
                    self.assertEqual(said if opaque else before, talk.to_client)
                    if opaque:
                        more = b"\xff\xff\xff\xff anything"
                        self.assertEqual((more, more), (talk.client(more), talk.broker(more)))

    def test_sizes(self) -> None:
        """Sizes that no answer has, known with their fourth byte."""
        for size in (-1, -(2**31), 0, 1, 3):
            self.refused(size.to_bytes(4, "big", signed=True), "upstream_size", heartbeat())
        for size in (MOST + 1, 2**31 - 1):
            self.refused(size.to_bytes(4, "big"), "upstream_too_large", heartbeat() * 2, beat())

    def test_foreign(self) -> None:
        """A broker that wants TLS, and a server that is none."""
        self.refused(bytes.fromhex("15030300020228"), "upstream_tls", heartbeat())
        self.refused(b"HTTP/1.1 400 Bad Request\r\n\r\n", "upstream_http", heartbeat())

    def test_correlation(self) -> None:
        """An answer to another request than the next: the one after it, one of before, one that nobody asked."""
        for id in (2, 0, -1, 77):
            self.refused(beat(id), "correlation", heartbeat(0) + heartbeat(1) + heartbeat(2), beat(0))

    def test_unexpected(self) -> None:
        """An answer where nothing was asked, or all is answered."""
        self.refused(beat(1), "unexpected")
        self.refused(beat(1), "unexpected", heartbeat(1), beat(1))

    def test_tags(self) -> None:
        """In answers that are looked into: tags that do not fit; no more of them is kept than of a header."""
        for key, version, asked in ((1, 12, ask(1, 12)), (36, 2, ask(36, 2))):
            for tags in (b"\xff\xff\xff\xff\x0f", b"\1\5\x7f", b"\x80" * 5, b"\1", b""):
                self.refused(framed(b"\0\0\0\1" + tags), "tags", asked, topics=True)
            self.assertFalse(Talk(topics=True).rules.api(key << 16 | version).without_client_id)
            talk = Talk(topics=True, max_header=4096)
            talk.client(asked)
            size = 50 << 20
            said = (size + 100).to_bytes(4, "big") + b"\0\0\0\1\1\5" + b"\x80\x80\x80\x19"
            talk.broker(said)
            for _ in range(9):
                talk.broker(bytes(1000))
                self.assertLess(talk.kept, 5200)
            self.assertEqual((said + bytes(9000), {"tags": 1}), (talk.to_client, talk.metrics.protocol_errors))

    def test_given_up(self) -> None:
        """If the client is what nobody can read, nor are the answers: all of them pass, from any byte on."""
        data = beat(1) + beat(7) + b"\xff\xff\xff\xff"
        for n in range(len(beat(1))):
            talk = Talk()
            talk.client(heartbeat(1))
            talk.broker(data[:n])
            talk.client(b"GET / HTTP/1.1\r\n")
            talk.turn()
            talk.broker(data[n:])
            self.assertEqual(
                (data, {"http": 1}, b""), (talk.to_client, talk.metrics.protocol_errors, talk.answers.end())
            )


class EndTests(SynchronousTestCase):
    """The broker says no more."""

    def test_half(self) -> None:
        """Half an answer goes on; the request is counted as incomplete until its answer's header has come."""
        data = answer(3, 12, 1, bytes(30))
        for n in range(len(data)):
            talk = Talk()
            talk.client(ask(3, 12, 1))
            self.assertEqual(data[:n], talk.broker(data[:n]) + talk.answers.end())
            talk.talk.ended()
            self.assertEqual(int(n < 8), talk.metrics.apis["Metadata"].incomplete, n)

    def test_last(self) -> None:
        """The broker's end is the connection's, the client's is not."""
        talk = Talk()
        self.assertEqual((False, True), (talk.requests.last, talk.answers.last))

    def test_login(self) -> None:
        """Half a login is kept until its error code has come."""
        data = answer(17, 1, 1, b"\0\0\0\0\0\0")
        talk = Talk()
        talk.client(handshake(version=1))
        self.assertEqual(b"", talk.broker(data[:9]))
        self.assertEqual(data[:9], talk.answers.end())


class FuzzTests(SynchronousTestCase):
    """Whatever is said, nothing is raised, and what passes is what was said."""

    def conversation(self, rng: random.Random) -> tuple[bytes, bytes]:
        """What both sides say."""
        client, broker = [], []
        for i in range(rng.randrange(1, 12)):
            which = rng.randrange(8)
            if which == 0:
                client.append(produce(i, 0, rng.randrange(14), records=rng.randrange(50)))
            elif which == 1:
                version = rng.randrange(14)
                client.append(produce(i, -1, version, rng.choice((None, b"tx"))))
                broker.append(answer(0, version, i, bytes(20)))
            elif which == 2:
                client += handshake(correlation=i), framed(b"\0u\0p")
                broker += answer(17, 0, i, GRANTED), framed(b"")
            elif which == 3:
                version = rng.randrange(3)
                client += handshake(b"SCRAM-SHA-256", 1, i), ask(36, version, i, b"\0\0\0\1x")
                broker += answer(17, 1, i, GRANTED), answer(36, version, i, bytes(16))
            elif which == 4:
                client.append(ask(rng.choice((10_000, 65_535)), rng.randrange(65536), i, bytes(9)))
                broker.append(framed(i.to_bytes(4, "big") + bytes(9)))
            else:
                key, version = rng.choice(((1, 12), (1, 4), (3, 12), (12, 4), (18, 4)))
                client.append(ask(key, version, i, bytes(rng.randrange(40))))
                broker.append(answer(key, version, i, bytes(rng.randrange(40))))
        return b"".join(client), b"".join(broker)

    def mutated(self, data: bytes, rng: random.Random) -> bytes:
        """C{data} with something wrong."""
        raw = bytearray(data)
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
            at = rng.randrange(len(raw) + 1)
            which = rng.randrange(4)
            if which == 0:
                raw[at : at + 1] = bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))])
            elif which == 1:
                del raw[at : at + rng.randrange(1, 9)]
            elif which == 2:
                raw[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(9)))
            else:
                raw[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\x16\3\1\0"))
        return bytes(raw)

    def test_fuzz(self) -> None:
        """Valid conversations with random mistakes, in random pieces, under rules of all kinds."""
        rules: list[dict[str, Any]] = [
            {},
            {"topics": True},
            {"max_in_flight": 2},
            {"quotas": {"*": Quota(bytes=200, requests=5)}},
            {"on_invalid": "close"},
            {"on_invalid": "close", "deny": ("3",), "topics": True},
        ]
        ends = {"over": 0, "opaque": 0, "read": 0}
        for seed in range(900):
            rng = random.Random(seed)
            said = {"client": b"", "broker": b""}
            talk = Talk(**rng.choice(rules))
            to_say = dict(zip(said, (self.mutated(one, rng) for one in self.conversation(rng)), strict=True))
            while any(to_say.values()):
                # mostly in turn: a broker that answers first is not understood
                who = "client" if to_say["client"] and rng.random() < 0.97 else "broker"
                size = rng.choice((1, 2, 4, 9, 30, 500))
                piece, to_say[who] = to_say[who][:size], to_say[who][size:]
                getattr(talk, who)(piece)
                said[who] += piece
                talk.turn(rng.choice((0, 0, 0.3)))
                self.assertLessEqual(talk.kept, 5_000)
            closed = talk.over
            ends["over" if closed else "opaque" if talk.opaque else "read"] += 1
            for who, passed, tap in (
                ("client", talk.to_broker, talk.requests),
                ("broker", talk.to_client, talk.answers),
            ):
                self.assertEqual(said[who][: len(passed)], passed, seed)
                if not closed:
                    unread = talk._unread if who == "client" else b""
                    self.assertEqual(said[who], passed + tap.end() + unread, seed)
            talk.talk.ended()
        # it was worth it
        self.assertGreater(min(ends.values()), 100, ends)
