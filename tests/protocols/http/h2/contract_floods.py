# -*- test-case-name: tests.protocols.http.h2.test_lane, tests.protocols.http.h2.test_reference -*-
"""
What every engine does about floods: each ends within a number of frames, and holds no more than a little memory then.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

from lproxy.protocols.http.h2 import frames as wire
from lproxy.protocols.http.h2.faults import (
    CANCEL,
    COMPRESSION_ERROR,
    ENHANCE_YOUR_CALM,
    NO_ERROR,
    ConnectionFault,
)
from lproxy.protocols.http.h2.limits import Limits
from tests.protocols.http.h2.contract import EngineTestCase
from tests.protocols.http.h2.harness import ANSWER, POST, REQUEST, Peer


class FloodContract(EngineTestCase):
    """Floods against a server; what is not answered, and what is."""

    def steps(self, peer: Peer, step: Callable[[int], None], most: int, code: int = ENHANCE_YOUR_CALM) -> int:
        """How many times C{step} was done before the connection ended, with less than a megabyte more in memory."""
        tracemalloc.start()
        try:
            for number in range(most):
                try:
                    step(number)
                except ConnectionFault as fault:
                    self.assertEqual(code, fault.code)
                    self.assertEqual(code == ENHANCE_YOUR_CALM, fault.flood)
                    self.assertEqual(("GOAWAY", code), peer.read()[-1][::2])
                    self.assertLess(tracemalloc.get_traced_memory()[1], 1_500_000)
                    return number
        finally:
            tracemalloc.stop()
        raise AssertionError(f"{most} times, and nothing happened")

    def test_rapid_reset(self) -> None:
        """Requests that are reset at once (CVE-2023-44487): a thousand."""
        peer = self.connect(False)
        block = peer.section(REQUEST)

        def step(number: int) -> None:
            stream_id = 2 * number + 1
            self.engine.receive(wire.frame(wire.HEADERS, 5, stream_id, block) + wire.reset(stream_id, CANCEL))
            self.engine.take()

        peer.section(REQUEST)
        self.assertEqual(1000, self.steps(peer, step, 2000))
        self.assertEqual(1001, len(self.told.named("stream_reset")))

    def test_slow_resets(self) -> None:
        """Clients that cancel 30 calls a second may, for ever."""
        peer = self.connect(False)
        for number in range(3000):
            self.now += 1 / 30
            peer.headers(2 * number + 1, REQUEST, True)
            peer.reset(2 * number + 1)
            self.engine.take()
        self.assertEqual(0, self.engine.streams)

    def test_provoked(self) -> None:
        """Malformed requests that we have to reset (CVE-2025-8671): a thousand."""
        peer = self.connect(False)
        block = peer.section([*REQUEST, (b"connection", b"x")])

        def step(number: int) -> None:
            self.engine.receive(wire.frame(wire.HEADERS, 5, 2 * number + 1, block))
            self.engine.take()

        self.assertEqual(1000, self.steps(peer, step, 2000))

    def test_provoked_by_session(self) -> None:
        """What a session resets for the peer's fault counts too; what it resets for its own reasons does not."""
        for provoked in (False, True):
            peer = self.connect(False)

            def step(number: int, peer: Peer = peer, provoked: bool = provoked) -> None:
                peer.headers(2 * number + 1, POST)
                self.engine.reset(2 * number + 1, NO_ERROR, provoked)
                self.engine.take()

            if provoked:
                self.assertLess(self.steps(peer, step, 2000), 1002)
            else:
                for number in range(2000):
                    step(number)

    def test_refused(self) -> None:
        """Streams over the limit, by one who knows it: a thousand."""
        peer = self.connect(False, Limits(streams=1))
        peer.headers(1, POST)

        def step(number: int) -> None:
            peer.headers(2 * number + 3, REQUEST, True)
            self.engine.take()

        self.assertEqual(1000, self.steps(peer, step, 2000))

    def test_unread(self) -> None:
        """PING and SETTINGS of one who does not read: a thousand wait, then it is over; who reads may go on."""
        for frame in (wire.frame(wire.PING, 0, 0, bytes(8)), wire.settings([(wire.INITIAL_WINDOW_SIZE, 5)])):
            peer = self.connect(False)
            for _ in range(5000):
                self.engine.receive(frame)
                self.engine.take()
            self.assertEqual(1000, self.steps(peer, lambda _, frame=frame: self.engine.receive(frame), 2000))

    def test_unread_answers(self) -> None:
        """Requests of one who does not read their answers: ten thousand frames wait, then it is over."""
        peer = self.connect(False)
        block = wire.frame(wire.HEADERS, 5, 0, peer.section(REQUEST))
        self.told.on["headers"] = lambda stream_id, *_: self.engine.send_headers(stream_id, ANSWER, True)

        def step(number: int) -> None:
            self.engine.receive(block[:5] + (2 * number + 1).to_bytes(4, "big") + block[9:])
            self.told.told.clear()
            self.told.heads.clear()

        with self.assertRaises(ConnectionFault) as raised:
            for number in range(20_000):
                step(number)
        self.assertTrue(raised.exception.flood)
        self.assertLessEqual(number, 10_001)

    def test_continuation(self) -> None:
        """A field section of 64 CONTINUATION frames, or of four times the bytes it may have, never ended."""
        peer = self.connect(False)
        peer.frame(wire.HEADERS, 0, 1, b"\x82")
        self.assertTrue(self.engine.unfinished())
        steps = self.steps(peer, lambda _: peer.frame(wire.CONTINUATION, 0, 1, b"\x86"), 100)
        self.assertIn(steps, (63, 64))  # h2 counts HEADERS too
        peer = self.connect(False)
        peer.frame(wire.HEADERS, 0, 1, bytes(16_384))
        self.assertEqual(7, self.steps(peer, lambda _: peer.frame(wire.CONTINUATION, 0, 1, bytes(16_384)), 100))

    def test_empty(self) -> None:
        """Empty frames that end nothing: one, not two in a row (CVE-2019-9518)."""
        peer = self.connect(False)
        peer.headers(1, POST)
        peer.data(1, b"")
        peer.data(1, b"x")
        self.assertEqual(1, self.steps(peer, lambda _: peer.data(1, b""), 10))
        peer = self.connect(False)
        peer.headers(1, POST)
        padded = (wire.DATA, wire.PADDED, 1, b"\7" + bytes(7))
        self.assertEqual(1, self.steps(peer, lambda _: peer.frame(*padded), 10))
        peer = self.connect(False)
        peer.frame(wire.HEADERS, wire.END_STREAM, 1, b"")
        self.assertEqual(1, self.steps(peer, lambda _: peer.frame(wire.CONTINUATION, 0, 1, b""), 10))

    def test_ends(self) -> None:
        """Empty DATA that ends streams is how many say so: as often as one likes."""
        peer = self.connect(False)
        for number in range(300):
            peer.headers(2 * number + 1, POST)
            peer.data(2 * number + 1, b"", True)
            self.engine.send_headers(2 * number + 1, ANSWER, True)
        self.assertEqual(300, len(self.told.named("data")))

    def test_priority(self) -> None:
        """PRIORITY: a hundred, and a hundred for each stream."""
        peer = self.connect(False)
        peer.headers(1, REQUEST, True)
        frame = wire.frame(wire.PRIORITY, 0, 5, b"\0\0\0\1\7")
        self.assertEqual(200, self.steps(peer, lambda _: self.engine.receive(frame), 500))

    def test_window_updates(self) -> None:
        """WINDOW_UPDATE: in proportion to what there is to be told (CVE-2019-9511)."""
        peer = self.connect(False)
        peer.headers(1, REQUEST, True)
        self.engine.send_headers(1, ANSWER, False)
        for _ in range(10):
            self.engine.send_data(1, b"x", False)
        allowed = 5 + 2 * (1 + 10 * 10)
        self.assertEqual(allowed, self.steps(peer, lambda number: peer.window(number % 2, 1), 500))

    def test_bomb(self) -> None:
        """A table's entry of 4 KB, named sixteen thousand times (CVE-2016-6581), is not unpacked."""
        peer = self.connect(False)
        peer.headers(1, [*REQUEST, (b"bomb", b"x" * 3900)], True)

        def step(_: int) -> None:
            peer.frame(wire.HEADERS, 5, 3, b"\xbe" * 16_000)

        self.assertEqual(0, self.steps(peer, step, 1, COMPRESSION_ERROR))
