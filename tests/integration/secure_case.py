# -*- test-case-name: tests.integration.test_tls_bad_input -*-
"""
A proxy with listeners that end TLS, and clients of another library than the proxy's own: Python's C{ssl}.
"""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor as _reactor
from twisted.internet.threads import blockingCallFromThread

from lproxy.config import Admin, Config, Identity, Listen, Service
from lproxy.testing.certificates import Leaf, authority
from tests.integration.http_case import HttpCase, Wire, _samples

reactor: Any = _reactor

SHOP = authority()
#: whom the frontend is, the proxy's own identity, and somebody of the same mesh
WWW, OWN, FRIEND = "www.shop.test", "cart.shop.mesh", "web.shop.mesh"


class TlsCase(HttpCase):
    """
    C{edge} ends all TLS, as C{www.shop.test}, C{detect} only what is for that name, C{off} looks for none. C{mesh} ends
    it for our identity, C{strict} only for who has one. All lead to the one upstream, which is plain; C{web} goes by
    the Host.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        SHOP.issue(WWW, "*.shop.test").write(self.folder, "www")
        SHOP.issue(OWN).write(self.folder, "own")
        self.trust = str(self.folder / "trust.pem")
        super().setUp()

    def config(self) -> Config:
        """The proxy's configuration."""
        address, fixed, shown = "127.0.0.1:0", self.upstream.address, (str(self.folder / "www.pem"),)
        return Config(
            admin=Admin(address=""),
            listen=(
                Listen(name="edge", address=address, target=fixed, tls="terminate", certificates=shown),
                Listen(name="detect", address=address, target=fixed, tls="detect", certificates=shown),
                Listen(name="off", address=address, target=fixed),
                Listen(name="web", address=address),
                Listen(name="mesh", address=address, target=fixed, direction="inbound"),
                Listen(name="strict", address=address, target=fixed, direction="inbound", require_identity=True),
            ),
            identity=Identity(*(str(self.folder / name) for name in ("trust.pem", "own.pem", "own.key"))),
            services={"web.local:80": Service("web.local:80", (fixed,))},
        )

    # the test's side

    def context(self, leaf: Leaf | None = None, trust: bytes = SHOP.pem) -> ssl.SSLContext:
        """A client's, which shows C{leaf}."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.load_verify_locations(cadata=trust.decode("ascii"))
        if leaf is not None:
            # whatever is wrong with it is for the proxy to find
            made.set_ciphers("DEFAULT:@SECLEVEL=0")
            _, certificate, key = leaf.write(self.mktemp())
            made.load_cert_chain(certificate, key)
        return made

    def secure(
        self, *data: bytes, port: str = "edge", sni: str | None = WWW, context: ssl.SSLContext | None = None
    ) -> Wire:
        """A client whose handshake is done, and that says C{data}."""
        plain = self.client(port=port)
        made = (context or self.context()).wrap_socket(plain.sock, server_hostname=sni)
        wire = Wire(made)
        self.wires.append(wire)
        for piece in data:
            wire.send(piece)
        return wire

    def tls(self, wire: Wire) -> ssl.SSLSocket:
        """The socket of a L{secure} client."""
        return cast("ssl.SSLSocket", wire.sock)

    def serial(self, wire: Wire) -> str:
        """The serial number of the certificate that C{wire} was shown."""
        shown = cast("dict[str, Any]", self.tls(wire).getpeercert())
        return str(shown["serialNumber"]).lower().lstrip("0")

    @property
    def handshakes(self) -> dict[str, int]:
        """Those that failed since L{forget}, by reason."""
        found: Counter[str] = Counter()
        for labels, value in blockingCallFromThread(reactor, _samples, self.proxy, "tls_handshake_total"):
            if labels["outcome"] == "failed" and labels["peer"] == "src":
                found[labels["reason"]] += value
        return dict(found - self._forgotten.get("tls_handshake_total", Counter()))

    def forget(self) -> None:
        """Begin all counts anew."""
        super().forget()
        known = self._forgotten.get("tls_handshake_total", Counter())
        self._forgotten["tls_handshake_total"] = known + Counter(self.handshakes)

    def well(self, port: str = "edge", **how: Any) -> None:
        """A client that does everything right is served: the first that the upstream hears of anybody."""
        request = b"GET /well HTTP/1.1\r\nHost: web.local\r\n\r\n"
        client = self.secure(request, port=port, **how)
        up = self.upstream.accept()
        self.assertIn(b"GET /well ", up.message())
        up.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        self.assertIn(b"200 OK", client.message())
        client.close()
        up.close()


def records(hello: bytes, size: int) -> Iterator[bytes]:
    """The message in the one record C{hello}, as records of C{size} bytes each."""
    message = hello[5:]
    for at in range(0, len(message), size):
        piece = message[at : at + size]
        yield hello[:3] + len(piece).to_bytes(2, "big") + piece


def with_sni(hello: bytes, name: bytes, kind: int = 0) -> bytes:
    """C{hello}, which asks for no name, asking for C{name}, whatever that is."""
    entry = bytes([kind]) + len(name).to_bytes(2, "big") + name
    value = len(entry).to_bytes(2, "big") + entry
    extension = (0).to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
    message = bytearray(hello[5:])
    at = 4 + 2 + 32
    at += 1 + message[at]  # session
    at += 2 + int.from_bytes(message[at : at + 2], "big")  # ciphers
    at += 1 + message[at]  # compression
    size = int.from_bytes(message[at : at + 2], "big") + len(extension)
    message[at : at + 2] = size.to_bytes(2, "big")
    message[at + 2 : at + 2] = extension
    message[1:4] = (len(message) - 4).to_bytes(3, "big")
    whole = hello[:3] + b"\0\0" + bytes(message)
    return b"".join(records(whole, 16384))
