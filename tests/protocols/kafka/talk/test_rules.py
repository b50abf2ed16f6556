# -*- test-case-name: tests.protocols.kafka.talk.test_rules -*-
"""
Tests for L{lproxy.protocols.kafka.talk.rules}.
"""

from __future__ import annotations

import random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.apis import APIS
from lproxy.protocols.kafka.filter import Filter, Filters
from lproxy.protocols.kafka.metrics import AHEAD
from lproxy.protocols.kafka.talk.request import VersionedApi
from tests.protocols.kafka.talk.scripted import Talk, answer, ask, beat, heartbeat, produce


class Reader(Filter):
    """Reads Heartbeats, and their answers."""

    requests = responses = ("Heartbeat",)

    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_response(self, context: Any, head: Any, body: Any) -> None:
        self.told.append((head.correlation_id, body.error_code if body is not None else None))


class ApiTests(SynchronousTestCase):
    """What a key in a version is."""

    def api(self, key: int, version: int, **settings: Any) -> VersionedApi:
        """As a listener with such settings has it."""
        return Talk(**settings).rules.api(key << 16 | version)

    def test_all(self) -> None:
        """Every key in every version: one object each, named and counted as what it is."""
        rules = Talk().rules
        for key, api in APIS.items():
            for version in range(api.newest + 1):
                one = rules.api(key << 16 | version)
                self.assertIs(one, rules.api(key << 16 | version))
                self.assertEqual((key, version, api.name), (one.key, one.version, one.name))
                self.assertEqual(f"<VersionedApi {api.name} v{version}>", repr(one))
                self.assertEqual((key, version) == (7, 0), one.without_client_id)
                self.assertEqual(("", None, False), (one.denied, one.edit, one.filtered))
                counted = rules.metrics.versions[(api.name, str(version), "")]
                self.assertIs(counted, one.counter)
                self.assertIs(rules.metrics.apis[api.name], counted.api)

    def test_careful(self) -> None:
        """Without rules, requests are looked into for what decides about their answer, and nothing else."""
        rules = Talk().rules
        careful = {key for key in APIS if rules.api(key << 16).inspected}
        peeked = {key for key in APIS if rules.api(key << 16).peek}
        self.assertEqual(({0, 17}, {17, 36}), (careful, peeked))

    def test_usual(self) -> None:
        """The short way for Produce is taken for what has an answer only."""
        for version in range(14):
            one = self.api(0, version)
            for acks in (-1, 0, 1):
                begin = produce(1, acks, version)[4 + 14 :]
                self.assertTrue(acks or begin[:4] not in one.plain_starts, version)
            self.assertTrue(version < 3 or produce(1, 1, version)[18:22] in one.plain_starts)

    def test_negative(self) -> None:
        """Keys and versions of which a sign was taken, as a signed word has them."""
        for word, key, version in ((-1, 65535, 65535), (0x0000FFFF, 0, 65535), (-(2**31), 32768, 0)):
            one = Talk().rules.api(word)
            self.assertEqual((key, version), (one.key, one.version))

    def test_bounded(self) -> None:
        """Who makes up keys and versions makes no series and keeps no objects; those a little ahead of us are told."""
        talk = Talk()
        rng = random.Random(3)
        for _ in range(20_000):
            talk.rules.api(rng.randrange(-(2**31), 2**31))
        for key in range(-5, 200):
            for version in (*range(40), 32_767, 65_535):
                talk.rules.api((key & 0xFFFF) << 16 | version)
        most = sum(api.newest + AHEAD + 1 for api in APIS.values())
        self.assertEqual(most, len(talk.rules.apis))
        self.assertEqual(most + len(APIS) + 1, len(talk.metrics.versions))
        self.assertEqual(len(APIS) + 1, len(talk.metrics.apis))
        self.assertIn(("other", "other", ""), talk.metrics.versions)
        self.assertIn(("Fetch", "22", ""), talk.metrics.versions)
        self.assertNotIn(("Fetch", "23", ""), talk.metrics.versions)

    def test_bounded_in_talk(self) -> None:
        """The same when they come by a connection, with answers."""
        talk = Talk()
        rng = random.Random(3)
        for i in range(2000):
            key, version = rng.randrange(1000, 65536), rng.randrange(65536)
            talk.client(ask(key, version, i))
            talk.broker(answer(key, version, i))
        self.assertEqual(({}, 0), (talk.metrics.protocol_errors, len(talk.rules.apis)))
        ((at, count),) = talk.metrics.versions.items()
        self.assertEqual((("other", "other", ""), 2000, 2000), (at, count.requests, count.responses))

    def test_denied(self) -> None:
        """Denied keys are, in all versions, whatever is usual of them."""
        for version in (0, 9, 300):
            one = self.api(0, version, deny=("0", "10000"))
            self.assertEqual(("denied", True, ()), (one.denied, one.inspected, one.plain_starts))
        self.assertEqual("denied", self.api(10_000, 4, deny=("0", "10000")).denied)
        self.assertEqual("", self.api(1, 4, deny=("0", "10000")).denied)
        one = self.api(0, 9, deny=("0",))
        one.deny("another")
        self.assertEqual("denied", one.denied)

    def test_walked(self) -> None:
        """Where bytes are counted by topic, Fetch and Metadata answers are read, and every batch of Produce."""
        rules = Talk(topics=True).rules
        self.assertEqual({1, 3}, {key for key in APIS if rules.api(key << 16 | 9).walked})
        self.assertEqual((), rules.api(9).plain_starts)

    def test_node(self) -> None:
        """The broker's node id is part of what is counted."""
        talk = Talk()
        talk.rules.node = "7"
        talk.client(heartbeat())
        self.assertEqual([("Heartbeat", "4", "7")], list(talk.metrics.versions))


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
            self.assertEqual((data, [(1, 27), (2, None), (3, 0)]), (talk.to_client, reader.told))

    def test_undecodable(self) -> None:
        """An answer that a filter was to read and cannot does not go on, nor does what follows it."""
        for bad in (answer(12, 4, 2, b"\0"), answer(12, 4, 2, bytes(5000))):
            for size in (1, 10**6):
                talk = Talk(filters=Filters([Reader()]), buffered=1000)
                talk.client(heartbeat(1) + heartbeat(2) + heartbeat(3))
                data = beat(1) + bad + beat(3)
                for at in range(0, len(data), size):
                    talk.broker(data[at : at + size])
                self.assertEqual(
                    (beat(1), True, {"rewrite": 1}), (talk.to_client, talk.over, talk.metrics.protocol_errors)
                )
                self.assertEqual(b"", talk.answers.end())
