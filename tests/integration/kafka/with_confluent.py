# -*- test-case-name: tests.integration.kafka.test_clients -*-
"""
confluent-kafka: librdkafka with Python around it.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.integration.kafka.interface import PATIENCE, Client, Flood, Reader


class ConfluentReader(Reader):
    """A Consumer."""

    def __init__(self, config: dict[str, Any], topic: str) -> None:
        self._consumer = Consumer(config)
        self._consumer.subscribe([topic])

    def poll(self, seconds: float) -> list[bytes]:
        found = []
        for message in self._consumer.consume(500, seconds):
            if message.error() is None:
                found.append(message.value())
            elif message.error().code() not in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._TRANSPORT):
                raise AssertionError(message.error())
        return found

    def assigned(self) -> int:
        return len(self._consumer.assignment())

    def close(self) -> None:
        self._consumer.close()


class ConfluentFlood(Flood):
    """A Producer that is never waited for."""

    def __init__(self, producer: Producer, topic: str) -> None:
        super().__init__()
        self._producer, self._topic = producer, topic

    def send(self, n: int) -> None:
        def told(error: Any, message: Any) -> None:
            if error is None:
                self.acked.append(n)
            else:
                self.failed[n] = str(error)

        self._producer.produce(self._topic, b"%d" % n, on_delivery=told)
        self._producer.poll(0)

    def flush(self) -> None:
        self._producer.flush(PATIENCE)


class ConfluentClient(Client):
    """librdkafka's own names for everything."""

    def config(self, **more: Any) -> dict[str, Any]:
        """What all of its parts are told; C{a_b} means C{a.b}."""
        config: dict[str, Any] = {"bootstrap.servers": self.bootstrap}
        if self.sasl:
            config |= {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": self.sasl}
            config |= {"sasl.username": self.user, "sasl.password": self.password}
        return config | {name.replace("_", "."): value for name, value in more.items()} | self.more

    @functools.cached_property
    def admin_client(self) -> AdminClient:
        return AdminClient(self.config())

    def create(self, topic: str) -> None:
        for made in self.admin_client.create_topics([NewTopic(topic, 3)]).values():
            made.result(PATIENCE)

    def produce(
        self, topic: str, values: Iterable[bytes], acks: int = -1, codec: str = "none", once: bool = False
    ) -> None:
        config = self.config(acks=acks, compression_type=codec, enable_idempotence=once, message_max_bytes=11_000_000)
        producer = Producer(config)
        self._all(producer, topic, values)
        assert producer.flush(PATIENCE) == 0

    def _all(self, producer: Producer, topic: str, values: Iterable[bytes]) -> None:
        def told(error: Any, message: Any) -> None:
            if error is not None:
                raise AssertionError(error)

        for n, value in enumerate(values):
            producer.produce(topic, value, partition=n % 3, on_delivery=told)

    def reader(self, topic: str, group: str, committed: bool = False) -> ConfluentReader:
        config = self.config(
            group_id=group,
            auto_offset_reset="earliest",
            isolation_level="read_committed" if committed else "read_uncommitted",
            receive_message_max_bytes=120_000_000,
        )
        if config.get("group.protocol") != "consumer":
            config |= {"session.timeout.ms": 6000, "heartbeat.interval.ms": 300}
        return ConfluentReader(config, topic)

    def transaction(self, topic: str, values: Iterable[bytes], name: str, commit: bool) -> None:
        producer = Producer(self.config(transactional_id=name))
        producer.init_transactions(PATIENCE)
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value)
        producer.flush(PATIENCE)
        if commit:
            producer.commit_transaction(PATIENCE)
        else:
            producer.abort_transaction(PATIENCE)

    def addresses(self) -> list[str]:
        told = self.admin_client.describe_cluster(request_timeout=PATIENCE).result(PATIENCE)
        from_metadata = self.admin_client.list_topics(timeout=PATIENCE).brokers.values()
        return sorted({f"{one.host}:{one.port}" for one in (*told.nodes, *from_metadata)})

    def topics(self) -> list[str]:
        return list(self.admin_client.list_topics(timeout=PATIENCE).topics)

    def group(self, group: str) -> tuple[str, int]:
        (found,) = self.admin_client.describe_consumer_groups([group], request_timeout=PATIENCE).values()
        told = found.result(PATIENCE)
        return told.state.name.lower(), len(told.members)

    def delete(self, topic: str) -> None:
        for deleted in self.admin_client.delete_topics([topic]).values():
            deleted.result(PATIENCE)

    def log(self, topic: str) -> list[tuple[int, int, str]]:
        consumer = Consumer(self.config(group_id="nobody", enable_auto_commit=False, auto_offset_reset="earliest"))
        partitions = consumer.list_topics(topic, timeout=PATIENCE).topics[topic].partitions
        ends = {n: consumer.get_watermark_offsets(TopicPartition(topic, n), PATIENCE)[1] for n in partitions}
        consumer.assign([TopicPartition(topic, n, 0) for n in partitions])
        rows: list[tuple[int, int, str]] = []
        end = time.monotonic() + PATIENCE
        while len(rows) < sum(ends.values()) and time.monotonic() < end:
            found = [message for message in consumer.consume(1000, 0.2) if message.error() is None]
            rows += [(message.partition(), message.offset(), message.value().decode()) for message in found]
        consumer.close()
        return sorted(set(rows))

    def flood(self, topic: str) -> ConfluentFlood:
        return ConfluentFlood(Producer(self.config(enable_idempotence=True, linger_ms=5)), topic)


CLIENT = ConfluentClient
