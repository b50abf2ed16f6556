# -*- test-case-name: tests.protocols.http.test_guard -*-
"""
What HTTP makes of who a client is, and of how it came: whom a listener refuses, whom it has come back later or by
https, and what the upstream is told.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from lproxy.api import Conn, Runtime, Secured
from lproxy.protocols.http.message import Headers, Rejected, Request, Response
from lproxy.protocols.http.profile.limits import Gate, gate

#: who the client is, as its certificate says; what clients say themselves never gets here
CLIENT_ID: Final = b"l5d-client-id"
#: the method and the body stay what they are, and what is asked once is not remembered as done for good by a search
#: engine alone (RFC 9110, 15.4.9)
REDIRECT: Final = 308


class Guard:
    """
    Of one listener: asked before anything else is done about a request.
    """

    __slots__ = ("_asks", "_gate", "_keeps_port", "_redirects", "_runtime")

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        # whether who came by TLS may be refused, too
        self._asks = runtime.policy(None).active
        self._gate = rates(runtime)
        self._redirects = runtime.listen.redirect_https
        # the port that was asked for speaks TLS as well
        self._keeps_port = runtime.tls == "detect"

    def answer(self, request: Request, conn: Conn) -> tuple[Response, bytes] | None:
        """
        Our own answer to C{request}, which came on C{conn}, and its body; C{None} where it may go on.

        @raise ProxyError: it is refused
        """
        refused = self._runtime.refuse(conn) if conn.tls is None or self._asks else None
        if refused is None and self._gate is not None:
            refused = self._gate.refuse(request, conn, self._runtime.clock.seconds())
        if refused is not None:
            try:
                raise refused
            finally:
                # its traceback has this frame: no cycle for the collector
                del refused
        # what was TLS to somebody before us says so itself
        if not self._redirects or conn.tls is not None or request.absolute[:6].lower() == b"https:":
            return None
        return redirected(request, self._keeps_port)


def guard(runtime: Runtime) -> Guard | None:
    """What a listener needs; C{None} where everybody may."""
    listen = runtime.listen
    return Guard(runtime) if listen.redirect_https or listen.rates or runtime.refuses() else None


def rates(runtime: Runtime) -> Gate | None:
    """What lets requests pass of all that a listener is asked; C{None}: all may."""
    whom = f"listener {runtime.listen.name}"
    return gate(whom, runtime.rates.of(whom, runtime.listen.rates))


def redirected(request: Request, keeps_port: bool) -> tuple[Response, bytes]:
    """
    The answer that sends C{request} to https, and its body.

    @raise Rejected: it does not say to whom it wants to go
    """
    if not request.authority or request.method == b"CONNECT":
        raise Rejected("", 400, "host", "names no host that could be asked by https")
    host = request.authority
    if not keeps_port:
        # a colon within brackets is an IPv6 address's
        name, _, port = host.rpartition(b":")
        host = name if port.isdigit() and (host[:1] != b"[" or name[-1:] == b"]") else host
    path = request.target if request.target[:1] == b"/" else b"/"
    phrase = HTTPStatus(REDIRECT).phrase.encode("ascii")
    headers: Headers = [(b"location", b"https://%b%b" % (host, path)), (b"content-length", b"0")]
    return Response(REDIRECT, phrase, headers, 0, ours=True), b""


def vouch(request: Request, tls: Secured) -> None:
    """Tell the upstream who the client is, where that was proved."""
    if tls.remote_identity:
        request.headers = [*request.headers, (CLIENT_ID, tls.remote_identity.encode("ascii", "replace"))]


def by_https(tls: Secured | None) -> bool:
    """
    Whether a client that came by C{tls} has said https: all that did but other proxies, whose TLS is between them and
    us alone, whatever is asked in it.
    """
    return tls is not None and not (tls.remote_identity and tls.local_identity)
