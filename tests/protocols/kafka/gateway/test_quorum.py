# -*- test-case-name: tests.protocols.kafka.gateway.test_quorum -*-
"""
Tests for L{lproxy.protocols.kafka.gateway.quorum}.
"""

from __future__ import annotations

from random import Random
from typing import ClassVar
from uuid import UUID

from kafka.protocol.admin import DescribeQuorumResponse
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.apis import APIS, DESCRIBE_QUORUM
from lproxy.protocols.kafka.codec.header import Malformed
from lproxy.protocols.kafka.gateway import rewrite
from lproxy.protocols.kafka.gateway.quorum import NEWEST, describe_quorum
from tests.protocols.kafka.gateway.test_rewrite import never


def quorum(version: int, listeners: dict[int, list[str]]) -> bytes:
    """An answer to DescribeQuorum: of each node the hosts of its listeners."""
    one = DescribeQuorumResponse
    times = {"last_fetch_timestamp": 7, "last_caught_up_timestamp": 8} if version >= 1 else {}
    where = {"replica_directory_id": UUID(int=5)} if version >= 2 else {}
    partition = one.TopicData.PartitionData
    replicas = [
        partition.ReplicaState(version=version, replica_id=n, log_end_offset=1000 + n, **times, **where)
        for n in listeners
    ]
    why = {"error_message": "why"} if version >= 2 else {}
    data = partition(
        version=version,
        partition_index=0,
        error_code=0,
        **why,
        leader_id=1,
        leader_epoch=2,
        high_watermark=3,
        current_voters=replicas,
        observers=replicas[:1],
    )
    topic = one.TopicData(version=version, topic_name="__cluster_metadata", partitions=[data])
    nodes = [
        one.Node(
            version=2,
            node_id=node,
            listeners=[one.Node.Listener(version=2, name="CONTROLLER", host=host, port=40_000) for host in hosts],
        )
        for node, hosts in listeners.items()
    ]
    named = {"nodes": nodes} if version >= 2 else {}
    message = one(version=version, error_code=0, **why, topics=[topic], **named)
    return bytes(message.encode(version=version))


class QuorumTests(SynchronousTestCase):
    """DescribeQuorum, whose addresses are controllers'."""

    NODES: ClassVar[dict[int, list[str]]] = {1: ["a"], 2: [], 3: ["b" * 200, "c"]}

    def test_listeners(self) -> None:
        """They are left out; all else is as it was, and what has none is itself."""
        for version in range(3):
            said = quorum(version, self.NODES)
            told = quorum(version, dict.fromkeys(self.NODES, []))
            self.assertEqual(told, describe_quorum(said, version, never))
            self.assertIs(told, describe_quorum(told, version, never))

    def test_malformed(self) -> None:
        """Whatever else comes is refused."""
        said = quorum(2, self.NODES)
        for n in range(len(said)):
            self.assertRaises(Malformed, describe_quorum, said[:n], 2, never)
        self.assertRaises(Malformed, describe_quorum, said + b"\0", 2, never)
        self.assertRaises(rewrite.Unsupported, describe_quorum, said, 3, never)
        random = Random(3)
        for _ in range(500):
            body = bytearray(said)
            body[random.randrange(len(body))] ^= 1 << random.randrange(8)
            try:
                describe_quorum(bytes(body), 2, never)
            except Malformed:
                pass

    def test_newest(self) -> None:
        """It is known in all versions that there are; where there is a new one, somebody has to look."""
        self.assertEqual(NEWEST, APIS[DESCRIBE_QUORUM].newest)
