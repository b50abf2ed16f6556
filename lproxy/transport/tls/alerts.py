# -*- test-case-name: tests.transport.tls.test_alerts -*-
"""
What a peer says of why it ends a connection (RFC 8446, 6.2), as far as OpenSSL tells.

In TLS 1.3 a client is done before the server has looked at its certificate: that this is refused comes as an alert on a
connection that stands already.
"""

from __future__ import annotations

from typing import Any, Final

from OpenSSL import SSL

#: RFC 8446, 6.2, by their names in OpenSSL: what a peer may say, so that no peer makes up words
ALERTS: Final = frozenset(
    {
        *("unexpected message", "bad record mac", "record overflow", "handshake failure", "bad certificate"),
        *("unsupported certificate", "certificate revoked", "certificate expired", "certificate unknown"),
        *("illegal parameter", "unknown ca", "access denied", "decode error", "decrypt error", "protocol version"),
        *("insufficient security", "internal error", "inappropriate fallback", "user cancelled", "no renegotiation"),
        *("missing extension", "unsupported extension", "unrecognized name", "bad certificate status response"),
        *("unknown psk identity", "certificate required", "no application protocol", "decompression failure"),
        *("certificate unobtainable", "bad certificate hash value", "no certificate", "export restriction"),
    }
)


def reasons(error: SSL.Error) -> list[str]:
    """The reasons in OpenSSL's queue of errors, without the empty ones."""
    queue: Any = error.args[0] if error.args else ()
    found = [str(entry[2]) for entry in queue] if isinstance(queue, list) else []
    return [reason for reason in found if reason]


def alert_of(error: SSL.Error) -> str:
    """The alert that C{error} tells of, C{certificate required}; empty where it is none."""
    for reason in reasons(error):
        _, alert, name = reason.partition(" alert ")
        if alert and name in ALERTS:
            return name
    return ""


def word_of(alert: str) -> str:
    """The word that it is counted under: C{alert:certificate_required}."""
    return f"alert:{alert.replace(' ', '_')}"
