# -*- test-case-name: tests.integration.test_garbage -*-
"""
Connections through the whole proxy leave nothing to the garbage collector, which would stop all others for it.
"""

from __future__ import annotations

import contextlib
import ssl
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from hpack import Encoder

from lproxy.config import Admin, Config, Listen, Service, Timeouts
from lproxy.protocols.http.h2.engine import PREFACE
from lproxy.protocols.http.h2.frames import DATA, END_HEADERS, END_STREAM, HEADERS, SETTINGS, frame
from lproxy.protocols.kafka.plugin import KafkaPlugin
from lproxy.testing.certificates import authority
from lproxy.testing.garbage import only_new, uncounted
from lproxy.transport.proxy_protocol import v2
from tests.integration.http_case import CLOSING, GET, OK, HttpCase, Upstream, Wire, eventually, threaded
from tests.integration.ports import free_ports
from tests.integration.tls_case import TlsUpstream

#: ApiVersions v0 of the client C{a}, and an answer that lists none
ASK = struct.pack(">ihhih", 11, 18, 0, 1, 1) + b"a"
VERSIONS = struct.pack(">iihi", 10, 1, 0, 0)
#: the same by HTTP/2, of C{web.local} and of C{two.local}; what is found of it, and an answer
GET_2, GET_TWO = (
    PREFACE
    + frame(SETTINGS, 0, 0, b"")
    + frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        1,
        Encoder().encode([(":method", "GET"), (":scheme", "http"), (":authority", name), (":path", "/")]),
    )
    for name in ("web.local", "two.local")
)
HEAD_2 = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"")[3:]
HELLO_2 = frame(SETTINGS, 0, 0, b"")
OK_2 = frame(HEADERS, END_HEADERS, 1, b"\x88") + frame(DATA, END_STREAM, 1, b"over")
UPGRADE = b"GET / HTTP/1.1\r\nHost: web.local\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


class GarbageCase(HttpCase):
    """Connections that are looked at once they have ended."""

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
            services={
                "web.local:80": Service("web.local:80", (fixed,)),
                "two.local:80": Service("two.local:80", (fixed,), protocol="http2"),
            },
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


class GarbageTests(GarbageCase):
    """Each kind of connection, and how it ends."""

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


class Http2GarbageTests(GarbageCase):
    """HTTP/2, on either side."""

    @threaded
    def test_client(self) -> None:
        """However a client leaves."""

        def life(leave: Callable[[Wire], object]) -> None:
            client = self.client(GET_2)
            upstream = self.upstream.accept()
            upstream.until(b"\r\n\r\n")
            upstream.send(OK)
            client.until(OK[-2:])
            leave(client)

        for leave in (Wire.fin, Wire.close, Wire.reset):
            self.check(partial(life, leave))

    @threaded
    def test_upstream(self) -> None:
        """An upstream that ends as its client does."""

        def life() -> None:
            client = self.client(GET_TWO)
            upstream = self.upstream.accept()
            upstream.send(HELLO_2)
            upstream.until(HEAD_2)
            upstream.send(OK_2)
            client.until(OK_2[-4:])

        self.check(life)


class TlsWire(Wire):
    """One end of a connection over TLS."""

    def _more(self) -> bool:
        try:
            return super()._more()
        except ssl.SSLError as e:
            # without a word of TLS: as it would be without it
            raise ConnectionResetError(str(e)) from e


class TlsGarbageTests(GarbageTests):
    """The same inside of TLS, and what comes to no good end before there is any."""

    def setUp(self) -> object:
        self.trust, self.certificate, _ = authority().issue("web.local").write(self.mktemp())
        self.context = ssl.create_default_context(cafile=self.trust)
        return super().setUp()

    def config(self) -> Config:
        """All of it is ended."""
        config = super().config()
        secured = [replace(one, tls="terminate", certificates=(self.certificate,)) for one in config.listen]
        services = {"web.local:443": Service("web.local:443", (self.upstream.address,))}
        return replace(config, listen=tuple(secured), services=services)

    def plain(self, *data: bytes) -> Wire:
        """A client that says C{data} without TLS."""
        return super().client(*data)

    def client(self, *data: bytes, port: str = "web", kernel_buffer: int = 0) -> Wire:
        """A client that says C{data} inside of TLS."""
        plain = super().client(port=port, kernel_buffer=kernel_buffer)
        wire = TlsWire(self.context.wrap_socket(plain.sock, server_hostname="web.local"))
        self.wires.append(wire)
        for piece in data:
            wire.send(piece)
        return wire

    @threaded
    def test_no_handshake(self) -> None:
        """Plain bytes, a hello that breaks off, one that is none, and a handshake that is given up."""

        def given_up() -> None:
            wire = super(TlsGarbageTests, self).client()
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = self.context.wrap_bio(incoming, outgoing, server_hostname="web.local")
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
            hello = outgoing.read()
            wire.send(hello[:100])
            eventually(self.connections)
            wire.send(hello[100:])
            wire.exactly(100)
            wire.close()

        def refused(*data: bytes) -> None:
            self.plain(*data).drained()

        self.check(given_up)
        for data in (GET, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600)):
            self.check(partial(refused, data))


class ProxiedGarbageTests(GarbageTests):
    """The same behind a PROXY protocol header, and without one."""

    def config(self) -> Config:
        """All listeners require it."""
        config = super().config()
        return replace(config, listen=tuple(replace(one, proxy_protocol="require") for one in config.listen))

    def client(self, *data: bytes, port: str = "web", kernel_buffer: int = 0) -> Wire:
        """A client that says for whom it is, and C{data}."""
        header = v2.build(("192.0.2.1", 1), ("192.0.2.2", 2))
        return super().client(header[:20], header[20:], *data, port=port, kernel_buffer=kernel_buffer)

    @threaded
    def test_no_header(self) -> None:
        """None, a malformed one, one that breaks off, and a health check."""
        connect = super().client

        def refused(data: bytes, leave: Callable[[Wire], object]) -> None:
            wire = connect(data)
            leave(wire)
            wire.drained()

        for data in (GET, b"PROXY TCP4 x\r\n"):
            self.check(partial(refused, data, Wire.drained))
        for data in (b"PROXY TC", v2.build_local()):
            self.check(partial(refused, data, Wire.fin))

    @threaded
    def test_told(self) -> None:
        """Upstreams that are told of clients: each connection is one client's, and goes with it."""
        told = Service("told", (self.upstream.address,), proxy_protocol="v1")
        web = replace(self.config().listen[0], target="service:told")
        self.again(listen=(web,), services={"told": told})

        def life(request: bytes, answer: bytes) -> None:
            client = self.client(request)
            up = self.upstream.accept()
            self.assertTrue(up.until(b"\r\n").startswith(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2"))
            self.assertEqual(request, up.exactly(len(request)))
            up.send(answer)
            client.until(answer[-4:])
            client.close()

        for request, answer in ((b"\xffany", b"thing"), (GET, OK), (GET, CLOSING), (UPGRADE, SWITCHING)):
            self.check(partial(life, request, answer))


class TlsUpstreamGarbageTests(GarbageTests):
    """The same with an upstream that is secured, and one that is not who it should be."""

    def setUp(self) -> object:
        self.folder = self.mktemp()
        self.leaf = authority().issue("127.0.0.1")
        return super().setUp()

    def new_upstream(self, kernel_buffer: int = 0) -> Upstream:
        """One with a certificate."""
        upstream = TlsUpstream(self.leaf, self.folder)
        self.upstreams.append(upstream)
        return upstream

    def config(self) -> Config:
        """All go there over TLS; by C{wrong}, for another name."""
        config, address = super().config(), self.upstream.address
        web, nobody = config.listen
        good = Service("good", (address,), tls=True, ca=f"{self.folder}/trust.pem")
        services = {"good": good, "wrong": replace(good, name="wrong", server_name="b.test")}
        wrong = Listen(name="wrong", address="127.0.0.1:0", target="service:wrong")
        return replace(config, listen=(replace(web, target="service:good"), nobody, wrong), services=services)

    @threaded
    def test_distrusted(self) -> None:
        """It is never spoken to."""

        def distrusted() -> None:
            client = self.client(GET, port="wrong")
            with contextlib.suppress(OSError):
                self.upstream.accept()
            self.assertIn(b"b.test", client.message())

        self.check(distrusted)
