# -*- test-case-name: tests.benchmark.test_certificates -*-
"""
Keys and certificates for a run: an authority, and one leaf of ECDSA P-256 that servers and clients show alike.

Made anew with C{cryptography}, which lproxy needs too; nothing of it is worth keeping.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from benchmark.process import HOST

#: the name in the leaf that hops know each other by
NAME = "bench.mesh.local"
VALID = timedelta(days=1)


@dataclass(frozen=True)
class Files:
    """PEM files: the authority's certificate, the leaf's, its key, and both of these in one, as HAProxy wants them."""

    authority: Path
    certificate: Path
    key: Path
    both: Path


def make(directory: Path) -> Files:
    """Write them to C{directory}."""
    now = datetime.now(UTC)
    issuer, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "benchmark")])
    whole = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    root = (
        builder(authority, authority, issuer.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(whole, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(issuer.public_key()), critical=False)
        .sign(issuer, hashes.SHA256())
    )
    names = [x509.DNSName(NAME), x509.DNSName("localhost"), x509.IPAddress(IPv4Address(HOST))]
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    shown = (
        builder(x509.Name([]), authority, leaf.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
        .sign(issuer, hashes.SHA256())
    )
    key = leaf.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = shown.public_bytes(serialization.Encoding.PEM)
    files = Files(*(directory / f"{name}.pem" for name in ("authority", "certificate", "key", "both")))
    files.authority.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    files.certificate.write_bytes(pem)
    for path, text in ((files.key, key), (files.both, pem + key)):
        path.touch(0o600)
        path.write_bytes(text)
    return files


def builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    """What both have in common."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALID)
    )
