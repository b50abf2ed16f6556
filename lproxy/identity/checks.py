# -*- test-case-name: tests.identity.test_checks -*-
"""
The checks that certificates read from a file have to pass, one function each.

They say the same as a handshake would, where it has the same check, but before anybody connects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from lproxy.identity.pem import Key
from lproxy.identity.refusal import SENTENCES, CertificateRefused, Refusal, date, found, title

#: certificates of one chain, ours or a peer's; three are usual
LONGEST: Final = 10
#: bits; NIST SP 800-131A
RSA_BITS: Final = 2048
CURVE_BITS: Final = 224
#: hashes whose collisions are made
BROKEN: Final = ("md5", "sha1")


@dataclass(frozen=True)
class Usage:
    """What a certificate is to be used for, where it says what it may be used for."""

    wanted: tuple[x509.ObjectIdentifier, ...]
    words: str


SERVER: Final = Usage((ExtendedKeyUsageOID.SERVER_AUTH,), "serverAuth")
CLIENT: Final = Usage((ExtendedKeyUsageOID.CLIENT_AUTH,), "clientAuth")
BOTH: Final = Usage((*SERVER.wanted, *CLIENT.wanted), "serverAuth and clientAuth")


def refuse(certificate: x509.Certificate, reason: str, text: str = "") -> CertificateRefused:
    """The error that names C{certificate}; C{text} continues its sentence."""
    return CertificateRefused(reason, f"{title(certificate)} {text or SENTENCES[reason]}")


def key_fits(key: Key, chain: Sequence[x509.Certificate], key_file: str) -> None:
    """See that C{key} is the first certificate's."""
    public = key.public_key()
    for number, one in enumerate(chain, 1):
        try:
            same = one.public_key() == public
        except (ValueError, UnsupportedAlgorithm) as error:
            raise refuse(one, "key_mismatch", f"has a public key that cannot be used: {error}") from error
        if same and number == 1:
            return
        if same:
            raise refuse(one, "wrong_order", f"is number {number} and the one of the key; it has to come first")
    raise refuse(chain[0], "key_mismatch", f"is not for the private key in {key_file}")


def without_root(chain: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate, ...]:
    """C{chain} without a root at its end, which is not sent: peers have it themselves, or do not trust it."""
    return chain[:-1] if len(chain) > 1 and chain[-1].subject == chain[-1].issuer else chain


def ordered(chain: Sequence[x509.Certificate]) -> None:
    """See that each is signed by the next. After L{valid}: of signatures that are too weak, nobody can tell."""
    if len(chain) > LONGEST:
        raise refuse(chain[0], "too_long", f"comes with {len(chain) - 1} others; a chain has {LONGEST} at most")
    for number, (one, issuer) in enumerate(pairwise(chain), 2):
        try:
            one.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise refuse(
                one,
                "wrong_order",
                f"is followed by one that did not sign it, number {number}, {title(issuer)}; each has to be "
                "followed by its issuer",
            ) from error


def dates(one: x509.Certificate, now: datetime) -> Refusal | None:
    """Why C{one} is not valid at C{now}."""
    if now > one.not_valid_after_utc:
        return Refusal("expired", f"{title(one)} has expired: it was valid until {date(one.not_valid_after_utc)}")
    if now < one.not_valid_before_utc:
        return Refusal(
            "not_yet_valid", f"{title(one)} is not valid yet: it will be from {date(one.not_valid_before_utc)} on"
        )
    return None


def valid(one: x509.Certificate, now: datetime) -> None:
    """See that C{one} holds at C{now}, and that its key and its signature cannot be forged today."""
    said = dates(one, now)
    if said is not None:
        raise CertificateRefused(*said)
    public = one.public_key()
    if isinstance(public, rsa.RSAPublicKey) and public.key_size < RSA_BITS:
        raise refuse(one, "weak", f"has an RSA key of {public.key_size} bits; {RSA_BITS} are the least")
    if isinstance(public, ec.EllipticCurvePublicKey) and public.key_size < CURVE_BITS:
        raise refuse(one, "weak", f"has a key on {public.curve.name}, which is too small; P-256 will do")
    try:
        algorithm = one.signature_hash_algorithm
    except UnsupportedAlgorithm as error:
        raise refuse(one, "weak", "is signed in a way that nobody knows here") from error
    if algorithm is not None and algorithm.name in BROKEN:
        raise refuse(one, "weak", f"is signed with {algorithm.name.upper()}, which can be forged; SHA-256 will do")


def usable(leaf: x509.Certificate, usage: Usage) -> None:
    """See that C{leaf} may be used so, where it says what it may be used for (RFC 5280, 4.2.1.3 and 4.2.1.12)."""
    try:
        may = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        pass
    else:
        if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in may and not all(one in may for one in usage.wanted):
            raise refuse(leaf, "wrong_usage", f"is not for {usage.words}, as its extended key usage says")
    try:
        signs = leaf.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound:
        return
    if not signs:
        raise refuse(leaf, "wrong_usage", "is not for digital signatures, as its key usage says")


def store(anchors: Sequence[x509.Certificate]) -> crypto.X509Store:
    """C{anchors} as OpenSSL has them: whatever is one is trusted, whether it is self-signed or not."""
    made = crypto.X509Store()
    made.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    for one in anchors:
        made.add_cert(crypto.X509.from_cryptography(one))
    return made


def leads_to(chain: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate], now: datetime) -> None:
    """See that OpenSSL, at C{now}, finds its way from C{chain} to one of C{anchors}."""
    held = store(anchors)
    held.set_time(now)
    leaf, *rest = [crypto.X509.from_cryptography(one) for one in chain]
    try:
        crypto.X509StoreContext(held, leaf, rest).verify_certificate()
    except crypto.X509StoreContextError as error:
        code, _, text = error.errors
        raise CertificateRefused(*found(code, text, error.certificate.to_cryptography())) from error


def kind(held: x509.Certificate | Key) -> str:
    """A key, or a certificate's, for people: C{ECDSA secp256r1}, C{RSA 2048}."""
    try:
        public = held.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "unknown"
    if isinstance(public, rsa.RSAPublicKey):
        return f"RSA {public.key_size}"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return f"ECDSA {public.curve.name}"
    return type(public).__name__.removesuffix("PublicKey").lstrip("_")
