# -*- test-case-name: tests.integration.test_balancing -*-
"""
Endpoints that fail, come back, are slow or answer with errors, through the whole proxy and real sockets.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lproxy.balancing import Balancing, HealthCheck, Place
from lproxy.config import Config, Listen, Service
from tests.integration.http_case import GET, HttpCase, eventually, threaded


class Handler(BaseHTTPRequestHandler):
    """Answers as its server says, and counts."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        backend: Backend = self.server.backend  # type: ignore[attr-defined]
        backend.asked[self.path] += 1
        status = backend.health if self.path == "/up" else backend.status
        if self.path != "/up" and backend.slow:
            time.sleep(backend.slow)
        self.wfile.write(b"HTTP/1.1 %d OK\r\nContent-Length: 2\r\n\r\nok" % status)

    def log_message(self, *args: Any) -> None:
        """Nobody reads it."""


class Server(ThreadingHTTPServer):
    """One whose connections can all be closed."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], backend: Backend) -> None:
        self.backend = backend
        self.sockets: set[socket.socket] = set()
        super().__init__(address, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Its connections are closed under it."""


class Backend:
    """
    An application, at one address as long as the test lasts.

    @ivar asked: how often for which path
    @ivar status: of its answers; C{health}: of those at /up
    @ivar slow: seconds before an answer
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.status = self.health = 200
        self.slow = 0.0
        self._server: Server | None = None
        self._place = ("127.0.0.1", 0)
        self.start()
        self.address = "{}:{}".format(*self._place)

    def start(self) -> None:
        """Listen."""
        self._server = Server(self._place, self)
        self._place = self._server.server_address[:2]  # type: ignore[assignment]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def kill(self) -> None:
        """Gone, with all connections."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            for sock in list(server.sockets):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def took(self) -> int:
        """Requests since it was last asked."""
        n, self.asked["/"] = self.asked["/"], 0
        return n


class BalancingCase(HttpCase):
    """Three backends behind one name."""

    health: HealthCheck | None = None
    balancing = Balancing(slow_start=None)

    def setUp(self) -> None:
        self.backends = [Backend() for _ in range(3)]
        for backend in self.backends:
            self.addCleanup(backend.kill)
        super().setUp()

    def endpoints(self) -> tuple[str | Place, ...]:
        return tuple(backend.address for backend in self.backends)

    def config(self) -> Config:
        """Those, and nobody else."""
        return Config(
            admin=super().config().admin,
            listen=(
                Listen(name="web", address="127.0.0.1:0"),
                Listen(name="bytes", address="127.0.0.1:0", protocol="tcp"),
            ),
            services={"web.local:80": Service("web.local:80", self.endpoints(), health=self.health)},
            balancing=self.balancing,
        )

    def requests(self, n: int) -> Counter[int]:
        """So many, one after the other: the statuses of their answers."""
        client = self.client()
        statuses: Counter[int] = Counter()
        for _ in range(n):
            client.send(GET)
            statuses[int(client.message().split(b" ", 2)[1])] += 1
        client.close()
        return statuses

    def took(self) -> list[int]:
        """How many requests each backend had since it was last asked."""
        return [backend.took() for backend in self.backends]

    def shared(self) -> list[int]:
        """Send requests, all of which are served, until each backend has had some; on a busy machine one looks slow."""
        for _ in range(60):
            self.assertEqual({200: 20}, self.requests(20))
            had = [backend.asked["/"] for backend in self.backends]
            if min(had) > 10:
                return had
            time.sleep(0.1)
        raise AssertionError(had)

    def row(self, n: int = 0) -> dict[str, Any]:
        """What is shown of one."""
        rows = [row for row in self.services() if row["target"] == "web.local:80" and row.get("protocol") == "http"]
        return next((e for row in rows for e in row["endpoints"] if e["address"] == self.backends[n].address), {})


class PassiveTests(BalancingCase):
    """What requests find out."""

    @threaded
    def test_life(self) -> None:
        """
        One is killed, and nobody notices; started again it has its share; it answers with errors, the quickest of all,
        and gets next to nothing; well again, it has its share.
        """
        first = self.backends[0]
        self.shared()
        self.took()
        first.kill()
        self.assertEqual({200: 150}, self.requests(150))
        self.assertEqual("backoff", self.row()["state"])
        self.assertEqual(0, self.took()[0])
        first.start()
        eventually(lambda: self.requests(10) == {200: 10} and self.row()["state"] == "healthy", "back")
        self.took()
        self.shared()
        self.took()
        first.status = 500
        statuses = self.requests(300)
        self.assertLess(statuses[500], 15)
        self.assertEqual("backoff", self.row()["state"])
        first.status = 200
        eventually(lambda: self.requests(10) and self.row()["state"] == "healthy", "well")
        self.assertEqual({200: 50}, self.requests(50))

    @threaded
    def test_slow(self) -> None:
        """One that becomes slow loses most of its requests within a second."""
        self.requests(60)
        self.backends[0].slow = 0.3
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            self.requests(5)
        self.took()
        self.requests(200)
        self.assertLess(self.took()[0], 4)


class WeightTests(BalancingCase):
    """Weights of 8, 1 and 1, all in our own zone but the last."""

    balancing = Balancing(slow_start=None, zone="here")

    def endpoints(self) -> tuple[str | Place, ...]:
        a, b, c = super().endpoints()
        return Place(str(a), 8, "here"), Place(str(b), 1, "here"), Place(str(c), 1, "there")

    @threaded
    def test_parts(self) -> None:
        """Each has its part, and who is elsewhere has none, until nobody is left here."""
        self.assertEqual({200: 300}, self.requests(300))
        a, b, c = self.took()
        self.assertTrue(a > 3 * b > 0 and c == 0, (a, b, c))
        self.backends[0].kill()
        self.backends[1].kill()
        self.assertEqual({200: 100}, self.requests(100))
        self.assertGreater(self.took()[2], 90)


class ActiveTests(BalancingCase):
    """Endpoints that are asked, five times a second."""

    health = HealthCheck("http", "/up", interval=0.2, timeout=0.15)

    @threaded
    def test_from_the_start(self) -> None:
        """
        They are asked before anybody sends a request. One that is not well gets none, and all once it is; what is asked
        is no request.
        """
        self.backends[0].health = 503
        eventually(lambda: all(backend.asked["/up"] > 2 for backend in self.backends), "all are asked")
        eventually(lambda: self.row().get("state") == "unhealthy", "that it is not well")
        self.assertIn("answered a health check with 503", self.row()["last_error"])
        self.assertEqual({200: 60}, self.requests(60))
        self.assertEqual(0, self.took()[0])
        self.backends[0].health = 200
        eventually(lambda: self.row()["state"] == "healthy", "that it is well")
        self.shared()
        self.assertEqual(
            sum(backend.asked["/"] for backend in self.backends) + 60,
            sum(n for _, n in self.samples("endpoint_request_total")),
        )
        outcomes = Counter({row["outcome"]: n for row, n in self.samples("endpoint_health_checks_total")})
        self.assertEqual({"ok", "not_serving"}, set(outcomes))

    @threaded
    def test_all_bad(self) -> None:
        """Where no check is good, requests are served nevertheless."""
        for backend in self.backends:
            backend.health = 404
        eventually(lambda: all(self.row(n).get("state") == "unhealthy" for n in range(3)), "that none is well")
        self.shared()
