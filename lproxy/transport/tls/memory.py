# -*- test-case-name: tests.transport.tls.test_memory -*-
"""
TLS for a protocol of Twisted's, such as the admin server: Twisted's own, in memory, with the certificate of the moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from lproxy.identity.contexts import Context
from lproxy.identity.verification import Peer

#: what to show and whom to ask for, at this moment: files may be replaced at any
Current = Callable[[], Context]


#: a handshake begins with 22, a request with a letter
_SAYS = b"this port speaks https only\n"
PLAIN = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_SAYS), _SAYS)
)


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


class _OverTls(BufferingTLSTransport):
    """One connection. Who speaks plain HTTP is told so, in it: nothing else would say what is wrong."""

    _begun = _plain = False

    def dataReceived(self, data: bytes) -> None:
        """Called with what the socket has read."""
        if not self._begun:
            self._begun = True
            if data[:1].isalpha():
                self._plain = True
                transport: Any = self.transport
                transport.write(PLAIN)
                transport.loseConnection()
        if not self._plain:
            super().dataReceived(data)  # type: ignore[no-untyped-call]


class _Factory(TLSMemoryBIOFactory):
    """Makes those."""

    protocol = _OverTls


def over_tls(factory: Any, handshakes: Handshakes, clock: Any) -> TLSMemoryBIOFactory:
    """
    What serves C{factory} inside of TLS.

    Its protocols see a client that comes to no end of its handshake as one that is idle, and have to bound that.
    """
    return _Factory(handshakes, False, factory, clock=clock)
