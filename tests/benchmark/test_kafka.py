"""
L{benchmark.kafka}: what Kafka's tools print, and how the broker is told who stands in front of it.
"""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import kafka
from benchmark.peers import DIRECT, GATEWAY
from benchmark.process import ProcessFailed
from benchmark.settings import Settings

PRODUCED = """\
9832 records sent, 1966.0 records/sec (1.87 MB/sec), 2101.2 ms avg latency, 3001.0 ms max latency.
400000 records sent, 50000.000000 records/sec (47.68 MB/sec), 12.34 ms avg latency, 250.00 ms max latency, \
5 ms 50th, 31 ms 95th, 58 ms 99th, 120 ms 99.9th.
"""
CONSUMED = """\
start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms
2026-11-23 10:00:00:000, 2026-11-23 10:00:04:000, 762.9395, 190.7349, 800000, 200000.0000, 3000, 1000
"""


class OutputTests(SynchronousTestCase):
    def test_produced(self) -> None:
        """The last line has the whole run: records, their rate, and percentiles; a unit of work is a gigabyte."""
        done = kafka.produced(PRODUCED, 1000)
        self.assertEqual((0.4, 8.0, ""), (done.units, done.seconds, done.problem))
        self.assertEqual(
            {"records_per_s": 50_000.0, "gbit_per_s": 0.4, "p50_ms": 5.0, "p99_ms": 58.0, "p999_ms": 120.0}, done.values
        )

    def test_consumed(self) -> None:
        """A line of CSV; its mebibytes become gigabytes."""
        done = kafka.consumed(CONSUMED)
        self.assertAlmostEqual(0.8, done.units, 6)
        self.assertAlmostEqual(1.6, done.values["gbit_per_s"], 6)
        self.assertEqual((4.0, 200_000.0), (done.seconds, done.values["records_per_s"]))

    def test_no_result(self) -> None:
        """What is no result is told as it came: an empty output, a half line, an exception of Java's."""
        for text in ("", "Exception in thread main", PRODUCED.splitlines()[0]):
            self.assertRaises(ProcessFailed, kafka.produced, text, 1000)
            self.assertRaises(ProcessFailed, kafka.consumed, text)
        self.assertIn("start.time", str(self.assertRaises(ProcessFailed, kafka.consumed, CONSUMED.splitlines()[0])))

    def test_nothing(self) -> None:
        """No records at all is a problem, not a division by zero."""
        self.assertEqual("no records", kafka.consumed("a, b, 0.0, 0.0, 0, 0.0, 1, 1").problem)
        nothing = "0 records sent, 0.0 records/sec (0 MB/sec), 0 ms 50th, 0 ms 95th, 0 ms 99th, 0 ms 99.9th."
        self.assertEqual("no records", kafka.produced(nothing, 1000).problem)


class BrokerTests(SynchronousTestCase):
    def test_properties(self) -> None:
        """A listener for everybody in front, under a name that Kafka allows; it tells where their way begins."""
        names = [DIRECT, "haproxy", "lproxy@poll-X-dev", GATEWAY]
        ports = dict(zip(names, (1, 2, 3, 4), strict=True))
        told = dict(zip(names, (1, 12, 13, 4), strict=True))
        text = kafka.properties(Path("/home"), names, ports, told, 9)
        found = dict(line.split("=", 1) for line in text.splitlines())
        listeners = dict(one.split("://") for one in found["listeners"].split(","))
        advertised = dict(one.split("://") for one in found["advertised.listeners"].split(","))
        self.assertEqual([f"127.0.0.1:{port}" for port in (9, 1, 2, 3, 4)], list(listeners.values()))
        self.assertEqual([f"127.0.0.1:{port}" for port in (1, 12, 13, 4)], list(advertised.values()))
        self.assertNotIn("CONTROLLER", advertised)
        self.assertTrue(all(name.isalnum() for name in listeners))
        self.assertEqual(
            set(listeners), {one.split(":")[0] for one in found["listener.security.protocol.map"].split(",")}
        )
        self.assertEqual("127.0.0.1:1", advertised[found["inter.broker.listener.name"]])

    def test_records(self) -> None:
        """Small records are more, and fewer bytes."""
        settings = Settings(records=3000)
        self.assertEqual((3000, 10_000), (kafka.records(settings, 1000), kafka.records(settings, 100)))

    def test_missing(self) -> None:
        """What is not installed is told with how to get it."""
        self.patch(kafka.shutil, "which", lambda tool: None if tool == "mvn" else tool)
        self.assertEqual("no mvn: apt-get install maven", kafka.missing())
        self.patch(kafka.shutil, "which", lambda tool: tool)
        self.assertIsNone(kafka.missing())
