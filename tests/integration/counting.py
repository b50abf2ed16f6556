# -*- test-case-name: tests.integration.test_workers -*-
"""
Clients that count: each request is answered, refused, lost or answered wrongly.
"""

from __future__ import annotations

import socket
import threading
from types import TracebackType


class Counting:
    """
    Threads that ask an HTTP listener of C{web.local} for something else each time, over keep-alive connections of a
    few requests.

    @ivar answered: how many were, well
    @ivar refused: how often nobody accepted
    @ivar lost: how many requests had no answer, or none to their end
    @ivar wrong: how many had another's, or an error
    """

    def __init__(self, port: int, threads: int, per_connection: int = 5) -> None:
        self._port = port
        self._each = per_connection
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(threads)]
        self._end = threading.Event()
        self._lock = threading.Lock()
        self.answered = self.refused = self.lost = self.wrong = 0

    def __enter__(self) -> Counting:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(15)

    def _count(self, what: str) -> None:
        with self._lock:
            if what == "answered":
                self.answered += 1
            elif what == "refused":
                self.refused += 1
            elif what == "lost":
                self.lost += 1
            else:
                self.wrong += 1

    def _run(self, number: int) -> None:
        asked = 0
        while not self._end.is_set():
            try:
                client = socket.create_connection(("127.0.0.1", self._port), 10)
            except OSError:
                self._count("refused")
                continue
            with client:
                for _ in range(self._each):
                    asked += 1
                    path = f"/{number}/{asked}"
                    what, go_on = self._ask(client, path)
                    if what:
                        self._count(what)
                    if not go_on:
                        break

    def _ask(self, client: socket.socket, path: str) -> tuple[str, bool]:
        """What came of one, and whether the connection is good for another."""
        want = f"web.local {path}".encode()
        head = data = b""
        try:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: web.local\r\n\r\n".encode())
            while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < len(want):
                more = client.recv(65536)
                if not more:
                    break
                data += more
                if b"\r\n\r\n" in data and not data.startswith(b"HTTP/1.1 200"):
                    return "wrong", False
        except OSError:
            return "lost", False
        head, _, body = data.partition(b"\r\n\r\n")
        if body != want:
            return ("lost", False) if want.startswith(body) else ("wrong", False)
        return "answered", b"connection: close" not in head.lower()
