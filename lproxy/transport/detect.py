# -*- test-case-name: tests.transport.test_detect, tests.transport.tls.test_detection -*-
"""
Look at a stream's first bytes, have detectors judge them, and step aside.

Nothing is lost, whatever happens: what was read goes to the protocol that is chosen, byte for byte, an end of file
included. A deadline or an end of file chooses TCP. Where the destination is known without reading, a silent client
makes us ask the upstream whether it is the one to speak first.

Where TLS may be spoken, a ClientHello is looked for first, among bytes that are not read yet: the detectors are asked
only of what is none. Any stream will do, so that they can be asked again about what is inside of TLS, or of a tunnel.

Over 300 lines: what is heard and the clocks decide together, on one state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from lproxy.target import Endpoint, join_host_port
from lproxy.transport.relay import Relay
from lproxy.transport.stream import Reader, Stream
from lproxy.transport.tls.hello import Hello
from lproxy.transport.tls.peek import Peek
from lproxy.verdict import Detector, Match, NeedMore, NoMatch, Verdict

#: the protocol that always matches
TCP = "tcp"
#: what comes before any protocol, where it is looked for
TLS = "tls"
#: as C{undecided}: it is detected, whenever it speaks
WAIT = "wait"
#: seconds that an upstream is given to speak first, before it is let go again: it may have but one worker
SPEAKS = 0.5
#: seconds of silence after which what is hardly a protocol's beginning is none
DOUBT = 1.5
#: seconds for what a silent client may be about to say when the proxy begins to drain
GRACE = 1.0


@dataclass(frozen=True, slots=True)
class DetectConfig:
    """What a listener's connections have in common. Times in seconds, C{limit} in bytes."""

    detectors: tuple[tuple[str, Detector], ...]
    limit: int
    deadline: float
    server_first: float
    idle: float
    #: the listener's name
    listener: str = ""
    #: whether a silent client makes us ask the upstream: C{learn}, C{always} or C{never}
    server_first_mode: str = "learn"
    #: who gets a client that was silent past the deadline, once it speaks; L{WAIT}: detection goes on
    undecided: str = WAIT
    #: whether a ClientHello is looked for
    tls: bool = False
    #: who gets, unread, what is no TLS: no detector is asked; empty: they are
    configured: str = ""


class Detected(NamedTuple):
    """What was found: C{result} is what is counted, C{protocol} who gets the connection."""

    protocol: str
    result: str
    prefix: bytes
    eof: bool
    #: seconds since the accept
    seconds: float
    #: which form of the protocol it is; of what was recognised and nobody speaks, too
    variant: str = ""
    #: whether its own factory is to have it
    spoken: bool = True
    #: a connection to the upstream that was opened meanwhile
    dialled: Dialled | None = None


class Dialled(Protocol):
    """
    An upstream connection that nobody has used yet. Whoever receives it closes it, exactly once, joined or not.

    @ivar endpoint: where it leads
    """

    endpoint: Endpoint

    def listen(self, spoke: Callable[[], None]) -> None:
        """Call C{spoke} once the upstream said something."""

    def join(self, relay: Relay) -> None:
        """Have C{relay} go on with it, with all that the upstream has said."""

    def close(self) -> None:
        """Give it up, or what was joined with it."""


class Edge(Protocol):
    """Who accepted the connection and knows what to do with it."""

    def dial(self, stream: Stream) -> Deferred[Dialled] | None:
        """Open the upstream, where it is known without reading and nothing but TCP could speak to it first."""

    def waits(self, stream: Stream) -> None:
        """The upstream of C{stream} did not speak first."""

    def can_relay(self, stream: Stream) -> bool:
        """Whether there is somewhere to go for a connection that is just TCP."""

    def detected(self, detection: Detection, found: Detected) -> None:
        """Give the connection to its protocol."""

    def hello(self, detection: Detection, hello: Hello, found: Detected) -> None:
        """
        It begins with C{hello}, of which nothing is read: end TLS here, pass it on, or close it.

        @param found: for L{TLS}, with no prefix; perhaps with an upstream that was dialled meanwhile
        """

    def lost(self, detection: Detection, result: str, seconds: float) -> None:
        """
        It ended before it showed anything.

        @param result: C{eof}, or C{timeout} where it was idle past the deadline
        """

    def detector_failed(self, stream: Stream, name: str, failure: Failure) -> None:
        """A detector raised, or gave no verdict: the others decide."""


def checked(verdict: object) -> Verdict:
    """What a detector has returned, if it is a verdict; raises TypeError."""
    if isinstance(verdict, (Match, NoMatch)) or (isinstance(verdict, NeedMore) and isinstance(verdict.at_least, int)):
        return verdict
    raise TypeError(f"not a verdict: {verdict!r:.80}")


class Detection(Reader):
    """
    The first reader of a stream whose protocol is not configured.

    It is a session too (see L{lproxy.protocols.session.Session}): a shutdown waits for what is on its way to be one.
    """

    def __init__(self, config: DetectConfig, edge: Edge, clock: IReactorTime, stream: Stream) -> None:
        self._config = config
        self._edge = edge
        self._clock = clock
        self._pending: Sequence[tuple[str, Detector]] = config.detectors
        self._at_least = 1
        self._prefix = b""
        #: when the first byte was heard, by the clock
        self.since = 0.0
        self._began = clock.seconds()
        self._timer: IDelayedCall | None = None
        self._dialling: Deferred[Dialled] | None = None
        self._dialled: Dialled | None = None
        self._speaking: IDelayedCall | None = None
        self._decided = False
        #: looks for a ClientHello, as long as there may be one
        self._peek: Peek | None = None
        #: whether what was said is hardly a protocol's beginning, and whether the timer is for what it becomes
        self._doubtful = self._waiting = False
        #: the upstream was asked to speak, or would have been if there were one
        self._asked = False
        #: past its deadline without a byte, and kept
        self._idle = False
        #: whose detectors raised
        self.failed: tuple[str, ...] = ()
        self.stream = stream

    def __repr__(self) -> str:
        state = "decided" if self._decided else "idle" if self._idle else "undecided"
        return f"<Detection {state} {self._prefix[:20]!r}>"

    def start(self, prefix: bytes = b"", eof: bool = False) -> None:
        """
        Start the clocks and read.

        @param prefix: what was read before, or was inside of something else
        @param eof: whether its end was read, too
        """
        self.stream.attach(self, prefix, eof)
        # most clients have spoken by the time that they are accepted: to look costs less than a timer and a wake-up
        raw = self.stream.raw()
        if raw is not None and not self._decided:
            if self._config.tls and not prefix and not eof:
                self._peek = Peek(self.stream, raw, self._clock, self._peeked)
            raw.read_on()
        if not self._decided:
            quiet = min(self._config.server_first, self._config.deadline)
            self._timer = self._clock.callLater(quiet, self._silent)
            self.stream.resume()

    @property
    def _heard(self) -> bool:
        """Whether the client has said anything, read or not."""
        return bool(self._prefix) or (self._peek is not None and self._peek.heard)

    def _peeked(self, hello: Hello | None) -> None:
        self._peek = None
        if hello is not None:
            self._decide(TLS, TLS, hello=hello)
        elif self._config.configured:
            self._decide(self._config.configured, self._config.configured)
        else:
            raw = self.stream.raw()
            if raw is not None:
                raw.read_on()

    # the stream's reader

    def data_received(self, data: bytes) -> None:
        """Ask those detectors that are still undecided."""
        if not self._prefix:
            self.since = self._clock.seconds()
        prefix = self._prefix = self._prefix + data if self._prefix else data
        if self._idle:
            # it has begun after all
            self._idle = False
            late = self._config.undecided
            if late != WAIT and self._edge.can_relay(self.stream):
                self._decide(late, "timeout")
                return
            # from now on its protocol is waited for, as it is from an accept
            self._again(self._config.deadline, self._expired)
        if len(prefix) < self._at_least:
            return
        limit = self._config.limit
        view = prefix if len(prefix) <= limit else prefix[:limit]
        undecided: list[tuple[str, Detector]] = []
        at_least = limit
        doubtful = True
        for name, detect in self._pending:
            try:
                verdict = checked(detect(view))
            except BaseException:
                self.failed += (name,)
                self._edge.detector_failed(self.stream, name, Failure())
                continue
            if isinstance(verdict, Match):
                protocol = name if verdict.spoken else TCP
                self._decide(protocol, protocol, variant=verdict.variant, spoken=verdict.spoken)
                return
            if isinstance(verdict, NeedMore):
                undecided.append((name, detect))
                at_least = min(at_least, max(verdict.at_least, len(view) + 1))
                doubtful = doubtful and verdict.doubtful
        if not undecided or len(view) >= limit:
            self._decide(TCP, TCP)
            return
        self._pending = undecided
        self._at_least = at_least
        if doubtful or self._doubtful:
            self._doubtful = doubtful
            if self._waiting:
                left = self._config.deadline - (self._clock.seconds() - self.since)
                self._again(max(0.0, min(left, DOUBT) if doubtful else left), self._expired)

    def eof_received(self) -> None:
        """The client has said all it will."""
        if self._prefix or self._dialled is not None or self._edge.can_relay(self.stream):
            self._decide(TCP, "eof", eof=True)
        else:
            # nothing to forward and nowhere to: a health check, most likely
            self.stream.close()

    def connection_lost(self) -> None:
        """Gone before it was known."""
        if not self._decided:
            self._decided = True
            self._end()
            self._edge.lost(self, "timeout" if self._idle else "eof", self._clock.seconds() - self._began)

    def pause_writing(self) -> None:
        """Nothing is written."""

    def resume_writing(self) -> None:
        """Nothing is written."""

    # Session

    def drain(self) -> None:
        """A client that has said something is waited for as always, a silent one for L{GRACE}."""
        if not self._decided and not self._heard:
            self._again(GRACE, self._drained)
            if not self._asked:
                self._dial()

    def abort(self) -> None:
        """End now."""
        self.stream.abort()

    def describe(self) -> dict[str, Any]:
        """A row of C{/connections}."""
        stream = self.stream
        return {
            "listener": self._config.listener,
            "protocol": None,
            "client": join_host_port(*stream.conn.peer),
            "target": None,
            "upstream": None,
            "state": "idle" if self._idle else "detecting",
            "seconds": round(self._clock.seconds() - self._began, 3),
            "bytes_in": stream.bytes_in,
            "bytes_out": stream.bytes_out,
        }

    def _drained(self) -> None:
        # bytes that wait in the kernel are read in this very turn
        if self._prefix or not self.stream.silent():
            self._timer = self._clock.callLater(self._config.deadline, self._expired)
        else:
            self.stream.close()

    # clocks

    def _silent(self) -> None:
        """The client has taken its time: whose turn is it to speak?"""
        left = self._config.deadline - (self._clock.seconds() - self._began)
        if left <= 0:
            self._expired()
            return
        self._waiting = True
        self._timer = self._clock.callLater(min(left, DOUBT) if self._doubtful else left, self._expired)
        if not self._heard:
            self._dial()

    def _dial(self) -> None:
        self._asked = True
        if self._config.server_first_mode == "never" or self._config.configured:
            return
        self._dialling = self._edge.dial(self.stream)
        if self._dialling is not None:
            self._dialling.addCallbacks(self._connected, self._not_connected)

    def _connected(self, dialled: Dialled) -> None:
        self._dialling = None
        if self._decided:
            dialled.close()
            return
        self._dialled = dialled
        if self._config.server_first_mode == "learn":
            self._speaking = self._clock.callLater(SPEAKS, self._unspoken)
        dialled.listen(self._spoken)

    def _unspoken(self) -> None:
        """The upstream waits for its client: no worker of its must be held by one that is silent."""
        self._speaking = None
        dialled, self._dialled = self._dialled, None
        if dialled is not None:
            dialled.close()
            self._edge.waits(self.stream)

    def _not_connected(self, failure: Failure) -> None:
        # whoever gets the connection will try by itself, and say what is wrong
        self._dialling = None

    def _spoken(self) -> None:
        if not self._decided and not self._heard:
            self._decide(TCP, "server_first")

    def _expired(self) -> None:
        if self._peek is not None and (self._heard or self._config.configured):
            # a hello that has not become whole in time, or none at all where there is somebody to wait for more
            self._peek.give_up()
            if self._decided:
                return
        if self._prefix or self._dialled is not None:
            self._decide(TCP, "timeout")
            return
        # an idle client: neither it nor the upstream has anything to say
        self._idle = True
        if not self._edge.can_relay(self.stream):
            # nor is there anywhere to go without a word
            self._timer = self._clock.callLater(self._config.idle, self.stream.close)

    def _again(self, seconds: float, call: Callable[[], object]) -> None:
        timer = self._timer
        if timer is not None and timer.active():
            timer.cancel()
        self._timer = self._clock.callLater(seconds, call)

    # the decision

    def _decide(
        self,
        protocol: str,
        result: str,
        eof: bool = False,
        variant: str = "",
        spoken: bool = True,
        hello: Hello | None = None,
    ) -> None:
        if self._decided:
            return
        self._decided = True
        dialled, self._dialled = self._dialled, None
        self._end()
        if dialled is not None and protocol not in (TCP, TLS):
            dialled.close()
            dialled = None
        seconds = self._clock.seconds() - self._began
        found = Detected(protocol, result, self._prefix, eof, seconds, variant, spoken, dialled)
        if hello is not None:
            self._edge.hello(self, hello, found)
        else:
            self._edge.detected(self, found)

    def _end(self) -> None:
        peek, self._peek = self._peek, None
        if peek is not None:
            peek.stop()
        # one that has fired holds us still: no cycle for the collector
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        speaking, self._speaking = self._speaking, None
        if speaking is not None:
            speaking.cancel()
        if self._dialling is not None:
            self._dialling.cancel()
        if self._dialled is not None:
            self._dialled.close()
            self._dialled = None
