# -*- test-case-name: tests.protocols.kafka.gateway.test_cluster -*-
"""
Tests for L{lproxy.protocols.kafka.gateway.cluster} alone; what clients see of it is in
L{tests.protocols.kafka.gateway.test_policy}.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Service
from lproxy.protocols.kafka.gateway.cluster import GRACE, Cluster, Unmapped
from lproxy.protocols.kafka.plugin import KafkaPlugin
from lproxy.protocols.kafka.settings import read
from lproxy.target import Authority, Member
from lproxy.testing import ScriptedProxy

OURS = "10.0.0.2"


class ClusterTestCase(SynchronousTestCase):
    """A gateway's brokers."""

    table: dict[str, Any] = {"base_port": 9100}

    def setUp(self) -> None:
        self.start()

    def start(self, **table: Any) -> None:
        """Begin anew."""
        self.proxy = ScriptedProxy(KafkaPlugin())
        config = read({"mode": "gateway", **self.table, **table})
        self.ruled: list[str] = []
        self.connected: set[str] = set()

        def rules(node: str) -> Any:
            self.ruled.append(node)

        make: Any = lambda broker, accepted: broker  # noqa: E731
        self.cluster = Cluster(self.proxy.runtime, config, "kafka", rules, make, lambda: self.connected)

    def learn(self, *nodes: int, all_there_are: bool = True) -> dict[int, int | None]:
        """The port of each, once an answer has named them, in this order."""
        self.cluster.learn([(node, f"kafka-{node}", 9092) for node in nodes], all_there_are)
        return {node: self.port(node) for node in nodes}

    def port(self, node: int) -> int | None:
        told = self.cluster.locate(node, OURS)
        return told[1] if told is not None else None

    def made(self, port: int) -> Any:
        made: Any = self.proxy.exposed[port]
        return made(None)


class ClusterTests(ClusterTestCase):
    """Where brokers are, and where clients find them."""

    def test_located(self) -> None:
        """A new broker is bound, once, with rules for its node id."""
        self.assertIsNone(self.cluster.locate(7, OURS))
        for _ in range(2):
            self.assertEqual({7: 9107}, self.learn(7))
        self.assertEqual((["7"], [9107]), (self.ruled, list(self.proxy.exposed)))
        broker = self.made(9107)
        self.assertEqual((7, Authority("kafka-7", 9092)), (broker.node, broker.target))

    def test_other_worker(self) -> None:
        """What another worker says of a broker is served here, too, on the same port; and is said of ours."""
        self.cluster.start()
        (heard,) = self.proxy.hearing
        heard('[7, "kafka-7", 9092, 9104]')
        heard('[7, "kafka-7", 9092, 9104]')
        self.assertEqual({7: 9104}, self.learn(7))
        self.assertEqual('[7, "kafka-7", 9092, 9104]', self.proxy.notes["7"])
        self.assertEqual([9104], list(self.proxy.exposed))
        heard('[8, "", 9092, 9105]')
        self.assertIsNone(self.port(8))

    def test_elsewhere(self) -> None:
        """A broker to which another worker has just given a port has that here, whatever would be its own."""
        self.proxy.elsewhere["7"] = 9104
        self.assertEqual({7: 9104, 8: 9108}, self.learn(7, 8))
        self.assertEqual([9104, 9108], sorted(self.proxy.exposed))

    def again(self, **table: Any) -> tuple[bool, dict[int, int]]:
        """Another configuration goes on. Whether any brokers were known, and the ports of those that are served."""
        before = self.proxy
        self.start(**table)
        self.proxy.runtime.remembered.update(before.runtime.remembered)
        known = self.cluster.start()
        return known, {node: broker.port for node, broker in self.cluster.brokers.items()}

    def test_remembered(self) -> None:
        """
        Where another configuration goes on, it serves the same brokers from its start, on the same ports, in whatever
        order they were heard of; those that are gone by then are not.
        """
        self.table = {"ports": "9100-9110"}
        self.start()
        ports = [self.learn(*nodes, all_there_are=False) for nodes in ((7,), (3, 5))]
        self.assertEqual([{7: 9100}, {3: 9101, 5: 9102}], ports)
        expected = {7: 9100, 3: 9101, 5: 9102}
        for _ in range(2):
            self.assertEqual((True, expected), self.again())
        self.assertEqual(expected, {node: self.port(node) for node in expected})
        self.assertEqual((7, Authority("kafka-7", 9092)), (self.made(9100).node, self.made(9100).target))

    def test_remembered_elsewhere(self) -> None:
        """On other ports where it is to have others; no more than it may; of no other target than the listener's."""
        self.learn(1, 2, 3)
        self.assertEqual((True, {1: 9201, 2: 9202, 3: 9203}), self.again(base_port=9200))
        self.assertEqual((True, {1: 9201, 2: 9202}), self.again(base_port=9200, max_brokers=2))
        self.proxy.runtime.remembered["brokers"] = ("other:9092", self.proxy.runtime.remembered["brokers"][1])
        self.assertEqual((False, {}), self.again(base_port=9200))

    def test_nothing_to_remember(self) -> None:
        """At first there is nothing; and what is learnt by one that others have come after is theirs to say."""
        self.assertFalse(self.cluster.start())
        self.learn(1)
        before = dict(self.proxy.runtime.remembered)
        object.__setattr__(self.proxy.runtime, "superseded", lambda: True)
        self.learn(1, 2)
        self.assertEqual(before, self.proxy.runtime.remembered)

    def test_of_a_service(self) -> None:
        """Brokers that a configured service tells of are connected to as that service is."""
        proxy = ScriptedProxy(KafkaPlugin())
        service = Service("kafka", ("10.0.0.9:9092",), tls=True)
        runtime = replace(proxy.runtime, service=lambda target: service)
        config = read({"mode": "gateway", **self.table})
        make: Any = lambda broker, accepted: broker  # noqa: E731
        rules: Any = lambda node: None  # noqa: E731
        cluster = Cluster(runtime, config, "kafka", rules, make, set)
        cluster.learn([(7, "kafka-7", 9093)], all_there_are=True)
        self.assertEqual(Member("kafka", "kafka-7", 9093), cluster.brokers[7].target)

    def test_ours(self) -> None:
        """Each client is told the address by which it has found us; or what the configuration says."""
        self.learn(1)
        self.assertEqual(("10.9.9.9", 9101), self.cluster.locate(1, "10.9.9.9"))
        self.assertEqual(("2001:db8::1", 9101), self.cluster.locate(1, "2001:db8::1"))
        self.assertRaises(Unmapped, self.cluster.locate, 1, "")
        self.start(advertised_host="kafka.example", advertised_base_port=100)
        self.learn(1)
        self.assertEqual(("kafka.example", 101), self.cluster.locate(1, "10.9.9.9"))
        self.assertEqual([9101], list(self.proxy.exposed))

    def test_moved(self) -> None:
        """One that is elsewhere is there for all who come; it is said once."""
        self.learn(1)
        for _ in range(2):
            self.cluster.learn([(1, "b", 2)], all_there_are=False)
        self.assertEqual(Authority("b", 2), self.made(9101).target)
        self.assertEqual(2, len(self.proxy.said))

    def test_moved_nowhere(self) -> None:
        """One that says it is nowhere is where it was, and clients are not sent there until it says so itself."""
        self.learn(1)
        for _ in range(2):
            self.cluster.learn([(1, "b", 0)], all_there_are=True)
            self.assertIsNone(self.port(1))
        self.assertEqual(Authority("kafka-1", 9092), self.made(9101).target)
        self.assertEqual({1: 9101}, self.learn(1))

    def test_started(self) -> None:
        """Configured brokers are bound at the start, where the configuration has them, whatever they say later."""
        self.start(brokers={"1": "inside:1", "2": "inside:2"})
        self.cluster.start()
        self.cluster.learn([(1, "outside", 9)], all_there_are=True)
        self.assertEqual([9101, 9102], sorted(self.proxy.exposed))
        self.assertEqual(Authority("inside", 1), self.made(9101).target)

    def test_taken_at_the_start(self) -> None:
        """A port that another program has keeps nobody from starting."""
        self.start(brokers={"1": "inside:1", "2": "inside:2"}, max_brokers=2)
        self.proxy.taken.add(9101)
        self.cluster.start()
        self.assertEqual([9102], sorted(self.proxy.exposed))
        self.assertEqual({1: "cannot listen on 9101: Address already in use"}, self.cluster.left_out)
        self.assertIn("clients are not told of broker 1 (cannot listen on 9101", self.proxy.warnings[0])


class RangeTests(ClusterTestCase):
    """Ports of a range."""

    table = {"ports": "9101-9103"}

    def test_lowest(self) -> None:
        """Whatever its id, a new broker has the lowest that is free; of several, the lowest id comes first."""
        self.assertEqual({200_000: 9102, 100_000: 9101}, self.learn(200_000, 100_000))
        self.assertEqual({5: 9103, 200_000: 9102}, self.learn(5, 200_000))

    def test_fits(self) -> None:
        """With a base_port as well, ids that fit have their own port, whoever else is new, and in whatever order."""
        self.start(base_port=9100, ports="9101-9104")
        self.assertEqual({100: 9102, 1: 9101, 3: 9103}, self.learn(100, 1, 3))
        self.assertEqual({4: 9104}, self.learn(4, all_there_are=False))

    def test_stable(self) -> None:
        """The same brokers have the same ports when the gateway starts again, however they are named."""
        before = self.learn(12, 7, 9)
        self.start()
        self.assertEqual(before, self.learn(9, 12, 7))

    def test_full(self) -> None:
        """One too many is left out by itself, with the reason, and has the first that is free."""
        ports = {1: 9101, 2: 9102, 3: 9103, 4: None}
        self.assertEqual(ports, self.learn(1, 2, 3, 4))
        self.assertIn("clients are not told of broker 4 (it is one more than the 3 that ", self.proxy.warnings[-1])
        self.assertEqual({1: 9101, 3: 9103, 4: None}, self.learn(1, 3, 4, all_there_are=False))
        self.assertEqual({1: 9101, 3: 9103, 4: 9102}, self.learn(1, 3, 4))

    def test_many_left_out(self) -> None:
        """The log names some of them."""
        self.learn(*range(20))
        self.assertIn(" and 12 more; all others are served", self.proxy.warnings[-1])

    def test_taken(self) -> None:
        """A port that another program has is passed over for now, and for another broker later on."""
        self.proxy.taken.add(9101)
        self.assertEqual({1: 9102}, self.learn(1))
        self.proxy.taken.clear()
        self.assertEqual({1: 9102, 2: 9103, 3: None}, self.learn(1, 2, 3))
        self.proxy.settle(5)
        self.assertEqual({1: 9102, 2: 9103, 3: 9101}, self.learn(1, 2, 3))

    def test_all_taken(self) -> None:
        """Where another program has all that are left, the reason is told each time."""
        self.proxy.taken.update((9102, 9103))
        for _ in range(2):
            self.assertEqual({1: 9101, 2: None}, self.learn(1, 2))
            self.assertEqual({2: "cannot listen on 9103: Address already in use"}, self.cluster.left_out)


class GoneTests(ClusterTestCase):
    """Brokers that no answer names any more."""

    table = {"ports": "9101-9103"}

    def later(self, *nodes: int, seconds: float = GRACE) -> None:
        """These are named once more after C{seconds}."""
        self.proxy.settle(seconds)
        self.learn(*nodes)

    def test_given_back(self) -> None:
        """After a while its port is closed, and the next one's."""
        self.learn(1, 2)
        self.learn(2)
        self.later(2, seconds=GRACE - 1)
        self.assertEqual([9101, 9102], sorted(self.proxy.exposed))
        self.later(2, seconds=1)
        self.assertEqual([9102], sorted(self.proxy.exposed))
        self.assertEqual("listener scripted: broker 1 is gone, and its port 9101 is free again", self.proxy.said[-1])
        self.assertEqual({2: 9102, 3: 9101}, self.learn(2, 3))

    def test_back(self) -> None:
        """One that any answer names is there again."""
        self.learn(1, 2)
        self.learn(2)
        self.proxy.settle(GRACE - 1)
        self.learn(1, all_there_are=False)
        self.later(2, seconds=2)
        self.assertEqual([9101, 9102], sorted(self.proxy.exposed))

    def test_some(self) -> None:
        """An answer that never names all, or names nobody, says nothing about others."""
        self.learn(1, 2)
        for seconds in (1, GRACE, GRACE):
            self.proxy.settle(seconds)
            self.learn(2, all_there_are=False)
            self.learn()
        self.assertEqual([9101, 9102], sorted(self.proxy.exposed))

    def test_connected(self) -> None:
        """Where somebody is connected, it stays."""
        self.learn(1, 2)
        self.learn(2)
        self.connected = {"1", "bootstrap"}
        self.later(2)
        self.assertEqual([9101, 9102], sorted(self.proxy.exposed))
        self.connected = {"bootstrap"}
        self.later(2, seconds=0)
        self.assertEqual([9102], sorted(self.proxy.exposed))

    def test_configured(self) -> None:
        """So does one that is configured."""
        self.start(brokers={"1": "a:1"})
        self.cluster.start()
        for _ in range(3):
            self.later(2)
        self.assertEqual([9101, 9102], sorted(self.proxy.exposed))

    def test_room(self) -> None:
        """Where there is no other port, the one that is gone for longest gives its up at once, if nobody is there."""
        self.learn(1, 2, 3)
        self.later(2, 3, seconds=1)
        self.later(3, seconds=1)
        self.connected = {"1"}
        self.assertEqual({3: 9103, 4: 9102}, self.learn(3, 4))
        self.assertEqual({3: 9103, 4: 9102, 5: None}, self.learn(3, 4, 5))
        self.connected = set()
        self.assertEqual({3: 9103, 4: 9102, 5: 9101}, self.learn(3, 4, 5))

    def test_ever_new_ids(self) -> None:
        """A cluster whose brokers have ever new ids is served as long as it is small enough."""
        for node in range(1, 50, 3):
            ports = self.learn(node, node + 1, node + 2)
            self.assertEqual({9101, 9102, 9103}, set(ports.values()))
