"""
Kafka's own performance tools against one broker: direct, through HAProxy as a byte relay, and through lproxy.

The broker, the client and the proxy share the machine's cores, so the yardstick is the relay, and only the ratios of
one turn mean something: in each, every way is measured once, one after the other. The broker has a listener per way,
which advertises that way's address, so that clients stay on it; the gateway needs no such thing.

C{python -m benchmark.kafka} takes about four minutes for its two turns; C{--tiny} sees that everything still works. The
broker's jars are those of the tests (Java and Maven).
"""

import argparse
import json
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import SkipTest

from benchmark.measure import cpu_seconds
from benchmark.process import HOST, ProcessFailed, free_ports, running
from lproxy.protocols.kafka.account import Account
from lproxy.protocols.kafka.correlate import Pending
from lproxy.protocols.kafka.filter import Context
from lproxy.protocols.kafka.settings import read
from tests.integration.kafka.java import jars, java

#: each is a listener of the broker, and how clients get there
WAYS = ("direct", "haproxy", "observe", "gateway")
#: seconds for any tool, which waits for ever where nobody answers
LIMIT = 120.0
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
CORE = 0
#: requests a second, where latency is looked at
RATE = 1_000

HAPROXY = """
global
    nbthread 1
defaults
    mode tcp
    option splice-auto
    timeout connect 5s
    timeout client 10m
    timeout server 10m
listen kafka
    bind {host}:{front}
    server broker {host}:{back}
"""
LPROXY = """
[admin]
address = "{host}:{admin}"
[[listen]]
name = "kafka"
address = "{host}:{front}"
target = "{host}:{back}"
protocol = "kafka"
[kafka]
mode = "{way}"
base_port = {base}
"""


class Bench:
    """One broker, and a proxy for as long as a measurement."""

    def __init__(self, home: Path) -> None:
        self.home = home
        ports = free_ports(2 * len(WAYS) + 2)
        self.back = dict(zip(WAYS, ports, strict=False))
        self.front = dict(zip(WAYS, ports[len(WAYS) :], strict=False)) | {"direct": ports[0]}
        self.controller, self.admin = ports[-2:]

    @contextmanager
    def broker(self) -> Iterator[None]:
        """A broker of Kafka's, until the end."""
        # to itself and to the gateway's clients it says where it is, to the others where their way begins
        told = {way: self.back[way] if way == "gateway" else self.front[way] for way in WAYS}
        security = ",".join(f"{name.upper()}:PLAINTEXT" for name in (*WAYS, "controller"))
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{HOST}:{self.controller}",
            "listeners": ",".join(_at(self.back | {"controller": self.controller})),
            "advertised.listeners": ",".join(_at(told)),
            "inter.broker.listener.name": "DIRECT",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": security,
            "log.dirs": str(self.home / "log"),
            "offsets.topic.replication.factor": "1",
            "group.initial.rebalance.delay.ms": "0",
        }
        path = self.home / "server.properties"
        path.write_text("\n".join(f"{key}={value}" for key, value in properties.items()))
        format = java("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(path))
        subprocess.run(format, check=True, capture_output=True, timeout=LIMIT)
        command = java("kafka.Kafka", str(path), memory="1g", options=("-Djava.net.preferIPv4Stack=true",))
        with running(
            "kafka", ["taskset", "-c", "0-63", *command], CORE, self.home / "kafka.log", [self.back["direct"]]
        ):
            yield

    @contextmanager
    def proxy(self, way: str) -> Iterator[Callable[[], float]]:
        """The proxy of C{way}, if there is one; asked for its CPU seconds so far."""
        if way == "direct":
            yield lambda: 0.0
            return
        text = HAPROXY if way == "haproxy" else LPROXY
        config = self.home / way
        ports = {"front": self.front[way], "back": self.back[way], "admin": self.admin}
        config.write_text(text.format(host=HOST, way=way, base=self.front["gateway"] + 1, **ports))
        command = ["haproxy", "-db", "-f", str(config)]
        if way != "haproxy":
            code = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
            command = [sys.executable, "-c", code, "-n", "--pidfile=", "lproxy", "--config", str(config)]
        # on any core, like the broker and the client
        everywhere = ["taskset", "-c", "0-63", *command]
        with running(way, everywhere, CORE, self.home / f"{way}.log", [self.front[way]]) as proxy:
            yield lambda: cpu_seconds(proxy.pid)

    def tool(self, name: str, *arguments: str) -> str:
        """What one of Kafka's tools prints."""
        command = java(f"org.apache.kafka.tools.{name}", *arguments, memory="256m")
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT)
        if done.returncode:
            raise ProcessFailed(f"{name} ended with status {done.returncode}: {done.stderr[-500:]}")
        return done.stdout

    def topic(self, name: str, partitions: int) -> None:
        """A topic."""
        server = f"{HOST}:{self.back['direct']}"
        options = ("--create", "--topic", name, "--partitions", str(partitions))
        self.tool("TopicCommand", "--bootstrap-server", server, *options)

    def produce(self, way: str, size: int, count: int) -> dict[str, float]:
        """So many records of so many bytes, acks=all."""
        with self.proxy(way) as cpu:
            before = cpu()
            said = self.tool(
                *("ProducerPerformance", "--topic", f"t{size}", "--num-records", str(count)),
                *("--record-size", str(size), "--throughput", "-1", "--producer-props", "acks=all"),
                f"bootstrap.servers={HOST}:{self.front[way]}",
            )
            used = cpu() - before
            requests = self.requests() if way in ("observe", "gateway") else 0
        last = said.strip().splitlines()[-1]
        found = re.search(r"([\d.]+) records/sec.* ([\d.]+) ms 50th.* ([\d.]+) ms 99th", last)
        if found is None:
            raise ProcessFailed(f"ProducerPerformance said {last!r}")
        rps, p50, p99 = map(float, found.groups())
        result = {"records_per_s": rps, "cpu_s_per_gb": used / (count * size / 1e9), "p50_ms": p50, "p99_ms": p99}
        return result | ({"cpu_us_per_request": used / requests * 1e6} if requests else {})

    def consume(self, way: str, size: int, count: int) -> dict[str, float]:
        """As many records as were produced once."""
        with self.proxy(way) as cpu:
            before = cpu()
            server = f"{HOST}:{self.front[way]}"
            options = ("--bootstrap-server", server, "--messages", str(count), "--timeout", "20000")
            said = self.tool("ConsumerPerformance", "--topic", f"t{size}", *options)
            used = cpu() - before
        fields = said.strip().splitlines()[-1].split(",")
        mib, rps = float(fields[2]), float(fields[5])
        return {"records_per_s": rps, "cpu_s_per_gb": used / (mib * 1.048576e-3)}

    def ask(self, way: str, seconds: float) -> dict[str, float]:
        """ApiVersions at a fixed rate on one connection: what a request and its answer take on their way."""
        ask = struct.pack(">ihhihc", 11, 18, 0, 7, 1, b"b")
        took = []
        with self.proxy(way) as cpu, socket.create_connection((HOST, self.front[way]), LIMIT) as wire:
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            begin = time.perf_counter()
            before = cpu()
            for number in range(int(seconds * RATE)):
                time.sleep(max(begin + number / RATE - time.perf_counter(), 0.0))
                sent = time.perf_counter()
                wire.sendall(ask)
                (size,) = struct.unpack(">i", wire.recv(4, socket.MSG_WAITALL))
                wire.recv(size, socket.MSG_WAITALL)
                took.append(time.perf_counter() - sent)
            used = cpu() - before
        # the first second warms everybody up
        took = sorted(took[RATE:])
        p50, p99 = (took[int(len(took) * share)] * 1e3 for share in (0.5, 0.99))
        return {"p50_ms": p50, "p99_ms": p99, "cpu_us_per_request": used / (seconds * RATE) * 1e6}

    def requests(self) -> int:
        """How many requests lproxy has seen."""
        with urllib.request.urlopen(f"http://{HOST}:{self.admin}/metrics", timeout=10) as page:
            text = page.read().decode()
        return sum(int(value) for value in re.findall(r"^kafka_requests_total\{.*\} (\d+)", text, re.M))


def _at(ports: dict[str, int]) -> list[str]:
    return [f"{name.upper()}://{HOST}:{port}" for name, port in ports.items()]


def rewriting(partitions: int = 12_000, times: int = 200) -> float:
    """Milliseconds for which a gateway's rewriting of so large an answer to Metadata holds the reactor, at most."""
    from kafka.protocol.metadata import MetadataResponse

    from lproxy.protocols.kafka.answers import Answers
    from lproxy.protocols.kafka.apis import METADATA
    from lproxy.protocols.kafka.correlate import Conversation
    from lproxy.protocols.kafka.gateway import GatewayRules
    from lproxy.protocols.kafka.quota import Quotas

    class Cluster:
        def check(self, *arguments: object) -> None: ...

        def locate(self, node: int, host: str, port: int, ours: str) -> tuple[str, int]:
            return ours, 19_000 + node

    Topic = MetadataResponse.MetadataResponseTopic
    Partition = Topic.MetadataResponsePartition
    parts = [
        Partition(partition_index=n, leader_id=1, replica_nodes=[1, 2, 3], isr_nodes=[1, 2]) for n in range(partitions)
    ]
    brokers = [MetadataResponse.MetadataResponseBroker(node_id=n, host=f"kafka-{n}", port=9092) for n in (1, 2, 3)]
    response = MetadataResponse(
        brokers=brokers, cluster_id="c", controller_id=1, topics=[Topic(name="t", partitions=parts)]
    )
    response._header = None
    body = b"\0" + response.encode(version=9)
    frame = (4 + len(body)).to_bytes(4) + (7).to_bytes(4) + body
    cluster, config = Cluster(), read({"mode": "gateway", "base_port": 19_000})
    account = Account("outbound", "bench", lambda: 0, lambda: 0)
    rules = GatewayRules(config, account, Quotas({}), cluster, "")  # type: ignore[arg-type]
    worst = 0.0
    for _ in range(times):
        talk = Conversation(rules, None, time.time, HOST, Context("bench", HOST, ""))  # type: ignore[arg-type]
        talk.queue.append(Pending(rules.kind(METADATA << 16 | 9), 7, 0.0))
        answers = Answers(talk)
        for at in range(0, len(frame), 65_536):
            began = time.perf_counter()
            answers.feed(frame[at : at + 65_536])
            worst = max(worst, time.perf_counter() - began)
    return worst * 1e3


def turn(bench: Bench, records: int, seconds: float) -> list[dict[str, object]]:
    """Every way once, in every scenario."""
    rows: list[dict[str, object]] = []
    for size in (1_000, 100):
        count = records * (1_000 // size if size < 1_000 else 1) // (3 if size < 1_000 else 1)
        rows += [{"scenario": f"produce {size} B", "way": way, **bench.produce(way, size, count)} for way in WAYS]
        rows += [{"scenario": f"consume {size} B", "way": way, **bench.consume(way, size, count * 2)} for way in WAYS]
    rows += [{"scenario": f"ask {RATE} a second", "way": way, **bench.ask(way, seconds)} for way in WAYS]
    for row in rows:
        print("  ", ", ".join(f"{k} {v:,.2f}" if isinstance(v, float) else f"{v}" for k, v in row.items()), flush=True)
    return rows


def ratios(turns: Sequence[Sequence[dict[str, object]]]) -> Iterator[str]:
    """Each way's figures as ratios to the relay's of the same turn: the median, and all of them."""
    keys = [(row["scenario"], row["way"]) for row in turns[0] if row["way"] not in ("direct", "haproxy")]
    for scenario, way in keys:
        for figure in ("records_per_s", "cpu_s_per_gb"):
            found = []
            for rows in turns:
                of = {row["way"]: row for row in rows if row["scenario"] == scenario}
                mine, theirs = of[way].get(figure), of["haproxy"].get(figure)
                if isinstance(mine, float) and isinstance(theirs, float) and theirs:
                    found.append(mine / theirs)
            each = ", ".join(f"{one:.2f}" for one in found)
            if found:
                yield f"{scenario:24} {way:8} {figure:14} {statistics.median(found):5.2f} of HAProxy's ({each})"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmark.kafka", description="Kafka through lproxy, beside HAProxy."
    )
    parser.add_argument("--turns", type=int, default=2, help="how often everything is measured (default: 2)")
    parser.add_argument("--records", type=int, default=400_000, help="records of 1,000 bytes (default: 400,000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the raw results there")
    parser.add_argument("--tiny", action="store_true", help="does everything still work? Its times mean nothing")
    options = parser.parse_args()
    if options.tiny:
        options.turns, options.records = 1, 6_000
    try:
        jars()
    except (SkipTest, AssertionError) as error:
        print(f"no Kafka, nothing is measured: {error}", file=sys.stderr)
        return 2
    turns = []
    with tempfile.TemporaryDirectory() as home:
        bench = Bench(Path(home))
        with bench.broker():
            for size, partitions in ((1_000, 6), (100, 1)):
                bench.topic(f"t{size}", partitions)
                # a warm broker, and something to consume
                bench.produce("direct", size, options.records)
            for number in range(options.turns):
                print(f"turn {number + 1}")
                turns.append(turn(bench, options.records, 2.0 if options.tiny else 8.0))
    held = rewriting()
    lines = [
        *ratios(turns),
        f"an answer to Metadata with 12,000 partitions holds the reactor for {held:.2f} ms at most",
    ]
    print("\n".join(lines))
    if options.json:
        options.json.write_text(json.dumps({"turns": turns, "rewriting_ms": held, "summary": lines}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
