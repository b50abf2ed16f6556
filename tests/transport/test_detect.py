# -*- test-case-name: tests.transport.test_detect -*-
"""
Tests for L{lproxy.transport.detect}.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.metrics.counters import TransportCounter
from lproxy.testing.garbage import only_new, uncounted
from lproxy.testing.wire import Peer, ScriptedReactor
from lproxy.transport.detect import DOUBT, GRACE, SPEAKS, TCP, DetectConfig, Detected, Detection
from lproxy.transport.stream import Raw, Reader, Stream
from lproxy.transport.tls.hello import Hello
from lproxy.verdict import Detector, Match, NeedMore, NoMatch, Verdict
from tests.transport.sockets import SocketCase

DEADLINE, SERVER_FIRST, IDLE, LIMIT = 10.0, 0.05, 60.0, 2048


class Next:
    """The session that gets the connection."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended: list[str] = []

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def eof_received(self) -> None:
        self.ended.append("eof")

    def connection_lost(self) -> None:
        self.ended.append("lost")

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class FakeDialled:
    """An upstream connection that may speak."""

    def __init__(self) -> None:
        self.closed = 0
        self.spoke: Callable[[], None] | None = None

    def listen(self, spoke: Callable[[], None]) -> None:
        self.spoke = spoke

    def close(self) -> None:
        self.closed += 1


class FakeEdge:
    """
    Remembers what it was told.

    @ivar known: whether there is a destination
    @ivar at_once: what dialling gives, if it does not wait for the test
    @ivar live: detections that have not ended; each does so once
    @ivar give: gives the connection to its protocol, if not to L{Next}
    """

    def __init__(self) -> None:
        self.known = True
        self.live: list[Detection] = []
        self.found: list[Detected] = []
        self.hellos: list[Hello] = []
        self.ends: list[tuple[str, float]] = []
        self.failures: list[tuple[str, type]] = []
        self.dials: list[Deferred[Any]] = []
        self.waiting: list[Stream] = []
        self.cancelled = 0
        self.at_once: FakeDialled | Exception | None = None
        self.next = Next()
        self.give: Callable[[Stream, Detected], None] | None = None

    def dial(self, stream: Stream) -> Deferred[Any] | None:
        if not self.known:
            return None
        d: Deferred[Any] = Deferred(self._cancel)
        self.dials.append(d)
        if isinstance(self.at_once, Exception):
            d.errback(self.at_once)
        elif self.at_once is not None:
            d.callback(self.at_once)
        return d

    def _cancel(self, d: Deferred[Any]) -> None:
        self.cancelled += 1

    def waits(self, stream: Stream) -> None:
        self.waiting.append(stream)

    def can_relay(self, stream: Stream) -> bool:
        return self.known

    def detected(self, detection: Detection, found: Detected) -> None:
        self.live.remove(detection)
        self.found.append(found)
        if self.give is not None:
            self.give(detection.stream, found)
            return
        detection.stream.attach(self.next, found.prefix, found.eof)
        if not found.eof:
            detection.stream.resume()

    def hello(self, detection: Detection, hello: Hello, found: Detected) -> None:
        self.hellos.append(hello)
        self.detected(detection, found)

    def lost(self, detection: Detection, result: str, seconds: float) -> None:
        self.live.remove(detection)
        self.ends.append((result, seconds))

    def detector_failed(self, stream: Any, name: str, failure: Failure) -> None:
        self.failures.append((name, failure.type))


def starts(word: bytes) -> Detector:
    """A detector for what begins with C{word}."""

    def detect(prefix: bytes) -> Verdict:
        if prefix.startswith(word):
            return Match()
        return NeedMore(len(prefix) + 1) if word.startswith(prefix) else NoMatch()

    return detect


class DetectionCase(SynchronousTestCase):
    """A connection that is looked at."""

    detectors: tuple[tuple[str, Detector], ...] = (("abc", starts(b"abc")), ("abd", starts(b"abd")))

    def setUp(self) -> None:
        self.start()

    def start(self, prefix: bytes = b"", eof: bool = False, **settings: float | str) -> None:
        """A new connection, in a world of its own."""
        self.reactor = ScriptedReactor()
        self.edge = FakeEdge()
        times = {"limit": LIMIT, "deadline": DEADLINE, "server_first": SERVER_FIRST, "idle": IDLE, **settings}
        config = DetectConfig(self.detectors, listener="web", **times)  # type: ignore[arg-type]
        self.peer = Peer()
        self.stream = self.reactor.stream(self.peer, ("10.0.0.1", 40000), ("10.0.0.2", 80))
        self.detection = Detection(config, self.edge, self.reactor, self.stream)
        self.edge.live.append(self.detection)
        self.detection.start(prefix, eof)

    def say(self, data: bytes) -> None:
        self.peer.say(data)
        self.reactor.settle()

    def assert_found(self, protocol: str, result: str, prefix: bytes, **more: Any) -> Detected:
        """That was decided, once, nothing is left of the looking, and what follows goes to the protocol in order."""
        (found,) = self.edge.found
        self.assertEqual((protocol, result, prefix), (found.protocol, found.result, found.prefix))
        for name, value in more.items():
            self.assertEqual(value, getattr(found, name), name)
        self.assertEqual(([], []), (self.reactor.getDelayedCalls(), self.edge.live))
        if not found.eof:
            self.say(b"...rest")
            self.assertEqual(prefix + b"...rest", self.edge.next.heard)
        return found


class DetectTests(DetectionCase):
    """Detectors judge what has come, and the one that matches gets it all."""

    def test_match(self) -> None:
        """Everything that was read is handed on, what the detector did not need included."""
        self.reactor.settle(0.01)
        self.say(b"abdef")
        self.assert_found("abd", "abd", b"abdef", eof=False, dialled=None, variant="", spoken=True, seconds=0.01)
        self.assertEqual([], self.edge.dials)

    def test_no_match(self) -> None:
        """What nobody knows is TCP, at once."""
        self.say(b"\x00\x01")
        self.assert_found("tcp", "tcp", b"\x00\x01")

    def test_bytewise(self) -> None:
        """Nothing is lost or decided early when bytes come one by one."""
        self.say(b"a")
        self.say(b"b")
        self.assertEqual([], self.edge.found)
        self.say(b"d")
        self.assert_found("abd", "abd", b"abd")

    def test_order(self) -> None:
        """Of two that match the first in the listener's order has it."""
        self.detectors = (("one", starts(b"a")), ("two", starts(b"a")))
        self.start()
        self.say(b"a")
        self.assert_found("one", "one", b"a")

    def test_first_certain(self) -> None:
        """A match is final: one that is still undecided is not waited for."""
        self.detectors = (("long", starts(b"abc")), ("short", starts(b"a")))
        self.start()
        self.say(b"a")
        self.assert_found("short", "short", b"a")

    def test_asked_no_more(self) -> None:
        """Whoever has said no is not asked again, nor anybody before there are as many bytes as it needs."""
        asked: list[tuple[str, bytes]] = []

        def never(prefix: bytes) -> Verdict:
            asked.append(("never", prefix))
            return NoMatch()

        def patient(prefix: bytes) -> Verdict:
            asked.append(("patient", prefix))
            return Match() if len(prefix) >= 4 else NeedMore(4)

        self.detectors = (("never", never), ("patient", patient))
        self.start()
        for byte in b"abcd":
            self.say(bytes([byte]))
        self.assertEqual([("never", b"a"), ("patient", b"a"), ("patient", b"abcd")], asked)
        self.assert_found("patient", "patient", b"abcd")

    def test_needs_too_little(self) -> None:
        """A detector that asks for what it has already is asked when there is more, and does not keep us busy."""

        def vague(prefix: bytes) -> Verdict:
            return Match() if prefix.endswith(b"!") else NeedMore(0)

        self.detectors = (("vague", vague),)
        self.start()
        self.say(b"a")
        self.say(b"b!")
        self.assert_found("vague", "vague", b"ab!")

    def test_limit(self) -> None:
        """Detectors see so much and no more; who is undecided then never will be."""
        seen: list[int] = []

        def greedy(prefix: bytes) -> Verdict:
            seen.append(len(prefix))
            return NeedMore(1 << 20)

        self.detectors = (("greedy", greedy),)
        self.start()
        self.say(b"x" * 2000)
        self.assertEqual([], self.edge.found)
        data = b"x" * 5000
        self.say(data[2000:])
        self.assert_found("tcp", "tcp", data)
        self.assertEqual([2000, LIMIT], seen)

    def test_exception(self) -> None:
        """A detector that raises, whatever, is told of, is asked no more, and keeps nobody else from matching."""
        for error in (ZeroDivisionError, SystemExit):

            def broken(prefix: bytes, error: type[BaseException] = error) -> Verdict:
                raise error

            self.detectors = (("broken", broken), ("abc", starts(b"abc")))
            self.start()
            self.say(b"a")
            self.say(b"bc")
            self.assert_found("abc", "abc", b"abc")
            self.assertEqual([("broken", error)], self.edge.failures)

    def test_all_broken(self) -> None:
        """Where all raise, it is TCP."""

        def broken(prefix: bytes) -> Verdict:
            raise ZeroDivisionError

        self.detectors = (("broken", broken),)
        self.start()
        self.say(b"a")
        self.assert_found("tcp", "tcp", b"a")

    def test_unspoken(self) -> None:
        """What is recognised and cannot be spoken is TCP, by its name."""
        self.detectors = (("http", lambda prefix: Match("HTTP/2", spoken=False)),)
        self.start()
        self.say(b"PRI")
        self.assert_found("tcp", "tcp", b"PRI", variant="HTTP/2", spoken=False)

    def test_variant(self) -> None:
        """Which form of a protocol it is, is told."""
        self.detectors = (("http", lambda prefix: Match("HTTP/2")),)
        self.start()
        self.say(b"PRI")
        self.assert_found("http", "http", b"PRI", variant="HTTP/2", spoken=True)

    def test_no_detectors(self) -> None:
        """Where nobody is to be asked, the first byte decides."""
        self.detectors = ()
        self.start()
        self.say(b"a")
        self.assert_found("tcp", "tcp", b"a")


def doubtful(prefix: bytes) -> Verdict:
    """A detector that hardly believes in anything but x, and knows nothing for certain."""
    return NeedMore(len(prefix) + 1, doubtful=not prefix.startswith(b"x"))


class DoubtTests(DetectionCase):
    """What is hardly a protocol is not waited for."""

    detectors = (("odd", doubtful),)

    def found_after(self, *said: tuple[float, bytes]) -> float:
        """Say things, each some seconds after the one before; how many seconds later it is taken for TCP."""
        self.start()
        for seconds, data in said:
            self.reactor.settle(seconds)
            self.assertEqual([], self.edge.found)
            self.peer.say(data)
            self.reactor.settle()
        began = self.reactor.seconds()
        while not self.edge.found:
            self.reactor.settle(0.125)
        self.assertEqual((TCP, "timeout"), self.edge.found.pop()[:2])
        return self.reactor.seconds() - began

    def test_doubt(self) -> None:
        """Its sender falls silent: so it is bytes, soon; who goes on is waited for anew."""
        for said in (((0.0, b"a"),), ((1.0, b"a"),), ((1.0, b"a"), (1.25, b"b"), (1.25, b"c"))):
            self.assertTrue(DOUBT <= self.found_after(*said) <= DOUBT + 0.25, said)

    def test_no_doubt(self) -> None:
        """What may well be one has all its time."""
        self.assertGreater(self.found_after((0.0, b"x")), DOUBT + 1)

    def test_another_is_sure(self) -> None:
        """Nor does one detector's doubt hurry another."""
        self.detectors = (("odd", doubtful), ("abc", starts(b"abc")))
        self.assertGreater(self.found_after((1.0, b"a")), DOUBT + 1)
        self.assertLess(self.found_after((1.0, b"a"), (1.0, b"x")), 9.5)


class PrefixTests(DetectionCase):
    """Detectors may be asked about what somebody has read already."""

    def test_enough(self) -> None:
        """Where that will do, it is decided before this returns."""
        self.start(b"abc")
        self.assertEqual(["abc"], [found.protocol for found in self.edge.found])
        self.assert_found("abc", "abc", b"abc")

    def test_more(self) -> None:
        """Else more is read."""
        self.start(b"ab")
        self.say(b"d")
        self.assert_found("abd", "abd", b"abd")

    def test_eof(self) -> None:
        """The end may have been read as well."""
        self.start(b"ab", eof=True)
        self.assert_found("tcp", "eof", b"ab", eof=True)
        self.assertEqual((b"ab", ["eof"]), (self.edge.next.heard, self.edge.next.ended))

    def test_closed(self) -> None:
        """Or the connection be closed."""
        self.stream.close()
        self.edge.ends.clear()
        self.detection = Detection(self.detection._config, self.edge, self.reactor, self.stream)
        self.edge.live.append(self.detection)
        self.detection.start(b"abc")
        self.assertEqual(([], [("eof", 0.0)], []), (self.edge.found, self.edge.ends, self.edge.live))
        self.assertEqual([], self.reactor.getDelayedCalls())


#: what a client says whose real words are inside
WRAPPED = 0x20


def swapped(data: bytes) -> bytes:
    """C{data} as it is on the wire, or back."""
    return bytes(byte ^ WRAPPED for byte in data)


class Inside:
    """A stream inside of another, as TLS is: each byte is wrapped."""

    def __init__(self, outer: Stream) -> None:
        self.outer = outer
        self.conn = outer.conn
        self.bytes_in = self.bytes_out = 0
        self.errno = ""
        self.closed = False
        self.high_water = outer.high_water
        self.read_size = outer.read_size
        self.on_crash: Callable[[Failure], None] | None = None
        self.reader: Reader | None = None

    # the outer one's reader

    def data_received(self, data: bytes) -> None:
        assert self.reader is not None
        self.bytes_in += len(data)
        self.reader.data_received(swapped(data))

    def eof_received(self) -> None:
        assert self.reader is not None
        self.reader.eof_received()

    def connection_lost(self) -> None:
        self.closed = True
        if self.reader is not None:
            self.reader.connection_lost()

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    # Stream

    @property
    def buffered(self) -> int:
        return self.outer.buffered

    def attach(self, reader: Reader, prefix: bytes = b"", eof: bool = False) -> None:
        self.reader = reader
        if prefix:
            reader.data_received(prefix)
        if eof and self.reader is reader:
            reader.eof_received()

    def counted(self, counter: TransportCounter) -> None: ...

    def write(self, data: bytes) -> None:
        self.outer.write(swapped(data))

    def pause(self) -> None:
        self.outer.pause()

    def resume(self) -> None:
        self.outer.resume()

    def end(self) -> None:
        self.outer.end()

    def close(self) -> None:
        self.outer.close()

    def abort(self) -> None:
        self.outer.abort()

    def silent(self) -> bool:
        return self.outer.silent()

    def raw(self) -> Raw | None:
        return None


class InsideTests(DetectionCase):
    """Of a connection that carries another, such as TLS, the detectors are asked about the inner one, too."""

    detectors = (("wrapped", starts(swapped(b"<"))),)

    def setUp(self) -> None:
        super().setUp()
        self.inner = FakeEdge()
        self.edge.give = self.unwrap

    def unwrap(self, stream: Stream, found: Detected) -> None:
        """The protocol that was found unwraps, and has the detectors look again."""
        self.inside = Inside(stream)
        config = DetectConfig((("abc", starts(b"<abc")),), LIMIT, DEADLINE, SERVER_FIRST, IDLE)
        detection = Detection(config, self.inner, self.reactor, self.inside)
        self.inner.live.append(detection)
        # nobody has read anything inside yet: attached before there is anything to tell
        detection.start()
        stream.attach(self.inside, found.prefix, found.eof)

    def test_found(self) -> None:
        """They judge what is inside, of which nothing is lost either."""
        self.say(swapped(b"<a"))
        self.assertEqual((["wrapped"], []), ([found.protocol for found in self.edge.found], self.inner.found))
        self.say(swapped(b"bc..."))
        (found,) = self.inner.found
        self.assertEqual(("abc", b"<abc..."), (found.protocol, found.prefix))
        self.say(swapped(b"rest"))
        self.assertEqual((b"<abc...rest", []), (self.inner.next.heard, self.reactor.getDelayedCalls()))
        self.inside.write(b"yes")
        self.assertEqual(swapped(b"yes"), self.peer.heard)

    def test_deadline(self) -> None:
        """Its deadline is its own."""
        self.reactor.settle(0.03)
        self.say(swapped(b"<a"))
        self.reactor.settle(SERVER_FIRST)
        self.reactor.settle(DEADLINE - SERVER_FIRST)
        (found,) = self.inner.found
        self.assertEqual(("tcp", "timeout", b"<a"), (found.protocol, found.result, found.prefix))
        self.assertAlmostEqual(DEADLINE, found.seconds)

    def test_lost(self) -> None:
        """The end of the outer one is the end of both."""
        self.say(swapped(b"<a"))
        self.peer.reset()
        self.reactor.settle()
        self.assertEqual((["eof"], []), ([result for result, _ in self.inner.ends], self.inner.live))


class EndTests(DetectionCase):
    """A connection that ends before it was known."""

    def test_eof(self) -> None:
        """What it said is handed on, and its end."""
        self.peer.say(b"ab")
        self.peer.hang_up()
        self.reactor.settle()
        self.assert_found("tcp", "eof", b"ab", eof=True)
        self.assertEqual((b"ab", ["eof"]), (self.edge.next.heard, self.edge.next.ended))

    def test_eof_at_once(self) -> None:
        """So it is where it said nothing: the upstream may have something to say."""
        self.peer.hang_up()
        self.reactor.settle()
        self.assert_found("tcp", "eof", b"", eof=True)

    def test_health_check(self) -> None:
        """One that says nothing and has nowhere to go is closed, without a word in the log."""
        self.edge.known = False
        self.peer.hang_up()
        self.reactor.settle()
        self.assertEqual(([], [("eof", 0.0)], []), (self.edge.found, self.edge.ends, self.edge.live))
        self.assertEqual(("closed", []), (self.peer.ended, self.reactor.getDelayedCalls()))

    def test_reset(self) -> None:
        """A reset ends it, whether it had begun or not, and the connection that was being opened for it."""
        for said in (b"", b"ab"):
            self.setUp()
            self.reactor.settle(SERVER_FIRST)
            self.peer.say(said)
            self.reactor.settle()
            self.peer.reset()
            self.reactor.settle()
            self.assertEqual(([], [("eof", SERVER_FIRST)]), (self.edge.found, self.edge.ends))
            self.assertEqual(([], [], 1), (self.reactor.getDelayedCalls(), self.edge.live, self.edge.cancelled))

    def test_reset_after_dial(self) -> None:
        """One that was opened is closed, once."""
        self.edge.at_once = dialled = FakeDialled()
        self.reactor.settle(SERVER_FIRST)
        self.peer.reset()
        self.reactor.settle()
        self.assertEqual(([], 1), (self.edge.found, dialled.closed))


class ServerFirstTests(DetectionCase):
    """Where the destination is known, a silent client has us ask the upstream whether it is the one to speak."""

    def setUp(self) -> None:
        super().setUp()
        self.dialled = FakeDialled()

    def connected(self) -> None:
        """The upstream is connected, 50 ms after the accept."""
        self.reactor.settle(SERVER_FIRST)
        (d,) = self.edge.dials
        d.callback(self.dialled)

    def test_when(self) -> None:
        """After 50 ms, and not before."""
        self.reactor.settle(SERVER_FIRST - 0.001)
        self.assertEqual([], self.edge.dials)
        self.reactor.settle(0.001)
        self.assertEqual(1, len(self.edge.dials))

    def test_server_first(self) -> None:
        """As soon as the upstream speaks, that is what it is, and its connection is used."""
        self.connected()
        self.assertEqual([], self.edge.found)
        self.reactor.settle(0.02)
        assert self.dialled.spoke is not None
        self.dialled.spoke()
        self.assert_found("tcp", "server_first", b"", dialled=self.dialled, seconds=SERVER_FIRST + 0.02)
        self.assertEqual(0, self.dialled.closed)

    def test_at_once(self) -> None:
        """An upstream that is connected within the call is as good."""
        self.edge.at_once = self.dialled
        self.reactor.settle(SERVER_FIRST)
        assert self.dialled.spoke is not None
        self.dialled.spoke()
        self.assert_found("tcp", "server_first", b"", dialled=self.dialled)

    def test_client_after_all(self) -> None:
        """A client that speaks TCP after that gets the connection that was opened."""
        self.connected()
        self.say(b"\x00")
        self.assert_found("tcp", "tcp", b"\x00", dialled=self.dialled)
        self.assertEqual(0, self.dialled.closed)

    def test_client_of_another(self) -> None:
        """For another protocol it is of no use, and closed, once."""
        self.connected()
        self.say(b"abc")
        self.assert_found("abc", "abc", b"abc", dialled=None)
        self.assertEqual(1, self.dialled.closed)

    def test_both_speak(self) -> None:
        """A client that has begun is judged by what it says, whatever the upstream does."""
        self.connected()
        self.say(b"a")
        assert self.dialled.spoke is not None
        self.dialled.spoke()
        self.assertEqual([], self.edge.found)
        self.say(b"bc")
        self.assert_found("abc", "abc", b"abc", dialled=None)

    def test_failed(self) -> None:
        """An upstream that cannot be had changes nothing: whoever gets the connection tries again, and explains."""
        self.reactor.settle(SERVER_FIRST)
        self.edge.dials[0].errback(ZeroDivisionError())
        self.say(b"abc")
        self.assert_found("abc", "abc", b"abc", dialled=None)
        self.setUp()
        self.edge.at_once = ZeroDivisionError()
        self.reactor.settle(SERVER_FIRST)
        self.reactor.settle(DEADLINE)
        self.say(b"abc")
        self.assert_found("abc", "abc", b"abc", dialled=None)

    def test_decided_meanwhile(self) -> None:
        """One that is still being opened when the client speaks is cancelled; if it comes all the same, closed."""
        self.reactor.settle(SERVER_FIRST)
        late = self.dialled
        self.patch(self.edge.dials[0], "_canceller", lambda d: d.callback(late))
        self.say(b"abc")
        self.assert_found("abc", "abc", b"abc", dialled=None)
        self.assertEqual(1, late.closed)

    def test_client_begun(self) -> None:
        """For a client that has said something, however little, nothing is opened."""
        self.say(b"a")
        self.reactor.settle(SERVER_FIRST)
        self.assertEqual([], self.edge.dials)

    def test_eof(self) -> None:
        """A client that ends without a word gets the connection: the upstream is told of the end."""
        self.connected()
        self.peer.hang_up()
        self.reactor.settle()
        self.assert_found("tcp", "eof", b"", dialled=self.dialled, eof=True)

    def test_waits_for_its_client(self) -> None:
        """An upstream that does not speak within half a second is let go, so that no silent client holds a worker."""
        self.connected()
        self.reactor.settle(SPEAKS - 0.001)
        self.assertEqual((0, []), (self.dialled.closed, self.edge.waiting))
        self.reactor.settle(0.001)
        self.assertEqual((1, [self.stream]), (self.dialled.closed, self.edge.waiting))
        self.say(b"abc")
        self.assert_found("abc", "abc", b"abc", dialled=None)
        self.assertEqual(1, self.dialled.closed)

    def test_always(self) -> None:
        """Where that is configured it is kept, and at the deadline two silent ones are joined."""
        self.start(server_first_mode="always")
        self.connected()
        self.reactor.settle(DEADLINE)
        self.assertEqual([], self.edge.waiting)
        self.assert_found("tcp", "timeout", b"", dialled=self.dialled)

    def test_never(self) -> None:
        """Where that is configured nobody is asked, not even at the end."""
        self.start(server_first_mode="never")
        self.reactor.settle(SERVER_FIRST)
        self.detection.drain()
        self.reactor.settle()
        self.assertEqual([], self.edge.dials)

    def test_silent_for_long(self) -> None:
        """A silent client with somewhere to go is kept without an upstream, and detected once it speaks."""
        self.connected()
        self.reactor.settle(DEADLINE)
        self.reactor.settle(IDLE * 100)
        self.assertEqual((1, "", []), (self.dialled.closed, self.peer.ended, self.edge.found))
        self.say(b"abc")
        self.assert_found("abc", "abc", b"abc", dialled=None)

    def test_undecided(self) -> None:
        """Or is taken for whatever is configured."""
        for undecided, found in (("abc", ("abc", "timeout")), ("tcp", ("tcp", "timeout")), ("wait", ("abc", "abc"))):
            self.start(undecided=undecided)
            self.reactor.settle(SERVER_FIRST)
            self.reactor.settle(DEADLINE)
            self.say(b"abc")
            self.assertEqual(found, self.edge.found[-1][:2])


class DeadlineTests(DetectionCase):
    """A deadline never closes a connection."""

    def test_undecided(self) -> None:
        """What was said until then is TCP."""
        self.say(b"ab")
        self.reactor.settle(DEADLINE - 0.01)
        self.assertEqual([], self.edge.found)
        self.reactor.settle(0.01)
        self.assert_found("tcp", "timeout", b"ab", seconds=DEADLINE)

    def test_short(self) -> None:
        """A deadline shorter than the patience with silent clients is the deadline."""
        self.start(deadline=0.01)
        self.reactor.settle(0.01)
        self.assertEqual([], self.edge.dials)
        self.say(b"ab")
        self.reactor.settle(0.01)
        self.assertEqual(["timeout"], [found.result for found in self.edge.found])


class IdleTests(DetectionCase):
    """A silent client that has nowhere to go is an idle one."""

    def setUp(self) -> None:
        super().setUp()
        self.edge.known = False
        self.reactor.settle(SERVER_FIRST)
        self.reactor.settle(DEADLINE)

    def test_kept(self) -> None:
        """It is kept, until it has been idle for too long; then it is closed, and counts once, as timed out."""
        self.assertEqual(([], [], 1), (self.edge.found, self.edge.ends, len(self.edge.live)))
        self.reactor.settle(IDLE - 1)
        self.assertEqual("", self.peer.ended)
        self.reactor.settle(1)
        self.assertEqual(("closed", 1, []), (self.peer.ended, len(self.edge.ends), self.edge.live))
        self.assertEqual("timeout", self.edge.ends[0][0])

    def test_speaks(self) -> None:
        """It may still speak."""
        self.reactor.settle(IDLE - 1)
        self.say(b"abc")
        self.assert_found("abc", "abc", b"abc")
        self.assertEqual([], self.edge.ends)

    def test_speaks_slowly(self) -> None:
        """From its first byte it is given the time that everybody is given: what it said is not dropped."""
        self.reactor.settle(IDLE - 1)
        self.say(b"a")
        self.reactor.settle(DEADLINE - 0.01)
        self.assertEqual([], self.edge.found)
        self.reactor.settle(0.01)
        self.assert_found("tcp", "timeout", b"a")


class SessionTests(DetectionCase):
    """A connection that is looked at is shown, and shut down, like every other."""

    def test_shown(self) -> None:
        """With what is known of it."""
        self.reactor.settle(0.01)
        self.assertEqual(
            {
                "listener": "web",
                "protocol": None,
                "client": "10.0.0.1:40000",
                "target": None,
                "upstream": None,
                "state": "detecting",
                "seconds": 0.01,
                "bytes_in": 0,
                "bytes_out": 0,
            },
            self.detection.describe(),
        )
        self.assertEqual("<Detection undecided b''>", repr(self.detection))

    def test_shown_idle(self) -> None:
        """One that is only kept says so."""
        self.edge.known = False
        self.reactor.settle(SERVER_FIRST)
        self.reactor.settle(DEADLINE)
        self.assertEqual("idle", self.detection.describe()["state"])
        self.assertEqual("<Detection idle b''>", repr(self.detection))

    def test_drain_silent(self) -> None:
        """A silent one is given a moment in which to say what it was about to say, then closed."""
        self.detection.drain()
        self.reactor.settle(GRACE - 0.01)
        self.assertEqual("", self.peer.ended)
        self.reactor.settle(0.01)
        self.assertEqual(("closed", []), (self.peer.ended, self.edge.live))
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_drain_speaks(self) -> None:
        """What comes within that moment is served."""
        self.detection.drain()
        self.reactor.settle(GRACE - 0.01)
        self.say(b"abc")
        self.assert_found("abc", "abc", b"abc")

    def test_drain_unread(self) -> None:
        """What the kernel has, and a busy process has not read, counts as said."""
        self.detection.drain()
        self.peer.say(b"abc")
        self.reactor.advance(GRACE)
        self.assertEqual("", self.peer.ended)
        self.reactor.settle()
        self.assert_found("abc", "abc", b"abc")

    def test_drain_begun(self) -> None:
        """One that has said something is waited for as always."""
        self.say(b"a")
        self.detection.drain()
        self.reactor.settle(GRACE)
        self.say(b"bc")
        self.assert_found("abc", "abc", b"abc")

    def test_drain_begins(self) -> None:
        """Also one that says it slowly, but no longer than a deadline."""
        self.detection.drain()
        self.say(b"a")
        self.reactor.settle(GRACE)
        self.reactor.settle(DEADLINE)
        self.assert_found("tcp", "timeout", b"a")

    def test_drain_server_first(self) -> None:
        """A server that is the one to speak is asked at once, and has its say within that moment."""
        self.edge.at_once = dialled = FakeDialled()
        self.detection.drain()
        assert dialled.spoke is not None
        self.reactor.settle(SPEAKS / 2)
        dialled.spoke()
        self.assert_found("tcp", "server_first", b"", dialled=dialled)

    def test_drain_both_silent(self) -> None:
        """If neither speaks, both are closed."""
        self.edge.at_once = dialled = FakeDialled()
        self.reactor.settle(SERVER_FIRST)
        self.detection.drain()
        self.assertEqual(1, len(self.edge.dials))
        self.reactor.settle(GRACE)
        self.assertEqual(("closed", 1), (self.peer.ended, dialled.closed))

    def test_abort(self) -> None:
        """Aborted, it is gone."""
        self.detection.abort()
        self.reactor.settle()
        self.assertEqual(("reset", []), (self.peer.ended, self.edge.live))
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_drain_decided(self) -> None:
        """Told too late, it does nothing."""
        self.say(b"abc")
        self.detection.drain()
        self.assert_found("abc", "abc", b"abc")
        self.assertEqual("<Detection decided b'abc'>", repr(self.detection))


class AtOnceTests(SocketCase):
    """What a client has said by the time that it is accepted is judged there and then."""

    def start(self, said: bytes, hung_up: bool = False) -> None:
        """A client that has done so."""
        self.edge = FakeEdge()
        config = DetectConfig((("abc", starts(b"abc")),), LIMIT, DEADLINE, SERVER_FIRST, IDLE)
        stream, self.peer = self.unix()
        if said:
            self.peer.send(said)
        if hung_up:
            self.peer.shutdown(socket.SHUT_WR)
        detection = Detection(config, self.edge, self.reactor, stream)
        self.edge.live.append(detection)
        detection.start()

    def results(self) -> list[tuple[str, bytes]]:
        return [(found.result, found.prefix) for found in self.edge.found]

    def test_spoken(self) -> None:
        """Without a timer, and before anybody waits for it."""
        self.start(b"abcdef")
        self.assertEqual(([("abc", b"abcdef")], []), (self.results(), self.reactor.getDelayedCalls()))

    def test_silent(self) -> None:
        """One that has said nothing, or not enough, is waited for."""
        for said in (b"", b"ab"):
            self.start(said)
            self.assertEqual(([], 1), (self.results(), len(self.reactor.getDelayedCalls())))
            self.peer.send(b"abc"[len(said) :])
            self.settle()
            self.assertEqual(([("abc", b"abc")], []), (self.results(), self.reactor.getDelayedCalls()))

    def test_hung_up(self) -> None:
        """One that has ended, too."""
        self.start(b"", hung_up=True)
        self.assertEqual(([("eof", b"")], []), (self.results(), self.reactor.getDelayedCalls()))


class CycleTests(DetectionCase):
    """However detection ends, nothing of it waits for the garbage collector."""

    def test_ends(self) -> None:
        """By what is said, by time, by its end, by a reset or a shutdown."""
        self.enterContext(only_new())

        def says() -> None:
            self.say(b"abc")
            self.stream.abort()

        def deadline() -> None:
            self.reactor.settle(SERVER_FIRST)
            self.reactor.settle(DEADLINE)
            self.stream.abort()

        def hangs_up() -> None:
            self.peer.hang_up()
            self.reactor.settle()
            self.stream.abort()

        def idle() -> None:
            self.edge.known = False
            for seconds in (SERVER_FIRST, DEADLINE, IDLE):
                self.reactor.settle(seconds)

        def resets() -> None:
            self.reactor.settle(SERVER_FIRST)
            self.peer.reset()
            self.reactor.settle()

        def drained() -> None:
            self.detection.drain()
            self.reactor.settle(GRACE)

        self.stream.abort()  # what all others begin with
        for end in (says, deadline, hangs_up, idle, resets, drained):
            with uncounted() as left:
                self.start()
                end()
                self.assertEqual([], self.edge.live, end.__name__)
                # doubles, which remember
                del self.edge, self.reactor, self.detection, self.stream, self.peer
            self.assertEqual([], [name for name in left if "testing" not in name], end.__name__)
