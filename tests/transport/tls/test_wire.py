# -*- test-case-name: tests.transport.tls.test_wire -*-
"""
Tests for L{lproxy.transport.tls.wire}: TLS with the manners of a socket.
"""

from __future__ import annotations

import errno
import os
import socket

from OpenSSL import SSL

from lproxy.transport.tls.wire import RECORD, ROOM, Wire, broken
from tests.transport.test_socket import reset
from tests.transport.tls.pairs import Far, TlsCase

PEEK = socket.MSG_PEEK
#: what is asked for at once, mostly
SIZE = 4 * RECORD


class WireCase(TlsCase):
    """A wire, and the other end of it."""

    wire: Wire
    far: Far

    def setUp(self) -> None:
        super().setUp()
        stream, self.far = self.pair()
        self.wire = stream.wire

    def nothing(self) -> None:
        """There is nothing to be read."""
        self.assertRaises(BlockingIOError, self.wire.recv, ROOM)


class ReadTests(WireCase):
    """What is read."""

    def test_record(self) -> None:
        """A small record comes by itself, and then there is nothing."""
        self.nothing()
        self.far.say(b"hello")
        self.far.say(b"world")
        self.assertEqual([b"hello", b"world"], [self.wire.recv(ROOM), self.wire.recv(ROOM)])
        self.nothing()

    def test_bulk(self) -> None:
        """Full records come together, as far as there is room, and byte for byte."""
        data = os.urandom(6 * RECORD + 100)
        self.assertEqual(len(data), self.far.say(data))
        got = [self.wire.recv(SIZE), self.wire.recv(SIZE)]
        self.assertEqual([4 * RECORD, 2 * RECORD + 100], [len(piece) for piece in got])
        self.assertTrue(data == b"".join(got))
        self.nothing()

    def test_size(self) -> None:
        """As many as are asked for, if that is a record or more, and there is room."""
        for size, expected in ((1, 1), (RECORD, 1), (2 * RECORD - 1, 1), (3 * RECORD, 3), (ROOM, 16), (2 * ROOM, 16)):
            data = b"x" * (20 * RECORD)
            self.assertEqual(len(data), self.far.say(data))
            self.assertEqual(expected * RECORD, len(self.wire.recv(size)), size)
            left = len(data) - expected * RECORD
            while left:
                left -= len(self.wire.recv(ROOM))
            self.nothing()

    def test_bulk_then_nothing(self) -> None:
        """They are not kept back because another might follow."""
        self.far.say(b"x" * RECORD)
        self.assertEqual(RECORD, len(self.wire.recv(ROOM)))
        self.assertIsNone(self.wire.held)

    def test_end(self) -> None:
        """C{close_notify} is the end, again and again."""
        self.far.connection.shutdown()
        self.assertEqual([b"", b""], [self.wire.recv(ROOM), self.wire.recv(ROOM)])

    def test_end_behind(self) -> None:
        """An end right behind what was read is kept for the next time."""
        self.far.say(b"x" * RECORD)
        self.far.connection.shutdown()
        self.assertEqual(RECORD, len(self.wire.recv(ROOM)))
        self.assertEqual(b"", self.wire.held)
        self.assertEqual(b"", self.wire.recv(ROOM))

    def test_cut(self) -> None:
        """FIN without it is an error, as is what is not TLS, also right behind what was read."""
        self.far.say(b"x" * RECORD)
        self.far.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(RECORD, len(self.wire.recv(ROOM)))
        self.assertEqual(errno.EPROTO, self.assertRaises(OSError, self.wire.recv, ROOM).errno)
        self.assertTrue(self.wire.quiet)

    def test_garbage(self) -> None:
        """What is not encrypted, or too long, breaks the connection."""
        for data in (b"GET / HTTP/1.1\r\n\r\n" * 3, b"\x17\3\3\x50\0" + bytes(0x5000), b"\x17\3\3\0\x20" + bytes(32)):
            stream, far = self.pair()
            far.sock.sendall(data)
            self.assertEqual(errno.EPROTO, self.assertRaises(OSError, stream.wire.recv, ROOM).errno, data[:9])

    def test_peek(self) -> None:
        """What is looked at is read later, whatever it is."""
        self.assertRaises(BlockingIOError, self.wire.recv, 1, PEEK)
        self.far.say(b"hello")
        self.assertEqual(b"hello", self.wire.recv(1, PEEK))
        self.assertEqual([b"hello", b"hello"], [self.wire.recv(1, PEEK), self.wire.recv(ROOM)])
        self.far.connection.shutdown()
        self.assertEqual([b"", b"", b""], [self.wire.recv(1, PEEK), self.wire.recv(1, PEEK), self.wire.recv(ROOM)])

    def test_peek_behind(self) -> None:
        """An error that is known already is no surprise to who looks."""
        self.far.say(b"x" * RECORD)
        self.far.sock.shutdown(socket.SHUT_WR)
        self.wire.recv(ROOM)
        self.assertEqual(b"", self.wire.recv(1, PEEK))
        self.assertRaises(OSError, self.wire.recv, ROOM)


class WriteTests(WireCase):
    """What is written."""

    def far_heard(self) -> bytes:
        """What has arrived."""
        self.far.step()
        return self.far.heard

    def test_small(self) -> None:
        """Bytes and bytearrays are taken whole; nothing is nothing."""
        self.assertEqual(
            [5, 5, 0, 0], [self.wire.send(one) for one in (b"hello", bytearray(b"world"), b"", bytearray())]
        )
        self.assertEqual(b"helloworld", self.far_heard())

    def test_full(self) -> None:
        """As much as fits is taken, and the rest goes on where it has ended."""
        data = os.urandom(8 << 20)
        sent = self.wire.send(data)
        self.assertTrue(0 < sent < len(data))
        rest = bytearray(data[sent:])
        self.assertRaises(BlockingIOError, self.wire.send, rest)
        while rest:
            self.far_heard()
            try:
                del rest[: self.wire.send(rest)]
            except BlockingIOError:
                pass
        self.assertTrue(data == self.far_heard())

    def test_broken(self) -> None:
        """A peer that is gone is an error of the socket."""
        reset(self.far.sock)
        error = self.assertRaises(OSError, self.wire.send, b"x" * 9)
        self.assertIn(error.errno, (errno.EPIPE, errno.ECONNRESET))
        self.assertRaises(OSError, self.wire.send, bytearray(100_000))


class EndTests(WireCase):
    """How it ends."""

    def test_shutdown(self) -> None:
        """C{close_notify} is said once; what the peer says is read on."""
        for _ in range(2):
            self.wire.shutdown(socket.SHUT_WR)
        self.far.step()
        self.assertTrue(self.far.ended)
        self.far.say(b"still here")
        self.assertEqual(b"still here", self.wire.recv(ROOM))

    def test_close(self) -> None:
        """A socket that is closed says so before; one that is to be quiet does not."""
        self.wire.close()
        self.far.step()
        self.assertEqual((True, -1), (self.far.ended, self.wire.fileno()))
        stream, far = self.pair()
        stream.wire.quiet = True
        stream.wire.close()
        far.step()
        self.assertIsInstance(far.error, SSL.SysCallError)

    def test_broken(self) -> None:
        """What OpenSSL raises is an error of the socket where it is one, and else of the protocol."""
        self.assertEqual(errno.ECONNRESET, broken(SSL.SysCallError(errno.ECONNRESET, "ECONNRESET")).errno)
        for error in (SSL.SysCallError(-1, "Unexpected EOF"), SSL.Error([("a", "b", "c")]), SSL.Error()):
            self.assertEqual((errno.EPROTO, "of TLS"), broken(error).args)
        alert = SSL.Error([("SSL routines", "", "tlsv1 alert unknown ca")])
        self.assertEqual((errno.EPROTO, "alert:unknown_ca"), broken(alert).args)
