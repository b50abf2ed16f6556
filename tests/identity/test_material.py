# -*- test-case-name: tests.identity.test_material -*-
"""
Tests for L{lproxy.identity.material}.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.identity import material
from lproxy.identity.authority import certificates_pem, key_pem, new_key
from lproxy.identity.material import Material, Trust
from lproxy.identity.pem import MaterialError
from lproxy.testing.certificates import CLIENT, CODE, SERVER, Leaf, authority, rsa_key
from tests.identity.handshake import trust

SHOP = authority()
NOW = datetime.now(UTC)
WEB = "web.shop.mesh"


class MaterialCase(SynchronousTestCase):
    """Files in a folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def refused(self, reason: str, words: str, read: Callable[..., object], *arguments: object) -> None:
        """C{read} refuses."""
        error = self.assertRaises(MaterialError, read, *arguments)
        self.assertEqual(reason, error.reason)
        self.assertIn(words, str(error))
        self.assertTrue(str(error).startswith(error.file))


class IdentityTests(MaterialCase):
    """What proves who we are to other proxies."""

    def read(self, leaf: Leaf, anchors: Trust | None = None) -> Material:
        """C{leaf}, written and read."""
        _, certificate, key = leaf.write(self.folder)
        return material.identity(certificate, key, anchors or trust(SHOP), NOW)

    def test_good(self) -> None:
        """All that others ask for."""
        below = SHOP.below(lasts=timedelta(hours=1))
        leaf = below.issue(WEB, "spiffe://shop/web")
        found = self.read(leaf)
        self.assertEqual("spiffe://shop/web", found.identity)
        self.assertEqual(("spiffe://shop/web", WEB), found.names)
        self.assertEqual((leaf.chain, leaf.certificate), (found.chain, found.leaf))
        self.assertEqual(f"{leaf.certificate.serial_number:x}", found.serial)
        self.assertEqual(below.authority.certificate.not_valid_after_utc, found.not_after)
        self.assertEqual(leaf.certificate.not_valid_before_utc, found.not_before)
        self.assertEqual((), found.warnings)
        self.assertNotIn("PrivateKey", repr(found))

    def test_fingerprint(self) -> None:
        """Another certificate, or another chain, has another fingerprint."""
        leaf = SHOP.below().issue(WEB)
        first = self.read(leaf).fingerprint
        self.assertEqual(first, self.read(leaf).fingerprint)
        self.assertNotEqual(first, self.read(SHOP.issue(WEB)).fingerprint)

    def test_bad(self) -> None:
        """Each is refused for what is wrong with it."""
        for reason, leaf in [
            ("expired", SHOP.issue(WEB, lasts=timedelta(hours=-1))),
            ("expired", SHOP.below(lasts=timedelta(hours=-1)).issue(WEB)),
            ("not_yet_valid", SHOP.issue(WEB, begins=timedelta(hours=1))),
            ("no_identity", SHOP.issue(common_name=WEB)),
            ("no_identity", SHOP.issue("*.shop.mesh")),
            ("no_identity", SHOP.issue("spiffe://shop/a", "spiffe://shop/b")),
            ("no_identity", SHOP.issue(WEB + "\0.evil")),
            ("wrong_usage", SHOP.issue(WEB, usage=CODE)),
            ("wrong_usage", SHOP.issue(WEB, usage=SERVER)),
            ("wrong_usage", SHOP.issue(WEB, usage=CLIENT)),
            ("weak", SHOP.issue(WEB, sha1=True)),
            ("weak", SHOP.below().issue(WEB, sha1=True)),
            ("weak", SHOP.issue(WEB, key=rsa_key(1024))),
            ("too_long", SHOP.below(depth=10).issue(WEB)),
            ("unknown_ca", authority("stranger").issue(WEB)),
        ]:
            self.refused(reason, "leaf.pem: certificate of ", self.read, leaf)

    def test_other_key(self) -> None:
        """Half of a rotation: the key is new and the certificate is not."""
        _, certificate, key = SHOP.issue(WEB).write(self.folder)
        Path(key).write_bytes(key_pem(new_key()))
        self.refused("key_mismatch", key, material.identity, certificate, key, trust(SHOP), NOW)

    def test_missing(self) -> None:
        """A file without a certificate, and one without a key."""
        _, certificate, key = SHOP.issue(WEB).write(self.folder)
        self.refused("no_certificate", "has no certificate", material.identity, key, key, trust(SHOP), NOW)
        self.refused("no_key", "has no private key", material.identity, certificate, certificate, trust(SHOP), NOW)
        self.refused("unreadable", "No such file", material.identity, certificate, key + "x", trust(SHOP), NOW)

    def test_public_key_file(self) -> None:
        """A key that everybody may read is used, with a warning."""
        _, certificate, key = SHOP.issue(WEB).write(self.folder)
        Path(key).chmod(0o644)
        (warning,) = material.identity(certificate, key, trust(SHOP), NOW).warnings
        self.assertIn(f"{key}: holds a private key", warning)


class ServerTests(MaterialCase):
    """What listeners show to ordinary clients, and what servers are shown."""

    def test_where_the_key_is(self) -> None:
        """In the file, beside it, or where certbot puts it."""
        leaf = SHOP.issue("www.shop.test")
        self.folder.mkdir()
        both, chain, key, full, private = (
            self.folder / name for name in ("both.pem", "a.crt", "a.key", "fullchain.pem", "privkey.pem")
        )
        both.write_bytes(leaf.chain_pem + leaf.key_pem)
        for file in (chain, full):
            file.write_bytes(leaf.chain_pem)
        for file in (key, private):
            file.write_bytes(leaf.key_pem)
        for file, where in ((both, both), (chain, key), (full, private)):
            found = material.server(str(file), NOW)
            self.assertEqual((str(file), str(where), ""), (found.certificate, found.key_file, found.identity))
        self.assertEqual(str(key), material.server(str(full), NOW, str(key)).key_file)

    def test_self_signed(self) -> None:
        """A certificate needs no anchor, and a root at the end of its chain is not sent."""
        leaf = SHOP.below().issue("www.shop.test")
        _, certificate, _ = leaf.write(self.folder)
        Path(certificate).write_bytes(certificates_pem([*leaf.chain, SHOP.anchor]))
        self.assertEqual(leaf.chain, material.server(certificate, NOW).chain)

    def test_bad(self) -> None:
        """What no client would take is not shown to any."""
        for reason, leaf in [
            ("no_name", SHOP.issue(common_name="www.shop.test")),
            ("wrong_usage", SHOP.issue("www.shop.test", usage=CLIENT)),
            ("expired", SHOP.issue("www.shop.test", lasts=timedelta(hours=-1))),
        ]:
            _, certificate, _ = leaf.write(self.folder)
            self.refused(reason, certificate, material.server, certificate, NOW)

    def test_disorder(self) -> None:
        """The leaf comes first, then each one's issuer."""
        leaf = SHOP.below(depth=2).issue("www.shop.test")
        _, certificate, _ = leaf.write(self.folder)
        one, two, three = leaf.chain
        Path(certificate).write_bytes(certificates_pem([one, three, two]))
        self.refused("wrong_order", "number 2", material.server, certificate, NOW)

    def test_client(self) -> None:
        """A client's certificate is for clients."""
        _, certificate, key = SHOP.issue("joe.test", usage=CLIENT).write(self.folder)
        self.assertEqual(("joe.test",), material.client(certificate, key, NOW).names)
        self.assertEqual(key, material.client(certificate, "", NOW).key_file)
        _, certificate, key = SHOP.issue("joe.test", usage=SERVER).write(self.folder)
        self.refused("wrong_usage", "clientAuth", material.client, certificate, key, NOW)


class FolderTests(MaterialCase):
    """Folders of certificates."""

    def test_pairs(self) -> None:
        """Each certificate with a key is one; anchors, other files and Kubernetes' own are none."""
        leaf = SHOP.issue("www.shop.test")
        leaf.write(self.folder, "a")
        leaf.write(self.folder, "tls")
        (self.folder / "both.pem").write_bytes(leaf.key_pem + leaf.chain_pem)
        (self.folder / "ca.crt").write_bytes(SHOP.pem)
        (self.folder / "privkey.pem").write_bytes(leaf.key_pem)
        (self.folder / "README").write_text("hello")
        (self.folder / "..data").mkdir()
        (self.folder / ".hidden.pem").write_bytes(leaf.key_pem + leaf.chain_pem)
        self.assertEqual(
            ["a.pem", "both.pem", "tls.pem"], [Path(one).name for one in material.servers(str(self.folder))]
        )

    def test_none(self) -> None:
        """A folder without any is an error, as is none at all."""
        self.refused("unreadable", "No such file", material.servers, str(self.folder))
        self.folder.mkdir()
        self.refused("no_certificate", "certificate and its key", material.servers, str(self.folder))


class AnchorTests(MaterialCase):
    """Whom we trust."""

    def test_file_and_folder(self) -> None:
        """All that a file has, or the files of a folder; each once."""
        other = authority("other")
        self.folder.mkdir()
        file = self.folder / "a.pem"
        file.write_bytes(SHOP.pem + other.pem + SHOP.pem)
        found = material.anchors(str(file), NOW)
        self.assertEqual(((SHOP.anchor, other.anchor), (str(file),)), (found.anchors, found.files))
        (self.folder / "b.crt").write_bytes(authority("third").pem)
        (self.folder / "c.txt").write_text("no")
        both = material.anchors(str(self.folder), NOW)
        self.assertEqual(3, len(both.anchors))
        self.assertNotEqual(found.fingerprint, both.fingerprint)

    def test_fingerprint(self) -> None:
        """The same anchors in another order are the same."""
        other = authority("other")
        self.assertEqual(trust(SHOP, other).fingerprint, trust(other, SHOP).fingerprint)

    def test_expired(self) -> None:
        """In a bundle, one that has expired is left out with a warning; alone, it is an error."""
        old = SHOP.below("old", lasts=timedelta(hours=-1)).authority.certificate
        self.folder.mkdir()
        file = self.folder / "a.pem"
        file.write_bytes(certificates_pem([old, SHOP.anchor]))
        found = material.anchors(str(file), NOW)
        self.assertEqual((SHOP.anchor,), found.anchors)
        self.assertIn("CN=old 1", found.warnings[0])
        file.write_bytes(certificates_pem([old]))
        self.refused("no_certificate", "has expired", material.anchors, str(file), NOW)

    def test_key(self) -> None:
        """A key among them is odd."""
        self.folder.mkdir()
        file = self.folder / "a.pem"
        file.write_bytes(SHOP.pem + key_pem(new_key()))
        self.assertIn("has a private key", material.anchors(str(file), NOW).warnings[0])

    def test_none(self) -> None:
        """No file, no folder, no certificate."""
        self.refused("unreadable", "No such file", material.anchors, str(self.folder), NOW)
        self.folder.mkdir()
        self.refused("no_certificate", ".pem", material.anchors, str(self.folder), NOW)
        (self.folder / "a.pem").write_bytes(key_pem(new_key()))
        self.refused("no_certificate", "a.pem: has no certificate", material.anchors, str(self.folder), NOW)
