# -*- test-case-name: tests.app.test_service -*-
"""
Tests for L{lproxy.app.service}: what is opened for a configuration, and let go of; L{tests.app.test_swap} has how one
takes the place of another.
"""

from __future__ import annotations

import os
import socket
import tempfile
from dataclasses import replace
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from lproxy.app.assembly import CannotStart
from lproxy.app.plugins import Found
from lproxy.app.service import Proxy
from lproxy.config import AccessLog, Admin, Limits, Listen, Service, Timeouts
from tests.app.running import ANY, RunningCase, reactor


class Answer(Protocol):
    """Says ok to whatever it hears."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"ok")  # type: ignore[union-attr]


class StartTests(RunningCase):
    """From bound to ready."""

    def test_start_stop(self) -> Deferred[None]:
        """Started it is ready, stopped it leaves nothing behind: no timer, no reader, no port."""

        async def go() -> None:
            proxy = self.proxy(self.config(self.listen("a"), self.listen("b")))
            self.assertEqual("starting", proxy.ready())
            proxy.privilegedStartService()
            self.assertEqual("starting", proxy.ready())
            proxy.startService()
            self.assertIsNone(proxy.ready())
            reasons = [None, "not yet"]
            self.note.factories[-1].runtime.not_ready(reasons.pop)
            self.assertEqual(["note: not yet", None], [proxy.ready() for _ in range(2)])
            reasons.append("never")
            ports = [port for _, port in proxy.addresses().values()]
            self.assertEqual((2, ["a", "b"]), (len(set(ports)), list(proxy.addresses())))
            await self.stop(proxy)
            self.assertEqual("draining", proxy.ready())
            self.assertEqual({}, proxy.addresses())
            self.assert_clean()
            for port in ports:
                socket.create_server(("127.0.0.1", port)).close()

        return Deferred.fromCoroutine(go())

    def test_used(self) -> Deferred[None]:
        """Neither after it was used: cached services, connections, timers."""

        async def go() -> None:
            upstream = Factory.forProtocol(Answer)
            upstream.noisy = False
            port = reactor.listenTCP(0, upstream, interface="127.0.0.1")
            services = {"web": Service("web", (f"127.0.0.1:{port.getHost().port}",))}
            listen = Listen(name="a", address=ANY, target="service:web", protocol="tcp")
            proxy = self.start(self.config(listen, services=services))
            client = await self.connect(proxy.addresses()["a"])
            self.assertEqual(b"ok", await client.ask(b"hello", 2))
            (row,) = list(proxy.services())
            self.assertEqual(("outbound", "tcp", "web"), tuple(row[k] for k in ("direction", "protocol", "target")))
            self.assertEqual(["relaying"], [row["state"] for row in proxy.connections()])
            await client.leave()
            await self.stop(proxy)
            await port.stopListening()
            self.assertEqual(([], []), (list(proxy.services()), proxy.connections()))
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_never_started(self) -> Deferred[None]:
        """One that was bound but never started can be stopped, too."""

        async def go() -> None:
            proxy = self.proxy(self.config())
            proxy.privilegedStartService()
            ports = [port for _, port in proxy.addresses().values()]
            await self.stop(proxy)
            self.assert_clean()
            for port in ports:
                socket.create_server(("127.0.0.1", port)).close()

        return Deferred.fromCoroutine(go())

    def test_taken(self) -> Deferred[None]:
        """An address in use: the error names the listener and why, and whatever was bound is let go of."""

        async def go() -> None:
            with socket.create_server(("127.0.0.1", 0)) as holder, socket.create_server(("127.0.0.1", 0)) as free:
                taken, other = holder.getsockname()[1], free.getsockname()[1]
            holder = socket.create_server(("127.0.0.1", taken))
            first = self.listen("a", address=f"127.0.0.1:{other}")
            for listeners, admin in (
                ((first, self.listen("b", address=f"127.0.0.1:{taken}")), ANY),
                ((first,), f"127.0.0.1:{taken}"),
                ((replace(first, address=f"tcp:{other}:interface=127.0.0.1"),), f"127.0.0.1:{taken}"),
            ):
                name = "admin" if admin != ANY else "b"
                proxy = self.proxy(self.config(*listeners, admin=Admin(address=admin)))
                error = self.assertRaises(CannotStart, proxy.privilegedStartService)
                self.assertEqual(f"{name}: cannot listen on 127.0.0.1:{taken}: Address already in use", str(error))
                await self.turn()
                socket.create_server(("127.0.0.1", other)).close()
            holder.close()
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_taken_endpoint(self) -> Deferred[None]:
        """The same, in the same words, for an endpoint string; and words of its own for what is no such endpoint."""
        with socket.create_server(("127.0.0.1", 0)) as holder:
            address = f"tcp:{holder.getsockname()[1]}:interface=127.0.0.1"
            proxy = self.proxy(self.config(self.listen(address=address)))
            error = self.assertRaises(CannotStart, proxy.privilegedStartService)
            self.assertEqual(f"a: cannot listen on {address}: Address already in use", str(error))
        wrapping = "haproxy:tcp:0:interface=127.0.0.1"
        proxy = self.proxy(self.config(self.listen(address=wrapping)))
        error = self.assertRaises(CannotStart, proxy.privilegedStartService)
        self.assertRegex(str(error), rf"\Aa: cannot listen on {wrapping}: .*not an endpoint of a plain stream socket")
        return Deferred.fromCoroutine(self.turn())

    def test_foreign(self) -> None:
        """An address that is not this machine's is named, with the kernel's reason."""
        proxy = self.proxy(self.config(self.listen(address="192.0.2.7:4140")))
        error = self.assertRaises(CannotStart, proxy.privilegedStartService)
        self.assertEqual("a: cannot listen on 192.0.2.7:4140: Cannot assign requested address", str(error))

    def test_broken_protocol(self) -> None:
        """A protocol that is broken or not there keeps it from starting, before anything is bound."""
        self.note.raises("factory", OSError("no disk"))
        proxy = self.proxy(self.config())
        error = self.assertRaises(CannotStart, proxy.privilegedStartService)
        self.assertEqual("a: protocol note cannot be set up: OSError: no disk", str(error))
        self.assertEqual({}, proxy.addresses())

    def test_access_log(self) -> Deferred[None]:
        """An access log that cannot be opened, too, lets go of everything; it is opened only when accepting begins."""

        async def go() -> None:
            place = tempfile.mkdtemp()
            self.addCleanup(os.rmdir, place)
            path = f"{place}/no/access.log"
            proxy = self.proxy(self.config(access_log=AccessLog(path=path)))
            proxy.privilegedStartService()
            error = self.assertRaises(CannotStart, proxy.startService)
            self.assertEqual(f"access_log.path: cannot write to {path}: No such file or directory", str(error))
            self.assertFalse(proxy.running)
            self.assertEqual(({}, None), (proxy.addresses(), proxy.admin_address()))
            await self.turn()
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_broken_start(self) -> Deferred[None]:
        """So does a plugin's factory that cannot start."""

        async def go() -> None:
            self.note.raises("start", RuntimeError("not today"))
            proxy = self.proxy(self.config())
            proxy.privilegedStartService()
            error = self.assertRaises(CannotStart, proxy.startService)
            self.assertEqual("a: protocol note cannot start: RuntimeError: not today", str(error))
            await self.turn()
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_broken_stop(self) -> Deferred[None]:
        """A plugin's factory that raises while it ends is logged, and everything else is stopped."""

        async def go() -> None:
            for when in ("stop", "drain"):
                self.note.raises(when, RuntimeError(f"in {when}"))
            proxy = self.start(self.config())
            await self.stop(proxy)
            self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)), "both from one line of the test")
            self.assertIn('plugin_errors_total{plugin="note"} 2', b"".join(proxy.metrics.text()).decode())
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_twist(self) -> Deferred[None]:
        """Where nobody calls privilegedStartService, as twist does not, startService binds."""

        async def go() -> None:
            proxy = self.proxy(self.config())
            proxy.startService()
            client = await self.connect(proxy.addresses()["a"])
            self.assertEqual(b"hello", await client.ask(b"hello", 5))
            await client.leave()
            await self.stop(proxy)
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_no_admin(self) -> Deferred[None]:
        """Without an admin address there is no admin server."""

        async def go() -> None:
            proxy = self.start(self.config(admin=Admin(address="")))
            self.assertIsNone(proxy.admin_address())
            await self.stop(proxy)
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_admin(self) -> Deferred[None]:
        """Where there is one, it answers while the proxy runs and drains, and not after that."""

        async def go() -> None:
            proxy = self.start(self.config())
            address = proxy.admin_address()
            assert address is not None
            client = await self.connect(proxy.addresses()["a"])
            await client.ask(b"x", 1)
            stopped = proxy.stopService()
            admin = await self.connect(address)
            answer = await admin.ask(b"GET /ready HTTP/1.0\r\n\r\n", 65536)
            self.assertIn(b" 503 ", answer.split(b"\r\n")[0])
            self.assertIn(b"draining", answer)
            await client.leave()
            await stopped
            await self.turn()
            self.assertIsNone(proxy.admin_address())
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_ready(self) -> Deferred[None]:
        """It is ready as long as its listeners are served: not when somebody has taken them from the reactor."""

        async def go() -> None:
            proxy = self.start(self.config())
            address = "{}:{}".format(*proxy.addresses()["a"])
            self.assertIsNone(proxy.ready())
            (ours,) = [one for one in reactor.getReaders() if one.logPrefix() == "lproxy"]
            reactor.removeReader(ours)
            self.assertEqual(f"nobody can connect to {address}: it is not served any more", proxy.ready())
            reactor.addReader(ours)
            self.assertIsNone(proxy.ready())
            await self.stop(proxy)

        return Deferred.fromCoroutine(go())

    def test_own(self) -> Deferred[None]:
        """A connection to any address that was opened, the admin server's included, would come back: it is refused."""

        async def go() -> None:
            listeners = [Listen(name="t", address=ANY, target="127.0.0.1:1", protocol="tcp"), self.listen("a")]
            proxy = self.start(self.config(*listeners))
            ours = [*proxy.addresses().values(), proxy.admin_address() or ("", 0)]
            services = {"own": Service("own", tuple(f"{host}:{port}" for host, port in ours))}
            looped = replace(listeners[0], target="service:own")
            self.swap_in(proxy, self.config(looped, listeners[1], services=services))
            await self.knock(proxy.addresses()["t"])
            await self.stop(proxy)
            text = b"".join(proxy.metrics.text()).decode()
            self.assertNotIn('peer="dst"', text, "nothing was connected to")
            self.assertRegex(text, r'acquire_total\{direction="outbound",outcome="failed"\} [1-9]')

        return Deferred.fromCoroutine(go())

    def test_access(self) -> Deferred[None]:
        """A line is written for each connection."""

        async def go() -> None:
            path = Path(self.mktemp())
            listen = Listen(name="a", address=ANY, target="127.0.0.1:1", protocol="tcp")
            proxy = self.start(self.config(listen, access_log=AccessLog(path=str(path))))
            await self.knock(proxy.addresses()["a"])
            path.rename(path.with_suffix(".1"))
            proxy.hung_up()
            await self.knock(proxy.addresses()["a"])
            await self.stop(proxy)
            for file in (path, path.with_suffix(".1")):
                self.assertEqual(1, len(file.read_text().splitlines()))
            proxy.hung_up()

        return Deferred.fromCoroutine(go())


class StopTests(RunningCase):
    """What is under way is let finish, for so long."""

    def patient(self, seconds: float) -> Proxy:
        """One that drains for so long."""
        timeouts = Timeouts(drain=seconds)
        return self.start(self.config(outbound=timeouts, inbound=timeouts))

    def told(self) -> list[list[str]]:
        """What each session was told."""
        return [session.told for factory in self.note.factories for session in factory.sessions]

    def test_finishes(self) -> Deferred[None]:
        """A connection in use goes on, no other is accepted, and it is over when that has ended."""

        async def go() -> None:
            proxy = self.patient(100)
            address = proxy.addresses()["a"]
            client = await self.connect(address)
            await client.ask(b"x", 1)
            stopped = proxy.stopService()
            self.assertEqual(("draining", [["drain"]]), (proxy.ready(), self.told()))
            self.assertEqual(b"still", await client.ask(b"still", 5))
            self.assertEqual(1, len(proxy.connections()))
            self.assertRaises(ConnectionRefusedError, socket.create_connection, address)
            self.assertFalse(stopped.called)
            await client.leave()
            await stopped
            await self.turn()
            self.assertEqual("stop", self.note.calls[-1])
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_cut_off(self) -> Deferred[None]:
        """Whoever takes longer is cut off."""

        async def go() -> None:
            proxy = self.patient(0.05)
            client = await self.connect(proxy.addresses()["a"])
            await client.ask(b"x", 1)
            await self.stop(proxy)
            self.assertEqual([["drain", "abort"]], self.told())
            await client.gone
            self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_delay(self) -> Deferred[None]:
        """With a stop_delay it is not ready for so long, and serves all the same; told again, it is over at once."""

        async def go() -> None:
            for seconds, hurried in ((0.05, False), (60.0, True)):
                timeouts = Timeouts(stop_delay=seconds, drain=1.0)
                proxy = self.start(self.config(outbound=timeouts))
                address = proxy.addresses()["a"]
                stopped = proxy.stopService()
                self.assertEqual(f"stopping, in {seconds:g} s", proxy.ready())
                client = await self.connect(address)
                self.assertEqual(b"hello", await client.ask(b"hello", 5))
                if hurried:
                    proxy.end()
                await client.leave()
                await stopped
                await self.turn()
                self.assertEqual("draining", proxy.ready())
                self.assertRaises(ConnectionRefusedError, socket.create_connection, address, 5)
                self.assert_clean()

        return Deferred.fromCoroutine(go())

    def test_hurry(self) -> Deferred[None]:
        """Told twice, what is left is cut off at once."""

        async def go() -> None:
            proxy = self.patient(1000)
            client = await self.connect(proxy.addresses()["a"])
            await client.ask(b"x", 1)
            stopped = proxy.stopService()
            await self.turn()
            self.assertEqual([["drain"]], self.told())
            proxy.end()
            self.assertEqual([["drain", "abort"]], self.told())
            await stopped
            await client.gone
            self.assertEqual(0, self.reactor.stopped, "it is being stopped already")

        return Deferred.fromCoroutine(go())

    def test_hurry_early(self) -> Deferred[None]:
        """Also where that is before its turn to be stopped has come."""

        async def go() -> None:
            proxy = self.patient(1000)
            client = await self.connect(proxy.addresses()["a"])
            await client.ask(b"x", 1)
            proxy.end()
            proxy.end()
            await self.turn()
            self.assertEqual((1, [[]]), (self.reactor.stopped, self.told()))
            await proxy.stopService()
            self.assertEqual([["drain", "abort"]], self.told())
            await client.gone

        return Deferred.fromCoroutine(go())


class EndTests(RunningCase):
    """Whoever wants it to end."""

    def test_end(self) -> Deferred[None]:
        """The first demand drains, by way of the reactor, however often /shutdown repeats it."""

        async def go() -> None:
            proxy = self.proxy(self.config())
            proxy.shutdown()
            proxy.shutdown()
            self.assertEqual(0, self.reactor.stopped, "not before whoever asked has his answer")
            await self.turn()
            self.assertEqual(1, self.reactor.stopped)
            proxy.shutdown()
            proxy.end()
            await self.turn()
            self.assertEqual(1, self.reactor.stopped)

        return Deferred.fromCoroutine(go())

    def test_stopped_by_others(self) -> Deferred[None]:
        """Whoever else has stopped the reactor meanwhile: that is no error."""

        async def go() -> None:
            proxy = self.proxy(self.config())
            self.reactor.stopped = 1
            proxy.end()
            await self.turn()
            self.assertEqual(1, self.reactor.stopped)

        return Deferred.fromCoroutine(go())


class ShownTests(RunningCase):
    """What the admin server shows."""

    def test_crash(self) -> Deferred[None]:
        """What a plugin got wrong is logged once, counted, and shown with it; what is broken, with why."""

        async def go() -> None:
            broken = Found("/x/mqtt.py", "mqtt", error="ImportError: no module y")
            proxy = Proxy(self.config(), self.found(broken), self.reactor)
            proxy.startService()
            client = await self.connect(proxy.addresses()["a"])
            await client.ask(b"a bug", 1)
            self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
            self.assertIn('plugin_errors_total{plugin="note"} 1', b"".join(proxy.metrics.text()).decode())
            rows = {row["name"]: row for row in proxy.plugins()}
            self.assertEqual("a bug", rows["note"]["last_error"])
            self.assertNotIn("last_error", rows["tcp"])
            self.assertEqual("ImportError: no module y", rows["mqtt"]["error"])
            await self.stop(proxy)

        return Deferred.fromCoroutine(go())

    def test_metrics(self) -> Deferred[None]:
        """Metrics that a plugin cannot show cost their own, and are shown as its mistake."""

        async def go() -> None:
            proxy = self.start(self.config())
            self.note.factories[0].heard = "many"  # type: ignore[assignment]
            text = b"".join(proxy.metrics.text()).decode()
            self.assertNotIn("\nnote_heard_total ", text)
            self.assertIn('plugin_errors_total{plugin="note"} 1', text)
            rows = {row["name"]: row for row in proxy.plugins()}
            self.assertIn("note_heard_total", rows["note"]["last_error"])
            await self.stop(proxy)

        return Deferred.fromCoroutine(go())

    def test_config(self) -> Deferred[None]:
        """The configuration in effect."""

        async def go() -> None:
            config = self.config(limits=Limits(connections=77))
            proxy = self.start(config)
            self.assertIs(config, proxy.config)
            self.assertEqual(77, proxy.describe_config()["limits"]["connections"])
            self.assertEqual({"off"}, {listen["tls"] for listen in proxy.glance()["listen"]}, "not said, but so")
            await self.stop(proxy)

        return Deferred.fromCoroutine(go())

    def test_log_level(self) -> None:
        """A level that there is not is refused."""
        self.assertRaises(ValueError, self.proxy(self.config()).set_log_level, "loud")
