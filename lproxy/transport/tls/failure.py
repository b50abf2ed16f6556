# -*- test-case-name: tests.transport.tls.test_failure -*-
"""
Why a handshake fails: one word to count, and a sentence for a person.

A certificate that was refused says so itself, see L{lproxy.identity.refusal}. All else is in what OpenSSL raises, or in
the alert that the other side has sent.
"""

from __future__ import annotations

from typing import Final

from OpenSSL import SSL

from lproxy.errors import ProxyError
from lproxy.identity.refusal import CertificateRefused, Refusal
from lproxy.transport.tls.alerts import alert_of, reasons, word_of
from lproxy.transport.tls.wire import broken

#: out of time, and too many at once
TIMEOUT: Final = "timeout"
LIMIT: Final = "limit"

#: OpenSSL's reasons, as far as they have a word of their own
WORDS: Final = {
    "unsupported protocol": "no_shared_version",
    "wrong ssl version": "no_shared_version",
    "no protocols available": "no_shared_version",
    "unknown protocol": "not_tls",
    "version too low": "no_shared_version",
    "http request": "not_tls",
    "https proxy request": "not_tls",
    "wrong version number": "not_tls",
    "packet length too long": "not_tls",
    "record layer failure": "not_tls",
    "no shared cipher": "no_shared_cipher",
    "no suitable signature algorithm": "no_shared_signature",
    "no shared signature algorithms": "no_shared_signature",
    "no suitable key share": "no_shared_group",
    "no suitable groups": "no_shared_group",
    "no application protocol": "no_shared_alpn",
    "peer did not return a certificate": "no_certificate",
    "certificate verify failed": "bad_certificate",
    "wrong signature type": "bad_certificate",
    "bad signature": "bad_certificate",
    "ee key too small": "bad_certificate",
    "dh key too small": "weak",
    "unsafe legacy renegotiation disabled": "renegotiation",
    "no renegotiation": "renegotiation",
}

#: what the words mean, continuing "TLS handshake failed: "
SENTENCES: Final = {
    "no_shared_version": "both sides have no version of TLS in common",
    "not_tls": "what was received is not TLS",
    "no_shared_cipher": "both sides have no cipher in common",
    "no_shared_signature": "both sides have no signature algorithm in common",
    "no_shared_group": "both sides have no key exchange in common",
    "no_shared_alpn": "both sides have no protocol in common (ALPN)",
    "no_certificate": "the peer has shown no certificate, and one is required",
    "bad_certificate": "the peer's certificate is not good",
    "weak": "the peer's keys are too weak",
    "renegotiation": "the peer wants to renegotiate",
    "eof": "the peer has closed the connection",
    "reset": "the peer has reset the connection",
    "limit": "too many handshakes are under way (limits.handshakes)",
    "protocol": "the peer does not keep to the protocol",
}


class HandshakeFailed(ProxyError):
    """
    No connection without TLS, and none with it.

    @ivar why: the word that the handshake is counted under: C{expired}, C{unknown_ca}, C{alert:handshake_failure}, ...
    """

    layer = "tls"
    reason = "tls"
    flag = "UF"
    status = 502

    def __init__(self, target: object, refusal: Refusal) -> None:
        super().__init__(target)
        self.why = refusal.reason
        self.text = refusal.text

    def what(self) -> str:
        """Which certificate, which check, which name; or what else it was."""
        return f"TLS handshake failed ({self.why}): {self.text}"


class HandshakeTimedOut(HandshakeFailed):
    """The peer has not done its part in time."""

    reason = "tls_timeout"
    status = 504

    def __init__(self, target: object, seconds: float) -> None:
        super().__init__(target, Refusal(TIMEOUT, f"it was not done within {seconds:g} s"))


def explain(error: BaseException, refused: Refusal | None) -> Refusal:
    """
    Why a handshake that raised C{error} failed.

    @param refused: what there is against the peer's certificate
    """
    if refused is not None:
        return refused
    if isinstance(error, CertificateRefused):
        return error.refusal
    if isinstance(error, (SSL.SysCallError, SSL.ZeroReturnError)):
        cause = broken(error)
        if isinstance(error, SSL.ZeroReturnError) or error.args[0] == -1:
            return _known("eof")
        return _known("reset") if isinstance(cause, ConnectionError) else Refusal("protocol", str(cause))
    if not isinstance(error, SSL.Error):
        return Refusal("bug", "internal error")
    alert = alert_of(error)
    if alert:
        return Refusal(word_of(alert), f"the peer refuses, with the alert {alert!r}")
    said = reasons(error)
    for reason in said:
        if reason in WORDS:
            return _known(WORDS[reason])
    return Refusal("protocol", f"{SENTENCES['protocol']} ({', '.join(said) or 'no reason'})")


def _known(word: str) -> Refusal:
    return Refusal(word, SENTENCES[word])
