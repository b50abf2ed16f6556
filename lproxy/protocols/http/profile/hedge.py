# -*- test-case-name: tests.protocols.http.profile.test_hedge -*-
"""
A second try beside a first one that takes longer than most: whichever answers first is the answer, and the other is
reset.

It stands between an exchange and its lease, and is one lease and one L{Outgoing} to it. The second try is acquired like
any further one, away from the endpoint that the first is at, and within the service's budget for retries: where that is
used up the first stays alone.

Over 300 lines: two tries, and what is between them until one has won, are read together.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from lproxy.api import FREE, Conn, Endpoint, Hint, Hold, ProxyError, Stack, Stream, Target
from lproxy.profile import Hedge
from lproxy.protocols.http.account import Account
from lproxy.protocols.http.deadlines import Deadlines, Expiring
from lproxy.protocols.http.message import Headers, Request, Response
from lproxy.protocols.http.profile.metrics import BUDGET, LOST, WON, RouteCounter
from lproxy.protocols.http.profile.quantile import Latency
from lproxy.protocols.http.streams import HttpLease, Kept, Outgoing, Outrun, Responder
from lproxy.stack.retry import refused

#: what the second of two is reset with, which had less time, and the first
LATE: Final = CancelledError("another was first")
OUTRUN: Final = Outrun("another was first")


class SlowTry(ProxyError):
    """A try that takes longer than most: a reason for a second one beside it, which nobody is told."""

    layer = "upstream"
    reason = "slow_try"
    flag = "UT"
    status = 504
    blames = False

    def what(self) -> str:
        """That."""
        return "takes longer than most"


class Hedging:
    """
    Of one route: when a second try is made.

    @ivar latency: of its requests so far, to the heads of their answers
    """

    __slots__ = ("_at_least", "latency")

    def __init__(self, hedge: Hedge) -> None:
        self._at_least = hedge.at_least
        self.latency = Latency(hedge.quantile)

    def after(self) -> float:
        """Seconds; infinite as long as nobody knows what is usual."""
        return max(self._at_least, self.latency.usual)


class Runner(Responder):
    """One of the tries: its lease, whom it was sent to, whether it is the second, and whom the answer comes to."""

    __slots__ = ("_race", "lease", "outgoing", "second")

    def __init__(self, race: Race, lease: HttpLease, second: bool) -> None:
        self._race = race
        self.second = second
        self.lease = lease
        self.outgoing: Outgoing | None = None

    @property
    def behalf(self) -> Conn | None:
        """The client's connection."""
        return self._race.to.behalf

    def informational(self, head: Response) -> None:
        """It goes on, whoever says it."""
        self._race.to.informational(head)

    def respond(self, head: Response, body: bytes, end: bool, trailers: Headers) -> int:
        """The first to come here is the answer."""
        race = self._race
        race.won(self)
        return race.to.respond(head, body, end, trailers)

    def data(self, raw: bytes, end: bool, trailers: Headers) -> int:
        """More of it."""
        return self._race.to.data(raw, end, trailers)

    def credit(self, n: int) -> None:
        """All of the request was sent."""

    def tunnel(self, head: Response, stream: Stream, rest: bytes) -> None:
        """An answer of a kind that nobody has asked for."""
        race = self._race
        race.won(self)
        race.to.tunnel(head, stream, rest)

    def reset(self, error: BaseException) -> None:
        """It came to nothing."""
        self._race.lost(self, error)


class Race(Outgoing, Expiring):
    """
    The lease of a request that may have a second try; and, once it is called, whom the request was sent to.

    @ivar to: whom the answer is for
    @ivar _at: when the second is made, in the clock's seconds
    @ivar _runners: the tries that are under way, the first first; a single one once there is an answer
    @ivar _pending: the second's acquisition
    @ivar _hedged: whether there was a second, of which it is not yet known what came of it
    """

    __slots__ = (
        "_account",
        "_acquire",
        "_at",
        "_body",
        "_counter",
        "_deadlines",
        "_head",
        "_hedged",
        "_hint",
        "_pending",
        "_runners",
        "_target",
        "hold",
        "to",
    )

    def __init__(
        self,
        lease: HttpLease,
        to: Responder,
        at: float,
        deadlines: Deadlines,
        acquire: Stack[HttpLease],
        target: Target,
        hint: Hint | None,
        counter: RouteCounter,
        account: Account,
    ) -> None:
        self.hold: Hold = FREE
        self.address = ""
        self.to = to
        self._at = at
        self._deadlines = deadlines
        self._acquire = acquire
        self._target = target
        self._hint = hint
        self._counter = counter
        self._account = account
        self._runners: list[Runner] = [Runner(self, lease, False)]
        self._pending: Deferred[Any] | None = None
        self._head: Request | None = None
        self._body = b""
        self._hedged = False

    def __repr__(self) -> str:
        return f"<Race of {len(self._runners)}>"

    # the lease

    def call(self, head: Request, body: bytes, end: bool, to: Responder) -> Outgoing:
        """Make the first try. C{body} is all of it."""
        self._head = head
        self._body = body
        runner = self._runners[0]
        runner.outgoing = runner.lease.call(head, body, end, runner)
        self.address = runner.outgoing.address
        self._deadlines.add(self, self._at)
        return self

    def means(self, status: int) -> None:
        """What the answer came to."""
        for runner in self._runners:
            runner.lease.means(status)

    def close(self) -> None:
        """End what there is of it."""
        self._no_second()
        self._count(False)
        runners, self._runners = self._runners, []
        for runner in runners:
            runner.lease.close()

    def keep(self) -> Kept | None:
        """As L{close}, but for the connection of the answer, which its upstream has tied to the client."""
        self._no_second()
        runners, self._runners = self._runners, []
        for runner in runners[1:]:
            runner.lease.close()
        return runners[0].lease.keep() if runners else None

    # Outgoing

    def data(self, raw: bytes, end: bool, trailers: Headers) -> int:
        """There is no more of it."""
        return 0

    def peer(self) -> Endpoint:
        """Of the first try, or of the answer."""
        outgoing = self._runners[0].outgoing
        assert outgoing is not None
        return outgoing.peer()

    def credit(self, n: int) -> None:
        """For the answer."""
        for runner in self._runners:
            if runner.outgoing is not None:
                runner.outgoing.credit(n)

    def delivered(self) -> int:
        """Of whoever has taken most."""
        return max([one.outgoing.delivered() for one in self._runners if one.outgoing is not None], default=0)

    def owed(self) -> bool:
        """Whether nobody has taken all of it."""
        return all(one.outgoing is not None and one.outgoing.owed() for one in self._runners)

    def reset(self, error: BaseException) -> None:
        """No answer is wanted any more."""
        self._no_second()
        for runner in self._runners:
            if runner.outgoing is not None:
                runner.outgoing.reset(error)

    # the race

    def expired(self) -> None:
        """It takes longer than most."""
        try:
            key, avoided = (self._hint.key, self._hint.avoid) if self._hint is not None else (b"", ())
            hint = Hint(key, (*avoided, self.peer()))
            slow = SlowTry(self._target)
            pending = self._pending = self._acquire.again(self._target, slow, hint)
            if refused(pending) is slow:
                self._counter.hedged(BUDGET)
            pending.addCallback(self._second).addErrback(self._not_acquired)
        except BaseException as bug:
            self.to.reset(bug)

    def _second(self, lease: HttpLease) -> None:
        self._pending = None
        head = self._head
        if head is None or len(self._runners) != 1:
            lease.close()
            return
        runner = Runner(self, lease, True)
        self._runners.append(runner)
        self._hedged = True
        self._counter.tries += 1
        self._account.tries += 1
        if self._account.trace is not None:
            self._account.trace.beside()
        try:
            runner.outgoing = lease.call(head, self._body, True, runner)
        except ProxyError:
            # the first goes on
            self._end(runner)

    def _not_acquired(self, failure: Failure) -> None:
        """There is no second, as the first goes on; what is no error of its acquisition is a mistake of ours."""
        self._pending = None
        if failure.check(ProxyError, CancelledError) is None and failure.value is not None:
            self.to.reset(failure.value)

    def won(self, runner: Runner) -> None:
        """The answer is C{runner}'s."""
        self._no_second()
        self._count(runner.second)
        assert runner.outgoing is not None
        self.address = runner.outgoing.address
        if self._account.trace is not None:
            self._account.trace.won(runner.second)
        for other in self._runners[:]:
            if other is not runner:
                if other.outgoing is not None:
                    other.outgoing.reset(LATE if other.second else OUTRUN)
                self._end(other)

    def lost(self, runner: Runner, error: BaseException) -> None:
        """C{runner} has come to nothing: the other goes on, where there is one."""
        self._no_second()
        if len(self._runners) > 1:
            self._end(runner)
        else:
            self.to.reset(error)

    def _end(self, runner: Runner) -> None:
        self._runners.remove(runner)
        runner.lease.close()

    def _count(self, won: bool) -> None:
        if self._hedged:
            self._hedged = False
            self._counter.hedged(WON if won else LOST)

    def _no_second(self) -> None:
        """There will be none, where there is none yet."""
        self._deadlines.drop(self)
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.cancel()
