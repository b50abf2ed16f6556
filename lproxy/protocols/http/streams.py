# -*- test-case-name: tests.protocols.http.test_streams -*-
"""
The two ends that an exchange joins, whatever version of HTTP either speaks.

They speak heads, raw body bytes, credit, trailers and reset; never sockets, chunks or frames. What one read produced
for a peer goes in one call, so that it is written once: a head takes the beginning of its body, and its end, along.

Credit is how many bytes of a body may follow. Whoever is told that there is none (zero or less) sends nothing until it
is given some; whoever has some may exceed it by the piece at hand.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import CancelledError

from lproxy.api import Conn, Hold, Stream
from lproxy.errors import ProxyError
from lproxy.protocols.http.message import Headers, Request, Response
from lproxy.target import Endpoint


class UpstreamLost(ProxyError):
    """
    An upstream's connection, or its part in this exchange, ended before its answer did.

    @ivar when: what had come of the answer
    @ivar answered: whether a byte of the answer had come
    @ivar unsent: whether the upstream can have got nothing of the request, or has said that it did nothing of it
    @ivar reused: whether the connection had served another request before
    @ivar elsewhere: whether other endpoints serve the same
    """

    layer = "upstream"
    reason = "upstream_lost"
    flag = "UC"
    status = 502
    in_use = True

    def __init__(
        self,
        target: Endpoint,
        errno: str,
        when: str,
        answered: bool = True,
        unsent: bool = False,
        reused: bool = False,
    ) -> None:
        super().__init__(target)
        self.errno = errno
        self.when = when
        self.answered = answered
        self.unsent = unsent
        self.reused = reused
        self.elsewhere = False

    def what(self) -> str:
        """How, and when."""
        _, said, alert = self.errno.partition("alert:")
        if said:
            return f"ended TLS with the alert {alert.replace('_', ' ')!r} {self.when}"
        how = {"": "closed the connection", "ECONNRESET": "reset the connection"}.get(self.errno, self.errno)
        return f"{how} {self.when}"


class BadResponse(ProxyError):
    """The upstream's answer is not HTTP, or breaks a limit."""

    layer = "upstream"
    reason = "bad_response"
    flag = "UP"
    status = 502
    in_use = True

    def what(self) -> str:
        """What the cause explains."""
        return "sent a malformed answer"


class Outrun(CancelledError):
    """Another try has answered first, after this one had its time: it is given up, and was slow."""


class Outgoing(Protocol):
    """Somebody to send a request to: one exchange on an upstream's connection."""

    __slots__ = ("address",)

    #: whom it goes to, for people
    address: str

    def data(self, raw: bytes, end: bool, trailers: Headers) -> int:
        """
        More of the request's body, perhaps nothing.

        @param end: whether that was all, C{trailers} included
        @return: credit left
        """

    def peer(self) -> Endpoint:
        """Whom it goes to."""

    def credit(self, n: int) -> None:
        """C{n} more bytes of the answer's body are welcome."""

    def delivered(self) -> int:
        """A figure that grows with what the upstream has taken of the request."""

    def owed(self) -> bool:
        """Whether it still has to take some of a body that was sent."""

    def reset(self, error: BaseException) -> None:
        """The request will not be finished, or its answer is not wanted any more. Nobody is told anything after it."""


class Responder(Protocol):
    """
    The client's side of an exchange.

    C{respond} comes once, then C{data} until one of them says C{end}; or C{tunnel}; or C{reset}, at any time.
    """

    __slots__ = ()

    @property
    def behalf(self) -> Conn | None:
        """The connection that the request came on: whose it is. C{None}: nobody's, the proxy itself asks."""

    def informational(self, head: Response) -> None:
        """A 1xx answer, before the real one."""

    def respond(self, head: Response, body: bytes, end: bool, trailers: Headers) -> int:
        """
        The answer's head and the beginning of its body.

        @return: credit left
        """

    def data(self, raw: bytes, end: bool, trailers: Headers) -> int:
        """
        More of its body.

        @return: credit left
        """

    def credit(self, n: int) -> None:
        """C{n} more bytes of the request's body are welcome."""

    def tunnel(self, head: Response, stream: Stream, rest: bytes) -> None:
        """
        The upstream speaks another protocol from now on.

        @param stream: the upstream's side, for whoever is to have it now
        @param rest: what it has said already
        """

    def reset(self, error: BaseException) -> None:
        """There is no answer, or no more of it."""


class HttpLease(Protocol):
    """The right to dispatch one request: a L{Lease<lproxy.stack.interfaces.Lease>}."""

    __slots__ = ("hold",)

    hold: Hold

    def call(self, head: Request, body: bytes, end: bool, to: Responder) -> Outgoing:
        """
        Dispatch a request, at most once: its head, and what is at hand of its body.

        @param end: whether that is the whole body
        @raise UpstreamLost: the connection is gone already; nothing was sent
        """

    def means(self, status: int) -> None:
        """The answer came to C{status}, whatever its own was: what the endpoint is judged by."""

    def close(self) -> None:
        """End the lease. What C{call} began and did not come to its end by itself is aborted."""

    def keep(self) -> Kept | None:
        """
        End the lease, as C{close}, and have the connection for oneself, which a client has authenticated.

        @return: C{None} where nothing can follow on it
        """


class Kept(Protocol):
    """A connection that is one client's, between its requests."""

    def lease(self) -> HttpLease | None:
        """For the next of them, where the connection still lives."""

    def close(self) -> None:
        """The client is gone."""
