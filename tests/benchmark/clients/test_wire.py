"""
L{benchmark.clients.wire}: one end of an HTTP/2 connection; the other is the h2 library, or bytes.
"""

import socket

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import PingAckReceived, RemoteSettingsChanged, SettingsAcknowledged, WindowUpdated
from twisted.trial.unittest import SynchronousTestCase

from benchmark.clients import wire
from benchmark.clients.wire import DATA, HEADERS, PREFACE, Closed, Wire, frame, settings, window_update


class WireTests(SynchronousTestCase):
    def setUp(self) -> None:
        ours, self.other = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(self.other.close)
        self.other.settimeout(5)
        self.wire = Wire(ours, 1_000_000)

    def heard(self, *frames: bytes) -> list[tuple[int, int, int, bytes]]:
        self.other.sendall(b"".join(frames))
        return list(self.wire.read())

    def said(self) -> bytes:
        self.wire.flush()
        return self.other.recv(100_000)

    def test_a_library(self) -> None:
        """What it says is understood by h2: settings, windows, an answer to PING."""
        peer = H2Connection(H2Configuration(client_side=False))
        peer.initiate_connection()
        peer.ping(b"12345678")
        self.assertEqual([], self.heard(peer.data_to_send()))
        events = peer.receive_data(PREFACE + self.said())
        kinds = {type(event) for event in events}
        self.assertEqual({RemoteSettingsChanged, WindowUpdated, SettingsAcknowledged, PingAckReceived}, kinds)
        self.assertEqual(1_000_000, peer.outbound_flow_control_window)
        self.assertEqual(1_000_000, peer.remote_settings.initial_window_size)

    def test_pieces(self) -> None:
        """Frames come whole, however they were cut; bytes of DATA count for the window."""
        sent = frame(HEADERS, 4, 1, b"\x88") + frame(DATA, 1, 1, b"x" * 70_000)
        found = []
        for at in range(0, len(sent), 9_999):
            found += self.heard(sent[at : at + 9_999])
        self.assertEqual([(HEADERS, 4, 1, b"\x88"), (DATA, 1, 1, b"x" * 70_000)], found)
        self.assertEqual(70_000, self.wire.taken)

    def test_renewed(self) -> None:
        """Once half of the connection's window is used it is renewed, by all that came."""
        self.said()
        list(self.heard(*[frame(DATA, 0, 1, b"x" * 16_384)] * 8))
        for _ in range(100):
            if not self.wire.taken:
                break
            list(self.heard(frame(DATA, 0, 1, b"x" * 16_384)))
        said = self.said()
        self.assertEqual(window_update(0, int.from_bytes(said[9:13], "big")), said)
        self.assertGreater(int.from_bytes(said[9:13], "big"), 500_000)

    def test_credit(self) -> None:
        """Windows grow as they are told, of streams that somebody is interested in; settings change those, too."""
        self.wire.credit[3] = 65_535
        self.heard(window_update(0, 10), window_update(3, 20), window_update(5, 30))
        self.assertEqual((65_545, {3: 65_555}), (self.wire.window, self.wire.credit))
        self.heard(settings({wire.INITIAL_WINDOW_SIZE: 100, wire.HEADER_TABLE_SIZE: 0}))
        self.assertEqual({3: 65_555 - 65_435}, self.wire.credit)
        self.assertEqual((100, 0), (self.wire.peer[4], self.wire.peer[1]))

    def test_end(self) -> None:
        """GOAWAY is told with its error and text; an end is one."""
        away = frame(wire.GOAWAY, 0, 0, (0).to_bytes(4, "big") + (11).to_bytes(4, "big") + b"calm down")
        self.assertIn("11: b'calm down'", str(self.assertRaises(Closed, self.heard, away)))
        self.other.shutdown(socket.SHUT_WR)
        self.assertRaises(Closed, lambda: list(self.wire.read()))
