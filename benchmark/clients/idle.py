"""
Open keep-alive HTTP connections, make one request on each, then hold them until standard input ends.

Prints "HOLDING n" each time it has opened as many more as a line of standard input asked for, and at the end "CLOSED
n", how many of them the proxy had closed. The connections are opened one after the other, so the proxy needs few to
its upstream.
"""

import argparse
import ssl
import sys

from benchmark.clients.common import HOST, Requests, connect, exchange
from benchmark.clients.handshakes import NAME, context


def main() -> None:
    parser = argparse.ArgumentParser(description=f"Hold idle HTTP connections to a port of {HOST}.")
    parser.add_argument("port", type=int)
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    requests = Requests(options.port)
    tls = context() if options.tls else None
    held = []
    for line in sys.stdin:
        for _ in range(int(line)):
            connection = connect(options.port)
            if tls is not None:
                connection = tls.wrap_socket(connection, server_hostname=NAME)
            exchange(connection, requests.next())
            held.append(connection)
        print(f"HOLDING {len(held)}", flush=True)
    # a connection that the proxy has closed meanwhile is readable
    closed = 0
    for connection in held:
        connection.setblocking(False)
        try:
            connection.recv(1)
            closed += 1
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except OSError:
            closed += 1
    print(f"CLOSED {closed}", flush=True)


if __name__ == "__main__":
    main()
