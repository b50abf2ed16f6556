# -*- test-case-name: tests.benchmark.test_kafka -*-
"""
Kafka's own performance tools against one broker: direct, through byte relays, and through lproxy.

The broker, the client and the proxy share the machine's cores, and the proxy alone is bound to one, so that direct
traffic is no yardstick: HAProxy as a relay is. The broker has a listener per proxy, which advertises that proxy's
address, so that clients stay on it; the gateway needs no such thing.

The broker's jars are those of the tests (Java and Maven).
"""

import re
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmark.load import Load, kept, problem
from benchmark.measure import Window, resident_kib
from benchmark.metrics import metrics
from benchmark.peer import DIRECT, GATEWAY, Proxy
from benchmark.process import HOST, ProcessFailed, free_ports, running
from benchmark.scenarios import OF_PROXY, Measured, Scenario, Shape, loaded, port_of
from benchmark.settings import Settings
from benchmark.upstreams import Upstreams

#: seconds for any tool, which waits for ever where nobody answers
LIMIT = 120.0
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
#: requests a second, where latency is looked at
RATE = 1_000
#: the listeners that a gateway may open for brokers
GATEWAY_LISTENERS = 4
#: what the broker, its tools and their threads are bound to: nothing
EVERYWHERE = ("taskset", "-c", "0-1023")
#: elsewhere a fraction may begin with a comma, which also separates fields
ENGLISH = ("-Duser.language=en",)
#: record size -> partitions of its topic
TOPICS = {1_000: 6, 100: 1}


def missing() -> str | None:
    """What is not installed and how to get it."""
    hints = {"java": "apt-get install openjdk-17-jdk-headless", "mvn": "apt-get install maven", "taskset": "util-linux"}
    absent = [f"no {tool}: {hint}" for tool, hint in hints.items() if shutil.which(tool) is None]
    return "; ".join(absent) or None


def records(settings: Settings, size: int) -> int:
    """How many records of so many bytes a run produces: fewer bytes where they are small, for these take longer."""
    return settings.records if size >= 1_000 else settings.records * 10 // 3


def tool(name: str, *arguments: str) -> str:
    """What one of Kafka's tools prints."""
    from tests.integration.kafka.java import java

    command = java(f"org.apache.kafka.tools.{name}", *arguments, memory="256m", options=ENGLISH)
    command = [*EVERYWHERE, *command]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired as error:
        raise ProcessFailed(f"{name} did not end within {LIMIT:.0f} s") from error
    if done.returncode:
        raise ProcessFailed(f"{name} ended with status {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


# what stands behind


def is_gateway(name: str) -> bool:
    """Whether a proxy of that name, on whatever reactor, is our gateway (and no revision that is named after it)."""
    return name.partition("@")[0] == GATEWAY


@contextmanager
def broker(directory: Path, settings: Settings, proxies: Sequence[str]) -> Iterator[Upstreams]:
    """A warm broker of Kafka's with something to consume, until the end."""
    from tests.integration.kafka.java import java

    names = [DIRECT, *(name for name in proxies if name != DIRECT)]
    # in pairs: a gateway has a second one in front, for the broker by itself
    controller, *ports = free_ports(1 + 2 * len(names), 2)
    back = dict(zip(names, ports, strict=False))
    front = dict(zip(names, ports[len(names) :], strict=True)) | {DIRECT: back[DIRECT]}
    path = directory / "server.properties"
    told = {name: back[name] if is_gateway(name) else front[name] for name in names}
    path.write_text(properties(directory, names, back, told, controller))
    prepare = [*java("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(path))]
    try:
        subprocess.run(prepare, check=True, capture_output=True, timeout=LIMIT)
    except (subprocess.SubprocessError, OSError) as error:
        raise ProcessFailed(f"Kafka's storage was not made: {error}") from error
    command = java("kafka.Kafka", str(path), memory="1g", options=("-Djava.net.preferIPv4Stack=true",))
    log = directory / "upstream-kafka.log"
    with running("upstream kafka", [*EVERYWHERE, *command], settings.load_core, log, list(back.values())):
        for size, partitions in TOPICS.items():
            server = ("--bootstrap-server", f"{HOST}:{back[DIRECT]}")
            tool("TopicCommand", *server, "--create", "--topic", f"t{size}", "--partitions", str(partitions))
            produce(size)(back[DIRECT], 0, settings, None)
        # what a consumer reads twice is there twice
        for size in TOPICS:
            produce(size)(back[DIRECT], 0, settings, None)
        yield Upstreams(None, None, None, {name: (front[name], back[name]) for name in names})


def properties(
    directory: Path, names: Sequence[str], ports: dict[str, int], told: dict[str, int], controller: int
) -> str:
    """
    The broker's configuration: a listener for each name, on C{ports}.

    To itself and to the gateway's clients it says where it is, to the others where their way begins: C{told}.
    """
    listener = {name: f"WAY{number}" for number, name in enumerate(names)}
    own = f"CONTROLLER://{HOST}:{controller}"
    return "".join(
        f"{key}={value}\n"
        for key, value in {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "listeners": ",".join([own, *(f"{listener[name]}://{HOST}:{ports[name]}" for name in names)]),
            "advertised.listeners": ",".join(f"{listener[name]}://{HOST}:{told[name]}" for name in names),
            "inter.broker.listener.name": listener[DIRECT],
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": ",".join(
                f"{one}:PLAINTEXT" for one in (*listener.values(), "CONTROLLER")
            ),
            "log.dirs": str(directory / "kafka-log"),
            "offsets.topic.replication.factor": "1",
            "group.initial.rebalance.delay.ms": "0",
        }.items()
    )


# load

#: of the last line of ConsumerPerformance
CONSUMED_FIELDS = 10
#: the last line of ProducerPerformance
PRODUCED = re.compile(
    r"(?P<count>\d+) records sent, (?P<rate>[\d.]+) records/sec.* (?P<p50>[\d.]+) ms 50th"
    r".* (?P<p99>[\d.]+) ms 99th, (?P<p999>[\d.]+) ms 99.9th"
)


def lost(wanted: int, count: int) -> dict[str, float]:
    """Records that did not come through: errors."""
    return {"errors": float(wanted - count)} if count < wanted else {}


def produced(text: str, size: int, wanted: int = 0) -> Load:
    """What ProducerPerformance printed; it counts what the broker took, of C{wanted}. Units: gigabytes of records."""
    last = (text.strip().splitlines() or [""])[-1]
    found = PRODUCED.search(last)
    if found is None:
        raise ProcessFailed(f"ProducerPerformance said {last!r}")
    count, rate = int(found["count"]), float(found["rate"])
    values = {"records_per_s": rate, "gbit_per_s": rate * size * 8 / 1e9}
    values |= {f"{key}_ms": float(found[key]) for key in ("p50", "p99", "p999")}
    if not count or not rate:
        return Load(0.0, 0.0, {}, "no records")
    failed = lost(wanted, count)
    wrong = problem(failed.get("errors", 0.0), count, "records")
    return Load(count * size / 1e9, count / rate, values | failed, wrong)


def consumed(text: str, wanted: int = 0) -> Load:
    """
    What ConsumerPerformance printed: CSV, of which field 2 is MiB, 4 records, 5 records/s. Units: gigabytes.

    It ends well also when it has given up waiting before it had C{wanted} records.
    """
    last = (text.strip().splitlines() or [""])[-1]
    fields = last.split(",")
    try:
        if len(fields) != CONSUMED_FIELDS:
            raise ValueError(f"{len(fields)} fields")
        gigabytes, count, rate = float(fields[2]) * 1.048576e-3, int(fields[4]), float(fields[5])
    except ValueError as error:
        raise ProcessFailed(f"ConsumerPerformance said {last!r}") from error
    if not count or not rate:
        return Load(0.0, 0.0, {}, "no records")
    seconds = count / rate
    values = {"records_per_s": rate, "gbit_per_s": gigabytes * 8 / seconds}
    failed = lost(wanted, count)
    return Load(gigabytes, seconds, values | failed, problem(failed.get("errors", 0.0), count, "records"))


def produce(size: int) -> Callable[[int, float, Settings, Path | None], Load]:
    """So many records of so many bytes, acks=all."""

    def generate(port: int, seconds: float, settings: Settings, raw: Path | None) -> Load:
        wanted = records(settings, size)
        text = tool(
            *("ProducerPerformance", "--topic", f"t{size}", "--num-records", str(wanted)),
            *("--record-size", str(size), "--throughput", "-1", "--producer-props", "acks=all"),
            f"bootstrap.servers={HOST}:{port}",
        )
        return produced(kept(text, raw), size, wanted)

    return generate


def consume(size: int) -> Callable[[int, float, Settings, Path | None], Load]:
    """Twice as many records as a producer sends, without a group's state of before."""

    def generate(port: int, seconds: float, settings: Settings, raw: Path | None) -> Load:
        options = ("--bootstrap-server", f"{HOST}:{port}", "--timeout", "20000")
        wanted = 2 * records(settings, size)
        text = tool("ConsumerPerformance", "--topic", f"t{size}", "--messages", str(wanted), *options)
        return consumed(kept(text, raw), wanted)

    return generate


def whole(wire: socket.socket, size: int) -> bytes:
    """So many bytes, or a complaint that they did not come."""
    data = wire.recv(size, socket.MSG_WAITALL)
    if len(data) < size:
        raise ProcessFailed(f"closed after {len(data)} of {size} bytes of an answer")
    return data


def ask(proxy: Proxy, settings: Settings) -> Measured:
    """ApiVersions at a fixed rate on one connection: what a request and its answer take on their way."""
    request = struct.pack(">ihhihc", 11, 18, 0, 7, 1, b"b")
    port = port_of(proxy, "kafka")
    with socket.create_connection((HOST, port), LIMIT) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def send(seconds: float) -> list[float]:
            took, begin = [], time.perf_counter()
            for number in range(int(seconds * RATE)):
                due = begin + number / RATE
                time.sleep(max(due - time.perf_counter(), 0.0))
                wire.sendall(request)
                whole(wire, *struct.unpack(">i", whole(wire, 4)))
                took.append(time.perf_counter() - due)
            return sorted(took)

        send(settings.warmup)
        with Window(proxy.pid, settings.proxy_core, settings.load_core) as window:
            took = send(settings.seconds)
    shares = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "p999_ms": 0.999}
    values = {key: took[int(len(took) * share)] * 1e3 for key, share in shares.items()}
    values |= {"requests_per_s": len(took) / window.seconds, "errors": 0.0}
    if proxy.pid is not None:
        values["cpu_us_per_request"] = window.cpu * 1e6 / len(took)
        values["core_percent"] = 100 * window.cpu / window.seconds
        values["rss_mib"] = resident_kib(proxy.pid) / 1024
    reached = values["requests_per_s"] >= 0.99 * RATE
    notes = [] if reached else [f"missed the rate: {values['requests_per_s']:.0f} of {RATE}/s"]
    return Measured(values, notes, window.foreign_proxy, window.foreign_load, reached)


def transfer(
    name: str, question: str, size: int, load: Callable[[int, float, Settings, Path | None], Load], *latency: str
) -> Scenario:
    """Records one way. Without warm-up: the broker is warm, and a start is what every client sees."""
    return Scenario(
        f"kafka-{name}-{size}",
        f"{question} of {size:,} bytes",
        Shape(f"kafka-{name}", "kafka", size),
        "kafka",
        metrics("cpu_s_per_gb", "records_per_s", "gbit_per_s", *latency, *OF_PROXY),
        loaded("kafka", load, "cpu_s_per_gb", warm=False),
        missing,
        "kafka",
        timed=False,
    )


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        *(
            transfer("produce", "What does producing cost? acks=all, records", size, produce(size), "p50_ms", "p99_ms")
            for size in TOPICS
        ),
        *(transfer("consume", "What does consuming cost? Records", size, consume(size)) for size in TOPICS),
        Scenario(
            "kafka-rate",
            f"What does a small request cost, and wait? ApiVersions, {RATE} a second on one connection",
            Shape("kafka-rate", "kafka", 11, RATE),
            "kafka",
            metrics("cpu_us_per_request", "requests_per_s", "p50_ms", "p90_ms", "p99_ms", "p999_ms", *OF_PROXY),
            ask,
            missing,
            "kafka",
            timed=False,
        ),
    )
}
