"""
Send HTTP requests at a fixed rate, whatever the answers do (open loop), and record the latency of each.

Latency counts from the instant at which the request was due, not from when it could be sent, so a proxy that stalls
pays for every request that had to wait. Requests go out one at a time, evenly spaced, each on the connection that has
been free longest; when no connection is free they queue.
"""

import argparse
import gc
import select
import socket
import time
from collections import deque
from contextlib import ExitStack

from benchmark.clients.common import (
    HOST,
    Requests,
    answer_length,
    connect,
    exchange,
    percentile,
    percentiles,
    print_result,
)

#: stop waiting for the last answers after this long
GRACE_SECONDS = 2.0


def generate(port: int, rate: float, seconds: float, connections: int) -> dict[str, float]:
    """Put the load on; the result's C{requests} are those answered, C{errors} those due but not answered."""
    requests = Requests(port)
    free: deque[socket.socket] = deque()
    with ExitStack() as closing:
        for _ in range(connections):
            connection = closing.enter_context(connect(port))
            exchange(connection, requests.next())  # the proxy's upstream connection exists from now on
            connection.setblocking(False)
            free.append(connection)
        return offer(requests, free, rate, seconds)


def offer(requests: Requests, free: deque[socket.socket], rate: float, seconds: float) -> dict[str, float]:
    """Send C{requests} on connections that are C{free}."""
    by_descriptor = {connection.fileno(): connection for connection in free}
    descriptors = list(by_descriptor)
    waiting: dict[int, float] = {}  # descriptor -> when its request was due
    partial: dict[int, bytearray] = {}
    usual = 0  # length of the last answer: they are all alike, so most need no parsing
    usual_head = b""
    latencies: list[float] = []
    interval = 1.0 / rate
    total = int(rate * seconds)
    sent = 0
    gc.collect()
    gc.disable()
    clock = time.perf_counter
    start = clock() + 0.01
    end = start + seconds
    last = start
    while True:
        now = clock()
        while sent < total and free and start + sent * interval <= now:
            connection = free.popleft()
            data = requests.next()
            if connection.send(data) != len(data):
                raise OSError("a request did not fit an empty socket buffer")
            waiting[connection.fileno()] = start + sent * interval
            sent += 1
        if (sent == total and not waiting) or now > end + GRACE_SECONDS:
            break
        timeout = GRACE_SECONDS if sent == total or not free else max(0.0, start + sent * interval - clock())
        # select, for its timeout counts microseconds where epoll's counts milliseconds
        for descriptor in select.select(descriptors, (), (), timeout)[0]:
            connection = by_descriptor[descriptor]
            answer = connection.recv(65536)
            now = clock()
            if not answer:
                raise ConnectionError("the proxy closed a connection")
            if descriptor in partial or len(answer) != usual or not answer.startswith(usual_head):
                whole = partial.setdefault(descriptor, bytearray())
                whole += answer
                length = answer_length(whole)
                if length is None or len(whole) < length:
                    continue
                if len(whole) > length:
                    raise ValueError(f"more than one answer: {bytes(whole)!r}")
                usual, usual_head = length, bytes(whole[:15])
                del partial[descriptor]
            latencies.append(now - waiting.pop(descriptor))
            last = now
            free.append(connection)
    # without the time in which we waited in vain for what never came
    elapsed = max(last - start, seconds)
    latencies.sort()
    return {
        "requests": len(latencies),
        "seconds": elapsed,
        **percentiles(latencies),
        "max_us": percentile(latencies, 100) * 1e6,
        "errors": total - len(latencies),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=f"Fixed rate of HTTP requests to a port of {HOST}.")
    parser.add_argument("port", type=int)
    parser.add_argument("--rate", type=float, default=2000.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    print_result(generate(options.port, options.rate, options.seconds, options.connections))


if __name__ == "__main__":
    main()
