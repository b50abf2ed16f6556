# -*- test-case-name: tests.protocols.http.test_tries -*-
"""
One request on its way upstream, as often as it is sent.

Waits for leases, dispatches, and keeps of the body what may be sent once more: what was at hand at first, or as much
as the request's route says. Whether there is another try is for the error or the answer to say
(L{lproxy.protocols.http.retry}), and for the service's budget.

Over 300 lines: what is held for one try is what another one replaces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lproxy.api import ConnectionLease, Hint, ProxyError
from lproxy.profile import Retries
from lproxy.protocols.http.account import Account
from lproxy.protocols.http.client import Client
from lproxy.protocols.http.deadlines import NEVER
from lproxy.protocols.http.destination import Destination
from lproxy.protocols.http.grpc import NO_CALL, http_status, outcome
from lproxy.protocols.http.listener import Listener
from lproxy.protocols.http.message import NO_TRAILERS, Headers, Request, Response
from lproxy.protocols.http.own import kept
from lproxy.protocols.http.phase import ACQUIRING, CALLING
from lproxy.protocols.http.profile.hedge import Hedging, Race
from lproxy.protocols.http.profile.metrics import BODY, BUDGET, LIMIT, SUCCESS
from lproxy.protocols.http.profile.plan import Plan
from lproxy.protocols.http.retry import Again, Unwanted, attempt, broken_off, may_replay, repeatable
from lproxy.protocols.http.streams import HttpLease, Outgoing, Responder
from lproxy.protocols.http.timeouts import CallClocks, CallTimedOut
from lproxy.stack.retry import TRIES, refused

#: of a route that has nothing to say about them
NO_RETRIES: Final = Retries()
#: bytes of a body that are welcome, where nobody counts
AMPLE: Final = 65536


class Owner(Responder, Protocol):
    """Whose request it is: an L{Exchange<lproxy.protocols.http.exchange.Exchange>}, where its attributes are told."""

    __slots__ = ("account", "destination", "plan", "request", "state", "upstream", "whole")

    account: Account
    destination: Destination | None
    plan: Plan | None
    request: Request
    state: int
    upstream: str | None
    whole: bool


class Tries:
    """
    Those of one exchange, which it is not tied to: whoever asks for something says whose it is.

    @ivar lease: for the latest
    @ivar outgoing: whom it was sent to, as long as that is of interest
    @ivar private: whether the client has authenticated the connection that the request goes on
    @ivar _pending: what is acquired
    @ivar _first: of the body, what was at hand when the request was dispatched
    @ivar _rest: what was kept of it since, and C{_size}: bytes of both
    @ivar _kept: whether that is all that was sent of it
    @ivar _again: when the route has more tries made
    @ivar _hint: for acquisitions
    @ivar _last: the answer that another try is to better, and that is the client's for want of one
    @ivar relayed: whether the client's answer is that of an upstream
    @ivar more: whether there was another for the route's sake
    @ivar why_not: why there was none, or not one more, though one was wanted
    """

    __slots__ = (
        "_again",
        "_client",
        "_clocks",
        "_first",
        "_hint",
        "_kept",
        "_last",
        "_listener",
        "_pending",
        "_rest",
        "_size",
        "_trailers",
        "_tunnel",
        "lease",
        "more",
        "outgoing",
        "private",
        "relayed",
        "why_not",
    )

    def __init__(self, listener: Listener, client: Client) -> None:
        self._listener = listener
        self._client = client
        self.lease: HttpLease | None = None
        self.outgoing: Outgoing | None = None
        self.private = False
        self._tunnel: ConnectionLease | None = None
        self._pending: Deferred[Any] | None = None
        self._clocks: CallClocks | None = None
        self._first = b""
        self._rest: list[bytes] | None = None
        self._size = 0
        self._kept = True
        self._trailers = NO_TRAILERS
        self._again: Again | None = None
        self._hint: Hint | None = None
        self._last: tuple[Response, bytes, Headers] | None = None
        self.more = False
        self.relayed = False
        self.why_not = ""

    def __repr__(self) -> str:
        return f"<Tries lease={self.lease!r}>"

    # to a lease, and with it

    def start(self, owner: Owner, destination: Destination) -> None:
        """Go there as soon as a service is ready."""
        listener = self._listener
        request, target, plan = owner.request, destination.target, owner.plan
        self.private = request.private
        destination.budget.requests += 1
        if plan is not None:
            self._again = plan.again
            if plan.sticking is not None:
                self._hint = plan.sticking.hint(request)
        if listener.by_authority and request.method == b"CONNECT" and not request.protocol:
            self._wait(owner, listener.tunnels.acquire(target), self._tunnel_acquired)
            return
        own = self._client.own
        lease = own.lease(target) if own is not None else None
        if lease is not None:
            self.private = True
        else:
            lease = destination.try_acquire(target, self._hint)
        if lease is None:
            self._wait(owner, destination.acquire.acquire(target, self._hint), self._acquired)
        elif owner.whole:
            self.lease = lease
            self._dispatch(lease, owner)
        else:
            self._acquired(lease, owner)

    def _wait(self, owner: Owner, acquiring: Deferred[Any], acquired: Callable[[Any, Owner], None]) -> None:
        # known before anything is told of it, which may be at once
        self._pending = acquiring
        acquiring.addCallback(acquired, owner).addErrback(self._not_acquired, owner)

    def _not_acquired(self, failure: Failure, owner: Owner) -> None:
        self._pending = None
        if owner.state == ACQUIRING:
            # there is no lease, and to ask for another would not help
            self._kept = False
            last, self._last = self._last, None
            if last is not None:
                # and nobody may ask for a better one any more
                self._again = None
                owner.respond(last[0], last[1], True, last[2])
                return
        assert failure.value is not None
        owner.reset(failure.value)

    def _acquired(self, lease: HttpLease, owner: Owner) -> None:
        self._pending = None
        if owner.state != ACQUIRING:
            lease.close()  # it came although it was cancelled
            return
        self.lease = lease
        if not owner.whole:
            # what has come of the body meanwhile goes with the head, or turns out to be none
            self._client.credit(AMPLE)
            if owner.state != ACQUIRING:
                return
        self._dispatch(lease, owner)

    def _dispatch(self, lease: HttpLease, owner: Owner) -> None:
        listener = self._listener
        owner.state = CALLING
        account, whole, plan, times = owner.account, owner.whole, owner.plan, listener.times
        account.tries += 1
        if account.trace is not None:
            account.trace.call(listener.seconds())
        if plan is not None:
            times = plan.times
            plan.counter.tries += 1
            if plan.hedging is not None:
                lease = self.lease = self._raced(lease, owner, plan.hedging, plan)
        trailers = self._trailers
        outgoing = lease.call(owner.request, self._first, whole and not trailers, owner)
        if trailers:
            outgoing.data(b"", True, trailers)
        self.outgoing = outgoing
        owner.upstream = outgoing.address
        now = listener.seconds()
        if times is not None:
            if self._clocks is None:
                target = owner.destination and owner.destination.target
                self._clocks = CallClocks(times, listener.deadlines, target, owner.reset)
            self._clocks.dispatched(now, whole)
        account.dispatch(now)
        if not whole:
            credit = outgoing.data(b"", False, NO_TRAILERS)
            if credit > 0:
                self._client.credit(credit)

    def _raced(self, lease: HttpLease, owner: Owner, hedging: Hedging, plan: Plan) -> HttpLease:
        """C{lease}, which has a second one made beside it if its answer takes long, where that may be."""
        after, destination, request = hedging.after(), owner.destination, owner.request
        retries = plan.route.retries or NO_RETRIES
        if after == NEVER or destination is None or self.private or not owner.whole or self._trailers:
            return lease
        if len(self._first) > retries.body or not repeatable(request, retries):
            return lease
        listener, target = self._listener, destination.target
        at = listener.seconds() + after
        counter, account = plan.counter, owner.account
        return Race(lease, owner, at, listener.deadlines, destination.acquire, target, self._hint, counter, account)

    def _tunnel_acquired(self, lease: ConnectionLease, owner: Owner) -> None:
        """CONNECT is ours to answer: to a connection of its own."""
        self._pending = None
        if owner.state != ACQUIRING:
            lease.close()
            return
        self._tunnel = lease
        owner.account.tries += 1
        owner.account.dispatch(self._listener.seconds())
        upstream = lease.call(self._client.conn)
        owner.upstream = str(upstream.endpoint)
        owner.tunnel(Response(200, b"Connection established", [], 0), upstream.stream, b"")

    # the request's body

    def upload(self, raw: bytes, end: bool, trailers: Headers) -> int:
        """
        More of it, for which there was credit.

        @return: credit left
        """
        outgoing = self.outgoing
        if outgoing is None:
            # a lease is at hand, and the request about to be sent; or it is to be sent once more
            self._first = self._first + raw if self._first else raw
            self._trailers = trailers
            return 0
        if self._kept:
            self._keep(raw, trailers)
        credit = outgoing.data(raw, end, trailers)
        if end and self._clocks is not None:
            self._clocks.sent(self._listener.seconds())
        return credit

    def _keep(self, raw: bytes, trailers: Headers) -> None:
        """Of a body that goes on, as much as its route may have sent once more."""
        size = (self._size or len(self._first)) + len(raw)
        if self._again is None or size > self._again.body:
            self._kept = False
            self._first = b""
            self._rest = None
            return
        self._size = size
        self._trailers = trailers
        if self._rest is None:
            self._rest = []
        self._rest.append(raw)

    # another one

    def may_again(self, owner: Owner, error: ProxyError) -> bool:
        """Whether the request is to be sent once more, as it has come to C{error}, and nobody was told of an answer."""
        if self._kept and owner.account.tries < TRIES and may_replay(owner.request, owner.whole, error):
            return True
        return broken_off(error) and self._may(owner, self._again)

    def again(self, owner: Owner, error: ProxyError) -> None:
        """Another acquisition, and all that was sent goes once more."""
        destination, outgoing = owner.destination, self.outgoing
        assert destination is not None
        if outgoing is not None:
            self._avoid(owner, outgoing)
            if isinstance(error, CallTimedOut):
                outgoing.reset(error)
        self.lost(owner)
        self._leave(owner, error.reason)
        acquiring = destination.acquire.again(destination.target, error, self._hint)
        if (why := refused(acquiring)) is not None:
            self.why_not = BUDGET if why is error else LIMIT
        elif self._again is not None:
            self.more = True
        self._wait(owner, acquiring, self._acquired)

    def better(self, owner: Owner, head: Response, body: bytes, end: bool, trailers: Headers) -> bool:
        """Have another try made, for a better answer than this one; whether there is one to be made."""
        again, outgoing = self._again, self.outgoing
        request, destination, plan = owner.request, owner.destination, owner.plan
        if again is None or plan is None or destination is None or outgoing is None or not owner.whole:
            return False
        # what comes after messages is said of them, be they here already or not
        grpc = outcome(head.status, trailers or head.headers) if end and request.grpc and not body else NO_CALL
        # what is about the connection, or came before all of the request did, is the client's
        if not again.unwanted(head.status, grpc) or head.private or outgoing.owed() or not self._may(owner, again):
            return False
        self._avoid(owner, outgoing)
        error = Unwanted(outgoing.peer(), head.status, grpc)
        # before the answer is dropped: it is the client's where nobody may be asked for another
        acquiring = destination.acquire.again(destination.target, error, self._hint)
        if (why := refused(acquiring)) is not None:
            acquiring.addErrback(_known)
            self.why_not = BUDGET if why is error else LIMIT
            return False
        plan.outcome(head.status, grpc).tries += 1
        if grpc != NO_CALL and self.lease is not None:
            self.lease.means(http_status(grpc))
        self.more = True
        if end:
            self._last = head, body, trailers
        self._leave(owner, str(grpc if grpc != NO_CALL else head.status), head.status)
        self._wait(owner, acquiring, self._acquired)
        return True

    def _may(self, owner: Owner, again: Again | None) -> bool:
        """Whether the route lets it be sent once more, where there is a reason to."""
        if again is None or self.private or self.why_not or not again.may(owner.request):
            return False
        if owner.account.tries >= again.tries:
            self.why_not = LIMIT
        elif not self._kept or (self._size or len(self._first)) > again.body:
            self.why_not = BODY
        else:
            return True
        return False

    def _avoid(self, owner: Owner, outgoing: Outgoing) -> None:
        """Have the next try go elsewhere, and say that it is one, where the route wants more of them."""
        if self._again is not None:
            hint = self._hint
            key, avoided = (hint.key, hint.avoid) if hint is not None else (b"", ())
            self._hint = Hint(key, (*avoided, outgoing.peer()))
            owner.request.headers = attempt(owner.request.headers, owner.account.tries)

    def lost(self, owner: Owner) -> None:
        """The latest was not answered."""
        if owner.plan is not None and owner.state == CALLING:
            owner.plan.outcome(0).tries += 1

    def _leave(self, owner: Owner, reason: str, status: int = 0) -> None:
        """
        What was dispatched is over, and not the exchange.

        @param reason: why it is not good enough, in one word
        @param status: of its answer, if there was one
        """
        owner.state = ACQUIRING
        owner.account.again(self._listener.seconds(), reason, status, owner.upstream)
        self.outgoing = None
        if self._rest is not None:
            self._first = b"".join((self._first, *self._rest))
            self._rest = None
        self._size = 0
        self.private = owner.request.private
        if self._clocks is not None:
            self._clocks.answered()
        lease, self.lease = self.lease, None
        if lease is not None:
            lease.close()

    # its end

    def answered(self, owner: Owner, now: float) -> None:
        """C{now} the client is told of the latest's answer: there will be no other."""
        if owner.plan is not None and owner.plan.hedging is not None and self.outgoing is not None:
            owner.plan.hedging.latency.observe(now - owner.account.dispatched)
            # it may be the second's
            owner.upstream = self.outgoing.address
        self.relayed = self.lease is not None
        self._kept = False
        self._first = b""
        self._rest = None
        if self._clocks is not None:
            self._clocks.answered()

    def stop(self) -> None:
        """Nothing is on a clock any more."""
        if self._clocks is not None:
            self._clocks.stop()

    def count(self, plan: Plan, failure: bool) -> None:
        """
        Count what came of the wish for more of them.

        @param failure: whether the client's answer is one
        """
        if self.more and not failure:
            plan.counter.retried(SUCCESS)
        elif self.more or self.why_not:
            plan.counter.retried(self.why_not or LIMIT)

    def over(self, destination: Destination | None) -> None:
        """Give back all that is held."""
        if self._pending is not None:
            self._pending.cancel()
        if self._clocks is not None:
            self._clocks.stop()
        self.outgoing = None
        lease, self.lease = self.lease, None
        if lease is not None:
            if self.private and destination is not None:
                self._client.own = kept(self._client.own, destination.target, lease)
            else:
                lease.close()
        tunnel, self._tunnel = self._tunnel, None
        if tunnel is not None:
            tunnel.close()


def _known(failure: Failure) -> None:
    """It was said before."""
