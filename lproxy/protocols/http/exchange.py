# -*- test-case-name: tests.protocols.http.test_exchange -*-
"""
One request and its answer, whatever versions of HTTP the client and the upstream speak.

An exchange finds out where its request goes, acquires a lease for that, dispatches, and passes on what comes of it;
what becomes of failures is decided here. It is no connection: many may live on one.

A request without a body costs no timer, no Deferred and no closure where a service is ready.

Over 300 lines: an exchange is one run of states, and is read as one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from lproxy.api import Conn, ConnectionLease, ProxyError, Stream, judge, tried
from lproxy.protocols.http.account import Account
from lproxy.protocols.http.client import Client
from lproxy.protocols.http.deadlines import DeadlineExceeded, Expiring
from lproxy.protocols.http.grpc import CANCELLED, NO_CALL, http_status, outcome
from lproxy.protocols.http.listener import Destination, Listener
from lproxy.protocols.http.message import NO_TRAILERS, Headers, Request, Response
from lproxy.protocols.http.own import kept
from lproxy.protocols.http.phase import ACQUIRING, ANSWERING, CALLING, FINISHING, OVER, TUNNEL
from lproxy.protocols.http.prepare import prepare
from lproxy.protocols.http.profile.plan import Plan
from lproxy.protocols.http.record import text
from lproxy.protocols.http.rescue import called, rescued
from lproxy.protocols.http.retry import may_replay
from lproxy.protocols.http.streams import HttpLease, Outgoing, Responder
from lproxy.protocols.http.timeouts import CallClocks
from lproxy.stack.retry import TRIES

#: bytes of a body that are welcome, where nobody counts
AMPLE: Final = 65536


class Exchange(Responder, Expiring):
    """
    It is a L{Responder} to the upstream; whoever reads the client has L{upload}, L{taken} and L{cancel}.

    @ivar state: what it is doing
    @ivar request: whose head
    @ivar destination: where it goes; C{None} until that is known
    @ivar plan: its route's, where its destination has a profile
    @ivar status: of the answer, once that has begun
    @ivar began: seconds, when the request's head was read
    @ivar ended: seconds, when it was answered or given up
    @ivar account: how long it took where, and how much was passed on
    @ivar flags: of the access log
    @ivar grpc: what came of it, where it is a call
    @ivar upstream: whom the request was sent to, or should have been, as far as it came
    @ivar whole: whether all of the request's body was read
    @ivar _first: of the body, what was at hand when the request was dispatched: kept to be sent once more
    @ivar _private: whether the client has authenticated the connection that the request goes on
    @ivar _kept: whether C{_first} is all that was sent of it
    """

    __slots__ = (
        "_client",
        "_clocks",
        "_first",
        "_kept",
        "_lease",
        "_listener",
        "_outgoing",
        "_pending",
        "_private",
        "_trailers",
        "_tunnel",
        "account",
        "began",
        "destination",
        "ended",
        "flags",
        "grpc",
        "plan",
        "request",
        "state",
        "status",
        "upstream",
        "whole",
    )

    def __init__(self, listener: Listener, client: Client, request: Request, whole: bool) -> None:
        self._listener = listener
        self._client = client
        self._lease: HttpLease | None = None
        self._tunnel: ConnectionLease | None = None
        self._outgoing: Outgoing | None = None
        self._pending: Deferred[Any] | None = None
        self._clocks: CallClocks | None = None
        self._first = b""
        self._kept = True
        self._private = request.private
        self._trailers = NO_TRAILERS
        self.request = request
        self.destination: Destination | None = None
        self.plan: Plan | None = None
        self.state = ACQUIRING
        self.status = 0
        self.began = listener.seconds()
        self.account = Account(self.began)
        self.ended = 0.0
        self.flags = ""
        self.grpc = NO_CALL
        self.upstream: str | None = None
        self.whole = whole

    def __repr__(self) -> str:
        return f"<Exchange {self.request!r} state={self.state} status={self.status}>"

    def describe(self) -> dict[str, str | None]:
        """Its part of a row of C{/connections}."""
        return {
            "target": str(self.destination.target) if self.destination is not None else None,
            "request": f"{text(self.request.method)} {text(self.request.target)}",
            "route": self.plan.name if self.plan is not None else None,
            "upstream": self.upstream,
        }

    # its beginning

    def start(self) -> None:
        """Find out where it goes, and go there as soon as a service is ready."""
        listener = self._listener
        request = self.request
        conn = self._client.conn
        try:
            if listener.guard is not None and (ours := listener.guard.answer(request, conn)):
                self._answer(*ours)
                return
            destination = listener.destination(request, conn)
            destination.counter.began()
            self.destination = destination
            if request.timeout is not None:
                listener.deadlines.add(self, self.began + request.timeout)
            if destination.guarded and (refused := listener.runtime.refuse(conn, destination.target)) is not None:
                # not raised: its traceback would have this frame, and that has it
                self.reset(refused)
                return
            if destination.router is not None:
                self.plan = destination.router.plan(request)
                if (refused := self.plan.begin(request, conn, self.began)) is not None:
                    self.reset(refused)
                    return
            if (ours := prepare(request, destination, self.plan, listener, conn)) is not None:
                self._answer(*ours)
                return
            self._private = request.private
            if listener.by_authority and request.method == b"CONNECT" and not request.protocol:
                self._wait(listener.tunnels.acquire(destination.target), self._tunnel_acquired)
                return
            own = self._client.own
            lease = own.lease(destination.target) if own is not None else None
            if lease is not None:
                self._private = True
            else:
                lease = destination.try_acquire(destination.target)
            if lease is None:
                self._wait(destination.acquire.acquire(destination.target), self._acquired)
            elif self.whole:
                self._lease = lease
                self._dispatch(lease)
            else:
                self._acquired(lease)
        except BaseException as e:
            self.reset(e)

    def _wait(self, acquiring: Deferred[Any], acquired: Callable[[Any], None]) -> None:
        # known before anything is told of it, which may be at once
        self._pending = acquiring
        acquiring.addCallback(acquired).addErrback(self._not_acquired)

    def _not_acquired(self, failure: Failure) -> None:
        self._pending = None
        assert failure.value is not None
        self.reset(failure.value)

    def _acquired(self, lease: HttpLease) -> None:
        self._pending = None
        if self.state != ACQUIRING:
            lease.close()  # it came although it was cancelled
            return
        self._lease = lease
        if not self.whole:
            # what has come of the body meanwhile goes with the head, or turns out to be none
            self._client.credit(AMPLE)
            if self.state != ACQUIRING:
                return
        self._dispatch(lease)

    def _dispatch(self, lease: HttpLease) -> None:
        self.state = CALLING
        whole = self.whole
        outgoing = lease.call(self.request, self._first, whole and not self._trailers, self)
        if self._trailers:
            outgoing.data(b"", True, self._trailers)
        self._outgoing = outgoing
        self.upstream = outgoing.address
        listener = self._listener
        if listener.has_clocks:
            if self._clocks is None:
                runtime, destination = listener.runtime, self.destination
                target = destination and destination.target
                self._clocks = CallClocks(runtime.timeouts, runtime.clock, target, self.reset)
            self._clocks.dispatched(whole)
        self.account.dispatch(listener.seconds())
        if self.plan is not None:
            self.plan.counter.tries += 1
        if not whole:
            credit = outgoing.data(b"", False, NO_TRAILERS)
            if credit > 0:
                self._client.credit(credit)

    def _again(self, error: ProxyError) -> None:
        """Another acquisition, and all that was sent goes once more."""
        self.state = ACQUIRING
        self.account.asked = self._listener.seconds()
        self._outgoing = None
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.close()
        self._private = self.request.private
        destination = self.destination
        assert destination is not None
        self._wait(destination.acquire.again(destination.target, error), self._acquired)

    def _tunnel_acquired(self, lease: ConnectionLease) -> None:
        """CONNECT is ours to answer: to a connection of its own."""
        self._pending = None
        if self.state != ACQUIRING:
            lease.close()
            return
        self._tunnel = lease
        upstream = lease.call(self._client.conn)
        self.upstream = str(upstream.endpoint)
        self.tunnel(Response(200, b"Connection established", [], 0), upstream.stream, b"")

    # the client's side

    def upload(self, raw: bytes, end: bool, trailers: Headers) -> int:
        """
        More of the request's body, for which there was credit.

        @return: credit left
        """
        self.whole = end
        self.account.received += len(raw)
        if self.plan is not None and (refused := self.plan.too_large(self.account.received)) is not None:
            self.reset(refused)
            return 0
        outgoing = self._outgoing
        if outgoing is None:
            # a lease is at hand, and the request about to be sent
            self._first = self._first + raw if self._first else raw
            self._trailers = trailers
            return 0
        self._kept = False
        credit = outgoing.data(raw, end, trailers)
        if end:
            if self._clocks is not None:
                self._clocks.sent()
            if self.state == FINISHING:
                self._over(True)
        return credit

    def delivered(self) -> int:
        """A figure that grows with what the upstream has taken of the request."""
        return self._outgoing.delivered() if self._outgoing is not None else 0

    def owed(self) -> bool:
        """Whether the upstream still has to take some of the request's body."""
        return self._outgoing is not None and self._outgoing.owed()

    def taken(self, n: int) -> None:
        """The client took what it was sent: C{n} more bytes of the answer's body are welcome."""
        if self._outgoing is not None:
            self._outgoing.credit(n)

    def cancel(self) -> None:
        """The client is gone, or gave this exchange up: whatever is under way for it ends."""
        if self.state != OVER:
            self.flags = self.flags or "DC"
            if self.request.grpc:
                self.grpc = CANCELLED
            self.ended = self._listener.seconds()
            if self._outgoing is not None:
                self._outgoing.reset(CancelledError())
            self._over(False)

    def expired(self) -> None:
        """Its caller waits no longer."""
        self.reset(DeadlineExceeded(self.destination and self.destination.target, self.request.timeout or 0.0))

    def tunnelled(self, received: int, sent: int) -> None:
        """What L{tunnel} began is over; so many bytes were the client's, and so many for it."""
        self.account.received, self.account.sent = received, sent
        self.ended = self._listener.seconds()
        self._over(False)

    # the upstream's side: Responder

    @property
    def conn(self) -> Conn:
        """The client's connection."""
        return self._client.conn

    def informational(self, head: Response) -> None:
        """1xx goes on."""
        self._told(head)
        self._client.informational(head)

    def respond(self, head: Response, body: bytes, end: bool, trailers: Headers) -> int:
        """The answer goes on, and may be all."""
        listener = self._listener
        before = listener.seconds()
        self.status = head.status
        self.state = ANSWERING
        if head.private:
            self._private = True
        if head.proxied:
            self._told(head)
        if self.plan is not None and self.plan.response is not None:
            head.headers = self.plan.response.apply(head.headers, head.http2)
        if end and self.request.grpc:
            self._came_to(trailers or head.headers)
        credit = self._client.respond(head, body, end, trailers)
        self.ended = listener.seconds()
        self.account.answer(before, self.ended, len(body))
        if end:
            self._answered()
        else:
            self._first = b""
            if self._clocks is not None:
                self._clocks.answered()
        return credit

    def data(self, raw: bytes, end: bool, trailers: Headers) -> int:
        """More of it goes on, and may be the last."""
        if self.state == FINISHING:
            # more than all: the upstream's end, most likely
            self._over(True)
            return 0
        self.account.sent += len(raw)
        if end and self.request.grpc:
            self._came_to(trailers)
        credit = self._client.data(raw, end, trailers)
        if end:
            self.ended = self._listener.seconds()
            self._answered()
        return credit

    def _came_to(self, fields: Headers) -> None:
        """A call has its status."""
        self.grpc = outcome(self.status, fields)
        judged = http_status(self.grpc)
        if judged >= 500 and self.status < 500 and self._lease is not None:
            self._lease.means(judged)

    def _answered(self) -> None:
        """The answer is all there: of a body that was accepted the rest still goes on (RFC 9112, 9.3)."""
        if self.whole or self.status >= 400 or not self._client.sending():
            self._over(True)
        elif self.state == ANSWERING:
            if self._clocks is not None:
                self._clocks.stop()
            self.state = FINISHING

    def credit(self, n: int) -> None:
        """The upstream took what it was sent."""
        if not self.whole:
            self._client.credit(n)

    def tunnel(self, head: Response, stream: Stream, rest: bytes) -> None:
        """Both sides speak something else from now on: whoever has the client joins them."""
        self._told(head)
        if self._clocks is not None:
            self._clocks.stop()
        self.status = head.status
        self.ended = self._listener.seconds()
        self._count()
        self.state = TUNNEL
        self._client.tunnel(head, stream, rest)

    def _told(self, head: Response) -> None:
        """An answer goes on without what only a proxy may say, unless the service is one."""
        if head.proxied and self.destination is not None and not self.destination.proxy:
            head.not_proxied()

    def reset(self, error: BaseException) -> None:
        """
        It failed: at an upstream, on the way to one, or since the request turned out to be none. Once more, where that
        can do no harm; or an answer of ours; or an abrupt end, where the answer has begun.
        """
        if self.state >= TUNNEL:
            return
        if self.state == FINISHING:
            # the client has its answer
            self._over(True)
            return
        try:
            if (
                isinstance(error, ProxyError)
                and self._kept
                and not self.status
                and self.account.tries < TRIES
                and may_replay(self.request, self.whole, error)
            ):
                self._again(error)
            else:
                self._failed(error)
        except BaseException as bug:
            # whoever tells us of failures, a clock or an upstream, can do nothing about this one
            self._listener.record.crashed(bug)
            self._over(False)
            self._client.reset(bug)

    def _failed(self, error: BaseException) -> None:
        judged = judge(error)
        self.flags = judged.flag
        if self.request.grpc:
            self.grpc = called(judged)
        if (endpoint := tried(error)) is not None:
            self.upstream = str(endpoint)
        listener, client = self._listener, self._client
        listener.record.failed(judged, error, client.conn)
        self.ended = listener.seconds()
        if self._outgoing is not None:
            self._outgoing.reset(error)
        if self.status:
            self._over(False)
            client.reset(error)
            return
        tell = listener.record.may_tell(client.conn)
        self._answer(*rescued(judged, error, self.ended - self.began, self.request, tell))

    def _answer(self, head: Response, body: bytes) -> None:
        """The answer is ours."""
        listener = self._listener
        self.status = head.status
        before = listener.seconds()
        self._client.respond(head, body, True, NO_TRAILERS)
        self.ended = listener.seconds()
        self.account.overhead += self.ended - before
        self.account.sent = len(body)
        self._over(True)

    # its end

    def _count(self) -> None:
        if self.destination is not None:
            took = (self.ended - self.began) * 1000.0
            self.destination.counter.ended(self.status, took, self.account.overhead, self.grpc)
            if self.plan is not None:
                self.plan.ended(self.status, took, self.grpc)

    def _over(self, complete: bool) -> None:
        """
        Count it and log it, as C{ended} now, and give back everything that it held.

        @param complete: whether the client has its whole answer, and goes on
        """
        client = self._client
        error: BaseException | None = None
        try:
            if self.state != TUNNEL:
                self._count()
            if self._listener.record.access is not None:
                self._listener.record.log(client.conn, self)
        except BaseException as e:
            error = e
            self._listener.record.crashed(e)
        self.state = OVER
        if self.request.timeout is not None:
            self._listener.deadlines.drop(self)
        if self._pending is not None:
            self._pending.cancel()
        if self._clocks is not None:
            self._clocks.stop()
        self._outgoing = None
        lease, self._lease = self._lease, None
        if lease is not None:
            if self._private and self.destination is not None:
                client.own = kept(client.own, self.destination.target, lease)
            else:
                lease.close()
        tunnel, self._tunnel = self._tunnel, None
        if tunnel is not None:
            tunnel.close()
        if error is not None:
            client.reset(error)
        elif complete:
            client.complete()
