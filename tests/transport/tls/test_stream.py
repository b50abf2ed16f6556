# -*- test-case-name: tests.transport.tls.test_stream -*-
"""
Tests for L{lproxy.transport.tls.stream} on real sockets. What it has of a plain one: L{tests.transport.test_socket}.
"""

from __future__ import annotations

import os
import socket

from lproxy.metrics.counters import TransportCounter
from lproxy.testing.garbage import only_new, uncounted
from lproxy.transport.hub import READ, WATCH, WRITE
from tests.transport.sockets import Recorder
from tests.transport.test_socket import reset
from tests.transport.tls.pairs import StreamCase

KIB = 1024


class WriteTests(StreamCase):
    """What is written is sent at once, or in order as soon as it can be."""

    def test_at_once(self) -> None:
        """What the kernel takes is sent within C{write}."""
        self.stream.write(b"hello")
        self.stream.write(b"")
        self.stream.write(b" world")
        self.far.step()
        self.assertEqual(b"hello world", self.far.heard)
        self.assertEqual((11, 0, READ), (self.stream.bytes_out, self.stream.buffered, self.interest))

    def test_pressure(self) -> None:
        """Its reader is told to pause while much waits, and to go on when nothing does; all arrives in order."""
        self.start(little=True)
        data = os.urandom(300 * KIB)
        for at in range(0, len(data), 50 * KIB):
            self.stream.write(data[at : at + 50 * KIB])
        self.assertEqual((["pause"], READ | WRITE), (self.reader.events, self.interest))
        self.assertEqual(len(data), self.stream.bytes_out + self.stream.buffered)
        self.both(self.far, until=lambda: len(self.far.heard) == len(data))
        self.settle()
        self.assertTrue(data == self.far.heard)
        self.assertEqual((["pause", "resume"], READ), (self.reader.events, self.interest))
        self.assertEqual((len(data), 0), (self.stream.bytes_out, self.stream.buffered))

    def test_grows(self) -> None:
        """More may be written while a record is on its way in parts."""
        self.start(little=True)
        data = os.urandom(200 * KIB)
        for at in range(0, len(data), 999):
            self.stream.write(data[at : at + 999])
            if at % 7 == 0 and self.ready():
                self.hub.serve()
                self.far.step()
        self.both(self.far, until=lambda: len(self.far.heard) == len(data))
        self.assertTrue(data == self.far.heard)

    def test_delivered(self) -> None:
        """What the peer took is told, and is never less than nothing."""
        self.start(little=True)
        self.stream.write(bytes(100 * KIB))
        self.assertTrue(0 <= self.stream.delivered() <= self.stream.bytes_out)
        self.both(self.far, until=lambda: len(self.far.heard) == 100 * KIB)
        self.assertEqual(100 * KIB, self.stream.delivered())

    def test_gone(self) -> None:
        """A peer that is gone ends it, in the hub's own turn."""
        reset(self.far.sock)
        self.until(lambda: self.stream.closed)
        self.assertEqual((["lost"], "ECONNRESET"), (self.reader.events, self.stream.errno))


class ReadTests(StreamCase):
    """What arrives is told."""

    def test_pieces(self) -> None:
        """Small messages each by itself, counted without what encryption adds."""
        self.far.say(b"hello")
        self.until(lambda: self.reader.heard)
        self.far.say(b"world")
        self.until(lambda: len(self.reader.events) == 2)
        self.assertEqual(([b"hello", b"world"], 10), (self.reader.events, self.stream.bytes_in))

    def test_large(self) -> None:
        """Large ones in pieces of up to 64 KiB, in order."""
        data = os.urandom(1 << 20)
        said = 0

        def more() -> bool:
            nonlocal said
            said += self.far.say(data[said:])
            return len(self.reader.heard) == len(data)

        self.both(until=more)
        self.assertTrue(data == self.reader.heard)
        self.assertLessEqual(max(map(len, self.reader.events)), 64 * KIB)

    def test_paused(self) -> None:
        """Nothing is read while paused, and all of it afterwards."""
        self.reader.then["data"] = self.stream.pause
        self.far.say(bytes(200 * KIB))
        self.until(lambda: self.reader.events)
        self.settle()
        self.assertEqual((1, WATCH), (len(self.reader.events), self.interest))
        self.reader.then.clear()
        self.stream.resume()
        self.until(lambda: len(self.reader.heard) == 200 * KIB)

    def test_end_behind(self) -> None:
        """An end that was read with the last piece is told without the kernel, to whoever reads on."""
        self.far.say(bytes(16 * KIB))
        self.far.connection.shutdown()
        self.until(lambda: len(self.reader.events) == 2)
        self.assertEqual("eof", self.reader.events[1])

    def test_end_behind_paused(self) -> None:
        """And not to one that has paused, before it resumes."""
        self.reader.then["data"] = self.stream.pause
        self.far.say(bytes(16 * KIB))
        self.far.connection.shutdown()
        self.until(lambda: self.reader.events)
        self.settle()
        self.assertEqual(1, len(self.reader.events))
        self.stream.resume()
        self.settle()
        self.assertEqual("eof", self.reader.events[1])

    def test_cut_behind(self) -> None:
        """The same for one that was cut off, which is no end."""
        self.reader.then["data"] = self.stream.pause
        self.far.say(bytes(16 * KIB))
        self.far.sock.shutdown(socket.SHUT_WR)
        self.until(lambda: self.reader.events)
        self.stream.resume()
        self.settle()
        self.assertEqual(("lost", "EPROTO"), (self.reader.events[1], self.stream.errno))

    def test_silent(self) -> None:
        """A peer is silent until it speaks or ends; what was looked at is read, though the kernel wakes nobody."""
        self.stream.pause()
        self.assertTrue(self.stream.silent())
        self.far.say(b"hello")
        self.assertFalse(self.stream.silent())
        self.assertFalse(self.stream.silent())
        self.assertEqual([], self.reader.events)
        self.stream.resume()
        self.settle()
        self.assertEqual((b"hello", READ), (self.reader.heard, self.interest))
        self.assertTrue(self.stream.silent())
        self.far.say(b"again")
        self.assertFalse(self.stream.silent())
        self.settle()
        self.assertEqual(b"helloagain", self.reader.heard)

    def test_not_to_be_read(self) -> None:
        """Messages of TLS itself, such as tickets, are no data, whoever waits."""
        # a server sends them, and a client looks: the roles are the other way round in here
        self.assertTrue(self.stream.silent())
        self.settle()
        self.assertEqual([], self.reader.events)

    def test_attach(self) -> None:
        """Another reader gets what comes from now on."""
        other = Recorder()
        self.far.say(b"first")
        self.until(lambda: self.reader.heard)
        self.stream.attach(other, b"prefix")
        self.far.say(b"second")
        self.until(lambda: b"second" in other.heard)
        self.assertEqual((b"first", b"prefixsecond"), (self.reader.heard, other.heard))


class EndTests(StreamCase):
    """How it ends."""

    def test_half(self) -> None:
        """C{end} is C{close_notify}, after what was written; reading goes on, and so does whoever speaks."""
        self.stream.write(b"bye")
        self.stream.end()
        self.stream.end()
        self.stream.write(b"lost")
        self.both(self.far)
        self.assertEqual((b"bye", True), (self.far.heard, self.far.ended))
        self.far.say(b"still here")
        self.far.connection.shutdown()
        self.until(lambda: "eof" in self.reader.events)
        self.assertEqual([b"still here", "eof"], self.reader.events)
        self.stream.close()
        self.assertEqual((["lost"], ""), (self.reader.events[2:], self.stream.errno))

    def test_half_later(self) -> None:
        """It waits for what waits, and for room of its own."""
        self.start(little=True)
        data = os.urandom(100 * KIB)
        self.stream.write(data)
        self.stream.end()
        self.both(self.far, until=lambda: self.far.ended)
        self.assertTrue(data == self.far.heard)
        self.settle()
        self.assertEqual(READ, self.interest)

    def test_no_room(self) -> None:
        """Where there is no room for it, it is said as soon as there is."""
        self.start(little=True)
        while not self.stream.buffered:
            self.stream.write(b"." * 100)
        # what waits is one record that OpenSSL holds: with it gone, the kernel is as full as it can be
        self.stream.end()
        self.both(self.far, until=lambda: self.far.ended)
        self.assertEqual("", self.stream.errno)

    def test_eof(self) -> None:
        """The peer has ended: its reader may write on, or close."""
        self.far.connection.shutdown()
        self.until(lambda: self.reader.events)
        self.assertEqual((["eof"], False, WATCH), (self.reader.events, self.stream.closed, self.interest))
        self.stream.write(b"answer")
        self.stream.resume()
        self.settle()
        self.assertEqual(["eof"], self.reader.events)
        self.stream.close()
        self.assertTrue(self.stream.closed)

    def test_cut(self) -> None:
        """FIN without C{close_notify} is never a clean end."""
        self.far.say(b"half an ans")
        self.far.sock.shutdown(socket.SHUT_WR)
        self.until(lambda: self.stream.closed)
        self.assertEqual(([b"half an ans", "lost"], "EPROTO"), (self.reader.events, self.stream.errno))

    def test_alert(self) -> None:
        """An alert of the peer's is what ended it."""
        os.write(self.stream.wire.fileno(), b"\x17\3\3\0\x20" + bytes(32))
        self.far.step()
        self.until(lambda: self.stream.closed)
        self.assertEqual((["lost"], "alert:bad_record_mac"), (self.reader.events, self.stream.errno))

    def test_garbage(self) -> None:
        """Nor is what is no TLS; the peer is told by an alert."""
        self.far.sock.sendall(b"\x17\3\3\0\x20" + bytes(32))
        self.until(lambda: self.stream.closed)
        self.assertEqual((["lost"], "EPROTO"), (self.reader.events, self.stream.errno))
        self.far.step()
        self.assertIn("bad record mac", str(self.far.error))

    def test_close(self) -> None:
        """C{close} says C{close_notify}, after what waits."""
        self.start(little=True)
        data = os.urandom(100 * KIB)
        self.stream.write(data)
        self.stream.close()
        self.assertFalse(self.stream.closed)
        self.both(self.far, until=lambda: self.far.ended)
        self.assertTrue(data == self.far.heard)
        self.assertEqual((True, ""), (self.stream.closed, self.stream.errno))

    def test_abort(self) -> None:
        """C{abort} resets, and says nothing."""
        self.stream.write(b"half")
        self.stream.abort()
        self.far.step()
        self.assertEqual((False, "ECONNABORTED"), (self.far.ended, self.stream.errno))
        self.assertIn("ECONNRESET", str(self.far.error))

    def test_crash(self) -> None:
        """A reader that raises costs the stream and nothing else."""
        self.reader.then["data"] = ZeroDivisionError()
        self.far.say(b"x")
        self.until(lambda: self.stream.closed)
        self.assertEqual([ZeroDivisionError], [failure.type for failure in self.crashes])

    def test_released(self) -> None:
        """It is counted from the accept on, and once."""
        counter = TransportCounter()
        self.stream.counted(counter)
        self.stream.write(b"12345")
        self.stream.close()
        self.assertEqual((1, 5, {"": 1}), (counter.opened, counter.write_bytes, counter.closed))

    def test_garbage_collector(self) -> None:
        """However it ends, nothing of it waits for the garbage collector."""
        self.enterContext(only_new())
        self.stream.abort()
        for how in ("close", "abort", "end"):
            with uncounted() as left:
                self.start()
                getattr(self.stream, how)()
                self.stream.abort()
                del self.stream, self.far, self.reader
                self.streams.clear()
                self.secured.clear()
            self.assertEqual([], left, how)
