"""
L{benchmark.profiles}: what routes are compared with, and a thousand services that lproxy takes.
"""

import socket
import tomllib
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmark import load, profiles
from benchmark.load import Load
from benchmark.peer import Ports, Proxy
from benchmark.peers import PEERS
from benchmark.process import ProcessFailed
from benchmark.profiles import Started
from benchmark.scenarios import Measured
from benchmark.settings import Settings
from lproxy import tap

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NGINX = Proxy(PEERS["nginx"], Ports(1, 2, 3), None)


class RoutesTests(SynchronousTestCase):
    def test_ratio(self) -> None:
        """Both listeners are measured on the same proxy, one before and after the other; what others did counts."""
        costs = [18.0, 22.0]

        def run(more: tuple[Any, ...], cost: float = 0.0) -> Callable[[Proxy, Settings], Measured]:
            return lambda proxy, settings: Measured({"cpu_us_per_request": cost or costs.pop(), "errors": 0.0}, *more)

        self.patch(profiles, "unrouted", run((["odd"], 0.3, 0.0)))
        self.patch(profiles, "routed", run((["too"], 0.1, 0.2), 22.0))
        found = profiles.run_routes(NGINX, Settings())
        values = {"cpu_us_per_request": 22.0, "cpu_us_unrouted": 20.0, "of_unrouted": 1.1, "errors": 0.0}
        self.assertEqual(values, found.values)
        self.assertEqual((["odd", "too", "odd"], 0.3, 0.2), (found.notes, found.foreign_proxy, found.foreign_load))

    def test_load(self) -> None:
        """It is that of the scenario http."""
        asked: list[Any] = []
        self.patch(load, "http", lambda *arguments, **more: asked.append((arguments, more)) or Load(1, 1.0))
        profiles.requests(80, 2.0, Settings(load_core=3), None)
        self.assertEqual([((80, 2.0, 3), {"raw": None})], asked)


class ServicesTests(SynchronousTestCase):
    def test_difference(self) -> None:
        """What profiles add is what a start with them has more than one without."""
        self.patch(
            profiles,
            "start",
            lambda proxy, to, port, profiles: Started(3.5, 90_000) if profiles else Started(2.0, 50_000),
        )
        values = profiles.run_services(NGINX, Settings()).values
        self.assertEqual(
            (3.5, 1.5, 40.0), tuple(values[key] for key in ("start_s", "start_added_s", "kib_per_profile"))
        )

    def test_file(self) -> None:
        """A thousand services, with five routes or with none, of which lproxy has nothing to complain."""
        for profiled in (False, True):
            text = profiles.LISTENER.format(host="127.0.0.1", port=1) + profiles.services(8080, profiled)
            services = tomllib.loads(text)["services"]
            self.assertEqual([5 if profiled else 0] * 1_000, [len(one.get("routes", ())) for one in services.values()])
            path = Path(self.mktemp())
            # as many as show whether it is right
            end = text.index('\n[services."service3.')
            path.write_text(text[:end])
            self.assertEqual(0, tap.report(tap.read(str(path))), text[:end])

    def answered(self, *pieces: bytes) -> bytes:
        """What is left of what an upstream says in C{pieces}."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        with theirs:
            for piece in pieces:
                theirs.sendall(piece)
        return profiles.answer(ours, b"")

    def test_answer(self) -> None:
        """One answer is read, however it comes; what follows is kept."""
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        self.assertEqual(b"", self.answered(head, b"he", b"llo"))
        self.assertEqual(b"HTTP", self.answered(head + b"helloHTTP"))

    def test_bad_answer(self) -> None:
        """Anything but a 200, and an end, is a failure: nothing was measured then."""
        for said in (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\n"):
            self.assertRaises(ProcessFailed, self.answered, said)

    def test_application(self) -> None:
        """What serves all services answers each connection once."""
        with profiles.application() as port:
            for _ in range(2):
                with socket.create_connection(("127.0.0.1", port), 10) as client:
                    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    self.assertEqual(b"", profiles.answer(client, b""))
                    self.assertEqual(b"", client.recv(1))

    def test_all(self) -> None:
        """Each service is asked once."""
        self.patch(profiles, "SERVICES", 3)
        heard: list[bytes] = []
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(65536):
                    heard.append(data)
                    connection.sendall(OK)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        profiles.ask_all(server.getsockname()[1])
        thread.join(10)
        self.assertEqual([b"service%d.local" % n for n in range(3)], [one.split()[-1] for one in heard])
