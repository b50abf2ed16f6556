# -*- test-case-name: tests.protocols.test_runtime -*-
"""
What a listener gives to the factories of its protocols: who they are for, clocks and limits, and the way upstream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.config import KEYWORDS, PLAIN, Limits, Listen, Service, Timeouts, Tls
from lproxy.errors import ProxyError, Warned
from lproxy.identity.policy import ANYBODY, Policy
from lproxy.profile import Profile
from lproxy.protocols.outward import Counters, Crashed, Outward
from lproxy.protocols.session import Accepted, Session
from lproxy.protocols.taps import Taps
from lproxy.protocols.tracing import Tracer
from lproxy.stack.interfaces import NewStack, Stack
from lproxy.stack.rates import Rates
from lproxy.target import Authority, Endpoint, OriginalDst, ServiceName, Target, join_host_port, split_host_port
from lproxy.transport.connect import Connector
from lproxy.transport.stream import Address, Conn, Stream

R = TypeVar("R")


#: the port of TLS where nobody says another
HTTPS = 443


class CannotExpose(Exception):
    """
    A further address cannot be listened on.

    @ivar instead: the port that another worker has opened in the same owner's name, which can be; or C{None}
    """

    def __init__(self, text: str, instead: int | None = None) -> None:
        super().__init__(text)
        self.instead = instead


class Expose(Protocol):
    """Listens on a further port."""

    def __call__(
        self, port: int, protocol: str, make: Callable[[Accepted], Session], owner: str = "", note: str = ""
    ) -> tuple[str, int]:
        """
        Listen on C{port} for sessions that C{make} makes; the address.

        @param owner: in whose name: where there are several workers it is his in all of them, and nobody else's
        @param note: what another worker has to know to serve him as well; see C{Runtime.told}
        @raise CannotExpose: it cannot be
        """


class PlainRefused(ProxyError):
    """A client without TLS, where there is nothing else."""

    layer, reason, flag, status = "tls", "plain", "ID", 400
    shed = True
    keep = False
    blames = False

    def what(self) -> str:
        """What it should do."""
        return "speaks TLS alone: come by https, or whatever else is TLS"


class Sessions(Protocol):
    """The live sessions: what drains, and what C{/connections} shows. A factory's are entered before they start."""

    def remove(self, session: Session) -> None:
        """It is over; harmless to be told twice."""

    def replace(self, old: Session, new: Session) -> None:
        """
        C{old} hands its connection over to C{new}, which is started. It is told nothing more, and need not be removed.
        """


class Profiles(Protocol):
    """What is said about how services' requests are treated, as of now."""

    def of(self, target: Target, /) -> Profile | None:
        """What is said of C{target}; C{None}: nothing, or nothing that could be read so far."""

    def watch(self, changed: Callable[[], None], /) -> Callable[[], None]:
        """
        Have C{changed} called whenever L{of} may say something else than before.

        @return: how to stop that
        """


class NoProfiles(Profiles):
    """Nothing is said of anybody, and never will be."""

    def of(self, target: Target, /) -> None:
        """Nothing."""

    def watch(self, changed: Callable[[], None], /) -> Callable[[], None]:
        """There is nothing to be told."""
        return lambda: None


@dataclass(frozen=True, slots=True)
class Runtime:
    """
    A listener, as its protocols see it.

    @ivar clock: the time, and timers
    @ivar outward: the way out, for endpoint services, which outlive this
    @ivar acquire: C{acquire(protocol, new_endpoint)} is the acquisition stack of a protocol in this direction, on top
        of its endpoints; made once and shared by all listeners of the direction
    @ivar warn: C{warn(kind, text)} writes a log line, so many of a kind per minute and no more; see L{Warned}
    @ivar say: C{say(text)} writes a log line of what is new and as it should be
    @ivar crashed: told of an exception of a protocol's session, by the protocol's name
    @ivar tunnels: the stack of plain connections in this direction, for protocols that can turn into bytes
    @ivar detect: C{detect(stream, session)} has the listener's other detectors judge what is inside of what
        C{session}'s protocol carries, and hands the session's place over to what is found
    @ivar expose: C{expose(port, protocol, make)} listens on a further port of the listener's own address, for sessions
        of a protocol that C{make} makes; returns the address. Raises L{CannotExpose}
    @ivar told: C{told(heard)} has C{heard(note)} called when another worker, or an lproxy whose place this one takes,
        has exposed a port with that note: it is to be exposed here, too
    @ivar conceal: C{conceal(port)} accepts no more on such a port; connections that there are go on
    @ivar not_ready: C{not_ready(source)} has C{source()} asked for why C{/ready} is to say no: words, or C{None}
    @ivar service: C{service(target)} is what the configuration says about who serves it
    @ivar tls: what the listener does about TLS
    @ivar policy: C{policy(target)} is whom its service is for; of C{None}, whom the listener is for
    @ivar denied: counts who was refused, by reason
    @ivar checked: C{checked()} are targets whose endpoints are checked all the time: to be kept, by the stack that
        requests to them take; those of a listener are told the first of its protocols. They may be more when
        C{profiles} say something else than before
    @ivar profiles: what is said about how requests to services are treated
    @ivar superseded: whether another configuration goes on in the place of this one: who drains need not hurry clients
        that are idle, as they may when the proxy ends
    @ivar rates: how many requests there may be; shared by all that limit the same
    @ivar remembered: what the factory of the same protocol, of the listener of the same name, is to know that comes
        after this one: it is handed on as it is, and lasts as long as the process
    @ivar tracer: makes spans of what is sampled; C{None} where nothing is traced
    @ivar access: writes a line of the access log, or C{None} where it is off
    @ivar taps: whoever else watches what ends; see L{writer}
    """

    listen: Listen
    timeouts: Timeouts
    limits: Limits
    clock: IReactorTime
    outward: Outward
    acquire: NewStack
    counters: Counters
    sessions: Sessions
    warn: Warned
    say: Callable[[str], None]
    crashed: Crashed
    tunnels: Callable[[], Stack[Any]]
    detect: Callable[[Stream, Session], None]
    expose: Expose
    conceal: Callable[[int], None]
    not_ready: Callable[[Callable[[], str | None]], None]
    access: Callable[[dict[str, Any]], None] | None = None
    service: Callable[[Target], Service] = lambda target: PLAIN
    tracer: Tracer | None = None
    checked: Callable[[], Iterable[Target]] = tuple
    tls: Tls = "off"
    policy: Callable[[Target | None], Policy] = lambda target: ANYBODY
    denied: Callable[[str], None] = lambda reason: None
    profiles: Profiles = field(default_factory=NoProfiles)
    superseded: Callable[[], bool] = lambda: False
    told: Callable[[Callable[[str], None]], None] = lambda heard: None
    rates: Rates = field(default_factory=Rates)
    taps: Taps = field(default_factory=Taps)
    remembered: dict[str, Any] = field(default_factory=dict)
    fixed: Target | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fixed", fixed_target(self.listen.target))

    @property
    def direction(self) -> str:
        """inbound or outbound."""
        return self.listen.direction

    @property
    def connector(self) -> Connector:
        """Opens upstream connections; never to ourselves."""
        return self.outward.connector

    def writer(self) -> Callable[[dict[str, Any]], None] | None:
        """What is to be given a row on something that is over now; C{None} where nobody wants to know."""
        if self.access is not None:
            return self.access
        return self.taps if self.taps.on else None

    def destination(self, conn: Conn) -> Target | None:
        """Where a connection goes that says nothing about it itself; C{None} where nobody knows."""
        if self.fixed is not None:
            return self.fixed
        original = conn.original_dst
        if self.listen.target == "sni":
            return self._asked_for(conn, original)
        return OriginalDst(*original) if original is not None else None

    def _asked_for(self, conn: Conn, original: Address | None) -> Target | None:
        """
        The service that a client of TLS has named: at the port that it was going to, where it was redirected or there
        is such a service; else at that of https.
        """
        name = conn.tls.sni if conn.tls is not None else conn.sni
        if not name:
            return None
        target = Authority(name, (original or conn.local)[1])
        return target if original is not None or self.service(target).name else Authority(name, HTTPS)

    def refuses(self, target: Target | None = None) -> bool:
        """Whether L{refuse} may refuse anybody at all."""
        return self.policy(target).active or (target is None and self.tls == "terminate")

    def refuse(self, conn: Conn, target: Target | None = None) -> ProxyError | None:
        """
        Why a client may not have C{target}, or what the listener has at all: counted, and to be told.

        Before a session of a protocol is made that does not ask by itself (L{lproxy.protocols.session.Explains}), the
        listener has asked: for itself, and for where its connections go.
        """
        error = self.judge(conn, target)
        if error is not None:
            self.denied(error.reason)
        return error

    def judge(self, conn: Conn, target: Target | None = None) -> ProxyError | None:
        """What L{refuse} says, where nobody is refused by that yet."""
        tls = conn.tls
        if tls is None and target is None and self.tls == "terminate":
            return PlainRefused(f"listener {self.listen.name}")
        asked = f"listener {self.listen.name}" if target is None else target
        return self.policy(target).refuse(asked, tls.remote_identity if tls is not None else "")

    def contained(self, stream: Stream, protocol: str, f: Callable[..., R]) -> Callable[..., R | None]:
        """
        C{f}, for a timer or a Deferred to call: what it raises, whatever that is, is a crash of C{protocol} and costs
        C{stream}, as it does where a stream or the proxy calls.
        """
        return partial(self._contain, stream, protocol, f)

    def _contain(self, stream: Stream, protocol: str, f: Callable[..., R], *args: Any) -> R | None:
        try:
            return f(*args)
        except BaseException:
            self.crashed(protocol, Failure(), whereabouts(self.listen.name, stream))
            stream.abort()
            return None

    def accepted(self, stream: Stream, protocol: str) -> None:
        """Count an accepted connection, now that its protocol is known, and what that breaks."""
        conn = stream.conn
        local = conn.original_dst or conn.local
        stream.counted(
            self.counters.transport(
                self.direction, "src", conn.peer[0], join_host_port(*local), protocol, conn.tls, conn.no_tls_reason
            )
        )
        stream.on_crash = partial(self.crashed, protocol)

    def opened(self, stream: Stream, endpoint: Endpoint, protocol: str) -> None:
        """Count a connection that was opened to C{endpoint}, and what its protocol breaks."""
        self.outward.opened(stream, endpoint, protocol)


def whereabouts(listener: str, stream: Stream) -> str:
    """Whom it concerns, for log lines: C{stream} is a client's."""
    return f"listener {listener}, client {join_host_port(*stream.conn.peer)}"


def fixed_target(text: str) -> Target | None:
    """
    The target that a listener's C{target} names, C{None} where each connection or request has its own.

    @raise ValueError: neither a keyword nor C{host:port}
    """
    if text in KEYWORDS:
        return None
    if text.startswith("service:"):
        return ServiceName(text.removeprefix("service:"))
    return Authority(*split_host_port(text))
