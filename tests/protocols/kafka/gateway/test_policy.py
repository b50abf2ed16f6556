# -*- test-case-name: tests.protocols.kafka.gateway.test_policy -*-
"""
Tests for L{lproxy.protocols.kafka.gateway.policy}: whatever a broker answers and a client asks, no
address of a broker's gets out, and what clients are told instead is served before they hear of it.

Over 300 lines: each answer that holds addresses has one set of promises, and all share the scene.
"""

from __future__ import annotations

from typing import Any

from kafka.protocol.metadata import ApiVersionsResponse, MetadataResponse
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.apis import (
    APIS,
    BY_NAME,
    DESCRIBE_CLUSTER,
    DESCRIBE_QUORUM,
    FETCH,
    FIND_COORDINATOR,
    METADATA,
    PRODUCE,
)
from lproxy.protocols.kafka.codec.wire import encode_uvarint
from lproxy.protocols.kafka.gateway import rewrite
from lproxy.protocols.kafka.gateway.cluster import Unmapped
from lproxy.protocols.kafka.gateway.limits import HIDDEN
from lproxy.testing import Peer, shown
from lproxy.transport.stream import Secured
from tests.protocols.kafka.gateway.test_quorum import quorum
from tests.protocols.kafka.gateway.test_rewrite import Node, cluster, coordinators, metadata, produced
from tests.protocols.kafka.scene import (
    KafkaTestCase,
    answer,
    ask_metadata,
    ask_versions,
    beat,
    describe_cluster,
    fetch,
    find_coordinator,
    framed,
    heartbeat,
    produce,
    raw_request,
    versions,
)

SECRET = "kafka-internal"
BROKERS: list[Node] = [(1, f"{SECRET}-1", 9092, None), (2, f"{SECRET}-2", 9093, "rack")]
TOLD: list[Node] = [(1, "10.0.0.2", 9101, None), (2, "10.0.0.2", 9102, "rack")]


class GatewayTestCase(KafkaTestCase):
    """A gateway, on whose port 9100 + N is the broker N."""

    table = {"mode": "gateway", "base_port": 9100}

    def asked(self, *said: bytes, port: int | None = None) -> Peer:
        """A client that has said so, which has been passed on."""
        client = self.client(*said, port=port)
        self.assertTrue(self.broker.heard.endswith(b"".join(said)))
        return client

    def refused(self, client: Peer, words: str, heard: bytes = b"") -> None:
        """Both are closed, C{client} has heard nothing else, and it was counted and logged once."""
        self.assertEqual(heard, client.heard)
        self.assertNotIn(SECRET.encode(), client.heard)
        self.assert_over(client, flags="PE")
        self.assertEqual({"rewrite": 1}, self.metrics.protocol_errors)
        self.warned(f"kafka connection from 10.0.0.1: the broker sends what cannot be passed on (rewrite: {words}")


class AnswerTests(GatewayTestCase):
    """Answers with addresses in them."""

    def test_metadata(self) -> None:
        """In all versions: other addresses, nothing else, and a listener before the answer is heard."""
        for version in range(14):
            self.start()
            client = self.asked(ask_metadata(1, version))
            seen: list[bytes] = []
            expose = self.proxy.runtime.expose

            def exposing(*args: Any, peer: Peer = client, seen: list[bytes] = seen, real: Any = expose) -> Any:
                seen.append(peer.heard)
                return real(*args)

            object.__setattr__(self.proxy.runtime, "expose", exposing)
            self.say(self.broker, answer(METADATA, version, 1, metadata(version, BROKERS)))
            self.assertEqual(answer(METADATA, version, 1, metadata(version, TOLD)), client.heard)
            self.assertEqual(([b"", b""], [9101, 9102]), (seen, sorted(self.proxy.exposed)))
            self.assertEqual({"Metadata": 2}, self.metrics.rewritten)

    def test_every_byte(self) -> None:
        """Wherever an answer is cut, and whatever stands before and behind it."""
        said = [
            (ask_metadata(2), answer(METADATA, 12, 2, metadata(12, BROKERS)), metadata(12, TOLD)),
            (find_coordinator(3), answer(FIND_COORDINATOR, 4, 3, coordinators(4, BROKERS)), coordinators(4, TOLD)),
            (produce(4, version=9), answer(PRODUCE, 9, 4, produced(9, None)), produced(9, None)),
            (describe_cluster(5), answer(DESCRIBE_CLUSTER, 1, 5, cluster(1, BROKERS)), cluster(1, TOLD)),
        ]
        asked = heartbeat(1) + b"".join(one[0] for one in said) + heartbeat(6)
        answers = beat(1) + b"".join(one[1] for one in said) + beat(6)
        keys = ((METADATA, 12), (FIND_COORDINATOR, 4), (PRODUCE, 9), (DESCRIBE_CLUSTER, 1))
        told = beat(1) + b"".join(
            answer(*key, i + 2, one[2]) for i, (key, one) in enumerate(zip(keys, said, strict=True))
        )
        told += beat(6)
        client = self.asked(asked)
        for byte in answers:
            self.say(self.broker, bytes([byte]))
        self.assertEqual(told, client.heard)
        for cut in range(0, len(answers), 7):
            client = self.asked(asked)
            self.say(self.broker, answers[:cut])
            self.say(self.broker, answers[cut:])
            self.assertEqual(told, client.heard)
            client.reset()
            self.settle()

    def test_all_at_once(self) -> None:
        """Also where the broker says it in one go, and the client takes it in small pieces."""
        count = 30
        client = self.asked(*(ask_metadata(i) for i in range(count)))
        client.room = 10
        self.say(self.broker, *(answer(METADATA, 12, i, metadata(12, BROKERS)) for i in range(count)))
        client.room = None
        self.settle()
        self.assertEqual(b"".join(answer(METADATA, 12, i, metadata(12, TOLD)) for i in range(count)), client.heard)

    def test_produce(self) -> None:
        """New leaders that a Produce answer names (KIP-951) are rewritten; answers without are the same bytes."""
        for version in range(9, 14):
            client = self.asked(raw_request(PRODUCE, version, 1, b"\0\xff\xff\0\0\0\1\1\0"))
            said, told = (BROKERS, TOLD) if version >= 10 else (None, None)
            self.say(self.broker, answer(PRODUCE, version, 1, produced(version, said)))
            self.assertEqual(answer(PRODUCE, version, 1, produced(version, told)), client.heard)

    def test_unknown_coordinator(self) -> None:
        """A coordinator that nobody has heard of is given a listener first."""
        for version in range(7):
            self.start()
            client = self.asked(find_coordinator(1, version))
            self.say(self.broker, answer(FIND_COORDINATOR, version, 1, coordinators(version, BROKERS[1:])))
            self.assertEqual(answer(FIND_COORDINATOR, version, 1, coordinators(version, TOLD[1:])), client.heard)
            self.assertEqual([9102], list(self.proxy.exposed))

    def test_no_coordinator(self) -> None:
        """Where there is none now, there is nothing to rewrite or to bind."""
        body = coordinators(3, [(-1, "", -1, None)])
        client = self.asked(find_coordinator(1, 3))
        self.say(self.broker, answer(FIND_COORDINATOR, 3, 1, body))
        self.assertEqual((answer(FIND_COORDINATOR, 3, 1, body), {}), (client.heard, self.proxy.exposed))

    def test_large(self) -> None:
        """Metadata of many partitions goes on as it comes, beyond kafka.buffered, once its brokers are rewritten."""
        self.start(buffered="4KiB")
        before, after = metadata(12, BROKERS, 4000), metadata(12, TOLD, 4000)
        self.assertGreater(len(before), 100_000)
        client = self.asked(ask_metadata(1))
        said = answer(METADATA, 12, 1, before)
        for at in range(0, len(said), 1000):
            self.say(self.broker, said[at : at + 1000])
            self.assertLess(len(self.session._answers._kept), 1100)
        self.assertEqual(answer(METADATA, 12, 1, after), client.heard)

    def test_kept(self) -> None:
        """All other answers pass as they are, in any size."""
        client = self.asked(fetch(1, 15))
        said = answer(FETCH, 15, 1, bytes(3_000_000))
        self.say(self.broker, said)
        self.assertEqual(said, client.heard)


class MalformedTests(GatewayTestCase):
    """A broker that answers something else: closed, and not a byte of that answer leaves."""

    def answered(self, *said: bytes, asked: bytes | None = None, step: int = 0) -> Peer:
        client = self.asked(heartbeat(8), asked or ask_metadata(9), heartbeat(10))
        data = b"".join((beat(8), *said, beat(10)))
        for at in range(0, len(data), step or len(data)):
            self.say(self.broker, data[at : at + (step or len(data))])
        return client

    def test_metadata(self) -> None:
        """In whatever manner, in one piece or many, and whatever follows it."""
        good = metadata(12, BROKERS)
        for body in (
            good[:20],
            b"\0\0\0\0\xff\xff\xff\xff\x0f" + good[5:],
            b"\0\0\0\0\0",
            good.replace(SECRET.encode(), b"\xff" * len(SECRET)),
            b"",
        ):
            for step in (0, 1, 50):
                self.start()
                client = self.answered(answer(METADATA, 12, 9, body), step=step)
                self.refused(client, "Metadata v12: ", beat(8))
                self.assertEqual(({}, {"Heartbeat": 1}), (self.proxy.exposed, self.incomplete))

    def test_others(self) -> None:
        """And of every kind that is rewritten; trailing bytes could hold anything."""
        for key, version, asked, good in (
            (FIND_COORDINATOR, 4, find_coordinator(9), coordinators(4, BROKERS)),
            (FIND_COORDINATOR, 0, find_coordinator(9, 0), coordinators(0, BROKERS)),
            (DESCRIBE_CLUSTER, 1, describe_cluster(9), cluster(1, BROKERS)),
            (PRODUCE, 10, raw_request(PRODUCE, 10, 9, b"\0\xff\xff\0\0\0\1\1\0"), produced(10, BROKERS)),
        ):
            for body in (good[:-1], good + b"x", good[: len(good) // 2], b""):
                for step in (0, 1):
                    self.start()
                    client = self.answered(answer(key, version, 9, body), asked=asked, step=step)
                    self.refused(client, f"{APIS[key].name} v{version}: ", beat(8))
                    self.assertEqual({}, self.proxy.exposed)

    def test_controllers(self) -> None:
        """DescribeCluster that tells of controllers is none of a client's business."""
        client = self.answered(answer(DESCRIBE_CLUSTER, 1, 9, cluster(1, BROKERS, 2)), asked=describe_cluster(9, 1, 2))
        self.refused(client, "DescribeCluster v1: it is about controllers", beat(8))

    def test_too_large(self) -> None:
        """What is to be rewritten and is beyond kafka.max_rewritten is refused by its head, before it is kept."""
        self.start(buffered="2KiB", max_rewritten="4KiB")
        body = coordinators(4, BROKERS * 100)
        client = self.asked(find_coordinator(9), heartbeat(10))
        said = answer(FIND_COORDINATOR, 4, 9, body)
        self.say(self.broker, said[:30])
        self.say(self.broker, said[30:], beat(10))
        self.refused(client, f"FindCoordinator v4: {len(said)} bytes are more than kafka.max_rewritten")

    def test_beyond_buffered(self) -> None:
        """What is beyond kafka.buffered is rewritten in pieces, with what stands before and behind it, however cut."""
        self.start(buffered="100")
        asked = [heartbeat(1), find_coordinator(2), find_coordinator(3, 3), describe_cluster(4)]
        asked += [raw_request(PRODUCE, 10, 5, b"\0\xff\xff\0\0\0\1\1\0"), heartbeat(6)]

        def all_of(nodes: list[Node]) -> list[bytes]:
            return [
                beat(1),
                answer(FIND_COORDINATOR, 4, 2, coordinators(4, nodes * 4)),
                answer(FIND_COORDINATOR, 3, 3, coordinators(3, [(n, h * 8, p, r) for n, h, p, r in nodes[:1]])),
                answer(DESCRIBE_CLUSTER, 1, 4, cluster(1, nodes * 3)),
                answer(PRODUCE, 10, 5, produced(10, nodes * 3)),
                beat(6),
            ]

        said, told = all_of(BROKERS), all_of(TOLD)
        told[2] = answer(FIND_COORDINATOR, 3, 3, coordinators(3, TOLD[:1]))
        self.assertGreater(min(map(len, said[1:-1])), 100)
        for size in (1, 50, 333, 10_000):
            client = self.asked(*asked)
            whole = b"".join(said)
            for at in range(0, len(whole), size):
                self.say(self.broker, whole[at : at + size])
            self.assertEqual(b"".join(told), client.heard)
        self.assertEqual({"FindCoordinator": 36, "DescribeCluster": 24, "Produce": 24}, self.metrics.rewritten)

    def test_beyond_buffered_malformed(self) -> None:
        """Nor does anything pass of what is none, or ends early."""
        body = coordinators(4, BROKERS * 4)
        for wrong, words in (
            (body[:-1] + b"\7", "truncated: ends before byte "),
            (body + b"\0", "1 bytes after its end"),
            (body[:4] + b"\xff\x7f" + body[5:], "16382 coordinators"),
            (body[:4] + b"\0" + body[5:], "-1 coordinators"),
        ):
            for size in (33, 10_000):
                self.start(buffered="100")
                client = self.asked(find_coordinator(9), heartbeat(10))
                said = answer(FIND_COORDINATOR, 4, 9, wrong) + beat(10)
                for at in range(0, len(said), size):
                    self.say(self.broker, said[at : at + size])
                self.refused(client, f"FindCoordinator v4: {words}")

    def test_ends_in_pieces(self) -> None:
        """A broker that ends in the middle has said nothing."""
        self.start(buffered="100")
        client = self.asked(find_coordinator(9))
        self.say(self.broker, answer(FIND_COORDINATOR, 4, 9, coordinators(4, BROKERS * 4))[:-1])
        self.broker.hang_up()
        self.settle()
        self.assertEqual(b"", client.heard)
        self.assertTrue(client.ended)

    def test_too_many_brokers_to_keep(self) -> None:
        """So is a list of brokers beyond it."""
        self.start(buffered="4KiB")
        client = self.asked(ask_metadata(9))
        said = answer(METADATA, 12, 9, metadata(12, BROKERS * 200))
        for at in range(0, 6000, 500):
            self.say(self.broker, said[at : at + 500])
        self.assertEqual(b"", client.heard)
        self.assert_over(client, flags="PE")
        self.assertEqual({}, self.proxy.exposed)

    def test_slow_client(self) -> None:
        """What was answered before is written first, also to a client that takes its time."""
        client = self.asked(heartbeat(8), ask_metadata(9))
        client.room = 3
        self.say(self.broker, beat(8), answer(METADATA, 12, 9, b"\xff"))
        self.assertEqual("", client.ended)
        client.room = None
        self.settle()
        self.refused(client, "Metadata v12: ", beat(8))

    def test_cut_off(self) -> None:
        """Half an answer that was to be rewritten does not leave when the broker hangs up."""
        for cut in (8, 40, 60):
            client = self.asked(ask_metadata(9))
            self.broker.say(answer(METADATA, 12, 9, metadata(12, BROKERS))[:cut])
            self.broker.hang_up()
            self.settle()
            self.assertEqual(b"", client.heard)
            self.assert_over(client)


class ClusterTests(GatewayTestCase):
    """Brokers come, move and are too many."""

    def told(self, *nodes: Node, port: int | None = None) -> Peer:
        client = self.asked(ask_metadata(1), port=port)
        self.say(self.broker, answer(METADATA, 12, 1, metadata(12, list(nodes))))
        return client

    def node(self, port: int) -> dict[str, Any]:
        """A new client of that port, as it is shown."""
        self.client(heartbeat(), port=port)
        row: dict[str, Any] = self.proxy.sessions[-1].describe()
        return row

    def test_served(self) -> None:
        """A broker's own port leads to it, under its node id; the other port says that it is the first contact."""
        client = self.told(*BROKERS)
        self.assertEqual(("bootstrap", "upstream.test:9000"), self._shown(0))
        self.node(9102)
        self.assertEqual(("2", f"{SECRET}-2:9093"), self._shown(1))
        self.assertEqual(("Heartbeat", "4", "2"), list(self.metrics.versions)[-1])
        client = self.told(*BROKERS, port=9101)
        self.assertIn(b"10.0.0.2", client.heard)
        self.assertEqual([9101, 9102], sorted(self.proxy.exposed))

    def _shown(self, index: int) -> tuple[str, str]:
        row = self.proxy.sessions[index].describe()
        return row["node"], row["target"]

    def test_said_once(self) -> None:
        """A line of the log says where a broker is served, once."""
        self.told(*BROKERS)
        self.told(*BROKERS)
        self.assertEqual(
            [f"listener scripted: broker {n} at {SECRET}-{n}:909{n + 1} is served on 10.0.0.2:910{n}" for n in (1, 2)],
            self.proxy.said,
        )

    def test_moved(self) -> None:
        """One that has moved keeps its port; connections that are open stay, new ones go to where it is."""
        self.told(*BROKERS)
        old = self.node(9101)
        client = self.told((1, "elsewhere", 7, None))
        self.assertEqual(answer(METADATA, 12, 1, metadata(12, [(1, "10.0.0.2", 9101, None)])), client.heard)
        self.assertEqual((f"{SECRET}-1:9092", f"{SECRET}-1:9092"), (old["target"], self._shown(1)[1]))
        self.assertEqual("elsewhere:7", self.node(9101)["target"])
        self.assertEqual("listener scripted: broker 1 is at elsewhere:7 now", self.proxy.said[-1])
        self.assertEqual([9101, 9102], sorted(self.proxy.exposed))

    def left_out(self, client: Peer, words: str, *nodes: Node) -> None:
        """C{client} was told of these alone, and the log says why not of others."""
        self.assertEqual(answer(METADATA, 12, 1, metadata(12, list(nodes))), client.heard)
        self.assertEqual({}, self.metrics.protocol_errors)
        self.warned(f"listener scripted: clients are not told of broker {words}")

    def test_nowhere(self) -> None:
        """One that says it is on no port is told to nobody, however often it says so; it stays where it was."""
        self.told(*BROKERS)
        for port in (0, -1, 65536):
            for _ in range(2):
                client = self.told((1, "elsewhere", port, None), BROKERS[1])
                self.left_out(client, f"1 (it says that it is at 'elsewhere', port {port})", TOLD[1])
        self.assertEqual(f"{SECRET}-1:9092", self.node(9101)["target"])
        self.assertEqual(answer(METADATA, 12, 1, metadata(12, TOLD)), self.told(*BROKERS).heard)

    def test_no_host(self) -> None:
        """Nor is one that has no host that there can be; the log shows it in characters that harm nobody."""
        for host in ("a\0b", "h\n2026 [lproxy#critical] forged", "a b", "\x1b[2J"):
            client = self.told((1, host, 9092, None), BROKERS[1])
            self.left_out(client, f"1 (it says that it is at {host!a}, port 9092)", TOLD[1])

    def test_bind_failure(self) -> None:
        """One whose port is taken by another program has another one."""
        self.proxy.taken.add(9102)
        client = self.told(*BROKERS)
        told: list[Node] = [TOLD[0], (2, "10.0.0.2", 9103, "rack")]
        self.assertEqual(answer(METADATA, 12, 1, metadata(12, told)), client.heard)
        self.assertEqual([9101, 9103], sorted(self.proxy.exposed))

    def test_no_port(self) -> None:
        """Where there is no other, it alone is left out, loudly; and tried again."""
        self.start(ports="9101-9102", base_port=None)
        self.proxy.taken.add(9102)
        self.left_out(self.told(*BROKERS), "2 (cannot listen on 9102: Address already in use)", TOLD[0])
        self.proxy.taken.clear()
        self.settle(5)
        self.assertEqual(answer(METADATA, 12, 1, metadata(12, TOLD)), self.told(*BROKERS).heard)

    def test_any_node(self) -> None:
        """Node ids beyond all ports have one all the same, with others untouched; below zero there is nobody."""
        for node in (60_000, 2**31 - 1):
            self.start()
            client = self.told(BROKERS[0], (node, "x", 1, None))
            told: list[Node] = [TOLD[0], (node, "10.0.0.2", 9102, None)]
            self.assertEqual(answer(METADATA, 12, 1, metadata(12, told)), client.heard)
        for node in (-1, -9200):
            self.start()
            client = self.told(BROKERS[0], (node, "x", 1, None))
            self.left_out(client, f"{node} (it says that it is at 'x', port 1)", TOLD[0])

    def test_forged(self) -> None:
        """However many an answer names, only so many are bound, and the others left out; beyond all reason, none is."""
        for count, bound in ((101, 100), (10_000, 100), (10_001, 0)):
            self.start()
            client = self.told(*((n, "x", 1, None) for n in range(count)))
            cluster = self.factory.cluster
            assert cluster is not None
            self.assertEqual((bound, bound), (len(self.proxy.exposed), len(cluster.brokers)))
            self.assertEqual(count - bound if bound else 0, len(cluster.left_out))
            self.assertEqual(not bound, bool(client.ended))
            self.proxy.warnings.clear()

    def test_max_brokers(self) -> None:
        """Those that are known count; those that are in the answer twice do not."""
        self.start(max_brokers=2)
        self.told(BROKERS[0], BROKERS[0])
        client = self.told(*BROKERS, (3, "x", 1, None))
        self.left_out(client, "3 (it is one more than the 2 that may have a port: kafka.ports, max_brokers)", *TOLD)
        counted = {family.name: list(family.samples) for family in self.metrics.families()}
        self.assertEqual([(self.metrics.labels, 1)], counted["kafka_brokers_left_out"])
        self.assertEqual([9101, 9102], sorted(self.proxy.exposed))

    def test_left_out_everywhere(self) -> None:
        """Who is left out coordinates nothing, and leads nothing."""
        self.start(max_brokers=1)
        self.told(BROKERS[0])
        for version in range(7):
            client = self.asked(find_coordinator(1, version))
            self.say(self.broker, answer(FIND_COORDINATOR, version, 1, coordinators(version, BROKERS[1:])))
            nobody = coordinators(version, [(-1, "", -1, None)]).replace(b"\tgroup--1", b"\x08group-2")
            self.assertEqual(answer(FIND_COORDINATOR, version, 1, nobody), client.heard)
        client = self.asked(raw_request(PRODUCE, 10, 1, b"\0\xff\xff\0\0\0\1\1\0"))
        self.say(self.broker, answer(PRODUCE, 10, 1, produced(10, BROKERS)))
        self.assertEqual(answer(PRODUCE, 10, 1, produced(10, TOLD[:1])), client.heard)
        client = self.asked(describe_cluster(1))
        self.say(self.broker, answer(DESCRIBE_CLUSTER, 1, 1, cluster(1, BROKERS)))
        self.assertEqual(answer(DESCRIBE_CLUSTER, 1, 1, cluster(1, TOLD[:1])), client.heard)
        self.proxy.warnings.clear()

    def test_advertised(self) -> None:
        """Clients are told what the configuration says; listeners are where they were."""
        self.start(advertised_host="kafka.example", advertised_base_port=30_000)
        client = self.told(*BROKERS)
        told: list[Node] = [(1, "kafka.example", 30_001, None), (2, "kafka.example", 30_002, "rack")]
        self.assertEqual(answer(METADATA, 12, 1, metadata(12, told)), client.heard)
        self.assertEqual([9101, 9102], sorted(self.proxy.exposed))

    def test_asked_for(self) -> None:
        """Over TLS a client is told the name that it has asked for, of which it has seen the certificate."""
        for sni, host in (("kafka.shop.test", "kafka.shop.test"), ("", "10.0.0.2")):
            self.start()
            client = self.client(ask_metadata(1), tls=Secured(sni=sni))
            self.say(self.broker, answer(METADATA, 12, 1, metadata(12, BROKERS)))
            told: list[Node] = [(1, host, 9101, None), (2, host, 9102, "rack")]
            self.assertEqual(answer(METADATA, 12, 1, metadata(12, told)), client.heard)

    def test_advertised_beyond(self) -> None:
        """A port that there is not is told to nobody, and nobody is bound for it."""
        self.start(advertised_base_port=65_534)
        told: list[Node] = [(1, "10.0.0.2", 65_535, None)]
        self.left_out(self.told(*BROKERS), "2 (all are in use by brokers)", *told)
        self.assertEqual([9101], list(self.proxy.exposed))

    def test_no_wildcard(self) -> None:
        """Where our own address says nothing, nobody is told it."""
        where = self.factory.cluster
        assert where is not None
        where.learn([(1, "x", 1)], all_there_are=True)
        self.assertRaises(Unmapped, where.locate, 1, "")

    def test_configured(self) -> None:
        """Brokers of the configuration are served from the start, at the address that it has for them."""
        self.start(brokers={"1": "inside:1", "7": "10.1.1.7:9092"})
        self.assertEqual([9101, 9107], sorted(self.proxy.exposed))
        self.assertEqual("inside:1", self.node(9101)["target"])
        self.told(*BROKERS)
        self.assertEqual("inside:1", self.node(9101)["target"])
        self.assertEqual(f"{SECRET}-2:9093", self.node(9102)["target"])
        self.assertEqual([9101, 9102, 9107], sorted(self.proxy.exposed))

    def test_limits_are_shared(self) -> None:
        """A connection to a broker's port counts as the listener's, and is refused without asking the broker."""
        self.start(max_connections=1, brokers={"1": "inside:1"})
        self.client()
        peer = self.client(heartbeat(), port=9101)
        self.assertEqual(("reset", []), (peer.ended, self.connector.upstreams))
        self.warned("kafka.max_connections are open")

    def test_services(self) -> None:
        """/services shows a broker's node id and who talks to it."""
        self.told(*BROKERS)
        self.client(heartbeat(1, client="x"), heartbeat(2, client="x"), port=9101)
        service: Any = self.proxy.acquires["kafka"].service
        self.assertEqual(
            {"connections": 2, "in_flight": 2, "node": "bootstrap", "client_ids": ["shop", "x"]}, shown(service)
        )


class AskTests(GatewayTestCase):
    """What clients may ask for."""

    def denied(self, said: bytes, name: str, words: str = "a request whose answer may hold addresses") -> None:
        client = self.client(said)
        self.assert_over(client, flags="PE", upstream=None)
        self.assertEqual(({name: 1}, b""), (self.metrics.denied, client.heard))
        self.warned(words)
        self.metrics.denied.clear()

    def test_versions(self) -> None:
        """ApiVersions, in all versions, is narrowed to what can be rewritten; Produce still begins at 0."""
        entries = [(PRODUCE, 0, 99), (FETCH, 4, 18), (METADATA, 0, 13), (78, 0, 2), (10_000, 0, 1), (12, 0, 4)]
        for version in range(5):
            client = self.asked(ask_versions(1, version))
            self.say(self.broker, versions(1, version, entries))
            told = ApiVersionsResponse.decode(client.heard[8:], version=version)
            got = [(one.api_key, one.min_version, one.max_version) for one in told.api_keys]
            self.assertEqual([(PRODUCE, 0, 13), (FETCH, 4, 15), (METADATA, 0, 13), (12, 0, 4)], got)
        self.assertEqual({"ApiVersions": 5}, self.metrics.clamped)

    def test_versions_unsupported(self) -> None:
        """A broker that does not know ApiVersions in this version says so in version 0, and that passes."""
        said = versions(1, 0, [(18, 0, 3)], error=35)
        client = self.asked(ask_versions(1, 4))
        self.say(self.broker, said)
        self.assertEqual(said, client.heard)

    def test_newer_versions(self) -> None:
        """Asked in a version beyond ours, a broker may answer as it likes: the client is told ours."""
        client = self.asked(raw_request(18, 9, 1, b"\2x\2y\0"))
        self.say(self.broker, framed(b"\0\0\0\1" + b"whatever"))
        self.assertEqual(versions(1, 0, [(18, 0, 4)], error=35), client.heard[: 4 + 4 + 2 + 4 + 6])
        self.assertEqual([], self.proxy.warnings)

    def test_versions_malformed(self) -> None:
        """What is no such answer does not pass."""
        client = self.asked(ask_versions(1, 3))
        self.say(self.broker, versions(1, 3, [(3, 0, 12)])[:-1] + b"")
        self.say(self.broker, b"\x05")
        self.assertEqual(b"", client.heard)
        self.assert_over(client, flags="PE")

    def test_fetch(self) -> None:
        """Fetch from 16 on is refused before anybody is dialled; up to 15 it passes."""
        self.asked(fetch(1, 15))
        for version in (16, 17, 18, 19):
            self.denied(raw_request(FETCH, version), "Fetch")

    def test_newer(self) -> None:
        """So is any API in a version that is newer than what is known here."""
        for name in ("Metadata", "Produce", "FindCoordinator", "Heartbeat", "DescribeCluster"):
            api = BY_NAME[name]
            self.denied(raw_request(api.key, api.newest + 1, body=b"\0" * 20), name)

    def test_hidden(self) -> None:
        """And those whose answers hold addresses of which nothing is known, and such as no client has to do with."""
        for key in sorted(HIDDEN):
            self.denied(raw_request(key, APIS[key].newest), APIS[key].name)
        self.denied(raw_request(10_000, 0), "other")

    def test_quorum(self) -> None:
        """DescribeQuorum passes in all versions, without the controllers' listeners."""
        for version in range(3):
            client = self.asked(raw_request(DESCRIBE_QUORUM, version, body=b"\1\0"))
            self.say(self.broker, answer(DESCRIBE_QUORUM, version, 1, quorum(version, {1: [SECRET], 2: [SECRET, "x"]})))
            self.assertEqual(answer(DESCRIBE_QUORUM, version, 1, quorum(version, {1: [], 2: []})), client.heard)
            self.assertNotIn(SECRET.encode(), client.heard)
        client = self.asked(ask_versions(1, 0))
        self.say(self.broker, versions(1, 0, [(DESCRIBE_QUORUM, 0, 2)]))
        self.assertEqual(versions(1, 0, [(DESCRIBE_QUORUM, 0, 2)]), client.heard)

    def test_allowed(self) -> None:
        """Unless the configuration allows them."""
        self.start(allow=["ShareFetch", "10000", "Fetch"])
        for said in (raw_request(78, 1), raw_request(10_000, 3), raw_request(FETCH, 17)):
            self.asked(said)
        client = self.asked(ask_versions(1, 0))
        entries = [(78, 0, 2), (79, 0, 1), (10_000, 0, 3), (10_001, 0, 3)]
        self.say(self.broker, versions(1, 0, entries))
        self.assertEqual(versions(1, 0, [entries[0], entries[2]]), client.heard)

    def test_allowed_unwalked(self) -> None:
        """What is rewritten is, whatever is allowed: in a version that nobody here can read, it does not pass."""
        self.start(allow=["Metadata"])
        client = self.asked(raw_request(METADATA, 14, 1, bytes(9)))
        self.say(self.broker, answer(METADATA, 14, 1, metadata(13, BROKERS)))
        self.refused(client, "Metadata v14: Metadata v14 is not known here")

    def test_max_versions(self) -> None:
        """A version may be lowered further; who asks beyond it is refused."""
        self.start(max_versions={"Metadata": 5, "Fetch": 17})
        client = self.asked(ask_versions(1, 0))
        self.say(self.broker, versions(1, 0, [(METADATA, 0, 13), (FETCH, 0, 18)]))
        self.assertEqual(versions(1, 0, [(METADATA, 0, 5), (FETCH, 0, 15)]), client.heard)
        self.denied(ask_metadata(1, 6), "Metadata")
        self.asked(ask_metadata(1, 5))

    def test_deny(self) -> None:
        """What is denied is refused, under its own reason, and not listed either."""
        self.start(deny=["DeleteTopics", "3"])
        self.denied(raw_request(20, 6, body=b"\1\0\0\0\1\0"), "DeleteTopics", "kafka.deny or a filter forbids")
        self.denied(ask_metadata(), "Metadata", "kafka.deny or a filter forbids")
        self.assertEqual({"denied": 2}, self.metrics.protocol_errors)
        client = self.asked(ask_versions(1, 0))
        self.say(self.broker, versions(1, 0, [(3, 0, 9), (12, 0, 4), (20, 0, 6)]))
        self.assertEqual(versions(1, 0, [(12, 0, 4)]), client.heard)

    def test_denied_in_mid_conversation(self) -> None:
        """Both connections are closed; not a byte of it is passed on, nor of what follows."""
        client = self.asked(heartbeat(1))
        self.say(client, raw_request(FETCH, 16), heartbeat(2))
        self.assertEqual(heartbeat(1), self.broker.heard)
        self.assert_over(client, flags="PE")
        self.assertEqual(({"unsupported": 1}, {"Heartbeat": 1}), (self.metrics.protocol_errors, self.incomplete))

    def test_denied_in_pieces(self) -> None:
        """However slowly it is asked."""
        client = self.client()
        for byte in raw_request(FETCH, 16):
            self.say(client, bytes([byte]))
        self.assert_over(client, flags="PE", upstream=None)


class ForeignTests(SynchronousTestCase):
    """The judge is as strict as he should be."""

    def test_named(self) -> None:
        """What tests here send is what kafka-python reads."""
        told = MetadataResponse.decode(metadata(12, BROKERS), version=12)
        self.assertEqual([n[:3] for n in BROKERS], [(b.node_id, b.host, b.port) for b in told.brokers])
        self.assertEqual(b"\x80\x01", encode_uvarint(128))
        self.assertEqual(13, rewrite.NEWEST[METADATA])
