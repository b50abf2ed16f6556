"""
Open a TCP connection, send a few bytes, read the echo, close, and begin again; several side by side.

The bytes are no HTTP, so a detecting proxy has to find that out. The client closes first; the connection counts
when the echo is complete.
"""

import argparse
import gc
import select
import socket
import time

from benchmark.clients.common import HOST, percentiles, print_result

#: no letter comes first, so no HTTP request line begins like this
PAYLOAD = b"\x00\x01not http\n"


def open_one(port: int) -> socket.socket:
    """A connection on its way; writable as soon as it stands."""
    connection = socket.socket()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(10.0)
    connection.connect((HOST, port))  # blocking: the kernel answers by itself, the proxy need not have accepted
    connection.send(PAYLOAD)
    connection.setblocking(False)
    return connection


def churn(port: int, seconds: float, parallel: int) -> dict[str, float]:
    """Put the load on; latency is from before the connect to the complete echo."""
    poll = select.epoll()
    live: dict[int, tuple[socket.socket, float, bytearray]] = {}
    clock = time.perf_counter

    def begin() -> None:
        started = clock()
        connection = open_one(port)
        live[connection.fileno()] = (connection, started, bytearray())
        poll.register(connection, select.EPOLLIN)

    gc.disable()
    latencies: list[float] = []
    errors = 0
    start = clock()
    end = start + seconds
    for _ in range(parallel):
        begin()
    while live and clock() < end + 5.0:
        for descriptor, _events in poll.poll(1.0):
            connection, started, echo = live[descriptor]
            try:
                data = connection.recv(4096)
            except OSError:
                data = b""
            echo += data
            if data and len(echo) < len(PAYLOAD):
                continue
            now = clock()
            if echo == PAYLOAD:
                latencies.append(now - started)
            else:
                errors += 1
            del live[descriptor]
            connection.close()  # leaves the epoll set by itself
            if now < end:
                begin()
    elapsed = clock() - start
    latencies.sort()
    return {
        "connections": len(latencies),
        "seconds": elapsed,
        **percentiles(latencies),
        "errors": errors + len(live),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=f"New TCP connections to an echo server behind a port of {HOST}.")
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--parallel", type=int, default=8)
    options = parser.parse_args()
    print_result(churn(options.port, options.seconds, options.parallel))


if __name__ == "__main__":
    main()
