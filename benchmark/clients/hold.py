# -*- test-case-name: tests.benchmark.clients.test_hold -*-
"""
Hold what is idle in HTTP/2, or does not read, until standard input ends.

Each line asks for more: C{connections 100} opens so many, with one request on each; C{streams 100} opens gRPC calls
that are answered with a head and say nothing more; C{unread 100} asks one connection for so many large answers and
reads none, with the windows that a client has who says nothing of them. After each line it prints "HOLDING n", how many
of that kind there are now; at the end "CLOSED n", how many connections the proxy had closed.
"""

import argparse
import sys

from benchmark.clients.caller import Caller, message
from benchmark.clients.common import HOST
from benchmark.clients.wire import HEADERS

#: as many as everybody allows
STREAMS_EACH = 100
#: what a client lets come that says nothing of windows
DEFAULT_WINDOW = 65_535


def connections(port: int, count: int) -> list[Caller]:
    """Each with one request."""
    made = []
    for _ in range(count):
        one = Caller(port, b"/item/")
        one.first()
        made.append(one)
    return made


def streams(port: int, count: int) -> list[Caller]:
    """Connections with open calls, as many as there have to be; every call has its head."""
    made = []
    while count > 0:
        one = Caller(port, b"/bench.Echo/", message(20))
        one.first()
        more = min(count, STREAMS_EACH)
        waiting = {one.open(b"", False) for _ in range(more)}
        one.wire.flush()
        while waiting:
            waiting -= {stream for kind, _, stream, _ in one.wire.read() if kind == HEADERS}
            one.wire.flush()
        made.append(one)
        count -= more
    return made


def unread(port: int, count: int) -> list[Caller]:
    """One connection that asks and does not read."""
    one = Caller(port, b"/bulk/", window=DEFAULT_WINDOW)
    for _ in range(count):
        one.call()
    one.wire.flush()
    return [one]


def is_closed(one: Caller) -> bool:
    """Whether the other end has closed it; what it sent before is gone through."""
    connection = one.wire.connection
    connection.setblocking(False)
    try:
        while connection.recv(65_536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=f"Hold HTTP/2 connections and streams to ports of {HOST}.")
    parser.add_argument("port", type=int, help="behind it are short answers, and large ones below /bulk/")
    parser.add_argument("grpc", type=int, help="behind it is the gRPC upstream")
    options = parser.parse_args()
    held: list[Caller] = []
    counts = dict.fromkeys(("connections", "streams", "unread"), 0)
    for line in sys.stdin:
        what, number = line.split()
        count = int(number)
        if what == "connections":
            held += connections(options.port, count)
        elif what == "streams":
            held += streams(options.grpc, count)
        else:
            held += unread(options.port, count)
        counts[what] += count
        print(f"HOLDING {counts[what]}", flush=True)
    print(f"CLOSED {sum(map(is_closed, held))}", flush=True)


if __name__ == "__main__":
    main()
