# -*- test-case-name: tests.integration.kafka.test_clients -*-
"""
Kafka's clients in a process of their own: C{python -m tests.integration.kafka.clients CLIENT ACTION --bootstrap ...}.

They block, or have threads or a loop, none of which the tests' reactor wants. Each is driven through the same few
methods, those of L{Client}, and what an action found is printed as one line of JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import select
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from tests.integration.kafka.interface import PATIENCE, Client, Reader

NAMES = ("kafka_python", "confluent", "aiokafka", "kcat")
#: size of a message that is larger than what the proxy keeps of anything
BIG = 10_000_000


def make(name: str, bootstrap: str, sasl: str = "", more: dict[str, str] | None = None) -> Client:
    """A client."""
    module = importlib.import_module(f"tests.integration.kafka.with_{name}")
    client: Client = module.CLIENT(bootstrap, sasl, more or {})
    return client


def read(readers: list[Reader], want: Callable[[Counter[bytes]], bool], seconds: float = PATIENCE) -> Counter[bytes]:
    """What they read together until there is what is wanted, or no more time."""
    got: Counter[bytes] = Counter()
    end = time.monotonic() + seconds
    while not want(got) and time.monotonic() < end:
        for reader in readers:
            got.update(reader.poll(0.1))
    return got


def everything(values: Iterable[bytes]) -> Callable[[Counter[bytes]], bool]:
    """Want all of C{values}."""
    wanted = set(values)
    return lambda got: wanted <= set(got)


def compare(got: Counter[bytes], values: Iterable[bytes]) -> dict[str, list[str]]:
    """What is not as it should be: nothing."""
    wanted = set(values)
    wrong = {
        "missing": wanted - set(got),
        "strange": set(got) - wanted,
        "double": {value for value, n in got.items() if n > 1},
    }
    return {name: sorted(value.decode()[:60] for value in these)[:5] for name, these in wrong.items() if these}


# actions


def tour(client: Client, topic: str, readers: int) -> dict[str, Any]:
    """Most of what a client can do."""
    told: dict[str, Any] = {"seconds": {}}
    began = time.monotonic()

    def done(step: str) -> None:
        told["seconds"][step] = round(time.monotonic() - began, 1)

    client.create(topic)
    done("create")
    sent = []
    # acknowledged first: on a topic as new as this acks=0 would lose messages, and nobody told
    for acks, codec, once in [
        (1, "none", False),
        *((-1, c, False) for c in client.codecs[1:]),
        (0, "gzip", False),
        (-1, "zstd", True),
    ]:
        values = [f"{acks} {codec} {once} {n}".encode() for n in range(20)]
        client.produce(topic, values, acks, codec, once)
        sent += values
    done("produce")
    first = client.reader(topic, f"{topic}-group")
    told["read"] = compare(read([first], everything(sent)), sent)
    done("read")
    second = client.reader(topic, f"{topic}-group")
    # what is assigned anew may be read again: at least once
    read([first, second], lambda got: (first.assigned(), second.assigned()) in ((1, 2), (2, 1)))
    told["joined"] = sorted((first.assigned(), second.assigned()))
    more = [f"joined {n}".encode() for n in range(30)]
    client.produce(topic, more)
    told["shared"] = compare(read([first, second], everything(more)), more).get("missing", [])
    if client.admin:
        told["group"] = client.group(f"{topic}-group")
    second.close()
    read([first], lambda got: first.assigned() == 3)
    told["left"] = first.assigned()
    more = [f"left {n}".encode() for n in range(30)]
    client.produce(topic, more)
    told["alone"] = compare(read([first], everything(more)), more).get("missing", [])
    first.close()
    done("rebalance")
    if client.transactions:
        good, bad, last = ([f"{word} {n}".encode() for n in range(10)] for word in ("commit", "abort", "last"))
        client.transaction(f"{topic}-t", good, f"{topic}-t1", commit=True)
        client.transaction(f"{topic}-t", bad, f"{topic}-t1", commit=False)
        client.transaction(f"{topic}-t", last, f"{topic}-t2", commit=True)
        reader = client.reader(f"{topic}-t", f"{topic}-t", committed=True)
        told["committed"] = compare(read([reader], everything(good + last)), good + last)
        reader.close()
        done("transactions")
    told["addresses"] = sorted(client.addresses())
    if client.admin:
        told["listed"] = topic in client.topics()
        client.delete(topic)
        end = time.monotonic() + PATIENCE
        while topic in client.topics() and time.monotonic() < end:
            time.sleep(0.1)
        told["deleted"] = topic not in client.topics()
        done("admin")
    return told


def big(client: Client, topic: str, readers: int) -> dict[str, Any]:
    """Some bytes there and back, then a message of many."""
    value = os.urandom(BIG // 2).hex().encode()
    small = [b"small %d" % n for n in range(10)]
    client.create(topic)
    client.produce(topic, small)
    client.produce(topic, [value])
    reader = client.reader(topic, f"{topic}-big")
    wanted = [*small, value]
    got = read([reader], everything(wanted))
    reader.close()
    digests = {hashlib.sha256(one).hexdigest() for one in wanted} ^ {hashlib.sha256(one).hexdigest() for one in got}
    return {"different": len(digests), "addresses": sorted(client.addresses())}


def short(client: Client, topic: str, readers: int) -> dict[str, Any]:
    """Produce and consume, after a login perhaps."""
    client.create(topic)
    values = [b"%d" % n for n in range(30)]
    client.produce(topic, values)
    reader = client.reader(topic, f"{topic}-short")
    told = compare(read([reader], everything(values)), values)
    reader.close()
    return {"read": told, "addresses": sorted(client.addresses())}


def group(client: Client, topic: str, readers: int) -> dict[str, Any]:
    """Several members, and every message read by one of them, once."""
    client.create(topic)
    client.produce(topic, [b"first"])
    members = [client.reader(topic, f"{topic}-group") for _ in range(readers)]
    got = read(members, lambda got: bool(got) and all(member.assigned() == 3 // readers for member in members))
    values = [b"%d" % n for n in range(600)]
    client.produce(topic, values)
    each = [Counter[bytes]() for _ in members]
    end = time.monotonic() + PATIENCE
    while sum(map(len, each)) < len(values) and time.monotonic() < end:
        for seen, member in zip(each, members, strict=True):
            seen.update(member.poll(0.05))
    got = sum(each, Counter[bytes]())
    del got[b"first"]
    assigned = [member.assigned() for member in members]
    for member in members:
        member.close()
    return {"assigned": assigned, "read": compare(got, values), "idle": sum(not seen for seen in each)}


def where(client: Client, topic: str, readers: int) -> dict[str, Any]:
    """Where brokers are."""
    return {"addresses": sorted(client.addresses())}


def said() -> str:
    """A line that the test has written; nothing yet if there is none."""
    if not select.select([sys.stdin], [], [], 0)[0]:
        return ""
    return sys.stdin.readline().strip() or "end"


def flood(client: Client, topic: str, readers: int) -> dict[str, Any]:
    """Produce numbers until told to end."""
    client.create(topic)
    producer = client.flood(topic)
    n = 0
    while not said():
        producer.send(n)
        n += 1
        if n == 50:
            print("going", flush=True)
        time.sleep(0.01)
    producer.flush()
    unknown = n - len(producer.acked) - len(producer.failed)
    told = {"sent": n, "acked": len(producer.acked), "failed": producer.failed, "unknown": unknown}
    return {**told, "addresses": sorted(client.addresses())}


def log(client: Client, topic: str, readers: int) -> dict[str, Any]:
    """All that is stored, wherever it stands."""
    return {"rows": client.log(topic)}


def follow(client: Client, topic: str, readers: int) -> dict[str, Any]:
    """Read numbers as a member of a group, until told how many there are and all of them are here."""
    reader = client.reader(topic, f"{topic}-follow")
    got: Counter[bytes] = Counter()
    while not (line := said()):
        before = len(got)
        got.update(reader.poll(0.2))
        if before < 50 <= len(got):
            print("going", flush=True)
    wanted = [b"%d" % n for n in range(int(line))]
    got.update(read([reader], lambda more: set(wanted) <= set(got) | set(more)))
    reader.close()
    return {"missing": compare(got, wanted).get("missing", []), "double": sum(got.values()) - len(got)}


ACTIONS = {action.__name__: action for action in (tour, big, short, group, where, flood, follow, log)}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("client", choices=NAMES)
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--sasl", default="")
    parser.add_argument("--readers", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], help="NAME=VALUE for the client's own configuration")
    options = parser.parse_args()
    more = dict(one.split("=", 1) for one in options.set)
    client = make(options.client, options.bootstrap, options.sasl, more)
    try:
        told = ACTIONS[options.action](client, options.topic, options.readers)
    finally:
        client.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
