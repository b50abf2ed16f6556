# -*- test-case-name: tests.protocols.http.h2.test_outbox -*-
"""
Tests for L{lproxy.protocols.http.h2.outbox}.
"""

from __future__ import annotations

from hpack import Decoder
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2 import frames as wire
from lproxy.protocols.http.h2.engine import PREFACE
from lproxy.protocols.http.h2.flow import Flow, StreamState
from lproxy.protocols.http.h2.framing import FrameReader
from lproxy.protocols.http.h2.guard import Guard
from lproxy.protocols.http.h2.limits import Limits
from lproxy.protocols.http.h2.outbox import Outbox
from tests.protocols.http.h2.harness import split


class OutboxTests(SynchronousTestCase):
    """What waits to be written."""

    def setUp(self) -> None:
        self.guard, self.flow = Guard(Limits(), lambda: 0.0), Flow(100, 0)
        self.outbox = Outbox(self.guard, self.flow)

    def frames(self) -> list[tuple[int, int, int, bytes]]:
        """All of it."""
        return split(FrameReader(b""), self.outbox.take())

    def test_begin(self) -> None:
        """A client begins with the preface; both with SETTINGS, and with a larger window for the connection."""
        self.outbox.begin(True, Limits())
        said = self.outbox.take()
        self.assertTrue(said.startswith(PREFACE))
        kinds = [kind for kind, *_ in split(FrameReader(PREFACE), said)]
        self.assertEqual([wire.SETTINGS, wire.WINDOW_UPDATE], kinds)
        self.outbox.begin(False, Limits(connection_window=10))
        self.assertEqual([wire.SETTINGS], [kind for kind, *_ in self.frames()])

    def test_taken(self) -> None:
        """It is taken once."""
        self.outbox.send(b"a")
        self.outbox.send(b"b")
        self.assertEqual([b"ab", b""], [self.outbox.take(), self.outbox.take()])

    def test_section(self) -> None:
        """A section that is long goes in several frames, none longer than the peer takes."""
        fields = [(b"a%d" % number, b"x" * 50) for number in range(20)]
        self.outbox.section(1, fields, False, 100)
        frames = self.frames()
        self.assertEqual(wire.HEADERS, frames[0][0])
        self.assertLessEqual(max(len(payload) for *_, payload in frames), 100)
        block = b"".join([payload for *_, payload in frames])
        self.assertEqual(fields, [tuple(field) for field in Decoder().decode(block, raw=True)])

    def test_data(self) -> None:
        """As many bytes as both windows have, in frames that the peer takes; END_STREAM behind the last byte only."""
        stream = StreamState(1, 70, 0)
        self.assertEqual(70, self.outbox.data(stream, bytes(90), True, 40))
        self.assertEqual([(0, 40), (0, 30)], [(flags, len(payload)) for _, flags, _, payload in self.frames()])
        self.assertEqual((0, 30), (stream.sendable, self.flow.sendable))
        self.assertEqual(0, self.outbox.data(stream, b"x", True, 40))
        other = StreamState(3, 50, 0)
        self.assertEqual(30, self.outbox.data(other, bytes(30), True, 10))
        self.assertEqual([(0, 10), (0, 10), (1, 10)], [(flags, len(payload)) for _, flags, _, payload in self.frames()])
        self.assertEqual(5, self.guard.data_sent)

    def test_nothing(self) -> None:
        """An end needs no credit; nothing at all is no frame."""
        stream = StreamState(1, -5, 0)
        self.assertEqual(0, self.outbox.data(stream, b"", False, 40))
        self.assertEqual([], self.frames())
        self.assertEqual(0, self.outbox.data(stream, b"", True, 40))
        self.assertEqual([(wire.DATA, 1, 1, b"")], self.frames())

    def test_counted(self) -> None:
        """What a peer can cause is counted until it is taken."""
        for _ in range(2):
            for _ in range(1000):
                self.outbox.acknowledge(b"x")
            self.assertEqual("", self.guard.exceeded)
            self.outbox.take()
        for _ in range(1001):
            self.outbox.acknowledge(b"x")
        self.assertIn("1001", self.guard.exceeded)
