# -*- test-case-name: tests.integration.kafka.test_clients -*-
"""
kcat: Debian's librdkafka, which is some years behind confluent-kafka's.
"""

from __future__ import annotations

import contextlib
import json
import queue
import re
import subprocess
import threading
from collections.abc import Iterable

from tests.integration.kafka.interface import PATIENCE, Client, Reader, drain


class KcatReader(Reader):
    """A kcat -G, whose two outputs are read by a thread each."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._values: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._partitions: set[bytes] = set()
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._read, self._listen)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._values.put(line.rstrip(b"\n"))

    def _listen(self) -> None:
        # % Group g rebalanced (memberid m): assigned: t [0], t [1]
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := re.search(rb"rebalanced .*: (assigned|revoked):(.*)", line):
                partitions = set(re.findall(rb"\[(\d+)\]", found[2]))
                self._partitions = partitions if found[1] == b"assigned" else self._partitions - partitions

    def poll(self, seconds: float) -> list[bytes]:
        return drain(self._values, seconds)

    def assigned(self) -> int:
        return len(self._partitions)

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        finally:
            for thread in self._threads:
                thread.join()
            for pipe in (self._process.stdout, self._process.stderr):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]


class KcatClient(Client):
    """A process for everything that it does. Topics are made by brokers, for the first message."""

    transactions = admin = False

    def command(self, *arguments: str, **more: object) -> list[str]:
        """A command line."""
        config: dict[str, object] = {}
        if self.sasl:
            config |= {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanisms": self.sasl}
            config |= {"sasl.username": self.user, "sasl.password": self.password}
        config |= {name.replace("_", "."): value for name, value in more.items()} | self.more
        return ["kcat", "-b", self.bootstrap, *(f"-X{name}={value}" for name, value in config.items()), *arguments]

    def _run(self, command: list[str], said: bytes = b"") -> str:
        done = subprocess.run(command, input=said, capture_output=True, timeout=PATIENCE)
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stderr.decode()}")
        return done.stdout.decode()

    def produce(
        self, topic: str, values: Iterable[bytes], acks: int = -1, codec: str = "none", once: bool = False
    ) -> None:
        config = {"acks": acks, "enable_idempotence": str(once).lower(), "message_max_bytes": 11_000_000}
        # keys, so that they are spread over partitions
        lines = (b"%d|%s" % (n, value) for n, value in enumerate(values))
        self._run(self.command("-P", "-t", topic, "-z", codec, "-K", "|", **config), b"\n".join(lines))

    def reader(self, topic: str, group: str, committed: bool = False) -> KcatReader:
        config = {"session_timeout_ms": 6000, "heartbeat_interval_ms": 300, "auto_offset_reset": "earliest"}
        return KcatReader(self.command("-u", "-G", group, topic, **config))

    def addresses(self) -> list[str]:
        return [one["name"] for one in json.loads(self._run(self.command("-L", "-J")))["brokers"]]


CLIENT = KcatClient
