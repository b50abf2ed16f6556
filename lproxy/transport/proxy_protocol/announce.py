# -*- test-case-name: tests.transport.proxy_protocol.test_announce -*-
"""
What an upstream is told of the client that a connection to it is for.
"""

from __future__ import annotations

from lproxy.transport.proxy_protocol import tlv, v1, v2
from lproxy.transport.stream import Conn


def announcement(version: str, client: Conn | None) -> bytes:
    """
    The first bytes of a connection to an upstream that is told of clients in C{version}, C{v1} or C{v2}.

    @param client: C{None}: the connection is nobody's in particular. The upstream takes it for the proxy's own
    """
    if client is None:
        return v1.build(None, None) if version == "v1" else v2.build_local()
    destination = client.original_dst or client.local
    if version == "v1":
        return v1.build(client.peer, destination)
    return v2.build(client.peer, destination, tlv.about(client))
