# -*- test-case-name: tests.protocols.kafka.codec.test_tally -*-
"""
Tests for L{lproxy.protocols.kafka.codec.tally}, and for how responses are walked for it: kafka-python encodes them.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from kafka.errors import for_code
from kafka.protocol.consumer import FetchResponse
from kafka.protocol.producer import ProduceResponse
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.apis import APIS, FETCH, PRODUCE
from lproxy.protocols.kafka.codec.tally import MOST, NAMES, Tally
from lproxy.protocols.kafka.codec.topics import Topics

TOPICS = {"orders": (0, 6, 6), "paid": (29,)}


def named(version: int, key: str, name: str) -> dict[str, Any]:
    """A topic's name, or its id."""
    return {"topic_id": UUID(int=len(name))} if version >= 13 else {key: name}


def produced(version: int, throttle: int = 1500) -> bytes:
    """A response to Produce with the errors of L{TOPICS}."""
    Topic = ProduceResponse.TopicProduceResponse
    Partition = Topic.PartitionProduceResponse
    wrong: dict[str, Any] = {}
    if version >= 8:
        wrong["record_errors"] = [Partition.BatchIndexAndErrorMessage(batch_index=1, batch_index_error_message="why")]
    topics = [
        Topic(
            **named(version, "name", name),
            partition_responses=[
                Partition(index=i, error_code=code, base_offset=1, **wrong) for i, code in enumerate(codes)
            ],
        )
        for name, codes in TOPICS.items()
    ]
    response = ProduceResponse(responses=topics, throttle_time_ms=throttle)
    response._header = None
    return bytes(response.encode(version=version))


def fetched(version: int, throttle: int = 1500) -> bytes:
    """A response to Fetch with the same errors, and one of its own."""
    Topic = FetchResponse.FetchableTopicResponse
    Partition = Topic.PartitionData
    topics = [
        Topic(
            **named(version, "topic", name),
            partitions=[
                Partition(partition_index=i, error_code=code, records=b"r" * 9) for i, code in enumerate(codes)
            ],
        )
        for name, codes in TOPICS.items()
    ]
    response = FetchResponse(throttle_time_ms=throttle, error_code=70, session_id=9, responses=topics)
    response._header = None
    return bytes(response.encode(version=version))


class WalkTests(SynchronousTestCase):
    """Responses are walked as they pass."""

    def tally(self, key: int, version: int, body: bytes, size: int) -> Tally:
        """What is told of it, in pieces of C{size}."""
        tally, topics = Tally(), Topics(10)
        walker = topics.answer(key, version, tally, counted=False)
        assert walker is not None
        for at in range(0, len(body), size):
            walker.feed(body[at : at + size])
        self.assertTrue(walker.done)
        self.assertEqual({}, topics.fetched)
        return tally

    def test_produce(self) -> None:
        """In all versions: the error of each partition, and the throttle time."""
        for version in range(3, 14):
            for size in (1, 7, 10_000):
                tally = self.tally(PRODUCE, version, produced(version), size)
                self.assertEqual({"NOT_LEADER_OR_FOLLOWER": 2, "TOPIC_AUTHORIZATION_FAILED": 1}, tally.errors)
                self.assertEqual(1.5, tally.throttled)

    def test_fetch(self) -> None:
        """As well, and the error of the whole."""
        for version in range(4, 16):
            for size in (1, 7, 10_000):
                tally = self.tally(FETCH, version, fetched(version), size)
                errors = {"NOT_LEADER_OR_FOLLOWER": 2, "TOPIC_AUTHORIZATION_FAILED": 1}
                whole = {"FETCH_SESSION_ID_NOT_FOUND": 1} if version >= 7 else {}
                self.assertEqual((errors | whole, 1.5), (tally.errors, tally.throttled))

    def test_bytes_too(self) -> None:
        """Bytes by topic are counted by the same walk."""
        topics, tally = Topics(10), Tally()
        walker = topics.answer(FETCH, 12, tally)
        assert walker is not None
        walker.feed(fetched(12))
        self.assertEqual(({"orders": 27, "paid": 9}, 3), (topics.fetched, len(tally.errors)))

    def test_nothing(self) -> None:
        """Without anybody to tell, Produce's is not walked; nor is a version that nobody knows."""
        self.assertIsNone(Topics(1).answer(PRODUCE, 9))
        for key in (PRODUCE, FETCH):
            self.assertIsNone(Topics(1).answer(key, APIS[key].newest + 1, Tally()))


class TallyTests(SynchronousTestCase):
    """Counts, bounded."""

    def test_names(self) -> None:
        """Names are Kafka's own, of which kafka-python has some as they were once."""
        renamed = {-1: "UNKNOWN", 6: "NOT_LEADER_FOR_PARTITION", 10: "MESSAGE_SIZE_TOO_LARGE", 17: "INVALID_TOPIC"}
        self.assertEqual({code: for_code(code).message for code in NAMES}, NAMES | renamed)

    def test_bounded(self) -> None:
        """Whatever codes are made up, there are only so many."""
        tally = Tally()
        for code in range(-(1 << 15), 1 << 15):
            tally.error(code)
        self.assertEqual((MOST + 1, (1 << 16) - 1), (len(tally.errors), sum(tally.errors.values())))
        self.assertEqual((1 << 16) - 1 - MOST, tally.errors["other"])

    def test_negative(self) -> None:
        """Time does not run backwards."""
        tally = Tally()
        for milliseconds in (-5, 250, 0):
            tally.throttle(milliseconds)
        self.assertEqual(0.25, tally.throttled)
