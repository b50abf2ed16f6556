# -*- test-case-name: tests.integration.test_tcp -*-
"""
TCP through a whole proxy in this process: real listeners, real peers, nothing left behind.
"""

from __future__ import annotations

import gc
import os
import random
import shutil
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue
from twisted.logger import formatEvent
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from lproxy.app.log import log
from lproxy.app.plugins import find
from lproxy.app.service import Proxy
from lproxy.config import Admin, Config, Listen, Service, Timeouts
from lproxy.transport.pipe import PIPES
from tests.components import missing, require

reactor: Any = the_reactor

MIB = 1 << 20
#: of no protocol that is detected: known to be TCP at once, while b"\x00" may still become Kafka's
OPAQUE = b"\xff"
#: what a MySQL server says before anybody else: length, number, version 10, name, and then binary
MYSQL = bytes.fromhex("4a0000000a382e302e333600") + bytes(range(64))


@implementer(IHalfCloseableProtocol)
class Peer(Protocol):
    """
    The far end of a proxied connection.

    @ivar greeting: said at once
    @ivar echo: whether everything is said back
    """

    greeting = b""
    echo = False

    def __init__(self) -> None:
        self.heard = bytearray()
        self.eof = False
        self.lost: Any = None

    def connectionMade(self) -> None:
        if self.greeting:
            self.transport.write(self.greeting)

    def dataReceived(self, data: bytes) -> None:
        if self.echo:
            self.transport.write(data)
        else:
            self.heard += data

    def readConnectionLost(self) -> None:
        self.eof = True
        if self.echo:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = reason.type


class Upstream(Factory):
    """
    Remembers its connections.
    """

    noisy = False

    def __init__(self, **attributes: Any) -> None:
        self.attributes = attributes
        self.peers: list[Peer] = []

    def buildProtocol(self, addr: Any) -> Peer:
        peer = Peer()
        vars(peer).update(self.attributes)
        self.peers.append(peer)
        return peer


#: descriptors that are nobody's of this file, at most
OTHERS = 3


def descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))


class ProxyMixin(TestCase):
    """A proxy around one upstream, of which nothing is left afterwards."""

    timeout = 60

    async def setUp(self) -> None:
        gc.collect()
        self.lines: list[str] = []
        self.patch(log, "observer", lambda event: self.lines.append(formatEvent(event)))
        # relays in memory, in other tests, need not have ended: theirs is not to decide how long pipes are kept
        self.users, PIPES.users = PIPES.users, 0
        while PIPES.free:
            PIPES.free.pop().close()
        # whatever the process opens once
        await reactor.listenTCP(0, Factory(), interface="127.0.0.1").stopListening()
        self.before = descriptors()
        self.clients: list[Peer] = []
        self.raw: list[socket.socket] = []
        self.proxy: Proxy | None = None
        self.port: Any = None

    async def tearDown(self) -> None:
        for client in self.clients:
            if client.lost is None:
                client.transport.abortConnection()
        for sock in self.raw:
            sock.close()
        if self.proxy is not None:
            await self.until(lambda: not self.proxy.connections())  # type: ignore[union-attr]
            await self.until(lambda: not self.proxy.clients())  # type: ignore[union-attr]
            if self.proxy.running:
                self.assertEqual(0, self.in_flight(), "leases that have not ended")
                await self.proxy.stopService()
            self.proxy = None
        if self.port is not None:
            await self.port.stopListening()
            await self.until(lambda: all(peer.lost is not None for peer in self.upstream.peers))
        # a reset is sent, and its socket closed, in a later turn of the reactor; a leak stays a leak
        for _ in range(50):
            await deferLater(reactor, 0)
            gc.collect()
            if descriptors() <= self.before:
                break
        users, PIPES.users = PIPES.users, self.users
        self.assertEqual(0, users)
        # another test's process or thread may hold one for a moment; what leaks does so a thousand times below
        self.assertLessEqual(descriptors(), self.before + OTHERS)

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for C{condition}; trial's timeout is its bound."""
        while not condition():
            await deferLater(reactor, 0.001)

    def listen(self, **attributes: Any) -> str:
        """An upstream whose connections are like that."""
        self.upstream = Upstream(**attributes)
        self.port = reactor.listenTCP(0, self.upstream, backlog=1024, interface="127.0.0.1")
        return f"127.0.0.1:{self.port.getHost().port}"

    def start(self, target: str, settings: dict[str, Any] | None = None, **listen: Any) -> None:
        """A proxy with one listener."""
        times = Timeouts(**{"detect": 5.0, **(settings or {})})
        service = {target: Service(target, (target,))} if ":" in target else {}
        config = Config(
            admin=Admin(address=""),
            listen=(Listen(name="web", address="127.0.0.1:0", target=target, **listen),),
            services=service,
            outbound=times,
        )
        self.proxy = Proxy(config, find(), reactor)
        self.proxy.startService()

    @property
    def address(self) -> tuple[str, int]:
        assert self.proxy is not None
        return self.proxy.addresses()["web"]

    def in_flight(self) -> float:
        """Leases that are out or waited for."""
        assert self.proxy is not None
        text = b"".join(self.proxy.metrics.text()).decode()
        (line,) = (line for line in text.splitlines() if line.startswith("in_flight "))
        return float(line.removeprefix("in_flight "))

    def detected(self) -> dict[str, int]:
        """What detection has found, and how often."""
        assert self.proxy is not None
        return self.proxy.metrics.detect("web").results

    async def connect(self) -> Peer:
        """A client."""
        peer: Peer = await connectProtocol(TCP4ClientEndpoint(reactor, *self.address), Peer())
        self.clients.append(peer)
        return peer

    async def connected(self) -> tuple[Peer, Peer]:
        """A client that has spoken, and its upstream."""
        before = len(self.upstream.peers)
        client = await self.connect()
        client.transport.write(OPAQUE)
        await self.until(lambda: len(self.upstream.peers) > before and self.upstream.peers[-1].heard == OPAQUE)
        return client, self.upstream.peers[-1]


class RelayTests(ProxyMixin):
    """Bytes arrive, all of them, in order, both ways."""

    async def test_echo(self) -> None:
        """8 MiB of anything, there and back, in pieces of any size."""
        self.start(self.listen(echo=True))
        client = await self.connect()
        data = random.Random(3).randbytes(8 * MIB)
        dice = random.Random(4)
        sent = 0
        while sent < len(data):
            piece = data[sent : sent + dice.choice((1, 100, 5_000, 70_000, 1_000_000))]
            client.transport.write(piece)
            sent += len(piece)
            await deferLater(reactor, 0)
        await self.until(lambda: len(client.heard) >= len(data))
        self.assertTrue(client.heard == data)
        client.transport.loseWriteConnection()
        await self.until(lambda: client.eof)
        self.assertEqual({"tcp": 1}, self.detected())

    async def test_configured(self) -> None:
        """A listener that is TCP's relays what looks like anything else."""
        self.start(self.listen(echo=True), protocol="tcp")
        client = await self.connect()
        client.transport.write(b"GET / HTTP/1.1\r\n\r\n")
        await self.until(lambda: client.heard == b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual({}, self.detected())

    async def test_bytewise(self) -> None:
        """Detection loses nothing of what comes byte by byte, undecided for long."""
        self.start(self.listen(echo=True))
        client = await self.connect()
        client.transport.setTcpNoDelay(True)
        words = b"GET isn't HTTP at all, it seems"
        for byte in words:
            client.transport.write(bytes([byte]))
            await deferLater(reactor, 0.001)
        await self.until(lambda: client.heard == words)

    async def test_undecided(self) -> None:
        """What might still become a protocol is relayed once the time for that is over."""
        self.start(self.listen(echo=True), {"detect": 0.1})
        client = await self.connect()
        client.transport.write(b"\x00")
        await self.until(lambda: client.heard == b"\x00")
        self.assertEqual({"timeout": 1}, self.detected())

    async def test_half_close(self) -> None:
        """Who has said all may still listen, whichever side it is."""
        self.start(self.listen())
        for first in ("client", "upstream"):
            client, upstream = await self.connected()
            one, other = (client, upstream) if first == "client" else (upstream, client)
            one.transport.write(b"all I have to say")
            one.transport.loseWriteConnection()
            await self.until(lambda other=other: other.eof)  # type: ignore[misc]
            self.assertTrue(other.heard.endswith(b"all I have to say"))
            await deferLater(reactor, 0.02)
            other.transport.write(b"a long answer " * 10_000)
            other.transport.loseWriteConnection()
            await self.until(lambda one=one: one.eof)  # type: ignore[misc]
            self.assertTrue(one.heard.endswith(b"a long answer " * 10_000))
            client.transport.loseConnection()
            upstream.transport.loseConnection()

    async def test_reset(self) -> None:
        """A reset is passed on as one, whichever side it comes from."""
        self.start(self.listen())
        for first in ("client", "upstream"):
            client, upstream = await self.connected()
            one, other = (client, upstream) if first == "client" else (upstream, client)
            one.transport.abortConnection()
            await self.until(lambda other=other: other.lost)  # type: ignore[misc]
            self.assertIs(ConnectionLost, other.lost)

    async def test_eof_at_once(self) -> None:
        """A client that ends before its protocol is clear is relayed with its end."""
        self.start(self.listen(echo=True))
        client = await self.connect()
        client.transport.write(b"GE")
        client.transport.loseWriteConnection()
        await self.until(lambda: client.eof)
        self.assertEqual((b"GE", {"eof": 1}), (bytes(client.heard), self.detected()))


class ServerFirstTests(ProxyMixin):
    """A server that speaks first is not waited out."""

    async def greeted(self, greeting: bytes) -> Peer:
        """A silent client hears C{greeting} long before the deadline of detection."""
        self.start(self.listen(greeting=greeting))
        began = time.monotonic()
        client = await self.connect()
        await self.until(lambda: client.heard == greeting)
        # far from timeouts.detect; 50 ms and a connect, on a machine that has time
        self.assertLess(time.monotonic() - began, 2.5)
        self.assertEqual({"server_first": 1}, self.detected())
        self.assertEqual(1, len(self.upstream.peers), "the connection that was tried is the one that is used")
        return client

    async def test_mail(self) -> None:
        """A line, then the client's turn."""
        client = await self.greeted(b"220 mail.test ESMTP\r\n")
        client.transport.write(b"EHLO test\r\n")
        await self.until(lambda: self.upstream.peers[0].heard == b"EHLO test\r\n")

    async def test_mysql(self) -> None:
        """Binary, and the client's answer is never taken for something else."""
        client = await self.greeted(MYSQL)
        client.transport.write(b"GET / HTTP/1.1\r\n\r\n")
        await self.until(lambda: self.upstream.peers[0].heard == b"GET / HTTP/1.1\r\n\r\n")

    async def test_long_greeting(self) -> None:
        """However long, and whatever it had to wait for."""
        await self.greeted(random.Random(5).randbytes(3 * MIB))

    async def test_both_at_once(self) -> None:
        """SSH: both speak without waiting for the other."""
        self.start(self.listen(greeting=b"SSH-2.0-there\r\n"))
        client = await self.connect()
        client.transport.write(b"SSH-2.0-here\r\n")
        await self.until(lambda: client.heard == b"SSH-2.0-there\r\n")
        await self.until(lambda: self.upstream.peers[0].heard == b"SSH-2.0-here\r\n")
        self.assertEqual({"tcp": 1}, self.detected())

    async def test_http_after_silence(self) -> None:
        """A client that speaks HTTP late is served HTTP, and the connection that was tried is closed."""
        self.start(self.listen())
        client = await self.connect()
        await self.until(lambda: self.upstream.peers)
        client.transport.write(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
        await self.until(lambda: len(self.upstream.peers) == 2)
        tried, used = self.upstream.peers
        await self.until(lambda: used.heard.startswith(b"GET /late HTTP/1.1\r\n"))
        await self.until(lambda: tried.lost)
        self.assertEqual((b"", {"http": 1}), (bytes(tried.heard), self.detected()))

    async def test_ssh(self) -> None:
        """A real SSH server and a real client shake hands through the proxy."""
        require("sshd", "ssh-keygen", "ssh-keyscan")
        home = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, home)
        if os.geteuid() == 0:
            # as its distribution's service does. It stays: other runs may need it at this moment
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        key = home / "key"
        _, _, status = await getProcessOutputAndValue(
            shutil.which("ssh-keygen"), ["-q", "-t", "ed25519", "-N", "", "-f", str(key)]
        )
        self.assertEqual(0, status)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        sshd = SshServer()
        options = ["-D", "-e", "-f", "/dev/null", "-h", str(key), "-o", f"ListenAddress=127.0.0.1:{port}"]
        options += ["-o", "PidFile=none", "-o", "UsePAM=no"]
        command = shutil.which("sshd")
        reactor.spawnProcess(sshd, command, [command, *options], env=None)
        try:
            await self.until(lambda: b"listening" in sshd.said or sshd.over.called)
            if sshd.over.called:
                missing(f"sshd does not start: {sshd.said.decode().strip()}")
            self.start(f"127.0.0.1:{port}")
            arguments = ["-T", "20", "-t", "ed25519", "-p", str(self.address[1]), self.address[0]]
            out, err, status = await getProcessOutputAndValue(shutil.which("ssh-keyscan"), arguments)
            self.assertEqual(key.with_suffix(".pub").read_bytes().split()[1], out.split()[-1], err)
        finally:
            if not sshd.over.called:
                sshd.transport.signalProcess("TERM")
            await sshd.over


class SshServer(ProcessProtocol):
    """sshd, until it is told to end."""

    transport: Any

    def __init__(self) -> None:
        self.said = b""
        self.over: Deferred[None] = Deferred()

    def errReceived(self, data: bytes) -> None:
        self.said += data

    def processEnded(self, reason: Any) -> None:
        self.over.callback(None)


class RefusedTests(ProxyMixin):
    """A connection that leads nowhere is closed, and the log says why."""

    async def test_nowhere(self) -> None:
        """A listener for redirected connections is not a relay for others."""
        self.start("authority")
        client = await self.connect()
        client.transport.write(OPAQUE)
        await self.until(lambda: client.lost)
        (line,) = [line for line in self.lines if "was not redirected" in line]
        self.assertIn("listener web: a tcp connection from 127.0.0.1 was not redirected here", line)
        self.assertIn('Set target = "host:port" or "service:NAME", or redirect with iptables.', line)

    async def test_health_check(self) -> None:
        """A probe that only connects is answered as it should be, and fills no log."""
        self.start("authority")
        before = len(self.lines)
        client = await self.connect()
        client.transport.loseWriteConnection()
        await self.until(lambda: client.eof or client.lost)
        self.assertEqual([], self.lines[before:])

    async def test_upstream_refused(self) -> None:
        """An upstream where nobody listens."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            target = f"127.0.0.1:{probe.getsockname()[1]}"
        self.start(target)
        client = await self.connect()
        client.transport.write(OPAQUE)
        await self.until(lambda: client.lost)
        self.assertIs(ConnectionLost, client.lost)
        (line,) = [line for line in self.lines if "closed after" in line]
        self.assertIn(f"listener web: tcp connection to {target} closed after 0.0", line)
        self.assertIn(f"connect: {target} refused", line)


class ManyTests(ProxyMixin):
    """Nothing is left of any connection, however it ended."""

    async def test_thousand(self) -> None:
        """A thousand of them, of every kind, a hundred at a time."""
        self.start(self.listen(echo=True))
        assert self.proxy is not None
        before = descriptors()
        ends = ("close", "abort", "half", "silent", "early")

        async def one(n: int) -> None:
            client = await self.connect()
            end = ends[n % len(ends)]
            if end == "early":
                client.transport.abortConnection()
            elif end == "silent":
                client.transport.loseConnection()
            else:
                client.transport.write(OPAQUE * (n + 1))
                if end != "abort" or n % 2:
                    await self.until(lambda: len(client.heard) == n + 1)
                if end == "half":
                    client.transport.loseWriteConnection()
                    await self.until(lambda: client.eof)
                    client.transport.loseConnection()
                elif end == "close":
                    client.transport.loseConnection()
                else:
                    client.transport.abortConnection()
            await self.until(lambda: client.lost)

        for start in range(0, 1000, 100):
            outcomes = await DeferredList([Deferred.fromCoroutine(one(start + n)) for n in range(100)])
            for good, outcome in outcomes:
                self.assertTrue(good, outcome)
        proxy = self.proxy
        await self.until(lambda: not proxy.connections() and not proxy.clients())
        await self.until(lambda: all(peer.lost for peer in self.upstream.peers))
        self.assertEqual(0, self.in_flight())
        while PIPES.free:
            PIPES.free.pop().close()
        await self.until(lambda: descriptors() <= before)
        loads = [endpoint["in_flight"] for row in proxy.services() for endpoint in row["endpoints"]]
        self.assertEqual([0], loads)
        text = b"".join(proxy.metrics.text()).decode()
        counted = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith("tcp_open_connections{")]
        self.assertEqual({"0"}, set(counted))
        self.assertEqual(1000, sum(self.detected().values()))


class ShutdownTests(ProxyMixin):
    """A shutdown loses nobody who was let in, and waits no longer than it may."""

    async def test_abort(self) -> None:
        """Streams that go on are reset when the time for draining is over."""
        self.start(self.listen(), {"drain": 0.1})
        client, upstream = await self.connected()
        assert self.proxy is not None
        await self.proxy.stopService()
        await self.until(lambda: client.lost and upstream.lost)
        self.assertEqual([ConnectionLost, ConnectionLost], [client.lost, upstream.lost])
        self.assertTrue(any("1 connections are cut off" in line for line in self.lines), self.lines)

    async def test_finish(self) -> None:
        """Streams that end by themselves are waited for."""
        self.start(self.listen())
        client, upstream = await self.connected()
        assert self.proxy is not None
        stopped = self.proxy.stopService()
        await deferLater(reactor, 0.1)
        self.assertFalse(stopped.called)
        upstream.transport.write(b"last")
        upstream.transport.loseConnection()
        await self.until(lambda: client.eof)
        client.transport.loseConnection()
        await stopped
        self.assertEqual((b"last", ConnectionDone), (bytes(client.heard), client.lost))

    async def test_queue(self) -> None:
        """
        Clients that the kernel has connected, and the proxy has not accepted when it is told to stop, are served.
        """
        self.start(self.listen(echo=True))
        assert self.proxy is not None
        for n in range(50):
            sock = socket.create_connection(self.address)
            self.raw.append(sock)
            sock.sendall(OPAQUE + b"%d" % n)
            sock.shutdown(socket.SHUT_WR)
            sock.setblocking(False)
        await self.proxy.stopService()
        await deferLater(reactor, 0.05)
        self.assertEqual([OPAQUE + b"%d" % n for n in range(50)], [sock.recv(100) for sock in self.raw])

    async def test_silent(self) -> None:
        """One that has said nothing is given a moment; nobody waits for it to be idle for long enough."""
        self.start(self.listen())
        client = await self.connect()
        sock = socket.create_connection(self.address)
        self.raw.append(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
        assert self.proxy is not None
        began = time.monotonic()
        stopped = self.proxy.stopService()
        await self.until(lambda: client.eof or client.lost)
        await stopped
        self.assertLess(time.monotonic() - began, 4.0)
