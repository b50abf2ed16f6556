# -*- test-case-name: tests.protocols.http.h2.test_lane, tests.protocols.http.h2.test_reference -*-
"""
What every engine keeps, promise by promise: L{lproxy.protocols.http.h2.engine}. Mixed into the tests of each.

What floods get stands in L{tests.protocols.http.h2.contract_floods}.

Over 300 lines: one contract, in the order of the interface.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lproxy.protocols.http.h2 import frames as wire
from lproxy.protocols.http.h2.engine import MAXIMUM, PREFACE, UNTOLD_STREAMS, Engine, Handler
from lproxy.protocols.http.h2.faults import (
    CANCEL,
    COMPRESSION_ERROR,
    FIELD,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    LENGTH,
    NO_ERROR,
    PROTOCOL_ERROR,
    PSEUDO,
    REFUSED_STREAM,
    STREAMS,
    TOO_LARGE,
    ConnectionFault,
)
from lproxy.protocols.http.h2.limits import Limits
from tests.protocols.http.h2.harness import ANSWER, POST, REQUEST, Peer, Recorder

Make = Callable[[bool, Handler, Limits, Callable[[], float]], Engine]
LIMITS = Limits()


class EngineTestCase:
    """
    An engine and its peer.

    @cvar make: an engine
    """

    make: Any

    def connect(self, client: bool, limits: Limits = LIMITS, *settings: tuple[int, int]) -> Peer:
        """An engine that is C{client} or server, and its peer, both past their preface."""
        peer = self.fresh(client, limits).begin(*settings)
        self.told.told.clear()
        return peer

    def fresh(self, client: bool, limits: Limits = LIMITS) -> Peer:
        """Both before anything was said."""
        self.now = 0.0
        self.told = Recorder()
        self.engine: Engine = self.make(client, self.told, limits, lambda: self.now)
        return Peer(self.engine, not client)

    def fault(self, peer: Peer, what: Callable[..., Any], *arguments: Any) -> ConnectionFault:
        """What is raised by C{what}: GOAWAY is the last that is written, and the engine is dead."""
        fault = self.assertRaises(ConnectionFault, what, *arguments)
        self.assertEqual(("GOAWAY", fault.code), peer.read()[-1][::2])
        told = len(self.told.told)
        self.engine.receive(wire.frame(wire.PING, 0, 0, bytes(8)))
        self.assertEqual(([], told), (peer.read(), len(self.told.told)))
        return fault


class BeginContract(EngineTestCase):
    """How a connection begins, what is wrong with any, and how it ends."""

    def test_begins(self) -> None:
        """What a connection begins with waits at once: the preface of a client, SETTINGS, the connection's window."""
        for client in (True, False):
            peer = self.fresh(client)
            settings, window = peer.read()
            self.assertEqual("SETTINGS", settings[0])
            self.assertEqual(65_536, settings[1][wire.INITIAL_WINDOW_SIZE])
            self.assertEqual(("WINDOW_UPDATE", 0, 1024 * 1024 - 65_535), window)
            self.assertEqual(b"", self.engine.take())

    def test_split(self) -> None:
        """A preface, SETTINGS and a request that come byte by byte are the same as at once."""
        peer = self.fresh(False)
        block = peer.section(REQUEST)
        said = PREFACE + wire.settings([]) + b"".join(wire.section(1, block, True, 7))
        for at in range(len(said)):
            self.assertTrue(self.engine.unfinished() or at in range(24, 24 + 10))
            self.engine.receive(said[at : at + 1])
        self.assertFalse(self.engine.unfinished())
        self.assertEqual([("headers", 1, b"GET", True)], self.told.named("headers"))

    def test_not_http2(self) -> None:
        """What is no preface, or no SETTINGS behind it, is refused."""
        for said in (
            b"GET / HTTP/1.1\r\n\r\n",
            PREFACE + wire.frame(wire.PING, 0, 0, bytes(8)),
            PREFACE + wire.frame(wire.SETTINGS, wire.ACK, 0, b""),
            PREFACE + wire.frame(wire.HEADERS, 5, 1, b"\x82\x86\x84"),
        ):
            peer = self.fresh(False)
            self.assertEqual(PROTOCOL_ERROR, self.fault(peer, self.engine.receive, said).code)

    def test_acknowledged(self) -> None:
        """SETTINGS and PING are; the acknowledgement of ours is told."""
        for client in (True, False):
            peer = self.connect(client)
            self.assertTrue(self.engine.settled)
            peer.frame(wire.PING, 0, 0, b"12345678")
            peer.frame(wire.SETTINGS, 0, 0)
            self.assertEqual([("PING", True, b"12345678"), ("SETTINGS", "ACK")], peer.read())
            self.assertEqual([("settings",)], self.told.told)
            self.engine.ping(b"abcdefgh")
            self.assertEqual([("PING", False, b"abcdefgh")], peer.read())
            peer.frame(wire.PING, wire.ACK, 0, b"abcdefgh")
            self.assertEqual(("ping_acked", b"abcdefgh"), self.told.told[-1])

    def test_ignored(self) -> None:
        """Unknown frames and settings, PRIORITY, PRIORITY_UPDATE and reserved bits are nothing."""
        peer = self.connect(False)
        for kind in (10, 12, 16, 255):
            peer.frame(kind, 255, 7, b"anything")
            peer.frame(kind, 0, 0)
        peer.frame(wire.PRIORITY, 0, 5, b"\0\0\0\3\7")
        peer.frame(wire.SETTINGS, 0x40, 0, b"\x77\x77\0\0\0\1")
        peer.frame(wire.DATA | 0x20, 0, 1)
        self.assertEqual([("settings",)], self.told.told)
        peer.headers(1, REQUEST, True)
        self.assertEqual(("headers", 1, b"GET", True), self.told.told[-1])

    def test_faults(self) -> None:
        """What a connection cannot go on after is told with the code of RFC 9113, and ends it."""
        good = wire.END_HEADERS | wire.END_STREAM
        for code, *frames in (
            (PROTOCOL_ERROR, (wire.DATA, 0, 0, b"x")),
            (PROTOCOL_ERROR, (wire.DATA, 0, 1, b"x")),
            (PROTOCOL_ERROR, (wire.HEADERS, good, 0, b"\x82\x86\x84")),
            (PROTOCOL_ERROR, (wire.HEADERS, good, 2, b"\x82\x86\x84")),
            (PROTOCOL_ERROR, (wire.HEADERS, 0, 1, b"\x82"), (wire.DATA, 0, 1, b"x")),
            (PROTOCOL_ERROR, (wire.HEADERS, 0, 1, b"\x82"), (wire.CONTINUATION, 4, 3, b"\x86")),
            (PROTOCOL_ERROR, (wire.HEADERS, 0, 1, b"\x82"), (wire.HEADERS, 4, 1, b"\x86")),
            (PROTOCOL_ERROR, (wire.HEADERS, 0, 1, b"\x82"), (99, 0, 0, b"")),
            (PROTOCOL_ERROR, (wire.HEADERS, 0, 1, b"\x82"), (wire.GOAWAY, 0, 0, bytes(8))),
            (PROTOCOL_ERROR, (wire.CONTINUATION, 4, 1, b"\x86")),
            (PROTOCOL_ERROR, (wire.RST_STREAM, 0, 0, bytes(4))),
            (PROTOCOL_ERROR, (wire.RST_STREAM, 0, 1, bytes(4))),
            (FRAME_SIZE_ERROR, (wire.RST_STREAM, 0, 1, bytes(5))),
            (PROTOCOL_ERROR, (wire.SETTINGS, 0, 1, b"")),
            (FRAME_SIZE_ERROR, (wire.SETTINGS, 0, 0, bytes(5))),
            (FRAME_SIZE_ERROR, (wire.SETTINGS, wire.ACK, 0, bytes(6))),
            (PROTOCOL_ERROR, (wire.PUSH_PROMISE, 4, 1, b"\0\0\0\2\x82")),
            (PROTOCOL_ERROR, (wire.PING, 0, 1, bytes(8))),
            (FRAME_SIZE_ERROR, (wire.PING, 0, 0, bytes(7))),
            (PROTOCOL_ERROR, (wire.GOAWAY, 0, 1, bytes(8))),
            (PROTOCOL_ERROR, (wire.WINDOW_UPDATE, 0, 0, bytes(4))),
            (PROTOCOL_ERROR, (wire.WINDOW_UPDATE, 0, 1, b"\0\0\0\1")),
            (FRAME_SIZE_ERROR, (wire.WINDOW_UPDATE, 0, 0, bytes(3))),
            (FLOW_CONTROL_ERROR, (wire.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff")),
            (PROTOCOL_ERROR, (wire.PRIORITY, 0, 0, bytes(5))),
            (PROTOCOL_ERROR, (wire.HEADERS, good | wire.PADDED, 1, b"\5\x82\x86")),
            (FRAME_SIZE_ERROR, (wire.DATA, 0, 1, bytes(16_385))),
            (COMPRESSION_ERROR, (wire.HEADERS, good, 1, b"\xff\xff\xff\xff\xff\xff")),
            (COMPRESSION_ERROR, (wire.HEADERS, good, 1, b"\xbe")),
            (FLOW_CONTROL_ERROR, (wire.SETTINGS, 0, 0, b"\0\4\x80\0\0\0")),
            (PROTOCOL_ERROR, (wire.SETTINGS, 0, 0, b"\0\2\0\0\0\2")),
        ):
            peer = self.connect(False)
            for frame in frames[:-1]:
                peer.frame(*frame)
            self.assertEqual(code, self.fault(peer, peer.frame, *frames[-1]).code, frames)

    def test_before_fault(self) -> None:
        """What came before it in the same read was told."""
        peer = self.fresh(False)
        said = PREFACE + wire.settings([]) + wire.frame(wire.HEADERS, 5, 1, peer.section(REQUEST)) + b"\xff" * 9
        self.assertEqual(FRAME_SIZE_ERROR, self.fault(peer, self.engine.receive, said).code)
        self.assertEqual(1, len(self.told.named("headers")))

    def test_held(self) -> None:
        """A handler that holds is told nothing more until the next receive."""
        peer = self.connect(False)
        self.told.on["headers"] = lambda *_: self.engine.hold()
        said = b"".join([wire.frame(wire.HEADERS, 5, number, peer.section(REQUEST)) for number in (1, 3, 5)])
        self.engine.receive(said + b"\0\0")
        for number in (1, 2, 3):
            self.assertEqual(number, len(self.told.told))
            self.engine.receive(b"")
        self.engine.receive(b"\6\x63" + bytes(5) + b"nobody")
        self.assertEqual(3, len(self.told.told))

    def test_announced(self) -> None:
        """GOAWAY twice: streams on their way are served after the first, and none after the second; open ones go on."""
        peer = self.connect(False)
        self.engine.announce()
        self.assertEqual([("GOAWAY", MAXIMUM, NO_ERROR)], peer.read())
        self.assertFalse(self.engine.retiring)
        peer.headers(1, POST)
        self.engine.goaway(NO_ERROR)
        self.assertEqual([("GOAWAY", 1, NO_ERROR)], peer.read())
        self.assertTrue(self.engine.retiring)
        peer.headers(3, [*POST, (b"a", b"b")])
        peer.data(3, b"x", True)
        peer.data(1, b"y", True)
        self.assertEqual([("headers", 1, b"POST", False), ("data", 1, b"y", True)], self.told.told)
        self.engine.send_headers(1, ANSWER, True)
        self.assertEqual(("HEADERS", 1, True, ANSWER), peer.read()[-1])


class ServerContract(EngineTestCase):
    """Requests and their answers."""

    def test_exchange(self) -> None:
        """A request with a body and trailers; a 103, an answer with a body and trailers."""
        peer = self.connect(False)
        peer.headers(1, POST)
        self.assertEqual((1, 1), (self.engine.streams, self.engine.last_id))
        peer.data(1, b"abc")
        peer.headers(1, [(b"x", b"y")], True)
        self.assertEqual(
            [("headers", 1, b"POST", False), ("data", 1, b"abc", False), ("trailers", 1, [(b"x", b"y")])],
            self.told.told,
        )
        self.engine.send_headers(1, [(b":status", b"103")], False)
        self.engine.send_headers(1, ANSWER, False)
        self.assertEqual(3, self.engine.send_data(1, b"def", False))
        self.engine.send_headers(1, [(b"grpc-status", b"0")], True)
        self.assertEqual(
            [
                ("HEADERS", 1, False, [(b":status", b"103")]),
                ("HEADERS", 1, False, ANSWER),
                ("DATA", 1, False, b"def"),
                ("HEADERS", 1, True, [(b"grpc-status", b"0")]),
            ],
            peer.read(),
        )
        self.assertEqual(0, self.engine.streams)

    def test_answered_early(self) -> None:
        """An answer that ends before the request leaves the stream open, until the rest has come or it is reset."""
        peer = self.connect(False)
        for stream_id in (1, 3):
            peer.headers(stream_id, POST)
            self.engine.send_headers(stream_id, ANSWER, True)
            peer.data(stream_id, b"abc")
        self.assertEqual((2, 2), (self.engine.streams, len(self.told.named("data"))))
        peer.data(1, b"", True)
        self.engine.reset(3, NO_ERROR)
        self.assertEqual(0, self.engine.streams)
        self.assertEqual(("RST_STREAM", 3, NO_ERROR), peer.read()[-1])

    def test_over(self) -> None:
        """What is said of a stream that is over, or never was, is dropped without a word."""
        peer = self.connect(False)
        peer.headers(1, REQUEST, True)
        peer.reset(1, CANCEL)
        self.assertEqual(("stream_reset", 1, CANCEL), self.told.told[-1])
        for stream_id in (1, 3, 4):
            self.engine.send_headers(stream_id, ANSWER, False)
            self.assertEqual(3, self.engine.send_data(stream_id, b"abc", True))
            self.engine.consumed(stream_id, 100_000)
            self.engine.reset(stream_id, CANCEL)
            self.assertEqual(0, self.engine.credit(stream_id))
        self.assertEqual([], peer.read())

    def test_late(self) -> None:
        """What still comes for a stream that we reset is not told, but counts: windows and tables stay right."""
        peer = self.connect(False, Limits(connection_window=65_535))
        peer.headers(1, POST)
        self.engine.reset(1, CANCEL)
        for _ in range(30):
            peer.data(1, bytes(10_000))
        peer.window(1, 10)
        peer.headers(1, [(b"late", b"field")], True)
        self.assertEqual([("headers", 1, b"POST", False)], self.told.told)
        returned = sum(frame[2] for frame in peer.read() if frame[0] == "WINDOW_UPDATE")
        self.assertGreaterEqual(returned, 30 * 10_000 - 65_535)
        peer.headers(3, [*REQUEST, (b"late", b"field")], True)
        self.assertEqual([(b"late", b"field")], self.told.heads[3].fields)

    def test_malformed(self) -> None:
        """A malformed request is reset and told with its reason; the connection and its table live on."""
        peer = self.connect(False)
        upper, missing = [*REQUEST, (b"Upper", b"x")], [*REQUEST[1:], (b"kept", b"x")]
        peer.headers(1, upper)
        peer.headers(3, missing, True)
        self.assertEqual(
            [("refused", 1, PROTOCOL_ERROR, FIELD), ("refused", 3, PROTOCOL_ERROR, PSEUDO)], self.told.told
        )
        self.assertEqual([("RST_STREAM", 1, PROTOCOL_ERROR), ("RST_STREAM", 3, PROTOCOL_ERROR)], peer.read())
        self.assertEqual((0, 3), (self.engine.streams, self.engine.last_id))
        peer.headers(5, [*REQUEST, (b"kept", b"x")], True)
        self.assertEqual(("headers", 5, b"GET", True), self.told.told[-1])

    def test_no_body(self) -> None:
        """A request that says it has a body, and ends, is malformed."""
        peer = self.connect(False)
        peer.headers(1, [*POST, (b"content-length", b"3")], True)
        self.assertEqual([("refused", 1, PROTOCOL_ERROR, LENGTH)], self.told.told)
        peer.headers(3, [*POST, (b"content-length", b"0")], True)
        peer.headers(5, [*POST, (b"content-length", b"3")])
        peer.data(5, b"ab")
        peer.data(5, b"c", True)
        self.assertEqual(("data", 5, b"c", True), self.told.told[-1])

    def test_oversized(self) -> None:
        """Too many fields, or too large ones, can be answered; their tables are kept."""
        peer = self.connect(False)
        for stream_id, fields in (
            (1, [(b"x%d" % number, b"y") for number in range(101)]),
            (3, [(b"x%d" % number, b"y" * 1000) for number in range(40)]),
            (5, [(b"x", b"y" * 33_000)]),
        ):
            block = peer.section([*REQUEST, *fields])
            for frame in wire.section(stream_id, block, True, 16_384):
                self.engine.receive(frame)
            self.assertEqual(("oversized", stream_id, True), self.told.told[-1])
            self.engine.send_headers(stream_id, [(b":status", b"431")], True)
            self.assertEqual([("HEADERS", stream_id, True, [(b":status", b"431")])], peer.read())
        peer.headers(7, [*REQUEST, (b"x100", b"y")], True)
        self.assertEqual([(b"x100", b"y")], self.told.heads[7].fields)

    def test_large_trailers(self) -> None:
        """Trailers that are too large cost the stream."""
        peer = self.connect(False)
        peer.headers(1, POST)
        peer.headers(1, [(b"x%d" % number, b"y") for number in range(101)], True)
        self.assertEqual(("refused", 1, PROTOCOL_ERROR, TOO_LARGE), self.told.told[-1])
        self.assertEqual(0, self.engine.streams)

    def test_streams(self) -> None:
        """One more than the limit is refused, one by one, and the next is served when there is room again."""
        peer = self.connect(False, Limits(streams=2))
        for stream_id in (1, 3, 5):
            peer.headers(stream_id, [*REQUEST, (b"x", b"%d" % stream_id)], True)
        self.assertEqual(("refused", 5, REFUSED_STREAM, STREAMS), self.told.told[-1])
        self.assertEqual([("RST_STREAM", 5, REFUSED_STREAM)], peer.read())
        self.engine.send_headers(1, ANSWER, True)
        peer.headers(7, [*REQUEST, (b"x", b"5")], True)
        self.assertEqual([(b"x", b"5")], self.told.heads[7].fields)

    def test_connection_credit(self) -> None:
        """One stream that nobody consumes keeps its own credit, never the connection's."""
        peer = self.connect(False, Limits(connection_window=100_000))
        for stream_id in (1, 3, 5, 7):
            peer.headers(stream_id, POST)
            for _ in range(4):
                peer.data(stream_id, bytes(16_384))
        self.assertEqual(16, len(self.told.named("data")))
        self.assertEqual({0}, {frame[1] for frame in peer.read()})
        self.engine.consumed(3, 65_536)
        self.assertEqual([("WINDOW_UPDATE", 3, 65_536)], peer.read())
        peer.data(3, bytes(16_384))
        self.assertEqual(17, len(self.told.named("data")))

    def test_padding(self) -> None:
        """Padding is no data, and its credit comes back by itself."""
        peer = self.connect(False)
        peer.headers(1, POST)
        for _ in range(1000):
            peer.frame(wire.DATA, wire.PADDED, 1, b"\xffx" + bytes(255))
            self.engine.consumed(1, 1)
        self.assertEqual([("data", 1, b"x", False)] * 1000, self.told.named("data"))
        returned = sum(frame[2] for frame in peer.read() if frame[1] == 1)
        self.assertGreater(returned, 1000 * 257 - 65_536)
        peer.frame(wire.DATA, wire.PADDED | wire.END_STREAM, 1, b"\0")
        self.assertEqual(("data", 1, b"", True), self.told.told[-1])

    def test_connection_overdrawn(self) -> None:
        """More than the connection's window ends it."""
        peer = self.connect(False, Limits(stream_window=1 << 20, connection_window=1 << 16, streams=5))
        peer.headers(1, POST)
        said = b"".join([wire.frame(wire.DATA, 0, 1, bytes(16_384)) for _ in range(3)])
        self.engine.receive(said)
        self.assertEqual(3, len(self.told.named("data")))
        peer.read()
        # half was returned at 32 KiB; what follows is more than that
        self.engine.receive(said)

    def test_credit(self) -> None:
        """What may be sent is the smaller of two windows, and what is left is told as they grow."""
        peer = self.connect(False, LIMITS, (wire.INITIAL_WINDOW_SIZE, 10))
        peer.headers(1, REQUEST, True)
        peer.headers(3, REQUEST, True)
        self.engine.send_headers(1, ANSWER, False)
        self.assertEqual((10, 65_535), (self.engine.credit(1), self.engine.credit(0)))
        self.assertEqual(10, self.engine.send_data(1, bytes(12), True))
        self.assertEqual(0, self.engine.send_data(1, bytes(2), True))
        peer.window(1, 5)
        self.assertEqual(("window", 1), self.told.told[-1])
        self.assertEqual(2, self.engine.send_data(1, bytes(2), True))
        self.assertEqual([("DATA", 1, False, bytes(10)), ("DATA", 1, True, bytes(2))], _data(peer.read()))
        self.assertEqual(65_523, self.engine.credit(0))

    def test_connection_window(self) -> None:
        """Without credit of the connection nothing is sent on any stream; an end without data is."""
        peer = self.connect(False, LIMITS, (wire.INITIAL_WINDOW_SIZE, 100_000))
        for stream_id in (1, 3, 5):
            peer.headers(stream_id, REQUEST, True)
            self.engine.send_headers(stream_id, ANSWER, False)
        self.assertEqual(65_535, self.engine.send_data(1, bytes(100_000), True))
        self.assertEqual(
            (0, 0, 0), (self.engine.credit(0), self.engine.credit(3), self.engine.send_data(3, b"x", True))
        )
        self.assertEqual(0, self.engine.send_data(5, b"", True))
        self.assertEqual(2, self.engine.streams)
        self.assertEqual(("DATA", 5, True, b""), peer.read()[-1])
        peer.window(0, 7)
        self.assertEqual(("window", 0), self.told.told[-1])
        self.assertEqual(7, self.engine.send_data(3, bytes(10), True))

    def test_window_shrinks(self) -> None:
        """SETTINGS in mid-flight may take a window below nothing; it is made up for before anything is sent."""
        peer = self.connect(False)
        peer.headers(1, REQUEST, True)
        self.engine.send_headers(1, ANSWER, False)
        self.assertEqual(1000, self.engine.send_data(1, bytes(1000), False))
        self.engine.receive(wire.settings([(wire.INITIAL_WINDOW_SIZE, 900)]))
        self.assertEqual((900, 0), (self.engine.peer_window, self.engine.credit(1)))
        peer.window(1, 100)
        self.assertEqual(0, self.engine.send_data(1, b"x", False))
        peer.window(1, 3)
        self.assertEqual(3, self.engine.send_data(1, bytes(5), False))
        self.told.told.clear()
        self.engine.receive(wire.settings([(wire.INITIAL_WINDOW_SIZE, 910)]))
        self.assertEqual([("settings",), ("window", 0)], self.told.told)
        self.assertEqual(10, self.engine.credit(1))

    def test_frame_size(self) -> None:
        """Nothing is longer than the peer takes."""
        peer = self.connect(False, LIMITS, (wire.MAX_FRAME_SIZE, 20_000))
        peer.headers(1, REQUEST, True)
        self.engine.send_headers(1, [*ANSWER, *((b"x%d" % n, b"y" * 900) for n in range(60))], False)
        self.engine.send_data(1, bytes(50_000), True)
        sizes, end = [], 0
        data = self.engine.take()
        while end < len(data):
            size = int.from_bytes(data[end : end + 3], "big")
            sizes.append(size)
            end += 9 + size
        self.assertEqual(20_000, max(sizes))

    def test_ids_end(self) -> None:
        """A client whose stream ids near their end is to be told to go, in time."""
        peer = self.connect(False)
        peer.headers(2**31 - 4001, REQUEST, True)
        self.assertFalse(self.engine.retiring)
        peer.headers(2**31 - 101, REQUEST, True)
        self.assertTrue(self.engine.retiring)
        self.assertEqual(2, len(self.told.named("headers")))

    def test_connect_protocol(self) -> None:
        """Extended CONNECT is announced, and taken where it is."""
        fields = [(b":method", b"CONNECT"), *REQUEST[1:], (b":protocol", b"websocket")]
        for known in (True, False):
            peer = self.fresh(False, Limits(connect_protocol=known))
            self.assertEqual(known, wire.ENABLE_CONNECT_PROTOCOL in peer.read()[0][1])
            peer.begin().headers(1, fields)
            self.assertEqual("headers" if known else "refused", self.told.told[-1][0])

    def test_client_leaves(self) -> None:
        """A client's GOAWAY is told; its streams go on."""
        peer = self.connect(False)
        peer.headers(1, REQUEST, True)
        self.engine.receive(wire.goaway(0, CANCEL, b"bye"))
        self.assertEqual(("goaway", 0, CANCEL, b"bye"), self.told.told[-1])
        self.engine.send_headers(1, ANSWER, True)
        self.assertEqual([("HEADERS", 1, True, ANSWER)], peer.read())


class ClientContract(EngineTestCase):
    """Requests of ours."""

    def ask(self, fields: Any = REQUEST, end: bool = True) -> int:
        """Send a request."""
        return self.engine.request(fields, end)

    def test_exchange(self) -> None:
        """Odd ids in order; a 103, an answer, its body and trailers."""
        peer = self.connect(True)
        self.assertEqual((1, 3), (self.ask(POST, False), self.ask()))
        self.engine.send_data(1, b"abc", False)
        self.engine.send_headers(1, [(b"x", b"y")], True)
        self.assertEqual(
            [
                ("HEADERS", 1, False, POST),
                ("HEADERS", 3, True, REQUEST),
                ("DATA", 1, False, b"abc"),
                ("HEADERS", 1, True, [(b"x", b"y")]),
            ],
            peer.read(),
        )
        peer.headers(1, [(b":status", b"103"), (b"link", b"x")])
        peer.headers(1, ANSWER)
        peer.data(1, b"def")
        peer.headers(1, [(b"grpc-status", b"0")], True)
        self.assertEqual(
            [
                ("headers", 1, 103, False),
                ("headers", 1, 200, False),
                ("data", 1, b"def", False),
                ("trailers", 1, [(b"grpc-status", b"0")]),
            ],
            self.told.told,
        )
        self.assertEqual(1, self.engine.streams)

    def test_available(self) -> None:
        """Streams up to what the peer allows, which it may lower while more are open."""
        peer = self.fresh(True)
        self.assertEqual(UNTOLD_STREAMS, self.engine.available())
        peer.begin((wire.MAX_CONCURRENT_STREAMS, 2))
        self.assertEqual(2, self.engine.available())
        self.assertEqual((1, 3), (self.ask(), self.ask()))
        self.assertEqual(0, self.engine.available())
        self.engine.receive(wire.settings([(wire.MAX_CONCURRENT_STREAMS, 1)]))
        peer.headers(1, ANSWER, True)
        self.assertEqual(0, self.engine.available())
        peer.headers(3, ANSWER, True)
        self.assertEqual(1, self.engine.available())
        self.assertEqual(MAXIMUM, (self.connect(True), self.engine.peer_streams)[1])

    def test_no_body(self) -> None:
        """Answers to HEAD, 204 and 304 end whatever length they say, and have no DATA but an empty one."""
        peer = self.connect(True)
        length = (b"content-length", b"5")
        head = [(b":method", b"HEAD"), *REQUEST[1:]]
        for fields, status in ((head, b"200"), (REQUEST, b"204"), (REQUEST, b"304")):
            stream_id = self.ask(fields)
            peer.headers(stream_id, [(b":status", status), length], True)
            self.assertEqual(("headers", stream_id, int(status), True), self.told.told[-1])
        stream_id = self.ask(head)
        peer.headers(stream_id, [*ANSWER, length])
        peer.data(stream_id, b"", True)
        self.assertEqual(("data", stream_id, b"", True), self.told.told[-1])

    def test_missing_body(self) -> None:
        """An answer that ends before the body that it says it has is malformed."""
        peer = self.connect(True)
        peer.headers(self.ask(), [*ANSWER, (b"content-length", b"5")], True)
        self.assertEqual([("refused", 1, PROTOCOL_ERROR, LENGTH)], self.told.told)
        self.assertEqual(("RST_STREAM", 1, PROTOCOL_ERROR), peer.read()[-1])

    def test_malformed(self) -> None:
        """A malformed answer costs its stream alone."""
        peer = self.connect(True)
        self.ask()
        self.ask()
        peer.headers(1, [*ANSWER, (b"connection", b"close")])
        peer.headers(3, ANSWER, True)
        self.assertEqual([("refused", 1, PROTOCOL_ERROR, FIELD), ("headers", 3, 200, True)], self.told.told)

    def test_tunnel(self) -> None:
        """A 2xx to CONNECT opens a stream of bytes both ways, whatever length it says."""
        peer = self.connect(True)
        stream_id = self.ask([(b":method", b"CONNECT"), (b":authority", b"db:1")], False)
        peer.headers(stream_id, ANSWER)
        self.engine.send_data(stream_id, b"abc", False)
        peer.data(stream_id, b"def", True)
        self.assertEqual(("data", stream_id, b"def", True), self.told.told[-1])
        self.assertEqual(1, self.engine.streams)
        self.engine.send_data(stream_id, b"", True)
        self.assertEqual(0, self.engine.streams)

    def test_goaway(self) -> None:
        """Streams that were not processed are over without a word more, those before go on, and none is opened."""
        peer = self.connect(True)
        for _ in range(3):
            self.ask()
        peer.read()
        self.engine.receive(wire.goaway(1, NO_ERROR, b"restart"))
        self.assertEqual([("goaway", 1, NO_ERROR, b"restart")], self.told.told)
        self.assertEqual((1, 0, True), (self.engine.streams, self.engine.available(), self.engine.retiring))
        self.engine.reset(3, CANCEL)
        self.assertEqual([], peer.read())
        peer.headers(1, ANSWER, True)
        self.assertEqual(("headers", 1, 200, True), self.told.told[-1])

    def test_reset(self) -> None:
        """The peer's reset is told with its code, whatever that is; ours are final."""
        peer = self.connect(True)
        self.ask()
        self.ask()
        peer.reset(1, REFUSED_STREAM)
        self.assertEqual([("stream_reset", 1, REFUSED_STREAM)], self.told.told)
        self.engine.reset(3, CANCEL)
        self.assertEqual(("RST_STREAM", 3, CANCEL), peer.read()[-1])
        peer.headers(3, [*ANSWER, (b"late", b"field")])
        peer.data(3, b"x", True)
        peer.reset(3, CANCEL)
        self.assertEqual(1, len(self.told.told))
        stream_id = self.ask()
        peer.headers(stream_id, [*ANSWER, (b"late", b"field")], True)
        self.assertEqual([(b"late", b"field")], self.told.heads[stream_id].fields)

    def test_unknown_code(self) -> None:
        """A code that nobody knows is passed on as a number."""
        peer = self.connect(True)
        self.ask()
        peer.reset(1, 0xDEAD)
        self.assertEqual([("stream_reset", 1, 0xDEAD)], self.told.told)

    def test_pushed(self) -> None:
        """Nothing is pushed to us."""
        for frame in (
            (wire.PUSH_PROMISE, wire.END_HEADERS, 1, b"\0\0\0\2\x82"),
            (wire.HEADERS, wire.END_HEADERS, 2, b"\x88"),
            (wire.HEADERS, wire.END_HEADERS, 3, b"\x88"),
            (wire.SETTINGS, 0, 0, b"\0\2\0\0\0\1"),
        ):
            peer = self.connect(True)
            self.ask()
            self.assertEqual(PROTOCOL_ERROR, self.fault(peer, peer.frame, *frame).code)

    def test_peer_settings(self) -> None:
        """What the peer knows and takes can be read."""
        self.connect(True, LIMITS, (wire.ENABLE_CONNECT_PROTOCOL, 1), (wire.MAX_HEADER_LIST_SIZE, 5000))
        self.assertEqual((True, 5000), (self.engine.peer_connect_protocol, self.engine.peer_header_list))

    def test_many_answers(self) -> None:
        """Bodies that nobody consumes: as many bytes as the streams' windows have; then each waits for its own."""
        peer = self.connect(True)
        streams = [self.ask() for _ in range(50)]
        for stream_id in streams:
            peer.headers(stream_id, ANSWER)
            for _ in range(4):
                peer.data(stream_id, bytes(16_384))
        self.assertEqual(50 * 65_536, sum(len(call[2]) for call in self.told.named("data")))
        self.assertEqual({0}, {frame[1] for frame in peer.read() if frame[0] == "WINDOW_UPDATE"})


def _data(frames: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [frame for frame in frames if frame[0] == "DATA"]
