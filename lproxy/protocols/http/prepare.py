# -*- test-case-name: tests.protocols.http.test_prepare -*-
"""
What becomes of a request before a service is acquired for it: it says no more than who comes next may know, and all
that has to be said there.
"""

from __future__ import annotations

from lproxy.api import Conn
from lproxy.protocols.http.destination import Destination
from lproxy.protocols.http.guard import by_https, vouch
from lproxy.protocols.http.hops import said_to_proxy
from lproxy.protocols.http.listener import Listener
from lproxy.protocols.http.message import Request, Response
from lproxy.protocols.http.profile.plan import Plan


def prepare(
    request: Request, destination: Destination, plan: Plan | None, listener: Listener, conn: Conn
) -> tuple[Response, bytes] | None:
    """
    Have C{request}, which came on C{conn}, ready to be sent to C{destination}.

    @param plan: its route's, where it has one
    @return: our answer, and its body, where it goes no further
    """
    if plan is not None and plan.ours is not None:
        return plan.ours.to(request, by_https(conn.tls) or request.absolute[:6].lower() == b"https:")
    if request.special and (ours := said_to_proxy(request, destination.proxy, listener.record, conn)):
        return ours
    request.lenient = destination.lenient
    if destination.told:
        # whatever else is sent on its connection is taken for this client's
        request.private = True
    if listener.forwarding is not None:
        listener.forwarding.apply(request, conn)
    if conn.tls is not None:
        vouch(request, conn.tls)
    if not request.authority:
        # HTTP/1.1, which the upstream is spoken to in, cannot do without (RFC 9112, 3.2)
        request.name_host(str(destination.target).encode("ascii", "replace"))
    if plan is not None:
        # last, so that they may say something else of all that was said before
        if plan.rewriter is not None:
            plan.rewriter.apply(request)
        if plan.request is not None:
            request.headers = plan.request.apply(request.headers, request.stream_id != 0)
    return None
