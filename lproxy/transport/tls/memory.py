# -*- test-case-name: tests.transport.tls.test_memory -*-
"""
TLS for a protocol of Twisted's, such as the admin server: Twisted's own, in memory, with the certificate of the moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from lproxy.identity.contexts import Context
from lproxy.identity.verification import Peer

#: what to show and whom to ask for, at this moment: files may be replaced at any
Current = Callable[[], Context]


class _Connection(SSL.Connection):
    """Keeps the application data that our contexts go by, where Twisted would put its own."""

    def set_app_data(self, data: object) -> None:
        """Keep it, if it is ours."""
        if isinstance(data, Peer):
            super().set_app_data(data)


@implementer(IOpenSSLServerConnectionCreator)
class Handshakes:
    """
    Begins that of each connection.

    @ivar current: what it goes by; may be set anew
    """

    def __init__(self, current: Current) -> None:
        self.current = current

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """In memory: the bytes are Twisted's to carry."""
        connection = _Connection(self.current().ssl, None)
        connection.set_app_data(Peer())
        return connection


def over_tls(factory: Any, handshakes: Handshakes, clock: Any) -> TLSMemoryBIOFactory:
    """
    What serves C{factory} inside of TLS.

    Its protocols see a client that comes to no end of its handshake as one that is idle, and have to bound that.
    """
    return TLSMemoryBIOFactory(handshakes, False, factory, clock=clock)
