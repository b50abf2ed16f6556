# -*- test-case-name: tests.protocols.kafka.test_sample_filter -*-
"""
Let clients produce to some topics, and fetch from them, and no others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka.protocol.consumer import FetchResponse
from kafka.protocol.producer import ProduceResponse

from lproxy.protocols.kafka.filter import CLOSE, FORWARD, Answer, Context, Decision, Filter, RequestHead

#: Kafka's error code
TOPIC_AUTHORIZATION_FAILED = 29


class TopicAllowList(Filter):
    """A request with any other topic is answered as a broker answers whoever may not."""

    requests = ("Produce", "Fetch")

    def __init__(self, topics: Iterable[str]) -> None:
        self._allowed = frozenset(topics)

    def on_request(self, context: Context, head: RequestHead, body: Any) -> Decision:
        """Look at the topics of what was decoded; everything else passes."""
        if body is None:
            return FORWARD
        topics = body.topic_data if body.name == "ProduceRequest" else body.topics
        names = {getattr(topic, "name", None) or getattr(topic, "topic", None) for topic in topics}
        if names <= self._allowed:
            return FORWARD
        if None in names:
            # a topic by its id (Produce and Fetch from version 13 on): who cannot tell must not let it pass
            return CLOSE
        return Answer(refused_produce(topics) if body.name == "ProduceRequest" else refused_fetch(topics))


def refused_produce(topics: Any) -> ProduceResponse:
    """Nothing was written."""
    Topic = ProduceResponse.TopicProduceResponse
    Partition = Topic.PartitionProduceResponse
    return ProduceResponse(
        responses=[
            Topic(
                name=topic.name,
                partition_responses=[
                    Partition(index=one.index, error_code=TOPIC_AUTHORIZATION_FAILED, base_offset=-1)
                    for one in topic.partition_data
                ],
            )
            for topic in topics
        ]
    )


def refused_fetch(topics: Any) -> FetchResponse:
    """Nothing is to be had."""
    Topic = FetchResponse.FetchableTopicResponse
    Partition = Topic.PartitionData
    return FetchResponse(
        responses=[
            Topic(
                topic=topic.topic,
                partitions=[
                    Partition(partition_index=one.partition, error_code=TOPIC_AUTHORIZATION_FAILED, high_watermark=-1)
                    for one in topic.partitions
                ],
            )
            for topic in topics
        ]
    )
