# -*- test-case-name: tests.protocols.kafka.test_kinds -*-
"""
Tests for L{lproxy.protocols.kafka.kinds}.
"""

from __future__ import annotations

import random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.account import AHEAD
from lproxy.protocols.kafka.apis import APIS
from lproxy.protocols.kafka.filter import Filter, Filters
from lproxy.protocols.kafka.header import Malformed
from lproxy.protocols.kafka.kinds import Kind, body_of
from tests.protocols.kafka.talk import Talk, answer, ask, beat, heartbeat, produce


class Reader(Filter):
    """Reads Heartbeats, and their answers."""

    requests = responses = ("Heartbeat",)

    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_response(self, context: Any, head: Any, body: Any) -> None:
        self.told.append((head.correlation_id, body.error_code if body is not None else None))


class KindTests(SynchronousTestCase):
    """What a key in a version is."""

    def kind(self, key: int, version: int, **settings: Any) -> Kind:
        """As a listener with such settings has it."""
        return Talk(**settings).rules.kind(key << 16 | version)

    def test_all(self) -> None:
        """Every key in every version: one object each, named and counted as what it is."""
        rules = Talk().rules
        for key, api in APIS.items():
            for version in range(api.newest + 1):
                kind = rules.kind(key << 16 | version)
                self.assertIs(kind, rules.kind(key << 16 | version))
                self.assertEqual((key, version, api.name), (kind.key, kind.version, kind.name))
                self.assertEqual(f"<Kind {api.name} v{version}>", repr(kind))
                self.assertEqual((key, version) == (7, 0), kind.bare)
                self.assertEqual(("", None, False), (kind.denied, kind.edit, kind.filtered))
                counted = rules.account.versions[(api.name, str(version), "")]
                self.assertIs(counted, kind.count)
                self.assertIs(rules.account.apis[api.name], counted.api)

    def test_careful(self) -> None:
        """Without rules, requests are looked into for what decides about their answer, and nothing else."""
        rules = Talk().rules
        careful = {key for key in APIS if rules.kind(key << 16).careful}
        peeked = {key for key in APIS if rules.kind(key << 16).peek}
        self.assertEqual(({0, 17}, {17, 36}), (careful, peeked))

    def test_usual(self) -> None:
        """The short way for Produce is taken for what has an answer only."""
        for version in range(14):
            kind = self.kind(0, version)
            for acks in (-1, 0, 1):
                begin = produce(1, acks, version)[4 + 14 :]
                self.assertTrue(acks or begin[:4] not in kind.usual, version)
            self.assertTrue(version < 3 or produce(1, 1, version)[18:22] in kind.usual)

    def test_negative(self) -> None:
        """Keys and versions of which a sign was taken, as a signed word has them."""
        for word, key, version in ((-1, 65535, 65535), (0x0000FFFF, 0, 65535), (-(2**31), 32768, 0)):
            kind = Talk().rules.kind(word)
            self.assertEqual((key, version), (kind.key, kind.version))

    def test_bounded(self) -> None:
        """Who makes up keys and versions makes no series and keeps no objects; those a little ahead of us are told."""
        talk = Talk()
        rng = random.Random(3)
        for _ in range(20_000):
            talk.rules.kind(rng.randrange(-(2**31), 2**31))
        for key in range(-5, 200):
            for version in (*range(40), 32_767, 65_535):
                talk.rules.kind((key & 0xFFFF) << 16 | version)
        most = sum(api.newest + AHEAD + 1 for api in APIS.values())
        self.assertEqual(most, len(talk.rules.kinds))
        self.assertEqual(most + len(APIS) + 1, len(talk.account.versions))
        self.assertEqual(len(APIS) + 1, len(talk.account.apis))
        self.assertIn(("other", "other", ""), talk.account.versions)
        self.assertIn(("Fetch", "22", ""), talk.account.versions)
        self.assertNotIn(("Fetch", "23", ""), talk.account.versions)

    def test_bounded_in_talk(self) -> None:
        """The same when they come by a connection, with answers."""
        talk = Talk()
        rng = random.Random(3)
        for i in range(2000):
            key, version = rng.randrange(1000, 65536), rng.randrange(65536)
            talk.client(ask(key, version, i))
            talk.broker(answer(key, version, i))
        self.assertEqual(({}, 0), (talk.account.faults, len(talk.rules.kinds)))
        ((at, count),) = talk.account.versions.items()
        self.assertEqual((("other", "other", ""), 2000, 2000), (at, count.requests, count.responses))

    def test_denied(self) -> None:
        """Denied keys are, in all versions, whatever is usual of them."""
        for version in (0, 9, 300):
            kind = self.kind(0, version, deny=("0", "10000"))
            self.assertEqual(("denied", True, ()), (kind.denied, kind.careful, kind.usual))
        self.assertEqual("denied", self.kind(10_000, 4, deny=("0", "10000")).denied)
        self.assertEqual("", self.kind(1, 4, deny=("0", "10000")).denied)
        kind = self.kind(0, 9, deny=("0",))
        kind.deny("another")
        self.assertEqual("denied", kind.denied)

    def test_walked(self) -> None:
        """Where bytes are counted by topic, Fetch and Metadata answers are read, and every batch of Produce."""
        rules = Talk(topics=True).rules
        self.assertEqual({1, 3}, {key for key in APIS if rules.kind(key << 16 | 9).walked})
        self.assertEqual((), rules.kind(9).usual)

    def test_node(self) -> None:
        """The broker's node id is part of what is counted."""
        talk = Talk()
        talk.rules.node = "7"
        talk.client(heartbeat())
        self.assertEqual([("Heartbeat", "4", "7")], list(talk.account.versions))


class FilterTests(SynchronousTestCase):
    """What filters read of answers."""

    def test_told(self) -> None:
        """Whole answers of the kinds they name, decoded, however they come; of others their heads; all pass."""
        for size in (1, 7, 10**6):
            reader = Reader()
            talk = Talk(filters=Filters([reader]))
            talk.client(heartbeat(1) + ask(3, 12, 2) + heartbeat(3))
            data = answer(12, 4, 1, b"\0\0\0\0\0\x1b\0") + answer(3, 12, 2, b"?" * 99) + beat(3)
            for at in range(0, len(data), size):
                talk.broker(data[at : at + size])
            self.assertEqual((data, [(1, 27), (2, None), (3, 0)]), (talk.back, reader.told))

    def test_undecodable(self) -> None:
        """An answer that a filter was to read and cannot does not go on, nor does what follows it."""
        for bad in (answer(12, 4, 2, b"\0"), answer(12, 4, 2, bytes(5000))):
            for size in (1, 10**6):
                talk = Talk(filters=Filters([Reader()]), buffered=1000)
                talk.client(heartbeat(1) + heartbeat(2) + heartbeat(3))
                data = beat(1) + bad + beat(3)
                for at in range(0, len(data), size):
                    talk.broker(data[at : at + size])
                self.assertEqual((beat(1), True, {"rewrite": 1}), (talk.back, talk.over, talk.account.faults))
                self.assertEqual(b"", talk.answers.end())


class BodyTests(SynchronousTestCase):
    """Where an answer's body begins."""

    def test_body(self) -> None:
        """Behind the tags, if it has any; not known before these have come."""
        talk = Talk()
        plain, tagged = talk.rules.kind(12 << 16 | 3), talk.rules.kind(12 << 16 | 4)
        frame = b"\0\0\0\x0e\0\0\0\1\1\5\3abcbody"
        self.assertEqual(8, body_of(plain, frame, len(frame)))
        for n in range(8, 14):
            self.assertIsNone(body_of(tagged, frame[:n], len(frame)))
        self.assertEqual(14, body_of(tagged, frame, len(frame)))
        self.assertRaises(Malformed, body_of, tagged, frame[:12], 12)
