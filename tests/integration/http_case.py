# -*- test-case-name: tests.integration.test_http -*-
"""
The whole proxy in this process, and a test in a thread that holds the other ends of its connections: raw sockets.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import blockingCallFromThread, deferToThread
from twisted.trial.unittest import TestCase

from lproxy.app.plugins import find
from lproxy.app.service import Proxy
from lproxy.config import Admin, Config, Listen, Service

reactor: Any = _reactor

#: seconds for whatever should be a matter of an instant, on a busy machine
PATIENCE = 10.0
#: long enough for what is wrong to show, short enough to wait for
MOMENT = 0.15

GET = b"GET / HTTP/1.1\r\nHost: web.local\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

T = TypeVar("T")


class Wire:
    """One end of a connection, in the hands of a test."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> Wire:
        """Say it."""
        self.sock.sendall(data)
        return self

    def _more(self) -> bool:
        data = self.sock.recv(1 << 20)
        self.buffer += data
        return bool(data)

    def until(self, mark: bytes) -> bytes:
        """All as far as C{mark}."""
        while mark not in self.buffer:
            if not self._more():
                raise EOFError(f"ended behind {self.buffer[:200]!r}")
        head, _, self.buffer = self.buffer.partition(mark)
        return head + mark

    def exactly(self, size: int) -> bytes:
        """So many bytes."""
        while len(self.buffer) < size:
            if not self._more():
                raise EOFError(f"ended behind {self.buffer[:200]!r}")
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def head(self) -> bytes:
        """A message's head."""
        return self.until(b"\r\n\r\n")

    def message(self) -> bytes:
        """A whole message, as its head says."""
        head = self.head()
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            body = b""
            while True:
                line = self.until(b"\r\n")
                body += line
                if int(line.split(b";")[0], 16) == 0:
                    while (line := self.until(b"\r\n")) != b"\r\n":
                        body += line
                    return head + body + line
                body += self.exactly(int(line.split(b";")[0], 16) + 2)
        for line in lower.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return head + self.exactly(int(line.partition(b":")[2]))
        return head

    def rest(self) -> bytes:
        """All until FIN; ConnectionError at a reset."""
        while self._more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def end(self, seconds: float = PATIENCE) -> str:
        """How the proxy ends it, without another byte: C{eof} or C{reset}."""
        self.sock.settimeout(seconds)
        try:
            if self.buffer or self._more():
                raise AssertionError(f"not the end: {self.buffer[:200]!r}")
        except ConnectionError:
            return "reset"
        finally:
            with contextlib.suppress(OSError):
                self.sock.settimeout(PATIENCE)
        return "eof"

    def drained(self) -> str:
        """As L{end}, whatever comes before it."""
        try:
            self.rest()
        except ConnectionError:
            return "reset"
        return "eof"

    def silent(self, seconds: float = MOMENT) -> bool:
        """Whether nothing comes for a moment."""
        self.sock.settimeout(seconds)
        try:
            return not self.buffer and not self._more() and False
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(PATIENCE)

    def fin(self) -> Wire:
        """Say nothing more."""
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def reset(self) -> None:
        """RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Gone."""
        self.sock.close()


class Upstream:
    """An application that does only what the test does for it."""

    def __init__(self, kernel_buffer: int = 0) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kernel_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kernel_buffer)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, kernel_buffer)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(200)
        self.address = "{}:{}".format(*self.sock.getsockname())
        self.wires: list[Wire] = []

    def accept(self, seconds: float = PATIENCE) -> Wire:
        """The next connection."""
        self.sock.settimeout(seconds)
        wire = Wire(self.sock.accept()[0])
        self.wires.append(wire)
        return wire

    def nobody(self, seconds: float = MOMENT) -> bool:
        """Whether none comes for a moment."""
        try:
            self.accept(seconds)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        """Gone, with all connections."""
        self.sock.close()
        for wire in self.wires:
            wire.close()


def eventually(condition: Callable[[], T], what: str = "it", seconds: float = PATIENCE) -> T:
    """What C{condition} says once it is true, which is soon."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            assert value, f"not in {seconds:g} s: {what}"
            return value
        time.sleep(0.01)


def threaded(test: Callable[[Any], None]) -> Callable[[Any], Deferred[None]]:
    """C{test} blocks: have it do so in a thread, while the proxy runs in the reactor's."""

    @functools.wraps(test)
    def run(self: Any) -> Deferred[None]:
        return deferToThread(test, self)

    return run


def _samples(proxy: Proxy, family: str) -> list[tuple[dict[str, str], int]]:
    """The samples of a family of counters or gauges; to be asked in the reactor's thread."""
    found = [one.samples for one in proxy.metrics.families() if one.name == family]
    return [(dict(labels), int(value)) for samples in found for labels, value in samples]


def _total(proxy: Proxy, family: str) -> int:
    """The sum of a family's samples."""
    return sum(value for _, value in _samples(proxy, family))


class HttpCase(TestCase):
    """
    A proxy with three listeners in front of one upstream, which serves C{web.local}.

    C{web} routes by authority and detects, C{fixed} has the upstream for its target and detects, C{plain} the same
    without detection. At the end nothing may be left over, and nothing logged that looks like a mistake.
    """

    timeout = 60

    def setUp(self) -> None:
        self.wires: list[Wire] = []
        self.upstreams: list[Upstream] = []
        self.proxies: list[Proxy] = []
        self.upstream = self.new_upstream()
        self.start()

    def new_upstream(self, kernel_buffer: int = 0) -> Upstream:
        """Another one."""
        upstream = Upstream(kernel_buffer)
        self.upstreams.append(upstream)
        return upstream

    def config(self) -> Config:
        """The proxy's configuration."""
        address, fixed = "127.0.0.1:0", self.upstream.address
        return Config(
            admin=Admin(address=""),
            listen=(
                Listen(name="web", address=address),
                Listen(name="fixed", address=address, target=fixed),
                Listen(name="plain", address=address, target=fixed, protocol="http"),
            ),
            services={"web.local:80": Service("web.local:80", (fixed,))},
        )

    def start(self, **changes: Any) -> None:
        """Run a proxy; C{outbound} and C{limits} are changes to those tables."""
        self._forgotten: dict[str, Counter[str]] = {}
        config = self.config()
        for name in ("outbound", "limits"):
            changes[name] = replace(getattr(config, name), **changes.get(name, {}))
        self.proxy = Proxy(replace(config, **changes), find(), reactor)
        self.proxies.append(self.proxy)
        self.proxy.privilegedStartService()
        self.proxy.startService()
        self.ports = {name: port for name, (_, port) in self.proxy.addresses().items()}

    def again(self, **changes: Any) -> None:
        """Run another, from a test's thread."""
        blockingCallFromThread(reactor, self.start, **changes)

    async def tearDown(self) -> None:
        for wire in self.wires:
            wire.close()
        for upstream in self.upstreams:
            upstream.close()
        for proxy in self.proxies:
            for _ in range(200):
                if not proxy.connections():
                    break
                await deferLater(reactor, 0.01)
            left = proxy.connections()
            held = {name: _total(proxy, name) for name in ("in_flight", "lock_waiters")}
            await proxy.stopService()
            self.assertEqual(([], {"in_flight": 0.0, "lock_waiters": 0.0}), (left, held))

    # the test's side

    def client(self, *data: bytes, port: str = "web", kernel_buffer: int = 0) -> Wire:
        """A client that says C{data}."""
        sock = socket.socket()
        if kernel_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kernel_buffer)
        sock.settimeout(PATIENCE)
        sock.connect(("127.0.0.1", self.ports[port]))
        wire = Wire(sock)
        self.wires.append(wire)
        for piece in data:
            wire.send(piece)
        return wire

    def ask(self, request: bytes, *answer: bytes, port: str = "web") -> tuple[Wire, Wire]:
        """A client whose request is read by the upstream, on a new connection, and answered."""
        client = self.client(request, port=port)
        up = self.upstream.accept()
        self.assertEqual(request, up.message())
        for piece in answer:
            up.send(piece)
        return client, up

    def connections(self) -> list[dict[str, Any]]:
        """What C{/connections} shows, asked from a test's thread."""
        rows: list[dict[str, Any]] = blockingCallFromThread(reactor, self.proxy.connections)
        return rows

    def services(self) -> list[dict[str, Any]]:
        """What C{/services} shows, asked from a test's thread."""
        rows: list[dict[str, Any]] = blockingCallFromThread(reactor, self.proxy.services)
        return rows

    @property
    def errors(self) -> dict[str, int]:
        """Answers of our own, by reason."""
        return self._reasons("http_errors_total")

    @property
    def rejected(self) -> dict[str, int]:
        """Input refused, by reason."""
        return self._reasons("http_rejected_total")

    def _reasons(self, family: str) -> dict[str, int]:
        """A family's samples by reason since L{forget}, those of all listeners together."""
        found: Counter[str] = Counter()
        for labels, value in blockingCallFromThread(reactor, _samples, self.proxy, family):
            found[labels["reason"]] += value
        return dict(found - self._forgotten.get(family, Counter()))

    def forget(self) -> None:
        """Begin L{errors} and L{rejected} anew."""
        for family in ("http_errors_total", "http_rejected_total"):
            self._forgotten[family] = self._forgotten.get(family, Counter()) + Counter(self._reasons(family))

    def samples(self, family: str) -> list[tuple[dict[str, str], int]]:
        """Those of a family."""
        found: list[tuple[dict[str, str], int]] = blockingCallFromThread(reactor, _samples, self.proxy, family)
        return found

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return blockingCallFromThread(reactor, _total, self.proxy, "in_flight")
