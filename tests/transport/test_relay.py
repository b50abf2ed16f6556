# -*- test-case-name: tests.transport.test_relay -*-
"""
Tests for L{lproxy.transport.relay} in memory. With sockets: L{tests.transport.test_splice}, which is about bytes that
the kernel moves, and L{tests.integration.test_relay}.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from lproxy.testing.garbage import only_new, uncounted
from lproxy.testing.wire import MemoryStream, Peer, ScriptedReactor
from lproxy.transport.pipe import Pipes
from lproxy.transport.relay import BLOCKED, COPYING, ENDED, KEEPING, Relay

KIB = 1024
BUFFER = 64 * KIB


class RelayCase(SynchronousTestCase):
    """
    A client and an upstream, in memory, and a relay between them.

    @ivar done: how often the relay said that it was
    """

    buffer = BUFFER

    def setUp(self) -> None:
        self.reactor = ScriptedReactor()
        self.client, self.a = self.end(1)
        self.upstream, self.b = self.end(2)
        self.done = 0
        self.pipes = Pipes()
        self.relay = self.make()

    def end(self, port: int) -> tuple[Peer, MemoryStream]:
        peer = Peer()
        return peer, self.reactor.stream(peer, ("10.0.0.1", port), ("10.0.0.2", 80))

    def make(self) -> Relay:
        return Relay(self.a, self.count, self.buffer, pipes=self.pipes)

    def count(self) -> None:
        self.done += 1

    def start(self, prefix: bytes = b"", eof: bool = False) -> None:
        """Begin with the client alone."""
        self.relay.start(prefix, eof)

    def join(self, greeting: bytes = b"") -> None:
        """Begin with both, or go on."""
        if not self.pipes.users:
            self.start()
        self.relay.join(self.b, greeting)

    def settle(self) -> None:
        self.reactor.settle()

    @property
    def reading(self) -> tuple[bool, bool]:
        return self.a.reading, self.b.reading

    @property
    def ended(self) -> tuple[str, str]:
        return self.client.ended, self.upstream.ended

    def assert_done(self, client: str, upstream: str) -> None:
        """That is how both have ended, which was said once, and nothing is left."""
        self.settle()
        self.assertEqual((client, upstream, 1), (*self.ended, self.done))
        self.assertEqual(([], 0), (self.reactor.streams, self.pipes.users))


class JoinedTests(RelayCase):
    """What one says the other hears."""

    def test_bytes(self) -> None:
        """Both ways."""
        self.join()
        self.assertEqual((True, True), self.reading)
        self.client.say(b"ping")
        self.upstream.say(b"pong")
        self.settle()
        self.assertEqual((b"ping", b"pong"), (self.upstream.heard, self.client.heard))

    def test_shown(self) -> None:
        """A relay says between whom it is, and what it does."""
        self.start()
        self.assertFalse(self.relay.joined)
        self.assertEqual("<Relay 10.0.0.1:1 to nobody yet keeping, nobody yet to 10.0.0.1:1 copying>", repr(self.relay))
        self.join()
        self.assertTrue(self.relay.joined)
        self.assertEqual("<Relay 10.0.0.1:1 to 10.0.0.1:2 copying, 10.0.0.1:2 to 10.0.0.1:1 copying>", repr(self.relay))

    def test_prefix(self) -> None:
        """What others have read of either goes first."""
        self.client.say(b" client")
        self.upstream.say(b" upstream")
        self.start(b"the")
        self.join(b"an")
        self.settle()
        self.assertEqual((b"the client", b"an upstream"), (self.upstream.heard, self.client.heard))

    def test_not_spliced(self) -> None:
        """What is no plain socket is copied, however busy."""
        self.relay = Relay(self.a, self.count, 1 << 20, splice_from=1, pipes=self.pipes)
        self.join()
        data = os.urandom(1 << 20)
        self.client.say(data)
        self.settle()
        self.assertIs(COPYING, self.relay.to_upstream.flow)
        self.assertTrue(data == self.upstream.heard)

    def test_half_close(self) -> None:
        """An end of file is passed on, and the other direction goes on to its own; then both are closed."""
        for first in (0, 1):
            self.setUp()
            self.join()
            one, other = ((self.client, self.upstream), (self.upstream, self.client))[first]
            one.say(b"all")
            one.hang_up()
            self.settle()
            self.assertEqual(("", "eof", b"all", 0), (one.ended, other.ended, other.heard, self.done))
            other.say(b"late")
            self.settle()
            self.assertEqual(b"late", one.heard)
            other.hang_up()
            self.assert_done("closed", "closed")

    def test_both_hang_up(self) -> None:
        """In the same turn."""
        self.join()
        for peer in (self.client, self.upstream):
            peer.say(b"all")
            peer.hang_up()
        self.assert_done("closed", "closed")
        self.assertEqual((b"all", b"all"), (self.client.heard, self.upstream.heard))

    def test_end_waits(self) -> None:
        """The connection that still has to take something is closed when it has; the other, at once."""
        self.join()
        self.upstream.room = 0
        self.client.say(b"all")
        self.settle()
        self.upstream.hang_up()
        self.settle()
        self.upstream.room = 1
        self.settle()
        self.client.hang_up()
        self.settle()
        self.assertEqual(("eof", "", 0), (*self.ended, self.done))
        self.upstream.room = None
        self.assert_done("closed", "closed")
        self.assertEqual(b"all", self.upstream.heard)

    def test_broken(self) -> None:
        """If one breaks the other is reset, in whatever state."""
        for half_closed in ("", "one", "other"):
            for broken in (0, 1):
                self.setUp()
                self.join()
                one, other = ((self.client, self.upstream), (self.upstream, self.client))[broken]
                if half_closed:
                    (one if half_closed == "one" else other).hang_up()
                    self.settle()
                one.reset()
                self.settle()
                self.assertEqual("reset", other.ended)
                self.assert_done(*(("closed", "reset") if broken == 0 else ("reset", "closed")))
                self.assertEqual("ECONNRESET", (self.a, self.b)[broken].errno)

    def test_broken_while_blocked(self) -> None:
        """On either side of what does not move, though neither is read."""
        for broken in (0, 1):
            self.setUp()
            self.join()
            self.upstream.room = 0
            self.client.say(b"abc")
            self.settle()
            self.assertIs(BLOCKED, self.relay.to_upstream.flow)
            (self.client, self.upstream)[broken].reset()
            self.assert_done(*(("closed", "reset") if broken == 0 else ("reset", "closed")))

    def test_abort(self) -> None:
        """Both are reset, at once, which is said once."""
        self.join()
        self.relay.abort()
        self.assertEqual(("reset", "reset", 1), (*self.ended, self.done))
        self.relay.abort()
        self.relay.close()
        self.assert_done("reset", "reset")

    def test_abort_one(self) -> None:
        """Whoever aborts one of them ends the other, too."""
        for which in (0, 1):
            self.setUp()
            self.join()
            (self.a, self.b)[which].abort()
            self.assert_done("reset", "reset")

    def test_close(self) -> None:
        """Both are closed, after what was written to them; nothing more is read."""
        self.join()
        self.upstream.room = self.client.room = 0
        self.client.say(b"question")
        self.upstream.say(b"answer")
        self.settle()
        self.relay.close()
        self.client.say(b"unheard")
        self.settle()
        self.assertEqual(("", "", 0), (*self.ended, self.done))
        self.client.room = None
        self.settle()
        self.assertEqual(("closed", "", 0), (*self.ended, self.done))
        self.upstream.room = None
        self.assert_done("closed", "closed")
        self.assertEqual((b"question", b"answer"), (self.upstream.heard, self.client.heard))

    def test_crash(self) -> None:
        """Whoever is told at the end may raise, which is told of the connection that ended last."""
        crashes: list[type] = []

        def raising() -> None:
            raise ZeroDivisionError

        self.relay = Relay(self.a, raising, BUFFER, pipes=self.pipes)
        self.a.on_crash = self.b.on_crash = lambda failure: crashes.append(failure.type)
        self.join()
        self.client.reset()
        self.settle()
        self.assertEqual(([ZeroDivisionError], []), (crashes, self.reactor.streams))


class KeepingTests(RelayCase):
    """Before there is an upstream, the client is heard."""

    def test_kept(self) -> None:
        """What it says is kept, in order."""
        self.start(b"a")
        for word in (b"b", b"c"):
            self.client.say(word)
            self.settle()
        self.assertEqual((b"abc", KEEPING), (self.relay.to_upstream.kept, self.relay.to_upstream.flow))
        self.client.say(b"d")
        self.join()
        self.settle()
        self.assertEqual((b"abcd", b""), (self.upstream.heard, self.relay.to_upstream.kept))

    def test_bounded(self) -> None:
        """As much as may be buffered, and one read more; the rest waits in the kernel, and arrives."""
        for prefix in (0, 10, BUFFER):
            self.setUp()
            data = os.urandom(300 * KIB)
            self.start(data[:prefix])
            self.client.say(data[prefix:])
            self.settle()
            kept = len(self.relay.to_upstream.kept)
            self.assertTrue(BUFFER <= kept < 2 * BUFFER, kept)
            self.assertFalse(self.a.reading)
            self.join()
            self.settle()
            self.assertTrue(data == self.upstream.heard)

    def test_eof(self) -> None:
        """Its end is passed on behind that, and found once."""
        for said in (b"", b"all"):
            self.setUp()
            self.start()
            self.client.say(said)
            self.client.hang_up()
            self.settle()
            self.relay.to_upstream.hold()
            self.relay.to_upstream.release()
            self.assertFalse(self.a.reading)
            self.join()
            self.settle()
            self.assertEqual((said, "eof", ENDED), (self.upstream.heard, self.upstream.ended, self._flow))
            self.upstream.say(b"answer")
            self.upstream.hang_up()
            self.assert_done("closed", "closed")
            self.assertEqual(b"answer", self.client.heard)

    @property
    def _flow(self) -> object:
        return self.relay.to_upstream.flow

    def test_eof_before(self) -> None:
        """Also where somebody else has read it."""
        self.start(b"all", eof=True)
        self.assertFalse(self.a.reading)
        self.join()
        self.settle()
        self.assertEqual((b"all", "eof"), (self.upstream.heard, self.upstream.ended))

    def test_full_at_once(self) -> None:
        """An upstream that does not take what was kept has the client wait from the beginning, until it took all."""
        self.start(b"prefix")
        self.upstream.room = 2
        self.join()
        self.client.say(b" rest")
        self.settle()
        self.assertEqual((False, BLOCKED, 5), (self.a.reading, self._flow, self.client.unread))
        self.assertTrue(self.b.reading)
        self.upstream.room = 2
        self.settle()
        self.assertFalse(self.a.reading)
        self.upstream.room = None
        self.settle()
        self.assertEqual((True, COPYING, b"prefix rest"), (self.a.reading, self._flow, self.upstream.heard))

    def test_client_full_before(self) -> None:
        """A client that has not taken what it was told before is not told more: its upstream is not read."""
        self.client.room = 0
        self.start()
        self.a.write(b"welcome")
        self.upstream.say(b" home")
        self.join()
        self.settle()
        self.assertEqual((False, 5), (self.b.reading, self.upstream.unread))
        self.client.room = None
        self.settle()
        self.assertEqual((True, b"welcome home"), (self.b.reading, self.client.heard))

    def test_client_lost(self) -> None:
        """A client that goes away is the end; an upstream that comes too late is given up."""
        self.start(b"abc")
        self.client.reset()
        self.settle()
        self.assertEqual((1, 0, b""), (self.done, self.pipes.users, self.relay.to_upstream.kept))
        self.relay.join(self.b)
        self.assert_done("closed", "reset")

    def test_client_lost_before(self) -> None:
        """It may have gone before it all began."""
        self.a.abort()
        self.start(b"abc", eof=True)
        self.assertEqual(1, self.done)
        self.relay.join(self.b)
        self.assert_done("reset", "reset")

    def test_upstream_lost_before(self) -> None:
        """So may the upstream: the client is reset."""
        self.b.abort()
        self.start(b"abc")
        self.assertEqual(0, self.done)
        self.relay.join(self.b)
        self.assert_done("reset", "reset")

    def test_abort(self) -> None:
        """Aborted, the client is reset, and an upstream that comes too late is given up."""
        self.start(b"abc")
        self.relay.abort()
        self.assertEqual(("reset", 1), (self.client.ended, self.done))
        self.relay.join(self.b)
        self.assert_done("reset", "reset")

    def test_close(self) -> None:
        """Closed, the client hears what was written to it; an upstream that comes meanwhile is not spoken to."""
        for late in (False, True):
            self.setUp()
            self.start(b"abc")
            self.client.room = 0
            self.a.write(b"go away")
            self.relay.close()
            self.assertEqual(("", 0), (self.client.ended, self.done))
            if not late:
                self.relay.join(self.b)
            self.client.room = None
            self.settle()
            self.assertEqual(("closed", b"go away", 1), (self.client.ended, self.client.heard, self.done))
            if late:
                self.relay.join(self.b)
            self.assert_done("closed", "reset")
            self.assertEqual(b"", self.upstream.heard)


class PaceTests(RelayCase):
    """Whoever is faster waits for the slower."""

    def test_blocked(self) -> None:
        """A sink that does not take all stops the source, and only that one, until it has."""
        for slow in (0, 1):
            self.setUp()
            self.join()
            one, other = ((self.client, self.upstream), (self.upstream, self.client))[slow]
            source, back = ((self.a, self.b), (self.b, self.a))[slow]
            other.room = 3
            one.say(b"abcdefg")
            self.settle()
            self.assertEqual((False, True), (source.reading, back.reading))
            self.assertEqual(1, repr(self.relay).count("blocked"))
            other.say(b"back")
            other.room = 2
            self.settle()
            self.assertEqual((False, b"back"), (source.reading, one.heard))
            other.room = 100
            self.settle()
            self.assertEqual((True, b"abcdefg"), (source.reading, other.heard))

    def test_bounded(self) -> None:
        """
        Whatever may be buffered, a sink that takes nothing has no more than that wait in the process, joined early or
        late, whichever side it is; and when it reads, slowly, it gets all.
        """
        for buffer in (1, BUFFER, 100 * KIB, 1 << 20):
            for slow in (0, 1):
                for late in (False, True):
                    self.buffer = buffer
                    self.setUp()
                    if not late:
                        self.join()
                    one, other = ((self.client, self.upstream), (self.upstream, self.client))[slow]
                    sink = (self.b, self.a)[slow]
                    other.room = 0
                    data = os.urandom((1 << 21) + 7)
                    if late:
                        self.start()
                    one.say(data)
                    self.settle()
                    if late:
                        self.join()
                        self.settle()
                    # a read is written at once, and there is one more after the kept ones
                    self.assertLessEqual(sink.buffered, max(buffer, 64 * KIB) + (64 * KIB if late else 0))
                    self.assertGreater(sink.buffered, 0)
                    self.assertGreater(one.unread, len(data) // 3)
                    while len(other.heard) < len(data):
                        other.room = 300_001
                        self.settle()
                        self.assertLessEqual(sink.buffered, max(buffer, 64 * KIB))
                    self.assertTrue(data == other.heard)

    def test_end_while_blocked(self) -> None:
        """An end of file behind bytes that nobody takes waits for them."""
        self.join()
        self.upstream.room = 0
        self.client.say(b"abc")
        self.settle()
        self.client.hang_up()
        self.settle()
        self.assertEqual("", self.upstream.ended)
        self.upstream.room = None
        self.settle()
        self.assertEqual((b"abc", "eof", False), (self.upstream.heard, self.upstream.ended, self.a.reading))

    def test_hold(self) -> None:
        """A source that is held is not read, whatever its sink takes, until it is released."""
        self.join()
        self.relay.to_upstream.hold()
        self.client.say(b"abc")
        self.settle()
        self.assertEqual(((False, True), b""), (self.reading, self.upstream.heard))
        self.relay.to_upstream.go_on()
        self.assertFalse(self.a.reading)
        self.relay.to_upstream.release()
        self.settle()
        self.assertEqual((True, b"abc"), (self.a.reading, self.upstream.heard))

    def test_hold_while_blocked(self) -> None:
        """Released while its sink takes nothing, it is read when that does; held, it is not even then."""
        for release in (False, True):
            self.setUp()
            self.join()
            self.upstream.room = 0
            self.client.say(b"ONE\n")
            self.settle()
            self.relay.to_upstream.hold()
            if release:
                self.relay.to_upstream.release()
            self.assertFalse(self.a.reading)
            self.upstream.room = None
            self.settle()
            self.assertEqual(release, self.a.reading)

    def test_hold_before(self) -> None:
        """It may be held before it is begun, and before there is a sink."""
        self.relay.to_upstream.hold()
        self.relay.to_client.hold()
        self.join()
        self.assertEqual((False, False), self.reading)
        self.relay.to_client.release()
        self.assertEqual((False, True), self.reading)
        self.relay.to_upstream.release()
        self.assertEqual((True, True), self.reading)

    def test_release_after_end(self) -> None:
        """Released when all was said, nothing is read, nor the end told again."""
        self.join()
        self.client.hang_up()
        self.settle()
        self.relay.to_upstream.hold()
        self.relay.to_upstream.release()
        self.settle()
        self.assertEqual((False, "eof", 0), (self.a.reading, self.upstream.ended, self.done))

    def test_hold_lost(self) -> None:
        """A source that is held and breaks is noticed; to release it then is harmless."""
        self.join()
        self.relay.to_upstream.hold()
        self.client.reset()
        self.assert_done("closed", "reset")
        self.relay.to_upstream.release()
        self.relay.to_upstream.hold()

    def test_ours_too(self) -> None:
        """What is made here counts as what was read: a sink that has enough of it stops the source."""
        self.join()
        self.upstream.room = 0
        self.relay.to_upstream.send(b"ours")
        self.client.say(b"theirs")
        self.settle()
        self.assertEqual((False, 6), (self.a.reading, self.client.unread))
        self.upstream.room = None
        self.settle()
        self.assertEqual(b"ourstheirs", self.upstream.heard)


class CycleTests(RelayCase):
    """However a relay ends, nothing of it waits for the garbage collector."""

    def check(self, end: Callable[[], object]) -> None:
        self.setUp()
        with uncounted() as left:
            end()
            self.settle()
            self.assertEqual(([], 1), (self.reactor.streams, self.done), end.__name__)
            del self.relay, self.a, self.b, self.client, self.upstream
        self.assertEqual([], left, end.__name__)

    def test_ends(self) -> None:
        """In any way, in any state."""
        self.enterContext(only_new())

        def closed() -> None:
            self.join()
            self.relay.close()

        def aborted() -> None:
            self.join()
            self.relay.abort()

        def ended() -> None:
            self.join()
            self.client.hang_up()
            self.upstream.hang_up()

        def broken() -> None:
            self.join()
            self.client.reset()

        def broken_while_blocked() -> None:
            self.join()
            self.upstream.room = 0
            self.client.say(bytes(100 * KIB))
            self.settle()
            self.upstream.reset()

        def never_joined() -> None:
            self.b.abort()
            self.start(b"abc")
            self.client.reset()

        def joined_too_late() -> None:
            self.start(b"abc")
            self.a.abort()
            self.relay.join(self.b)

        for end in (closed, aborted, ended, broken, broken_while_blocked, never_joined, joined_too_late):
            self.check(end)
