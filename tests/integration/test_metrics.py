# -*- test-case-name: tests.integration.test_metrics -*-
"""
A whole proxy between real clients and real servers: do its metrics say what happened?
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from lproxy.app.plugins import find
from lproxy.app.service import Proxy
from lproxy.config import Admin, Config, Listen, Service, Timeouts
from lproxy.metrics.caps import OTHER
from lproxy.metrics.transport import DST_CAP

HTTP = b"GET /%d HTTP/1.1\r\nHost: %s\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#: no HTTP, and no beginning of it
BINARY = b"\x00\x01binary"
#: nothing listens there
NOWHERE = "127.0.0.1:1"
#: outbound gives up soon, inbound waits
QUICK = Timeouts(acquire=0.1, failfast=0.2, connect=50.0, drain=0.2, server_first=5.0)
SLOW = replace(QUICK, acquire=50.0, failfast=50.0)


class Client(Protocol):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.sent = 0
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True

    def say(self, data: bytes) -> None:
        self.sent += len(data)
        self.transport.write(data)


class Server(Client):
    """Counts the bytes of all its connections; answers each request, echoes what is none."""

    def __init__(self, factory: Any) -> None:
        super().__init__()
        self.all = factory
        self.rest = b""
        factory.connections.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.all.read += len(data)
        if data[:1] != b"G" and not self.rest:
            self.answer(data)
            return
        *requests, self.rest = (self.rest + data).split(b"\r\n\r\n")
        if requests and not self.all.silent:
            self.answer(OK * len(requests))

    def answer(self, data: bytes) -> None:
        self.all.written += len(data)
        self.transport.write(data)


class Upstream(Factory):
    """Servers, and what they have seen."""

    noisy = False

    def __init__(self) -> None:
        self.connections: list[Server] = []
        self.read = self.written = 0
        self.silent = False

    def buildProtocol(self, address: Any) -> Server:
        return Server(self)


def hanging(case: TestCase) -> str:
    """The address of a server that lets nobody in: its queue is full, and it accepts none."""
    server = socket.socket()
    case.addCleanup(server.close)
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    host, port = server.getsockname()
    for _ in range(3):
        waiting = socket.socket()
        case.addCleanup(waiting.close)
        waiting.setblocking(False)
        waiting.connect_ex((host, port))
    return f"{host}:{port}"


class Scrape:
    """The samples of one exposition."""

    def __init__(self, text: str) -> None:
        self.samples = [s for family in text_string_to_metric_families(text) for s in family.samples]

    def values(self, name: str, **labels: str) -> list[float]:
        """Of all series of C{name} that have at least C{labels}."""
        return [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]

    def sum(self, name: str, **labels: str) -> float:
        """Of these."""
        return sum(self.values(name, **labels))


class MetricsTests(TestCase):
    """Inbound and outbound, HTTP and bytes, well and badly ended."""

    timeout = 60

    async def setUp(self) -> None:
        self.upstream = Upstream()
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(self.upstream)
        self.addCleanup(port.stopListening)
        self.server = f"127.0.0.1:{port.getHost().port}"
        self.clients: list[Client] = []
        config = Config(
            admin=Admin(address="127.0.0.1:0"),
            listen=(
                Listen(name="out", address="127.0.0.1:0", direction="outbound"),
                Listen(name="in", address="127.0.0.1:0", direction="inbound", target=self.server),
                Listen(name="raw", address="127.0.0.1:0", direction="outbound", target=self.server),
                Listen(name="hung", address="127.0.0.1:0", direction="inbound", target="service:hung.local:80"),
            ),
            services={
                "web.local:80": Service("web.local:80", (self.server,)),
                "down.local:80": Service("down.local:80", (NOWHERE,)),
                "hung.local:80": Service("hung.local:80", (hanging(self),)),
            },
            outbound=QUICK,
            inbound=SLOW,
        )
        self.proxy = proxy = Proxy(config, find(), reactor)
        proxy.privilegedStartService()
        proxy.startService()
        self.addCleanup(proxy.stopService)
        self.addCleanup(self.hang_up)
        admin = proxy.admin_address()
        assert admin is not None
        self.ports = {name: port for name, (_, port) in {**proxy.addresses(), "admin": admin}.items()}

    async def hang_up(self) -> None:
        """Nobody is left whom the proxy would have to wait for."""
        for client in [*self.clients, *self.upstream.connections]:
            if not client.lost:
                client.transport.abortConnection()
        await self.until(lambda: all(c.lost for c in [*self.clients, *self.upstream.connections]))

    async def until(self, done: Callable[[], object]) -> None:
        """Wait, as long as the test may."""
        while not done():
            await deferLater(reactor, 0.005)

    async def client(self, listener: str) -> Client:
        """A connection to C{listener}."""
        client = Client()
        await connectProtocol(HostnameEndpoint(reactor, b"127.0.0.1", self.ports[listener]), client)
        self.clients.append(client)
        return client

    async def ask(self, client: Client, host: bytes, count: int = 1, status: bytes = b"200") -> None:
        """So many requests, one after the other."""
        for n in range(count):
            before = client.heard.count(b"HTTP/1.1 ")
            client.say(HTTP % (n, host))
            await self.until(lambda before=before: client.heard.count(b"HTTP/1.1 ") > before)
            self.assertEqual(status, client.heard.rpartition(b"HTTP/1.1 ")[2][:3])

    async def scrape(self) -> Scrape:
        """As Prometheus does."""
        client = await self.client("admin")
        # HTTP/1.0: no chunks to take apart
        client.say(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        await self.until(lambda: client.lost)
        head, _, body = client.heard.partition(b"\r\n\r\n")
        self.assertIn(b" 200 OK", head)
        return Scrape(body.decode())

    def at_rest(self) -> bool:
        """Whether all connections but the pooled ones have ended."""
        return not self.proxy.clients()

    async def test_http_bytes(self) -> None:
        """
        Of keep-alive HTTP, in both directions, every byte counts on the side where it passed, those that were read
        for detection too; accepted connections and upstream ones each have their series.
        """
        for listener, direction in (("out", "outbound"), ("in", "inbound")):
            upstream = self.upstream
            upstream.read = upstream.written = 0
            # nothing shared with the other listener
            client = await self.client(listener)
            await self.ask(client, b"web.local", 5)
            scrape = await self.scrape()
            ours = {"direction": direction, "protocol": "http", "tls": "false", "no_tls_reason": "disabled"}
            src = {**ours, "peer": "src", "dst_addr": f"127.0.0.1:{self.ports[listener]}"}
            dst = {**ours, "peer": "dst", "dst_addr": self.server}
            if direction == "inbound":
                src["src_addr"] = "127.0.0.1"
                dst["src_addr"] = "127.0.0.1"
            for labels, read, written in (
                (src, client.sent, len(client.heard)),
                (dst, upstream.written, upstream.read),
            ):
                self.assertEqual([1], scrape.values("tcp_open_total", **labels))
                self.assertEqual([1], scrape.values("tcp_open_connections", **labels))
                self.assertEqual([read], scrape.values("tcp_read_bytes_total", **labels))
                self.assertEqual([written], scrape.values("tcp_write_bytes_total", **labels))
                self.assertEqual([], scrape.values("tcp_close_total", **labels))
            client.transport.loseConnection()
            await self.until(self.at_rest)
            scrape = await self.scrape()
            self.assertEqual([0], scrape.values("tcp_open_connections", **src))
            self.assertEqual([1], scrape.values("tcp_close_total", errno="", **src))
            self.assertEqual([1], scrape.values("tcp_connection_duration_seconds_count", **src))
            self.assertEqual([client.sent], scrape.values("tcp_read_bytes_total", **src))
            self.assertEqual([1], scrape.values("detect_total", listener=listener, result="http"))

    async def test_tcp_bytes(self) -> None:
        """So do those of a byte stream, large or small, read at detection or later, copied or spliced."""
        client = await self.client("in")
        client.say(BINARY)
        await self.until(lambda: len(client.heard) == client.sent)
        for size in (1, 100_000, 3_000_000):
            client.say(b"x" * size)
            await self.until(lambda: len(client.heard) == client.sent)
        client.transport.loseConnection()
        await self.until(self.at_rest)
        scrape = await self.scrape()
        for peer in ("src", "dst"):
            labels = {"direction": "inbound", "peer": peer, "protocol": "tcp", "src_addr": "127.0.0.1"}
            self.assertEqual([1], scrape.values("tcp_open_total", **labels))
            self.assertEqual([0], scrape.values("tcp_open_connections", **labels))
            self.assertEqual([client.sent], scrape.values("tcp_read_bytes_total", **labels))
            self.assertEqual([client.sent], scrape.values("tcp_write_bytes_total", **labels))
            self.assertEqual([1], scrape.values("tcp_close_total", errno="", **labels))
            self.assertEqual([1], scrape.values("tcp_connection_duration_seconds_count", **labels))
        self.assertEqual([1], scrape.values("detect_total", listener="in", result="tcp"))
        self.assertEqual([1], scrape.values("detect_duration_seconds_count", listener="in"))

    async def test_client_resets(self) -> None:
        """A client's reset is the errno of its connection, and passed on it is ours at the other."""
        client = await self.client("raw")
        client.say(BINARY)
        await self.until(lambda: client.heard == BINARY)
        client.transport.abortConnection()
        await self.until(self.at_rest)
        await self.until(lambda: self.upstream.connections[0].lost)
        scrape = await self.scrape()
        closed = {s.labels["peer"]: s.labels["errno"] for s in scrape.samples if s.name == "tcp_close_total"}
        self.assertEqual({"src": "ECONNRESET", "dst": "ECONNABORTED"}, closed)

    async def test_upstream_resets(self) -> None:
        """An upstream's reset is the errno of the upstream connection, of HTTP too."""
        client = await self.client("raw")
        client.say(BINARY)
        await self.until(lambda: client.heard == BINARY)
        self.upstream.connections[0].transport.abortConnection()
        await self.until(lambda: client.lost)
        self.upstream.silent = True
        client = await self.client("out")
        client.say(HTTP % (1, b"web.local"))
        await self.until(lambda: len(self.upstream.connections) == 2 and self.upstream.connections[1].rest == b"")
        await self.until(lambda: self.upstream.read > len(BINARY))
        self.upstream.connections[1].transport.abortConnection()
        await self.until(lambda: b"HTTP/1.1 502" in client.heard)
        scrape = await self.scrape()
        for protocol in ("tcp", "http"):
            labels = {"peer": "dst", "protocol": protocol}
            self.assertEqual([1], scrape.values("tcp_close_total", errno="ECONNRESET", **labels), protocol)
            self.assertEqual([0], scrape.values("tcp_open_connections", **labels))

    async def test_dead_before_detection(self) -> None:
        """A connection that dies before its protocol is known is in the metrics of detection, and nowhere else."""
        for said in (b"", b"GE"):
            client = await self.client("in")
            client.say(said)
            await self.until(lambda said=said: self.peeked(len(said)))
            client.transport.abortConnection()
            await self.until(self.at_rest)
        scrape = await self.scrape()
        self.assertEqual([2], scrape.values("detect_total", listener="in"))
        self.assertEqual([2], scrape.values("detect_total", listener="in", result="eof"))
        self.assertEqual([], scrape.values("tcp_open_total", direction="inbound"))
        self.assertEqual([], self.upstream.connections)

    def peeked(self, size: int) -> bool:
        """Whether the proxy has read so many bytes of its only connection."""
        return [row["bytes_in"] for row in self.proxy.connections()] == [size]

    async def test_requests(self) -> None:
        """
        Every request is counted once, and its answer, its latency and its overhead; answers that are ours as well.
        """
        client = await self.client("out")
        await self.ask(client, b"web.local", 7)
        await self.ask(client, b"nobody.invalid", 3, b"404")
        await self.ask(client, b"down.local", 2, b"502")
        await self.ask(client, b"hung.local", 1, b"503")
        scrape = await self.scrape()
        for host, count, status, classification in (
            ("web.local", 7, "200", "success"),
            ("nobody.invalid", 3, "404", "success"),
            ("down.local", 2, "502", "failure"),
            ("hung.local", 1, "503", "failure"),
        ):
            route = {"direction": "outbound", "authority": host, "tls": "false"}
            self.assertEqual([count], scrape.values("request_total", **route))
            answered = {"status_code": status, "classification": classification}
            self.assertEqual([count], scrape.values("response_total", **route, **answered))
            for name in ("response_latency_ms", "proxy_overhead_seconds"):
                self.assertEqual([count], scrape.values(f"{name}_count", **route))
                self.assertEqual([count], scrape.values(f"{name}_bucket", le="+Inf", **route))
                self.assertGreater(scrape.sum(f"{name}_sum", **route), 0)
        self.assertEqual(13, scrape.sum("request_total"))
        self.assertEqual(6, scrape.sum("http_errors_total"))

    async def test_bad_input(self) -> None:
        """What is refused is counted by reason, and is no request to anybody."""
        client = await self.client("out")
        client.say(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        await self.until(lambda: client.heard.startswith(b"HTTP/1.1 400"))
        scrape = await self.scrape()
        self.assertEqual(1, scrape.sum("http_rejected_total"))
        self.assertEqual(0, scrape.sum("request_total"))
        self.assertEqual(0, scrape.sum("response_total"))

    async def test_acquisitions(self) -> None:
        """Every acquisition has one outcome, and nothing is in flight after the last."""
        client = await self.client("out")
        # the first waits for a connection, which the others find
        await self.ask(client, b"web.local", 4)
        await self.ask(client, b"nobody.invalid", 1, b"404")
        await self.ask(client, b"down.local", 1, b"502")
        # acquire is shorter than failfast, at first
        await self.ask(client, b"hung.local", 1, b"503")
        while "failfast" not in self.proxy.metrics.acquire("outbound").durations:
            await self.ask(client, b"hung.local", 1, b"503")
        scrape = await self.scrape()
        outcomes = {
            s.labels["outcome"]: s.value
            for s in scrape.samples
            if s.name == "acquire_total" and s.labels["direction"] == "outbound"
        }
        self.assertEqual((3, 1, 2), tuple(outcomes[name] for name in ("ready", "waited", "failed")))
        self.assertGreaterEqual(outcomes["timed_out"], 1)
        self.assertGreaterEqual(outcomes["failfast"], 1)
        self.assertEqual(scrape.sum("request_total"), sum(outcomes.values()))
        for outcome, count in outcomes.items():
            labels = {"direction": "outbound", "outcome": outcome}
            self.assertEqual([count], scrape.values("acquire_duration_seconds_count", **labels))
        self.assertEqual([1], scrape.values("failfast_state", target="hung.local:80"))
        self.assertEqual([1], scrape.values("failfast_total", target="hung.local:80"))
        self.assertEqual([0], scrape.values("in_flight"))
        self.assertEqual([1], scrape.values("http_upstream_connections", direction="outbound", state="idle"))

    async def test_cancelled(self) -> None:
        """A client that does not wait for its service is counted so, and leaves nothing in flight."""
        self.upstream.silent = True
        waiting = await self.client("hung")
        waiting.say(HTTP % (1, b"anybody"))
        await self.until(lambda: b"\nin_flight 1\n" in b"".join(self.proxy.metrics.text()))
        self.assertEqual([1], (await self.scrape()).values("in_flight"))
        waiting.transport.abortConnection()
        called = await self.client("out")
        called.say(HTTP % (1, b"web.local"))
        await self.until(lambda: self.upstream.read)
        called.transport.abortConnection()
        await self.until(self.at_rest)
        scrape = await self.scrape()
        self.assertEqual([1], scrape.values("acquire_total", direction="inbound", outcome="cancelled"))
        self.assertEqual([0], scrape.values("in_flight"))
        self.assertEqual(2, scrape.sum("request_total"))
        self.assertEqual(0, scrape.sum("response_total"), "nobody was answered")

    async def test_ten_thousand_hosts(self) -> None:
        """As many hosts as clients can think of leave bounded series, and every request is counted."""
        clients = [await self.client("out") for _ in range(10)]
        for start in range(0, 10_000, 1_000):
            for n, client in enumerate(clients):
                first = start + n * 100
                client.say(b"".join(HTTP % (i, b"host%d.invalid" % i) for i in range(first, first + 100)))
            count = start // 10 + 100
            await self.until(lambda count=count: all(c.heard.count(b"HTTP/1.1 404") == count for c in clients))
        scrape = await self.scrape()
        self.assertEqual(10_000, scrape.sum("request_total"))
        self.assertEqual(10_000, scrape.sum("response_latency_ms_count"))
        routes = scrape.values("request_total")
        self.assertEqual(201, len(routes))
        self.assertEqual([9_800], scrape.values("request_total", authority=OTHER))
        self.assertEqual(10_000, scrape.sum("acquire_total", direction="outbound"))
        self.assertEqual([0], scrape.values("in_flight"))
        self.assertLess(len(scrape.samples), 201 * 60 + 1_000)
        destinations = {s.labels["dst_addr"] for s in scrape.samples if s.name == "tcp_open_total"}
        self.assertLess(len(destinations), DST_CAP)

    async def test_scrape_under_load(self) -> None:
        """A scrape in the middle of traffic is whole, what it counts only ever grows, and nobody is kept waiting."""
        client, stream = await self.client("out"), await self.client("in")
        stream.say(BINARY)
        await self.until(lambda: stream.heard)
        before = 0.0
        for _ in range(10):
            client.say(HTTP % (1, b"web.local") * 50)
            stream.say(b"x" * 100_000)
            scrape = await self.scrape()
            requests = scrape.sum("request_total", authority="web.local")
            self.assertGreaterEqual(requests, before)
            self.assertLessEqual(scrape.sum("response_total", authority="web.local"), requests)
            before = requests
        await self.until(lambda: client.heard.count(b"200 OK") == 500 and len(stream.heard) == stream.sent)
        scrape = await self.scrape()
        self.assertEqual([500], scrape.values("request_total", authority="web.local"))
        self.assertEqual([500], scrape.values("proxy_overhead_seconds_count", authority="web.local"))
        read = {"direction": "inbound", "peer": "src", "protocol": "tcp"}
        self.assertEqual([stream.sent], scrape.values("tcp_read_bytes_total", **read))

    async def test_lag(self) -> None:
        """The reactor's lag is measured as long as the proxy runs, and no longer."""
        await self.until(lambda: sum(self.proxy.metrics.lag.counts) >= 2)
        self.assertGreaterEqual((await self.scrape()).sum("reactor_lag_seconds_count"), 2)
