"""
L{benchmark.clients.grpc}: the gRPC upstream, asked by the h2 library.
"""

import contextlib
import socket

from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, TrailersReceived
from h2.settings import SettingCodes, Settings
from twisted.trial.unittest import SynchronousTestCase

from benchmark.clients.grpc import Server
from benchmark.process import HOST
from tests.benchmark.clients.server import server

REQUEST = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", "/a/b"), ("te", "trailers")]


def upstream(connection: socket.socket) -> None:
    """As L{benchmark.clients.grpc.serve}, for one connection."""
    one = Server(connection)
    with contextlib.suppress(OSError):
        while True:
            one.step()


class ServerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.wire = socket.create_connection((HOST, server(self, upstream)), 5)
        self.addCleanup(self.wire.close)
        self.peer = H2Connection()
        self.events: list[Event] = []

    def until(self, kind: type[Event], count: int) -> list[Event]:
        """All events up to the last of so many of that kind."""
        while sum(isinstance(event, kind) for event in self.events) < count:
            self.wire.sendall(self.peer.data_to_send())
            data = self.wire.recv(65_536)
            self.assertTrue(data)
            for event in self.peer.receive_data(data):
                if isinstance(event, DataReceived):
                    self.peer.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.events.append(event)
        return self.events

    def begin(self, stream: int, data: bytes | None, end: bool) -> None:
        self.peer.send_headers(stream, REQUEST)
        if data is not None:
            self.peer.send_data(stream, data, end_stream=end)

    def test_unary(self) -> None:
        """A message comes back with the status, on every stream, the first and those that use its table."""
        self.peer.initiate_connection()
        for stream in (1, 3, 5):
            self.begin(stream, b"hello %d" % stream, True)
        events = self.until(StreamEnded, 3)
        for kind, field in ((ResponseReceived, (b"content-type", b"application/grpc")), (TrailersReceived, None)):
            heads = [event.headers for event in events if isinstance(event, kind)]
            self.assertEqual(3, len(heads))
            for head in heads:
                self.assertIn(field or (b"grpc-status", b"0"), head)
        bodies = {event.stream_id: event.data for event in events if isinstance(event, DataReceived)}
        self.assertEqual({1: b"hello 1", 3: b"hello 3", 5: b"hello 5"}, bodies)

    def test_no_table(self) -> None:
        """A peer that keeps no table of headers is told literals."""
        self.peer.local_settings = Settings(client=True, initial_values={SettingCodes.HEADER_TABLE_SIZE: 0})
        self.peer.initiate_connection()
        self.peer.decoder.max_allowed_table_size = 0
        for stream in (1, 3):
            self.begin(stream, b"x", True)
        self.assertEqual(2, sum(isinstance(event, TrailersReceived) for event in self.until(StreamEnded, 2)))

    def test_stream(self) -> None:
        """Each message comes back at once, and the head before any; the status when the client has ended."""
        self.peer.initiate_connection()
        self.begin(1, None, False)
        self.until(ResponseReceived, 1)
        for number in range(3):
            self.peer.send_data(1, b"message %d" % number)
            self.until(DataReceived, number + 1)
        self.assertFalse([event for event in self.events if isinstance(event, StreamEnded)])
        self.peer.end_stream(1)
        self.until(TrailersReceived, 1)

    def test_windows(self) -> None:
        """What does not fit the client's window waits, in its order, and renews ours; other streams go on."""
        window = {SettingCodes.INITIAL_WINDOW_SIZE: 10}
        self.peer.local_settings = Settings(client=True, initial_values=window)
        self.peer.initiate_connection()
        self.begin(1, b"0123456789", False)
        self.until(DataReceived, 1)
        self.peer.send_data(1, b"abcdefghij", end_stream=True)
        self.begin(3, b"x", True)
        self.until(StreamEnded, 2)
        mine = [event.data for event in self.events if isinstance(event, DataReceived) and event.stream_id == 1]
        self.assertEqual(b"0123456789abcdefghij", b"".join(mine))

    def test_reset(self) -> None:
        """A stream that was reset is forgotten, and the connection lives."""
        self.peer.initiate_connection()
        self.begin(1, b"x", False)
        self.peer.reset_stream(1)
        self.begin(3, b"y", True)
        self.until(StreamEnded, 1)
