# -*- test-case-name: tests.app.test_swap -*-
"""
Tests for L{lproxy.app.service.Proxy.swap}: one configuration takes the place of another while clients are served.
"""

from __future__ import annotations

import gc
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import ref

from twisted.internet.defer import Deferred, gatherResults

from lproxy.app.assembly import CannotStart
from lproxy.app.plugins import configures, find
from lproxy.app.service import Proxy
from lproxy.config import AccessLog, Admin, Config, Limits, Listen, Service, Timeouts
from lproxy.configfile import load
from lproxy.testing.certificates import authority
from lproxy.testing.garbage import only_new, uncounted
from tests.app.running import ANY, Client, RunningCase, reactor
from tests.profiles.case import SP


def free_port() -> int:
    """One that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class SwapCase(RunningCase):
    """A proxy whose answers begin with C{1}, until it is another's."""

    def setUp(self) -> None:
        super().setUp()
        self.running: Proxy = self.start(self.config(self.listen("a", "1")))
        self.address = self.running.addresses()["a"]

    def tearDown(self) -> Deferred[None]:
        async def go() -> None:
            if self.running.running:
                stopped = self.running.stopService()
                # where a test has failed, there are clients left
                self.running.end()
                await stopped
                await self.turn()
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def swap(self, *listeners: Listen, **more: Any) -> None:
        self.swap_in(self.running, self.config(*(listeners or (self.listen("a", "2"),)), **more))

    async def ask(self, address: tuple[str, int], data: bytes = b"x") -> bytes:
        """A new client's question, answered."""
        client = await self.connect(address)
        answer = await client.ask(data, len(data) + 1)
        await client.leave()
        return answer

    def retiring(self) -> int:
        """How many factories have been drained and not stopped."""
        return self.note.calls.count("drain") - self.note.calls.count("stop")


class PlaceTests(SwapCase):
    """Sockets stay, come and go."""

    def test_kept(self) -> Deferred[None]:
        """
        The socket stays. Who is connected goes on with what he began with; who comes is served by the new one; the old
        one goes with the last of its sessions, and so do its rows.
        """

        async def go() -> None:
            before = await self.connect(self.address)
            self.assertEqual(b"1x", await before.ask(b"x", 2))
            self.swap()
            self.assertEqual(self.address, self.running.addresses()["a"])
            after = await self.connect(self.address)
            self.assertEqual(b"2y", await after.ask(b"y", 2))
            self.assertEqual(b"1z", await before.ask(b"z", 2))
            self.assertEqual(2, len(self.running.connections()))
            self.assertEqual((1, None), (self.retiring(), self.running.ready()))
            await before.leave()
            await self.until(lambda: not self.retiring())
            self.assertEqual(1, len(self.running.connections()))
            self.assertEqual(b"2w", await after.ask(b"w", 2))
            await after.leave()

        return Deferred.fromCoroutine(go())

    def test_queued(self) -> Deferred[None]:
        """Who has connected and was not accepted yet is served by the new one."""

        async def go() -> None:
            with socket.create_connection(self.address, 5) as client:
                self.swap()
                client.sendall(b"x")
                client.setblocking(False)
                await self.until(lambda: self.note.got)
                await self.turn(0.01)
                self.assertEqual(b"2x", client.recv(10))
            await self.until(lambda: not self.running.connections())

        return Deferred.fromCoroutine(go())

    def test_fixed(self) -> Deferred[None]:
        """So it is with a port that is named, in whatever spelling, by a listener of another name."""

        async def go() -> None:
            port = free_port()
            self.swap(self.listen("a", "2", f"127.0.0.1:{port}"))
            address = self.running.addresses()["a"]
            self.assertEqual(("127.0.0.1", port), address)
            self.swap(self.listen("b", "3", f"tcp:{port}:interface=127.0.0.1"))
            self.assertEqual({"b": address}, self.running.addresses())
            self.assertEqual(b"3x", await self.ask(address))

        return Deferred.fromCoroutine(go())

    def test_added_removed_moved(self) -> Deferred[None]:
        """New listeners open, those that are gone close, those that move do both; connections of closed ones go on."""

        async def go() -> None:
            client = await self.connect(self.address)
            await client.ask(b"x", 2)
            one, other = free_port(), free_port()
            self.swap(self.listen("a", "2", f"127.0.0.1:{one}"), self.listen("b", "3", f"127.0.0.1:{other}"))
            self.assertEqual(b"2x", await self.ask(("127.0.0.1", one)))
            self.assertEqual(b"3x", await self.ask(("127.0.0.1", other)))
            self.assertRaises(ConnectionRefusedError, socket.create_connection, self.address)
            self.assertEqual(b"1y", await client.ask(b"y", 2))
            self.swap(self.listen("b", "4", f"127.0.0.1:{one}"))
            self.assertEqual(b"4x", await self.ask(("127.0.0.1", one)))
            self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", other))
            self.assertEqual(b"1z", await client.ask(b"z", 2))
            await client.leave()

        return Deferred.fromCoroutine(go())

    def test_closed_last(self) -> Deferred[None]:
        """Who waits in the queue of a listener that is closed is served, by the old one."""

        async def go() -> None:
            with socket.create_connection(self.address, 5) as client:
                self.swap(self.listen("b", "2"))
                client.sendall(b"x")
                client.setblocking(False)
                await self.until(lambda: self.note.got)
                await self.turn(0.01)
                self.assertEqual(b"1x", client.recv(10))
            await self.until(lambda: not self.running.connections())

        return Deferred.fromCoroutine(go())

    def test_exposed(self) -> Deferred[None]:
        """A further port of a protocol's goes with its assembly, and the next may have it at once."""

        async def go() -> None:
            port = free_port()

            def expose() -> None:
                factory = self.note.factories[-1]
                factory.runtime.expose(port, "note", factory.session)

            self.note.on["start"] = expose
            self.swap(self.listen("a", "2"))
            self.assertEqual(b"2x", await self.ask(("127.0.0.1", port)))
            self.swap(self.listen("a", "3"))
            self.assertEqual(b"3x", await self.ask(("127.0.0.1", port)))
            self.note.on.clear()
            self.swap(self.listen("a", "4"))
            self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", port))

        return Deferred.fromCoroutine(go())


class RefusedTests(SwapCase):
    """What cannot be changes nothing."""

    def shown(self) -> tuple[Any, ...]:
        proxy = self.running
        text = b"".join(proxy.metrics.text()).decode()
        names = {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}
        return proxy.config, proxy.addresses(), proxy.ready(), names, len(os.listdir("/proc/self/fd"))

    async def refused(self, config: Config) -> str:
        client = await self.connect(self.address)
        await client.ask(b"x", 2)
        before = self.shown()
        error = self.assertRaises(CannotStart, self.swap_in, self.running, config)
        self.assertEqual(before, self.shown())
        self.assertEqual(b"1y", await client.ask(b"y", 2))
        await client.leave()
        self.assertEqual(b"1z", await self.ask(self.address, b"z"))
        self.assertEqual(0, self.note.calls.count("drain"))
        return str(error)

    def test_each(self) -> Deferred[None]:
        """A protocol that there is not, an address that is taken, a log that cannot be written."""

        async def go() -> None:
            holder = socket.create_server(("127.0.0.1", 0))
            taken, free = holder.getsockname()[1], free_port()
            fresh = self.listen("b", address=f"127.0.0.1:{free}")
            for config, said in (
                (self.config(fresh, Listen(name="c", address=ANY, protocol="x")), "c: there is no protocol x"),
                (
                    self.config(fresh, self.listen("c", address=f"127.0.0.1:{taken}")),
                    f"c: cannot listen on 127.0.0.1:{taken}: Address already in use",
                ),
                (
                    self.config(fresh, replace(fresh, name="c")),
                    f"c: cannot listen on 127.0.0.1:{free}: another listener does",
                ),
                (
                    self.config(fresh, access_log=AccessLog(path="/no/such/folder/log")),
                    "access_log.path: cannot write to /no/such/folder/log: No such file or directory",
                ),
            ):
                self.assertEqual(said, await self.refused(config))
                socket.create_server(("127.0.0.1", free)).close()
            holder.close()

        return Deferred.fromCoroutine(go())

    def test_plugin(self) -> Deferred[None]:
        """A plugin that raises, in its factory or its start; those of its listeners that had started are stopped."""

        async def go() -> None:
            for when, words in (("factory", "be set up"), ("start", "start")):
                for error in (RuntimeError("no"), SystemExit("no")):
                    self.note.on[when] = self.at_second(when, error)
                    config = self.config(self.listen("a", "2"), self.listen("b", "3"))
                    said = await self.refused(config)
                    self.assertEqual(f"b: protocol note cannot {words}: {type(error).__name__}: no", said)
                    self.note.on.clear()
            self.assertEqual(2, self.note.calls.count("stop"))

        return Deferred.fromCoroutine(go())

    def at_second(self, when: str, error: BaseException) -> Any:
        """Raise C{error} where listener b is asked."""

        def step() -> None:
            if self.note.asked[-1][1] == "b":
                raise error

        return step

    def test_exposed(self) -> Deferred[None]:
        """Nor where the new one has asked for the old one's port, and gives it back: it stays the old one's."""

        async def go() -> None:
            port = free_port()
            factory = self.note.factories[0]
            factory.runtime.expose(port, "note", factory.session)

            def expose() -> None:
                factory = self.note.factories[-1]
                factory.runtime.expose(port, "note", factory.session)
                factory.runtime.expose(other, "note", factory.session)
                factory.runtime.conceal(port)
                raise ValueError("after all")

            other = free_port()
            self.note.on["start"] = expose
            said = await self.refused(self.config(self.listen("a", "2")))
            self.assertEqual("a: protocol note cannot start: ValueError: after all", said)
            self.assertEqual(b"1x", await self.ask(("127.0.0.1", port)))
            self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", other))

        return Deferred.fromCoroutine(go())

    def test_not_running(self) -> Deferred[None]:
        """Neither before it has started nor once it ends."""

        async def go() -> None:
            proxy = self.proxy(self.config())
            self.assertRaises(CannotStart, self.swap_in, proxy, self.config())
            proxy.privilegedStartService()
            self.assertRaises(CannotStart, self.swap_in, proxy, self.config())
            await proxy.stopService()
            stopped = self.running.stopService()
            error = self.assertRaises(CannotStart, self.swap_in, self.running, self.config())
            self.assertEqual("lproxy is not running", str(error))
            await stopped
            await self.turn()

        return Deferred.fromCoroutine(go())


class DrainTests(SwapCase):
    """The old one goes."""

    def drain(self, seconds: float, reload: float | None) -> dict[str, Any]:
        timeouts = Timeouts(drain=seconds, reload_drain=reload)
        return {"outbound": timeouts, "inbound": timeouts}

    def test_grace(self) -> Deferred[None]:
        """Its sessions are cut off after the time that its own configuration gave them, where it did."""

        async def go() -> None:
            self.swap(self.listen("a", "2"), **self.drain(1000, 0.05))
            client = await self.connect(self.address)
            self.assertEqual(b"2x", await client.ask(b"x", 2))
            self.swap(self.listen("a", "3"), **self.drain(1000, 1000))
            await client.gone
            await self.until(lambda: not self.retiring())

        return Deferred.fromCoroutine(go())

    def test_as_long_as_it_lasts(self) -> Deferred[None]:
        """
        Otherwise they go on, however short a shutdown's patience is; which is theirs, too, when the proxy ends.
        """

        async def go() -> None:
            self.swap(self.listen("a", "2"), **self.drain(0.05, None))
            client = await self.connect(self.address)
            self.assertEqual(b"2x", await client.ask(b"x", 2))
            self.swap(self.listen("a", "3"))
            await self.turn(0.1)
            self.assertEqual(b"2y", await client.ask(b"y", 2))
            stopped = self.running.stopService()
            self.assertFalse(client.gone.called)
            await client.gone
            await stopped
            await self.turn()

        return Deferred.fromCoroutine(go())

    def test_stop(self) -> Deferred[None]:
        """Stopped meanwhile, all of them are waited for; told to hurry, all do."""

        async def go() -> None:
            clients: list[Client] = []
            for tag in "2", "3":
                clients.append(await self.connect(self.address))
                await clients[-1].ask(b"x", 2)
                self.swap(self.listen("a", tag))
            clients.append(await self.connect(self.address))
            await clients[-1].ask(b"x", 2)
            stopped = self.running.stopService()
            await clients.pop(1).leave()
            await self.turn()
            self.assertFalse(stopped.called)
            self.assertEqual(b"1y", await clients[0].ask(b"y", 2))
            self.assertEqual(b"3y", await clients[1].ask(b"y", 2))
            self.running.end()
            await gatherResults([client.gone for client in clients])
            await stopped
            await self.turn()
            self.assertEqual(3, self.note.calls.count("stop"))

        return Deferred.fromCoroutine(go())

    def test_access_log(self) -> Deferred[None]:
        """Each writes its own access log, to its end."""

        async def go() -> None:
            first, second = self.mktemp(), self.mktemp()
            listen = Listen(name="t", address=ANY, target="service:own", protocol="tcp")
            services = {"own": Service("own", (f"127.0.0.1:{self.echo()}",))}
            more: dict[str, Any] = {"services": services}
            self.swap(self.listen("a", "2"), listen, access_log=AccessLog(path=first), **more)
            client = await self.connect(self.running.addresses()["t"])
            await client.ask(b"x", 1)
            self.swap(self.listen("a", "3"), listen, access_log=AccessLog(path=second), **more)
            other = await self.connect(self.running.addresses()["t"])
            await other.ask(b"x", 1)
            for one in (client, other):
                await one.leave()
            await self.until(lambda: not self.running.connections())
            await self.stop(self.running)
            for path in (first, second):
                with open(path) as file:
                    self.assertEqual(1, len(file.readlines()))

        return Deferred.fromCoroutine(go())

    def echo(self) -> int:
        """The port of an upstream that says what it hears, on another listener of this proxy's sort."""
        proxy = self.start(self.config(self.listen("e")))
        self.addCleanup(proxy.stopService)
        port: int = proxy.addresses()["e"][1]
        return port

    def test_tcp(self) -> Deferred[None]:
        """A byte stream goes on with the endpoint that it has, although its service has others now."""

        async def go() -> None:
            listen = Listen(name="t", address=ANY, target="service:own", protocol="tcp")
            upstreams = [self.echo(), self.echo()]
            for port in upstreams:
                self.swap(listen, services={"own": Service("own", (f"127.0.0.1:{port}",))})
                if port == upstreams[0]:
                    client = await self.connect(self.running.addresses()["t"])
                    self.assertEqual(b"x", await client.ask(b"x", 1))
            other = await self.connect(self.running.addresses()["t"])
            self.assertEqual(b"yz", await other.ask(b"y", 1) + await client.ask(b"z", 1))
            rows = {row["upstream"] for row in self.running.connections()}
            self.assertEqual({f"127.0.0.1:{port}" for port in upstreams}, rows)
            (row,) = list(self.running.services())
            self.assertEqual([f"127.0.0.1:{upstreams[1]}"], [one["address"] for one in row["endpoints"]])
            for one in (client, other):
                await one.leave()

        return Deferred.fromCoroutine(go())


class LimitTests(SwapCase):
    """limits.connections is the process's, and follows."""

    def test_connections(self) -> Deferred[None]:
        """Those of the old one count; more or fewer are let in at once."""

        async def go() -> None:
            client = await self.connect(self.address)
            await client.ask(b"x", 2)
            self.swap(self.listen("a", "2"), limits=Limits(connections=1))
            await self.knock(self.address)
            self.assertIn(
                'accept_refused_total{listener="a",reason="limit"} 1', b"".join(self.running.metrics.text()).decode()
            )
            self.swap(self.listen("a", "3"), limits=Limits(connections=2))
            self.assertEqual(b"3x", await self.ask(self.address))
            await client.leave()

        return Deferred.fromCoroutine(go())


class ManyTests(SwapCase):
    """However often, nothing is left, and nobody notices."""

    timeout = 60

    def count(self) -> tuple[Any, ...]:
        """Descriptors, readers, timers, samples."""
        text = b"".join(self.running.metrics.text()).decode()
        samples = [line for line in text.splitlines() if not line.startswith("#")]
        names = [line.rpartition(" ")[0] for line in samples]
        self.assertEqual(len(set(names)), len(names), "a sample is shown twice")
        timers = [call for call in reactor.getDelayedCalls() if "TestCase" not in str(call)]
        return len(os.listdir("/proc/self/fd")), len(reactor.getReaders()), len(timers), len(samples)

    def test_hundred(self) -> Deferred[None]:
        """A hundred, each with a connection that ends: descriptors, readers, timers, samples are as many as before."""

        async def go() -> None:
            self.assertEqual(b"1x", await self.ask(self.address))
            await self.until(lambda: not self.running.connections())
            before = self.count()
            for n in range(100):
                client = await self.connect(self.address)
                self.swap(self.listen("a", str(n % 10)))
                await client.leave()
            await self.until(lambda: not self.running.connections())
            await self.until(lambda: not self.retiring())
            self.assertEqual(before, self.count())
            self.assertEqual(100, self.note.calls.count("stop"))

        return Deferred.fromCoroutine(go())

    def test_garbage(self) -> Deferred[None]:
        """What was put out of place is freed."""

        async def go() -> None:
            self.swap()
            await self.turn()
            # each holds what it was made with, up to its listener
            old, new = (ref(factory) for factory in self.note.factories)
            self.note.factories.clear()
            gc.collect()
            self.assertEqual((None, True), (old(), new() is not None))

        return Deferred.fromCoroutine(go())

    def test_under_load(self) -> Deferred[None]:
        """Clients that connect, ask and leave, without a pause, are all answered: none is refused or cut off."""

        async def go() -> None:
            answers: list[bytes] = []
            stop: list[bool] = []

            async def client() -> None:
                while not stop:
                    answers.append(await self.ask(self.address))

            async def keeper() -> None:
                kept = await self.connect(self.address)
                while not stop:
                    answers.append(await kept.ask(b"x", 2))
                    await self.turn()
                await kept.leave()

            clients = [Deferred.fromCoroutine(client()) for _ in range(4)]
            clients += [Deferred.fromCoroutine(keeper()) for _ in range(2)]
            for n in range(30):
                seen = len(answers)
                self.swap(self.listen("a", str(n % 10)), self.listen("b" if n % 2 else "c"))
                await self.until(lambda seen=seen: len(answers) > seen + 10)
            stop.append(True)
            await gatherResults(clients, consumeErrors=True)
            self.assertGreater(len(answers), 300)
            for answer in answers:
                self.assertRegex(answer, rb"\A[0-9]x\Z")
            self.assertEqual(len(answers), len(self.note.got))
            await self.until(lambda: not self.running.connections())

        return Deferred.fromCoroutine(go())


class AdminTests(SwapCase):
    """The admin server goes by the configuration of the moment."""

    def test_allowed(self) -> Deferred[None]:
        """What it allows follows, at the same address; its address takes a restart."""

        async def go() -> None:
            address = self.running.admin_address()
            assert address is not None
            request = b"POST /log-level?level=loud HTTP/1.0\r\nHost: localhost\r\n\r\n"
            for allowed, status in ((False, b"403"), (True, b"400"), (False, b"403")):
                self.swap(self.listen("a", "2"), admin=Admin(address="127.0.0.1:9", log_level=allowed))
                client = await self.connect(address)
                self.assertEqual(status, (await client.ask(request, 12))[9:12])
                await client.leave()
            self.assertEqual(address, self.running.admin_address())

        return Deferred.fromCoroutine(go())


class GarbageTests(RunningCase):
    """What is replaced is freed with its last session, however much it is."""

    TEXT = """
[admin]
address = ""
[limits]
in_flight = {n}
[identity]
trust = "{folder}/trust.pem"
certificate = "{folder}/own.pem"
key = "{folder}/own.key"
[access_log]
path = "{folder}/log"
[profiles]
files = ["{folder}/*.yaml"]
[[listen]]
name = "edge"
address = "127.0.0.1:0"
certificates = ["{folder}/own.pem"]
detect = ["http", "kafka"]
[[listen]]
name = "in"
direction = "inbound"
address = "127.0.0.1:0"
target = "service:web:80"
protocol = "http"
require_identity = true
[[listen]]
name = "kafka"
address = "127.0.0.1:0"
protocol = "kafka"
target = "service:kafka"
[listen.kafka]
mode = "gateway"
base_port = {port}
[listen.kafka.brokers]
1 = "127.0.0.1:9"
[services.kafka]
endpoints = ["127.0.0.1:9"]
[services."web:80"]
endpoints = ["127.0.0.{n}:9"]
tls = true
ca = "{folder}/trust.pem"
[services."web:80".health]
path = "/"
"""

    def test_all(self) -> Deferred[None]:
        """Nothing of a configuration with a bit of everything waits for the garbage collector."""
        folder = Path(self.mktemp())
        authority().issue("web.mesh").write(folder, "own")
        (folder / "web.yaml").write_text(SP + "  routes: [{name: a, condition: {method: GET}}]\n")
        found, port = find(), free_port()

        def config(n: int) -> Config:
            loaded = load(self.TEXT.format(folder=folder, n=n, port=port), "x", configures(found))
            assert loaded.config is not None, loaded.problems
            return loaded.config

        async def go() -> None:
            proxy = Proxy(config(1), found, self.reactor)
            proxy.privilegedStartService()
            proxy.startService()
            with only_new(), uncounted() as left:
                for n in (2, 3):
                    self.swap_in(proxy, config(n))
                    await self.until(lambda: len(proxy._assemblies()) == 1)
                    await self.turn()
            self.assertEqual([], left)
            await self.stop(proxy)

        return Deferred.fromCoroutine(go())
