# -*- test-case-name: tests.protocols.http.h2 -*-
"""
An upstream that speaks HTTP/2 by the h2 library, in memory, at a test's command; and a listener whose service is spoken
to in HTTP/2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    PingReceived,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes, Settings

from lproxy.config import Service
from lproxy.protocols.http.h2.pool import Http2Pool
from lproxy.protocols.http.upstreams import STREAMS
from lproxy.testing import Peer
from lproxy.testing.upstream import OneEndpoint
from tests.protocols.http.harness import HttpTestCase

Fields = Iterable[tuple[str, str]]

ANSWER = ((":status", "200"), ("content-type", "text/plain"))


class Http2Peer:
    """
    The other end of a connection that the proxy has opened.

    @ivar requests: fields by stream, in the order in which they came
    @ivar bodies: what came of each one's body
    @ivar trailers: likewise
    @ivar ended: streams whose request is whole
    @ivar resets: codes by stream
    @ivar goaway: the code of the proxy's GOAWAY
    @ivar pings: how many came
    @ivar credit: whether what comes is taken at once
    """

    def __init__(self, peer: Peer, settings: dict[int, int] | None = None, settle: bool = True) -> None:
        self.peer = peer
        self.credit = True
        self.requests: dict[int, dict[bytes, bytes]] = {}
        self.fields: dict[int, list[tuple[bytes, bytes]]] = {}
        self.bodies: dict[int, bytes] = {}
        self.trailers: dict[int, list[tuple[bytes, bytes]]] = {}
        self.ended: list[int] = []
        self.resets: dict[int, int] = {}
        self.goaway: int | None = None
        self.pings = 0
        self.connection = H2Connection(
            H2Configuration(
                client_side=False,
                header_encoding=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        if settings:
            first = {SettingCodes(code): value for code, value in settings.items()}
            self.connection.local_settings = Settings(client=False, initial_values=first)
        self._heard = 0
        self.most = 0
        self.open: set[int] = set()
        if settle:
            self.settle()

    def settle(self) -> None:
        """Say SETTINGS."""
        self.connection.initiate_connection()
        self.flush()

    def flush(self) -> None:
        """Say what waits to be said."""
        self.peer.say(self.connection.data_to_send())

    def read(self) -> None:
        """Hear what the proxy has said since."""
        heard, self._heard = self.peer.heard[self._heard :], len(self.peer.heard)
        if not heard:
            return
        for event in self.connection.receive_data(heard):
            self._on(event)
        self.flush()

    def _on(self, event: Any) -> None:
        if isinstance(event, RequestReceived):
            self.requests[event.stream_id] = dict(event.headers)
            self.fields[event.stream_id] = list(event.headers)
            self.bodies[event.stream_id] = b""
            self.open.add(event.stream_id)
            self.most = max(self.most, len(self.open))
        elif isinstance(event, DataReceived):
            self.bodies[event.stream_id] += event.data
            if self.credit:
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, TrailersReceived):
            self.trailers[event.stream_id] = list(event.headers)
        elif isinstance(event, StreamEnded):
            self.ended.append(event.stream_id)
        elif isinstance(event, StreamReset):
            self.resets[event.stream_id] = int(event.error_code)
            self.open.discard(event.stream_id)
        elif isinstance(event, ConnectionTerminated):
            self.goaway = int(event.error_code)
        elif isinstance(event, PingReceived):
            self.pings += 1

    @property
    def last(self) -> int:
        """The latest stream."""
        return max(self.requests)

    def head(self, stream: int, fields: Fields = ANSWER, end: bool = False) -> None:
        """Begin an answer, or end it with trailers."""
        self.connection.send_headers(stream, list(fields), end_stream=end)
        if end:
            self.open.discard(stream)
        self.flush()

    def body(self, stream: int, data: bytes, end: bool = False) -> None:
        """Send of its body what there is credit for, which has to be all."""
        for start in range(0, len(data) or 1, 16_384):
            piece = data[start : start + 16_384]
            self.connection.send_data(stream, piece, end_stream=end and start + 16_384 >= len(data))
        if end:
            self.open.discard(stream)
        self.flush()

    def answer(self, stream: int, body: bytes = b"ok", fields: Fields = ANSWER) -> None:
        """A whole one."""
        self.head(stream, fields)
        self.body(stream, body, True)

    def reset(self, stream: int, code: int) -> None:
        """Give a stream up."""
        self.connection.reset_stream(stream, code)
        self.open.discard(stream)
        self.flush()

    def allow(self, streams: int) -> None:
        """Let so many be open from now on."""
        self.connection.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: streams})
        self.flush()

    def go_away(self, last: int, code: int = 0, debug: bytes = b"") -> None:
        """Take none above C{last}; the library would end the connection by that."""
        payload = last.to_bytes(4, "big") + code.to_bytes(4, "big") + debug
        self.peer.say(len(payload).to_bytes(3, "big") + b"\x07\0" + bytes(4) + payload)


class Http2UpstreamCase(HttpTestCase):
    """
    Tests of one listener whose upstream is spoken to in HTTP/2.

    @ivar settings: of upstreams, by code
    """

    settings: dict[int, int] | None = None
    service = Service("upstream.test:9000", protocol="http2")

    def start(self, **changes: Any) -> None:
        """Begin anew."""
        self.h2: list[Http2Peer] = []
        super().start(service=lambda target: self.service, **changes)

    def settle(self) -> None:
        """All that can happen now happens, at the upstreams as well."""
        while True:
            super().settle()
            before = [len(up.heard) for up in self.ups]
            for peer in self.ups[len(self.h2) :]:
                self.h2.append(Http2Peer(peer, self.settings))
            for up in self.h2:
                up.read()
            super().settle()
            if before == [len(up.heard) for up in self.ups]:
                return

    def wait(self, seconds: float, step: float = 0.05) -> None:
        """Time passes."""
        for _ in range(round(seconds / step)):
            self.proxy.settle(step)
            self.settle()

    @property
    def server(self) -> Http2Peer:
        """The latest upstream connection."""
        return self.h2[-1]

    def acquires(self) -> OneEndpoint:
        """The stack of HTTP/2 of the listener's engine."""
        return self.proxy.acquires[STREAMS[self.factory.runtime.listen.http2_engine]]

    @property
    def slots(self) -> Http2Pool:
        """Of the upstream."""
        service = self.acquires().service
        assert isinstance(service, Http2Pool)
        return service
