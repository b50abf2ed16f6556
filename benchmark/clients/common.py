"""
What the load programs share: sockets, percentiles, the varied request, the printed result.
"""

import json
import random
import socket
import sys
from collections.abc import Mapping, Sequence

HOST = "127.0.0.1"


def connect(port: int, timeout: float = 10.0) -> socket.socket:
    """A blocking connection without Nagle's delay."""
    connection = socket.create_connection((HOST, port), timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class Requests:
    """Makes GET requests, each with a path and an X-Request-Id of its own."""

    def __init__(self, port: int) -> None:
        self.tail = b" HTTP/1.1\r\nHost: %s:%d\r\nX-Request-Id: " % (HOST.encode(), port)
        self.counter = random.getrandbits(31)

    def next(self) -> bytes:
        """One request, whole."""
        self.counter += 1
        # a multiplier coprime to 2**32 scatters the digits and visits every number once
        name = b"%08x%08x" % (self.counter * 2654435761 & 0xFFFFFFFF, self.counter)
        return b"GET /item/" + name + self.tail + name + b"\r\n\r\n"


def answer_length(data: bytes | bytearray) -> int | None:
    """
    How long the answer at the start of C{data} is, or None while its head is incomplete.

    Fails unless it is a 200 with a Content-Length: the upstream gives nothing else, so anything else is the proxy's.
    """
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return None
    lines = bytes(data[:head]).lower().split(b"\r\n")
    if not lines[0].startswith(b"http/1.1 200"):
        raise ValueError(f"not a 200: {bytes(data[:200])!r}")
    for line in lines:
        if line.startswith(b"content-length:"):
            return head + 4 + int(line.partition(b":")[2])
    raise ValueError(f"no Content-Length: {bytes(data[:400])!r}")


def exchange(connection: socket.socket, request: bytes) -> None:
    """Send one request on a blocking connection and read its answer to the end."""
    connection.sendall(request)
    data = bytearray()
    while (length := answer_length(data)) is None or len(data) < length:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError(f"closed after {bytes(data)!r}")
        data += piece


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value below which C{percent} of the C{ordered} values lie (nearest rank); 0 of none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def percentiles(ordered: Sequence[float]) -> dict[str, float]:
    """Those that results have, in microseconds, of C{ordered} seconds."""
    names = {"p50_us": 50.0, "p90_us": 90.0, "p99_us": 99.0, "p999_us": 99.9}
    return {name: percentile(ordered, percent) * 1e6 for name, percent in names.items()}


def print_result(result: Mapping[str, float]) -> None:
    """Print C{result} as the line that C{benchmark.load} looks for."""
    print("RESULT " + json.dumps(dict(result)))
    sys.stdout.flush()
