# -*- test-case-name: tests.benchmark.endurance.test_streams -*-
"""
L{benchmark.endurance.streams}: TCP and WebSockets, counted.
"""

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from benchmark.endurance import streams, upstream
from tests.benchmark.endurance.talking import counted, one_lost, saying


class StreamTests(SynchronousTestCase):
    """What is said comes back."""

    def setUp(self) -> None:
        self.patch(streams, "THINK", 0.0)

    def test_tcp(self) -> None:
        """Messages on connections that live for a while, and on such as say one; each ends from our side."""
        for life in (0.05, 0.0):
            tally = counted(partial(streams.tcp, life=life), upstream.echo, lambda tally: tally.done >= 10)
            self.assertEqual([], tally.losses)

    def test_websocket(self) -> None:
        """The same in frames, short and long ones."""
        self.patch(streams, "LARGEST", 400)
        tally = counted(partial(streams.websocket, life=0.1), upstream.web, lambda tally: tally.done >= 20)
        self.assertEqual([], tally.losses)

    def test_lost(self) -> None:
        """A connection that ends before its time, another answer than that to an upgrade."""
        for make, serve, why in (
            (partial(streams.tcp, life=1.0), saying(b"", b""), "closed before an answer"),
            (
                partial(streams.websocket, life=1.0),
                saying(b"HTTP/1.1 503 Busy\r\n\r\n", b"\r\n\r\n"),
                "answered 503 Busy",
            ),
        ):
            self.assertEqual(why, one_lost(make, serve))

    def test_mask(self) -> None:
        """RFC 6455, 5.7: a masked text message."""
        self.assertEqual(
            bytes.fromhex("818537fa213d7f9f4d5158"), streams.frame(0x81, b"Hello", bytes.fromhex("37fa213d"))
        )
        self.assertEqual(b"Hello", streams.masked(bytes.fromhex("7f9f4d5158"), bytes.fromhex("37fa213d")))
