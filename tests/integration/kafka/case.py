# -*- test-case-name: tests.integration.kafka -*-
"""
The ways from a client to the brokers: direct, observed and through a gateway. A test is written once, for all of them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from twisted.trial.unittest import SynchronousTestCase

from tests.components import require
from tests.floors_source import ROOT
from tests.integration.kafka.broker import PASSWORD, USER, cluster
from tests.integration.kafka.java import PATIENCE
from tests.integration.ports import free_ports
from tests.integration.test_twistd import Proxy, eventually

CLIENTS = ("kafka_python", "confluent", "aiokafka", "kcat")
ADMIN = '[admin]\naddress = "127.0.0.1:0"\n'
#: requests that brokers answer before somebody has logged in, without a word in their log
UNLOGGED = {"SASLHANDSHAKE", "SASLAUTHENTICATE", "APIVERSIONS"}

_topics = itertools.count(1)


def remote_ports(pid: int) -> set[int]:
    """Where the connections of a process lead."""
    sockets = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed since
            if (target := os.readlink(fd)).startswith("socket:["):
                sockets.add(target[8:-1])
    tables = (Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6"))
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    return {int(row[2].rpartition(":")[2], 16) for row in rows if row[9] in sockets}


class KafkaCase(SynchronousTestCase):
    """
    A test with brokers.

    @ivar bootstrap: what clients are given
    @ivar told: the addresses that they may be told
    """

    #: the brokers' listener on this way
    listener = "DIRECT"
    #: whether it wants a login
    sasl = False

    def setUp(self) -> None:
        require("kcat", packages=("kafka", "confluent_kafka", "aiokafka", "lz4", "zstandard", "cramjam"))
        self.cluster = cluster()
        self.errors: dict[int, IO[str]] = {}
        self.home = Path(tempfile.mkdtemp(prefix="lproxy-kafka-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.way()

    def way(self) -> None:
        """Make the way: here there is nothing between."""
        self.told = self.cluster.addresses(self.listener)
        self.bootstrap = ",".join(self.told)

    def topic(self) -> str:
        """One that there is not."""
        return f"t{next(_topics)}"

    def begin(
        self, client: str, action: str, topic: str, *options: str, sasl: str = "", said: int | None = subprocess.DEVNULL
    ) -> subprocess.Popen[str]:
        """A client at work."""
        # into a file: nobody reads it while they work, and some are talkative
        errors = (self.home / f"{topic}.{client}.{action}").open("w+")
        self.addCleanup(errors.close)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.integration.kafka.clients", client, action),
                *("--bootstrap", self.bootstrap, "--topic", topic, "--sasl", sasl, *options),
            ],
            cwd=self.home,
            env={**os.environ, "PYTHONPATH": str(ROOT), "KAFKA_USER": USER, "KAFKA_PASSWORD": PASSWORD},
            stdin=said,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        self.errors[process.pid] = errors
        self.addCleanup(self._gone, process)
        return process

    def _gone(self, process: subprocess.Popen[str]) -> None:
        if process.poll() is None:
            process.kill()
        process.communicate()

    def end(self, process: subprocess.Popen[str], said: str | None = None) -> Any:
        """What it found, once it has ended."""
        try:
            out, _ = process.communicate(said, PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            raise AssertionError(f"not within {PATIENCE:g} s: {process.args}\n{out}\n{self.err(process)}") from None
        if process.returncode:
            raise AssertionError(f"{process.args}: {process.returncode}\n{out}\n{self.err(process)}")
        return json.loads(out.splitlines()[-1])

    def err(self, process: subprocess.Popen[str]) -> str:
        """What it has said on its standard error."""
        errors = self.errors[process.pid]
        errors.seek(0)
        return errors.read()

    def going(self, process: subprocess.Popen[str], seconds: float = PATIENCE / 2) -> None:
        """Wait until it says that it is well under way."""
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], seconds)[0] or process.stdout.readline() != "going\n":
            process.kill()
            raise AssertionError(f"not going: {process.args}\n{self.err(process)}")

    def run_client(self, client: str, action: str, *options: str, sasl: str = "") -> Any:
        """Have a client do something with a topic of its own, and return what it found."""
        return self.end(self.begin(client, action, self.topic(), *options, sasl=sasl))

    def run_all(self, action: str, *options: str, clients: Sequence[str] = CLIENTS, sasl: str = "") -> dict[str, Any]:
        """Have all clients do something side by side, and return what each found."""
        working = {client: self.begin(client, action, self.topic(), *options, sasl=sasl) for client in clients}
        return {client: self.end(process) for client, process in working.items()}


def _unexplained(
    counted: dict[tuple[str, ...], int], answered: dict[tuple[str, ...], int], given_up: dict[str, int]
) -> list[str]:
    """In words, where brokers answered more than was counted, or fewer than what was given up can explain."""
    short: Counter[str] = Counter()
    words = []
    for kind in counted.keys() | answered.keys():
        less = counted.get(kind, 0) - answered.get(kind, 0)
        short[kind[0]] += max(0, less)
        words += [f"{kind}: {-less} more answered than counted"] if less < 0 else []
    for api, less in short.items():
        if less > given_up.get(api, 0):
            words.append(f"{api}: {less} fewer answered than counted, {given_up.get(api, 0)} given up")
    return words


class Proxied(KafkaCase):
    """A proxy between, and what is so on either way through it."""

    def way(self) -> None:
        self.accepted = self.cluster.accepted(self.listener)
        self.before = {node: broker.answered(self.listener) for node, broker in self.cluster.brokers.items()}
        self.proxy = Proxy(self, self.home, ADMIN + self.config())

    def config(self) -> str:
        """The proxy's configuration."""
        raise NotImplementedError

    def samples(self, name: str, *labels: str) -> Counter[tuple[str, ...]]:
        """A metric's samples, summed up by C{labels}."""
        found: Counter[tuple[str, ...]] = Counter()
        for line in re.findall(rf"^{name}\{{(.*)\}} (\S+)$", self.proxy.get("/metrics")[1], re.MULTILINE):
            of = dict(re.findall(r'(\w+)="([^"]*)"', line[0]))
            found[tuple(of.get(label, "") for label in labels)] += int(float(line[1]))
        return found

    def answered(self) -> list[dict[str, Any]]:
        """The requests that brokers have answered on this way."""
        return [
            request
            for node, broker in self.cluster.brokers.items()
            for request in broker.requests(self.listener, self.before[node])
        ]

    def _kinds(self, requests: list[dict[str, Any]]) -> dict[tuple[str, ...], int]:
        heads = (one["requestHeader"] for one in requests)
        kinds = Counter((one["requestApiKeyName"].replace("_", ""), str(one["requestApiVersion"])) for one in heads)
        return {kind: n for kind, n in kinds.items() if not (self.sasl and kind[0] in UNLOGGED)}

    def all_through(self) -> None:
        """
        Whatever clients did, they did through the proxy: brokers have accepted no connection that is not the proxy's,
        and the requests that they have answered are those that it has counted.
        """
        eventually(lambda: not self.proxy.json("/connections"), "clients that are gone")
        opened = self.samples("tcp_open_total", "peer")[("dst",)]
        # a broker tells of a connection after the kernel has made it, and of one that is gone again as well
        end = time.monotonic() + 3.0
        while (accepted := self.cluster.accepted(self.listener) - self.accepted) < opened and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual(opened, accepted)
        counted = {
            (api.upper(), version): n
            for (api, version), n in self.samples("kafka_requests_total", "api", "version").items()
            if not (self.sasl and api.upper() in UNLOGGED)
        }
        # a client that ends need not wait for all answers, and what is not answered any more a broker does not log
        given_up = {api.upper(): n for (api,), n in self.samples("kafka_incomplete_total", "api").items()}
        answered = self.answered()
        # a broker may be waiting still, on behalf of a Fetch whose client is gone
        end = time.monotonic() + 3.0
        while (wrong := _unexplained(counted, self._kinds(answered), given_up)) and time.monotonic() < end:
            time.sleep(0.1)
            answered = self.answered()
        self.assertEqual([], wrong)
        silent = sum(one["request"].get("acks") == 0 for one in answered)
        self.assertEqual(silent, self.samples("kafka_no_response_total")[()])
        self.assertEqual({}, dict(self.samples("kafka_protocol_errors_total", "reason")))
        self.assertEqual({}, dict(self.samples("kafka_denied_total", "api")))
        self.assertEqual(0, self.samples("kafka_in_flight")[()])

    def well_ended(self) -> None:
        """SIGTERM ends the proxy, which had nothing to complain of."""
        self.proxy.signal(signal.SIGTERM)
        self.assertEqual(0, self.proxy.status())
        for text in (self.proxy.out, self.proxy.err):
            self.assertNotIn("Traceback", text)
            self.assertNotIn("Unhandled", text)


class Observed(Proxied):
    """A listener for each broker, and brokers that advertise these: not a byte is changed."""

    listener = "OBSERVE"

    def config(self) -> str:
        brokers = self.cluster.brokers.values()
        self.told = self.cluster.addresses(self.listener, fronts=True)
        self.bootstrap = ",".join(self.told)
        return '[kafka]\nmode = "observe"\n' + "".join(
            f'[[listen]]\nname = "kafka{broker.node}"\naddress = "127.0.0.1:{broker.fronts[self.listener]}"\n'
            f'target = "127.0.0.1:{broker.ports[self.listener]}"\ndetect = ["http", "kafka"]\n'
            for broker in brokers
        )


class Gateway(Proxied):
    """One listener, and brokers that advertise themselves: the proxy puts its own addresses for theirs."""

    listener = "GATEWAY"

    def config(self) -> str:
        first = free_ports(1 + len(self.cluster.brokers))
        self.told = sorted(f"127.0.0.1:{first + node}" for node in self.cluster.brokers)
        self.bootstrap = f"127.0.0.1:{first}"
        return (
            f'[kafka]\nmode = "gateway"\nbase_port = {first}\n'
            f'[[listen]]\nname = "kafka"\naddress = "127.0.0.1:{first}"\ntarget = "service:kafka"\nprotocol = "kafka"\n'
            f"[services.kafka]\nendpoints = {json.dumps(self.cluster.addresses(self.listener))}\n"
        )
