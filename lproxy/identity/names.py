# -*- test-case-name: tests.identity.test_names -*-
"""
Whose certificate it is.

An identity is a subject alternative name: a SPIFFE URI (C{spiffe://shop/web}), else a DNS name
(C{web.shop.serviceaccount.identity.mesh.local}). Never a common name. What is doubtful is nobody's: two URIs, a NUL,
a wildcard.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from cryptography import x509
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import extract_patterns
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity

from lproxy.identity.refusal import UNREADABLE, CertificateRefused, names, title

SPIFFE: Final = "spiffe://"

#: one label of a host name (RFC 1123), and the underscores of some
LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
#: no IPv4 address, which is no name
DNS_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z)(?![0-9]+(?:\.[0-9]+){{3}}\Z){LABEL}(?:\.{LABEL})*")
#: SPIFFE-ID, 2: trust domain, and a path of segments that are neither empty nor dots alone
SPIFFE_ID: Final = re.compile(r"spiffe://([a-z0-9._-]{1,255})((?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)+)")
#: SPIFFE-ID, 2.3
SPIFFE_LIMIT: Final = 2048


def canonical(identity: str) -> str:
    """
    C{identity} as identities are compared: a DNS name in small letters, a SPIFFE ID as it is.

    @raise ValueError: it is neither, or not whole
    """
    if identity.startswith(SPIFFE):
        if not SPIFFE_ID.fullmatch(identity) or len(identity) > SPIFFE_LIMIT:
            raise ValueError(f"{identity!r} is no SPIFFE ID: spiffe://TRUST-DOMAIN/PATH, without an empty segment")
        return identity
    name = identity.lower()
    if not DNS_NAME.fullmatch(name):
        raise ValueError(f"{identity!r} is no name: a DNS name, or spiffe://TRUST-DOMAIN/PATH")
    return name


def trust_domain(identity: str) -> str:
    """The trust domain of a SPIFFE ID; empty for any other identity."""
    found = SPIFFE_ID.fullmatch(identity)
    return found[1] if found else ""


def identity(certificate: x509.Certificate, domain: str = "") -> str:
    """
    Whose C{certificate} is, by its first name of the best kind.

    @param domain: our own trust domain, where we have one: SPIFFE IDs of others are refused
    @raise CertificateRefused: C{no_identity}, C{wrong_trust_domain}
    """
    found = names(certificate)
    uris = [name for name in found if "://" in name]
    if len(uris) > 1:
        raise CertificateRefused("no_identity", f"{title(certificate)} has {len(uris)} URIs; an identity has one")
    for name in uris:
        if name.startswith(SPIFFE):
            return _spiffe(certificate, name, domain)
    dns = _dns_names(certificate)
    if not dns:
        raise CertificateRefused(
            "no_identity", f"{title(certificate)} has no DNS name or SPIFFE URI; its common name does not count"
        )
    return _dns(certificate, dns[0])


def _spiffe(certificate: x509.Certificate, name: str, domain: str) -> str:
    try:
        canonical(name)
    except ValueError as error:
        raise CertificateRefused("no_identity", f"{title(certificate)}: {error}") from error
    if domain and trust_domain(name) != domain:
        raise CertificateRefused(
            "wrong_trust_domain", f"{title(certificate)} is of another trust domain than ours, {domain}"
        )
    return name


def _dns(certificate: x509.Certificate, name: str) -> str:
    try:
        return canonical(name)
    except ValueError as error:
        raise CertificateRefused("no_identity", f"{title(certificate)}: {error}") from error


def _dns_names(certificate: x509.Certificate) -> list[str]:
    try:
        value = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return value.get_values_for_type(x509.DNSName)


def check_identity(certificate: x509.Certificate, expected: str, domain: str = "") -> str:
    """
    See that a peer is C{expected}, and nobody else: no wildcards here.

    @return: its identity, which is another one only where C{expected} is one of its DNS names
    @raise CertificateRefused: C{wrong_name}, or what L{identity} raises
    """
    found = identity(certificate, domain)
    if found == expected or expected in (name.lower() for name in _dns_names(certificate)):
        return found
    raise CertificateRefused("wrong_name", f"{title(certificate)} is not of {expected}")


def check_server(certificate: x509.Certificate, name: str) -> None:
    """
    See that an ordinary server's certificate is for C{name}: a DNS name or an IP address (RFC 9525), or exactly a URI.

    @raise CertificateRefused: C{wrong_name}
    """
    if "://" in name:
        if name not in names(certificate):
            raise CertificateRefused("wrong_name", f"{title(certificate)} is not for {name}")
        return
    try:
        verify_service_identity(extract_patterns(certificate), [_wanted(name)], [])
    except VerificationError as error:
        raise CertificateRefused("wrong_name", f"{title(certificate)} is not for {name}") from error
    except (CertificateError, *UNREADABLE) as error:
        raise CertificateRefused("wrong_name", f"{title(certificate)} is not for {name}: {error}") from error


def _wanted(name: str) -> DNS_ID | IPAddress_ID:
    try:
        return IPAddress_ID(ipaddress.ip_address(name))
    except ValueError:
        return DNS_ID(name.removesuffix("."))


class Patterns:
    """
    A set of identities: exact ones, and those that begin or end alike.

    C{web.shop.*} is whoever's name begins so, C{*.shop.mesh} whoever's ends so, C{spiffe://shop/*} the whole trust
    domain, C{*} everybody that has an identity. A star stands for whole labels, one at least.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        """
        @raise ValueError: one that is no pattern, and what it could be
        """
        self.texts = tuple(patterns)
        self._exact: set[str] = set()
        prefixes: list[str] = []
        suffixes: list[str] = []
        self._all = False
        for text in self.texts:
            if text == "*":
                self._all = True
            elif text.startswith(SPIFFE) and text.endswith("/*"):
                _labels(text, text[:-1] + "x")  # whatever may stand before a last segment
                prefixes.append(text[:-1])
            elif text.endswith(".*"):
                prefixes.append(_labels(text, text[:-2]) + ".")
            elif text.startswith("*."):
                suffixes.append("." + _labels(text, text[2:]))
            else:
                self._exact.add(_labels(text, text))
        self._prefixes = tuple(prefixes)
        self._suffixes = tuple(suffixes)

    def __bool__(self) -> bool:
        return bool(self.texts)

    def __repr__(self) -> str:
        return f"Patterns({', '.join(self.texts)})"

    def __contains__(self, identity: str) -> bool:
        if not identity:
            return False
        return (
            self._all
            or identity in self._exact
            or identity.startswith(self._prefixes)
            # of a URI, no end is a label
            or (identity.endswith(self._suffixes) and not identity.startswith(SPIFFE))
        )


def _labels(text: str, fixed: str) -> str:
    """What stands firm in a pattern; C{fixed} is without its star."""
    try:
        return canonical(fixed)
    except ValueError:
        raise ValueError(
            f"{text!r} is no pattern of identities: a whole one, or with * for the labels at one end, as in "
            "web.shop.*, *.shop.mesh, spiffe://shop/*"
        ) from None
