# -*- test-case-name: tests.app.test_service -*-
"""
Tests for L{lproxy.app.service}: what is assembled from a configuration, opened, and let go of.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet import reactor as real
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from lproxy.app import service as module
from lproxy.app.plugins import Found, find
from lproxy.app.service import CannotStart, Proxy
from lproxy.config import AccessLog, Admin, Config, Listen, Service, Timeouts
from lproxy.interfaces import IProtocolPlugin, NoMatch, Verdict

reactor: Any = real
ANY = "127.0.0.1:0"


@implementer(IProtocolPlugin)
class Plugin:
    """A third party's: C{factory} makes what the test says."""

    name = "third"
    version = "1"

    def __init__(self, factory: Callable[[Any, Any], Any]) -> None:
        self.factory = factory
        self.detector: Any = self.detect

    def detect(self, prefix: bytes) -> Verdict:
        return NoMatch()

    def configure(self, table: dict[str, Any]) -> None:
        return None


def found(plugin: Any) -> list[Found]:
    """The built-in protocols, and one more."""
    return [*find(), Found("third.py", plugin.name, plugin.version, plugin)]


def config(*listeners: Listen, **more: Any) -> Config:
    """Listeners on ports that the kernel chooses, an admin server too."""
    listeners = listeners or (Listen(name="out", address=ANY), Listen(name="in", address=ANY, direction="inbound"))
    return Config(**{"admin": Admin(address=ANY), "listen": listeners, **more})


class AssemblyTests(SynchronousTestCase):
    """What is made, before anything is opened."""

    def proxy(self, config: Config, plugins: list[Found] | None = None) -> Proxy:
        return Proxy(config, find() if plugins is None else plugins, Reactor())

    def test_shared(self) -> None:
        """Listeners of one direction share their stacks and connectors, protocol by protocol; directions share none."""
        listeners = [
            Listen(name="a", address=ANY),
            Listen(name="b", address=ANY, target="10.0.0.1:80"),
            Listen(name="c", address=ANY, direction="inbound"),
        ]
        proxy = self.proxy(config(*listeners))
        a, b, c = (proxy._edge(listen).factories for listen in listeners)
        for name in ("http", "kafka", "tcp"):
            stacks = [edge[name].acquire for edge in (a, b, c)]  # type: ignore[attr-defined]
            self.assertIs(stacks[0], stacks[1])
            self.assertIsNot(stacks[0], stacks[2])
        connectors = [edge["http"].runtime.connector for edge in (a, b, c)]  # type: ignore[attr-defined]
        self.assertIs(connectors[0], connectors[1])
        self.assertIsNot(connectors[0], connectors[2])
        self.assertIsNot(a["http"].acquire, a["tcp"].acquire)  # type: ignore[attr-defined]
        self.assertEqual(6, len({id(edge[name].acquire) for edge in (a, c) for name in ("http", "kafka", "tcp")}))  # type: ignore[attr-defined]

    def test_tunnels(self) -> None:
        """CONNECT goes by the stack of plain TCP."""
        proxy = self.proxy(config())
        factories = proxy._edge(proxy.config.listen[0]).factories
        self.assertIs(factories["tcp"].acquire, factories["http"].tunnels)  # type: ignore[attr-defined]

    def test_clocks(self) -> None:
        """Each direction has its own."""
        proxy = self.proxy(config())
        out, into = (proxy._edge(listen).factories["http"].runtime.timeouts for listen in proxy.config.listen)  # type: ignore[attr-defined]
        self.assertEqual((proxy.config.outbound, proxy.config.inbound), (out, into))

    def test_detection(self) -> None:
        """A detecting listener has its protocols in their order and TCP last; a configured one has its own alone."""
        proxy = self.proxy(config(), found(Plugin(lambda runtime, config: Factory())))
        detecting = proxy._edge(Listen(name="a", address=ANY, detect=("third", "http")))
        self.assertEqual(["third", "http", "tcp"], list(detecting.factories))
        configured = proxy._edge(Listen(name="b", address=ANY, protocol="http"))
        self.assertEqual(["http"], list(configured.factories))

    def test_settings(self) -> None:
        """A plugin's factory is given what its configure made of the listener's table."""
        given: list[Any] = []

        def factory(runtime: Any, config: Any) -> Factory:
            given.append((runtime.listen.name, config))
            return Factory()

        proxy = self.proxy(config(), found(Plugin(factory)))
        proxy._edge(Listen(name="a", address=ANY, protocol="third", plugins={"third": "mine", "http": "other"}))
        self.assertEqual([("a", "mine")], given)

    def refusal(self, plugin: Any, listen: Listen) -> str:
        proxy = self.proxy(config(listen), found(plugin))
        return str(self.assertRaises(CannotStart, proxy.privilegedStartService))

    def test_broken_factory(self) -> None:
        """A factory that raises, even SystemExit, is an error that names listener, protocol and cause."""
        listen = Listen(name="a", address=ANY, protocol="third")
        for error in (OSError("no disk"), SystemExit("bye")):

            def factory(runtime: Any, config: Any, error: BaseException = error) -> Any:
                raise error

            self.assertEqual(
                f"a: protocol third cannot be set up: {type(error).__name__}: {error}",
                self.refusal(Plugin(factory), listen),
            )

    def test_no_detector(self) -> None:
        """A protocol without a detector can only be configured; where it should be detected, the way out is told."""
        plugin = Plugin(lambda runtime, config: Factory())
        plugin.detector = None
        said = self.refusal(plugin, Listen(name="a", address=ANY, detect=("third",)))
        self.assertEqual("a: protocol third cannot be detected; set protocol = 'third'", said)
        self.proxy(config(), found(plugin))._edge(Listen(name="b", address=ANY, protocol="third"))

    def test_missing(self) -> None:
        """A protocol that there is not is named, with what is broken."""
        broken = Found("/x/mqtt.py", "mqtt", error="ImportError: no module y")
        proxy = self.proxy(config(Listen(name="a", address=ANY, protocol="mqtt")), [*find(), broken])
        said = str(self.assertRaises(CannotStart, proxy.privilegedStartService))
        self.assertEqual("a: there is no protocol mqtt; broken plugins: /x/mqtt.py: ImportError: no module y", said)

    def test_crash(self) -> None:
        """An exception of a protocol's is logged once with its name, counted, and shown in /plugins."""
        proxy = self.proxy(config())
        proxy._crashed("http", Failure(ZeroDivisionError("by nought")))
        (failure,) = self.flushLoggedErrors(ZeroDivisionError)
        text = b"".join(proxy.metrics.text()).decode()
        self.assertIn('plugin_errors_total{plugin="http"} 1', text)
        rows = {row["name"]: row for row in proxy.plugins()}
        self.assertEqual("by nought", rows["http"]["last_error"])
        self.assertNotIn("last_error", rows["tcp"])

    def test_end(self) -> None:
        """The first demand drains, by way of the reactor, however often /shutdown repeats it; a second one hurries."""
        proxy = self.proxy(config())
        clock = proxy._reactor
        proxy.shutdown()
        proxy.shutdown()
        self.assertEqual(0, clock.stopped, "not before whoever asked has his answer")
        clock.advance(0)
        self.assertEqual((1, False), (clock.stopped, proxy._hurried))
        proxy.end()
        clock.advance(0)
        self.assertEqual((1, True), (clock.stopped, proxy._hurried))

    def test_stopped_by_others(self) -> None:
        """Whoever else has stopped the reactor meanwhile: that is no error."""
        proxy = self.proxy(config())
        proxy._reactor.stopped = 1
        proxy.end()
        proxy._reactor.advance(0)

    def test_drain_longest(self) -> None:
        """What is left may take as long as the most patient direction in use allows, and is then cut off."""
        for drains, want in (((1.0, 3.0), 3.0), ((2.0, 0.5), 2.0)):
            outbound, inbound = (Timeouts(drain=seconds) for seconds in drains)
            proxy = self.proxy(config(outbound=outbound, inbound=inbound))
            session = Session()
            proxy._sessions.add(session)
            ended = proxy.stopService()
            self.assertEqual("draining", proxy.ready())
            proxy._reactor.pump([0.02] * int(want / 0.02 - 5))
            self.assertEqual(["drain"], session.told)
            proxy._reactor.pump([0.02] * 10)
            self.assertEqual(["drain", "abort"], session.told)
            self.assertNoResult(ended)
            proxy._sessions.remove(session)
            proxy._reactor.pump([0.02] * 2)
            self.successResultOf(ended)
            self.assertEqual([], proxy._reactor.getDelayedCalls())

    def test_deaf(self) -> None:
        """A session that does not hear of the end, or raises, does not keep the process."""

        class Deaf(Session):
            def abort(self) -> None:
                raise RuntimeError("never")

        proxy = self.proxy(config(outbound=Timeouts(drain=0.1), inbound=Timeouts(drain=0.1)))
        proxy._sessions.add(Deaf())
        ended = proxy.stopService()
        proxy._reactor.pump([0.02] * 100)
        self.successResultOf(ended)
        self.flushLoggedErrors(RuntimeError)

    def test_hurry(self) -> None:
        """Told twice, what is left is cut off at once."""
        proxy = self.proxy(config())
        session = Session()
        proxy._sessions.add(session)
        ended = proxy.stopService()
        proxy._reactor.pump([0.02] * 3)
        proxy.end()
        proxy._reactor.pump([0.02])
        self.assertEqual(["drain", "abort"], session.told)
        proxy._sessions.remove(session)
        proxy._reactor.pump([0.02])
        self.successResultOf(ended)


class Session:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def drain(self) -> None:
        self.told.append("drain")

    def abort(self) -> None:
        self.told.append("abort")

    def describe(self) -> dict[str, Any]:
        return {}


class Reactor(Clock):
    """A clock that can be stopped like a reactor, once."""

    stopped = 0

    def stop(self) -> None:
        if self.stopped:
            raise ReactorNotRunning
        self.stopped += 1


class OpenTests(TestCase):
    """Real sockets: what is opened is let go of."""

    def assert_clean(self) -> None:
        """Nothing of ours is left in the reactor, which has a timer of trial's and descriptors of its own."""
        self.assertEqual([], [call for call in reactor.getDelayedCalls() if "TestCase" not in str(call)])
        left = [*reactor.getReaders(), *reactor.getWriters()]
        self.assertEqual([], [one for one in left if "Waker" not in type(one).__name__])

    def start(self, config: Config, plugins: list[Found] | None = None) -> Proxy:
        """Start it."""
        proxy = Proxy(config, find() if plugins is None else plugins, reactor)
        proxy.privilegedStartService()
        proxy.startService()
        return proxy

    async def stop(self, proxy: Proxy) -> None:
        """Stop it, and give sockets that are closed by the reactor their turn."""
        await proxy.stopService()
        await deferLater(reactor, 0)

    def test_start_stop(self) -> Deferred[None]:
        """Started it is ready, stopped it leaves nothing behind: no timer, no reader, no port."""

        async def go() -> None:
            proxy = Proxy(config(), find(), reactor)
            self.assertEqual("starting", proxy.ready())
            proxy.privilegedStartService()
            self.assertEqual("starting", proxy.ready())
            proxy.startService()
            self.assertIsNone(proxy.ready())
            ports = [listener.address[1] for listener in proxy._listeners]
            self.assertEqual(2, len(set(ports)))
            await self.stop(proxy)
            self.assertEqual("draining", proxy.ready())
            self.assert_clean()
            for port in ports:
                socket.create_server(("127.0.0.1", port)).close()

        return Deferred.fromCoroutine(go())

    def test_used(self) -> Deferred[None]:
        """Neither after it was used: connections kept upstream, cached services, timers."""

        async def go() -> None:
            upstream = Factory.forProtocol(Answer)
            upstream.noisy = False
            port = reactor.listenTCP(0, upstream, interface="127.0.0.1")
            services = {"web.local:80": Service("web.local:80", (f"127.0.0.1:{port.getHost().port}",))}
            proxy = self.start(config(services=services))
            self.assertEqual(b"ok", (await deferToThread(ask, proxy._listeners[0].address))[-2:])
            (row,) = proxy.services()
            self.assertEqual(
                ("outbound", "http", "web.local:80"), tuple(row[k] for k in ("direction", "protocol", "target"))
            )
            await self.stop(proxy)
            await port.stopListening()
            self.assertEqual([], proxy.services())
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_never_started(self) -> Deferred[None]:
        """One that was bound but never started can be stopped, too."""

        async def go() -> None:
            proxy = Proxy(config(), find(), reactor)
            proxy.privilegedStartService()
            await self.stop(proxy)
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_taken(self) -> Deferred[None]:
        """An address in use: the error names the listener and why, and whatever was bound is let go of."""

        async def go() -> None:
            with socket.create_server(("127.0.0.1", 0)) as holder, socket.create_server(("127.0.0.1", 0)) as free:
                taken, other = holder.getsockname()[1], free.getsockname()[1]
            holder = socket.create_server(("127.0.0.1", taken))
            first = Listen(name="a", address=f"127.0.0.1:{other}")
            for listeners, admin in (
                ((first, Listen(name="b", address=f"127.0.0.1:{taken}")), ANY),
                ((first,), f"127.0.0.1:{taken}"),
                ((replace(first, address=f"tcp:{other}:interface=127.0.0.1"),), f"127.0.0.1:{taken}"),
            ):
                name = "admin" if admin != ANY else "b"
                proxy = Proxy(config(*listeners, admin=Admin(address=admin)), find(), reactor)
                error = self.assertRaises(CannotStart, proxy.privilegedStartService)
                self.assertEqual(f"{name}: cannot listen on 127.0.0.1:{taken}: Address already in use", str(error))
                await deferLater(reactor, 0)
                socket.create_server(("127.0.0.1", other)).close()
            holder.close()
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_taken_endpoint(self) -> None:
        """The same, in the same words, for an endpoint string; and words of its own for what is no such endpoint."""
        with socket.create_server(("127.0.0.1", 0)) as holder:
            address = f"tcp:{holder.getsockname()[1]}:interface=127.0.0.1"
            proxy = Proxy(config(Listen(name="a", address=address)), find(), reactor)
            error = self.assertRaises(CannotStart, proxy.privilegedStartService)
            self.assertEqual(f"a: cannot listen on {address}: Address already in use", str(error))
        wrapping = "haproxy:tcp:0:interface=127.0.0.1"
        proxy = Proxy(config(Listen(name="a", address=wrapping)), find(), reactor)
        error = self.assertRaises(CannotStart, proxy.privilegedStartService)
        self.assertRegex(str(error), rf"\Aa: cannot listen on {wrapping}: .*not an endpoint of a plain stream socket")

    def test_foreign(self) -> None:
        """An address that is not this machine's is named, with the kernel's reason."""
        proxy = Proxy(config(Listen(name="a", address="192.0.2.7:4140")), find(), reactor)
        error = self.assertRaises(CannotStart, proxy.privilegedStartService)
        self.assertEqual("a: cannot listen on 192.0.2.7:4140: Cannot assign requested address", str(error))

    def test_access_log(self) -> Deferred[None]:
        """An access log that cannot be opened, too, lets go of everything; it is opened only when accepting begins."""
        place = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, place)
        path = f"{place}/no/access.log"
        proxy = Proxy(config(access_log=AccessLog(path=path)), find(), reactor)
        proxy.privilegedStartService()
        error = self.assertRaises(CannotStart, proxy.startService)
        self.assertEqual(f"access_log.path: cannot write to {path}: No such file or directory", str(error))
        self.assertFalse(proxy.running)
        return deferLater(reactor, 0, self.assert_clean)

    def test_broken_start(self) -> Deferred[None]:
        """So does a plugin's factory that cannot start."""

        class Refuses(Factory):
            def doStart(self) -> None:
                raise RuntimeError("not today")

        listen = Listen(name="a", address=ANY, protocol="third")
        proxy = Proxy(config(listen), found(Plugin(lambda runtime, config: Refuses())), reactor)
        proxy.privilegedStartService()
        error = self.assertRaises(CannotStart, proxy.startService)
        self.assertEqual("a: protocol third cannot start: RuntimeError: not today", str(error))
        return deferLater(reactor, 0, self.assert_clean)

    def test_broken_stop(self) -> Deferred[None]:
        """A plugin's factory that raises while it ends is logged, and everything else is stopped."""

        class Stumbles(Factory):
            noisy = False

            def doStop(self) -> None:
                raise RuntimeError("while stopping")

            def drain(self) -> None:
                raise RuntimeError("while draining")

        async def go() -> None:
            listen = Listen(name="a", address=ANY, protocol="third")
            proxy = self.start(config(listen), found(Plugin(lambda runtime, config: Stumbles())))
            await self.stop(proxy)
            self.assertEqual(2, len(self.flushLoggedErrors(RuntimeError)))
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_twist(self) -> Deferred[None]:
        """Where nobody calls privilegedStartService, as twist does not, startService binds."""

        async def go() -> None:
            proxy = Proxy(config(), find(), reactor)
            proxy.startService()
            self.assertEqual(2, len(proxy._listeners))
            await self.stop(proxy)
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_no_admin(self) -> Deferred[None]:
        """Without an admin address there is no admin server."""

        async def go() -> None:
            proxy = self.start(config(admin=Admin(address="")))
            self.assertIsNone(proxy._admin)
            await self.stop(proxy)
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_own(self) -> Deferred[None]:
        """The connectors know every address that was opened, the admin server's included."""

        async def go() -> None:
            proxy = self.start(config())
            admin = proxy._admin.getHost().port
            for connector in proxy._connectors.values():
                for listener in proxy._listeners:
                    self.assertTrue(connector.is_own(*listener.address))
                self.assertTrue(connector.is_own("127.0.0.1", admin))
                self.assertFalse(connector.is_own("127.0.0.1", 1))
            await self.stop(proxy)

        return Deferred.fromCoroutine(go())

    def test_access(self) -> Deferred[None]:
        """A line is written for each request, and nothing breaks when one ends after the log was closed."""

        async def go() -> None:
            path = Path(self.mktemp())
            listen = Listen(name="a", address=ANY, target="127.0.0.1:1", protocol="http")
            proxy = self.start(replace(config(listen), access_log=AccessLog(path=str(path))))
            await deferToThread(ask, proxy._listeners[0].address)
            await self.stop(proxy)
            self.assertEqual(1, len(path.read_text().splitlines()))
            proxy._log_access({"too": "late"})
            proxy.reopen()

        return Deferred.fromCoroutine(go())


class Answer(Protocol):
    """Says ok to whatever it hears."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")  # type: ignore[union-attr]


def ask(address: tuple[str, int]) -> bytes:
    """What a request to web.local is answered with."""
    with socket.create_connection(address, 5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: web.local\r\n\r\n")
        return client.recv(65536)


class WhyTests(SynchronousTestCase):
    """What a failed bind says."""

    def test_no_answer(self) -> None:
        """An endpoint that takes its time is given up, and what it opens after all is not ours."""
        cancelled: list[Any] = []
        self.patch(module, "bind", lambda address, reactor: Deferred(cancelled.append))
        error = self.assertRaises(CannotStart, module._bound, "a", "strange:", None)
        self.assertEqual("a: cannot listen on strange:: it is not an endpoint of a plain stream socket", str(error))
        self.assertEqual(1, len(cancelled))
