# -*- test-case-name: tests.integration.test_kafka_wire -*-
"""
Kafka through the whole proxy, over real sockets, to a broker that does only what the test does for it: every byte
counts, bad input ends where it should, and one listener serves all protocols.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import Counter
from random import Random
from typing import Any

from kafka.protocol.metadata import MetadataResponse

from lproxy.config import Admin, Config, Listen, Service
from lproxy.protocols.kafka.gateway.question import asked as asked_frame
from lproxy.protocols.kafka.metrics import KafkaMetrics
from lproxy.protocols.kafka.plugin import KafkaPlugin
from tests.integration.http_case import GET, OK, HttpCase, Wire, eventually, threaded
from tests.integration.kafka.listeners import factories
from tests.integration.ports import free_ports

MIB = 1 << 20


def request(correlation: int, body: bytes = b"", key: int = 18, version: int = 0) -> bytes:
    """A request of the client C{a}."""
    head = struct.pack(">hhih", key, version, correlation, 1) + b"a"
    return struct.pack(">i", len(head) + len(body)) + head + body


def answer(correlation: int, body: bytes = b"") -> bytes:
    """An answer."""
    return struct.pack(">ii", 4 + len(body), correlation) + body


def produce(correlation: int, size: int) -> bytes:
    """A Produce request, version 3, acks=all, of about C{size} bytes."""
    return request(correlation, b"\xff\xff\xff\xff" + struct.pack(">i", 1000) + bytes(size), 0, 3)


class KafkaCase(HttpCase):
    """
    C{mixed} detects, C{kafka} observes without detection, C{gate} is a gateway, C{strict} has a short patience.
    """

    #: whether gateways ask a seed who their brokers are
    asks = False

    def setUp(self) -> None:
        self.factories = factories(self, self.asks)
        super().setUp()

    def kafka(self, **table: Any) -> dict[str, Any]:
        return {"kafka": KafkaPlugin().configure(table)}

    def config(self) -> Config:
        """The proxy's configuration."""
        address, fixed = "127.0.0.1:0", self.upstream.address
        gate = self.kafka(mode="gateway", base_port=free_ports() - 7)
        return Config(
            admin=Admin(address=""),
            listen=(
                Listen(name="mixed", address=address, target=fixed, detect=("http", "kafka")),
                Listen(name="kafka", address=address, target=fixed, protocol="kafka", plugins=self.kafka()),
                Listen(name="gate", address=address, target=fixed, protocol="kafka", plugins=gate),
                Listen(
                    name="strict",
                    address=address,
                    target=fixed,
                    protocol="kafka",
                    plugins=self.kafka(frame_progress="200ms", idle="1s"),
                ),
            ),
            services={"web.local:80": Service("web.local:80", (fixed,))},
        )

    def metrics(self, listener: str) -> KafkaMetrics:
        """What is counted of a listener."""
        return self.factories[listener].metrics

    def talk(self, port: str = "kafka") -> tuple[Wire, Wire]:
        """A client, and the broker's end of its connection."""
        client = self.client(request(1), port=port)
        broker = self.upstream.accept()
        self.assertEqual(request(1), broker.exactly(len(request(1))))
        broker.send(answer(1, struct.pack(">hi", 0, 0)))
        client.exactly(14)
        return client, broker


class ObserveTests(KafkaCase):
    """Every byte, both ways."""

    @threaded
    def test_exact(self) -> None:
        """Frames of all sizes at once in both directions arrive as they were sent, and are counted."""
        client, broker = self.talk()
        random = Random(11)
        sizes = [random.choice((0, 10, 1000, 20_000, 100_000, 3 * MIB)) for _ in range(60)]
        asked = b"".join(produce(n, size) for n, size in enumerate(sizes, 2))
        # random, so that no byte can stand for another
        answers = [answer(n, random.randbytes(size)) for n, size in enumerate(sizes, 2)]
        sender = threading.Thread(target=client.send, args=(asked,))
        sender.start()
        self.assertEqual(asked, broker.exactly(len(asked)))
        sender.join()
        told = b"".join(answers)
        sender = threading.Thread(target=broker.send, args=(told,))
        sender.start()
        self.assertEqual(told, client.exactly(len(told)))
        sender.join()
        counted = self.metrics("kafka").apis["Produce"]
        self.assertEqual(len(asked), counted.request_bytes)
        self.assertEqual(len(told), counted.response_bytes)
        self.assertEqual({}, self.metrics("kafka").protocol_errors)

    @threaded
    def test_pipelined(self) -> None:
        """Of 10,000 requests that nobody answers, so many are taken that are allowed; then all are, in order."""
        client, broker = self.talk()
        asked = [request(n, version=0) for n in range(10_000)]
        sender = threading.Thread(target=client.send, args=(b"".join(asked),))
        sender.start()
        most = 1024
        heard = broker.exactly(most * len(asked[0]))
        self.assertTrue(broker.silent())
        (row,) = self.proxy.connections()
        self.assertEqual((most, "paused"), (row["in_flight"], row["state"]))
        for n in range(10_000):
            if n >= len(heard) // len(asked[0]):
                heard += broker.exactly(len(asked[0]))
            broker.send(answer(n))
        sender.join()
        self.assertEqual(b"".join(asked), heard)
        self.assertEqual(b"".join(answer(n) for n in range(10_000)), client.exactly(10_000 * 8))
        self.assertGreater(self.metrics("kafka").paused["in_flight"], 0)

    @threaded
    def test_broker_gone(self) -> None:
        """What is answered arrives, then the connection is closed; the rest is counted as incomplete."""
        for leave in (Wire.close, Wire.reset):
            client, broker = self.talk()
            client.send(request(2) + request(3) + request(4))
            broker.exactly(3 * len(request(2)))
            broker.send(answer(2))
            self.assertEqual(answer(2), client.exactly(8))
            leave(broker)
            self.assertIn(client.end(), ("eof", "reset"))
        eventually(lambda: self.metrics("kafka").apis["ApiVersions"].incomplete == 4)

    @threaded
    def test_half_close(self) -> None:
        """A client that has said all still hears the answers."""
        client, broker = self.talk()
        client.send(request(2)).fin()
        self.assertEqual(request(2), broker.rest())
        broker.send(answer(2))
        broker.close()
        self.assertEqual(answer(2), client.rest())

    @threaded
    def test_mixed(self) -> None:
        """HTTP, Kafka and bytes of no protocol on one listener, at once and one after the other."""
        for _ in range(3):
            web = self.client(GET, port="mixed")
            up = self.upstream.accept()
            self.assertEqual(GET, up.message())
            kafka, broker = self.talk("mixed")
            raw = self.client(b"hello\n", port="mixed")
            peer = self.upstream.accept()
            self.assertEqual(b"hello\n", peer.exactly(6))
            want = {"http": 1, "kafka": 1, "tcp": 1}
            eventually(lambda want=want: Counter(row["protocol"] for row in self.proxy.connections()) == want)
            peer.send(b"world\n")
            kafka.send(request(2))
            broker.exactly(len(request(2)))
            broker.send(answer(2))
            up.send(OK)
            self.assertEqual(OK, web.message())
            self.assertEqual(answer(2), kafka.exactly(8))
            self.assertEqual(b"world\n", raw.exactly(6))
            for wire in (web, kafka, raw, up, broker, peer):
                wire.close()
            eventually(lambda: not self.proxy.connections())


class BadInputTests(KafkaCase):
    """What is no Kafka."""

    @threaded
    def test_sizes(self) -> None:
        """An impossible size ends the connection after four bytes, and no broker ever hears of it."""
        for port in ("kafka", "gate"):
            for size in (-1, *range(8), 100 * MIB + 1, (1 << 31) - 1):
                client = self.client(struct.pack(">i", size), port=port)
                self.assertIn(client.end(), ("eof", "reset"), (port, size))
            faults = self.metrics(port).protocol_errors
            self.assertEqual({"size": 9, "too_large": 2}, faults)
        self.assertTrue(self.upstream.nobody())

    @threaded
    def test_in_mid_stream(self) -> None:
        """What came before arrives, the impossible does not."""
        client, broker = self.talk()
        client.send(request(2) + struct.pack(">i", -5))
        self.assertEqual(request(2), broker.rest())
        self.assertIn(client.drained(), ("eof", "reset"))

    @threaded
    def test_foreign(self) -> None:
        """TLS and HTTP are named; observed they pass as bytes, a gateway ends them."""
        for data, reason in ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "tls_on_plaintext"), (GET, "http")):
            client = self.client(data, port="kafka")
            broker = self.upstream.accept()
            self.assertEqual(data, broker.exactly(len(data)))
            broker.send(b"\x15\x03")
            self.assertEqual(b"\x15\x03", client.exactly(2))
            self.assertEqual(1, self.metrics("kafka").protocol_errors.pop(reason))
            client.close()
            client = self.client(data, port="gate")
            self.assertIn(client.end(), ("eof", "reset"))
            self.assertEqual(1, self.metrics("gate").protocol_errors.pop(reason))
        self.assertTrue(self.upstream.nobody())

    @threaded
    def test_truncated(self) -> None:
        """A request that ends within its header passes unread where it is observed."""
        for data in (b"\0\0\0\x08\0\x12\0\0\0\0\0\1", b"\0\0\0\x0b\0\x12\0\0\0\0\0\1\0\x05a"):
            client = self.client(data + b"more", port="kafka")
            broker = self.upstream.accept()
            self.assertEqual(data + b"more", broker.exactly(len(data) + 4))
            client.close()
            client = self.client(data, port="gate")
            self.assertIn(client.end(), ("eof", "reset"))

    @threaded
    def test_stalled(self) -> None:
        """Whoever announces a frame and does not send it is let go, and so is who says nothing at all."""
        client = self.client(produce(1, 5000)[:2000], port="strict")
        self.assertIn(client.end(), ("eof", "reset"))
        self.assertEqual({"stalled": 1}, self.metrics("strict").protocol_errors)
        client = self.client(port="strict")
        self.assertIn(client.end(), ("eof", "reset"))

    @threaded
    def test_slow(self) -> None:
        """Whoever sends a little now and then is slow, and does not stand still, though the rest is waited for."""
        client, said = self.client(port="strict"), produce(1, 5000)
        client.send(said[:1000])
        broker = self.upstream.accept()
        for at in range(1000, len(said), 300):
            time.sleep(0.06)
            client.send(said[at : at + 300])
        self.assertEqual(said, broker.exactly(len(said)))
        self.assertEqual({}, self.metrics("strict").protocol_errors)


class GatewayTests(KafkaCase):
    """Addresses, over real sockets."""

    def metadata(self, port: int, partitions: int) -> bytes:
        """A broker's answer to Metadata version 9, where it says to be on C{port}."""
        Topic = MetadataResponse.MetadataResponseTopic
        Partition = Topic.MetadataResponsePartition
        topic = Topic(
            name="t",
            partitions=[Partition(partition_index=n, leader_id=7, replica_nodes=[7]) for n in range(partitions)],
        )
        broker = MetadataResponse.MetadataResponseBroker(node_id=7, host="127.0.0.1", port=port)
        response = MetadataResponse(brokers=[broker], cluster_id="c", controller_id=7, topics=[topic])
        response._header = None
        return answer(2, b"\0" + response.encode(version=9))

    @threaded
    def test_rewritten(self) -> None:
        """A large answer arrives with the gateway's address in it; there the broker is reached, and nowhere else."""
        real = int(self.upstream.address.rpartition(":")[2])
        asked = request(2, b"\0\1\0\0\0\0", 3, 9)
        for _ in range(2):
            client, broker = self.client(asked, port="gate"), self.upstream.accept()
            self.assertEqual(asked, broker.exactly(len(asked)))
            told = self.metadata(real, 12_000)
            sender = threading.Thread(target=broker.send, args=(told,))
            sender.start()
            size = struct.unpack(">i", client.exactly(4))[0]
            got = MetadataResponse.decode(client.exactly(size)[5:], version=9)
            sender.join()
            (found,) = got.brokers
            self.assertNotEqual(real, found.port)
            self.assertEqual((7, "127.0.0.1", 12_000), (found.node_id, found.host, len(got.topics[0].partitions)))
            client.close()
        self.ports["node"] = found.port
        client, broker = self.talk("node")
        rows = [row for row in self.proxy.connections() if row["node"] == "7"]
        self.assertEqual(["a"], [row["client_id"] for row in rows])
        client.close()

    @threaded
    def test_malformed(self) -> None:
        """Not a byte passes of an answer that cannot be rewritten."""
        asked = request(2, b"\0\1\0\0\0\0", 3, 9)
        client, broker = self.client(asked, port="gate"), self.upstream.accept()
        broker.exactly(len(asked))
        broker.send(answer(2, b"\0" * 5 + b"\x7f" + b"\xff" * 40))
        self.assertIn(client.end(), ("eof", "reset"))
        self.assertEqual({"rewrite": 1}, self.metrics("gate").protocol_errors)


class SeedTests(KafkaCase):
    """A gateway asks who the brokers are, before anybody else does."""

    asks = True

    def config(self) -> Config:
        """The gateway alone, with three ports, of which another program has the first; its seed has a name."""
        self.first = free_ports(3)
        self.holder = socket.create_server(("127.0.0.1", self.first))
        self.addCleanup(self.holder.close)
        port = int(self.upstream.address.rpartition(":")[2])
        gate = self.kafka(mode="gateway", ports=f"{self.first}-{self.first + 2}")
        return Config(
            admin=Admin(address=""),
            listen=(Listen("gate", "127.0.0.1:0", target="service:seeds", protocol="kafka", plugins=gate),),
            services={"seeds": Service("seeds", (f"127.0.0.1:{port}", f"nobody.invalid:{port}"))},
        )

    @threaded
    def test_ready(self) -> None:
        """With its response the brokers' ports are open and the proxy is ready."""
        asked = asked_frame(3, 1, bytes(4))
        self.assertIn("no seed has been asked yet", str(self.proxy.ready()))
        seed = self.upstream.accept()
        self.assertEqual(asked, seed.exactly(len(asked)))
        real = int(self.upstream.address.rpartition(":")[2])
        brokers = [
            MetadataResponse.MetadataResponseBroker(node_id=node, host="127.0.0.1", port=real, rack=None)
            for node in (200_000, 5)
        ]
        response = MetadataResponse(brokers=brokers, controller_id=5, topics=[])
        response._header = None
        seed.send(answer(0, bytes(response.encode(version=1))))
        eventually(lambda: self.proxy.ready() is None)
        self.assertIn(seed.drained(), ("eof", "reset"))
        for node, port in (("5", self.first + 1), ("200000", self.first + 2)):
            self.ports[node] = port
            client, broker = self.talk(node)
            rows = [row["node"] for row in self.proxy.connections()]
            self.assertEqual([node], rows)
            client.close()
            broker.close()
            eventually(lambda: not self.proxy.connections())
