# -*- test-case-name: tests.transport.tls.test_client -*-
"""
Secure connections to upstreams, as their client; a session that an upstream gave is gone on with.

Never anything less than what was asked for: a handshake that fails is a connection that failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, fail
from twisted.python.failure import Failure

from lproxy.identity.contexts import Context
from lproxy.identity.pem import MaterialError
from lproxy.identity.refusal import Refusal
from lproxy.identity.sessions import Key
from lproxy.target import Endpoint, Secure
from lproxy.transport.hub import Hub
from lproxy.transport.socket import SocketStream
from lproxy.transport.stream import Secured
from lproxy.transport.tls.failure import HandshakeFailed
from lproxy.transport.tls.handshake import Handshake, Shaking
from lproxy.transport.tls.hello import is_name
from lproxy.transport.tls.stream import TlsStream


class Contexts(Protocol):
    """Who knows what to connect with; see L{lproxy.identity.store.Store}."""

    def client(self, secure: Secure, alpn: tuple[str, ...] = ()) -> Context:
        """
        For connections that are to be secured so; the same object until there is something new.

        @raise MaterialError: there is nothing good to connect with
        """


class Told(Protocol):
    """Who counts handshakes; see L{lproxy.metrics.counters.HandshakeCounter}."""

    def succeeded(self, seconds: float, resumed: bool) -> None:
        """One is done."""

    def fail(self, reason: str) -> None:
        """One has failed."""


class Upstreams:
    """Handshakes with upstreams, bounded in time."""

    def __init__(
        self,
        hub: Hub,
        contexts: Contexts,
        seconds: float,
        told: Told | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """
        @param seconds: for one handshake, beside the time that connecting may take
        @param now: the time of day, in seconds since 1970: what certificates go by
        """
        self._hub: Hub = hub
        self._contexts: Contexts = contexts
        self._seconds: float = seconds
        self._told: Told | None = told
        self._now: Callable[[], float] = now

    def secure(self, endpoint: Endpoint, secure: Secure, stream: SocketStream) -> Shaking:
        """Secure C{stream}, which is connected to C{endpoint}, and unused; it gives its socket away."""
        key = (endpoint, secure)
        name = secure.server_name
        try:
            context = self._contexts.client(secure, secure.alpn)
        except MaterialError as error:
            stream.abort()
            return fail(HandshakeFailed(endpoint, Refusal(error.reason, str(error))).because(error))
        taken = stream.hand_over()
        connection = context.connection(taken.sock, name)
        connection.set_connect_state()
        told_name = name if is_name(name) else ""
        if told_name:
            connection.set_tlsext_host_name(told_name.encode("ascii"))
        kept = context.sessions.find(key, self._now()) if context.resumable else None
        if kept is not None and kept.session is not None:
            connection.set_session(kept.session)
        known = Secured(
            sni=told_name, local_identity=context.identity, remote_identity=kept.identity if kept is not None else ""
        )
        taken = taken._replace(released=partial(context.sessions.closed, key, connection))
        shaking = Handshake(self._hub, taken, connection, endpoint, self._seconds, known).start()
        began = self._hub.seconds()
        return shaking.addCallbacks(
            self._done, self._failed, callbackArgs=(key, context, connection, began), errbackArgs=(key, context)
        )

    def _done(
        self, stream: TlsStream, key: Key, context: Context, connection: SSL.Connection, began: float
    ) -> TlsStream:
        tls = stream.conn.tls
        assert tls is not None, "what a handshake made is secured"
        if context.resumable:
            context.sessions.opened(key, connection, tls.resumed)
        if self._told is not None:
            self._told.succeeded(self._hub.seconds() - began, tls.resumed)
        return stream

    def _failed(self, failure: Failure, key: Key, context: Context) -> Failure:
        # perhaps for the sake of the session
        context.sessions.forget(key)
        if self._told is not None:
            error = failure.value
            cancelled = "aborted" if isinstance(error, CancelledError) else "bug"
            self._told.fail(error.why if isinstance(error, HandshakeFailed) else cancelled)
        return failure
