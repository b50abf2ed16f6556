# -*- test-case-name: tests.identity.test_contexts -*-
"""
What OpenSSL is told: one context for each certificate and role.

A context is never changed once it is used. New certificates, anchors or ticket keys are a new context; whoever is
connected keeps the old one.

Whoever has to prove an identity does so in a full handshake, each time: a ticket would let it in after its certificate
has expired, or its anchor was removed. Tickets are for ordinary clients, who prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from OpenSSL import SSL, crypto

from lproxy.identity import verification
from lproxy.identity.checks import LONGEST
from lproxy.identity.material import Material, Trust
from lproxy.identity.names import trust_domain
from lproxy.identity.sessions import Sessions
from lproxy.identity.verification import Judge, Peer

#: TLS 1.2: forward secrecy and authenticated encryption alone; AES before ChaCha20, but for clients that prefer that
CIPHERS: Final = b"@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20"
#: TLS 1.3: AES-128 first, as bulk data is encrypted with it in two thirds of the time
SUITES: Final = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

#: SSL_OP_PRIORITIZE_CHACHA, for phones without AES in hardware; pyOpenSSL does not name it
PRIORITIZE_CHACHA: Final = 1 << 21
#: SSL_MODE_RELEASE_BUFFERS: an idle connection has no buffers, 34 KB less; pyOpenSSL does not name it
RELEASE_BUFFERS: Final = 0x10
#: X509_V_ERR_CERT_REJECTED, which becomes the alert "bad certificate"; pyOpenSSL does not name it
REJECTED: Final = 28
#: for how long a ticket is good, in seconds
TICKET_SECONDS: Final = 2 * 3600
#: anchors whose names are told to clients; beyond that, the message grows and nobody reads it
TOLD: Final = 16

_lib: Final[Any] = SSL._lib  # type: ignore[attr-defined]

#: C{keylog(line)} is given the secrets of connections, for whoever decrypts captured traffic
KeyLog = Callable[[bytes], None]


@dataclass(frozen=True)
class Context:
    """
    An OpenSSL context, and what its users have to know.

    @ivar ssl: for C{SSL.Connection}
    @ivar identity: ours, that is shown to the other side; empty where none is
    @ivar resumable: whether sessions may be resumed
    @ivar since: when it was made, where that is known: the keys of a server's tickets are as old
    @ivar sessions: of a client, those that may be
    """

    ssl: SSL.Context
    identity: str = ""
    resumable: bool = False
    since: datetime | None = None
    sessions: Sessions = field(default_factory=Sessions, compare=False, repr=False)

    def connection(self, socket: object, expected: str = "") -> SSL.Connection:
        """
        A connection on C{socket}, or in memory where that is C{None}, whose application data is its L{Peer}.

        @param expected: who the other side has to be
        """
        made = SSL.Connection(self.ssl, socket)  # type: ignore[arg-type]
        made.set_app_data(Peer(expected))
        return made


def frontend(
    material: Material,
    alpn: Sequence[str] = (),
    trust: Trust | None = None,
    require: bool = False,
    keylog: KeyLog | None = None,
) -> Context:
    """
    A server for ordinary clients.

    @param alpn: protocols that are offered, the best first. A client that offers others alone is served without any
    @param trust: ask for a certificate that leads to one of these
    @param require: and refuse whoever has none
    """
    made = _context(SSL.TLS_SERVER_METHOD, SSL.TLS1_2_VERSION, keylog)
    _show(made, material)
    _choose(made, alpn)
    if trust is None:
        made.set_session_id(b"lproxy")
        made.set_timeout(TICKET_SECONDS)
    else:
        _no_tickets(made)
        _ask(made, trust, verification.ordinary_client, require)
    return Context(made, material.identity, resumable=trust is None)


def mesh_server(
    material: Material,
    trust: Trust,
    alpn: Sequence[str] = (),
    require: bool = False,
    keylog: KeyLog | None = None,
) -> Context:
    """
    A server for other proxies, which are asked who they are.

    @param require: refuse whoever does not say
    """
    made = _context(SSL.TLS_SERVER_METHOD, SSL.TLS1_3_VERSION, keylog)
    _show(made, material)
    _choose(made, alpn)
    _no_tickets(made)
    _ask(made, trust, verification.member(trust_domain(material.identity)), require)
    return Context(made, material.identity)


def mesh_client(material: Material, trust: Trust, alpn: Sequence[str] = (), keylog: KeyLog | None = None) -> Context:
    """A client of other proxies: both sides say who they are."""
    made = _context(SSL.TLS_CLIENT_METHOD, SSL.TLS1_3_VERSION, keylog)
    _show(made, material)
    _offer(made, alpn)
    _trust(made, trust)
    _verify(made, verification.member(trust_domain(material.identity)), SSL.VERIFY_PEER)
    return Context(made, material.identity)


def client(
    trust: Trust | None = None,
    material: Material | None = None,
    alpn: Sequence[str] = (),
    keylog: KeyLog | None = None,
) -> Context:
    """
    A client of ordinary servers.

    @param trust: instead of what the system trusts
    @param material: shown to a server that asks for it
    """
    made = _context(SSL.TLS_CLIENT_METHOD, SSL.TLS1_2_VERSION, keylog)
    if material is not None:
        _show(made, material)
    _offer(made, alpn)
    if trust is None:
        made.set_default_verify_paths()
    else:
        _trust(made, trust)
    _verify(made, verification.ordinary_server, SSL.VERIFY_PEER)
    return Context(made, material.identity if material else "", resumable=True)


def _context(method: int, version: int, keylog: KeyLog | None) -> SSL.Context:
    """What all have in common: no session is kept in here, and nothing is negotiated twice."""
    made = SSL.Context(method)
    made.set_min_proto_version(version)
    made.set_cipher_list(CIPHERS)
    made.set_tls13_ciphersuites(SUITES)
    made.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE | PRIORITIZE_CHACHA
    )
    made.set_mode(RELEASE_BUFFERS)
    made.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    made.set_verify_depth(LONGEST)
    if keylog is not None:
        write = keylog
        made.set_keylog_callback(lambda connection, line: write(line))
    return made


def _show(made: SSL.Context, material: Material) -> None:
    made.use_certificate(material.leaf)
    for one in material.chain[1:]:
        made.add_extra_chain_cert(one)
    made.use_privatekey(material.key)
    made.check_privatekey()


def _no_tickets(made: SSL.Context) -> None:
    # of TLS 1.3, tickets are sent nevertheless, but what they name is not kept
    made.set_options(SSL.OP_NO_TICKET)


def _trust(made: SSL.Context, trust: Trust) -> None:
    store = made.get_cert_store()
    assert store is not None  # a context that was just made has one
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    for one in trust.anchors:
        store.add_cert(crypto.X509.from_cryptography(one))


def _ask(made: SSL.Context, trust: Trust, judge: Judge, require: bool) -> None:
    _trust(made, trust)
    for one in trust.anchors[:TOLD]:
        made.add_client_ca(one)
    _verify(made, judge, SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if require else 0))


def _verify(made: SSL.Context, judge: Judge, mode: int) -> None:
    made.set_verify(mode, verification.callback(judge))
    # what OpenSSL has nothing against, and we do, would be an "internal error" to the other side
    helper: Any = made._verify_helper
    ask = helper.callback

    def verify(ok: int, chain: Any) -> int:
        good: int = ask(ok, chain)
        if not good and _lib.X509_STORE_CTX_get_error(chain) == _lib.X509_V_OK:
            _lib.X509_STORE_CTX_set_error(chain, REJECTED)
        return good

    # of an exception, cffi makes 0; kept for as long as OpenSSL may call it
    kept = SSL._ffi.callback("int (*)(int, X509_STORE_CTX *)", verify)  # type: ignore[attr-defined]
    made.set_app_data(kept)
    _lib.SSL_CTX_set_verify(made._context, mode, kept)


def _offer(made: SSL.Context, alpn: Sequence[str]) -> None:
    if alpn:
        made.set_alpn_protos([name.encode("ascii") for name in alpn])


def _choose(made: SSL.Context, alpn: Sequence[str]) -> None:
    if alpn:
        made.set_alpn_select_callback(_chooser(alpn))


def _chooser(alpn: Sequence[str]) -> Callable[[SSL.Connection, list[bytes]], Any]:
    """Ours of the client's protocols that is best."""
    ours = [name.encode("ascii") for name in alpn]

    def choose(connection: SSL.Connection, theirs: list[bytes]) -> Any:
        for name in ours:
            if name in theirs:
                return name
        # not an alert: what it speaks is found out inside, and no longer its own affair then
        return SSL.NO_OVERLAPPING_PROTOCOLS

    return choose
