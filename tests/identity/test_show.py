# -*- test-case-name: tests.identity.test_show -*-
"""
Tests for L{lproxy.identity.show}.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.identity.authority import certificates_pem, key_pem, new_key
from lproxy.identity.show import ERROR, GOOD, WARNING, Shown, show
from lproxy.testing.certificates import CLIENT, SERVER, authority
from tests.identity.handshake import trust

SHOP = authority()


class ShowTests(SynchronousTestCase):
    """What a file holds, and what it is good for."""

    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.now = datetime.now(UTC)

    def show(self, data: bytes, anchors: bool = True) -> Shown:
        """What is shown of a file with C{data}."""
        self.file.write_bytes(data)
        self.file.chmod(0o600)
        return show(str(self.file), trust(SHOP) if anchors else None, self.now)

    def line(self, shown: Shown, label: str) -> str:
        """The last line of that label."""
        return [line[15:] for line in shown.lines if line.startswith(f"    {label}")][-1]

    def test_good(self) -> None:
        """All of a certificate, its key, its identity, and that it verifies."""
        leaf = SHOP.below().issue("web.shop.mesh", common_name="web", lasts=timedelta(days=20, hours=1))
        shown = self.show(leaf.chain_pem + leaf.key_pem)
        self.assertEqual(GOOD, shown.status)
        text = "\n".join(shown.lines)
        for piece in (
            *("certificate 1", "certificate 2", "names      web.shop.mesh", "subject    CN=web", "CN=intermediate 1"),
            *(f"serial     {leaf.certificate.serial_number:x}", "ECDSA secp256r1", "server, client", "authority"),
            *("20 days left", "private key", "fits       certificate 1", "verifies   yes", "identity   web.shop.mesh"),
        ):
            self.assertIn(piece, text)
        self.assertEqual("[identity], a listener's certificates, a service's certificate", self.line(shown, "good for"))

    def test_no_trust(self) -> None:
        """Without anchors it says so, and the status is good."""
        shown = self.show(SHOP.issue("a.test").chain_pem, anchors=False)
        self.assertIn("--trust", self.line(shown, "verifies"))
        self.assertEqual(GOOD, shown.status)

    def test_bad(self) -> None:
        """What does not verify: which certificate, and why."""
        for reason, data in {
            "unknown_ca": authority("stranger").issue("a.test").chain_pem,
            "expired": SHOP.issue("a.test", lasts=timedelta(hours=-1)).chain_pem,
            "not_yet_valid": SHOP.issue("a.test", begins=timedelta(hours=1)).chain_pem,
            "weak": SHOP.issue("a.test", sha1=True).chain_pem,
            "wrong_order": certificates_pem([SHOP.issue("a.test").certificate, SHOP.below("x").authority.certificate]),
        }.items():
            shown = self.show(data)
            self.assertEqual(ERROR, shown.status)
            self.assertIn(f"no ({reason}): certificate of a.test (serial ", self.line(shown, "verifies"))

    def test_old(self) -> None:
        """In the last third of its life it is a warning."""
        leaf = SHOP.issue("a.test", begins=timedelta(days=-20), lasts=timedelta(days=5, hours=1))
        shown = self.show(leaf.chain_pem)
        self.assertEqual(WARNING, shown.status)
        self.assertIn("5 days left, less than a third of its life", self.line(shown, "valid"))
        for lasts, left in ((timedelta(hours=5.5), "5 hours"), (timedelta(minutes=90.5), "90 minutes")):
            self.assertIn(left, self.line(self.show(SHOP.issue("a.test", lasts=lasts).chain_pem), "valid"))

    def test_uses(self) -> None:
        """What it is good for, and whose identity it is, or why nobody's."""
        for names, usage, good in [
            (("a.test",), SERVER, "a listener's certificates"),
            (("a.test",), CLIENT, "a service's certificate"),
            (("*.a.test",), SERVER + CLIENT, "a listener's certificates, a service's certificate"),
            ((), SERVER + CLIENT, "nothing in TLS"),
        ]:
            shown = self.show(SHOP.issue(*names, usage=usage).chain_pem)
            self.assertEqual((GOOD, good), (shown.status, self.line(shown, "good for")))
        self.assertIn("its common name does not count", self.line(shown, "identity"))

    def test_anchors(self) -> None:
        """A bundle of anchors is in no order, and is for trust."""
        shown = self.show(SHOP.pem + authority("other").pem, anchors=False)
        self.assertEqual((GOOD, "trust: it is an authority's"), (shown.status, self.line(shown, "good for")))
        self.assertEqual(ERROR, self.show(SHOP.pem + authority("other").pem).status)

    def test_keys(self) -> None:
        """A key alone, one of another certificate, one that everybody may read."""
        self.assertEqual(GOOD, self.show(key_pem(new_key())).status)
        leaf = SHOP.below().issue("a.test")
        shown = self.show(leaf.chain_pem + key_pem(new_key()))
        self.assertEqual((ERROR, "no certificate in this file"), (shown.status, self.line(shown, "fits")))
        self.file.write_bytes(leaf.chain_pem + leaf.key_pem)
        self.file.chmod(0o644)
        shown = show(str(self.file), None, self.now)
        self.assertEqual(WARNING, shown.status)
        self.assertIn("chmod o-r", self.line(shown, "readable"))

    def test_no_secrets(self) -> None:
        """Nothing of the key."""
        leaf = SHOP.issue("a.test")
        text = "\n".join(self.show(leaf.chain_pem + leaf.key_pem).lines)
        for line in leaf.key_pem.decode().splitlines()[1:-1]:
            self.assertNotIn(line, text)

    def test_unreadable(self) -> None:
        """What cannot be read is one line."""
        shown = show(str(self.file), None, self.now)
        self.assertEqual((ERROR, 1), (shown.status, len(shown.lines)))
        self.assertIn("No such file", shown.lines[0])

    def test_hostile(self) -> None:
        """Names that move the cursor do not."""
        shown = self.show(SHOP.issue("a\x1b[2J.test").chain_pem)
        self.assertTrue(all(line.isprintable() for line in shown.lines))
