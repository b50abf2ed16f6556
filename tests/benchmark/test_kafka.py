"""
L{benchmark.kafka}: what Kafka's tools print, and how the broker is told who stands in front of it.
"""

import socket
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import kafka
from benchmark.peer import DIRECT, GATEWAY
from benchmark.process import ProcessFailed
from benchmark.settings import Settings
from tests.integration.kafka import java

PRODUCED = """\
9832 records sent, 1966.0 records/sec (1.87 MB/sec), 2101.2 ms avg latency, 3001.0 ms max latency.
400000 records sent, 50000.000000 records/sec (47.68 MB/sec), 12.34 ms avg latency, 250.00 ms max latency, \
5 ms 50th, 31 ms 95th, 58 ms 99th, 120 ms 99.9th.
"""
CONSUMED = """\
start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, \
fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec
2026-11-23 10:00:00:000, 2026-11-23 10:00:04:000, 762.9395, 190.7349, 800000, 200000.0000, 3000, 1000, 762.9, 800000.0
"""
NOTHING_PRODUCED = """\
0 records sent, 0.000000 records/sec (0.00 MB/sec), NaN ms avg latency, 0.00 ms max latency, \
0 ms 50th, 0 ms 95th, 0 ms 99th, 0 ms 99.9th.
"""
NOTHING_CONSUMED = """\
WARNING: Exiting before consuming the expected number of messages: timeout (20000 ms) exceeded. \
You can use the --timeout option to increase the timeout.
2026-11-23 10:00:00:000, 2026-11-23 10:00:20:000, 0.0000, 0.0000, 0, 0.0000, 3000, 17000, 0.0000, 0.0000
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
        self.assertEqual("no records", kafka.consumed(NOTHING_CONSUMED, 10).problem)
        self.assertEqual("no records", kafka.produced(NOTHING_PRODUCED, 1000, 10).problem)

    def test_lost(self) -> None:
        """Both tools end well without all of the records; those that are not there are errors, and many a problem."""
        for done in (kafka.produced(PRODUCED, 1000, 401_000), kafka.consumed(CONSUMED, 801_000)):
            self.assertEqual((1000.0, ""), (done.values["errors"], done.problem))
        for done in (kafka.produced(PRODUCED, 1000, 800_000), kafka.consumed(CONSUMED, 1_600_000)):
            self.assertIn("00000 records failed", done.problem)

    def test_more(self) -> None:
        """A consumer reads on to the end of what it was given, so that more than wanted is no error."""
        done = kafka.consumed(CONSUMED, 799_000)
        self.assertEqual(("", False), (done.problem, "errors" in done.values))

    def test_commas(self) -> None:
        """Where fractions begin with a comma, fields are not what they seem: that is told, not misread."""
        line = CONSUMED.splitlines()[-1].replace(".", ",")
        self.assertRaises(ProcessFailed, kafka.consumed, line)
        self.assertRaises(ProcessFailed, kafka.produced, PRODUCED.splitlines()[-1].replace(".", ","), 1000)


class ToolTests(SynchronousTestCase):
    """Kafka's tools, not run: their command lines are kept."""

    def setUp(self) -> None:
        self.commands: list[list[str]] = []
        self.patch(java, "jars", lambda: Path("/jars"))
        self.patch(kafka.subprocess, "run", self.run_instead)
        self.ended: tuple[int, str, str] = (0, "", "")

    def run_instead(self, command: list[str], **rest: object) -> "subprocess.CompletedProcess[str]":
        self.commands.append(command)
        return subprocess.CompletedProcess(command, *self.ended)

    def test_wanted(self) -> None:
        """As many records are held against a tool as it was asked for; its words are kept."""
        settings = Settings(records=500_000)
        path = Path(self.mktemp())
        self.ended = (0, PRODUCED, "")
        self.assertEqual("100000 of 500000 records failed", kafka.produce(1000)(1, 0, settings, path).problem)
        self.assertEqual(PRODUCED, path.read_text())
        self.ended = (0, CONSUMED, "")
        self.assertEqual("200000 of 1000000 records failed", kafka.consume(1000)(1, 0, settings, path).problem)
        self.assertEqual(CONSUMED, path.read_text())
        for command, option, number in zip(
            self.commands, ("--num-records", "--messages"), ("500000", "1000000"), strict=True
        ):
            self.assertEqual(number, command[command.index(option) + 1])

    def test_language(self) -> None:
        """The tools print numbers as we read them, whatever the machine's language."""
        kafka.tool("TopicCommand", "--list")
        command = self.commands[0]
        self.assertLess(command.index("-Duser.language=en"), command.index("org.apache.kafka.tools.TopicCommand"))
        self.assertEqual("--list", command[-1])

    def test_failed(self) -> None:
        """A tool that ends badly is told by name, with its last words."""
        self.ended = (1, "", "x" * 10_000 + "no such topic")
        said = str(self.assertRaises(ProcessFailed, kafka.tool, "TopicCommand"))
        self.assertTrue(said.startswith("TopicCommand ended with status 1") and said.endswith("no such topic"), said)

    def test_hangs(self) -> None:
        """A tool that waits for ever is given up."""

        def run(command: list[str], **rest: object) -> None:
            raise subprocess.TimeoutExpired(command, 1)

        self.patch(kafka.subprocess, "run", run)
        self.assertIn("did not end", str(self.assertRaises(ProcessFailed, kafka.tool, "TopicCommand")))

    def test_cut_off(self) -> None:
        """An answer that ends before its end is a failure, not a short answer."""
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        other.sendall(b"abcde")
        other.close()
        self.assertEqual(b"abc", kafka.whole(one, 3))
        self.assertIn("2 of 3 bytes", str(self.assertRaises(ProcessFailed, kafka.whole, one, 3)))


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

    def test_gateway(self) -> None:
        """The gateway is known on any reactor; a revision that is named after it is an ordinary proxy."""
        for name, is_one in (
            (GATEWAY, True),
            (f"{GATEWAY}@poll-O", True),
            (f"{GATEWAY}-fix", False),
            ("lproxy", False),
        ):
            self.assertEqual(is_one, kafka.is_gateway(name), name)

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
