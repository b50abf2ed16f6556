# -*- test-case-name: tests.transport.test_handover -*-
"""
Tests for L{lproxy.transport.handover}: a socket that leaves its stream.
"""

from __future__ import annotations

from lproxy.metrics.counters import TransportCounter
from lproxy.transport.hub import READ
from lproxy.transport.socket import SocketStream
from tests.transport.sockets import Recorder, SocketCase


class HandOverTests(SocketCase):
    """What becomes of a stream whose socket somebody else has."""

    def test_over(self) -> None:
        """It is over, and neither closes the socket nor tells anybody, whatever is asked of it."""
        stream, peer = self.unix()
        reader = Recorder()
        stream.attach(reader)
        stream.resume()
        taken = stream.hand_over()
        self.addCleanup(taken.sock.close)
        for what in (stream.close, stream.abort, stream.end, stream.resume, stream.pause, stream.shut_down):
            what()
        stream.write(b"lost")
        self.assertEqual(([], True), (reader.events, stream.closed))
        peer.send(b"hello")
        self.assertEqual(b"hello", taken.sock.recv(9))
        self.hub.forget(taken.descriptor)

    def test_next(self) -> None:
        """Whoever comes next is told by the hub instead, on the same descriptor, and is as old as the connection."""
        first, peer = self.unix()
        first.resume()
        self.reactor.advance(5.0)
        taken = first.hand_over()
        stream = SocketStream(taken.sock, self.hub, taken.conn, taken.released, taken.descriptor, taken.began)
        self.streams.append(stream)
        reader = Recorder()
        stream.attach(reader)
        self.assertEqual(READ, taken.descriptor.interest)
        peer.send(b"hello")
        self.settle()
        self.assertEqual(b"hello", reader.heard)
        counter = TransportCounter()
        stream.counted(counter)
        stream.close()
        self.assertEqual(5.0, counter.duration.total)
