# -*- test-case-name: tests.transport.test_handover -*-
"""
A connected socket that changes hands: from a plain stream to a handshake, and from there to the stream of TLS.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import NamedTuple

from lproxy.transport.hub import Descriptor
from lproxy.transport.stream import Conn


class Taken(NamedTuple):
    """
    A socket that a stream has given away: it is the receiver's to close.

    @ivar descriptor: as the hub knows it; the receiver is to be its C{events}
    @ivar released: to be called once it is closed
    @ivar began: when the connection did
    """

    sock: socket.SocketType
    descriptor: Descriptor
    conn: Conn
    released: Callable[[], None] | None
    began: float
