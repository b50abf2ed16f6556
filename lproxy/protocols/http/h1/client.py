# -*- test-case-name: tests.protocols.http.h1.test_client -*-
"""
HTTP/1.1 towards an upstream: a connection that carries one exchange after another.

Over 300 lines: to be lent out, to send and to be answered are one connection's state.
"""

from __future__ import annotations

from typing import Final

from lproxy.api import Endpoint, Reader, Stream
from lproxy.config import Limits
from lproxy.protocols.http.h1.chunked import encode_piece
from lproxy.protocols.http.h1.encode import encode_request
from lproxy.protocols.http.h1.handshake import check, encode_handshake
from lproxy.protocols.http.h1.read import ResponseReader
from lproxy.protocols.http.message import (
    CHUNKED,
    ENCODING,
    IDEMPOTENT,
    LENGTH,
    NO_TRAILERS,
    Headers,
    Rejected,
    Request,
    Response,
    kinds,
)
from lproxy.protocols.http.pool import Connection, Entry
from lproxy.protocols.http.streams import BadResponse, Outgoing, Outrun, Responder, UpstreamLost
from lproxy.protocols.http.timeouts import CallTimedOut

#: 1xx answers to one request, each of which is relayed; an upstream that never comes to the real one is stopped
INFORMATIONAL: Final = 100


class Http1Client(Connection, Outgoing, Reader):
    """
    The stream's L{Reader<lproxy.transport.stream.Reader>}, the pool's
    L{Connection<lproxy.protocols.http.pool.Connection>}, and, as there is one at a time, the exchange's
    L{Outgoing<lproxy.protocols.http.streams.Outgoing>}.

    @ivar address: whom it is connected to, for people
    @ivar _to: whom the answer is for; C{None} while it is idle
    @ivar _head: the request that was sent last
    @ivar _chunked: whether its body goes in chunks
    @ivar _proof: of a WebSocket that a client of HTTP/2 has asked for, that it was understood
    @ivar _whole: whether all of it was sent
    @ivar _answering: whether the head of its answer has come
    @ivar _informed: 1xx answers that have come before
    @ivar _used: whether an exchange came to its end here
    @ivar _before: C{bytes_out} of the stream when the request was sent
    @ivar _blocked: whether the stream takes no more for now
    @ivar _buffer: bytes of a body that may wait for it to take them
    @ivar _held: whether the answer is not read for now, as its client is slow
    @ivar _ended: whether the upstream has ended, or was given up
    """

    __slots__ = (
        "_answering",
        "_before",
        "_blocked",
        "_buffer",
        "_chunked",
        "_ended",
        "_endpoint",
        "_entry",
        "_head",
        "_held",
        "_informed",
        "_proof",
        "_reader",
        "_stream",
        "_to",
        "_used",
        "_whole",
    )

    def __init__(self, stream: Stream, entry: Entry, endpoint: Endpoint, limits: Limits) -> None:
        self._stream = stream
        self._entry: Entry | None = entry
        self._endpoint = endpoint
        self._reader = ResponseReader(limits)
        self._to: Responder | None = None
        self._head: Request | None = None
        self._chunked = False
        self._proof = b""
        self._whole = True
        self._answering = False
        self._informed = 0
        self._used = False
        self._before = 0
        self._blocked = False
        self._buffer = limits.buffer
        self._held = False
        self._ended = False
        self.address = str(endpoint)

    def __repr__(self) -> str:
        return f"<Http1Client to {self.address} {self._head if self._to is not None else 'idle'!r}>"

    def start(self) -> None:
        """Read."""
        self._stream.attach(self)
        self._stream.resume()

    # the pool's Connection

    def dispatch(self, head: Request, body: bytes, end: bool, to: Responder) -> Outgoing:
        """Send a request; its answer is told to C{to}."""
        stream = self._stream
        if self._used and (head.method not in IDEMPOTENT or not end) and not stream.silent():
            # it ended while it was idle, and this request cannot be sent twice: noticed before it is sent once
            self._drop(True)
            raise UpstreamLost(self._endpoint, "", "before the request was sent", answered=False, unsent=True)
        self._to = to
        self._head = head
        self._whole = end
        self._answering = False
        self._before = stream.bytes_out
        # the window of an HTTP/2 stream is kept for it already: what does not go at once takes from that
        stream.high_water = 0 if head.stream_id else self._buffer
        if head.protocol:
            data, self._proof = encode_handshake(head)
        else:
            data = encode_request(head)
        if head.framing == CHUNKED:
            self._chunked = True
            data += encode_piece(body, end, NO_TRAILERS)
        else:
            self._chunked = False
            if body:
                data += body
        stream.write(data)
        return self

    def finish(self) -> bool:
        """The exchange is over, or has to be: can another follow?"""
        to, self._to = self._to, None
        if self._ended:
            return False
        stream, reader = self._stream, self._reader
        if to is not None:
            self._informed = 0
            if not (self._answering and self._whole and reader.done) or reader.buffered:
                self._drop()
                return False
            head = self._head
            if head is None or (head.framing and stream.buffered):
                # answered before it was sent
                self._drop()
                return False
            if not reader.keep_alive:
                self.close()
                return False
            self._used = True
            self._head = None
        if stream.errno or stream.closed:
            self._drop()
            return False
        if self._held:
            self._held = False
            stream.resume()
        return True

    def silent(self) -> bool:
        """Whether the upstream has neither ended it nor said anything."""
        return self._stream.silent()

    def close(self) -> None:
        """Close it."""
        self._end(False)
        self._stream.close()

    def _drop(self, reused: bool = False) -> None:
        self._end(reused)
        self._stream.abort()

    def _end(self, reused: bool) -> None:
        """Be of no use any more, to the pool above all."""
        self._ended = True
        self._reader.close()
        entry, self._entry = self._entry, None
        if entry is not None:
            entry.lost(reused)

    # the exchange's Outgoing

    def data(self, raw: bytes, end: bool, trailers: Headers) -> int:
        """Send more of the request's body."""
        if end:
            self._whole = True
        if self._chunked:
            raw = encode_piece(raw, end, trailers)
        stream = self._stream
        if raw:
            stream.write(raw)
        return 0 if self._blocked else max(1, stream.high_water - stream.buffered)

    def peer(self) -> Endpoint:
        """Whom it is connected to."""
        return self._endpoint

    def credit(self, n: int) -> None:
        """Read on."""
        if self._held:
            self._held = False
            self._stream.resume()

    def delivered(self) -> int:
        """What the upstream's kernel has confirmed."""
        return self._stream.delivered()

    def owed(self) -> bool:
        """Whether it has not confirmed all of a body."""
        head, stream = self._head, self._stream
        if head is None or not head.framing:
            return False
        return stream.buffered > 0 or stream.delivered() < stream.bytes_out

    def reset(self, error: BaseException) -> None:
        """To give one up is to give the connection up."""
        self._to = None
        if self._entry is not None:
            if isinstance(error, CallTimedOut):
                self._entry.bad(error)
            elif isinstance(error, Outrun):
                self._entry.outrun()
        self._drop()

    # the stream's Reader

    def data_received(self, data: bytes) -> None:
        """The answer, or a piece of it."""
        to = self._to
        if to is None:
            # nobody asked: whatever it is, it must not become the answer to the next request
            self._drop()
            return
        reader = self._reader
        reader.feed(data)
        try:
            if self._answering:
                body = reader.body()
                done = reader.done
                if not body and not done:
                    return
                credit = to.data(body, done, reader.trailers)
            else:
                credit = self._answer(to)
                # the connection may be another exchange's by now
                done = self._to is not to or reader.done
        except Rejected as rejected:
            error = BadResponse(self._endpoint)
            error.__cause__ = rejected
            if self._entry is not None:
                self._entry.bad(error)
            to.reset(error)
        except BaseException as bug:
            # a mistake of ours, told to the client as such
            if self._to is not to:
                raise
            to.reset(bug)
        else:
            if credit <= 0 and not done and not self._ended:
                self._held = True
                self._stream.pause()

    def eof_received(self) -> None:
        """The upstream says no more: the connection is of no use, whatever was still to be sent."""
        self._lost("")
        if self._stream.buffered:
            self._stream.abort()
        else:
            self._stream.close()

    def connection_lost(self) -> None:
        """It ended, in whatever state."""
        self._lost(self._stream.errno)

    def pause_writing(self) -> None:
        """The upstream does not take what was sent."""
        self._blocked = True

    def resume_writing(self) -> None:
        """It has."""
        self._blocked = False
        if self._to is not None:
            self._to.credit(self._buffer)

    def _answer(self, to: Responder) -> int:
        """
        Look for the answer's head.

        @return: credit
        """
        reader = self._reader
        request = self._head
        assert request is not None
        extended = len(request.protocol) > 0
        method = b"GET" if extended else request.method
        while True:
            head = reader.head(method, request.upgrade or extended, request.lenient)
            if head is None:
                return 1
            status = head.status
            if extended:
                check(head, self._proof)
            if status >= 200:
                break
            if status == 101:
                if not self._whole:
                    raise Rejected("", 502, "upgrade", "101 before the request was sent")
                self._tunnel(head, to)
                return 1
            self._informed += 1
            if self._informed > INFORMATIONAL:
                raise Rejected("", 502, "too_large", f"more than {INFORMATIONAL} informational answers")
            to.informational(head)
            if self._to is not to:
                return 1
        if status < 300 and method == b"CONNECT":
            # what follows has no framing (RFC 9110, 9.3.6)
            head.headers = [field for field in head.headers if kinds[field[0]] not in (LENGTH, ENCODING)]
            self._tunnel(head, to)
            return 1
        if status == 408 and self._used and not reader.keep_alive and self._whole and request.method in IDEMPOTENT:
            # what servers say to a connection that was idle for too long: it was said before the request came
            to.reset(UpstreamLost(self._endpoint, "", "before the request came", answered=False, reused=True))
            return 1
        self._answering = True
        entry = self._entry
        if entry is not None:
            entry.status = status
        body = reader.body()
        return to.respond(head, body, reader.done, reader.trailers)

    def _tunnel(self, head: Response, to: Responder) -> None:
        """The stream is somebody else's from now on."""
        if self._entry is not None:
            self._entry.became_tunnel(head.status)
        self._end(False)
        to.tunnel(head, self._stream, self._reader.take_rest())

    def _lost(self, errno: str) -> None:
        """
        The upstream's end, of which nobody was told before.

        @param errno: empty where it was an orderly one
        """
        if self._ended:
            return
        to, reader, endpoint = self._to, self._reader, self._endpoint
        if to is None:
            self._end(False)
            return
        silent = not (self._answering or reader.buffered or self._informed)
        entry = self._entry
        self._end(silent and self._used)
        try:
            if self._answering and (reader.done or (not errno and reader.eof())):
                to.data(b"", True, NO_TRAILERS)
                return
            if silent:
                unsent = self._stream.bytes_out == self._before
                error = UpstreamLost(endpoint, errno, "without an answer", False, unsent, self._used)
            elif not self._answering:
                error = UpstreamLost(endpoint, errno, "in the middle of its answer's head")
            else:
                error = UpstreamLost(endpoint, errno, "in the middle of its answer")
            if not error.reused and entry is not None:
                error.elsewhere = entry.failed(error)
            to.reset(error)
        except BaseException as e:
            if self._to is not to:
                raise
            to.reset(e)
