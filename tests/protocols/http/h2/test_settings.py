# -*- test-case-name: tests.protocols.http.h2.test_settings -*-
"""
Tests for L{lproxy.protocols.http.h2.settings}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2 import frames as wire
from lproxy.protocols.http.h2.engine import MAXIMUM, UNTOLD_STREAMS
from lproxy.protocols.http.h2.faults import FLOW_CONTROL_ERROR, PROTOCOL_ERROR, ConnectionFault
from lproxy.protocols.http.h2.lane import Lane
from lproxy.protocols.http.h2.limits import Limits
from lproxy.protocols.http.h2.settings import learn, ours
from tests.protocols.http.h2.harness import Recorder


class OursTests(SynchronousTestCase):
    """What we say."""

    def test_server(self) -> None:
        """A server says how many streams, and that it knows extended CONNECT if it does."""
        limits = Limits(streams=7, stream_window=8, header_list=9)
        self.assertEqual({3: 7, 4: 8, 6: 9, 8: 1}, dict(ours(limits, client=False)))
        self.assertNotIn(8, dict(ours(Limits(connect_protocol=False), client=False)))

    def test_client(self) -> None:
        """A client wants nothing pushed."""
        self.assertEqual({2: 0, 4: 8, 6: 9}, dict(ours(Limits(stream_window=8, header_list=9), client=True)))


class LearnTests(SynchronousTestCase):
    """What they say."""

    def setUp(self) -> None:
        self.engine = Lane(True, Recorder(), Limits(), lambda: 0.0)

    def test_said(self) -> None:
        """It is there to be read; what nobody knows is ignored."""
        engine = self.engine
        self.assertEqual((UNTOLD_STREAMS, False), (engine.peer_streams, engine.settled))
        learn(engine, [(3, 5), (4, 6), (5, 20_000), (6, 7), (8, 1), (99, 1)], False)
        said = (engine.peer_streams, engine.peer_window, engine.peer_frame, engine.peer_header_list)
        self.assertEqual((5, 6, 20_000, 7), said)
        self.assertTrue(engine.peer_connect_protocol and engine.settled)

    def test_unlimited(self) -> None:
        """Who says nothing of streams sets no limit; numbers are no larger than they can be."""
        learn(self.engine, [], False)
        self.assertEqual(MAXIMUM, self.engine.peer_streams)
        learn(self.engine, [(3, 2**32 - 1), (6, 2**32 - 1)], False)
        self.assertEqual((MAXIMUM, MAXIMUM), (self.engine.peer_streams, self.engine.peer_header_list))

    def test_refused(self) -> None:
        """What may not be said ends the connection with the code that RFC 9113 names."""
        learn(self.engine, [(wire.ENABLE_CONNECT_PROTOCOL, 1)], False)
        for name, value, by_server, code in (
            (wire.INITIAL_WINDOW_SIZE, 2**31, False, FLOW_CONTROL_ERROR),
            (wire.MAX_FRAME_SIZE, 16_383, False, PROTOCOL_ERROR),
            (wire.MAX_FRAME_SIZE, 2**24, False, PROTOCOL_ERROR),
            (wire.ENABLE_PUSH, 2, False, PROTOCOL_ERROR),
            (wire.ENABLE_PUSH, 1, True, PROTOCOL_ERROR),
            (wire.ENABLE_CONNECT_PROTOCOL, 2, False, PROTOCOL_ERROR),
            (wire.ENABLE_CONNECT_PROTOCOL, 0, False, PROTOCOL_ERROR),
        ):
            fault = self.assertRaises(ConnectionFault, learn, self.engine, [(name, value)], by_server)
            self.assertEqual(code, fault.code)
        learn(self.engine, [(wire.ENABLE_PUSH, 1), (wire.MAX_FRAME_SIZE, 2**24 - 1)], False)
