# -*- test-case-name: tests.protocols.kafka.codec.test_topics -*-
"""
Tests for L{lproxy.protocols.kafka.codec.topics}, held against kafka-python's encoders.
"""

from __future__ import annotations

from random import Random
from typing import Any
from uuid import UUID

from kafka.protocol.consumer import FetchResponse
from kafka.protocol.metadata import MetadataResponse
from kafka.protocol.producer import ProduceRequest
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.apis import FETCH, METADATA, PRODUCE
from lproxy.protocols.kafka.codec.topics import Topics, Walker

IDS = {"orders": UUID(int=7), "paid": UUID(int=8)}
SIZES = {"orders": (1000, 24), "paid": (5,)}


def produce(version: int) -> bytes:
    """A body with records of L{SIZES}."""
    Topic = ProduceRequest.TopicProduceData
    Partition = Topic.PartitionProduceData
    topics = [
        Topic(
            **({"topic_id": IDS[name]} if version >= 13 else {"name": name}),
            partition_data=[Partition(index=i, records=b"r" * size) for i, size in enumerate(sizes)],
        )
        for name, sizes in SIZES.items()
    ]
    request = ProduceRequest(transactional_id=None, acks=-1, timeout_ms=1000, topic_data=topics)
    request._header = None
    return bytes(request.encode(version=version))


def fetch(version: int) -> bytes:
    """An answer with records of L{SIZES}."""
    Topic = FetchResponse.FetchableTopicResponse
    Partition = Topic.PartitionData
    topics = [
        Topic(
            **({"topic_id": IDS[name]} if version >= 13 else {"topic": name}),
            partitions=[
                Partition(
                    partition_index=i,
                    aborted_transactions=[
                        Partition.AbortedTransaction(producer_id=1, first_offset=2) for _ in range(i + 1)
                    ],
                    records=b"r" * size,
                )
                for i, size in enumerate(sizes)
            ],
        )
        for name, sizes in SIZES.items()
    ]
    response = FetchResponse(throttle_time_ms=0, error_code=0, session_id=9, responses=topics)
    response._header = None
    return bytes(response.encode(version=version))


def metadata(version: int) -> bytes:
    """An answer that tells the topics' ids."""
    Topic = MetadataResponse.MetadataResponseTopic
    Partition = Topic.MetadataResponsePartition
    topics = [
        Topic(
            name=name,
            topic_id=topic_id,
            partitions=[
                Partition(partition_index=i, leader_id=1, replica_nodes=[1, 2], isr_nodes=[1], offline_replicas=[])
                for i in range(3)
            ],
        )
        for name, topic_id in IDS.items()
    ]
    broker = MetadataResponse.MetadataResponseBroker(node_id=1, host="kafka-1", port=9092, rack="r")
    response = MetadataResponse(brokers=[broker], cluster_id="c", controller_id=1, topics=topics)
    response._header = None
    return bytes(response.encode(version=version))


class TopicTests(SynchronousTestCase):
    """What is counted of which topic."""

    def setUp(self) -> None:
        self.topics = Topics(200)
        self.want = {name: sum(sizes) for name, sizes in SIZES.items()}

    def learn(self) -> None:
        """Ids are known."""
        self.walk(self.topics.answer(METADATA, 12), metadata(12))

    def walk(self, walker: Walker | None, body: bytes, step: int = 1 << 20) -> Walker:
        """The body comes in pieces."""
        assert walker is not None
        for at in range(0, len(body), step):
            walker.feed(bytes(body[at : at + step]))
        return walker

    def test_produce(self) -> None:
        """The bytes of a request's records are their topics', in every version and in pieces of any size."""
        self.learn()
        for version in range(3, 14):
            for step in (1, 7, 1 << 20):
                with self.subTest(version=version, step=step):
                    self.topics.produced.clear()
                    walker = self.walk(self.topics.request(PRODUCE, version), produce(version), step)
                    self.assertEqual((self.want, True), (self.topics.produced, walker.done))

    def test_fetch(self) -> None:
        """So are those of an answer's."""
        self.learn()
        for version in range(4, 19):
            for step in (1, 7, 1 << 20):
                with self.subTest(version=version, step=step):
                    self.topics.fetched.clear()
                    walker = self.walk(self.topics.answer(FETCH, version), fetch(version), step)
                    self.assertEqual((self.want, True), (self.topics.fetched, walker.done))

    def test_ids(self) -> None:
        """Names are learnt from Metadata of every version that has ids; until then a topic is unknown."""
        for version in range(10, 14):
            topics = Topics(200)
            self.walk(topics.request(PRODUCE, 13), produce(13))
            self.assertEqual({"unknown": sum(self.want.values())}, topics.produced)
            topics.produced.clear()
            self.assertTrue(self.walk(topics.answer(METADATA, version), metadata(version), 3).done)
            self.walk(topics.request(PRODUCE, 13), produce(13))
            self.assertEqual(self.want, topics.produced)

    def test_cap(self) -> None:
        """Beyond the cap a topic is other."""
        topics = Topics(1)
        self.walk(topics.request(PRODUCE, 9), produce(9))
        self.assertEqual({"orders": 1024, "other": 5}, topics.produced)

    def test_not_read(self) -> None:
        """Other requests, and versions that are not known here, are not walked."""
        for key, version in ((PRODUCE, 14), (METADATA, 1), (99, 0)):
            self.assertIsNone(self.topics.request(key, version))
            self.assertIsNone(self.topics.answer(key, version))

    def test_nonsense(self) -> None:
        """What is no such body ends the walk at the worst, at little cost, and raises nothing."""
        random = Random(3)
        good = [(PRODUCE, produce), (FETCH, fetch), (METADATA, metadata)]
        for _ in range(600):
            key, make = random.choice(good)
            version = random.choice((10, 12, 13))
            body = bytearray(make(version))
            for _ in range(random.randrange(1, 5)):
                body[random.randrange(len(body))] = random.choice((0, 1, 0x7F, 0x80, 0xFF))
            walker: Any = self.topics.request(key, version) or self.topics.answer(key, version)
            walker.feed(bytes(body))
            walker.feed(random.randbytes(200))
            self.assertLessEqual(len(walker._gathered), 1 << 15)
