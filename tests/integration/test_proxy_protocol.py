# -*- test-case-name: tests.integration.test_proxy_protocol -*-
"""
The PROXY protocol both ways, with the programs that speak it: HAProxy, nginx and curl.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.threads import blockingCallFromThread

from lproxy.config import Admin, Config, Listen, Service
from lproxy.transport.proxy_protocol import tlv, v1, v2
from lproxy.transport.proxy_protocol.header import AUTHORITY, SSL, SSL_CN, SSL_VERSION, Header
from lproxy.transport.proxy_protocol.parse import parse
from tests.components import require
from tests.integration.http_case import CLOSING, GET, OK, PATIENCE, HttpCase, Wire, _samples, eventually, threaded
from tests.integration.ports import free_ports
from tests.integration.tls_case import ANY, TlsCase

reactor: Any = _reactor

#: where clients come from, which is nobody's own address here
ALICE, BOB = "127.0.0.7", "127.0.0.8"
#: said by headers
SOURCE, DESTINATION = ("192.0.2.1", 56324), ("198.51.100.2", 443)

#: in front: TCP, whose clients it tells of
HAPROXY_FRONT = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 10s
    timeout server 10s
listen front
    bind 127.0.0.1:{front}
    server s 127.0.0.1:{back} {options}
"""
#: behind: says what it was told
HAPROXY_BACK = """
defaults
    mode http
    timeout client 10s
frontend back
    bind 127.0.0.1:{back} accept-proxy
    http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] to %[dst]:%[dst_port]"
"""
NGINX_HEAD = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
"""
NGINX_FRONT = """
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events {{ }}
stream {{
    server {{ listen 127.0.0.1:{front}; proxy_pass 127.0.0.1:{back}; proxy_protocol on; }}
}}
"""
NGINX_BACK = """
events {{ }}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{back} proxy_protocol;
        location / {{
            default_type text/plain;
            set $to $proxy_protocol_server_addr:$proxy_protocol_server_port;
            return 200 "$proxy_protocol_addr:$proxy_protocol_port to $to";
        }}
    }}
}}
"""


class Programs(HttpCase):
    """Tests with other proxies around the proxy."""

    def run_program(self, *command: str) -> None:
        """A server, for as long as the test runs."""
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

        def stop() -> None:
            process.terminate()
            process.wait(PATIENCE)

        self.addCleanup(stop)

    def haproxy(self, config: str, **values: object) -> None:
        """HAProxy."""
        require("haproxy")
        path = Path(self.mktemp())
        path.write_text(config.format(**values))
        self.run_program("haproxy", "-q", "-db", "-f", str(path))

    def nginx(self, config: str, **values: object) -> None:
        """nginx."""
        require("nginx")
        folder = Path(self.mktemp()).resolve()
        folder.mkdir()
        path = folder / "nginx.conf"
        path.write_text((NGINX_HEAD + config).format(folder=folder, **values))
        self.run_program("nginx", "-e", "stderr", "-c", str(path))

    def come(self, port: int, host: str = ALICE) -> Wire:
        """A client from C{host}, as soon as somebody listens on C{port}."""

        def connected() -> socket.socket | None:
            try:
                return socket.create_connection(("127.0.0.1", port), PATIENCE, (host, 0))
            except ConnectionError:
                return None

        wire = Wire(eventually(connected, f"{port} is listened on"))  # type: ignore[arg-type]
        self.wires.append(wire)
        return wire


class ProxyProtocolCase(Programs):
    """A proxy whose listener requires headers, and whose services are told of clients."""

    def config(self) -> Config:
        """C{web} requires a header; C{v1}, C{v2} and C{bytes} lead to services that are told."""
        address, fixed = "127.0.0.1:0", self.upstream.address
        networks = ("127.0.0.0/8",)
        self.back = free_ports()
        back = f"127.0.0.1:{self.back}"
        return Config(
            admin=Admin(address=""),
            listen=(
                Listen(
                    name="web",
                    address=address,
                    target=fixed,
                    proxy_protocol="require",
                    proxy_protocol_from=networks,
                    forwarded="append",
                ),
                Listen(
                    name="nobody",
                    address=address,
                    target=fixed,
                    proxy_protocol="require",
                    proxy_protocol_from=("10.0.0.1",),
                ),
                Listen(name="v1", address=address, target="service:v1"),
                Listen(name="v2", address=address, target="service:v2"),
                Listen(name="bytes", address=address, target="service:v2", protocol="tcp"),
                Listen(name="chain", address=address, target="service:v2", proxy_protocol="require"),
            ),
            services={
                "v1": Service("v1", (back,), proxy_protocol="v1"),
                "v2": Service("v2", (back,), proxy_protocol="v2"),
            },
        )

    def headers(self, listener: str = "web") -> dict[str, int]:
        """C{proxy_protocol_total} of a listener, by result."""
        samples = blockingCallFromThread(reactor, _samples, self.proxy, "proxy_protocol_total")
        return {labels["result"]: value for labels, value in samples if labels["listener"] == listener}

    def forwarded(self, client: Wire) -> str:
        """The address that the upstream is told for a request of C{client}, which has sent none yet."""
        client.send(GET)
        up = self.upstream.accept()
        head = up.message()
        up.send(CLOSING)
        self.assertEqual(OK, client.message())
        (line,) = (line for line in head.split(b"\r\n") if line.lower().startswith(b"x-forwarded-for"))
        return line.partition(b": ")[2].decode()


class InTests(ProxyProtocolCase):
    """Clients' addresses are what those in front say."""

    @threaded
    def test_curl(self) -> None:
        """curl's header is taken; without it, curl is closed, and the upstream hears nothing."""
        require("curl")
        url = f"http://127.0.0.1:{self.ports['web']}/"
        command = ["curl", "-s", "-S", "-m", "10", "-H", "Host: web.local"]
        told = subprocess.Popen([*command, "--haproxy-protocol", url], stdout=subprocess.PIPE)
        up = self.upstream.accept()
        self.assertIn(b"X-Forwarded-For: 127.0.0.1\r\n", up.message())
        up.send(OK)
        self.assertEqual((b"ok", None), told.communicate(timeout=PATIENCE))
        silent = subprocess.run([*command, url], capture_output=True, check=False)
        self.assertIn(silent.returncode, (52, 56))
        self.assertTrue(self.upstream.nobody())
        self.assertEqual({"v1": 1, "missing": 1}, self.headers())

    @threaded
    def test_haproxy(self) -> None:
        """Either version, with all that HAProxy can say besides, checksum included."""
        for options, version in (
            ("send-proxy", "v1"),
            ("send-proxy-v2", "v2"),
            ("send-proxy-v2 proxy-v2-options crc32c,unique-id,authority", "v2"),
            ("send-proxy-v2-ssl-cn", "v2"),
        ):
            front, before = free_ports(), self.headers().get(version, 0)
            self.haproxy(HAPROXY_FRONT, front=front, back=self.ports["web"], options=options)
            self.assertEqual(ALICE, self.forwarded(self.come(front)), options)
            self.assertEqual(before + 1, self.headers()[version])

    @threaded
    def test_nginx(self) -> None:
        """nginx's stream proxy."""
        front = free_ports()
        self.nginx(NGINX_FRONT, front=front, back=self.ports["web"])
        self.assertEqual([ALICE, BOB], [self.forwarded(self.come(front, host)) for host in (ALICE, BOB)])

    @threaded
    def test_health_checks(self) -> None:
        """HAProxy's own checks, which say LOCAL, keep the server up, and reach nobody behind it."""
        front = free_ports()
        options = "send-proxy-v2 check-send-proxy check inter 50ms fall 1 rise 1"
        self.haproxy(HAPROXY_FRONT, front=front, back=self.ports["web"], options=options)
        eventually(lambda: sum(self.headers().get(result, 0) for result in ("local", "eof")) > 5, "checks")
        self.assertTrue(self.upstream.nobody())
        self.assertEqual(ALICE, self.forwarded(self.come(front)))

    @threaded
    def test_shown(self) -> None:
        """The address is the client's wherever connections are shown and counted."""
        client = self.client(v2.build(SOURCE, DESTINATION), b"\0not http")
        up = self.upstream.accept()
        self.assertEqual(b"\0not http", up.exactly(9))
        (row,) = self.connections()
        self.assertEqual("192.0.2.1:56324", row["client"])
        opened = blockingCallFromThread(reactor, _samples, self.proxy, "tcp_open_total")
        self.assertEqual(["198.51.100.2:443"], [labels["dst_addr"] for labels, _ in opened if labels["peer"] == "src"])
        client.close()

    @threaded
    def test_server_first(self) -> None:
        """A client that waits for its server gets it, its header notwithstanding."""
        client = self.client(v1.build(SOURCE, DESTINATION))
        self.upstream.accept().send(b"220 hello\r\n")
        self.assertEqual(b"220 hello\r\n", client.until(b"\n"))

    @threaded
    def test_refused(self) -> None:
        """Whatever else comes, from wherever, is closed, and reaches nobody."""
        for port, data in (
            ("web", GET),
            ("web", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
            ("web", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 70000\r\n" + GET),
            ("web", b"PROXY " + b"A" * 5000),
            ("web", v2.SIGNATURE + b"\x21\x11\xff\xff" + bytes(100)),
            ("web", v2.build(SOURCE, DESTINATION)[:-1].replace(b"\x00\x0c", b"\x00\x0b") + GET),
            ("nobody", v2.build(SOURCE, DESTINATION) + GET),
        ):
            self.assertIn(self.client(data, port=port).drained(), ("eof", "reset"), data)
        half = self.client(v2.build(SOURCE, DESTINATION)[:20]).fin()
        self.assertIn(half.drained(), ("eof", "reset"))
        self.assertTrue(self.upstream.nobody())
        self.assertEqual(({"missing": 2, "malformed": 5}, {"untrusted": 1}), (self.headers(), self.headers("nobody")))

    @threaded
    def test_many_half_open(self) -> None:
        """Those that never finish hold nobody else up, and are shown."""
        half = [self.client(v1.build(SOURCE, DESTINATION)[:5]) for _ in range(200)]
        self.assertEqual("192.0.2.1", self.forwarded(self.client(v1.build(SOURCE, DESTINATION))))
        self.assertEqual(200, sum(row["state"] == "proxy header" for row in self.connections()))
        for client in half:
            client.close()


class OutTests(ProxyProtocolCase):
    """Servers are told of clients."""

    def asked(self, client: Wire) -> str:
        """What the server says that it was told, of C{client} and where that had connected to."""
        client.send(GET)
        return client.message().partition(b"\r\n\r\n")[2].decode().strip()

    def check(self) -> None:
        """Two clients that take turns are told apart, by every server and in both versions."""
        for version in ("v1", "v2"):
            clients = [self.come(self.ports[version], host) for host in (ALICE, BOB)]
            for _ in range(3):
                for client in clients:
                    host, port = client.sock.getsockname()
                    self.assertEqual(f"{host}:{port} to 127.0.0.1:{self.ports[version]}", self.asked(client))

    @threaded
    def test_haproxy(self) -> None:
        """HAProxy understands it."""
        self.haproxy(HAPROXY_BACK, back=self.back)
        self.come(self.back)
        self.check()

    @threaded
    def test_nginx(self) -> None:
        """nginx does."""
        self.nginx(NGINX_BACK, back=self.back)
        self.come(self.back)
        self.check()

    @threaded
    def test_bytes(self) -> None:
        """So it is where lproxy does not know that it is HTTP."""
        self.haproxy(HAPROXY_BACK, back=self.back)
        self.come(self.back)
        client = self.come(self.ports["bytes"])
        host, port = client.sock.getsockname()
        self.assertEqual(f"{host}:{port} to 127.0.0.1:{self.ports['bytes']}", self.asked(client))

    @threaded
    def test_chain(self) -> None:
        """What one header says, the next says on."""
        self.haproxy(HAPROXY_BACK, back=self.back)
        self.come(self.back)
        client = self.client(v1.build(SOURCE, DESTINATION), port="chain")
        self.assertEqual("192.0.2.1:56324 to 198.51.100.2:443", self.asked(client))


class SecuredTests(TlsCase, Programs):
    """TLS behind a header, and of TLS what headers tell."""

    def proxied(self, *listeners: Listen) -> None:
        """A proxy with these, whose upstream is told."""
        told = Service("told", (self.upstream.address,), proxy_protocol="v2")
        self.run_proxy(*listeners, services={"told": told}, identity=self.identity("cart.shop.mesh"))

    def announced(self, up: Wire) -> Header:
        """What the upstream hears first."""
        head = up.exactly(16)
        header = parse(head + up.exactly(int.from_bytes(head[14:], "big")))
        assert isinstance(header, Header)
        return header

    @threaded
    def test_curl(self) -> None:
        """curl sends its header before it begins with TLS, which is ended; requests say that they came by https."""
        shown = (self.issue("web.test"),)
        more: dict[str, Any] = {"proxy_protocol": "require", "forwarded": "append"}
        for tls in ("terminate", "detect"):
            self.run_proxy(
                Listen(name="web", address=ANY, target=self.upstream.address, tls=tls, certificates=shown, **more)
            )
            url = f"https://web.test:{self.ports['web']}/"
            with self.answering(self.upstream, CLOSING) as asked:
                self.assertEqual("ok", self.curl(url, "--haproxy-protocol", "--http1.1"))
            for field in (b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Proto: https"):
                self.assertIn(field, asked[0])
            # and nobody without it
            self.assertIn("curl: (", self.curl(url))
            self.assertTrue(self.upstream.nobody())

    @threaded
    def test_haproxy(self) -> None:
        """HAProxy in front, and what it passes on is TLS: the client's address is known inside."""
        require("haproxy")
        shown = (self.issue("web.test"),)
        self.run_proxy(
            Listen(name="web", address=ANY, target=self.upstream.address, certificates=shown, proxy_protocol="require")
        )
        front = free_ports()
        self.haproxy(HAPROXY_FRONT, front=front, back=self.ports["web"], options="send-proxy-v2")
        plain = self.come(front).sock
        client = Wire(self.context().wrap_socket(plain, server_hostname="web.test"))
        self.wires.append(client)
        client.send(GET)
        self.upstream.accept().message()
        (row,) = self.connections()
        self.assertTrue(row["client"].startswith(f"{ALICE}:"), row)

    @threaded
    def test_told(self) -> None:
        """A service is told what the client asked for and agreed on, and who it is."""
        self.proxied(Listen(name="web", address=ANY, target="service:told", direction="inbound", protocol="http"))
        client = self.secure("cart.shop.mesh", GET, context=self.context(self.issue("web.shop.mesh")))
        up = self.upstream.accept()
        header = self.announced(up)
        self.assertEqual(client.sock.getsockname(), header.source)
        self.assertEqual(b"cart.shop.mesh", header.told[AUTHORITY])
        self.assertEqual(b"\x07" + bytes(4), header.told[SSL][:5])
        inner = tlv.read(header.told[SSL], 5)
        self.assertEqual((b"web.shop.mesh", b"TLSv1.3"), (inner[SSL_CN], inner[SSL_VERSION]))
        self.assertIn(b"l5d-client-id: web.shop.mesh", up.message())
        up.send(OK)
        self.assertEqual(OK, client.message())

    @threaded
    def test_http2(self) -> None:
        """Of a client that speaks HTTP/2 each request in flight has a connection, and all of them say who it is."""
        back = free_ports()
        self.haproxy(HAPROXY_BACK, back=back)
        self.come(back)
        told = Service("told", (f"127.0.0.1:{back}",), proxy_protocol="v2")
        web = Listen(name="web", address=ANY, target="service:told", certificates=(self.issue("web.test"),))
        self.run_proxy(web, services={"told": told})
        port = self.ports["web"]
        for _ in range(2):
            urls = [f"https://web.test:{port}/{n}" for n in range(8)]
            by = " by %{http_version} from %{local_port}\\n"
            said = self.curl(urls[0], *urls[1:], "--http2", "--parallel", "-w", by)
            # what they say may come in any order
            (source,) = set(re.findall(r" by 2 from (\d+)", said))
            self.assertEqual(8, said.count(f"127.0.0.1:{source} to 127.0.0.1:{port}"), said)
        eventually(lambda: not self.connections(), "the clients are gone")
        self.assertEqual([], self.samples("tcp_open_connections", peer="dst"))

    @threaded
    def test_passed_on(self) -> None:
        """TLS that passes through begins behind the header, which tells the name that it is for."""
        self.proxied(Listen(name="web", address=ANY, target="service:told", tls="passthrough"))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.context().wrap_bio(incoming, outgoing, server_hostname="web.test")
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        hello = outgoing.read()
        wire = self.client(hello)
        up = self.upstream.accept()
        header = self.announced(up)
        self.assertEqual((wire.sock.getsockname(), {AUTHORITY: b"web.test"}), (header.source, dict(header.told)))
        self.assertEqual(hello, up.exactly(len(hello)))

    @threaded
    def test_refused(self) -> None:
        """What is no TLS behind its header, where all has to be, is turned away as ever; nobody hears of it."""
        shown = (self.issue("web.test"),)
        more: dict[str, Any] = {"proxy_protocol": "require", "tls": "terminate", "certificates": shown}
        header = v2.build(SOURCE, DESTINATION)
        self.run_proxy(Listen(name="web", address=ANY, target=self.upstream.address, **more))
        for data in (header + b"\0\xffbytes", header + header, header + b"\x16\x03\x01\0\x05\x01\0\0\x01\0", GET):
            self.assertIn(self.client(data).drained(), ("eof", "reset"))
        answer = self.client(header + GET).head()
        self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
        self.assertTrue(self.upstream.nobody())
