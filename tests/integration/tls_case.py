# -*- test-case-name: tests.integration.test_tls -*-
"""
Proxies with certificates in this process, and real clients and servers of TLS around them: curl, OpenSSL, Python's.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.internet.threads import blockingCallFromThread

from lproxy.app.plugins import Found, find
from lproxy.app.service import Proxy
from lproxy.config import Admin, Config, Identity, Listen
from lproxy.testing.certificates import Issuer, Leaf, authority
from tests.components import require
from tests.integration.http_case import PATIENCE, HttpCase, Upstream, Wire, _samples, reactor

#: whom everybody trusts here, and somebody whom nobody does
SHOP, STRANGER = authority("shop"), authority("stranger")

ANY = "127.0.0.1:0"


class TlsUpstream(Upstream):
    """An application that speaks TLS by itself."""

    def __init__(self, leaf: Leaf, folder: str, client_ca: str = "", version: ssl.TLSVersion | None = None) -> None:
        super().__init__()
        _, certificate, key = leaf.write(folder, "upstream")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        if version is not None:
            self.context.maximum_version = version
        if client_ca:
            self.context.load_verify_locations(client_ca)
            self.context.verify_mode = ssl.CERT_REQUIRED

    def accept(self, seconds: float = PATIENCE) -> Wire:
        """The next connection, once its handshake is done."""
        self.sock.settimeout(seconds)
        sock, _ = self.sock.accept()
        sock.settimeout(seconds)
        wire = Wire(self.context.wrap_socket(sock, server_side=True))
        self.wires.append(wire)
        return wire


class TlsCase(HttpCase):
    """
    Proxies that a test runs by L{run_proxy}, with certificates in a folder of its own.
    """

    def setUp(self) -> None:
        self.plugins: list[Found] = []
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.trust = self.write("trust", SHOP.pem)
        super().setUp()

    def config(self) -> Config:
        """None of L{HttpCase}'s own."""
        return Config(admin=Admin(address=""), listen=())

    def write(self, name: str, data: bytes) -> str:
        """A file of the test's."""
        path = Path(self.folder, f"{name}.pem")
        path.write_bytes(data)
        return str(path)

    def issue(self, *names: str, issuer: Issuer = SHOP, **how: Any) -> str:
        """A certificate for C{names}, with its key in the same file."""
        leaf = issuer.issue(*names, **how)
        return self.write(names[0].replace("*", "any").replace("/", "-"), leaf.chain_pem + leaf.key_pem)

    def identity(self, name: str, **how: Any) -> Identity:
        """Who a proxy is."""
        leaf = SHOP.issue(name, **how)
        _, certificate, key = leaf.write(self.folder, name.replace("/", "-"))
        return Identity(self.trust, certificate, key)

    def run_proxy(self, *listeners: Listen, **more: Any) -> Proxy:
        """A proxy, from a test's thread; ports of its listeners are in C{self.ports}."""
        config = Config(**{"admin": Admin(address=""), "listen": listeners, **more})
        return blockingCallFromThread(reactor, self._run_one, config)

    def _run_one(self, config: Config) -> Proxy:
        proxy = self.proxy = Proxy(config, [*find(), *self.plugins], reactor)
        # whoever is in front ends first, and its connections with it
        self.proxies.insert(0, proxy)
        proxy.privilegedStartService()
        proxy.startService()
        self.ports |= {name: port for name, (_, port) in proxy.addresses().items()}
        return proxy

    def samples(self, family: str, proxy: Proxy | None = None, **labels: str) -> list[dict[str, str]]:
        """The label sets of a family, of at least C{labels}, that have counted anything."""
        found: list[tuple[dict[str, str], int]] = blockingCallFromThread(reactor, _samples, proxy or self.proxy, family)
        return [one for one, value in found if value and labels.items() <= one.items()]

    # clients

    def context(self, certificate: str = "", **versions: ssl.TLSVersion) -> ssl.SSLContext:
        """A client's, that trusts the shop, and shows a C{certificate}."""
        context = ssl.create_default_context(cafile=self.trust)
        if certificate:
            context.load_cert_chain(certificate)
        for name, version in versions.items():
            setattr(context, name, version)
        return context

    def secure(self, name: str | None, *data: bytes, port: str = "web", context: ssl.SSLContext | None = None) -> Wire:
        """A client that asks for C{name}, and says C{data} inside; C{None}: for no name, nor does it look at ours."""
        context = context or self.context()
        if name is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", self.ports[port]), PATIENCE)
        try:
            wire = Wire(context.wrap_socket(plain, server_hostname=name))
        except BaseException:
            plain.close()
            raise
        self.wires.append(wire)
        for piece in data:
            wire.send(piece)
        return wire

    def curl(self, url: str, *options: str) -> str:
        """What curl prints of C{url}, whose host is wherever the port is."""
        require("curl")
        host, _, port = url.partition("://")[2].partition("/")[0].rpartition(":")
        resolve = ["--resolve", f"{host}:{port}:127.0.0.1"] if host and not host[0].isdigit() else []
        command = ["curl", "-sS", "-m", "10", "--cacert", self.trust, *resolve, *options, url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        return done.stdout + done.stderr

    def openssl(self, *options: str, port: str = "web", said: str = "") -> str:
        """What C{openssl s_client} prints."""
        require("openssl")
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{self.ports[port]}", "-CAfile", self.trust, *options]
        done = subprocess.run(command, input=said, capture_output=True, text=True, timeout=20)
        return done.stdout + done.stderr

    @contextlib.contextmanager
    def echoing(self, upstream: Upstream) -> Iterator[None]:
        """Within: C{upstream} says again the first five bytes of one connection."""

        def serve() -> None:
            with contextlib.suppress(OSError, EOFError):
                wire = upstream.accept()
                wire.send(wire.exactly(5))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(PATIENCE)

    @contextlib.contextmanager
    def answering(self, upstream: Upstream, answer: bytes, times: int = 1) -> Iterator[list[bytes]]:
        """Within: C{upstream} answers so many connections' first requests, which are in the list at the end."""
        asked: list[bytes] = []

        def serve() -> None:
            for _ in range(times):
                with contextlib.suppress(OSError, EOFError):
                    wire = upstream.accept()
                    asked.append(wire.message())
                    wire.send(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        thread.join(PATIENCE)
