# -*- test-case-name: tests.integration.kafka.test_clients -*-
"""
kafka-python.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic
from kafka.errors import KafkaConnectionError

from tests.integration.kafka.interface import PATIENCE, Client, Flood, Reader, drain


class KafkaPythonReader(Reader):
    """
    A KafkaConsumer in a thread, which lets it take its time to join.

    One whose poll runs out of time at the end of that may never have a partition, nor send a heartbeat (3.0.12).
    """

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self._values: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._assigned = 0
        self._failed: Exception | None = None
        self._ending = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._ending:
                self._poll()
                self._assigned = len(self._consumer.assignment())
            self._consumer.close()
        except Exception as e:
            self._failed = e

    def _poll(self) -> None:
        coordinator = self._consumer._coordinator
        try:
            if coordinator.need_rejoin():
                coordinator.poll(timeout_ms=int(PATIENCE * 1000))
            found = self._consumer.poll(timeout_ms=200)
        except KafkaConnectionError:
            # a broker that is gone, while it looks for its coordinator: it goes on when it is asked again
            return
        for records in found.values():
            for record in records:
                self._values.put(record.value)

    def poll(self, seconds: float) -> list[bytes]:
        if self._failed is not None:
            raise self._failed
        return drain(self._values, seconds)

    def assigned(self) -> int:
        return self._assigned

    def close(self) -> None:
        self._ending = True
        self._thread.join(PATIENCE)
        if self._failed is not None:
            raise self._failed


class KafkaPythonFlood(Flood):
    """A KafkaProducer that is never waited for."""

    def __init__(self, producer: KafkaProducer, topic: str) -> None:
        super().__init__()
        self._producer, self._topic = producer, topic

    def send(self, n: int) -> None:
        sent = self._producer.send(self._topic, b"%d" % n)
        sent.add_callback(lambda told: self.acked.append(n))
        sent.add_errback(lambda error: self.failed.update({n: repr(error)}))

    def flush(self) -> None:
        self._producer.flush(PATIENCE)


class KafkaPythonClient(Client):
    """One connection pool for each of its parts."""

    _admin: KafkaAdminClient | None = None

    @property
    def config(self) -> dict[str, Any]:
        """What all of its parts are told."""
        config: dict[str, Any] = {"bootstrap_servers": self.bootstrap.split(",")}
        if self.sasl:
            config |= {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": self.sasl}
            config |= {"sasl_plain_username": self.user, "sasl_plain_password": self.password}
        return config | self.more

    @property
    def admin_client(self) -> KafkaAdminClient:
        if self._admin is None:
            self._admin = KafkaAdminClient(**self.config)
        return self._admin

    def create(self, topic: str) -> None:
        self.admin_client.create_topics([NewTopic(topic, 3, -1)], wait_for_metadata=True)

    def produce(
        self, topic: str, values: Iterable[bytes], acks: int = -1, codec: str = "none", once: bool = False
    ) -> None:
        producer = KafkaProducer(
            acks=acks,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=once,
            max_request_size=11_000_000,
            **self.config,
        )
        sent = [producer.send(topic, value, partition=n % 3) for n, value in enumerate(values)]
        for one in sent:
            one.get(PATIENCE)
        producer.close(PATIENCE)

    def reader(self, topic: str, group: str, committed: bool = False) -> KafkaPythonReader:
        consumer = KafkaConsumer(
            topic,
            group_id=group,
            auto_offset_reset="earliest",
            isolation_level="read_committed" if committed else "read_uncommitted",
            session_timeout_ms=6000,
            heartbeat_interval_ms=300,
            **self.config,
        )
        return KafkaPythonReader(consumer)

    def transaction(self, topic: str, values: Iterable[bytes], name: str, commit: bool) -> None:
        producer = KafkaProducer(transactional_id=name, **self.config)
        producer.init_transactions()
        producer.begin_transaction()
        for value in values:
            producer.send(topic, value)
        producer.flush(PATIENCE)
        if commit:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
        producer.close(PATIENCE)

    def addresses(self) -> list[str]:
        return [f"{one['host']}:{one['port']}" for one in self.admin_client.describe_cluster()["brokers"]]

    def topics(self) -> list[str]:
        return [one if isinstance(one, str) else one["name"] for one in self.admin_client.list_topics()]

    def group(self, group: str) -> tuple[str, int]:
        found = self.admin_client.describe_groups([group])
        (told,) = found.values() if isinstance(found, dict) else found
        return told["group_state"].lower(), len(told["members"])

    def delete(self, topic: str) -> None:
        self.admin_client.delete_topics([topic])

    def flood(self, topic: str) -> KafkaPythonFlood:
        return KafkaPythonFlood(KafkaProducer(enable_idempotence=True, linger_ms=5, **self.config), topic)

    def close(self) -> None:
        if self._admin is not None:
            self._admin.close()


CLIENT = KafkaPythonClient
