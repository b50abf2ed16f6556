# -*- test-case-name: tests.integration.test_h2_crossings -*-
"""
Applications and clients of either version of HTTP, which say and hear the same: what one version can, the other does in
its own way.
"""

from __future__ import annotations

import contextlib
import socket
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha1
from threading import Thread
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    InformationalResponseReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from lproxy.config import Config, Service
from tests.integration.http_case import HttpCase, Upstream, Wire

Fields = list[tuple[str, str]]


@dataclass
class Asked:
    """A request, as its application has it."""

    method: str
    path: str
    fields: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """The only value of a field."""
        found = [value for key, value in self.fields if key == name]
        assert len(found) < 2, f"{name}: {found}"
        return found[0] if found else None


@dataclass
class Answer:
    """An answer, as an application gives it, and as a client hears it."""

    status: int = 200
    fields: Fields = field(default_factory=list)
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    interim: list[tuple[int, Fields]] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """The only value of a field."""
        found = [value for key, value in self.fields if key == name]
        assert len(found) < 2, f"{name}: {found}"
        return found[0] if found else None


#: RFC 6455, 1.3
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

App = Callable[[Asked], Answer]


def _parse(head: bytes) -> tuple[list[str], Fields]:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return first.split(" ", 2), fields


def _body(wire: Wire, fields: Fields, none: bool) -> tuple[bytes, Fields]:
    """A body of HTTP/1, and its trailers."""
    lower = dict(fields)
    if none:
        return b"", []
    if lower.get("transfer-encoding") != "chunked":
        return wire.exactly(int(lower.get("content-length", "0"))), []
    body = b""
    while size := int(wire.until(b"\r\n").split(b";")[0], 16):
        body += wire.exactly(size)
        wire.until(b"\r\n")
    lines = b""
    while (line := wire.until(b"\r\n")) != b"\r\n":
        lines += line
    return body, _parse(b"x\r\n" + lines)[1] if lines else []


def _message(first: str, fields: Fields, body: bytes, trailers: Fields, sized: bool) -> bytes:
    """A message of HTTP/1, in chunks where it has trailers."""
    if trailers:
        fields = [*fields, ("Transfer-Encoding", "chunked"), ("Trailer", ", ".join(name for name, _ in trailers))]
    elif sized and not any(name.lower() == "content-length" for name, _ in fields):
        fields = [*fields, ("Content-Length", str(len(body)))]
    head = "".join(f"{line}\r\n" for line in [first, *(f"{name}: {value}" for name, value in fields), ""])
    if not trailers:
        return head.encode("latin-1") + body
    last = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:7], body[7:]) if piece)
    return head.encode("latin-1") + pieces + b"0\r\n" + last.encode("latin-1") + b"\r\n"


def serve_http1(wire: Wire, app: App) -> None:
    """One connection of an application."""
    while True:
        (method, path, _), fields = _parse(wire.head())
        if dict(fields).get("upgrade") == "websocket":
            accept = b64encode(sha1(dict(fields)["sec-websocket-key"].encode() + GUID).digest()).decode()
            told = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)]
            wire.send(_message("HTTP/1.1 101 X", told, b"", [], False))
            while data := wire.buffer or wire.sock.recv(1 << 16):
                wire.buffer = b""
                wire.send(data.upper())
            wire.fin()
            return
        body, trailers = _body(wire, fields, method in ("GET", "HEAD"))
        answer = app(Asked(method, path, fields, body, trailers))
        for status, interim in answer.interim:
            wire.send(_message(f"HTTP/1.1 {status} X", interim, b"", [], False))
        none = method == "HEAD" or answer.status in (204, 304)
        said = b"" if none else answer.body
        wire.send(_message(f"HTTP/1.1 {answer.status} X", answer.fields, said, answer.trailers, not none))


class _Talk:
    """One end of a connection of HTTP/2."""

    def __init__(self, wire: Wire, client: bool) -> None:
        self.wire = wire
        loose = {"validate_outbound_headers": False, "normalize_outbound_headers": False}
        self.h2 = H2Connection(H2Configuration(client_side=client, header_encoding="latin-1", **loose))
        self.unsent: dict[int, tuple[bytes, Fields]] = {}

    def begin(self) -> None:
        """Introduce oneself."""
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        """Send what there is to send."""
        for stream, (body, trailers) in list(self.unsent.items()):
            with contextlib.suppress(ProtocolError):
                while body:
                    size = min(len(body), self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
                    if size <= 0:
                        break
                    piece, body = body[:size], body[size:]
                    self.h2.send_data(stream, piece, end_stream=not body and not trailers)
                if not body and trailers:
                    self.h2.send_headers(stream, trailers, end_stream=True)
            self.unsent[stream] = (body, trailers)
            if not body:
                del self.unsent[stream]
        self.wire.send(self.h2.data_to_send())

    def events(self) -> list[Any]:
        """What has come."""
        data = self.wire.sock.recv(1 << 16)
        if not data:
            raise EOFError("closed")
        return list(self.h2.receive_data(data))


def serve_http2(wire: Wire, app: App) -> None:
    """One connection of an application."""
    talk = _Talk(wire, False)
    settings = {SettingCodes.ENABLE_CONNECT_PROTOCOL: 1, SettingCodes.MAX_CONCURRENT_STREAMS: 100}
    talk.h2.local_settings = Settings(client=False, initial_values=settings)
    talk.begin()
    asked: dict[int, Asked] = {}
    while True:
        for event in talk.events():
            if isinstance(event, RequestReceived):
                fields = [(str(name), str(value)) for name, value in event.headers]
                head = dict(fields)
                if ":protocol" in head:
                    talk.h2.send_headers(event.stream_id, [(":status", "200")])
                    continue
                rest = [one for one in fields if not one[0].startswith(":")]
                request = Asked(head[":method"], head.get(":path", ""), [("host", head[":authority"]), *rest])
                asked[event.stream_id] = request
            elif isinstance(event, DataReceived) and event.stream_id not in asked:
                talk.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                talk.h2.send_data(event.stream_id, event.data.upper())
            elif isinstance(event, DataReceived):
                asked[event.stream_id].body += event.data
                talk.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, TrailersReceived):
                asked[event.stream_id].trailers = [(str(name), str(value)) for name, value in event.headers]
            elif isinstance(event, StreamEnded) and event.stream_id not in asked:
                talk.h2.end_stream(event.stream_id)
            elif isinstance(event, StreamEnded):
                _answer(talk, event.stream_id, asked.pop(event.stream_id), app)
        talk.flush()


def _answer(talk: _Talk, stream: int, asked: Asked, app: App) -> None:
    answer = app(asked)
    with contextlib.suppress(ProtocolError):
        for status, interim in answer.interim:
            talk.h2.send_headers(stream, [(":status", str(status)), *interim])
        body = b"" if asked.method == "HEAD" or answer.status in (204, 304) else answer.body
        end = not body and not answer.trailers
        talk.h2.send_headers(stream, [(":status", str(answer.status)), *answer.fields], end_stream=end)
        if not end:
            talk.unsent[stream] = (body, answer.trailers)


class Http1Client:
    """A client with one connection."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def ask(self, asked: Asked) -> Answer:
        """A request, and its answer."""
        fields = [("Host", "web.local"), *asked.fields]
        body = asked.method not in ("GET", "HEAD", "OPTIONS")
        first = f"{asked.method} {asked.path} HTTP/1.1"
        self.wire.send(_message(first, fields, asked.body, asked.trailers, body))
        answer = Answer()
        while True:
            (_, status, *_), heard = _parse(self.wire.head())
            if int(status) >= 200:
                break
            answer.interim.append((int(status), heard))
        answer.status, answer.fields = int(status), heard
        none = asked.method == "HEAD" or answer.status in (204, 304)
        answer.body, answer.trailers = _body(self.wire, heard, none)
        return answer

    def chat(self, said: bytes) -> bytes:
        """A WebSocket: what comes back of C{said}, until it ends."""
        fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
        fields += [("Host", "web.local"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
        self.wire.send(_message("GET /chat HTTP/1.1", fields, b"", [], False))
        (_, status, *_), heard = _parse(self.wire.head())
        assert (status, dict(heard)["sec-websocket-accept"]) == ("101", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), heard
        back = self.wire.send(said).exactly(len(said))
        self.wire.fin()
        return back + self.wire.rest()


class Http2Client:
    """The same."""

    def __init__(self, wire: Wire) -> None:
        self.talk = _Talk(wire, True)
        self.talk.begin()

    def begin(self, asked: Asked) -> int:
        """Send a request; its stream."""
        h2 = self.talk.h2
        stream = h2.get_next_available_stream_id()
        pseudo = [(":method", asked.method), (":scheme", "http"), (":authority", "web.local"), (":path", asked.path)]
        end = not asked.body and not asked.trailers
        h2.send_headers(stream, [*pseudo, *((name.lower(), value) for name, value in asked.fields)], end_stream=end)
        if not end:
            trailers = [(name.lower(), value) for name, value in asked.trailers]
            self.talk.unsent[stream] = (asked.body, trailers)
        self.talk.flush()
        return stream

    def ask(self, asked: Asked) -> Answer:
        """A request, and its answer."""
        stream = self.begin(asked)
        answer, pieces = Answer(), []
        while True:
            for event in self.talk.events():
                if isinstance(event, StreamReset):
                    raise EOFError(f"reset: {event.error_code}")
                if isinstance(event, InformationalResponseReceived):
                    head = [(str(name), str(value)) for name, value in event.headers]
                    answer.interim.append((int(dict(head)[":status"]), head[1:]))
                elif isinstance(event, ResponseReceived):
                    head = [(str(name), str(value)) for name, value in event.headers]
                    answer.status, answer.fields = int(dict(head)[":status"]), head[1:]
                elif isinstance(event, DataReceived):
                    pieces.append(event.data)
                    self.talk.h2.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, TrailersReceived):
                    answer.trailers = [(str(name), str(value)) for name, value in event.headers]
                elif isinstance(event, StreamEnded):
                    self.talk.flush()
                    answer.body = b"".join(pieces)
                    return answer
            self.talk.flush()

    def chat(self, said: bytes) -> bytes:
        """A WebSocket: what comes back of C{said}, until it ends."""
        h2 = self.talk.h2
        while not h2.remote_settings.enable_connect_protocol:
            self.talk.events()
        stream = h2.get_next_available_stream_id()
        head = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/chat")]
        h2.send_headers(stream, [*head, (":authority", "web.local"), ("sec-websocket-version", "13")])
        h2.send_data(stream, said)
        self.talk.flush()
        heard = b""
        while True:
            for event in self.talk.events():
                if isinstance(event, ResponseReceived):
                    assert (":status", "200") in event.headers, event.headers
                elif isinstance(event, DataReceived):
                    heard += event.data
                    h2.acknowledge_received_data(event.flow_controlled_length, stream)
                    if event.data and len(heard) == len(said):
                        h2.end_stream(stream)
                elif isinstance(event, StreamEnded):
                    return heard
                assert not isinstance(event, StreamReset), event
            self.talk.flush()


class CrossingCase(HttpCase):
    """
    C{web.local} is an application of one version, and clients speak one.

    @ivar front: the clients' version, and C{back}: the application's
    """

    front, back = 1, 1

    def config(self) -> Config:
        """As always, but for the version."""
        config = super().config()
        services = {"web.local:80": Service("web.local:80", (self.upstream.address,), protocol=f"http{self.back}")}
        return replace(config, services=services)

    def serve(self, app: App, upstream: Upstream | None = None) -> None:
        """Have the application answer, each connection in a thread, until the test's end."""
        at = upstream or self.upstream
        serve = serve_http1 if self.back == 1 else serve_http2

        def one(wire: Wire) -> None:
            with contextlib.suppress(OSError, EOFError, ProtocolError):
                serve(wire, app)
            with contextlib.suppress(OSError):
                wire.sock.shutdown(socket.SHUT_RDWR)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    Thread(target=one, args=(at.accept(60),), daemon=True).start()

        Thread(target=accept, daemon=True).start()

    def speaker(self) -> Http1Client | Http2Client:
        """A client."""
        wire = self.client()
        return Http1Client(wire) if self.front == 1 else Http2Client(wire)

    def ask(
        self, method: str, path: str, *fields: tuple[str, str], body: bytes = b"", trailers: Fields | None = None
    ) -> Answer:
        """One request of a new client."""
        return self.speaker().ask(Asked(method, path, list(fields), body, trailers or []))
