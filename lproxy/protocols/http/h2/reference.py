# -*- test-case-name: tests.protocols.http.h2.test_reference, tests.protocols.http.h2.test_differential -*-
"""
The h2 library as an engine: what ours is held against, and for a connection that does not go well with it.

h2 is shown one frame at a time. What it does not limit is counted before, and what it does not check, which is a good
deal, is checked behind it, by the same code as in L{lproxy.protocols.http.h2.lane}. GOAWAY is not shown to it, for its
connections end with that.

It differs where h2 leaves no choice. These end the connection, where the lane resets a stream: DATA that are more or
fewer than C{content-length}, or one that is no number; trailers without END_STREAM; a 1xx with it; HEADERS or DATA
behind END_STREAM; streams or PRIORITY that depend on themselves; PRIORITY of a wrong size; WINDOW_UPDATE of nothing;
more DATA than a stream's window. And these cost a frame more: RST_STREAM for what comes late, and for what is opened
after our GOAWAY.

Over 300 lines: an engine is one class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from h2.events import (
    DataReceived,
    Event,
    InformationalResponseReceived,
    PingAckReceived,
    RequestReceived,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

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
    STREAMS,
    TOO_LARGE,
    ConnectionFault,
    StreamFault,
)
from lproxy.protocols.http.h2.fields import request_head, response_head, trailer_section
from lproxy.protocols.http.h2.flow import DEFAULT, Flow, StreamState
from lproxy.protocols.http.h2.framing import FrameReader
from lproxy.protocols.http.h2.guard import Guard, flood
from lproxy.protocols.http.h2.hpack import OVERHEAD
from lproxy.protocols.http.h2.library import as_fault, begin
from lproxy.protocols.http.h2.limits import Limits
from lproxy.protocols.http.h2.nobody import NOBODY
from lproxy.protocols.http.h2.settings import learn, ours
from lproxy.protocols.http.h2.table import StreamTable
from lproxy.protocols.http.message import Headers

NO_DATA: Final = "the end, and DATA are missing"


class Reference(Engine):
    """
    One end of a connection.

    @ivar _flow: what was received on the connection, to be returned
    @ivar _section: CONTINUATION frames and bytes of the field section under way
    """

    __slots__ = (
        "_accepted",
        "_acknowledged",
        "_client",
        "_control",
        "_dead",
        "_flow",
        "_guard",
        "_h2",
        "_handler",
        "_held",
        "_limits",
        "_next_id",
        "_out",
        "_reader",
        "_section",
        "_table",
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
        self._table = StreamTable()
        self._flow = Flow(0, max(limits.connection_window, DEFAULT))
        self._accepted = MAXIMUM
        self._acknowledged = False
        self._next_id = 1
        self._section: list[int] = []
        self._held = False
        self._dead = False
        self._control = 0
        self._h2 = begin(client, limits)
        self._out = [PREFACE] if client else []
        self._out.append(wire.settings(ours(limits, client)))
        if limits.connection_window > DEFAULT:
            self._h2.increment_flow_control_window(limits.connection_window - DEFAULT)
        self._drain()

    # what comes

    def receive(self, data: bytes) -> None:
        """See L{Engine}."""
        if self._dead:
            return
        self._held = False
        reader = self._reader
        try:
            reader.feed(data)
            while not self._held and reader.next():
                self._frame(reader.kind, reader.flags, reader.stream_id, reader.payload)
                if self._guard.exceeded:
                    raise flood(self._guard.exceeded)
        except ConnectionFault as fault:
            self._dead = True
            self._out.append(wire.goaway(min(self.last_id, self._accepted), fault.code, fault.detail.encode()))
            raise

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if not self.settled and (kind != wire.SETTINGS or flags & wire.ACK):
            raise ConnectionFault(PROTOCOL_ERROR, FRAME, f"frame {kind} before SETTINGS")
        self._count(kind, flags, payload)
        window = self.peer_window
        if kind == wire.HEADERS and (self._client or not stream_id & 1):
            self._table.not_idle(stream_id, "HEADERS")  # h2 takes that for a push
        if kind == wire.GOAWAY and not stream_id and not self._section:
            self._goaway(payload)
            return
        if kind == wire.SETTINGS:
            if flags & wire.ACK:
                if payload:
                    raise ConnectionFault(FRAME_SIZE_ERROR, FRAME, "SETTINGS acknowledged with content")
                self._acknowledged = True
            else:
                learn(self, wire.read_settings(payload), self._client)
        if kind > wire.CONTINUATION and not self._section:
            return  # h2 knows more than RFC 9113, and is strict about it
        for event in self._shown(wire.frame(kind, flags, stream_id, payload)):
            self._event(event)
        if kind == wire.SETTINGS and not flags & wire.ACK:
            self._handler.settings()
            if self.peer_window > window:
                self._handler.window(0)

    def _count(self, kind: int, flags: int, payload: bytes) -> None:
        """What h2 does not limit."""
        guard, limits = self._guard, self._limits
        if kind == wire.WINDOW_UPDATE:
            guard.window_update()
        elif kind == wire.PRIORITY:
            guard.priority()
        elif kind in (wire.HEADERS, wire.CONTINUATION, wire.DATA):
            if kind == wire.CONTINUATION or not flags & wire.END_STREAM:
                padded = kind != wire.CONTINUATION and flags & wire.PADDED and payload
                if len(payload) == (1 + payload[0] if padded else 0):
                    guard.empty()
                else:
                    guard.empties = 0
            if kind == wire.HEADERS and not flags & wire.END_HEADERS:
                self._section = [0, len(payload)]
            elif kind == wire.CONTINUATION and self._section:
                self._section = [self._section[0] + 1, self._section[1] + len(payload)]
                if self._section[0] > limits.continuations or self._section[1] > 4 * limits.header_list:
                    raise flood("CONTINUATION frames, or bytes in them")
                if flags & wire.END_HEADERS:
                    self._section = []

    def _shown(self, frame: bytes) -> list[Event]:
        """What h2 says to a frame."""
        error: ProtocolError | None = None
        events: list[Event] = []
        try:
            events = self._h2.receive_data(frame)
        except ProtocolError as raised:
            error = raised
        if error is not None:
            self._h2.data_to_send()  # its GOAWAY; ours says more
            raise as_fault(error)
        if self._drain():
            self._control += 1
            self._guard.queued(self._control, len(self._out))
        return events

    def _event(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self._data(event)
        elif isinstance(event, RequestReceived):
            self._request(event)
        elif isinstance(event, (ResponseReceived, InformationalResponseReceived, TrailersReceived)):
            stream = self._table.open.get(event.stream_id)
            if stream is None:
                return
            ended = not isinstance(event, InformationalResponseReceived) and event.stream_ended is not None
            self._answer_or_trailers(stream, event.headers, ended, isinstance(event, TrailersReceived))
        elif isinstance(event, StreamReset):
            stream = self._table.open.get(event.stream_id)
            if stream is None:
                return
            self._forget(stream)
            if not self._client:
                self._guard.reset()
            code = int(event.error_code or 0)
            if event.remote_reset:
                self._handler.stream_reset(stream.id, code)
            else:
                reason = FLOW if code == FLOW_CONTROL_ERROR else FRAME
                self._handler.refused(stream.id, code, reason, "refused by h2")
        elif isinstance(event, WindowUpdated):
            if not event.stream_id or event.stream_id in self._table.open:
                self._handler.window(event.stream_id or 0)
        elif isinstance(event, PingAckReceived):
            self._handler.ping_acked(event.ping_data or b"")

    def _data(self, event: DataReceived) -> None:
        flow = event.flow_controlled_length or 0
        data = bytes(event.data or b"")
        increment = self._flow.returned(flow)
        if increment:
            self._h2.increment_flow_control_window(increment)
            self._drain()
        stream = self._table.open.get(event.stream_id or 0)
        if stream is None:
            return
        if stream.left != NO_LENGTH:
            stream.left -= len(data)
            if stream.left < 0:
                self._refuse(stream, StreamFault(PROTOCOL_ERROR, LENGTH, "DATA where there can be none"))
                return
        if event.stream_ended is not None:
            self._peer_ended(stream)
        elif flow > len(data):
            self.consumed(stream.id, flow - len(data))
        self._handler.data(stream.id, data, event.stream_ended is not None)

    def _request(self, event: RequestReceived) -> None:
        stream_id: int = event.stream_id or 0
        end = event.stream_ended is not None
        self._guard.opened += 1
        self._guard.queued(self._control, len(self._out))
        self._table.highest = stream_id
        stream = StreamState(stream_id, 0, self._limits.stream_window)
        stream.headed = True
        if stream_id > self._accepted:
            self._send_reset(stream_id, REFUSED_STREAM)
            return
        self.last_id = stream_id
        if stream_id > MAXIMUM - 2 * SPARE_IDS:
            self.retiring = True
        full = self.streams >= self._limits.streams
        stream.peer_ended = end
        self._table.add(stream)
        self.streams += 1
        if full:
            fault = StreamFault(REFUSED_STREAM, STREAMS, f"more than {self._limits.streams} streams")
            self._refuse(stream, fault, self._acknowledged)
            return
        fields: list[Any] = [*(event.headers or ())]
        try:
            head = request_head(fields, self._limits.header_count, self._limits.connect_protocol)
            self._check_size(fields)
        except StreamFault as fault:
            if fault.reason != TOO_LARGE:
                self._refuse(stream, fault)
            else:
                self._handler.oversized(stream_id, end)
            return
        if end and head.length > 0:
            self._refuse(stream, StreamFault(PROTOCOL_ERROR, LENGTH, NO_DATA))
            return
        stream.left = head.length
        self._handler.headers(stream_id, head, end)

    def _answer_or_trailers(self, stream: StreamState, headers: Any, end: bool, trailers: bool) -> None:
        fields: list[Any] = [*(headers or ())]
        try:
            if trailers:
                section = trailer_section(fields, self._limits.header_count)
            else:
                head = response_head(fields, self._limits.header_count)
            self._check_size(fields)
        except StreamFault as fault:
            self._refuse(stream, fault)
            return
        if not trailers and head.status >= 200:
            if stream.method == b"HEAD" or head.status in (204, 304):
                stream.left = 0
            elif stream.method != b"CONNECT" or head.status >= 300:
                stream.left = head.length
        if end and stream.left > 0:
            self._refuse(stream, StreamFault(PROTOCOL_ERROR, LENGTH, NO_DATA))
            return
        if end:
            self._peer_ended(stream)
        if trailers:
            self._handler.trailers(stream.id, section)
        else:
            self._handler.headers(stream.id, head, end)

    def _check_size(self, fields: list[Any]) -> None:
        size = sum(len(name) + len(value) + OVERHEAD for name, value in fields)
        if size > self._limits.header_list:
            raise StreamFault(PROTOCOL_ERROR, TOO_LARGE, f"fields of {size} bytes")

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
        data = b"".join(self._out)
        self._out = []
        self._control = 0
        return data

    def hold(self) -> None:
        """See L{Engine}."""
        self._held = True

    def unfinished(self) -> bool:
        """See L{Engine}."""
        return bool(self._section) or self._reader.unfinished()

    def available(self) -> int:
        """See L{Engine}."""
        return 0 if self.retiring or self._dead else max(self.peer_streams - self.streams, 0)

    def request(self, fields: Headers, end: bool) -> int:
        """See L{Engine}."""
        assert self._client and self.available(), "no stream to be had"
        stream = StreamState(self._next_id, 0, self._limits.stream_window)
        self._next_id += 2
        if self._next_id > MAXIMUM - 2 * SPARE_IDS:
            self.retiring = True
        self._guard.opened += 1
        stream.method = fields[0][1]
        stream.ended = end
        self._table.add(stream)
        self.streams += 1
        self._h2.send_headers(stream.id, fields, end)
        self._drain()
        return stream.id

    def send_headers(self, stream_id: int, fields: Headers, end: bool) -> None:
        """See L{Engine}."""
        stream = self._table.open.get(stream_id)
        if self._dead or stream is None or stream.ended:
            return
        if fields:
            self._h2.send_headers(stream_id, fields, end)
        else:
            self._h2.end_stream(stream_id)  # it cannot say nothing
        self._drain()
        if end:
            self._ended(stream)

    def send_data(self, stream_id: int, data: bytes, end: bool) -> int:
        """See L{Engine}."""
        stream = self._table.open.get(stream_id)
        if self._dead or stream is None or stream.ended:
            return len(data)
        size = min(len(data), self.credit(stream_id))
        end = end and size == len(data)
        most = self._h2.max_outbound_frame_size
        for start in range(0, size or end, most):
            stop = min(start + most, size)
            self._guard.data_sent += 1
            self._h2.send_data(stream_id, data[start:stop], end and stop == size)
        if end:
            self._ended(stream)
        self._drain()
        return size

    def credit(self, stream_id: int) -> int:
        """See L{Engine}."""
        if not stream_id:
            return max(self._h2.outbound_flow_control_window, 0)
        stream = self._table.open.get(stream_id)
        if self._dead or stream is None or stream.ended:
            return 0
        return max(self._h2.local_flow_control_window(stream_id), 0)

    def consumed(self, stream_id: int, n: int) -> None:
        """See L{Engine}."""
        stream = self._table.open.get(stream_id)
        if not self._dead and stream is not None and not stream.peer_ended:
            increment = stream.returned(n)
            if increment:
                self._h2.increment_flow_control_window(increment, stream_id)
                self._drain()

    def reset(self, stream_id: int, code: int, provoked: bool = False) -> None:
        """See L{Engine}."""
        stream = self._table.open.get(stream_id)
        if stream is not None:
            self._forget(stream)
            self._send_reset(stream_id, code, provoked)

    def ping(self, payload: bytes) -> None:
        """See L{Engine}."""
        self._out.append(wire.frame(wire.PING, 0, 0, payload))

    def announce(self) -> None:
        """See L{Engine}."""
        self._out.append(wire.goaway(MAXIMUM, 0, b""))

    def goaway(self, code: int, debug: bytes = b"") -> None:
        """See L{Engine}."""
        self._accepted = self.last_id
        self.retiring = True
        self._out.append(wire.goaway(self.last_id, code, debug))

    def leave(self) -> None:
        """See L{Engine}."""
        self._handler = NOBODY

    def _drain(self) -> bool:
        """Fetch what h2 has to send. Whether that was something."""
        data = self._h2.data_to_send()
        if data:
            self._out.append(data)
        return bool(data)

    # streams' ends

    def _refuse(self, stream: StreamState, fault: StreamFault, provoked: bool = True) -> None:
        self._forget(stream)
        self._send_reset(stream.id, fault.code, provoked)
        self._handler.refused(stream.id, fault.code, fault.reason, fault.detail)

    def _send_reset(self, stream_id: int, code: int, provoked: bool = False) -> None:
        try:
            self._h2.reset_stream(stream_id, code)
        except ProtocolError:  # h2 holds that it has ended well
            self._out.append(wire.reset(stream_id, code))
        self._drain()
        self._control += 1
        self._guard.queued(self._control, len(self._out))
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
