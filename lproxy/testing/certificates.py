# -*- test-case-name: tests.testing.test_certificates -*-
"""
Certificates for tests: an authority, and leaves of it that are good, or bad in each way that a proxy has to notice.

    shop = authority()
    web = shop.issue("web.shop.test")
    old = shop.issue("web.shop.test", lasts=timedelta(days=-1))
    trust, certificate, key = web.write(self.mktemp())

Times are the wall clock's, as OpenSSL knows no other.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from lproxy.identity.authority import BACK, BOTH, Authority, Key, Wanted, certificates_pem, key_pem, new_key

#: for C{usage}
SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)
CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
CODE = (ExtendedKeyUsageOID.CODE_SIGNING,)


@cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """One for all: it takes long to find."""
    return rsa.generate_private_key(65537, bits)


@dataclass(frozen=True)
class Leaf:
    """
    A certificate with its key.

    @ivar chain: itself first, then what leads to the anchor, without the anchor
    """

    certificate: x509.Certificate
    key: Key
    chain: tuple[x509.Certificate, ...]
    anchor: x509.Certificate

    @property
    def chain_pem(self) -> bytes:
        """What a server sends, as a file has it."""
        return certificates_pem(self.chain)

    @property
    def key_pem(self) -> bytes:
        """The private key."""
        return key_pem(self.key)

    @property
    def anchor_pem(self) -> bytes:
        """What others trust."""
        return certificates_pem([self.anchor])

    def write(self, folder: str | Path, name: str = "leaf") -> tuple[str, str, str]:
        """
        Write C{trust.pem}, C{NAME.pem} and C{NAME.key} into C{folder}, which is made where it is missing.

        @return: their paths
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        trust, certificate, key = folder / "trust.pem", folder / f"{name}.pem", folder / f"{name}.key"
        trust.write_bytes(self.anchor_pem)
        certificate.write_bytes(self.chain_pem)
        key.touch(0o600)
        key.write_bytes(self.key_pem)
        return str(trust), str(certificate), str(key)


@dataclass(frozen=True)
class Issuer:
    """An authority that issues what it is asked for, however bad."""

    authority: Authority
    anchor: x509.Certificate

    @property
    def pem(self) -> bytes:
        """What others trust."""
        return certificates_pem([self.anchor])

    def issue(
        self,
        *names: str,
        lasts: timedelta = timedelta(days=1),
        begins: timedelta = -BACK,
        common_name: str = "",
        usage: Sequence[x509.ObjectIdentifier] = BOTH,
        key: Key | None = None,
        sha1: bool = False,
    ) -> Leaf:
        """
        A leaf for C{names}: DNS names, IP addresses, URIs, as many and as strange as are given (C{"a\\0b"}).

        @param lasts: from now until it expires: less than nothing for one that has expired
        @param begins: from now until it is valid: more than nothing for one that is not yet
        @param usage: what it may be used for; C{()} leaves that open
        @param key: its key, such as L{rsa_key}'s; a new one otherwise
        @param sha1: signed over SHA-1
        """
        key = key or new_key()
        certificate = self.authority.sign(key, self._wanted(names, lasts, begins, common_name, usage, False))
        if sha1:
            # what no longer lets anybody make such ones is the API, not the library below
            old = crypto.X509.from_cryptography(certificate)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                old.sign(crypto.PKey.from_cryptography_key(self.authority.key), "sha1")
            certificate = old.to_cryptography()
        return Leaf(certificate, key, (certificate, *self.authority.chain), self.anchor)

    def below(self, name: str = "intermediate", depth: int = 1, lasts: timedelta = timedelta(days=1)) -> Issuer:
        """One that is C{depth} certificates further from the anchor."""
        issuer = self
        for number in range(depth):
            key = new_key()
            wanted = self._wanted((), lasts, -BACK, f"{name} {number + 1}", (), True)
            certificate = issuer.authority.sign(key, wanted)
            authority = Authority(certificate, key, (certificate, *issuer.authority.chain))
            issuer = replace(issuer, authority=authority)
        return issuer

    def _wanted(
        self,
        names: Sequence[str],
        lasts: timedelta,
        begins: timedelta,
        common_name: str,
        usage: Sequence[x509.ObjectIdentifier],
        authority: bool,
    ) -> Wanted:
        now = datetime.now(UTC)
        if begins < timedelta():
            # one that has expired was valid once
            begins = min(begins, lasts - timedelta(hours=1))
        return Wanted(names, common_name, now + begins, now + lasts, usage, authority)


@cache
def authority(name: str = "lproxy tests") -> Issuer:
    """An anchor of trust, the same for each C{name} as long as the process lives."""
    made = Authority.create(name, datetime.now(UTC), days=2)
    return Issuer(made, made.certificate)
