# -*- test-case-name: tests.protocols.http.test_exchange -*-
"""
The client's side of an exchange, whatever version of HTTP the client speaks.
"""

from __future__ import annotations

from typing import Protocol

from lproxy.api import Conn
from lproxy.protocols.http.own import Own
from lproxy.protocols.http.streams import Responder


class Client(Responder, Protocol):
    """
    The client's side, as it is known to exchanges.

    @ivar own: upstream connections that nobody else gets; C{None} as long as there was none
    """

    __slots__ = ("own",)

    own: Own | None

    @property
    def conn(self) -> Conn:
        """The connection that the request came on."""

    @property
    def behalf(self) -> Conn | None:
        """That."""
        return self.conn

    def sending(self) -> bool:
        """Whether it is about to send the rest of its request's body, which it does not do before a 100."""

    def complete(self) -> None:
        """The exchange is over, and holds nothing any more: the answer that it gave is all."""
