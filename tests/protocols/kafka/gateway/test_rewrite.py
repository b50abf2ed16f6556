# -*- test-case-name: tests.protocols.kafka.gateway.test_rewrite -*-
"""
Tests for L{lproxy.protocols.kafka.gateway.rewrite}: kafka-python encodes answers and judges what becomes of them.

Over 300 lines: four answers in forty versions have one set of promises, and are made in one place.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from kafka.protocol.admin import DescribeClusterResponse
from kafka.protocol.metadata import FindCoordinatorResponse, MetadataResponse
from kafka.protocol.producer import ProduceResponse
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.apis import APIS, DESCRIBE_CLUSTER, FIND_COORDINATOR, METADATA, PRODUCE
from lproxy.protocols.kafka.codec.header import Malformed
from lproxy.protocols.kafka.codec.wire import encode_string, encode_uvarint
from lproxy.protocols.kafka.gateway import rewrite

#: node id, host, port, rack
Node = tuple[int, str, int, str | None]

ONE: list[Node] = [(1, "kafka-1.example", 9092, None)]
THREE: list[Node] = [(1, "a", 9092, "rack-ä"), (2, "b" * 130, 1, None), (70000, "2001:db8::1", 65535, "")]
NOBODY: list[Node] = [(-1, "", -1, None)]
#: unknown tagged fields, where a tag buffer may stand
TAGS = b"\x02\x05\x03abc\x7f\x00"
INT32_MAX = b"\x7f\xff\xff\xff"


def told(node: int, host: str, port: int) -> tuple[str, int]:
    """Where clients find a broker; the first node's host takes two bytes for its length."""
    return "gateway." + "x" * (150 if node == 1 else 5), 19000 + node % 1000


def same(node: int, host: str, port: int) -> tuple[str, int]:
    """Where it is."""
    return host, port


def never(node: int, host: str, port: int) -> tuple[str, int]:
    """Nobody may ask."""
    raise AssertionError((node, host, port))


def after(nodes: list[Node]) -> list[Node]:
    """What becomes of C{nodes}."""
    return [(n, *told(n, host, port), rack) if host else (n, host, port, rack) for n, host, port, rack in nodes]


def topic_of(version: int, partitions: int) -> Any:
    """Metadata of a topic."""
    topic = MetadataResponse.MetadataResponseTopic
    partition = topic.MetadataResponsePartition
    made = [
        partition(
            version=version,
            error_code=0,
            partition_index=i,
            leader_id=1,
            leader_epoch=3,
            replica_nodes=[1, 2, 3],
            isr_nodes=[1, 2],
            offline_replicas=[3],
        )
        for i in range(partitions)
    ]
    return topic(version=version, error_code=0, name="orders", is_internal=False, partitions=made)


def metadata(version: int, nodes: list[Node], partitions: int = 2, cluster: str | None = "kraft") -> bytes:
    """An answer to Metadata."""
    broker = MetadataResponse.MetadataResponseBroker
    brokers = [broker(version=version, node_id=n, host=h, port=p, rack=r) for n, h, p, r in nodes]
    message = MetadataResponse(
        version=version,
        throttle_time_ms=7,
        brokers=brokers,
        cluster_id=cluster,
        controller_id=1,
        topics=[topic_of(version, partitions)],
    )
    return bytes(message.encode(version=version))


def coordinators(version: int, nodes: list[Node]) -> bytes:
    """An answer to FindCoordinator; before version 4 there is room for one."""
    error = "not available"
    if version >= 4:
        one = FindCoordinatorResponse.Coordinator
        many = [
            one(version=version, key=f"group-{n}", node_id=n, host=h, port=p, error_code=15, error_message=error)
            for n, h, p, _ in nodes
        ]
        message = FindCoordinatorResponse(version=version, throttle_time_ms=7, coordinators=many)
    else:
        node, host, port, _ = nodes[0]
        fields = {"throttle_time_ms": 7, "error_message": error} if version >= 1 else {}
        message = FindCoordinatorResponse(version=version, error_code=15, node_id=node, host=host, port=port, **fields)
    return bytes(message.encode(version=version))


def cluster(version: int, nodes: list[Node], kind: int = 1) -> bytes:
    """An answer to DescribeCluster."""
    broker = DescribeClusterResponse.DescribeClusterBroker
    fenced = {"is_fenced": True} if version >= 2 else {}
    brokers = [broker(version=version, broker_id=n, host=h, port=p, rack=r, **fenced) for n, h, p, r in nodes]
    message = DescribeClusterResponse(
        version=version,
        throttle_time_ms=7,
        error_code=0,
        error_message=None,
        cluster_id="kraft",
        controller_id=1,
        brokers=brokers,
        **({"endpoint_type": kind} if version >= 1 else {}),
    )
    return bytes(message.encode(version=version))


def produced(version: int, nodes: list[Node] | None, partitions: int = 2, wrong: bool = True) -> bytes:
    """An answer to Produce; C{wrong}: with an error in each partition, and a new leader where that can be said."""
    topic = ProduceResponse.TopicProduceResponse
    partition = topic.PartitionProduceResponse
    fault = partition.BatchIndexAndErrorMessage
    fields: dict[str, Any] = {}
    ends: dict[str, Any] = {}
    if wrong and version >= 8:
        fields["record_errors"] = [
            fault(version=version, batch_index=3, batch_index_error_message=text) for text in ("late", None)
        ]
        fields["error_message"] = "x" * 200
    if wrong and version >= 10:
        fields["current_leader"] = partition.LeaderIdAndEpoch(version=version, leader_id=2, leader_epoch=9)
    made = [
        partition(version=version, index=i, error_code=6 if wrong else 0, base_offset=2**40, **fields)
        for i in range(partitions)
    ]
    topics = [topic(version=version, name=name, partition_responses=made) for name in ("orders", "t" * 200)]
    if nodes is not None:
        one = ProduceResponse.NodeEndpoint
        ends["node_endpoints"] = [one(version=version, node_id=n, host=h, port=p, rack=r) for n, h, p, r in nodes]
    message = ProduceResponse(version=version, responses=topics, throttle_time_ms=7, **ends)
    return bytes(message.encode(version=version))


def whole_metadata(body: bytes, version: int, translate: rewrite.Translate) -> bytes:
    """The answer to Metadata, with what was not looked at."""
    done = rewrite.metadata(body, version, len(body), translate)
    assert done is not None
    return done[1] + body[done[0] :]


Rewrite = Callable[[bytes, int, rewrite.Translate], bytes]
Make = Callable[[int, list[Node]], bytes]

#: each answer: who rewrites it, its versions, who makes one
ALL: list[tuple[int, Rewrite, int, Make]] = [
    (METADATA, whole_metadata, 0, metadata),
    (FIND_COORDINATOR, rewrite.find_coordinator, 0, coordinators),
    (DESCRIBE_CLUSTER, rewrite.describe_cluster, 0, cluster),
    (PRODUCE, rewrite.produce, 10, produced),
]
EACH = [
    (change, version, make) for key, change, oldest, make in ALL for version in range(oldest, rewrite.NEWEST[key] + 1)
]


class AddressTests(SynchronousTestCase):
    """In all versions of all answers, addresses are replaced and nothing else is."""

    def test_all_versions_known(self) -> None:
        """What is rewritten here is all that the table of APIs has; where that grows, somebody has to look."""
        self.assertEqual(rewrite.NEWEST, {key: APIS[key].newest for key in rewrite.NEWEST})

    def test_replaced(self) -> None:
        """The answer becomes the one that a broker with the other addresses would have sent, byte for byte."""
        for change, version, make in EACH:
            for nodes in (ONE, THREE, NOBODY + ONE, THREE + NOBODY):
                with self.subTest(change=change.__name__, version=version, nodes=nodes):
                    self.assertEqual(make(version, after(nodes)), change(make(version, nodes), version, told))

    def test_none(self) -> None:
        """Where there are no brokers, or nobody, nobody is asked."""
        for change, version, make in EACH:
            for nodes in (NOBODY, []):
                if nodes or change is not rewrite.find_coordinator or version >= 4:
                    body = make(version, nodes)
                    self.assertEqual(body, change(body, version, never))

    def test_nobody(self) -> None:
        """Without a host it is nobody, and stays so; without a node id it has an address like any other."""
        for change, version, make in EACH:
            for node in (-1, 5):
                body = make(version, [(node, "", 9092, None)])
                self.assertEqual(body, change(body, version, never))
            self.assertRaises(AssertionError, change, make(version, [(-1, "a", 9092, None)]), version, never)

    def test_same(self) -> None:
        """Where brokers are what they say, not a byte is different."""
        for change, version, make in EACH:
            body = make(version, THREE)
            self.assertEqual(body, change(body, version, same))

    def test_asked(self) -> None:
        """Who knows better is given node id, host and port, once for each; what it raises passes through."""
        asked: list[tuple[int, str, int]] = []

        def ask(node: int, host: str, port: int) -> tuple[str, int]:
            asked.append((node, host, port))
            return host, port

        for change, version, make in EACH:
            nodes = THREE if change is not rewrite.find_coordinator or version >= 4 else THREE[:1]
            asked.clear()
            change(make(version, nodes), version, ask)
            self.assertEqual([node[:3] for node in nodes], asked)
            self.assertRaises(AssertionError, change, make(version, THREE), version, never)

    def test_unknown_version(self) -> None:
        """Of a version that nobody knows nothing is passed on."""
        for key, change, _, make in ALL:
            self.assertRaises(rewrite.Unsupported, change, make(rewrite.NEWEST[key], []), rewrite.NEWEST[key] + 1, told)


class MetadataTests(SynchronousTestCase):
    """Only the beginning of Metadata is looked at."""

    def test_prefix(self) -> None:
        """Until the last broker is there no answer is given and nobody asked; after it, always the same one."""
        for version in range(rewrite.NEWEST[METADATA] + 1):
            body = metadata(version, THREE)
            whole = rewrite.metadata(body, version, len(body), told)
            assert whole is not None
            took = whole[0]
            self.assertLess(took, len(body) - 50)
            for n in range(took):
                self.assertIsNone(rewrite.metadata(body[:n], version, len(body), never))
                self.assertRaises(Malformed, rewrite.metadata, body[:n], version, n, never)
            for n in range(took, len(body)):
                self.assertEqual(whole, rewrite.metadata(body[:n], version, len(body), told))

    def test_many_partitions(self) -> None:
        """12,000 partitions are not read: the first 300 bytes are enough, and the result is the right one."""
        for version in (0, 8, 9, 13):
            body = metadata(version, THREE, 12_000)
            self.assertEqual(metadata(version, after(THREE), 12_000), whole_metadata(body, version, told))
            done = rewrite.metadata(body[:300], version, len(body), told)
            assert done is not None
            self.assertLess(done[0], 300)

    def test_null_cluster(self) -> None:
        """What follows may be anything."""
        for version in range(2, rewrite.NEWEST[METADATA] + 1):
            changed = whole_metadata(metadata(version, ONE, cluster=None), version, told)
            decoded = MetadataResponse.decode(changed, version=version)
            self.assertIsNone(decoded.cluster_id)
            self.assertEqual(told(*ONE[0][:3]), (decoded.brokers[0].host, decoded.brokers[0].port))

    def test_impossible(self) -> None:
        """What can become no list of brokers is refused as soon as that is seen, not waited for."""
        gib = 1 << 30
        for version, start in (
            (0, b"\xff\xff\xff\xff"),
            (0, INT32_MAX),
            (0, b"\x00\x00\x27\x11"),
            (3, b"\0\0\0\0\xff\xff\xff\xfe"),
            (9, b"\0\0\0\0\0"),
            (9, b"\0\0\0\0\xff\xff\xff\xff\xff"),
            (9, b"\0\0\0\0\xff\xff\xff\xff\x0f"),
            # a host that is longer than all there is; less than null; no UTF-8
            (9, b"\0\0\0\0\x02\0\0\0\1\xff\xff\xff\xff\x0f".ljust(200, b"x")),
            (0, b"\0\0\0\1\0\0\0\1\xff\xfe".ljust(200, b"x")),
            (0, b"\0\0\0\1\0\0\0\1\0\x01\xff".ljust(200, b"x")),
        ):
            with self.subTest(start=start[:20]):
                self.assertRaises(Malformed, rewrite.metadata, start.ljust(gib >> 10), version, gib, never)
        # 200 bytes have no room for 30 brokers
        self.assertRaises(Malformed, rewrite.metadata, b"\0\0\0\x1e", 0, 200, never)


class ProduceTests(SynchronousTestCase):
    """Produce is looked at where it may name nodes."""

    def test_untouched(self) -> None:
        """Where there are no endpoints, the very body goes on, whatever went wrong or well."""
        for version in range(rewrite.NEWEST[PRODUCE] + 1):
            for wrong in (False, True):
                for partitions in (0, 1, 200):
                    body = produced(version, None, partitions, wrong)
                    self.assertIs(body, rewrite.produce(body, version, never))

    def test_before_endpoints(self) -> None:
        """Below version 10 nothing is read at all."""
        for version in range(rewrite.PRODUCE_NODES):
            self.assertEqual(b"anything", rewrite.produce(b"anything", version, never))

    def test_other_tags(self) -> None:
        """Other tagged fields are not for us, wherever they stand."""
        topic = b"\x02t"
        partition = b"\0" * 30 + b"\x02\0\0\0\x01\0" + TAGS + b"\0" + TAGS
        start = b"\x02" + topic + b"\x02" + partition + TAGS + b"\0\0\0\0"
        self.assertEqual(start + TAGS, rewrite.produce(start + TAGS, 10, never))

    def test_tags_stay(self) -> None:
        """Beside endpoints, and in them, unknown fields stay as they were; the size of the field is the new one."""

        def field(host: str, port: bytes) -> bytes:
            node = b"\0\0\0\1" + encode_string(host, True) + port + b"\0" + TAGS
            content = b"\x02" + node
            return b"\x00" + encode_uvarint(len(content)) + content

        host, port = told(1, "a", 9)
        old, new = field("a", b"\0\0\0\x09"), field(host, port.to_bytes(4, "big"))
        start, end = b"\x01\0\0\0\0", b"\x05\x03abc"
        for tags in ((), (1,)):
            body = start + bytes([1 + len(tags)]) + old + end * len(tags)
            expected = start + bytes([1 + len(tags)]) + new + end * len(tags)
            self.assertEqual(expected, rewrite.produce(body, 10, told))
            self.assertIs(body, rewrite.produce(body, 10, same))
        # the same field twice is no Kafka; but then neither address is to be seen
        self.assertEqual(start + b"\x02" + new * 2, rewrite.produce(start + b"\x02" + old * 2, 10, told))

    def test_wrong_size(self) -> None:
        """Endpoints that are longer or shorter than their field are malformed."""
        node = b"\0\0\0\1\x02a\0\0\0\x09\0\0"
        for size, content in (
            (len(node), b"\x02" + node),
            (len(node) + 2, b"\x02" + node + b"\0"),
            (len(node) + 1, b"\x03" + node),
            (1, b"\0"),
            (0, b""),
        ):
            body = b"\x01\0\0\0\0\x01\x00" + bytes([size]) + content
            self.assertRaises(Malformed, rewrite.produce, body, 10, told)


class ClusterTests(SynchronousTestCase):
    """DescribeCluster may be about something else."""

    def test_controllers(self) -> None:
        """The addresses of controllers, or of what is not known yet, do not go on."""
        for version in (1, 2):
            for kind in (0, 2, 3):
                body = cluster(version, ONE, kind)
                self.assertRaises(rewrite.Unsupported, rewrite.describe_cluster, body, version, never)


class TagTests(SynchronousTestCase):
    """Unknown tagged fields, and lengths that are longer than they need to be, go on byte for byte."""

    def test_metadata(self) -> None:
        """A broker's tags stay with it."""
        start, end = b"\0\0\0\7\x02\0\0\0\1", b"\0" + TAGS + b"anything"
        old, new = b"\x02a\0\0\x23\x84", encode_string(told(1, "", 0)[0], True) + (19001).to_bytes(4, "big")
        self.assertEqual(start + new + end, whole_metadata(start + old + end, 9, told))

    def test_long_lengths(self) -> None:
        """Where an address stays, so does the way in which its length is written."""
        body = b"\0\0\0\7\x82\x00\0\0\0\1\x82\x80\x00a\0\0\x23\x84\0\0"
        self.assertEqual(body, whole_metadata(body, 9, same))

    def test_find_coordinator(self) -> None:
        """A coordinator's tags and the answer's own stay."""
        host, port = told(1, "a", 1)
        address = encode_string(host, True) + port.to_bytes(4, "big")
        for version, start, end in (
            (3, b"\0\0\0\7\0\0\0\0\0\0\1", TAGS),
            (4, b"\0\0\0\7\x02\x02k\0\0\0\1", b"\0\0\0" + TAGS + TAGS),
        ):
            body = start + b"\x02a\0\0\0\1" + end
            self.assertEqual(start + address + end, rewrite.find_coordinator(body, version, told))

    def test_describe_cluster(self) -> None:
        """A broker's tags and the answer's own stay."""
        host, port = told(1, "a", 1)
        start = b"\0\0\0\7\0\0\0\1\x02c\0\0\0\1\x02\0\0\0\1"
        end = b"\x02r\x01" + TAGS + b"\x80\0\0\0" + TAGS
        address = encode_string(host, True) + port.to_bytes(4, "big")
        self.assertEqual(start + address + end, rewrite.describe_cluster(start + b"\x02a\0\0\0\1" + end, 2, told))


class MalformedTests(SynchronousTestCase):
    """Whatever comes, only L{Malformed} is raised, and before anybody is asked."""

    def test_truncated(self) -> None:
        """No answer but that to Metadata may end early, nor go on."""
        for change, version, make in EACH:
            if change is not whole_metadata:
                body = make(version, THREE)
                for n in range(len(body)):
                    self.assertRaises(Malformed, change, body[:n], version, never)
                self.assertRaises(Malformed, change, body + b"\0", version, never)

    def test_huge_counts(self) -> None:
        """A count that the body has no room for is not counted to."""
        for change, version, make in EACH:
            body = make(version, THREE)
            for at in range(len(body)):
                for count in (INT32_MAX, b"\xff\xff\xff\xff\x0f"):
                    self.survives(change, version, body[:at] + count + body[at + 4 :])

    def test_random(self) -> None:
        """Some thousand mutations of good answers, by a seeded random."""
        random = Random(11)
        for change, version, make in EACH:
            bodies = [make(version, nodes) for nodes in (ONE, THREE)]
            for _ in range(150):
                body = bytearray(random.choice(bodies))
                for _ in range(random.choice((1, 1, 2, 5))):
                    at = random.randrange(len(body))
                    if random.random() < 0.7:
                        body[at] ^= 1 << random.randrange(8)
                    else:
                        body[at : at + random.randrange(3)] = random.randbytes(random.randrange(4))
                self.survives(change, version, bytes(body))

    def survives(self, change: Rewrite, version: int, body: bytes) -> None:
        """C{body} is rewritten or malformed; in parts too, if it may come so."""
        try:
            if change is not whole_metadata:
                self.assertIsInstance(change(body, version, told), bytes)
            elif rewrite.metadata(body[: len(body) // 2], version, len(body), told) is None:
                self.assertIsNotNone(rewrite.metadata(body, version, len(body), told))
        except Malformed:
            pass
