# -*- test-case-name: tests.configfile.test_secure -*-
"""
TLS and identity: what a file may say of them.
"""

from __future__ import annotations

from lproxy.config import Config, Identity, Listen
from lproxy.configfile import load
from tests.configfile.case import FileTestCase, listener

IDENTITY = '[identity]\ntrust = "t.pem"\ncertificate = "c.pem"\nkey = "k.pem"\n'
SERVICE = '[services."web:80"]\nendpoints = ["127.0.0.1:1"]\n'


class IdentityTests(FileTestCase):
    def test_incomplete(self) -> None:
        """All three keys, or none: what is missing is said, each by itself."""
        self.problems(
            '[identity]\ncertificate = "c.pem"\n' + listener(tls="detect"),
            "f:1: identity.trust: is missing; an identity has all three: trust, certificate and key",
            "f:1: identity.key: is missing; an identity has all three: trust, certificate and key",
        )
        self.good("[identity]\n")

    def test_pem(self) -> None:
        """What should be a file's path, and is what such a file has, is told so, and shown nowhere: it may be a key."""
        text = """[identity]\ntrust = "t"\ncertificate = "c"\nkey = '''-----BEGIN PRIVATE KEY-----\nMIGHA\n'''\n"""
        problems = load(text, "f", {}).problems
        self.assertIn("f:4: identity.key: is PEM itself, and not a file that has it", str(problems[0]))
        self.assertNotIn("MIGHA", " ".join(map(str, problems)))

    def test_unused(self) -> None:
        """An identity that nobody is shown is a warning."""
        self.says(IDENTITY + listener(), "identity: is unused: no listener terminates TLS, and no service has")
        self.good(IDENTITY + listener(direction="inbound"))
        self.good(IDENTITY + listener() + SERVICE + 'identity = "web.mesh"')


class ListenerTests(FileTestCase):
    def test_default(self) -> None:
        """Unset, TLS is looked for where there is something to end it with: certificates, or inbound the identity."""
        plain, meshed = Config(), Config(identity=Identity("t", "c", "k"))
        for config, listen, tls in (
            (plain, Listen(), "off"),
            (plain, Listen(certificates=("c",)), "detect"),
            (plain, Listen(direction="inbound"), "off"),
            (meshed, Listen(direction="inbound"), "detect"),
            (meshed, Listen(direction="outbound"), "off"),
            (meshed, Listen(direction="inbound", tls="off"), "off"),
            (plain, Listen(tls="passthrough"), "passthrough"),
        ):
            self.assertEqual(tls, config.tls(listen))

    def test_nothing_to_terminate_with(self) -> None:
        """Without a certificate nothing can be terminated."""
        self.says(listener(tls="terminate"), 'listen[0].tls: "terminate", and there is no certificate to do so with')
        self.says(listener(tls="detect"), 'write certificates = [...], or [identity], or tls = "passthrough"')
        self.good(listener(tls="passthrough"))
        self.good(IDENTITY + listener(tls="terminate"))
        self.good(listener(tls="terminate", certificates=["c.pem"]))

    def test_certificates_for_nothing(self) -> None:
        """Certificates beside a mode that shows none are an error: somebody thinks that they are shown."""
        for tls in ("off", "passthrough"):
            self.says(
                listener(tls=tls, certificates=["c.pem"]),
                f'listen[0].certificates: are unused with tls = "{tls}"; write tls = "detect"',
            )

    def test_sni(self) -> None:
        """A target by SNI needs TLS that is looked at."""
        self.says(listener(target="sni"), '"sni" is known of TLS alone, which is not looked at here')
        self.good(listener(target="sni", tls="passthrough") + SERVICE)

    def test_passthrough(self) -> None:
        """What is passed on is for no protocol."""
        self.says(listener(tls="passthrough", protocol="http"), "TLS that is passed on is no http to anybody here")
        self.good(listener(tls="passthrough", protocol="tcp", target="a:1"))

    def test_policy(self) -> None:
        """Who wants to know its clients needs anchors, and TLS that is ended here."""
        for values in ({"allow": ["web.*"]}, {"deny": ["web.*"]}, {"require_identity": True}):
            (key,) = values
            self.says(
                listener(tls="terminate", certificates=["c"], **values),
                f"listen[0].{key}: needs [identity], with trust, certificate and key; its trust says whose",
            )
            self.says(
                IDENTITY + listener(direction="inbound", tls="off", **values) + SERVICE + 'identity = "a.b"',
                f'listen[0].{key}: nobody can show an identity with tls = "off"',
            )
            self.good(IDENTITY + listener(direction="inbound", **values))
        self.says(IDENTITY + listener(direction="inbound", allow=["w*.shop"]), "listen[0].allow[0]: ")

    def test_redirect(self) -> None:
        """A redirect that nobody can get is a warning."""
        self.good(listener(redirect_https=True))
        self.says(
            listener(redirect_https=True, protocol="tcp", target="a:1"), "redirect_https: is unused: the listener"
        )
        self.says(listener(redirect_https=True, detect=["kafka"], target="a:1"), "the listener speaks no http")
        self.says(
            listener(redirect_https=True, tls="terminate", certificates=["c"]), "nobody is served without TLS here"
        )

    def test_words(self) -> None:
        """A mode that is none is shown those that are."""
        self.says(
            listener(tls="terminated"), 'must be "off", "detect", "terminate" or "passthrough", not "terminated"; did'
        )


class ServiceTests(FileTestCase):
    def test_ordinary(self) -> None:
        """What is said of a server's certificate says nothing where there is no TLS: somebody thinks that there is."""
        for line in ('ca = "ca.pem"', 'server_name = "a.test"', 'certificate = "c.pem"'):
            self.says(SERVICE + line, "says nothing without tls = true; write it, or leave this out")
            self.good(f"{SERVICE}{line}\ntls = true")
        self.says(f'{SERVICE}tls = true\nkey = "k.pem"', "key: is that of no certificate")

    def test_identity(self) -> None:
        """A service with an identity needs ours, and is known by nothing else; tls = true says the same once more."""
        meshed = f'{IDENTITY}{SERVICE}identity = "web.mesh"\n'
        self.good(meshed)
        self.good(meshed + "tls = true")
        self.says(f'{SERVICE}identity = "web.mesh"', 'services."web:80".identity: needs [identity], with trust')
        self.says(meshed + 'ca = "ca.pem"', 'is for an ordinary server: one with an identity is known by "web.mesh"')
        self.says(f'{IDENTITY}{SERVICE}identity = "https://web"', "is no SPIFFE ID")

    def test_policy(self) -> None:
        """Whom a service is for can only be known with anchors."""
        self.says(SERVICE + 'allow = ["web.*"]', 'services."web:80".allow: needs [identity]')
        self.good(IDENTITY + listener(direction="inbound") + SERVICE + 'allow = ["web.*"]\nrequire_identity = true')
