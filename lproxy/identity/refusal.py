# -*- test-case-name: tests.identity.test_refusal -*-
"""
Why a certificate is not taken: one word to count, and a sentence in which a person finds the certificate.

The words are the same for a certificate of ours that is read from a file and for a peer's in a handshake.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from OpenSSL.SSL import X509VerificationCodes as Code

#: what OpenSSL's verification found, by its code; whatever is not here is L{INVALID}
WORDS: Final = {
    Code.ERR_CERT_HAS_EXPIRED: "expired",
    Code.ERR_CERT_NOT_YET_VALID: "not_yet_valid",
    Code.ERR_UNABLE_TO_GET_ISSUER_CERT: "unknown_ca",
    Code.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "unknown_ca",
    Code.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: "unknown_ca",
    Code.ERR_DEPTH_ZERO_SELF_SIGNED_CERT: "unknown_ca",
    Code.ERR_SELF_SIGNED_CERT_IN_CHAIN: "unknown_ca",
    Code.ERR_CERT_UNTRUSTED: "unknown_ca",
    Code.ERR_INVALID_CA: "unknown_ca",
    Code.ERR_CERT_SIGNATURE_FAILURE: "bad_signature",
    Code.ERR_CERT_CHAIN_TOO_LONG: "too_long",
    Code.ERR_PATH_LENGTH_EXCEEDED: "too_long",
    Code.ERR_INVALID_PURPOSE: "wrong_usage",
    Code.ERR_KEYUSAGE_NO_CERTSIGN: "wrong_usage",
    Code.ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE: "wrong_usage",
    Code.ERR_HOSTNAME_MISMATCH: "wrong_name",
    Code.ERR_IP_ADDRESS_MISMATCH: "wrong_name",
    Code.ERR_CERT_REVOKED: "revoked",
    # X509_V_ERR_EE_KEY_TOO_SMALL, CA_KEY_TOO_SMALL and CA_MD_TOO_WEAK, which pyOpenSSL does not name
    66: "weak",
    67: "weak",
    68: "weak",
}
INVALID: Final = "invalid_certificate"

#: the words of all that can be wrong with a certificate, continuing "certificate of NAME ..."
SENTENCES: Final = {
    "expired": "has expired",
    "not_yet_valid": "is not valid yet",
    "unknown_ca": "does not lead to a certificate that is trusted here",
    "bad_signature": "has a signature that is not its issuer's",
    "too_long": "has too long a chain above it",
    "wrong_usage": "is not meant for this use",
    "wrong_name": "has another name",
    "revoked": "has been revoked",
    "weak": "has a key or a signature that is too weak",
    INVALID: "is not valid",
}

#: what reading a certificate raises that OpenSSL could read, and this library cannot
UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


class Refusal(NamedTuple):
    """
    Why a certificate, or a handshake, is refused.

    @ivar reason: the word that it is counted under
    @ivar text: a sentence, without the end: which certificate, which check, which name
    """

    reason: str
    text: str


class CertificateRefused(Exception):
    """A certificate that is not taken. Its text never has more than certificates show to everybody."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason

    @property
    def refusal(self) -> Refusal:
        """As a value."""
        return Refusal(self.reason, str(self))


def names(certificate: x509.Certificate) -> tuple[str, ...]:
    """
    The subject alternative names, as text: URIs first, then DNS names and IP addresses.

    @raise CertificateRefused: there are some that cannot be read
    """
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        addresses = [str(one) for one in found.get_values_for_type(x509.IPAddress)]
        return (
            *found.get_values_for_type(x509.UniformResourceIdentifier),
            *found.get_values_for_type(x509.DNSName),
            *addresses,
        )
    except x509.ExtensionNotFound:
        return ()
    except UNREADABLE as error:
        raise CertificateRefused(INVALID, f"certificate {serial(certificate)} cannot be read: {error}") from error


def serial(certificate: x509.Certificate) -> str:
    """C{serial 1F:..}, as browsers and C{openssl x509} show it."""
    return f"serial {certificate.serial_number:x}"


def title(certificate: x509.Certificate) -> str:
    """C{certificate of NAME (serial ...)}: by its first names, else by its subject."""
    try:
        found = names(certificate)
    except CertificateRefused:
        found = ()
    if found:
        who = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
    else:
        try:
            who = certificate.subject.rfc4514_string() or "nobody"
        except UNREADABLE:
            who = "somebody unreadable"
    # of the names, some are a peer's: nothing of it goes to a terminal as it is
    clean = "".join(c if c.isprintable() else "?" for c in who)[:200]
    return f"certificate of {clean} ({serial(certificate)})"


def date(when: datetime) -> str:
    """C{2026-11-30 04:00:00 UTC}."""
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def word(code: int) -> str:
    """The word for what OpenSSL's verification found."""
    return WORDS.get(code, INVALID)


def found(code: int, text: str, certificate: x509.Certificate) -> Refusal:
    """
    What OpenSSL's verification found, with the facts that a person asks for next.

    @param code: X509_V_ERR_*
    @param text: OpenSSL's own words
    @param certificate: the one that it found it with
    """
    reason = word(code)
    sentence = f"{title(certificate)} {SENTENCES[reason]}"
    if reason == "expired":
        sentence += f": it was valid until {date(certificate.not_valid_after_utc)}"
    elif reason == "not_yet_valid":
        sentence += f": it will be from {date(certificate.not_valid_before_utc)} on"
    else:
        if reason == "unknown_ca":
            issuer = certificate.issuer.rfc4514_string() or "nobody"
            sentence += f": its issuer is {issuer[:200]}"
        sentence += f" ({text})" if text else ""
    return Refusal(reason, sentence)
