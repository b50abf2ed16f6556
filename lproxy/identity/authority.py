# -*- test-case-name: tests.identity.test_authority -*-
"""
Make certificates: what C{lproxy identity init} and C{issue} write, and what tests need.

For development. An authority whose key lies in a file beside what it issues is not what production rests on.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: keys that certificates are made for
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

#: both sides, as between proxies each one is now the client and now the server
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)

#: what RFC 5280 (appendix A.1) allows a common name
COMMON_NAME_LIMIT = 64

#: how far back a certificate is valid, for peers whose clocks are behind
BACK = timedelta(minutes=5)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key for a certificate: ECDSA on P-256, which is quick on both sides and known to every peer."""
    return ec.generate_private_key(ec.SECP256R1())


def general_name(name: str) -> x509.GeneralName:
    """
    C{name} as a subject alternative name: a URI where it has a scheme, an IP address where it is one, else a DNS name.

    @raise ValueError: not ASCII
    """
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@dataclass(frozen=True)
class Wanted:
    """
    What a certificate is to say.

    @ivar names: subject alternative names, see L{general_name}; none at all leaves the extension out
    @ivar common_name: for people to read; nobody goes by it. Empty: an empty subject
    @ivar usage: extended key usages; none at all leaves the extension out
    @ivar authority: whether it may sign others
    """

    names: Sequence[str]
    common_name: str
    not_before: datetime
    not_after: datetime
    usage: Sequence[x509.ObjectIdentifier] = BOTH
    authority: bool = False

    def subject(self) -> x509.Name:
        """The distinguished name."""
        short = self.common_name[:COMMON_NAME_LIMIT]
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, short)] if short else [])


@dataclass(frozen=True)
class Authority:
    """
    Whoever signs certificates.

    @ivar chain: the certificates between it and the anchor, itself included; empty where it is the anchor
    """

    certificate: x509.Certificate
    key: Key
    chain: tuple[x509.Certificate, ...] = ()

    @classmethod
    def create(cls, name: str, now: datetime, days: float) -> Authority:
        """An authority that nobody has signed but itself: what others take for an anchor of trust."""
        key = new_key()
        wanted = Wanted((), name, now - BACK, now + timedelta(days=days), usage=(), authority=True)
        return cls(_signed(wanted, wanted.subject(), key, key), key)

    def sign(self, key: Key, wanted: Wanted) -> x509.Certificate:
        """A certificate for the public half of C{key}."""
        return _signed(wanted, self.certificate.subject, key, self.key)


def _signed(wanted: Wanted, issuer: x509.Name, key: Key, signer: Key) -> x509.Certificate:
    """One certificate, with the extensions that RFC 5280 (4.2) asks for."""
    public = key.public_key()
    subject = wanted.subject()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(wanted.not_before)
        .not_valid_after(wanted.not_after)
        .add_extension(x509.BasicConstraints(ca=wanted.authority, path_length=None), critical=True)
        .add_extension(_key_usage(wanted.authority, isinstance(key, rsa.RSAPrivateKey)), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if wanted.names:
        names = x509.SubjectAlternativeName([general_name(name) for name in wanted.names])
        # 4.2.1.6: critical where nothing else says who it is
        builder = builder.add_extension(names, critical=not list(subject))
    if wanted.usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(wanted.usage), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _key_usage(authority: bool, rsa_key: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        # TLS 1.2 with RSA key exchange, which some old clients have left
        key_encipherment=rsa_key and not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def certificates_pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """PEM, one after the other."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def key_pem(key: Key) -> bytes:
    """PEM (PKCS #8), without a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
