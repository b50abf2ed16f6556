# -*- test-case-name: tests.integration.test_tls_rotation -*-
"""
Certificates that are replaced under traffic: no request fails, who comes next is shown the new one, and who is there
stays with the old one.
"""

from __future__ import annotations

import os
import ssl
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.threads import blockingCallFromThread

from lproxy.app import identities
from lproxy.testing.certificates import Leaf, authority
from tests.integration.http_case import OK, Wire, _samples, eventually, reactor, threaded
from tests.integration.secure_case import FRIEND, OWN, SHOP, WWW, TlsCase

#: how long the proxy takes to see what is new, here
INTERVAL = 0.05
REQUEST = b"GET / HTTP/1.1\r\nHost: web.local\r\n\r\n"


class RotationTests(TlsCase):
    """Under traffic."""

    def setUp(self) -> None:
        self.patch(identities, "INTERVAL", INTERVAL)
        #: the upstream's end for each client
        self.ups: dict[Wire, Wire] = {}
        super().setUp()

    def serve(self, client: Wire) -> None:
        """A request on C{client}, served."""
        client.send(REQUEST)
        if client not in self.ups:
            self.ups[client] = self.upstream.accept()
        up = self.ups[client]
        up.message()
        up.send(OK)
        self.assertEqual(OK, client.message())

    def replaced(self, leaf: Leaf, name: str = "www") -> str:
        """Write C{leaf} as careful programs do, the key first; its serial number."""
        fresh = Path(self.mktemp())
        leaf.write(fresh, name)
        for suffix in ("key", "pem"):
            os.replace(fresh / f"{name}.{suffix}", self.folder / f"{name}.{suffix}")
        return f"{leaf.certificate.serial_number:x}"

    def shown(self, port: str = "edge", sni: str = WWW, context: ssl.SSLContext | None = None) -> str:
        """The serial number that a new client sees."""
        client = self.secure(port=port, sni=sni, context=context)
        serial = self.serial(client)
        client.close()
        return serial

    def counted(self, family: str, **labels: str) -> int:
        """The sum of a family's samples with these labels."""
        rows: list[Any] = blockingCallFromThread(reactor, _samples, self.proxy, family)
        return sum(value for found, value in rows if labels.items() <= found.items())

    def refused(self, path: str, reason: str) -> bool:
        """Whether something in C{path} was refused once for C{reason}."""
        return self.counted("identity_cert_refresh_refused_total", certificate=path, reason=reason) == 1

    @threaded
    def test_under_load(self) -> None:
        """Twenty rotations while a client asks on: it is answered each time, and new ones are shown the new one."""
        old = self.secure()
        first = self.serial(old)
        self.serve(old)
        seen = set()
        for _ in range(20):
            wanted = self.replaced(SHOP.issue(WWW))
            until = time.monotonic() + 5
            while self.shown() != wanted and time.monotonic() < until:
                self.serve(old)
            seen.add(self.shown())
            self.serve(old)
        self.assertEqual(20, len(seen - {first}))
        path = str(self.folder / "www.pem")
        counted = partial(self.counted, "identity_cert_refresh_total", certificate=path)
        eventually(lambda: counted() >= 21, "all are counted")
        self.assertEqual({}, self.handshakes)

    @threaded
    def test_bad_ones(self) -> None:
        """What is bad is refused and counted by its reason, and the good one is shown on."""
        good = self.shown()
        path = self.folder / "www.pem"
        for reason, leaf, data in [
            ("expired", SHOP.issue(WWW, lasts=timedelta(hours=-1)), None),
            ("not_yet_valid", SHOP.issue(WWW, begins=timedelta(hours=1)), None),
            ("key_mismatch", None, SHOP.issue(WWW).chain_pem),
            ("truncated", None, path.read_bytes()[:-30]),
            ("empty", None, b""),
            ("not_pem", None, b"hello"),
        ]:
            if leaf is not None:
                self.replaced(leaf)
            else:
                path.write_bytes(data or b"")
            eventually(partial(self.refused, str(path), reason), reason)
            self.assertEqual(good, self.shown(), reason)
        new = self.replaced(SHOP.issue(WWW))
        eventually(lambda: self.shown() == new, "the new one is shown")

    @threaded
    def test_anchors(self) -> None:
        """An anchor that is taken out lets nobody in any more, by no ticket either; who is in stays in."""
        other = authority("next")
        friend = self.context(SHOP.issue(FRIEND), SHOP.pem + other.pem)
        there = self.secure(port="mesh", sni=OWN, context=friend)
        self.serve(there)
        trust = self.folder / "trust.pem"
        trust.write_bytes(SHOP.pem + other.pem)
        new = self.replaced(other.issue(OWN), "own")
        eventually(lambda: self.shown("mesh", OWN, friend) == new, "both anchors")
        trust.write_bytes(other.pem)
        session = self.tls(there).session

        def stranger() -> bool:
            plain = self.client(port="mesh")
            again = Wire(friend.wrap_socket(plain.sock, server_hostname=OWN, session=session))
            try:
                return not again.silent()
            except ssl.SSLError as error:
                return "unknown ca" in str(error).replace("_", " ").lower()
            finally:
                again.close()

        eventually(stranger, "the old anchor is gone")
        self.serve(there)
        self.assertEqual(new, self.shown("mesh", OWN, self.context(other.issue(FRIEND), other.pem)))
