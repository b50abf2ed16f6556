# -*- test-case-name: tests.app.test_adminport -*-
"""
The admin server's socket: bound with the listeners', before privileges are shed, and served once they are.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed

from lproxy.app.log import log
from lproxy.app.own import OwnAddresses
from lproxy.app.sockets import bind_now
from lproxy.target import join_host_port
from lproxy.transport.listen import Bound
from lproxy.transport.stream import Address
from lproxy.transport.tls.memory import Handshakes, over_tls


class AdminPort:
    """
    One port, or none.

    @ivar address: where it listens, IP and port; C{None} while it does not
    @ivar handshakes: how it is secured; C{None}: it is not. To be set before it is opened
    """

    def __init__(self, own: OwnAddresses, reactor: Any) -> None:
        self._own = own
        self._reactor = reactor
        self._bound: Bound | None = None
        self._port: Any = None
        self.address: Address | None = None
        self.handshakes: Handshakes | None = None

    def bind(self, address: str) -> None:
        """Bind it; raises L{lproxy.app.sockets.CannotListen}. Empty: there is to be none."""
        if address:
            self._bound = bind_now("admin", address, self._reactor)

    def host(self) -> str | None:
        """The IP address that is bound, if one is."""
        host: str | None = self._bound.sock.getsockname()[0] if self._bound is not None else None
        return host

    def open(self, site: Any) -> None:
        """Serve C{site} on what is bound."""
        bound, self._bound = self._bound, None
        if bound is None:
            return
        host, port = bound.sock.getsockname()[:2]
        self.address = (host, port)
        self._own.add(self.address)
        scheme = "http"
        if self.handshakes is not None:
            scheme, site = "https", over_tls(site, self.handshakes, self._reactor)
        self._port = self._reactor.adoptStreamPort(bound.sock.fileno(), bound.sock.family, site)
        bound.release()
        log.info("admin server on {scheme}://{address}/", scheme=scheme, address=join_host_port(*self.address))

    def close(self) -> Deferred[Any]:
        """Let go of it; fires when it is closed."""
        bound, self._bound = self._bound, None
        if bound is not None:
            bound.release()
        if self.address is not None:
            self._own.remove(self.address)
            self.address = None
        port, self._port = self._port, None
        return maybeDeferred(port.stopListening) if port is not None else succeed(None)
