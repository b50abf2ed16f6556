# -*- test-case-name: tests.transport.tls.test_stream -*-
"""
Tests for L{lproxy.transport.tls.stream} on real sockets. What it has of a plain one: L{tests.transport.test_socket}.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from OpenSSL import SSL
from twisted.internet.task import Clock

from lproxy.identity.contexts import Context
from lproxy.metrics.counters import TransportCounter
from lproxy.testing.garbage import only_new, uncounted
from lproxy.transport.hub import READ, WATCH, WRITE, ReactorHub
from lproxy.transport.socket import SocketStream
from lproxy.transport.stream import Conn
from lproxy.transport.tls.handshake import Handshakes
from lproxy.transport.tls.hello import Hello
from lproxy.transport.tls.peek import Peek
from lproxy.transport.tls.stream import TlsStream
from tests.transport.sockets import Recorder, drain
from tests.transport.test_socket import reset
from tests.transport.tls.pairs import NAME, Far, StreamCase, frontend, ordinary
from tests.transport.tls.test_hello import USUAL

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


def key_update(secret: bytes) -> bytes:
    """
    The record in which a peer changes its key, and asks the other side to do so too (RFC 8446, 4.6.3).

    @param secret: of what it sends; no record of data was sent with that before
    """
    key, iv = (
        HKDFExpand(hashes.SHA256(), size, b"\0%c%c%b\0" % (size, len(label), label)).derive(secret)
        for label, size in ((b"tls13 key", 16), (b"tls13 iv", 12))
    )
    # type, length and "requested", and what kind of record it is
    plain = b"\x18\0\0\1\1" + b"\x16"
    header = b"\x17\3\3\0%c" % (len(plain) + 16)
    return header + AESGCM(key).encrypt(iv, plain, header)


class KeyTests(StreamCase):
    """What TLS has to say for itself once there is data."""

    def start(self, context: Context | None = None, client: Context | None = None, little: bool = False) -> None:
        """With a client whose secrets are known."""
        self.secrets: dict[str, bytes] = {}
        made = SSL.Context(SSL.TLS_CLIENT_METHOD)
        made.set_tls13_ciphersuites(b"TLS_AES_128_GCM_SHA256")
        made.set_keylog_callback(self.secret)
        super().start(context, client or Context(made), little)

    def secret(self, connection: SSL.Connection, line: bytes) -> None:
        """One of them."""
        name, _, secret = line.decode("ascii").split()
        self.secrets[name] = bytes.fromhex(secret)

    def update(self) -> None:
        """The client changes its key."""
        self.far.sock.sendall(key_update(self.secrets["CLIENT_TRAFFIC_SECRET_0"]))

    def test_key_update(self) -> None:
        """A peer that changes its key is no data, and what is asked of us is done."""
        self.update()
        self.until(lambda: not self.ready())
        self.stream.write(b"with another key")
        self.both(self.far, until=lambda: self.far.heard)
        self.assertEqual((b"with another key", [], ""), (self.far.heard, self.reader.events, self.stream.errno))

    def test_while_full(self) -> None:
        """It is answered between what waits to be sent, in order."""
        self.start(little=True)
        while not self.stream.buffered:
            self.stream.write(b"." * 1000)
        waiting = self.stream.bytes_out + self.stream.buffered
        self.update()
        self.both(self.far, until=lambda: len(self.far.heard) == waiting)
        self.stream.write(b"on")
        self.both(self.far, until=lambda: self.far.heard.endswith(b"on"))
        self.assertEqual((READ, "", []), (self.interest, self.stream.errno, self.reader.events))

    def test_no_room_to_answer(self) -> None:
        """Where there is no room to answer, nobody is busy; it is answered with what is sent next."""
        self.start(little=True)
        try:
            while True:
                self.stream.wire._sock.send(b"." * 1000)
        except BlockingIOError:
            pass
        self.update()
        turns = 0
        while self.ready():
            self.hub.serve()
            turns += 1
            self.assertLess(turns, 10, "busy")
        self.assertEqual(READ, self.interest)
        drain(self.far.sock)
        self.stream.write(b"on")
        self.assertEqual((2, 0), (self.stream.bytes_out, self.stream.buffered))
        self.assertGreater(len(drain(self.far.sock)), 2 * 22)

    def test_renegotiation(self) -> None:
        """TLS 1.2 knows to negotiate again, which is refused."""
        old = SSL.Context(SSL.TLS_CLIENT_METHOD)
        old.set_max_proto_version(SSL.TLS1_2_VERSION)
        self.start(client=Context(old))
        self.far.connection.renegotiate()
        self.assertRaises(SSL.WantReadError, self.far.connection.do_handshake)
        self.settle()
        self.far.step()
        self.assertIn("no renegotiation", str(self.far.error))
        self.assertEqual([], [event for event in self.reader.events if event != "lost"])


class Selecting(Clock):
    """A reactor that tells whoever it is told of, one turn at a time, as select and poll do."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []
        self.writers: list[Any] = []
        self.addReader, self.removeReader = self.readers.append, self.readers.remove
        self.addWriter, self.removeWriter = self.writers.append, self.writers.remove

    def turn(self) -> None:
        """Tell those that are ready."""
        readable, writable, _ = select.select(self.readers, self.writers, [], 0)
        for one in readable:
            one.doRead()
        for one in writable:
            one.doWrite()


class OtherReactorTests(StreamCase):
    """All of this without an epoll of our own."""

    def test_whole(self) -> None:
        """A hello that is looked at in two parts, a handshake, data both ways, and the end."""
        reactor = Selecting()
        hub = ReactorHub(reactor)
        here, there = socket.socketpair()
        self.addCleanup(there.close)
        for sock in (here, there):
            sock.setblocking(False)
        plain = SocketStream(here, hub, Conn(("", 0), ("", 0)))
        hellos: list[Hello | None] = []
        secured: list[TlsStream] = []
        Peek(plain, plain, reactor, hellos.append)
        plain.resume()
        for piece in (USUAL[:50], USUAL[50:]):
            there.sendall(piece)
            for _ in range(5):
                reactor.turn()
                reactor.advance(0.1)
        self.assertEqual([NAME], [one and one.sni for one in hellos])
        plain.abort()

        here, there = socket.socketpair()
        self.addCleanup(there.close)
        for sock in (here, there):
            sock.setblocking(False)
        far = Far(there, ordinary().ssl)
        far.step()
        plain = SocketStream(here, hub, Conn(("", 0), ("", 0)))
        Handshakes(hub, 10.0, 1).accept(plain, frontend(), Hello(NAME)).addCallback(secured.append)
        self.turns(reactor, far, lambda: secured)
        (stream,) = secured
        reader = Recorder()
        stream.attach(reader)
        stream.resume()
        stream.write(b"hello")
        self.turns(reactor, far, lambda: far.heard)
        far.say(b"x" * 100_000)
        self.turns(reactor, far, lambda: len(reader.heard) == 100_000)
        far.connection.shutdown()
        self.turns(reactor, far, lambda: reader.events[-1] == "eof")
        stream.close()
        self.assertEqual(([], []), (reactor.readers, reactor.writers))

    def turns(self, reactor: Selecting, far: Far, until: Callable[[], object]) -> None:
        """Let both go on."""
        for _ in range(1000):
            far.step()
            reactor.turn()
            if until():
                return
        self.fail("nothing happens")
