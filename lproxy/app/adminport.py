# -*- test-case-name: tests.app.test_adminport -*-
"""
The admin server's socket: bound with the listeners', before privileges are shed, and served once they are.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred

from lproxy.app.log import log
from lproxy.app.own import OwnAddresses
from lproxy.app.sockets import Binder, Wanted
from lproxy.target import join_host_port
from lproxy.transport.listen import Bound
from lproxy.transport.stream import Address
from lproxy.transport.tls.memory import Handshakes, over_tls


class AdminPort:
    """
    One port, or none.

    @ivar address: where it listens, IP and port; C{None} while it does not
    @ivar handshakes: how it is secured; C{None}: it is not. To be set before it is opened, or a site exchanged
    """

    def __init__(self, own: OwnAddresses, binder: Binder, reactor: Any) -> None:
        self._own = own
        self._binder = binder
        self._reactor = reactor
        self._bound: Bound | None = None
        self._further: list[Bound] = []
        self._ports: list[Any] = []
        self.address: Address | None = None
        self.handshakes: Handshakes | None = None
        # those before the last one are those of connections that are still open
        self._sites: WeakSet[Any] = WeakSet()

    def bind(self, address: str) -> None:
        """Bind it; raises L{lproxy.app.sockets.CannotListen}. Empty: there is to be none."""
        if address:
            # another lproxy may have had several
            self._bound, *self._further = self._binder.bind(Wanted("admin", address), shared=True)

    def host(self) -> str | None:
        """The IP address that is bound, if one is."""
        host: str | None = self._bound.sock.getsockname()[0] if self._bound is not None else None
        return host

    def open(self, site: Any) -> None:
        """Serve C{site} on what is bound."""
        bound = self._bound
        if bound is None:
            return
        host, port = bound.sock.getsockname()[:2]
        self.address = (host, port)
        self._own.add(self.address)
        factory = self._secured(site)
        for one in (bound, *self._further):
            # a duplicate: ours is kept, as it may be handed over
            self._ports.append(self._reactor.adoptStreamPort(one.sock.fileno(), one.sock.family, factory))
        scheme = "http" if self.handshakes is None else "https"
        log.info("admin server on {scheme}://{address}/", scheme=scheme, address=join_host_port(*self.address))

    def exchange(self, site: Any) -> None:
        """Serve C{site} from now on, to whoever connects; who is connected goes on with the one before."""
        factory = self._secured(site)
        for port in self._ports:
            port.factory.doStop()
            port.factory = factory
            factory.doStart()

    def give(self) -> None:
        """Another process has it: let go, and have whoever is connected connect to that one."""
        for site in list(self._sites):
            site.leave()
        self.close()

    def _secured(self, site: Any) -> Any:
        self._sites.add(site)
        return site if self.handshakes is None else over_tls(site, self.handshakes, self._reactor)

    def close(self) -> Deferred[Any]:
        """Let go of it; fires when it is closed."""
        bound, self._bound = self._bound, None
        if bound is not None:
            for one in (bound, *self._further):
                one.release()
        if self.address is not None:
            self._own.remove(self.address)
            self.address = None
        ports, self._ports = self._ports, []
        return DeferredList([maybeDeferred(port.stopListening) for port in ports])
