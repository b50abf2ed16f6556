# -*- test-case-name: tests.protocols.http.test_announce -*-
"""
L{lproxy.protocols.http.announce}: upstreams that are told whose requests they get.
"""

from __future__ import annotations

from typing import Any

from lproxy.config import Service
from lproxy.protocols.http.factory import HttpFactory
from lproxy.protocols.http.pool import PooledLease
from lproxy.target import Metadata, Target
from lproxy.testing import Peer, ScriptedProxy
from lproxy.testing.upstream import CLIENT, OURS
from lproxy.transport.proxy_protocol import v1, v2
from lproxy.transport.stream import Secured
from tests.protocols.http.harness import GET, OK, HttpTestCase, Tuned, get, post

TOLD = {"v1": v1.build(CLIENT, OURS), "v2": v2.build(CLIENT, OURS)}


class AnnounceTests(HttpTestCase):
    """Each connection says for whom it is, once, and is for nobody else."""

    version: Any = "v2"

    def start(self, **changes: Any) -> None:
        """With a service that is told."""
        service = Service("web.test:80", proxy_protocol=self.version)

        def find(target: Target) -> Service:
            return service

        plugin = Tuned(timeouts=self.timeouts, limits=self.limits, service=find, **changes)
        self.proxy = ScriptedProxy(plugin, target=self.target, metadata=Metadata(proxy_protocol=self.version))
        self.factory: HttpFactory = self.proxy.factory
        self.factory.start()
        self.clients.clear()

    def leave(self, client: Peer) -> None:
        client.hang_up()
        self.settle()

    def test_told(self) -> None:
        """In either version, before the request's first byte; and no more before the next request."""
        for version, header in TOLD.items():
            self.version = version
            self.start()
            client = self.client(GET)
            self.assertEqual(header + GET, self.heard(self.up))
            self.say(self.up, OK)
            self.say(client, get("/2"))
            self.assertEqual(get("/2"), self.heard(self.up))
            self.say(self.up, OK)
            self.assertEqual((OK + OK, 1), (self.heard(client), len(self.ups)))
            self.leave(client)
            self.factory.stop()
        self.start()

    def test_never_shared(self) -> None:
        """The connection waits for its own client, and goes with it; another client has another."""
        alice = self.client(GET)
        self.say(self.up, OK)
        self.assertEqual((0, 0), (self.idle, self.proxy.open))
        bob = self.client(GET)
        self.assertEqual((2, TOLD["v2"] + GET), (len(self.ups), self.up.heard))
        self.say(self.up, OK)
        self.leave(alice)
        self.assertEqual(["closed", ""], [up.ended for up in self.ups])
        self.leave(bob)
        self.assertEqual([], self.open)

    def test_body(self) -> None:
        """A body that comes later goes on the same connection."""
        client = self.client(post(b"ab", length=4))
        self.say(client, b"cd")
        self.assertEqual(TOLD["v2"] + post(b"abcd"), self.heard(self.up))
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))

    def test_unused(self) -> None:
        """A lease that nobody used leaves a connection that is still anybody's."""
        lease = self.successResultOf(self.pool.acquire())
        lease.close()
        self.assertEqual((1, b""), (self.idle, self.heard(self.up)))
        self.client(GET)
        self.assertEqual((1, TOLD["v2"] + GET), (len(self.ups), self.heard(self.up)))
        self.say(self.up, OK)
        self.assertEqual(0, self.idle)

    def test_ends_unused(self) -> None:
        """One that the upstream ends, breaks or speaks on before it is used is given to nobody."""
        for end in (Peer.hang_up, Peer.reset, lambda up: up.say(b"HTTP/1.1 408 Request Timeout\r\n\r\n")):
            lease = self.successResultOf(self.pool.acquire())
            lease.close()
            end(self.up)
            self.settle()
            self.assertEqual((0, "closed"), (self.idle, self.up.ended))

    def test_used_after_its_end(self) -> None:
        """What has ended between lease and request is told as any such end is, and another connection is used."""
        lease = self.successResultOf(self.pool.acquire())
        lease.close()
        self.up.said = b"early"
        self.client(GET)
        self.assertEqual((2, TOLD["v2"] + GET), (len(self.ups), self.heard(self.up)))
        self.say(self.up, OK)

    def test_retried(self) -> None:
        """A request that goes once more is announced on the connection that it goes on then."""
        client = self.client(GET)
        self.say(self.up, OK)
        self.up.said = b""
        self.ups[0].hang_up()
        self.say(client, get("/2"))
        self.assertEqual((2, TOLD["v2"] + get("/2")), (len(self.ups), self.heard(self.up)))
        self.say(self.up, OK)
        self.assertEqual(OK + OK, self.heard(client))

    def test_tls(self) -> None:
        """Version 2 has what is known of the client's TLS."""
        secured = Secured(sni="web.test", remote_identity="cart.mesh")
        client = self.proxy.client(tls=secured)
        self.clients.append(client)
        self.say(client, GET)
        heard = self.heard(self.up)
        self.assertIn(b"web.test", heard.removesuffix(GET))
        self.assertIn(b"cart.mesh", heard.removesuffix(GET))

    def test_tunnel(self) -> None:
        """So has a connection that a CONNECT is for."""
        self.target = "authority"
        self.start()
        client = self.client(b"CONNECT web.test:443 HTTP/1.1\r\nHost: web.test:443\r\n\r\n")
        self.assertEqual(TOLD["v2"], self.heard(self.up))
        self.assertIn(b"200 Connection established", self.heard(client))

    def test_closed(self) -> None:
        """Whatever was not used yet goes with its pool."""
        lease = self.successResultOf(self.pool.acquire())
        assert isinstance(lease, PooledLease)
        self.pool.close()
        self.assertEqual("", self.up.ended)
        lease.close()
        self.assertEqual(("closed", 0), (self.up.ended, self.idle))
