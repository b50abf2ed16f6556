# -*- test-case-name: tests.identity.test_pem -*-
"""
Tests for L{lproxy.identity.pem}.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from twisted.trial.unittest import SynchronousTestCase

from lproxy.identity import pem
from lproxy.identity.pem import MaterialError, read
from lproxy.testing.certificates import authority, rsa_key

LEAF = authority().below().issue("a.test")


class ReadTests(SynchronousTestCase):
    """Whole files, or an error that names file and fault."""

    def setUp(self) -> None:
        self.file = Path(self.mktemp())

    def refused(self, reason: str, data: bytes, *words: str) -> None:
        """C{data} is refused for C{reason}; the error names the file and has C{words}, and nothing of a key."""
        self.file.write_bytes(data)
        error = self.assertRaises(MaterialError, read, self.file)
        self.assertEqual((str(self.file), reason), (error.file, error.reason))
        for word in (str(self.file), *words):
            self.assertIn(word, str(error))
        for line in LEAF.key_pem.decode().splitlines()[1:-1]:
            self.assertNotIn(line, str(error) + repr(error))

    def test_whole(self) -> None:
        """Certificates in their order and a key, with whatever stands between them, and with lines of Windows."""
        text = b"subject=CN = a.test\n" + LEAF.chain_pem + b"issuer: x\n" + LEAF.key_pem
        for data in (text, text.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf\n" + text + b"\0\xff"):
            self.file.write_bytes(data)
            found = read(self.file)
            self.assertEqual(LEAF.chain, found.certificates)
            assert found.key is not None
            self.assertEqual(LEAF.key.public_key(), found.key.public_key())

    def test_kinds_of_key(self) -> None:
        """PKCS #8 and the older forms."""
        for key in (LEAF.key, rsa_key(2048)):
            for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
                self.file.write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
                found = read(self.file)
                self.assertEqual(((), key.public_key()), (found.certificates, found.key and found.key.public_key()))

    def test_truncated(self) -> None:
        """Half of a file is never taken for a whole one, wherever it ends."""
        whole = LEAF.chain_pem + LEAF.key_pem
        good = {len(LEAF.chain_pem), len(LEAF.chain_pem) - 1, len(whole), len(whole) - 1}
        first = whole.index(b"-----END CERTIFICATE-----\n") + 25
        for length in range(1, len(whole), 7):
            if length in good or length in (first, first + 1):
                continue
            self.file.write_bytes(whole[:length])
            error = self.assertRaises(MaterialError, read, self.file)
            self.assertIn(error.reason, ("truncated", "not_pem"), whole[:length][-40:])
        self.refused("truncated", whole[: len(whole) - 30], "ends within a PRIVATE KEY")
        self.refused("truncated", whole[30:], "without its BEGIN")
        self.refused("truncated", LEAF.chain_pem[:100] + b"\n" + LEAF.key_pem, "BEGIN without its END")

    def test_empty(self) -> None:
        """A file that somebody has just begun."""
        self.refused("empty", b"")
        self.refused("empty", b" \n")

    def test_other_things(self) -> None:
        """DER is recognised; text is not PEM."""
        self.refused("not_pem", LEAF.certificate.public_bytes(Encoding.DER), "openssl x509 -inform der")
        self.refused("not_pem", b"hello\n", "-----BEGIN")

    def test_garbage(self) -> None:
        """Frames without anything sensible in them; which certificate it is."""
        bad = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        self.refused("bad_certificate", LEAF.chain_pem + bad, "certificate 3")
        self.refused("bad_certificate", bad.replace(b"AAAA", b"???"), "certificate 1")
        body = b"\n".join(LEAF.key_pem.splitlines()[1:-1])
        self.refused("bad_key", b"-----BEGIN PRIVATE KEY-----\n" + body[:-8] + b"\n-----END PRIVATE KEY-----\n")

    def test_keys(self) -> None:
        """Two keys, one with a password, one that does not sign."""
        self.refused("bad_key", LEAF.key_pem * 2, "2 private keys")
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
            locked = LEAF.key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"x"))
            self.refused("encrypted_key", locked, "password")
        other = x25519.X25519PrivateKey.generate()
        data = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.refused("bad_key", data, "does not sign")

    def test_unreadable(self) -> None:
        """Missing, a folder, a device, a name with a NUL, more than any certificate has."""
        for file in (self.file, Path(os.sep), Path("/dev/zero"), "a\0b"):
            error = self.assertRaises(MaterialError, read, file)
            self.assertEqual("unreadable", error.reason)
        self.patch(pem, "LIMIT", 100)
        self.refused("unreadable", LEAF.chain_pem, "which no certificate has")

    def test_public(self) -> None:
        """Whether everybody may read it."""
        self.file.write_bytes(LEAF.key_pem)
        for mode, public in ((0o600, False), (0o640, False), (0o644, True)):
            self.file.chmod(mode)
            self.assertEqual(public, read(self.file).public)

    def test_no_secrets(self) -> None:
        """What was read can be shown."""
        self.file.write_bytes(LEAF.key_pem)
        self.assertNotIn("key", repr(read(self.file)).replace(str(self.file), "").lower())
