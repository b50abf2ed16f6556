# -*- test-case-name: tests.integration.kafka.test_clients -*-
"""
aiokafka, whose loop runs only while one of these methods does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.integration.kafka.interface import PATIENCE, Client, Flood, Reader

T = TypeVar("T")


class AiokafkaReader(Reader):
    """An AIOKafkaConsumer."""

    def __init__(self, run: Any, consumer: AIOKafkaConsumer) -> None:
        self._run, self._consumer = run, consumer

    def poll(self, seconds: float) -> list[bytes]:
        found = self._run(self._consumer.getmany(timeout_ms=int(seconds * 1000)))
        return [record.value for records in found.values() for record in records]

    def assigned(self) -> int:
        return len(self._consumer.assignment())

    def close(self) -> None:
        self._run(self._consumer.stop())


class AiokafkaFlood(Flood):
    """An AIOKafkaProducer whose answers are looked at while the next number is sent."""

    def __init__(self, run: Any, producer: AIOKafkaProducer, topic: str) -> None:
        super().__init__()
        self._run, self._producer, self._topic = run, producer, topic
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, n: int) -> None:
        self._run(self._begin(n))

    async def _begin(self, n: int) -> None:
        task = asyncio.ensure_future(self._send(n))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.sleep(0.005)

    async def _send(self, n: int) -> None:
        try:
            await self._producer.send_and_wait(self._topic, b"%d" % n)
        except Exception as e:
            self.failed[n] = repr(e)
        else:
            self.acked.append(n)

    def flush(self) -> None:
        if self._tasks:
            self._run(asyncio.wait(self._tasks, timeout=PATIENCE))
        self._run(self._producer.stop())


class AiokafkaClient(Client):
    """A loop of its own."""

    def __init__(self, bootstrap: str, sasl: str, more: dict[str, str]) -> None:
        super().__init__(bootstrap, sasl, more)
        self._runner = asyncio.Runner()
        self.run = self._runner.run
        self._admin: AIOKafkaAdminClient | None = None

    @property
    def config(self) -> dict[str, Any]:
        """What all of its parts are told."""
        config: dict[str, Any] = {"bootstrap_servers": self.bootstrap.split(",")}
        if self.sasl:
            config |= {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": self.sasl}
            config |= {"sasl_plain_username": self.user, "sasl_plain_password": self.password}
        return config | self.more

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the admin client's."""

        async def asked() -> Any:
            if self._admin is None:
                self._admin = AIOKafkaAdminClient(**self.config)
                await self._admin.start()
            return await getattr(self._admin, method)(*arguments)

        return self.run(asked())

    def create(self, topic: str) -> None:
        self.ask("create_topics", [NewTopic(topic, 3, 3)])

    def produce(
        self, topic: str, values: Iterable[bytes], acks: int = -1, codec: str = "none", once: bool = False
    ) -> None:
        async def produced() -> None:
            async with AIOKafkaProducer(
                acks=acks,
                compression_type=None if codec == "none" else codec,
                enable_idempotence=once,
                max_request_size=11_000_000,
                **self.config,
            ) as producer:
                sent = [await producer.send(topic, value, partition=n % 3) for n, value in enumerate(values)]
                await asyncio.wait_for(asyncio.gather(*sent), PATIENCE)

        self.run(produced())

    def reader(self, topic: str, group: str, committed: bool = False) -> AiokafkaReader:
        async def begun() -> AIOKafkaConsumer:
            consumer = AIOKafkaConsumer(
                topic,
                group_id=group,
                auto_offset_reset="earliest",
                isolation_level="read_committed" if committed else "read_uncommitted",
                session_timeout_ms=6000,
                heartbeat_interval_ms=300,
                max_partition_fetch_bytes=11_000_000,
                **self.config,
            )
            await consumer.start()
            return consumer

        return AiokafkaReader(self.run, self.run(begun()))

    def transaction(self, topic: str, values: Iterable[bytes], name: str, commit: bool) -> None:
        async def produced() -> None:
            async with AIOKafkaProducer(transactional_id=name, **self.config) as producer:
                await producer.begin_transaction()
                for value in values:
                    await producer.send(topic, value)
                if commit:
                    await producer.commit_transaction()
                else:
                    await producer.flush()
                    await producer.abort_transaction()

        self.run(produced())

    def addresses(self) -> list[str]:
        return [f"{one['host']}:{one['port']}" for one in self.ask("describe_cluster")["brokers"]]

    def topics(self) -> list[str]:
        found: list[str] = self.ask("list_topics")
        return found

    def group(self, group: str) -> tuple[str, int]:
        (answer,) = self.ask("describe_consumer_groups", [group])
        (told,) = answer.groups
        return told[2].lower(), len(told[5])

    def delete(self, topic: str) -> None:
        self.ask("delete_topics", [topic])

    def flood(self, topic: str) -> AiokafkaFlood:
        async def begun() -> AIOKafkaProducer:
            producer = AIOKafkaProducer(enable_idempotence=True, linger_ms=5, **self.config)
            await producer.start()
            return producer

        return AiokafkaFlood(self.run, self.run(begun()), topic)

    def close(self) -> None:
        if self._admin is not None:
            self.run(self._admin.close())
        self._runner.close()


CLIENT = AiokafkaClient
