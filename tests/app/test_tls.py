# -*- test-case-name: tests.app.test_tls -*-
"""
Tests for L{lproxy.app.tls}: what an assembly has to do with TLS.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.assembly import CannotStart
from lproxy.app.tls import LOOPBACK, NOT_BY_DISCOVERY, NOT_BY_REMOTE, PORT_SKIPPED, Security
from lproxy.config import Admin, Config, Identity, KeyLog, Listen, Service
from lproxy.configfile.collector import at_once
from lproxy.target import ServiceName, Target
from lproxy.testing.certificates import Leaf, authority
from lproxy.transport.stream import DISABLED, UNSECURED, Plain
from tests.app.scene import Scene

SHOP = authority()


class SecurityCase(SynchronousTestCase):
    """Certificates in files."""

    def setUp(self) -> None:
        self.scene = Scene(self)
        self.folder = self.mktemp()

    def identity(self, leaf: Leaf) -> Identity:
        """Its files."""
        return Identity(*leaf.write(self.folder, "own"))

    def security(self, *listeners: Listen, **more: Any) -> Security:
        """Of a configuration with these."""
        config = Config(listen=listeners, **more)

        def find(target: Target) -> Service | None:
            return config.services.get(str(target))

        return Security(config, self.scene.around, find)


class LoadTests(SecurityCase):
    """Files that are not good keep a configuration from being started, each with its reason."""

    def refused(self, *listeners: Listen, **more: Any) -> str:
        """Why it cannot be started."""
        return str(self.assertRaises(CannotStart, self.scene.assembly, *listeners, **more))

    def test_identity(self) -> None:
        """One that has expired, or is not valid yet (T22); files that are not there."""
        listen = Listen("in", "127.0.0.1:1", "inbound", "service:app", protocol="note")
        services = {"app": Service("app", ("127.0.0.1:2",))}
        for leaf, why in (
            (
                SHOP.issue("a.mesh", lasts=timedelta(days=-1)),
                "certificate of a.mesh (serial .*) has expired: it was valid",
            ),
            (SHOP.issue("a.mesh", begins=timedelta(hours=1)), "certificate of a.mesh (serial .*) is not valid yet"),
        ):
            self.assertRegex(
                self.refused(listen, services=services, identity=self.identity(leaf)),
                why.replace("(", r"\(").replace(")", r"\)"),
            )
        gone = Identity("/nowhere/t.pem", "/nowhere/c.pem", "/nowhere/k.pem")
        self.assertIn(
            "/nowhere/t.pem: cannot be read: No such file or directory",
            self.refused(listen, services=services, identity=gone),
        )

    def test_certificates(self) -> None:
        """A listener's certificate whose key is another's."""
        _, certificate, _ = SHOP.issue("a.test").write(self.folder, "a")
        SHOP.issue("b.test").write(self.mktemp(), "b")
        with open(certificate.replace(".pem", ".key"), "wb") as file:
            file.write(SHOP.issue("b.test").key_pem)
        listen = Listen("in", "127.0.0.1:1", target="a:1", protocol="note", certificates=(certificate,))
        self.assertIn("is not for the private key in", self.refused(listen))

    def test_service(self) -> None:
        """What is to be trusted, or shown, for a service is read before anybody asks for it."""
        listen = Listen("in", "127.0.0.1:1", target="service:app", protocol="note")
        service = Service("app", ("127.0.0.1:2",), tls=True, ca="/nowhere/ca.pem")
        self.assertEqual(
            "service app: /nowhere/ca.pem: cannot be read: No such file or directory",
            self.refused(listen, services={"app": service}),
        )

    def test_foreign(self) -> None:
        """A service of another trust domain than ours could never be connected to; one with a DNS name may be."""
        listen = Listen("in", "127.0.0.1:1", target="service:app", protocol="note")
        own = self.identity(SHOP.issue("spiffe://shop/web"))
        service = Service("app", ("127.0.0.1:2",), identity="spiffe://other/app")
        self.assertIn(
            "service app: identity spiffe://other/app is of another trust domain than ours, shop",
            self.refused(listen, services={"app": service}, identity=own),
        )
        for good in ("spiffe://shop/app", "app.mesh"):
            known = {"app": Service("app", ("127.0.0.1:2",), identity=good)}
            self.assertEqual([], at_once(self.security(listen, services=known, identity=own).load()))

    def test_all(self) -> None:
        """All that is wrong is said at once, each thing once."""
        services = {
            name: Service(name, ("127.0.0.1:2", "127.0.0.1:3"), tls=True, ca=f"/nowhere/{name}.pem")
            for name in ("a", "b")
        }
        listen = Listen("in", "127.0.0.1:1", target="service:a", protocol="note")
        self.assertEqual(2, self.refused(listen, services=services).count("No such file"))

    def test_good(self) -> None:
        """What is good is looked at every second, and no more once it is over."""
        listen = Listen("in", "127.0.0.1:1", "inbound", "a:1", protocol="note")
        assembly = self.scene.assembly(listen, identity=self.identity(SHOP.issue("a.mesh")))
        self.assertIn('identity_cert_refresh_total{certificate="identity"} 1', self.scene.text())
        self.scene.reactor.settle(2.0)
        assembly.close()
        self.assertEqual([], self.scene.reactor.getDelayedCalls())

    def test_reopen(self) -> None:
        """SIGHUP has files looked at now, and what is wrong with them told at once."""
        listen = Listen("in", "127.0.0.1:1", "inbound", "a:1", protocol="note")
        assembly = self.scene.assembly(listen, identity=self.identity(SHOP.issue("a.mesh")))
        SHOP.issue("a.mesh", lasts=timedelta(days=-1)).write(self.folder, "own")
        assembly.reopen()
        (warning,) = self.scene.warnings
        self.assertIn("has expired", warning)
        self.assertIn("what was in use before still is", warning)
        assembly.close()

    def test_key_log(self) -> None:
        """Secrets are written from the start on, which is said; where they cannot be, nothing starts."""
        listen = Listen("in", "127.0.0.1:1", target="a:1", protocol="note")
        path = self.mktemp()
        assembly = self.scene.assembly(listen, key_log=KeyLog(path))
        with open(path, "rb") as file:
            self.assertEqual(b"", file.read())
        assembly.close()
        said = self.refused(listen, key_log=KeyLog("/nowhere/secrets"))
        self.assertEqual("key_log.path: cannot write to /nowhere/secrets: No such file or directory", said)

    def test_admin(self) -> None:
        """What the admin server shows is read with the rest."""
        listen = Listen("in", "127.0.0.1:1", target="a:1", protocol="note")
        admin = Admin(address="", certificate="/nowhere/admin.pem")
        self.assertIn("/nowhere/admin.pem: cannot be read", self.refused(listen, admin=admin))


class PlainTests(SecurityCase):
    """Why connections are plain."""

    def test_accepted(self) -> None:
        """Nobody is to have any; it was looked for; it was not looked for, and might have been."""
        own = self.identity(SHOP.issue("a.mesh"))
        inbound, outbound = Listen("i", "127.0.0.1:1", "inbound"), Listen("o", "127.0.0.1:2", "outbound")
        skipped = Listen("s", "127.0.0.1:3", "inbound", tls="off")
        passed = Listen("p", "127.0.0.1:3", "inbound", tls="passthrough")
        looked = Plain(NOT_BY_REMOTE, NOT_BY_REMOTE)
        for identity, listen, expected in (
            (Identity(), inbound, UNSECURED),
            (Identity(), passed, looked),
            (own, inbound, looked),
            (own, passed, looked),
            (own, skipped, Plain(PORT_SKIPPED, PORT_SKIPPED)),
            (own, outbound, Plain(PORT_SKIPPED, LOOPBACK)),
        ):
            self.assertEqual(expected, self.security(listen, identity=identity).accepted(listen), listen)

    def test_opened(self) -> None:
        """To an upstream of which nobody says who it is, or that is on this machine."""
        self.assertEqual(UNSECURED, self.security().opened())
        plain = self.security(identity=self.identity(SHOP.issue("a.mesh"))).opened()
        self.assertEqual(
            [LOOPBACK, LOOPBACK, NOT_BY_DISCOVERY, NOT_BY_DISCOVERY],
            [plain.reason(host) for host in ("127.0.0.1", "::1", "10.0.0.1", "")],
        )
        self.assertEqual(DISABLED, UNSECURED.reason("127.0.0.1"))


class PolicyTests(SecurityCase):
    """Who may."""

    def test_policies(self) -> None:
        """A listener has its own, and so does each service; where nothing is said, everybody may."""
        own, other = Listen("a", "127.0.0.1:1", require_identity=True), Listen("b", "127.0.0.1:2")
        services = {"app": Service("app", allow=("web.*",)), "all": Service("all")}
        security = self.security(own, other, services=services)
        for listen, target, identity, reason in (
            (own, None, "", "identity_required"),
            (own, None, "a", ""),
            (other, None, "", ""),
            (other, ServiceName("app"), "db.mesh", "identity_not_allowed"),
            (other, ServiceName("app"), "web.mesh", ""),
            (other, ServiceName("all"), "", ""),
            (other, ServiceName("other"), "", ""),
        ):
            self.assertEqual(reason, security.policy(listen)(target).judge(identity))

    def test_guarded(self) -> None:
        """Listeners behind which nobody is refused need not ask."""
        listen = Listen("a", "127.0.0.1:1")
        self.assertFalse(self.security(listen).guarded(listen))
        self.assertTrue(self.security(listen, services={"app": Service("app", deny=("a",))}).guarded(listen))
        strict = Listen("a", "127.0.0.1:1", tls="terminate")
        self.assertTrue(self.security(strict).guarded(strict))
