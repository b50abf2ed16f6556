# -*- test-case-name: tests.protocols.http.h2.test_tunnel -*-
"""
L{lproxy.protocols.http.h2.tunnel}: bytes on a stream of HTTP/2.
"""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2.faults import CANCEL, NO_ERROR
from lproxy.protocols.http.h2.link import Sender
from lproxy.protocols.http.h2.tunnel import TunnelStream
from tests.protocols.http.h2.fakes import NotingEngine, linked


class Passed:
    """Who has the sender of a tunnel: passes on what it is told."""

    def __init__(self) -> None:
        self.tunnel: Any = None

    def room(self, n: int) -> None:
        """Passed on."""
        self.tunnel.room(n)

    def sent(self) -> None:
        """Passed on."""
        self.tunnel.sent()


class Notes:
    """A reader that notes what it is told."""

    def __init__(self, raises: str = "") -> None:
        self.said: list[Any] = []
        self.raises = raises

    def _note(self, what: Any) -> None:
        self.said.append(what)
        if what == self.raises:
            raise ZeroDivisionError

    def data_received(self, data: bytes) -> None:
        """Noted."""
        self._note(data)

    def eof_received(self) -> None:
        """Noted."""
        self._note("eof")

    def connection_lost(self) -> None:
        """Noted."""
        self._note("lost")

    def pause_writing(self) -> None:
        """Noted."""
        self._note("pause")

    def resume_writing(self) -> None:
        """Noted."""
        self._note("resume")


class TunnelTests(SynchronousTestCase):
    """It is a stream like others."""

    def setUp(self) -> None:
        self.engine = NotingEngine(s1=10)
        self.link, _, self.peer = linked(self.engine)
        owner = Passed()
        self.sender = Sender(self.link, 1, owner)
        self.overs = 0
        self.tunnel = owner.tunnel = TunnelStream(self.link, self.sender, self.over)
        self.reader = Notes()

    def over(self) -> None:
        """Counted."""
        self.overs += 1

    def heard(self) -> list[str]:
        """What the peer has heard since it was last asked."""
        self.link.flush()
        heard, self.peer.heard = self.peer.heard, b""
        return heard.decode().splitlines()

    def read(self) -> None:
        """By the reader, from now on."""
        self.tunnel.attach(self.reader)
        self.tunnel.resume()

    def test_reads(self) -> None:
        """What has come before there is a reader waits for it; each byte read is given back to the peer."""
        self.tunnel.received(b"ab", False)
        self.tunnel.attach(self.reader)
        self.assertEqual(([], []), (self.reader.said, self.heard()))
        self.assertFalse(self.tunnel.silent())
        self.tunnel.resume()
        self.assertEqual(([b"ab"], ["('consumed', 1, 2)"]), (self.reader.said, self.heard()))
        self.assertTrue(self.tunnel.silent())
        self.tunnel.pause()
        self.tunnel.received(b"c", False)
        self.tunnel.received(b"d", True)
        self.assertEqual([b"ab"], self.reader.said)
        self.tunnel.resume()
        self.assertEqual(([b"ab", b"cd", "eof"], 4), (self.reader.said, self.tunnel.bytes_in))

    def test_half_close(self) -> None:
        """Each side ends by itself; after both it is over, once."""
        self.read()
        self.tunnel.received(b"", True)
        self.assertEqual((["eof"], 0), (self.reader.said, self.overs))
        self.tunnel.write(b"xyz")
        self.tunnel.end()
        self.tunnel.end()
        self.assertEqual(["('data', 1, b'xyz', False)", "('data', 1, b'', True)"], self.heard())
        self.assertEqual((["eof", "lost"], 1, True), (self.reader.said, self.overs, self.tunnel.closed))
        self.tunnel.write(b"late")
        self.tunnel.close()
        self.tunnel.abort()
        self.assertEqual(([], 1, ""), (self.heard(), self.overs, self.tunnel.errno))

    def test_our_end_first(self) -> None:
        """The other way round."""
        self.read()
        self.tunnel.end()
        self.assertEqual(0, self.overs)
        self.tunnel.received(b"a", True)
        self.assertEqual(([b"a", "eof", "lost"], 1), (self.reader.said, self.overs))

    def test_back_pressure(self) -> None:
        """Who writes past the peer's credit is paused, and resumed once all of it is sent."""
        self.read()
        self.tunnel.write(b"x" * 10)
        self.assertEqual([], self.reader.said)
        self.tunnel.write(b"y" * 5)
        self.assertEqual((["pause"], 5, 10), (self.reader.said, self.tunnel.buffered, self.tunnel.delivered()))
        self.engine.windows[1] = 3
        self.link.credited(1)
        self.assertEqual(["pause"], self.reader.said)
        self.engine.windows[1] = 3
        self.link.credited(1)
        self.assertEqual((["pause", "resume"], 0), (self.reader.said, self.tunnel.buffered))

    def test_close_waits(self) -> None:
        """To close is to send what was written, and then to want nothing more of the peer."""
        self.read()
        self.tunnel.write(b"x" * 12)
        self.tunnel.close()
        self.assertEqual((["pause"], 0), (self.reader.said, self.overs))
        self.engine.windows[1] = 3
        self.link.credited(1)
        self.assertEqual(
            ["('data', 1, b'xxxxxxxxxx', False)", "('data', 1, b'xx', True)", f"('reset', 1, {NO_ERROR})"], self.heard()
        )
        self.assertEqual((["pause", "lost"], 1), (self.reader.said, self.overs))

    def test_close_after_the_peer(self) -> None:
        """Where the peer has ended its side that needs no reset."""
        self.read()
        self.tunnel.received(b"", True)
        self.tunnel.close()
        self.assertEqual(["('data', 1, b'', True)"], self.heard())
        self.assertEqual(1, self.overs)

    def test_abort(self) -> None:
        """A reset, at once; what comes all the same is given back."""
        self.read()
        self.tunnel.write(b"x" * 12)
        self.tunnel.abort()
        self.assertEqual(f"('reset', 1, {CANCEL})", self.heard()[-1])
        self.assertEqual((["pause", "lost"], "ECONNABORTED", 1), (self.reader.said, self.tunnel.errno, self.overs))
        self.tunnel.received(b"abc", False)
        self.assertEqual(["('consumed', 1, 3)"], self.heard())

    def test_was_reset(self) -> None:
        """The peer's reset is a connection reset."""
        self.read()
        self.tunnel.was_reset()
        self.tunnel.was_reset()
        self.assertEqual(
            (["lost"], "ECONNRESET", 1, []), (self.reader.said, self.tunnel.errno, self.overs, self.heard())
        )

    def test_attached_late(self) -> None:
        """A reader of a stream that is over is told; one that a prefix is for gets that first."""
        self.tunnel.attach(self.reader, b"before", True)
        self.assertEqual([b"before", "eof"], self.reader.said)
        self.tunnel.was_reset()
        other = Notes()
        self.tunnel.attach(other)
        self.assertEqual(["lost"], other.said)

    def test_reader_raises(self) -> None:
        """What a reader raises costs the stream, and is told."""
        crashes: list[Failure] = []
        self.tunnel.on_crash = crashes.append
        self.reader = Notes(b"bad")  # type: ignore[arg-type]
        self.read()
        self.tunnel.received(b"bad", False)
        self.assertEqual(([b"bad", "lost"], [ZeroDivisionError]), (self.reader.said, [c.type for c in crashes]))
        self.assertEqual(f"('reset', 1, {CANCEL})", self.heard()[-1])

    def test_nothing_to_splice(self) -> None:
        """Frames are no socket; whose address it is, is the connection's."""
        self.assertIsNone(self.tunnel.raw())
        self.assertEqual(("10.0.0.1", 1), self.tunnel.conn.peer)
