# -*- test-case-name: tests.transport.test_datagram -*-
"""
A UDP socket that talks to one peer.

Twisted's own port would do, but writes two lines to the log for each, and a DNS query has a socket of its own.
"""

from __future__ import annotations

import os
import socket
from typing import Any, Protocol

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

#: the largest there can be
MAX_DATAGRAM = 65_535
#: read per wake-up, so that a peer that floods does not keep the reactor
BATCH = 16


class Receiver(Protocol):
    """Whoever is told of what comes."""

    def received(self, data: bytes) -> None:
        """One datagram."""

    def failed(self, error: OSError) -> None:
        """The socket is in error; the port of the peer is closed, mostly."""


@implementer(IReadDescriptor)
class Datagrams:
    """
    A socket connected to C{peer}: the kernel drops what others send, and tells that the peer's port is closed.

    Its own port is one that the kernel picks, another one each time.
    """

    def __init__(self, reactor: Any, peer: tuple[str, int], receiver: Receiver) -> None:
        """
        @raise OSError: there is no way to C{peer}, or no descriptor
        """
        self._reactor = reactor
        self._receiver = receiver
        family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._sock.connect(peer)
        except OSError:
            self._sock.close()
            raise
        reactor.addReader(self)

    def __repr__(self) -> str:
        return f"<Datagrams {self._sock!r}>"

    def send(self, data: bytes) -> None:
        """Send one datagram; raises OSError where it cannot be. One that the kernel has no room for is lost, as any."""
        try:
            self._sock.send(data)
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Be told of nothing more; harmless where it is closed."""
        if self.fileno() >= 0:
            self._reactor.removeReader(self)
            self._sock.close()

    # the reactor's

    def fileno(self) -> int:
        return self._sock.fileno()

    def logPrefix(self) -> str:
        return "Datagrams"

    def doRead(self) -> None:
        for _ in range(BATCH):
            try:
                data = self._sock.recv(MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                self._receiver.failed(error)
                return
            self._receiver.received(data)
            if self.fileno() < 0:
                return

    def connectionLost(self, reason: Any) -> None:
        # of an error, epoll reactors tell in this way alone
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if self.fileno() >= 0 else 0
        self.close()
        if code:
            self._receiver.failed(OSError(code, os.strerror(code)))
