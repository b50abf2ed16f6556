# -*- test-case-name: tests.protocols.http.h2.test_lane -*-
"""
Tests for L{lproxy.protocols.http.h2.lane}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2 import frames as wire
from lproxy.protocols.http.h2.engine import MAXIMUM, PREFACE, SPARE_IDS
from lproxy.protocols.http.h2.faults import (
    CANCEL,
    FIELD,
    FLOW,
    FLOW_CONTROL_ERROR,
    FRAME,
    FRAME_SIZE_ERROR,
    LENGTH,
    PROTOCOL_ERROR,
    PSEUDO,
    STREAM_CLOSED,
)
from lproxy.protocols.http.h2.lane import Lane
from lproxy.protocols.http.h2.limits import Limits
from lproxy.protocols.http.message import Headers
from tests.protocols.http.h2.contract import BeginContract, ClientContract, EngineTestCase, ServerContract
from tests.protocols.http.h2.contract_floods import FloodContract
from tests.protocols.http.h2.harness import ANSWER, POST, REQUEST, Peer


class BeginTests(BeginContract, SynchronousTestCase):
    """Connections on our lane."""

    make = Lane


class ServerTests(ServerContract, SynchronousTestCase):
    """Servers on our lane."""

    make = Lane


class ClientTests(ClientContract, SynchronousTestCase):
    """Clients on our lane."""

    make = Lane


class FloodTests(FloodContract, SynchronousTestCase):
    """Our lane under floods."""

    make = Lane


class BehindTheEndTests(EngineTestCase, SynchronousTestCase):
    """What the peer sends on a stream that it has ended itself (5.1)."""

    make = Lane

    def test_reset(self) -> None:
        """Behind its own reset: DATA are an error of the stream, for there is nothing that they could be late for."""
        peer = self.connect(False)
        peer.headers(1, POST)
        peer.reset(1, CANCEL)
        peer.data(1, b"abc")
        self.assertEqual([("RST_STREAM", 1, STREAM_CLOSED)], peer.read())
        self.assertEqual(1, len(self.told.named("stream_reset")))

    def test_head(self) -> None:
        """Behind its end: another head is one of a stream that is closed, whatever fields it has."""
        peer = self.connect(False)
        peer.headers(1, REQUEST, True)
        peer.headers(1, REQUEST, True)
        self.assertEqual([("RST_STREAM", 1, STREAM_CLOSED)], peer.read())
        self.assertEqual([("refused", 1, STREAM_CLOSED, FRAME)], self.told.named("refused"))


class StreamFaultTests(EngineTestCase, SynchronousTestCase):
    """What costs a stream, where others end the connection: the connection goes on, and its windows are right."""

    make = Lane

    def refused(self, code: int, reason: str, *frames: tuple[int, int, int, bytes], head: Headers = POST) -> None:
        """After a request's C{head}, the last of C{frames} resets it."""
        peer = self.connect(False)
        peer.headers(1, head)
        for frame in frames:
            self.assertEqual([], self.told.named("refused"))
            peer.frame(*frame)
        self.assertEqual([("refused", 1, code, reason)], self.told.named("refused"))
        self.assertEqual(("RST_STREAM", 1, code), peer.read()[-1])
        self.assertEqual(0, self.engine.streams)
        peer.data(1, b"late")
        peer.headers(3, REQUEST, True)
        self.assertEqual(("headers", 3, b"GET", True), self.told.told[-1])
        self.assertEqual([], peer.read())

    def test_length(self) -> None:
        """DATA of another length than was said: a byte too many, or too few."""
        head = [*POST, (b"content-length", b"3")]
        data = (wire.DATA, 0, 1)
        self.refused(PROTOCOL_ERROR, LENGTH, (*data, b"abcd"), head=head)
        self.refused(PROTOCOL_ERROR, LENGTH, (*data, b"ab"), (*data, b"cd"), head=head)
        self.refused(PROTOCOL_ERROR, LENGTH, (wire.DATA, wire.END_STREAM, 1, b"ab"), head=head)
        self.refused(PROTOCOL_ERROR, LENGTH, (*data, b"ab"), (wire.HEADERS, 5, 1, b"\0\1a\1b"), head=head)
        self.refused(PROTOCOL_ERROR, LENGTH, (*data, b"a"), head=[*POST, (b"content-length", b"0")])

    def test_no_number(self) -> None:
        """A length that is none."""
        peer = self.connect(False)
        peer.headers(1, [*POST, (b"content-length", b"3x")])
        self.assertEqual([("refused", 1, PROTOCOL_ERROR, FIELD)], self.told.told)

    def test_trailers(self) -> None:
        """Trailers that do not end the stream, or are malformed."""
        self.refused(PROTOCOL_ERROR, FRAME, (wire.HEADERS, wire.END_HEADERS, 1, b"\0\1a\1b"))
        self.refused(PROTOCOL_ERROR, FIELD, (wire.HEADERS, 5, 1, b"\0\1A\1b"))
        self.refused(PROTOCOL_ERROR, PSEUDO, (wire.HEADERS, 5, 1, b"\x88"))

    def test_ended(self) -> None:
        """Anything behind END_STREAM."""
        end = (wire.DATA, wire.END_STREAM, 1, b"x")
        self.refused(STREAM_CLOSED, FRAME, end, (wire.DATA, 0, 1, b"x"))
        self.refused(STREAM_CLOSED, FRAME, end, (wire.DATA, wire.END_STREAM, 1, b""))
        self.refused(STREAM_CLOSED, FRAME, end, (wire.HEADERS, 5, 1, b"\0\1a\1b"))

    def test_windows(self) -> None:
        """Windows that are overdrawn, overflow, or grow by nothing."""
        full = [(wire.DATA, 0, 1, bytes(16_384))] * 4
        self.refused(FLOW_CONTROL_ERROR, FLOW, *full, (wire.DATA, 0, 1, b"x"))
        self.refused(FLOW_CONTROL_ERROR, FLOW, (wire.WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff"))
        self.refused(PROTOCOL_ERROR, FRAME, (wire.WINDOW_UPDATE, 0, 1, bytes(4)))

    def test_priority(self) -> None:
        """PRIORITY of another size, or of a stream on itself; HEADERS likewise."""
        self.refused(FRAME_SIZE_ERROR, FRAME, (wire.PRIORITY, 0, 1, bytes(4)))
        self.refused(PROTOCOL_ERROR, FRAME, (wire.PRIORITY, 0, 1, b"\0\0\0\1\0"))
        peer = self.connect(False)
        block = b"\0\0\0\1\0" + peer.section(REQUEST)
        peer.frame(wire.HEADERS, wire.END_HEADERS | wire.PRIORITISED, 1, block)
        self.assertEqual([("refused", 1, PROTOCOL_ERROR, FRAME)], self.told.told)
        for code, payload in ((FRAME_SIZE_ERROR, bytes(4)), (PROTOCOL_ERROR, b"\0\0\0\7\0")):
            peer = self.connect(False)
            self.assertEqual(code, self.fault(peer, peer.frame, wire.PRIORITY, 0, 7, payload).code)

    def test_closed(self) -> None:
        """DATA for a stream that has ended resets it again, once; HEADERS end the connection."""
        peer = self.connect(False)
        peer.headers(1, REQUEST, True)
        self.engine.send_headers(1, ANSWER, True)
        peer.read()
        for _ in range(3):
            peer.data(1, b"x")
        self.assertEqual([("RST_STREAM", 1, STREAM_CLOSED)], peer.read())
        peer.headers(3, REQUEST, True)
        self.engine.send_headers(3, ANSWER, True)
        peer.headers(5, REQUEST, True)
        self.assertEqual(STREAM_CLOSED, self.fault(peer, peer.headers, 3, REQUEST).code)

    def test_skipped(self) -> None:
        """A stream that was passed over is closed (RFC 9113, 5.1.1)."""
        peer = self.connect(False)
        peer.headers(5, REQUEST, True)
        self.assertEqual(STREAM_CLOSED, self.fault(peer, peer.headers, 3, REQUEST).code)

    def test_answers(self) -> None:
        """Answers: DATA before a head or where none can be, a 1xx that ends, 101."""
        head = [(b":method", b"HEAD"), *REQUEST[1:]]
        for reason, fields, *steps in (
            (FRAME, REQUEST, lambda peer: peer.data(1, b"x")),
            (FRAME, REQUEST, lambda peer: peer.headers(1, [(b":status", b"103")], True)),
            (PSEUDO, REQUEST, lambda peer: peer.headers(1, [(b":status", b"101")])),
            (LENGTH, head, lambda peer: peer.headers(1, ANSWER), lambda peer: peer.data(1, b"x")),
            (LENGTH, REQUEST, lambda p: p.headers(1, [(b":status", b"204")]), lambda peer: peer.data(1, b"x")),
            (LENGTH, REQUEST, lambda p: p.headers(1, [(b":status", b"304")]), lambda peer: peer.data(1, b"x")),
        ):
            peer = self.connect(True)
            self.engine.request(fields, True)
            self.engine.request(REQUEST, True)
            for step in steps:
                step(peer)
            self.assertEqual(("refused", 1, PROTOCOL_ERROR, reason), self.told.told[-1])
            peer.headers(3, ANSWER, True)
            self.assertEqual(("headers", 3, 200, True), self.told.told[-1])

    def test_small_window(self) -> None:
        """A window below the first 64 KiB holds from when it was acknowledged, for open streams too."""
        peer = self.fresh(False, Limits(stream_window=100))
        self.engine.receive(PREFACE + wire.settings([]))
        peer.headers(1, POST)
        peer.data(1, bytes(150))
        peer.frame(wire.SETTINGS, wire.ACK, 0)
        peer.headers(3, POST)
        peer.data(3, bytes(101))
        self.assertEqual([("refused", 3, FLOW_CONTROL_ERROR, FLOW)], self.told.named("refused"))
        self.engine.consumed(1, 150)
        peer.read()
        peer.data(1, bytes(100))
        self.assertEqual(("data", 1, bytes(100), False), self.told.told[-1])
        peer.data(1, b"x")
        self.assertEqual(("refused", 1, FLOW_CONTROL_ERROR, FLOW), self.told.told[-1])

    def test_before_settings(self) -> None:
        """Whoever cannot know the limit of streams yet is refused without being counted."""
        self.fresh(False, Limits(streams=1, resets=10))
        peer = Peer(self.engine, True)
        self.engine.receive(PREFACE + wire.settings([]))
        for number in range(100):
            peer.headers(2 * number + 1, POST)
        self.assertEqual(99, len(self.told.named("refused")))

    def test_ids_used_up(self) -> None:
        """A client whose ids near their end opens no more, and those that are open go on."""
        peer = self.connect(True)
        self.engine._next_id = MAXIMUM - 2 * SPARE_IDS - 2
        self.engine.request(REQUEST, True)
        self.assertTrue(self.engine.available())
        last = self.engine.request(REQUEST, True)
        self.assertEqual((0, True), (self.engine.available(), self.engine.retiring))
        peer.headers(last, ANSWER, True)
        self.assertEqual(("headers", last, 200, True), self.told.told[-1])
