# -*- test-case-name: tests.protocols.http.test_exchange -*-
"""
One request and its answer, whatever versions of HTTP the client and the upstream speak.

An exchange finds out where its request goes, acquires a lease for that, dispatches, and passes on what comes of it;
what becomes of failures is decided here. It is no connection: many may live on one.

A request without a body costs no timer, no Deferred and no closure where a service is ready.

Over 300 lines: an exchange is one run of states, and is read as one.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import CancelledError

from lproxy.api import Conn, ProxyError, Stream, judge, tried
from lproxy.protocols.http.account import Account
from lproxy.protocols.http.client import Client
from lproxy.protocols.http.deadlines import DeadlineExceeded, Expiring
from lproxy.protocols.http.destination import Destination
from lproxy.protocols.http.grpc import CANCELLED, NO_CALL, http_status, outcome
from lproxy.protocols.http.listener import Listener
from lproxy.protocols.http.message import NO_TRAILERS, Headers, Request, Response
from lproxy.protocols.http.phase import ACQUIRING, ANSWERING, FINISHING, OVER, TUNNEL
from lproxy.protocols.http.prepare import prepare
from lproxy.protocols.http.profile.plan import Plan
from lproxy.protocols.http.request_id import tell
from lproxy.protocols.http.rescue import called, rescued
from lproxy.protocols.http.tries import AMPLE, Owner, Tries

#: that the body is awaited (RFC 9110, 15.2.1)
CONTINUE: Final = 100
#: what an answer means to an endpoint's health that its route does not call a failure
OK: Final = 200


class Exchange(Owner, Expiring):
    """
    It is a L{Responder} to the upstream; whoever reads the client has L{upload}, L{taken} and L{cancel}.

    @ivar state: what it is doing
    @ivar request: whose head
    @ivar destination: where it goes; C{None} until that is known
    @ivar plan: its route's, where its destination has a profile
    @ivar tries: how it gets upstream
    @ivar status: of the answer, once that has begun
    @ivar began: seconds, when the request's head was read
    @ivar ended: seconds, when it was answered or given up
    @ivar account: how long it took where, and how much was passed on
    @ivar flags: of the access log
    @ivar grpc: what came of it, where it is a call
    @ivar upstream: whom the request was sent to, or should have been, as far as it came
    @ivar whole: whether all of the request's body was read
    """

    __slots__ = (
        "_client",
        "_listener",
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
        "tries",
        "upstream",
        "whole",
    )

    def __init__(self, listener: Listener, client: Client, request: Request, whole: bool) -> None:
        self._listener = listener
        self._client = client
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
        self.tries = Tries(listener, client)

    def __repr__(self) -> str:
        return f"<Exchange {self.request!r} state={self.state} status={self.status}>"

    # its beginning

    def start(self) -> None:
        """Find out where it goes, and go there as soon as a service is ready."""
        listener = self._listener
        request = self.request
        conn = self._client.conn
        try:
            if listener.following is not None:
                listener.following.begin(request, conn, self.account)
            if listener.guard is not None and (ours := listener.guard.answer(request, conn)):
                self._answer(*ours)
                return
            destination = listener.destination(request, conn)
            destination.counter.began()
            self.destination = destination
            if request.timeout is not None:
                listener.deadlines.add(self, self.began + request.timeout)
            if destination.guards and (refused := listener.refuse(destination, conn)) is not None:
                # not raised: its traceback would have this frame, and that has it
                self.reset(refused)
                return
            if destination.router is not None:
                plan = self.plan = destination.router.plan(request)
                plan.counter.requests += 1
                if plan.bounded and (refused := plan.refuse(request, conn, self.began)) is not None:
                    self.reset(refused)
                    return
                if plan.route.backends:
                    destination = self.destination = listener.shared(destination, plan, request, conn)
                    if destination.guards and (refused := listener.refuse(destination, conn)) is not None:
                        self.reset(refused)
                        return
            if (ours := prepare(request, destination, self.plan, listener, conn)) is not None:
                self._answer(*ours)
                return
            self.tries.start(self, destination)
        except BaseException as e:
            self.reset(e)

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
        credit = self.tries.upload(raw, end, trailers)
        if end and self.state == FINISHING:
            self._over(True)
        return credit

    def delivered(self) -> int:
        """A figure that grows with what the upstream has taken of the request."""
        outgoing = self.tries.outgoing
        return outgoing.delivered() if outgoing is not None else 0

    def owed(self) -> bool:
        """Whether the upstream still has to take some of the request's body."""
        outgoing = self.tries.outgoing
        return outgoing is not None and outgoing.owed()

    def taken(self, n: int) -> None:
        """The client took what it was sent: C{n} more bytes of the answer's body are welcome."""
        outgoing = self.tries.outgoing
        if outgoing is not None:
            outgoing.credit(n)

    def cancel(self) -> None:
        """The client is gone, or gave this exchange up: whatever is under way for it ends."""
        if self.state != OVER:
            self.flags = self.flags or "DC"
            if self.request.grpc:
                self.grpc = CANCELLED
            self.ended = self._listener.seconds()
            outgoing = self.tries.outgoing
            if outgoing is not None:
                outgoing.reset(CancelledError())
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
    def behalf(self) -> Conn | None:
        """The client's connection."""
        return self._client.conn

    def informational(self, head: Response) -> None:
        """1xx goes on; but for a further try's wish to have the body, which the client has sent already."""
        if head.status == CONTINUE and self.whole and self.account.tries > 1:
            return
        self._told(head)
        self._client.informational(head)

    def respond(self, head: Response, body: bytes, end: bool, trailers: Headers) -> int:
        """The answer goes on, and may be all; unless its route has another one asked for."""
        plan = self.plan
        if plan is not None and plan.again is not None and self.tries.better(self, head, body, end, trailers):
            return AMPLE
        listener = self._listener
        before = listener.seconds()
        self.status = head.status
        self.state = ANSWERING
        if head.private:
            self.tries.private = True
        if head.proxied or self.request.id_told:
            self._told(head)
        if plan is not None:
            if plan.response is not None:
                head.headers = plan.response.apply(head.headers, head.http2)
            if head.status >= 500 and self.tries.lease is not None and not plan.outcome(head.status).failure:
                # nor is it held against the endpoint
                self.tries.lease.means(OK)
        if end and self.request.grpc:
            self._came_to(trailers or head.headers)
        self.tries.answered(self, before)
        credit = self._client.respond(head, body, end, trailers)
        self.ended = listener.seconds()
        self.account.answer(before, self.ended, len(body))
        if end:
            self._answered()
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
        judged, plan, lease = http_status(self.grpc), self.plan, self.tries.lease
        failed = judged >= 500 and (plan is None or plan.outcome(self.status, self.grpc).failure)
        if failed and self.status < 500 and lease is not None:
            lease.means(judged)

    def _answered(self) -> None:
        """The answer is all there: of a body that was accepted the rest still goes on (RFC 9112, 9.3)."""
        if self.whole or self.status >= 400 or not self._client.sending():
            self._over(True)
        elif self.state == ANSWERING:
            self.tries.stop()
            self.state = FINISHING

    def credit(self, n: int) -> None:
        """The upstream took what it was sent."""
        if not self.whole:
            self._client.credit(n)

    def tunnel(self, head: Response, stream: Stream, rest: bytes) -> None:
        """Both sides speak something else from now on: whoever has the client joins them."""
        self._told(head)
        self.tries.stop()
        self.status = head.status
        self.ended = self._listener.seconds()
        self._count(False)
        self.state = TUNNEL
        self._client.tunnel(head, stream, rest)

    def _told(self, head: Response) -> None:
        """An answer goes on without what only a proxy may say, unless the service is one."""
        if head.proxied and self.destination is not None and not self.destination.proxy:
            head.not_proxied()
        if self.request.id_told:
            head.headers = tell(head.headers, self.request)

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
            if isinstance(error, ProxyError) and not self.status and self.tries.may_again(self, error):
                self.tries.again(self, error)
            else:
                self._failed(error)
        except BaseException as bug:
            # whoever tells us of failures, a clock or an upstream, can do nothing about this one
            self._listener.record.crashed(bug)
            self._over(False)
            self._client.reset(bug)

    def _failed(self, error: BaseException) -> None:
        self.tries.lost(self)
        judged = judge(error)
        self.flags = judged.flag
        if self.request.grpc:
            self.grpc = called(judged)
        if (endpoint := tried(error)) is not None:
            self.upstream = str(endpoint)
        listener, client = self._listener, self._client
        self.account.error = judged.reason
        self.ended = listener.seconds()
        listener.record.failed(judged, error, client.conn, self)
        outgoing = self.tries.outgoing
        if outgoing is not None:
            outgoing.reset(error)
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
        self._told(head)
        self._client.respond(head, body, True, NO_TRAILERS)
        self.ended = listener.seconds()
        self.account.ours(self.ended - before, len(body))
        self._over(True)

    # its end

    def _count(self, cut: bool) -> None:
        if self.destination is not None:
            took = (self.ended - self.began) * 1000.0
            self.destination.counter.ended(self.status, took, self.account.overhead, self.grpc, cut)
            plan, tries = self.plan, self.tries
            if plan is not None:
                failure = plan.ended(self.status, took, self.grpc, tries.relayed, cut)
                if tries.more or tries.why_not:
                    tries.count(plan, failure)

    def _over(self, complete: bool) -> None:
        """
        Count it and log it, as C{ended} now, and give back everything that it held.

        @param complete: whether the client has its whole answer, and goes on
        """
        client = self._client
        error: BaseException | None = None
        try:
            if self.state != TUNNEL:
                # of a failure before it an answer of ours tells, which is whole
                self._count(not complete and self.account.error != "")
            record = self._listener.record
            if self.account.trace is not None or record.access is not None or record.taps.on:
                record.over(client.conn, self)
        except BaseException as e:
            error = e
            self._listener.record.crashed(e)
        self.state = OVER
        if self.request.timeout is not None:
            self._listener.deadlines.drop(self)
        self.tries.over(self.destination)
        if error is not None:
            client.reset(error)
        elif complete:
            client.complete()
