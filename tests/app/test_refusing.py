# -*- test-case-name: tests.app.test_refusing -*-
"""
Tests for L{lproxy.app.refusing}: connections that are closed because of who their clients are.
"""

from __future__ import annotations

from lproxy.app.secure import ACCESS_DENIED
from lproxy.identity.policy import Policy
from lproxy.transport.stream import Secured
from tests.app.hello import hello
from tests.app.test_secure import SecureCase

MESH = Secured("web.test", local_identity="web.test", remote_identity="a.mesh")


class RefusingTests(SecureCase):
    """A listener, or the service behind it, is not for everybody."""

    def test_listener(self) -> None:
        """Who has proved nothing is closed before there is a session; who has is served."""
        self.policies = {None: Policy(allow=["a.*"])}
        peer = self.arrive(b"echo hello")
        self.assertEqual((b"", "closed"), (peer.heard, peer.ended))
        self.assertEqual(
            [
                "listener web: a echo connection from 10.0.0.1 was closed: policy: listener web is only for clients "
                "that prove an identity, with a certificate"
            ],
            self.proxy.warnings,
        )
        self.arrive(hello("web.test"))
        self.assertEqual(b"echo", self.inside(b"echo", MESH).heard)
        self.arrive(hello("web.test"))
        other = self.inside(b"echo", MESH._replace(remote_identity="b.mesh"))
        self.assertEqual((b"", "closed"), (other.heard, other.ended))
        self.assertEqual({"identity_required": 1, "identity_not_allowed": 1}, self.counter.denied)

    def test_service(self) -> None:
        """Where bytes go by themselves, their service is asked, too, before anything is opened."""
        self.policies = {"upstream.test:9000": Policy(deny=["a.mesh"])}
        self.arrive(hello("web.test"))
        self.inside(b"\0\1", MESH)
        self.arrive(hello("web.test"))
        self.inside(b"", MESH)
        self.proxy.settle(0.1)
        self.assertEqual([], self.proxy.connector.upstreams)
        self.assertIn("policy: upstream.test:9000 is denied to a.mesh", self.proxy.warnings[0])
        self.arrive(b"\0\1")
        self.assertEqual(1, len(self.proxy.connector.upstreams))

    def test_opaque(self) -> None:
        """Whose TLS is passed on has proved nothing to us: an alert says so."""
        self.policies = {None: Policy(require=True)}
        peer = self.arrive(hello("other.test"))
        self.assertEqual((ACCESS_DENIED, "closed"), (peer.heard, peer.ended))
        self.assertEqual((["policy-identity_required"], []), (self.kinds, self.proxy.connector.upstreams))
        self.assertEqual({"identity_required": 1}, self.counter.denied)
        self.assertEqual(0, len(self.sessions))
