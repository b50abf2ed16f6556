# -*- test-case-name: tests.protocols.http.h2 -*-
"""
Clients of a listener in memory that speak HTTP/2, well or badly: the h2 library, which says whatever a test wants.
"""

from __future__ import annotations

import struct
from typing import Any, Literal

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    InformationalResponseReceived,
    PingAckReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import Settings

from lproxy.config import Service
from lproxy.protocols.http.h2.engine import PREFACE
from lproxy.protocols.http.h2.server import Http2Server
from lproxy.testing import Peer
from tests.protocols.http.harness import HOST, HttpTestCase

Fields = list[tuple[str, str]]


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A frame, right or wrong."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream_id) + payload


#: a client that has set nothing
HELLO = PREFACE + frame(4, 0, 0)


class Answer:
    """
    What has come on one stream.

    @ivar reset: the error code that it was reset with
    """

    def __init__(self) -> None:
        self.informational: list[dict[str, str]] = []
        self.headers: dict[str, str] = {}
        self.body = b""
        self.trailers: dict[str, str] = {}
        self.ended = False
        self.reset: int | None = None

    @property
    def status(self) -> int:
        """Zero, if it has not begun."""
        return int(self.headers.get(":status", 0))


class Client:
    """
    One connection.

    @ivar peer: its client's side
    @ivar goaways: what it was told of its end: code, last stream
    @ivar greedy: whether it gives credit for what it has read
    """

    def __init__(self, case: Http2Case, peer: Peer, settings: dict[int, int] | None = None) -> None:
        self.case = case
        self.peer = peer
        self.greedy = True
        self.answers: dict[int, Answer] = {}
        self.goaways: list[tuple[int, int]] = []
        self.pings: list[bytes] = []
        self._rest = b""
        self.settings: dict[int, int] = {}
        self.h2 = H2Connection(
            H2Configuration(
                client_side=True,
                header_encoding="utf-8",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        if settings:
            self.h2.local_settings = Settings(client=True, initial_values=settings)
        self.h2.initiate_connection()
        self.send()

    def send(self) -> None:
        """Say what there is to say, and hear what comes of it."""
        self.case.say(self.peer, self.h2.data_to_send())
        self.hear()

    def hear(self) -> None:
        """What has come."""
        while data := self.case.heard(self.peer):
            for event in self.h2.receive_data(self._goodbyes(data)):
                self._event(event)
            self.case.say(self.peer, self.h2.data_to_send())

    def _goodbyes(self, data: bytes) -> bytes:
        """Take note of each GOAWAY, after which the library would hear nothing more."""
        data = self._rest + data
        others = b""
        while len(data) >= 9 and len(data) >= (size := 9 + int.from_bytes(data[:3], "big")):
            one, data = data[:size], data[size:]
            if one[3] == 7:
                self.goaways.append((int.from_bytes(one[13:17], "big"), int.from_bytes(one[9:13], "big")))
            else:
                others += one
        self._rest = data
        return others

    def _event(self, event: Any) -> None:
        if isinstance(event, PingAckReceived):
            self.pings.append(event.ping_data)
        if not getattr(event, "stream_id", 0):
            return
        answer = self.answers.setdefault(event.stream_id, Answer())
        if isinstance(event, InformationalResponseReceived):
            answer.informational.append(dict(event.headers))
        elif isinstance(event, ResponseReceived):
            answer.headers = dict(event.headers)
        elif isinstance(event, DataReceived):
            answer.body += event.data
            if self.greedy and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, TrailersReceived):
            answer.trailers = dict(event.headers)
        elif isinstance(event, StreamEnded):
            answer.ended = True
        elif isinstance(event, StreamReset):
            answer.reset = int(event.error_code)

    def begin(self, *fields: tuple[str, str], path: str = "/", method: str = "GET", end: bool = True) -> int:
        """A request's head, not sent yet; its stream."""
        stream_id = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":authority", HOST), (":path", path)]
        self.h2.send_headers(stream_id, [*head, *fields], end_stream=end)
        self.answers[stream_id] = Answer()
        return stream_id

    def request(self, *fields: tuple[str, str], path: str = "/", method: str = "GET", end: bool = True) -> int:
        """A request, or its head."""
        stream_id = self.begin(*fields, path=path, method=method, end=end)
        self.send()
        return stream_id

    def raw(self, fields: Fields, end: bool = True) -> int:
        """A request of just those fields."""
        stream_id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, fields, end_stream=end)
        self.answers[stream_id] = Answer()
        self.send()
        return stream_id

    def body(self, stream_id: int, data: bytes, end: bool = False) -> None:
        """More of a request's body, within its credit."""
        while len(data) > 16384:
            self.h2.send_data(stream_id, data[:16384])
            data = data[16384:]
        self.h2.send_data(stream_id, data, end_stream=end)
        self.send()

    def credit(self, stream_id: int) -> int:
        """How much may be sent."""
        self.hear()
        return self.h2.local_flow_control_window(stream_id)

    def reset(self, stream_id: int, code: int = 8) -> None:
        """Take a request back."""
        self.h2.reset_stream(stream_id, code)
        self.answers[stream_id].reset = code
        self.send()

    def frames(self, data: bytes) -> None:
        """Say just that."""
        self.case.say(self.peer, data)
        self.hear()


class Http2Case(HttpTestCase):
    """Tests of one listener's clients that speak HTTP/2, in front of an upstream that speaks HTTP/1."""

    engine: Literal["lane", "reference"] = "lane"

    def setUp(self) -> None:
        self.listen = {"http2_engine": self.engine, **type(self).listen}
        super().setUp()

    def start(self, **changes: Any) -> None:
        """Begin anew, with a listener of other settings."""
        super().start(**{"service": lambda target: Service(protocol="http1"), **changes})

    def talk(self, settings: dict[int, int] | None = None) -> Client:
        """A client that has said hello."""
        return Client(self, self.client(), settings)

    def server(self) -> Http2Server:
        """The only connection's."""
        session = self.session()
        assert isinstance(session, Http2Server)
        return session
