# -*- test-case-name: tests.integration.test_tls_reload -*-
"""
TLS over a reload: sessions are gone on with where nothing has changed about who shows what to whom, and where something
has they are not. With Python's own client and server.
"""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.threads import blockingCallFromThread

from lproxy.config import Config, Limits, Listen, Service
from lproxy.configfile.collector import at_once
from lproxy.testing.certificates import authority
from tests.integration.http_case import Wire, reactor, threaded
from tests.integration.tls_case import ANY, SHOP, TlsCase, TlsUpstream

EDGE, APP = "edge.test", "app.test"
GET = b"GET / HTTP/1.1\r\nHost: web.local\r\n\r\n"
#: whoever is answered so comes on another connection next
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"


class ReloadTests(TlsCase):
    """A proxy that is secured on both sides."""

    def setUp(self) -> None:
        super().setUp()
        self.app = TlsUpstream(SHOP.issue(APP), self.folder)
        self.addCleanup(self.app.sock.close)
        self.certificate = self.issue(EDGE)

    def configured(self, in_flight: int) -> Config:
        """The edge in front of the application, and something that is nobody's business."""
        listen = Listen("edge", ANY, target="service:app", protocol="http", certificates=(self.certificate,))
        service = Service("app", (self.app.address,), tls=True, server_name=APP, ca=self.trust)
        limits = Limits(in_flight=in_flight)
        return replace(self.config(), listen=(listen,), services={"app": service}, limits=limits)

    def begin(self) -> None:
        """Start it; a first client."""
        config = self.configured(1_000)
        self.run_proxy(*config.listen, services=config.services, limits=config.limits)
        self.session: ssl.SSLSession | None = None
        self.context_ = self.context()
        self.resumed()

    def reload(self) -> None:
        """Serve by another configuration."""
        config = self.configured(self.proxy.config.limits.in_flight + 1)
        blockingCallFromThread(reactor, lambda: self.proxy.swap(config, at_once(self.proxy.assemble(config))))

    def resumed(self) -> list[bool]:
        """Whether a client that is served, and the proxy as that of the application, go on with a session."""
        plain = self.client(port="edge").sock
        tls = self.context_.wrap_socket(plain, server_hostname=EDGE, session=self.session)
        client = Wire(tls)
        self.wires.append(client)
        client.send(GET)
        up = self.app.accept()
        up.message()
        up.send(OK)
        client.message()
        self.session = tls.session
        upstream: Any = up.sock
        found = [bool(tls.session_reused), bool(upstream.session_reused)]
        # by the proxy: whoever ends it otherwise than TLS wants spoils the session
        self.assertEqual("eof", up.end())
        up.close()
        client.close()
        return found

    @threaded
    def test_same(self) -> None:
        """Where nothing has changed about who shows what to whom, they do, over reload after reload."""
        self.begin()
        for _ in range(3):
            self.reload()
            self.assertEqual([True, True], self.resumed())

    @threaded
    def test_certificate(self) -> None:
        """Another certificate is shown to everybody, in a full handshake."""
        self.begin()
        self.issue(EDGE)
        self.reload()
        self.assertEqual([False, True], self.resumed())

    @threaded
    def test_anchors(self) -> None:
        """With other anchors, everybody is verified anew."""
        self.begin()
        Path(self.trust).write_bytes(SHOP.pem + authority("other").pem)
        self.reload()
        self.assertEqual([True, False], self.resumed())
