"""
What the load programs talk to in their tests.
"""

import contextlib
import socket
import threading
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from benchmark.process import HOST

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def server(test: SynchronousTestCase, serve: Callable[[socket.socket], object]) -> int:
    """The port of a server that calls C{serve} for each connection, in a thread of its own, until the test ends."""

    def one(connection: socket.socket) -> None:
        # a client that is gone is the end, whatever was being said
        with connection, contextlib.suppress(OSError):
            serve(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    listener = socket.create_server((HOST, 0), backlog=128)
    test.addCleanup(listener.close)
    test.addCleanup(listener.shutdown, socket.SHUT_RDWR)
    threading.Thread(target=accept, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def echo(connection: socket.socket) -> None:
    """Send back what comes, until the client ends."""
    while data := connection.recv(65536):
        connection.sendall(data)


def web(connection: socket.socket) -> None:
    """Answer each request alike, until the client ends."""
    while read_request(connection):
        connection.sendall(OK)


def read_request(connection: socket.socket) -> bytes:
    """One request without a body, or nothing at the client's end."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    return data
