# -*- test-case-name: tests.integration.test_garbage -*-
"""
Connections through the whole proxy leave nothing to the garbage collector, which would stop all others for it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from lproxy.config import Admin, Config, Listen, Service, Timeouts
from lproxy.protocols.kafka.plugin import KafkaPlugin
from lproxy.testing.garbage import only_new, uncounted
from tests.integration.http_case import CLOSING, GET, OK, HttpCase, Wire, eventually, threaded
from tests.integration.ports import free_ports

#: ApiVersions v0 of the client C{a}, and an answer that lists none
ASK = struct.pack(">ihhih", 11, 18, 0, 1, 1) + b"a"
VERSIONS = struct.pack(">iihi", 10, 1, 0, 0)
UPGRADE = b"GET / HTTP/1.1\r\nHost: web.local\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


class GarbageTests(HttpCase):
    """Each kind of connection, and how it ends."""

    def setUp(self) -> object:
        # with all of trial to look at, each look at the garbage takes 50 ms
        self.enterContext(only_new())
        return super().setUp()

    def config(self) -> Config:
        """C{web} detects, C{nobody} has nobody behind it."""
        address, fixed = "127.0.0.1:0", self.upstream.address
        kafka = {"kafka": KafkaPlugin().configure({})}
        return Config(
            admin=Admin(address=""),
            listen=(
                Listen(name="web", address=address, target=fixed, detect=("http", "kafka"), plugins=kafka),
                Listen(name="nobody", address=address, target=f"127.0.0.1:{free_ports()}"),
            ),
            services={"web.local:80": Service("web.local:80", (fixed,))},
            outbound=Timeouts(service_idle=600.0),  # stay
        )

    def check(self, life: Callable[[], None]) -> None:
        """C{life} of a connection leaves nothing; the first makes a service, a metric and such."""
        for _ in range(2):
            life()
            self.quiet()
        with uncounted() as left:
            for _ in range(3):
                life()
                self.quiet()
        self.assertEqual([], left)

    def quiet(self) -> None:
        """Every connection is closed, and the reactor is through with it."""
        for wire in self.wires + self.upstream.wires:
            wire.close()
        del self.wires[:], self.upstream.wires[:]
        eventually(lambda: not self.connections() and not self.proxy.clients())

    def talk(self, request: bytes, answer: bytes, leave: Callable[[Wire, Wire], object]) -> Callable[[], None]:
        """A connection with one request, which ends like that."""

        def life() -> None:
            client = self.client(request)
            upstream = self.upstream.accept()
            self.assertEqual(request, upstream.exactly(len(request)))
            upstream.send(answer)
            client.until(answer[-4:])
            leave(client, upstream)

        return life

    @threaded
    def test_ends(self) -> None:
        """TCP, HTTP, Kafka and a tunnel: whoever ends it, and however."""
        for request, answer in (
            (b"\xffany", b"thing"),
            (GET, OK),
            (GET, CLOSING),
            (ASK, VERSIONS),
            (UPGRADE, SWITCHING),
        ):
            for leave in (Wire.fin, Wire.close, Wire.reset):
                self.check(self.talk(request, answer, lambda client, upstream, leave=leave: leave(client)))  # type: ignore[misc]
                self.check(self.talk(request, answer, lambda client, upstream, leave=leave: leave(upstream)))  # type: ignore[misc]

    @threaded
    def test_services(self) -> None:
        """Neither does a service that nobody used for a while."""
        self.again(outbound={"service_idle": 0.02})
        for request, answer in ((b"\xffany", b"thing"), (GET, OK), (ASK, VERSIONS)):
            talk = self.talk(request, answer, lambda client, upstream: client.close())

            def life(talk: Callable[[], None] = talk) -> None:
                talk()
                self.quiet()
                eventually(lambda: {"unused"} >= {row["state"] for row in self.services()})

            self.check(life)

    @threaded
    def test_bad_input(self) -> None:
        """A refused request, and a client that leaves amid one."""

        def refused() -> None:
            self.client(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n").drained()

        def amid() -> None:
            self.client(b"GET / HTTP/1.1\r\nHo").fin().drained()

        self.check(refused)
        self.check(amid)

    @threaded
    def test_nobody(self) -> None:
        """An upstream that is not there."""

        def http() -> None:
            self.client(GET, port="nobody").message()

        def tcp() -> None:
            self.client(b"\xffany", port="nobody").drained()

        self.check(http)
        self.check(tcp)
