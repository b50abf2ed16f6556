# -*- test-case-name: tests.protocols.http.h2.test_lane, tests.protocols.http.h2.test_differential -*-
"""
Our HTTP/2 engine (RFC 9113): frames are taken one by one from what was read, and go straight to the handler.

What is an error of a stream resets it and leaves the others alone; the rest is a L{ConnectionFault}. Where RFC 9113
leaves the choice, it is the stream's, for a connection is shared by many exchanges.

Over 300 lines: the frames of one connection have one state.
"""

from __future__ import annotations

from collections.abc import Callable

from lproxy.protocols.http.h2 import frames as wire
from lproxy.protocols.http.h2.engine import (
    MAXIMUM,
    NO_LENGTH,
    PREFACE,
    SPARE_IDS,
    UNTOLD_STREAMS,
    Engine,
    Handler,
)
from lproxy.protocols.http.h2.faults import (
    FLOW,
    FLOW_CONTROL_ERROR,
    FRAME,
    FRAME_SIZE_ERROR,
    LENGTH,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    STREAMS,
    TOO_LARGE,
    ConnectionFault,
    StreamFault,
)
from lproxy.protocols.http.h2.flow import DEFAULT, Flow, StreamState
from lproxy.protocols.http.h2.framing import FrameReader
from lproxy.protocols.http.h2.guard import Guard, flood
from lproxy.protocols.http.h2.limits import Limits
from lproxy.protocols.http.h2.nobody import NOBODY
from lproxy.protocols.http.h2.outbox import Outbox
from lproxy.protocols.http.h2.sections import Sections
from lproxy.protocols.http.h2.settings import learn
from lproxy.protocols.http.h2.table import StreamTable
from lproxy.protocols.http.message import Headers


class Lane(Engine):
    """
    One end of a connection.

    @ivar _accepted: the highest stream of the peer's that is not ignored
    @ivar _acknowledged: whether the peer has seen our SETTINGS
    @ivar _window: what the peer may send on a new stream, as far as it has acknowledged
    """

    __slots__ = (
        "_accepted",
        "_acknowledged",
        "_client",
        "_dead",
        "_flow",
        "_guard",
        "_handler",
        "_held",
        "_limits",
        "_next_id",
        "_outbox",
        "_reader",
        "_sections",
        "_table",
        "_window",
    )

    def __init__(self, client: bool, handler: Handler, limits: Limits, seconds: Callable[[], float]) -> None:
        self.peer_streams = UNTOLD_STREAMS
        self.peer_connect_protocol = False
        self.peer_window = DEFAULT
        self.peer_frame = wire.FRAME_SIZE
        self.peer_header_list = MAXIMUM
        self.settled = False
        self.streams = 0
        self.last_id = 0
        self.retiring = False
        self._client = client
        self._handler: Handler = handler
        self._limits = limits
        self._guard = Guard(limits, seconds)
        self._reader = FrameReader(b"" if client else PREFACE)
        self._sections = Sections(client, limits, self._guard)
        self._table = StreamTable()
        self._flow = Flow(DEFAULT, max(limits.connection_window, DEFAULT))
        self._outbox = Outbox(self._guard, self._flow)
        self._window = DEFAULT
        self._accepted = MAXIMUM
        self._next_id = 1
        self._acknowledged = False
        self._held = False
        self._dead = False
        self._outbox.begin(client, limits)

    # what comes

    def receive(self, data: bytes) -> None:
        """See L{Engine}."""
        if self._dead:
            return
        self._held = False
        reader, guard = self._reader, self._guard
        self._outbox.check()
        try:
            reader.feed(data)
            while not self._held and reader.next():
                try:
                    self._frame(reader.kind, reader.flags, reader.stream_id, reader.payload)
                except StreamFault as wrong:
                    self._refuse(reader.stream_id, wrong)
                if guard.exceeded:
                    raise flood(guard.exceeded)
        except ConnectionFault as fault:
            self._dead = True
            self._outbox.send(wire.goaway(min(self.last_id, self._accepted), fault.code, fault.detail.encode()))
            raise

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        sections = self._sections
        if sections.stream_id and (kind != wire.CONTINUATION or stream_id != sections.stream_id):
            raise ConnectionFault(PROTOCOL_ERROR, FRAME, f"frame {kind} within a field section")
        if not self.settled and (kind != wire.SETTINGS or flags & wire.ACK):
            raise ConnectionFault(PROTOCOL_ERROR, FRAME, f"frame {kind} before SETTINGS")
        if kind == wire.DATA:
            self._data(flags, stream_id, payload)
        elif kind == wire.HEADERS:
            if not stream_id & 1:
                raise ConnectionFault(PROTOCOL_ERROR, FRAME, f"HEADERS on stream {stream_id}")
            if sections.headers(flags, stream_id, payload):
                self._section(stream_id)
        elif kind == wire.CONTINUATION:
            if not sections.stream_id:
                raise ConnectionFault(PROTOCOL_ERROR, FRAME, "CONTINUATION of nothing")
            if sections.continuation(flags, payload):
                self._section(stream_id)
        elif kind == wire.WINDOW_UPDATE:
            self._window_update(stream_id, wire.read_word(payload, "WINDOW_UPDATE") & wire.IDS)
        elif kind == wire.RST_STREAM:
            self._rst_stream(stream_id, wire.read_word(payload, "RST_STREAM"))
        elif kind == wire.PRIORITY:
            self._priority(stream_id, payload)
        elif kind == wire.PUSH_PROMISE:
            raise ConnectionFault(PROTOCOL_ERROR, FRAME, "PUSH_PROMISE, which nobody has allowed")
        elif kind == wire.SETTINGS or kind == wire.PING or kind == wire.GOAWAY:
            if stream_id:
                raise ConnectionFault(PROTOCOL_ERROR, FRAME, f"frame {kind} on stream {stream_id}")
            if kind == wire.SETTINGS:
                self._settings(flags, payload)
            elif kind == wire.PING:
                self._ping(flags, payload)
            else:
                self._goaway(payload)

    def _data(self, flags: int, stream_id: int, payload: bytes) -> None:
        flow = len(payload)
        increment = self._flow.passed(flow)
        if increment:
            if increment < 0:
                raise ConnectionFault(FLOW_CONTROL_ERROR, FLOW, "more DATA than the connection's window")
            self._outbox.send(wire.window_update(0, increment))
        if flags & wire.PADDED:
            payload = wire.unpadded(payload, "DATA")
        size = len(payload)
        end = flags & wire.END_STREAM != 0
        if size:
            self._guard.empties = 0
        elif not end:
            self._guard.empty()
        stream = self._table.open.get(stream_id)
        if stream is None:
            self._table.not_idle(stream_id, "DATA")
            if not self._table.was_reset(stream_id) and stream_id <= self._accepted:
                self._send_reset(stream_id, STREAM_CLOSED, True)
            return
        if stream.peer_ended:
            raise StreamFault(STREAM_CLOSED, FRAME, "DATA behind END_STREAM")
        if not stream.used(flow):
            raise StreamFault(FLOW_CONTROL_ERROR, FLOW, "more DATA than the stream's window")
        if not stream.headed:
            raise StreamFault(PROTOCOL_ERROR, FRAME, "DATA before a head")
        if stream.left != NO_LENGTH:
            stream.left -= size
            if stream.left < 0 or (end and stream.left):
                raise StreamFault(PROTOCOL_ERROR, LENGTH, "DATA of another length than was said")
        if end:
            self._peer_ended(stream)
        elif flow > size:
            increment = stream.returned(flow - size)
            if increment:
                self._outbox.send(wire.window_update(stream_id, increment))
        self._handler.data(stream_id, payload, end)

    def _section(self, stream_id: int) -> None:
        """A field section is complete."""
        sections, table = self._sections, self._table
        stream = table.open.get(stream_id)
        if stream is not None:
            if stream.headed:
                self._trailers(stream)
            else:
                self._answer(stream)
        elif not self._client and stream_id > table.highest:
            table.highest = stream_id
            self._request(stream_id)
        elif self._client or table.was_reset(stream_id):
            table.not_idle(stream_id, "HEADERS")
            sections.skip()
        else:
            raise ConnectionFault(STREAM_CLOSED, FRAME, f"HEADERS on stream {stream_id}, which is closed")

    def _request(self, stream_id: int) -> None:
        """A request's head has come, on a new stream."""
        sections = self._sections
        self._guard.opened += 1
        if stream_id > self._accepted:
            sections.skip()
            return
        self.last_id = stream_id
        if stream_id > MAXIMUM - 2 * SPARE_IDS:
            self.retiring = True
        if self.streams >= self._limits.streams:
            sections.skip()
            # before it has seen our SETTINGS it cannot know
            self._send_reset(stream_id, REFUSED_STREAM, self._acknowledged)
            self._handler.refused(stream_id, REFUSED_STREAM, STREAMS, f"more than {self._limits.streams} streams")
            return
        stream = StreamState(stream_id, self.peer_window, self._window)
        stream.headed = True
        stream.peer_ended = sections.end
        self._table.add(stream)
        self.streams += 1
        try:
            head = sections.head()
        except StreamFault as fault:
            if fault.reason != TOO_LARGE:
                raise
            self._handler.oversized(stream_id, sections.end)
            return
        stream.left = head.length
        if sections.end or sections.own_parent:
            self._check_end(stream)
        self._handler.headers(stream_id, head, sections.end)

    def _answer(self, stream: StreamState) -> None:
        """An answer's head has come, or a 1xx before it."""
        sections = self._sections
        head = sections.head()
        status = head.status
        if status >= 200:
            stream.headed = True
            if stream.method == b"HEAD" or status == 204 or status == 304:
                stream.left = 0
            elif stream.method != b"CONNECT" or status >= 300:
                stream.left = head.length
        elif sections.end:
            raise StreamFault(PROTOCOL_ERROR, FRAME, f"{status} that ends the stream")
        if sections.end or sections.own_parent:
            self._check_end(stream)
        if sections.end:
            self._peer_ended(stream)
        self._handler.headers(stream.id, head, sections.end)

    def _trailers(self, stream: StreamState) -> None:
        """A message's trailers have come."""
        sections = self._sections
        if stream.peer_ended:
            sections.skip()
            raise StreamFault(STREAM_CLOSED, FRAME, "HEADERS behind END_STREAM")
        fields = sections.trailers()
        if not sections.end:
            raise StreamFault(PROTOCOL_ERROR, FRAME, "trailers that do not end the stream")
        self._check_end(stream)
        self._peer_ended(stream)
        self._handler.trailers(stream.id, fields)

    def _check_end(self, stream: StreamState) -> None:
        """Whether a section may end its stream, if it does."""
        if self._sections.own_parent:
            raise StreamFault(PROTOCOL_ERROR, FRAME, "a stream that depends on itself")
        if self._sections.end and stream.left > 0:
            raise StreamFault(PROTOCOL_ERROR, LENGTH, f"the end, and {stream.left} bytes of DATA are missing")

    def _window_update(self, stream_id: int, increment: int) -> None:
        self._guard.window_update()
        if not stream_id:
            if not increment:
                raise ConnectionFault(PROTOCOL_ERROR, FRAME, "WINDOW_UPDATE of nothing")
            before = self._flow.sendable
            if not self._flow.granted(increment):
                raise ConnectionFault(FLOW_CONTROL_ERROR, FLOW, "a window of more than 2^31-1 bytes")
            if before <= 0 < self._flow.sendable:
                self._handler.window(0)
            return
        stream = self._table.open.get(stream_id)
        if stream is None:
            self._table.not_idle(stream_id, "WINDOW_UPDATE")
            return
        before = stream.sendable
        if not increment:
            raise StreamFault(PROTOCOL_ERROR, FRAME, "WINDOW_UPDATE of nothing")
        elif not stream.granted(increment):
            raise StreamFault(FLOW_CONTROL_ERROR, FLOW, "a window of more than 2^31-1 bytes")
        elif before <= 0 < stream.sendable:
            self._handler.window(stream_id)

    def _rst_stream(self, stream_id: int, code: int) -> None:
        stream = self._table.open.get(stream_id)
        if stream is None:
            self._table.not_idle(stream_id, "RST_STREAM")
            return
        # not remembered: who resets a stream says no more on it (5.1)
        self._forget(stream)
        if not self._client:
            self._guard.reset()
        self._handler.stream_reset(stream_id, code)

    def _priority(self, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise ConnectionFault(PROTOCOL_ERROR, FRAME, "PRIORITY on stream 0")
        self._guard.priority()
        code = wire.check_priority(stream_id, payload)
        if code and stream_id in self._table.open:
            raise StreamFault(code, FRAME, "a malformed PRIORITY")
        if code:
            raise ConnectionFault(code, FRAME, f"a malformed PRIORITY on stream {stream_id}")

    def _settings(self, flags: int, payload: bytes) -> None:
        if flags & wire.ACK:
            if payload:
                raise ConnectionFault(FRAME_SIZE_ERROR, FRAME, "SETTINGS acknowledged with content")
            self._acknowledged = True
            change = self._limits.stream_window - self._window
            self._window += change
            for stream in self._table.open.values():
                stream.widen(change)
            return
        pairs = wire.read_settings(payload)
        before = self.peer_window
        learn(self, pairs, self._client)
        change = self.peer_window - before
        if change:
            for stream in self._table.open.values():
                if not stream.granted(change):
                    raise ConnectionFault(FLOW_CONTROL_ERROR, FLOW, "a window of more than 2^31-1 bytes")
        for name, value in pairs:
            if name == wire.HEADER_TABLE_SIZE:
                self._outbox.encoder.resize(value)
        self._outbox.acknowledge(wire.frame(wire.SETTINGS, wire.ACK, 0, b""))
        self._handler.settings()
        if change > 0:
            self._handler.window(0)

    def _ping(self, flags: int, payload: bytes) -> None:
        if len(payload) != 8:
            raise ConnectionFault(FRAME_SIZE_ERROR, FRAME, f"PING of {len(payload)} bytes")
        if flags & wire.ACK:
            self._handler.ping_acked(payload)
        else:
            self._outbox.acknowledge(wire.frame(wire.PING, wire.ACK, 0, payload))

    def _goaway(self, payload: bytes) -> None:
        last_id, code, debug = wire.read_goaway(payload)
        if self._client:
            self.retiring = True
            for stream in [*self._table.open.values()]:
                if stream.id > last_id:
                    self._forget(stream)
        self._handler.goaway(last_id, code, debug)

    # what goes

    def take(self) -> bytes:
        """See L{Engine}."""
        return self._outbox.take()

    def hold(self) -> None:
        """See L{Engine}."""
        self._held = True

    def unfinished(self) -> bool:
        """See L{Engine}."""
        return self._sections.stream_id != 0 or self._reader.unfinished()

    def available(self) -> int:
        """See L{Engine}."""
        return 0 if self.retiring or self._dead else max(self.peer_streams - self.streams, 0)

    def request(self, fields: Headers, end: bool) -> int:
        """See L{Engine}."""
        assert self._client and not self.retiring and self.streams < self.peer_streams, "no stream to be had"
        stream_id = self._next_id
        self._next_id = stream_id + 2
        if self._next_id > MAXIMUM - 2 * SPARE_IDS:
            self.retiring = True
        self._guard.opened += 1
        stream = StreamState(stream_id, self.peer_window, self._window)
        stream.method = fields[0][1]
        stream.ended = end
        self._table.add(stream)
        self.streams += 1
        self._outbox.section(stream_id, fields, end, self.peer_frame)
        return stream_id

    def send_headers(self, stream_id: int, fields: Headers, end: bool) -> None:
        """See L{Engine}."""
        stream = self._table.open.get(stream_id)
        if stream is not None and not stream.ended:
            self._outbox.section(stream_id, fields, end, self.peer_frame)
            if end:
                self._ended(stream)

    def send_data(self, stream_id: int, data: bytes, end: bool) -> int:
        """See L{Engine}."""
        stream = self._table.open.get(stream_id)
        size = len(data)
        if stream is None or stream.ended:
            return size
        sent = self._outbox.data(stream, data, end, self.peer_frame)
        if end and sent == size:
            self._ended(stream)
        return sent

    def credit(self, stream_id: int) -> int:
        """See L{Engine}."""
        if not stream_id:
            return max(self._flow.sendable, 0)
        stream = self._table.open.get(stream_id)
        return 0 if stream is None or stream.ended else max(min(stream.sendable, self._flow.sendable), 0)

    def consumed(self, stream_id: int, n: int) -> None:
        """See L{Engine}."""
        stream = self._table.open.get(stream_id)
        if stream is not None and not stream.peer_ended:
            increment = stream.returned(n)
            if increment:
                self._outbox.send(wire.window_update(stream_id, increment))

    def reset(self, stream_id: int, code: int, provoked: bool = False) -> None:
        """See L{Engine}."""
        stream = self._table.open.get(stream_id)
        if stream is not None:
            self._forget(stream)
            self._send_reset(stream_id, code, provoked)

    def ping(self, payload: bytes) -> None:
        """See L{Engine}."""
        self._outbox.send(wire.frame(wire.PING, 0, 0, payload))

    def announce(self) -> None:
        """See L{Engine}."""
        self._outbox.send(wire.goaway(MAXIMUM, 0, b""))

    def goaway(self, code: int, debug: bytes = b"") -> None:
        """See L{Engine}."""
        self._accepted = self.last_id
        self.retiring = True
        self._outbox.send(wire.goaway(self.last_id, code, debug))

    def leave(self) -> None:
        """See L{Engine}."""
        self._handler = NOBODY

    # streams' ends

    def _refuse(self, stream_id: int, fault: StreamFault) -> None:
        """Reset a stream for what came on it."""
        self._forget(self._table.open[stream_id])
        self._send_reset(stream_id, fault.code, True)
        self._handler.refused(stream_id, fault.code, fault.reason, fault.detail)

    def _send_reset(self, stream_id: int, code: int, provoked: bool) -> None:
        self._table.remember(stream_id)
        self._outbox.acknowledge(wire.reset(stream_id, code))
        if provoked and not self._client:
            self._guard.reset()

    def _forget(self, stream: StreamState) -> None:
        self._table.open.pop(stream.id)
        self.streams -= 1

    def _peer_ended(self, stream: StreamState) -> None:
        stream.peer_ended = True
        if stream.ended:
            self._forget(stream)

    def _ended(self, stream: StreamState) -> None:
        stream.ended = True
        if stream.peer_ended:
            self._forget(stream)
