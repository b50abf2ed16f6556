# -*- test-case-name: tests.protocols.http.test_route -*-
"""
Where does a request want to go?
"""

from __future__ import annotations

from typing import Final

from lproxy.errors import ProxyError
from lproxy.protocols.http.message import Rejected, Request, find
from lproxy.target import Authority, OriginalDst, Target, split_host_port

#: the ports that http://host/ and https://host/ mean, where the connection was not going to another
DEFAULT_PORT: Final = 80
HTTPS_PORT: Final = 443


class NoAuthority(ProxyError):
    """
    A request for which neither itself nor its connection says where to go.

    @ivar by_authority: whether the listener lets requests choose
    """

    layer = "route"
    reason = "no_route"
    flag = "NR"
    status = 404

    def __init__(self, by_authority: bool = True) -> None:
        super().__init__("request")
        self.by_authority = by_authority

    def what(self) -> str:
        """What is missing."""
        if self.by_authority:
            return "names no host and the listener has no target of its own"
        return "goes where its connection does, which was neither redirected nor asks for a name in TLS (SNI)"


def route(head: Request, connection: Target | None, by_authority: bool, https: bool = False) -> Target:
    """
    The target of a request.

    @param connection: where its connection goes, as far as that is known
    @param by_authority: whether the listener lets requests choose
    @param https: whether it was asked by https
    @raise NoAuthority: nobody says where
    @raise Rejected: to what cannot be an address, or to an empty one where it is needed
    """
    if by_authority and head.authority:
        try:
            default = HTTPS_PORT if https else DEFAULT_PORT
            if isinstance(connection, OriginalDst):
                default = connection.port
            host, port = split_host_port(head.authority.decode("ascii"), default)
        except ValueError as e:
            rejected = Rejected("", 400, "host", str(e)).because(e)
        else:
            return Authority(host.lower().removesuffix("."), port)
        raise rejected
    if connection is None:
        if by_authority and find(head.headers, b"host") is not None:
            raise Rejected("", 400, "host", "an empty Host, and the listener has no target of its own")
        raise NoAuthority(by_authority)
    return connection
