"""
The upstream of the churn scenario: sends back what it reads and closes when the client has.
"""

import argparse
import gc
import select
import socket

from benchmark.clients.common import HOST


def serve(port: int) -> None:
    """Echo on C{port} for ever."""
    gc.disable()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
    listener.bind((HOST, port))
    listener.listen(4096)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    live: dict[int, socket.socket] = {}
    while True:
        for descriptor, _events in poll.poll():
            connection = live.get(descriptor)
            if connection is None:
                try:
                    connection, _peer = listener.accept()
                except OSError:
                    continue
                connection.setblocking(False)
                live[connection.fileno()] = connection
                poll.register(connection, select.EPOLLIN)
                continue
            try:
                data = connection.recv(65536)
                if data:
                    connection.send(data)
                    continue
            except BlockingIOError:
                continue
            except OSError:
                pass
            del live[descriptor]
            connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=f"Echo server on a port of {HOST}.")
    parser.add_argument("port", type=int)
    serve(parser.parse_args().port)


if __name__ == "__main__":
    main()
