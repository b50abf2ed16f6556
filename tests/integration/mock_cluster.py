"""
librdkafka's mock cluster in a process of its own, at a test's command: one line in, one line out.

The wheel of confluent-kafka has it, though not for Python: it is reached by ctypes. It is a set of real listeners on
127.0.0.1 whose brokers can be made to fail, and which remember what was asked of them.

C{python mock_cluster.py BROKERS} prints their addresses, then obeys: C{topic NAME PARTITIONS}, C{leader TOPIC PARTITION
BROKER}, C{down BROKER}, C{up BROKER}, C{errors KEY CODE...}, C{count KEY}.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

PRODUCER = 0


def library() -> Any:
    """The wheel's librdkafka."""
    import confluent_kafka  # type: ignore[import-untyped]

    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    # imported above, and with it whatever it needs itself
    (path,) = folder.glob("librdkafka-*.so*")
    lib = ctypes.CDLL(str(path))
    for name in ("conf_new", "new", "mock_cluster_new"):
        getattr(lib, f"rd_kafka_{name}").restype = ctypes.c_void_p
    lib.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    lib.rd_kafka_mock_get_requests.restype = ctypes.POINTER(ctypes.c_void_p)
    lib.rd_kafka_mock_request_api_key.restype = ctypes.c_int16
    return lib


class MockCluster:
    """So many brokers."""

    def __init__(self, brokers: int) -> None:
        self.lib = lib = library()
        error = ctypes.create_string_buffer(512)
        handle = lib.rd_kafka_new(PRODUCER, ctypes.c_void_p(lib.rd_kafka_conf_new()), error, len(error))
        assert handle, error.value
        self.cluster = ctypes.c_void_p(lib.rd_kafka_mock_cluster_new(ctypes.c_void_p(handle), brokers))
        lib.rd_kafka_mock_start_request_tracking(self.cluster)
        self.addresses = lib.rd_kafka_mock_cluster_bootstraps(self.cluster).decode()

    def topic(self, name: str, partitions: str) -> int:
        return int(self.lib.rd_kafka_mock_topic_create(self.cluster, name.encode(), int(partitions), 1))

    def leader(self, topic: str, partition: str, broker: str) -> int:
        set_leader = self.lib.rd_kafka_mock_partition_set_leader
        return int(set_leader(self.cluster, topic.encode(), int(partition), int(broker)))

    def down(self, broker: str) -> int:
        return int(self.lib.rd_kafka_mock_broker_set_down(self.cluster, int(broker)))

    def up(self, broker: str) -> int:
        return int(self.lib.rd_kafka_mock_broker_set_up(self.cluster, int(broker)))

    def errors(self, key: str, *codes: str) -> int:
        push = self.lib.rd_kafka_mock_push_request_errors_array
        push(self.cluster, int(key), len(codes), (ctypes.c_int * len(codes))(*map(int, codes)))
        return 0

    def count(self, key: str) -> int:
        """How many requests with C{key} came to any broker."""
        size = ctypes.c_size_t()
        requests = self.lib.rd_kafka_mock_get_requests(self.cluster, ctypes.byref(size))
        keys = [self.lib.rd_kafka_mock_request_api_key(ctypes.c_void_p(requests[n])) for n in range(size.value)]
        self.lib.rd_kafka_mock_request_destroy_array(requests, size)
        return keys.count(int(key))


def main() -> None:
    cluster = MockCluster(int(sys.argv[1]))
    print(cluster.addresses, flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        print(getattr(cluster, command)(*arguments), flush=True)


if __name__ == "__main__":
    main()
