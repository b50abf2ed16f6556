# -*- test-case-name: tests.identity.test_verification -*-
"""
Judge the other side's certificate while a handshake runs, and remember why where it is refused.

OpenSSL asks for each certificate of the chain. It has checked signatures, dates, usage and strength; the name is ours
to check. What is refused ends with an alert, before any data. An exception in here fails the handshake and comes out of
C{do_handshake()}: nothing passes by mistake.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography import x509
from OpenSSL import SSL, crypto

from lproxy.identity import names
from lproxy.identity.refusal import INVALID, UNREADABLE, CertificateRefused, Refusal, found

#: whose a leaf is, given who is expected, perhaps nobody; raises L{CertificateRefused}
Judge = Callable[[x509.Certificate, str], str]


class Peer:
    """
    What one handshake finds out about the other side. It is the application data of the connection:
    C{connection.set_app_data(Peer(expected))} before the handshake.

    @ivar expected: who it has to be; empty where anybody will do, as with clients
    @ivar identity: who it is; empty where it has shown no certificate
    @ivar until: when the first of its certificates expires, in seconds since 1970: a session is of no use any longer
    @ivar refusal: why its certificate was not taken
    """

    __slots__ = ("expected", "identity", "refusal", "until")

    def __init__(self, expected: str = "") -> None:
        self.expected = expected
        self.identity = ""
        self.until = float("inf")
        self.refusal: Refusal | None = None

    def __repr__(self) -> str:
        return f"Peer(expected={self.expected!r}, identity={self.identity!r}, refusal={self.refusal!r})"


def callback(judge: Judge) -> Callable[[SSL.Connection, crypto.X509, int, int, int], bool]:
    """What C{SSL.Context.set_verify} takes, with C{judge} for the leaf."""

    def verify(connection: SSL.Connection, certificate: crypto.X509, code: int, depth: int, ok: int) -> bool:
        peer = connection.get_app_data()
        if not isinstance(peer, Peer):
            raise TypeError(f"a connection was given {peer!r} instead of a Peer")
        try:
            peer.refusal = _refusal(peer, judge, certificate.to_cryptography(), code, depth, bool(ok))
        except UNREADABLE as error:
            peer.refusal = Refusal(INVALID, f"a certificate of the peer cannot be read: {error}")
        return peer.refusal is None

    return verify


def _refusal(
    peer: Peer, judge: Judge, certificate: x509.Certificate, code: int, depth: int, ok: bool
) -> Refusal | None:
    if not ok:
        return found(code, f"OpenSSL's verification, error {code} at depth {depth}", certificate)
    peer.until = min(peer.until, certificate.not_valid_after_utc.timestamp())
    if depth == 0:
        try:
            peer.identity = judge(certificate, peer.expected)
        except CertificateRefused as error:
            return error.refusal
    return None


def member(domain: str) -> Judge:
    """A judge of other proxies, and of whoever has an identity: whoever it says, or whom we expect."""

    def judge(leaf: x509.Certificate, expected: str) -> str:
        return names.check_identity(leaf, expected, domain) if expected else names.identity(leaf, domain)

    return judge


def ordinary_server(leaf: x509.Certificate, expected: str) -> str:
    """A judge of servers: it is the one whose name was asked for."""
    names.check_server(leaf, expected)
    return expected


def ordinary_client(leaf: x509.Certificate, expected: str) -> str:
    """A judge of clients that need no identity to be let in: its issuer is enough."""
    try:
        return names.identity(leaf)
    except CertificateRefused:
        return ""
