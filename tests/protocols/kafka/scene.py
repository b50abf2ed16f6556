# -*- test-case-name: tests.protocols.kafka.test_session -*-
"""
A listener of Kafka in memory, clients in front of it and brokers behind it, all at a test's command.

Frames are made by kafka-python, so that nothing here believes what lproxy believes of them.
"""

from __future__ import annotations

from typing import Any

from kafka.protocol.admin import DescribeClusterRequest, ListGroupsRequest
from kafka.protocol.consumer import FetchRequest, HeartbeatRequest
from kafka.protocol.metadata import (
    ApiVersionsRequest,
    ApiVersionsResponse,
    FindCoordinatorRequest,
    MetadataRequest,
)
from kafka.protocol.producer import ProduceRequest
from kafka.protocol.sasl import SaslHandshakeRequest, SaslHandshakeResponse
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.apis import APIS
from lproxy.protocols.kafka.factory import KafkaFactory
from lproxy.protocols.kafka.plugin import KafkaPlugin
from lproxy.target import UNKNOWN, Metadata
from lproxy.testing import Peer, ScriptedProxy
from lproxy.transport.stream import Secured

#: what clients here call themselves
NAME = "shop"


def framed(payload: bytes) -> bytes:
    """C{payload} with its size before it."""
    return len(payload).to_bytes(4, "big") + payload


def request(message: Any, correlation: int = 1, client: str | None = NAME) -> bytes:
    """The frame of a request."""
    message.with_header(correlation, client)
    return bytes(message.encode(header=True, framed=True))


def raw_request(key: int, version: int, correlation: int = 1, body: bytes = b"", client: str | None = NAME) -> bytes:
    """The frame of a request that kafka-python cannot make, with empty tags where there are any."""
    head = b"".join(number.to_bytes(size, "big") for number, size in ((key, 2), (version, 2), (correlation, 4)))
    head += b"\xff\xff" if client is None else len(client).to_bytes(2, "big") + client.encode()
    api = APIS.get(key)
    return framed(head + b"\0" * (api is not None and api.is_flexible(version)) + body)


def answer(key: int, version: int, correlation: int, body: bytes) -> bytes:
    """The frame of an answer."""
    return framed(correlation.to_bytes(4, "big") + b"\0" * APIS[key].has_tagged_response(version) + body)


def ask_metadata(correlation: int = 1, version: int = 12, client: str | None = NAME) -> bytes:
    """Metadata of all topics."""
    return request(MetadataRequest[version](topics=None), correlation, client)


def ask_versions(correlation: int = 1, version: int = 3) -> bytes:
    """ApiVersions, the first word of most clients."""
    named = {"client_software_name": "x", "client_software_version": "1"} if version >= 3 else {}
    return request(ApiVersionsRequest[version](**named), correlation)


def versions(correlation: int, version: int, entries: list[tuple[int, int, int]], error: int = 0) -> bytes:
    """The answer to that."""
    one = ApiVersionsResponse.ApiVersion
    keys = [one(version=version, api_key=key, min_version=low, max_version=high) for key, low, high in entries]
    message = ApiVersionsResponse(version=version, error_code=error, api_keys=keys)
    return framed(correlation.to_bytes(4, "big") + bytes(message.encode(version=version)))


def heartbeat(correlation: int = 1, version: int = 4, client: str | None = NAME) -> bytes:
    """A small request that nobody changes."""
    named: dict[str, Any] = {"group_instance_id": None} if version >= 3 else {}
    return request(
        HeartbeatRequest[version](group_id="g", generation_id=1, member_id="m", **named), correlation, client
    )


def beat(correlation: int = 1, version: int = 4) -> bytes:
    """The answer to that."""
    return answer(12, version, correlation, b"\0\0\0\0\0\0" + b"\0" * (version >= 4))


def list_groups(correlation: int = 1) -> bytes:
    """Another."""
    return request(ListGroupsRequest[2](), correlation)


def produce(correlation: int = 1, acks: int = -1, version: int = 9, size: int = 20, topic: str = "orders") -> bytes:
    """Records, C{size} bytes that are none."""
    Topic = ProduceRequest.TopicProduceData
    partition = Topic.PartitionProduceData(version=version, index=0, records=b"r" * size)
    named = {"transactional_id": None} if version >= 3 else {}
    message = ProduceRequest[version](
        acks=acks, timeout_ms=1000, topic_data=[Topic(version=version, name=topic, partition_data=[partition])], **named
    )
    return request(message, correlation)


def fetch(correlation: int = 1, version: int = 12) -> bytes:
    """Records, please."""
    return request(FetchRequest[version](max_wait_ms=1, min_bytes=1, topics=[]), correlation)


def find_coordinator(correlation: int = 1, version: int = 4) -> bytes:
    """Who coordinates a group?"""
    named = {"coordinator_keys": ["g"]} if version >= 4 else {"key": "g"}
    return request(FindCoordinatorRequest[version](key_type=0, **named), correlation)


def describe_cluster(correlation: int = 1, version: int = 1, kind: int = 1) -> bytes:
    """Who is there?"""
    named = {"endpoint_type": kind} if version >= 1 else {}
    return request(DescribeClusterRequest[version](**named), correlation)


def handshake(correlation: int = 1, mechanism: str = "PLAIN", version: int = 0) -> bytes:
    """How a login begins."""
    return request(SaslHandshakeRequest[version](mechanism=mechanism), correlation)


def handshaken(correlation: int = 1, error: int = 0) -> bytes:
    """And goes on, or not."""
    body = SaslHandshakeResponse(version=0, error_code=error, mechanisms=["PLAIN"]).encode(version=0)
    return framed(correlation.to_bytes(4, "big") + bytes(body))


class KafkaTestCase(SynchronousTestCase):
    """
    Tests of one listener. At the end of each all clients leave, and nothing may be left over.

    @cvar table: its settings
    @ivar crashed: exceptions that a test expects
    """

    target = "upstream.test:9000"
    table: dict[str, Any] = {}
    crashed = 0

    def setUp(self) -> None:
        self.clients: list[Peer] = []
        self.start()

    def start(self, metadata: Metadata = UNKNOWN, **table: Any) -> None:
        """Begin anew, with a listener of other settings, and endpoints of which C{metadata} is known."""
        settings = {key: value for key, value in {**self.table, **table}.items() if value is not None}
        self.proxy = ScriptedProxy(KafkaPlugin(), settings, target=self.target, metadata=metadata)
        self.factory: KafkaFactory = self.proxy.factory
        if self.factory.cluster is not None:
            self.factory.cluster.start()
        self.connector = self.proxy.connector
        self.metrics = self.factory.metrics
        self.clients.clear()

    def tearDown(self) -> None:
        for client in self.clients:
            client.reset()
        self.settle()
        self.factory.stop()
        crashes, self.proxy.crashes[:] = list(self.proxy.crashes), []
        self.assertEqual([], self.proxy.left())
        self.assertEqual(self.crashed, len(crashes), [crash.getTraceback() for crash in crashes])
        self.assertEqual((0, 0), (self.metrics.open(), self.metrics.in_flight()))
        self.assertEqual(len(self.clients), len(self.proxy.records))

    def settle(self, seconds: float = 0.0) -> None:
        """C{seconds} pass, and all that can happen happens."""
        self.proxy.settle(seconds)

    def wait(self, seconds: float, step: float = 1.0) -> None:
        """Time passes, and everything takes its turn in it."""
        for _ in range(round(seconds / step)):
            self.proxy.settle(step)

    def client(self, *said: bytes, port: int | None = None, tls: Secured | None = None) -> Peer:
        """A client that has said so."""
        client = self.proxy.client(port=port, tls=tls)
        self.clients.append(client)
        self.say(client, *said)
        return client

    def say(self, peer: Peer, *said: bytes) -> None:
        """C{peer} says so, at once."""
        peer.say(b"".join(said))
        self.settle()

    @property
    def broker(self) -> Peer:
        """The broker's side of the latest connection."""
        return self.connector.upstreams[-1]

    @property
    def session(self) -> Any:
        """The only one."""
        (session,) = self.proxy.sessions
        return session

    @property
    def state(self) -> str:
        """And what it does."""
        return str(self.session.describe()["state"])

    @property
    def incomplete(self) -> dict[str, int]:
        """Requests without an answer, by API."""
        return {name: api.incomplete for name, api in self.metrics.apis.items() if api.incomplete}

    def assert_over(self, client: Peer, ended: str = "closed", **record: Any) -> None:
        """Both connections have ended, and the access log's last line says so."""
        self.assertEqual(ended, client.ended)
        live = sum(not one.ended for one in self.clients)
        self.assertEqual(live, len(self.proxy.sessions))
        self.assertLessEqual(self.proxy.open, live)
        row = self.proxy.records[-1]
        self.assertEqual({**row, **record}, row)

    def warned(self, part: str) -> None:
        """One line was logged, with C{part} in it; it is forgotten."""
        self.assertEqual(1, len(self.proxy.warnings), self.proxy.warnings)
        self.assertIn(part, self.proxy.warnings.pop())
