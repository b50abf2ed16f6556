# -*- test-case-name: tests.protocols.http.test_options -*-
"""
The Connection field (RFC 9110, 7.6.1): what else is for this connection only, and what must not be.
"""

from __future__ import annotations

from lproxy.protocols.http.message import MEMO, MESH, X_FORWARDED

#: never to be named by a Connection field: framing, routing and identity are not for one connection to drop, least of
#: all what an edge before us has found out about its client
PROTECTED = frozenset(
    b"content-length transfer-encoding host authorization cookie forwarded x-real-ip via client-cert client-cert-chain "
    b"true-client-ip cf-connecting-ip fastly-client-ip x-client-ip x-cluster-client-ip x-original-forwarded-for "
    b"x-original-host x-original-url x-rewrite-url x-remote-addr x-remote-user remote-user remote-addr x-user "
    b"x-user-id x-api-key x-csrf-token".split()
)
#: the beginnings of others
PROTECTED_PREFIXES = (
    MESH,
    X_FORWARDED,
    b"x-auth-",
    b"x-authenticated-",
    b"x-client-cert",
    b"x-client-verify",
    b"x-ssl-",
    b"ssl-client",
    b"x-amzn-oidc-",
    b"x-goog-authenticated-",
    b"x-goog-iap-",
    b"x-ms-client-principal",
    b"x-envoy-",
)

#: what a Connection field says: lower case names of the fields that it may name, whether it closes, whether it keeps,
#: and a name that it must not have, or nothing
Options = tuple[frozenset[bytes], bool, bool, bytes]
_options: dict[bytes, Options] = {}


def connection_options(value: bytes) -> Options:
    """
    Read a Connection field (RFC 9110, 7.6.1); C{close} and C{keep-alive} are no fields.
    """
    options = _options.get(value)
    if options is None:
        named = frozenset(token.strip(b" \t").lower() for token in value.split(b","))
        protected = frozenset(token for token in named if _protected(token.replace(b"_", b"-")))
        fields = named - protected - {b"", b"close", b"keep-alive"}
        options = (fields, b"close" in named, b"keep-alive" in named, min(protected, default=b""))
        if len(_options) < MEMO:
            _options[value] = options
    return options


def _protected(name: bytes) -> bool:
    return name in PROTECTED or name.startswith(PROTECTED_PREFIXES)
