"""
L{benchmark.clients.h2}: calls without end, to the gRPC upstream of ours and to servers that do wrong.
"""

import gc
import socket

from twisted.trial.unittest import SynchronousTestCase

from benchmark.clients import h2
from benchmark.clients.caller import Caller, callers, message
from benchmark.clients.grpc import Server
from benchmark.clients.wire import RST_STREAM, frame
from tests.benchmark.clients.server import server
from tests.benchmark.clients.test_grpc import upstream


class LoadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.addCleanup(gc.enable)
        self.patch(h2, "GRACE_SECONDS", 0.2)

    def made(self, serve: object = upstream, count: int = 2) -> list[Caller]:
        found = callers(count, server(self, serve), b"/bench.Echo/", message(20))  # type: ignore[arg-type]
        for one in found:
            self.addCleanup(one.close)
        return found

    def test_calls(self) -> None:
        """Closed loop: calls follow each other, and every answer is there in the end."""
        found = h2.calls(self.made(), 0.2, 3)
        self.assertEqual((0, 25 * found["requests"]), (found["errors"], found["bytes"]))
        self.assertGreater(found["requests"], 12)
        self.assertGreaterEqual(found["seconds"], 0.2)
        self.assertTrue(0 < found["p50_us"] <= found["p99_us"] <= found["max_us"], found)

    def test_rate(self) -> None:
        """As many as are due in the time, no more."""
        found = h2.rate(self.made(), 200, 0.2)
        self.assertEqual((40, 0, 1000), (found["requests"], found["errors"], found["bytes"]))
        self.assertGreaterEqual(found["seconds"], 0.2)

    def test_messages(self) -> None:
        """On open streams, each message when the last is back; far more of them than a window holds."""
        made = self.made(count=1)
        found = h2.messages(made, 0.5, 2, 8_000)
        self.assertEqual((0, 8_005 * found["requests"]), (found["errors"], found["bytes"]))
        self.assertGreater(found["bytes"], 300_000)
        self.assertEqual(5, made[0].stream)

    def resetting(self, connection: socket.socket) -> None:
        """The upstream, but that it answers one call only."""
        one = Server(connection)
        while True:
            one.step()
            if one.ended:
                break
        while True:
            for _kind, _flags, stream, _payload in one.wire.read():
                one.wire.out += frame(RST_STREAM, 0, stream, bytes(4))
            one.wire.flush()

    def test_reset(self) -> None:
        """A reset stream is an error, in each kind of load."""
        self.assertGreater(h2.calls(self.made(self.resetting), 0.1, 1)["errors"], 0)
        self.assertEqual(20, h2.rate(self.made(self.resetting), 200, 0.1)["errors"])
        self.assertGreater(h2.messages(self.made(self.resetting), 0.1, 1, 5)["errors"], 0)

    def test_short(self) -> None:
        """An answer that is shorter than the first was cut."""
        found = h2.result([0.1, 0.1], 1.0, 0, self.made(), h2.Answers([]))
        self.assertEqual(2, found["errors"])

    def silent(self, connection: socket.socket) -> None:
        """The upstream, but that it falls silent after one call."""
        one = Server(connection)
        while not one.ended:
            one.step()
        while connection.recv(65_536):
            pass

    def test_never(self) -> None:
        """What is not answered in the end is an error; it is not waited for longer than the grace."""
        found = h2.calls(self.made(self.silent), 0.1, 2)
        self.assertEqual((0, 4), (found["requests"], found["errors"]))
        self.assertLess(found["seconds"], 3)
        self.assertEqual(20, h2.rate(self.made(self.silent), 200, 0.1)["errors"])
