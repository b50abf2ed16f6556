# -*- test-case-name: tests.integration.test_transport -*-
"""
L{lproxy.transport} and the kernel: sockets on the loopback, every reactor, real shortages.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lproxy.target import UNKNOWN, Endpoint
from lproxy.transport.connect import ConnectFailed, ConnectTimedOut, SocketConnector
from lproxy.transport.hub import hub
from lproxy.transport.listen import Bound, ConnectionLimit, Listener, bind
from lproxy.transport.socket import SocketStream
from lproxy.transport.stream import Conn, Stream
from tests.components import missing
from tests.floors_source import ROOT
from tests.transport.sockets import Recorder


def descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))


class LoopbackMixin(TestCase):
    """Leaves no descriptor behind."""

    timeout = 15

    async def setUp(self) -> None:
        gc.collect()
        await deferLater(reactor, 0)
        # Twisted's first port opens a descriptor for the whole process
        await reactor.listenTCP(0, Factory(), interface="127.0.0.1").stopListening()  # type: ignore[attr-defined]
        self.before = descriptors()
        self.hub: Any = hub(reactor)
        self.listeners: list[Listener] = []
        self.accepted: list[SocketStream] = []
        self.readers: list[Recorder] = []
        self.refused: list[str] = []
        self.limit = ConnectionLimit(1000)
        self.clients: list[socket.socket] = []

    async def tearDown(self) -> None:
        for listener in self.listeners:
            listener.stop()
        for stream in self.accepted:
            stream.abort()
        for client in self.clients:
            client.close()
        self.assertEqual((0, 0), (self.limit.open, len(self.hub)))
        await deferLater(reactor, 0)
        gc.collect()
        self.hub.close()
        # another test's process or thread may hold one for a moment; what leaks does so again and again
        self.assertLessEqual(descriptors(), self.before + 3)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for C{condition}; trial's timeout is its bound."""
        while not condition():
            await deferLater(reactor, 0.0005)

    async def listen(self, address: str = "127.0.0.1:0") -> Listener:
        def accept(stream: SocketStream) -> None:
            self.accepted.append(stream)
            self.readers.append(Recorder())
            stream.attach(self.readers[-1])
            stream.resume()

        bound = await bind(address, reactor)
        listener = Listener(bound, self.hub, self.limit, accept, self.refused.append)
        self.listeners.append(listener)
        listener.start()
        return listener

    def client(self, address: Any, family: int = socket.AF_INET) -> socket.socket:
        """Connects, as the loopback does, before it returns."""
        client = socket.socket(family, socket.SOCK_STREAM)
        self.clients.append(client)
        client.connect(address)
        client.setblocking(False)
        return client


class ListenTests(LoopbackMixin):
    """Every kind of address that can be listened on, and some that cannot."""

    async def hello(self, address: str, family: int = socket.AF_INET, at: Any = None) -> SocketStream:
        listener = await self.listen(address)
        client = self.client(listener.address if at is None else at, family)
        client.send(b"hello")
        await self.until(lambda: bool(self.readers) and self.readers[0].heard == b"hello")
        return self.accepted[0]

    async def test_address(self) -> None:
        """IP and port; messages are sent without delay."""
        stream = await self.hello("127.0.0.1:0")
        self.assertEqual("127.0.0.1", stream.conn.peer[0])
        self.assertEqual(self.listeners[0].address, stream.conn.local)
        self.assertTrue(stream._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        self.assertFalse(os.get_inheritable(stream.fileno()))

    async def test_ipv6(self) -> None:
        """The same in IPv6."""
        stream = await self.hello("[::1]:0", socket.AF_INET6)
        self.assertEqual("::1", stream.conn.peer[0])

    async def test_both(self) -> None:
        """The IPv6 wildcard takes IPv4 as well, and shows it as such."""
        listener = await self.listen("[::]:0")
        self.client(("127.0.0.1", listener.address[1]))
        self.client(("::1", listener.address[1]), socket.AF_INET6)
        await self.until(lambda: len(self.accepted) == 2)
        self.assertEqual(["127.0.0.1", "::1"], [stream.conn.peer[0] for stream in self.accepted])

    async def test_tcp_endpoint(self) -> None:
        """An endpoint string."""
        stream = await self.hello("tcp:0:interface=127.0.0.1")
        self.assertTrue(stream._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async def test_unix_endpoint(self) -> None:
        """A UNIX socket; there are no addresses to show. Its file goes with it."""
        home = tempfile.mkdtemp()  # the kernel wants it short
        self.addCleanup(shutil.rmtree, home)
        path = Path(home, "socket")
        stream = await self.hello(f"unix:{path}", socket.AF_UNIX, str(path))
        self.assertEqual(Conn(("", 0), ("", 0)), stream.conn)
        self.listeners[0].stop()
        await self.until(lambda: not path.exists())

    async def test_in_use(self) -> None:
        """An address in use is told in words that one can read, and nothing is left open."""
        listener = await self.listen()
        port = listener.address[1]
        for address in (f"127.0.0.1:{port}", f"tcp:{port}:interface=127.0.0.1"):
            try:
                await bind(address, reactor)
            except Exception as e:
                self.assertIn("Address already in use", str(e))
            else:
                self.fail("bound twice")

    async def test_wrapped(self) -> None:
        """An endpoint whose bytes are not the socket's is refused, and its port is free again."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        try:
            await bind(f"haproxy:tcp:{port}:interface=127.0.0.1", reactor)
        except ValueError as e:
            self.assertIn("is not an endpoint of a plain stream socket", str(e))
        else:
            self.fail("not refused")
        socket.create_server(("127.0.0.1", port)).close()

    async def test_tls(self) -> None:
        """So are TLS endpoints: nobody's plain text is taken for granted."""
        key = Path(self.mktemp())
        made = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
            + ["-keyout", key, "-out", f"{key}.crt", "-subj", "/CN=test"],
            capture_output=True,
        )
        if made.returncode:
            missing("openssl cannot make a certificate")
        try:
            await bind(f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={key}.crt", reactor)
        except ValueError as e:
            self.assertIn("is not an endpoint of a plain stream socket", str(e))
        else:
            self.fail("not refused")

    async def test_limit(self) -> None:
        """At the limit a connection is accepted and closed: its client learns at once."""
        self.limit.limit = 1
        listener = await self.listen()
        self.client(listener.address)
        refused = self.client(listener.address)
        await self.until(lambda: self.refused == ["limit"])
        self.assertEqual(b"", refused.recv(1))
        self.accepted[0].abort()
        self.client(listener.address)
        await self.until(lambda: len(self.accepted) == 2)

    async def test_stop(self) -> None:
        """Nobody who was connected, and waits to be accepted, is lost when the listener stops."""
        listener = await self.listen()
        clients = [self.client(listener.address) for _ in range(100)]
        for client in clients:
            client.send(b"hello")
        listener.stop()
        self.assertEqual(100, len(self.accepted))
        await self.until(lambda: all(reader.heard == b"hello" for reader in self.readers))
        with self.assertRaises(ConnectionRefusedError):
            self.client(listener.address)

    async def test_stop_adopted(self) -> None:
        """The same for an endpoint's socket."""
        listener = await self.listen("tcp:0:interface=127.0.0.1")
        self.client(listener.address)
        listener.stop()
        self.assertEqual(1, len(self.accepted))


class StreamTests(LoopbackMixin):
    """What the kernel makes of a stream."""

    async def pair(self) -> tuple[SocketStream, socket.socket]:
        listener = await self.listen()
        client = self.client(listener.address)
        await self.until(lambda: bool(self.accepted))
        return self.accepted[0], client

    async def test_bulk(self) -> None:
        """More than the kernel takes at once arrives whole."""
        stream, client = await self.pair()
        data = os.urandom(1 << 23)
        stream.write(data)
        self.assertGreater(stream.buffered, 0)
        stream.close()
        got = bytearray()
        while True:
            try:
                piece = client.recv(1 << 20)
            except BlockingIOError:
                await deferLater(reactor, 0)
                continue
            if not piece:
                break
            got += piece
        self.assertTrue(got == data)
        self.assertEqual((len(data), ""), (stream.bytes_out, stream.errno))

    async def test_abort(self) -> None:
        """An abort is a RST on the wire."""
        stream, client = await self.pair()
        stream.abort()
        with self.assertRaises(ConnectionResetError):
            client.recv(1)

    async def test_reset(self) -> None:
        """So is one that is received, also by a stream that is paused; nobody is kept awake by it."""
        for paused in (False, True):
            self.accepted.clear()
            stream, client = await self.pair()
            if paused:
                stream.pause()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            await self.until(lambda stream=stream: stream.closed)  # type: ignore[misc]
            self.assertEqual(("ECONNRESET", ["lost"]), (stream.errno, self.readers[-1].events))

    async def test_write_to_closed(self) -> None:
        """
        A write into a connection that its peer has closed is found out, whatever is read first.
        """
        stream, client = await self.pair()
        stream.pause()
        client.close()
        await deferLater(reactor, 0.01)
        for _ in range(3):
            stream.write(b"x")
            await deferLater(reactor, 0.01)
        await self.until(lambda: stream.closed)
        self.assertIn(stream.errno, ("ECONNRESET", "EPIPE"))

    async def test_half_close(self) -> None:
        """FIN in one direction leaves the other."""
        stream, client = await self.pair()
        stream.write(b"all")
        stream.end()
        await deferLater(reactor, 0)
        self.assertEqual((b"all", b""), (client.recv(10), client.recv(10)))
        client.send(b"more")
        await self.until(lambda: self.readers[0].heard == b"more")


class ConnectTests(LoopbackMixin):
    """Connections to real listeners, and to none."""

    def connector(self, timeout: float = 5.0) -> SocketConnector:
        return SocketConnector(self.hub, timeout)

    async def test_connect(self) -> None:
        """Connected, with addresses, without delay, not inheritable."""
        for address, family in (("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1")):
            listener = await self.listen(address)
            stream = await self.connector().connect(Endpoint(*listener.address), UNKNOWN)
            assert isinstance(stream, SocketStream)
            self.assertEqual((listener.address, family), (stream.conn.peer, stream.conn.local[0]))
            self.assertTrue(stream._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            self.assertFalse(os.get_inheritable(stream.fileno()))
            stream.attach(Recorder())
            stream.abort()

    async def test_refused(self) -> None:
        """Nobody listens."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        for _ in range(20):
            try:
                await self.connector().connect(Endpoint("127.0.0.1", port), UNKNOWN)
            except ConnectFailed as e:
                self.assertEqual("ECONNREFUSED", e.errno)
            else:
                self.fail("connected to nobody")

    def full(self) -> Endpoint:
        """A listener whose queue is full: the kernel answers nobody."""
        server = socket.socket()
        self.clients.append(server)
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(2):
            client = socket.socket()
            self.clients.append(client)
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        return Endpoint(*server.getsockname())

    async def test_timed_out(self) -> None:
        """Nobody answers: given up at the deadline, closed."""
        try:
            await self.connector(0.05).connect(self.full(), UNKNOWN)
        except ConnectTimedOut as e:
            self.assertEqual(0.05, e.seconds)
        else:
            self.fail("connected to a full queue")

    async def test_cancelled(self) -> None:
        """Given up by the caller, closed at once."""
        endpoint = self.full()
        open_before = descriptors()
        d: Deferred[Stream] = self.connector().connect(endpoint, UNKNOWN)
        self.assertEqual(open_before + 1, descriptors())
        d.cancel()
        self.assertEqual(open_before, descriptors())
        self.failureResultOf(d, CancelledError)


#: run in a process of its own, with the reactor that is named
EVERY_REACTOR = """
import importlib, os, select, socket, struct, sys
if sys.argv[1] == "asyncio":
    from twisted.internet import asyncioreactor
    asyncioreactor.install()
else:
    importlib.import_module(f"twisted.internet.{sys.argv[1]}reactor").install()
from twisted.internet import reactor
if sys.argv[2] == "direct":
    del select.epoll
from lproxy.target import UNKNOWN, Endpoint
from lproxy.transport.connect import SocketConnector
from lproxy.transport.hub import hub
from lproxy.transport.listen import Bound, ConnectionLimit, Listener
from lproxy.transport.relay import Relay

the_hub = hub(reactor)
SIZE = 4 << 20

class Reader:
    def __init__(self, stream):
        self.stream = stream
        stream.attach(self)
        stream.resume()
    def data_received(self, data):
        pass
    def eof_received(self):
        self.stream.close()
    def connection_lost(self):
        pass
    def pause_writing(self):
        pass
    def resume_writing(self):
        pass

class Echo(Reader):
    def data_received(self, data):
        self.stream.write(data)
    def pause_writing(self):
        self.stream.pause()
    def resume_writing(self):
        self.stream.resume()

class Client(Reader):
    got = 0
    def data_received(self, data):
        self.got += len(data)
        if self.got == SIZE:
            self.stream.abort()
    def connection_lost(self):
        echo.stop()
        proxy.stop()

def listener(accepted):
    sock = socket.create_server(("127.0.0.1", 0))
    made = Listener(Bound(sock, sock.close), the_hub, ConnectionLimit(10), accepted, print)
    made.start()
    return made

def to_proxy(stream):
    relay = Relay(stream, done, 65536)
    relay.start()
    connector.connect(Endpoint(*echo.address), UNKNOWN).addCallback(relay.join)

def done():
    reactor.callLater(0.05, refused)

def refused():
    # nobody listens there any more
    connector.connect(Endpoint(*echo.address), UNKNOWN).addErrback(lambda failure: finish(failure.value.errno))

def finish(errno):
    mine = [each for each in [*reactor.getReaders(), *reactor.getWriters()] if each.logPrefix() == "lproxy"]
    print("left:", type(the_hub).__name__, mine, errno)
    reactor.stop()

def begin(stream):
    global client
    client = Client(stream)
    stream.write(bytes(SIZE))

connector = SocketConnector(the_hub, 5)
echo, proxy = listener(Echo), listener(to_proxy)
connector.connect(Endpoint(*proxy.address), UNKNOWN).addCallback(begin)
reactor.callLater(20, reactor.stop)
reactor.run()
print(type(reactor).__name__, client.got)
"""


class ReactorTests(SynchronousTestCase):
    """The hub works under every reactor, and leaves it when it is empty."""

    def run_under(self, name: str, direct: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, "-c", EVERY_REACTOR, name, "direct" if direct else "epoll"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual("", done.stderr)
        left, result = done.stdout.splitlines()
        self.assertEqual(f"left: {'ReactorHub' if direct else 'EpollHub'} [] ECONNREFUSED", left)
        kind, got = result.split()
        self.assertEqual(4 << 20, int(got))
        return kind

    def test_epoll(self) -> None:
        """epoll."""
        self.assertEqual("EPollReactor", self.run_under("epoll"))

    def test_poll(self) -> None:
        """poll."""
        self.assertEqual("PollReactor", self.run_under("poll"))

    def test_select(self) -> None:
        """select."""
        self.assertEqual("SelectReactor", self.run_under("select"))

    def test_asyncio(self) -> None:
        """asyncio."""
        self.assertEqual("AsyncioSelectorReactor", self.run_under("asyncio"))

    def test_no_epoll(self) -> None:
        """Where the platform has no epoll, the reactor itself serves every descriptor."""
        for name in ("poll", "select", "asyncio"):
            self.run_under(name, direct=True)


#: run in a process of its own, which may have so many descriptors and no more
EXHAUSTED = """
import json, os, resource, socket, sys, time
from twisted.internet import reactor
from lproxy.app.warn import Warn
from lproxy.transport.hub import hub
from lproxy.transport.listen import Bound, ConnectionLimit, Listener
from twisted.logger import Logger, formatEvent

LIMIT = 60
the_hub = hub(reactor)
lines, streams, refused = [], [], []
warn = Warn(reactor, Logger("lproxy", observer=lambda event: lines.append(formatEvent(event))))

class Reader:
    def data_received(self, data):
        pass
    eof_received = connection_lost = pause_writing = resume_writing = lambda self: None

def accepted(stream):
    streams.append(stream)
    stream.attach(Reader())
    stream.resume()
    stream.write(b"served")

def shed(reason):
    refused.append(reason)
    warn(f"accept-{reason}", f"out of descriptors ({reason})")

sock = socket.create_server(("127.0.0.1", 0), backlog=512)
listener = Listener(Bound(sock, sock.close), the_hub, ConnectionLimit(10000), accepted, shed)
listener.start()
resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
result = {}

# clients live in another process: they need descriptors, too
reader, writer = os.pipe()
told, tell = os.pipe()
child = os.fork()
if not child:
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    os.setsid()
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], str(listener.address[1])])

def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime

def full():
    if len(streams) + len(refused) < 100:
        reactor.callLater(0.02, full)
        return
    result["served"], result["refused"], result["reasons"] = len(streams), len(refused), sorted(set(refused))
    result["lines"] = list(lines)
    reactor.callLater(1, idle, cpu())

def idle(before):
    result["idle_cpu"] = cpu() - before
    for stream in streams[:10]:
        stream.abort()
    reactor.callLater(0.05, again, time.monotonic(), len(streams))

def again(began, before):
    one = socket.create_connection(listener.address, 5)
    wait(one, began, before)

def wait(one, began, before):
    if len(streams) == before and time.monotonic() - began < 5:
        reactor.callLater(0.01, wait, one, began, before)
        return
    result["recovered"] = time.monotonic() - began
    result["again"] = len(streams) - before
    reactor.stop()

reactor.callLater(0, full)
reactor.callLater(30, reactor.stop)
reactor.run()
os.killpg(child, 9)
os.waitpid(child, 0)
print(json.dumps(result))
"""

#: a hundred clients in several processes' worth of descriptors: each keeps what it is given
CLIENTS = """
import os, socket, sys, time
clients = []
for _ in range(2):
    if not os.fork():
        for _ in range(50):
            clients.append(socket.create_connection(("127.0.0.1", int(sys.argv[1]))))
        time.sleep(20)
        os._exit(0)
time.sleep(20)
"""


class ExhaustedTests(SynchronousTestCase):
    """A process without descriptors turns clients away, and does nothing else all day."""

    def test_emfile(self) -> None:
        """
        Clients beyond the last descriptor are accepted and closed; one line tells of all of them; the process is idle
        meanwhile, and serves again within a second of having descriptors.
        """
        done = subprocess.run(
            [sys.executable, "-c", EXHAUSTED, CLIENTS], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        self.assertEqual("", done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual((100, ["EMFILE"]), (result["served"] + result["refused"], result["reasons"]))
        self.assertGreater(result["refused"], 40)
        self.assertEqual(["out of descriptors (EMFILE)"], result["lines"])
        self.assertLess(result["idle_cpu"], 0.05)
        self.assertEqual(1, result["again"])
        self.assertLess(result["recovered"], 1.0)


#: run with a socket of systemd's
SYSTEMD = """
import socket, sys
from twisted.internet import reactor
from lproxy.transport.hub import hub
from lproxy.transport.listen import ConnectionLimit, Listener, bind

def accepted(stream):
    print("accepted", stream.conn.local == listener.address, flush=True)
    stream.abort()
    listener.stop()
    reactor.callLater(0, reactor.stop)

def bound(result):
    global listener
    listener = Listener(result, hub(reactor), ConnectionLimit(10), accepted, print)
    listener.start()

bind("systemd:domain=INET:index=0", reactor).addCallbacks(bound, lambda f: print(f, flush=True))
reactor.callLater(20, reactor.stop)
reactor.run()
"""


class SystemdTests(SynchronousTestCase):
    """A socket that systemd has opened is listened on."""

    def test_adopted(self) -> None:
        """With LISTEN_FDS and LISTEN_PID as systemd sets them; clients that came before the process are served."""
        with socket.create_server(("127.0.0.1", 0)) as sock:
            client = socket.create_connection(sock.getsockname())
            self.addCleanup(client.close)
            # a shell may know descriptors of one digit only
            adopt = (
                f"import os, sys; os.dup2({sock.fileno()}, 3); "
                "os.environ.update(LISTEN_FDS='1', LISTEN_FDNAMES='web', LISTEN_PID=str(os.getpid())); "
                "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"
            )
            done = subprocess.run(
                [sys.executable, "-c", adopt, SYSTEMD],
                cwd=ROOT,
                pass_fds=[sock.fileno()],
                capture_output=True,
                text=True,
                timeout=60,
            )
        self.assertEqual(("", "accepted True\n"), (done.stderr, done.stdout))

    def test_none(self) -> None:
        """Without one, the error says what is missing."""
        failure = self.failureResultOf(bind("systemd:domain=INET:index=7", reactor), ValueError)
        self.assertIn("names no socket that this process was given (LISTEN_FDS)", str(failure.value))


class BoundTests(SynchronousTestCase):
    """Letting go of what was bound."""

    def test_release(self) -> None:
        """A socket that is not wanted after all is closed."""
        bound = self.successResultOf(bind("127.0.0.1:0", reactor))
        self.assertIsInstance(bound, Bound)
        fd = bound.sock.fileno()
        bound.release()
        self.assertRaises(OSError, os.fstat, fd)
