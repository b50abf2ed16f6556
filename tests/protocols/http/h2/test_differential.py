# -*- test-case-name: tests.protocols.http.h2.test_differential -*-
"""
The lane against the h2 library, in both roles: the same bytes are told alike, and refused alike.

Intended differences, besides words and what each sends to say the same (when WINDOW_UPDATE goes, HPACK's choices).
Where h2 ends the connection, and so its L{Reference<lproxy.protocols.http.h2.reference>}, the lane

  - resets the stream for DATA of another length than C{content-length}, and for one that is no number or is there
    twice; for DATA before an answer's head; for trailers or a 1xx that end, or do not end, the stream; for HEADERS and
    DATA behind END_STREAM; for what depends on itself; for WINDOW_UPDATE of nothing and DATA over a stream's window;
  - ignores what comes for a stream that was reset or ended, or resets it again, where h2 may take it for a fault;
  - ignores the reserved bit of WINDOW_UPDATE, and takes a window that would be too large for a stream that is over;
  - says FRAME_SIZE_ERROR or PROTOCOL_ERROR of a frame that is wrong in two ways, where h2 says the other.

So: as long as neither has found a fault, or refused a stream, they have been told the same; whatever the reference is
told, the lane is told too; and what is a connection's fault to the lane is never told by the reference as if nothing
were wrong. Whatever comes, nothing is raised but L{ConnectionFault}.
"""

from __future__ import annotations

from typing import Any

from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2 import frames as wire
from lproxy.protocols.http.h2.engine import PREFACE, Engine
from lproxy.protocols.http.h2.faults import FLOW_CONTROL_ERROR, ConnectionFault
from lproxy.protocols.http.h2.lane import Lane
from lproxy.protocols.http.h2.limits import Limits
from lproxy.protocols.http.h2.reference import Reference
from tests.protocols.http.h2.harness import ANSWER, POST, REQUEST, Recorder

FIELDS = st.lists(
    st.sampled_from(
        [
            (b"a", b"b"),
            (b"x-long", b"y" * 50),
            (b"content-length", b"3"),
            (b"cookie", b"a=1"),
            (b"te", b"trailers"),
            (b"set-cookie", b"c"),
        ]
    ),
    max_size=3,
    unique=True,
)
#: and what no well-formed section has
WRONG = st.sampled_from(
    [
        (b"A", b"b"),
        (b"a", b"b\n"),
        (b"connection", b"close"),
        (b":path", b"/"),
        (b"te", b"gzip"),
        (b"", b""),
        (b":", b""),
    ]
)
#: which of the streams that are open, counted from the first
OPEN = st.integers(0, 3)
IDS = st.sampled_from([1, 3, 5, 7, 2, 0])
PIECES = st.sampled_from([b"", b"abc", b"x" * 1000])
GOOD = st.one_of(
    st.tuples(st.just("open"), st.booleans(), FIELDS),
    st.tuples(st.just("open"), st.just(False), st.just([])),
    st.tuples(st.just("data"), OPEN, PIECES, st.booleans(), st.booleans()),
    st.tuples(st.just("data"), OPEN, st.just(b"abc"), st.booleans(), st.just(False)),
    st.tuples(st.just("trailers"), OPEN),
    st.tuples(st.just("reset"), OPEN),
    st.tuples(st.just("window"), IDS.filter(lambda n: n < 2), st.sampled_from([1, 1000])),
    st.tuples(st.just("settings"), st.sampled_from([1, 3, 4, 6, 99]), st.sampled_from([0, 1, 20_000, 2**30])),
    st.tuples(st.just("ping"), st.booleans()),
    st.tuples(st.just("priority"), IDS.filter(bool)),
)
WILD = st.one_of(
    st.tuples(st.just("malformed"), st.booleans(), WRONG),
    st.tuples(st.just("settings"), st.integers(0, 9), st.sampled_from([0, 1, 20_000, 2**31])),
    st.tuples(st.just("goaway"), IDS),
    st.tuples(st.just("window"), IDS, st.sampled_from([1, 2**31 - 1])),
    st.tuples(st.just("frame"), st.integers(0, 11), st.integers(0, 255), IDS, st.binary(max_size=12)),
    st.tuples(st.just("frame"), st.just(wire.DATA), st.integers(0, 1), IDS, st.just(b"late")),
    st.tuples(st.just("frame"), st.just(wire.HEADERS), st.integers(4, 5), IDS, st.just(b"\0\1a\1b")),
    st.tuples(st.just("frame"), st.just(wire.RST_STREAM), st.just(0), IDS, st.just(bytes(4))),
)
STEPS = st.lists(st.integers(0, 12).flatmap(lambda n: GOOD if n else WILD), min_size=1, max_size=25)
#: where bytes are changed, and to what
CHANGES = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4)
FAULT = "fault"


def written(steps: list[Any], client: bool) -> bytes:
    """The bytes of C{steps}, by a client or a server: streams in order, their first section a head."""
    encoder = Encoder()
    out = [PREFACE if client else b"", wire.settings([]), wire.frame(wire.SETTINGS, wire.ACK, 0, b"")]
    last = -1
    opened: list[int] = []
    for name, *rest in steps:
        if name in ("data", "trailers", "reset"):
            if not opened:
                continue
            stream_id = opened[rest[0] % len(opened)]
            end = True
            if name == "data":
                _, data, end, padded = rest
                flags = (wire.END_STREAM if end else 0) | (wire.PADDED if padded else 0)
                out.append(wire.frame(wire.DATA, flags, stream_id, b"\3" + data + bytes(3) if padded else data))
            elif name == "reset":
                out.append(wire.reset(stream_id, 8))
            else:
                out += wire.section(stream_id, encoder.encode([(b"grpc-status", b"0")]), True, 5)
            if end:
                opened.remove(stream_id)
        elif name in ("open", "malformed"):
            last += 2
            end, fields = rest[0], rest[1] if name == "open" else [rest[1]]
            if not end:
                opened.append(last)
            head = (REQUEST if end else POST) if client else ANSWER
            out += wire.section(last, encoder.encode([*head, *fields]), end, 40)
        elif name == "window":
            out.append(wire.window_update(*rest))
        elif name == "settings":
            out.append(wire.settings([(rest[0], rest[1])]))
        elif name == "ping":
            out.append(wire.frame(wire.PING, wire.ACK if rest[0] else 0, 0, b"12345678"))
        elif name == "priority":
            out.append(wire.frame(wire.PRIORITY, 0, rest[0], b"\0\0\0\x09\1"))
        elif name == "goaway":
            out.append(wire.goaway(rest[0], 0, b""))
        else:
            out.append(wire.frame(*rest))
    return b"".join(out)


class DifferentialTests(SynchronousTestCase):
    """One stream of bytes, two engines."""

    def started(self, make: Any, client: bool) -> tuple[Engine, Recorder]:
        """An engine, with requests under way if it is a client."""
        told = Recorder()
        engine: Engine = make(client, told, Limits(), lambda: 0.0)
        if client:
            for number in range(20):
                engine.request(POST if number % 2 else REQUEST, number % 2 == 0)
        return engine, told

    def run_both(self, data: bytes, client: bool) -> None:
        """Both are shown C{data}, frame by frame; all that the docstring says holds after each."""
        (lane, ours), (reference, theirs) = self.started(Lane, client), self.started(Reference, client)
        begin = b"" if client else PREFACE
        pieces = [begin] if data.startswith(begin) else [data]
        if data.startswith(begin):
            rest = data[len(begin) :]
            at = 0
            while at < len(rest):
                size = 9 + int.from_bytes(rest[at : at + 3], "big")
                pieces.append(rest[at : at + size])
                at += size
        for piece in pieces:
            if not self.same(self.shown(lane, ours, piece), self.shown(reference, theirs, piece), piece):
                break
        # alone, they go on until they find a fault, whatever comes
        for engine, told in ((lane, ours), (reference, theirs)):
            self.shown(engine, told, data)

    def shown(self, engine: Engine, told: Recorder, piece: bytes) -> list[Any]:
        """What is told of C{piece}."""
        before = len(told.told)
        fault: list[Any] = []
        try:
            engine.receive(piece)
        except ConnectionFault as error:
            fault = [(FAULT, error.code)]
        engine.take()
        # h2 tells of every growth, the lane of those from nothing
        return [call for call in told.told[before:] if call[0] != "window"] + fault

    def same(self, ours: list[Any], theirs: list[Any], piece: bytes) -> bool:
        """Whether they go on together."""
        if ours == theirs:
            return not any(call[0] in (FAULT, "refused") for call in ours)
        names = [{call[0] for call in calls} for calls in (ours, theirs)]
        if FAULT in names[0]:
            # no fault that h2 does not find at least something wrong with
            self.assertTrue({FAULT, "refused", "stream_reset"} & names[1] or not theirs, (ours, theirs, piece))
            return False
        # h2 ends the connection; the lane refuses the stream, or has none to refuse
        self.assertIn(FAULT, names[1], (ours, theirs, piece))
        late = not ours and piece[3] in (wire.DATA, wire.HEADERS, wire.CONTINUATION)
        reserved = not ours and piece[3] == wire.WINDOW_UPDATE and piece[9] & 0x80
        window = ours == [("settings",)] and theirs[-1] == (FAULT, FLOW_CONTROL_ERROR)
        self.assertTrue("refused" in names[0] or late or reserved or window, (ours, theirs, piece))
        return False

    @settings(max_examples=300)
    @given(STEPS, st.booleans())
    def test_steps(self, steps: list[Any], client: bool) -> None:
        """Frames in random order."""
        self.run_both(written(steps, not client), client)

    @settings(max_examples=300)
    @given(STEPS, CHANGES, st.booleans())
    def test_mutated(self, steps: list[Any], changes: list[tuple[int, int]], client: bool) -> None:
        """The same with some bytes changed."""
        data = bytearray(written(steps, not client))
        for at, byte in changes:
            data[at % len(data)] = byte
        self.run_both(bytes(data), client)

    @given(st.binary(max_size=100), st.booleans())
    def test_anything(self, data: bytes, client: bool) -> None:
        """Anything at all, behind a good beginning."""
        self.run_both(written([], not client) + data, client)

    @settings(max_examples=50)
    @given(STEPS, st.booleans())
    def test_pieces(self, steps: list[Any], client: bool) -> None:
        """However bytes come, at once or one by one, the lane is told the same, its fault included."""
        data = written(steps, not client)
        whole, slow = self.started(Lane, client), self.started(Lane, client)
        wanted = self.shown(*whole, data)
        got: list[Any] = []
        for at in range(len(data)):
            got += self.shown(*slow, data[at : at + 1])
        joined = [call for call in got if call[0] != FAULT] + [call for call in got if call[0] == FAULT][:1]
        self.assertEqual(wanted, joined)
