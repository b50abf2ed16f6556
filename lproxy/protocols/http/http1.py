# -*- test-case-name: tests.protocols.http.test_http1 -*-
"""
HTTP/1 as bytes (RFC 9112): readers that take one message at a time, and encoders.

llhttp, by httptools, reads the heads: strictly, in C. It is shown exactly one head at a time, found by its empty line,
because that bounds what is read before it is judged, lets pipelined messages wait unread, and gives the exact
offset at which a body, a tunnel or the next message begins. What llhttp lets pass and RFC 9112 does not is
checked in L{lproxy.protocols.http.head}; why it refuses something is found out by L{lproxy.protocols.http.refuse}.
"""

from __future__ import annotations

from typing import Any

import httptools

from lproxy.config import Limits
from lproxy.protocols.http.chunked import ChunkedDecoder
from lproxy.protocols.http.head import make_request, make_response
from lproxy.protocols.http.message import CHUNKED, TOKEN, UNTIL_CLOSE, Headers, Rejected, Request, Response
from lproxy.protocols.http.refuse import incomplete, refuse_request, refuse_response

#: bodies up to this many bytes are shown to llhttp, which costs less than a new parser for the next head
PARSED_BODY = 4096


class MessageReader:
    """
    What requests and responses have in common: a buffer, and bodies.

    Give it bytes with L{feed}; take a head, then its body until C{done}, then the next head.

    @ivar done: whether the current message was read to its end
    """

    __slots__ = ("_buffer", "_chunks", "_headers", "_left", "_limits", "_parser", "_word", "done")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = b""
        self._left = 0
        self._chunks: ChunkedDecoder | None = None
        self._headers: Headers = []
        self._word = b""
        self._parser: Any = None
        self.done = True

    @property
    def buffered(self) -> int:
        """Bytes that were fed and not taken."""
        return len(self._buffer)

    @property
    def trailers(self) -> Headers:
        """What followed the body, once done."""
        return self._chunks.trailers if self._chunks is not None else []

    def feed(self, data: bytes) -> None:
        """C{data} came from the connection."""
        self._buffer = self._buffer + data if self._buffer else data

    def take_rest(self) -> bytes:
        """Everything that was not taken: it is another protocol's now."""
        rest, self._buffer = self._buffer, b""
        return rest

    def close(self) -> None:
        """The connection is gone: no more heads. The parser calls us back, and would be a cycle for the collector."""
        self._parser = None

    def body(self) -> bytes:
        """
        The piece of the body that is at hand, perhaps none.

        @raise Rejected: the chunked coding is broken
        """
        data = self._buffer
        left = self._left
        if left > 0:
            if len(data) > left:
                self._buffer = data[left:]
                data = data[:left]
            else:
                self._buffer = b""
            left -= len(data)
            self._left = left
            self.done = not left
            if self._parser is not None:
                self._parser.feed_data(data)
            return data
        if left == UNTIL_CLOSE:
            self._buffer = b""
            return data
        if self._chunks is not None and not self.done:
            data, self._buffer = self._chunks.decode(data)
            self.done = self._chunks.done
            return data
        return b""

    def _begin_body(self, framing: int) -> None:
        self._left = framing
        self.done = not framing
        if framing < 0 or framing > PARSED_BODY:
            # llhttp would take what comes next for this message's body
            self._parser = None
        if framing == CHUNKED:
            self._chunks = ChunkedDecoder(self._limits.chunk_line, self._limits.trailers)
        elif self._chunks is not None:
            self._chunks = None

    # llhttp's side

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by llhttp for each field line."""
        self._headers.append((name, value))


class RequestReader(MessageReader):
    """Reads requests from a client's connection."""

    __slots__ = ()

    def on_url(self, url: bytes) -> None:
        """Called by llhttp with the request-target."""
        self._word = url

    def head(self) -> Request | None:
        """
        The next request's head, or C{None} where more bytes are needed.

        @raise Rejected: with the status to answer, after which the connection is of no use
        """
        buffer = self._buffer
        if buffer[:2] == b"\r\n":
            # an empty line that some clients send behind a body: RFC 9112, 2.2
            buffer = self._buffer = buffer[2:]
        end = buffer.find(b"\r\n\r\n") + 4
        if end == 3:
            incomplete(buffer, self._limits)
            return None
        if end == len(buffer):
            head, self._buffer = buffer, b""
        else:
            head, self._buffer = buffer[:end], buffer[end:]
        headers: Headers = []
        self._headers = headers
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpRequestParser(self)
        method = b""
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            self._parser = None
        except httptools.HttpParserInvalidMethodError:
            # extension methods are legal (RFC 9110, 16.1); llhttp knows a list: it is shown another
            method = head[: head.find(b" ")]
            if not TOKEN.fullmatch(method):
                refuse_request(head, self._limits)
            headers.clear()
            parser = self._parser = httptools.HttpRequestParser(self)
            try:
                parser.feed_data(b"GET" + head[len(method) :])
            except httptools.HttpParserUpgrade:
                self._parser = None
            except httptools.HttpParserError:
                refuse_request(head, self._limits)
        except httptools.HttpParserError:
            refuse_request(head, self._limits)
        method = method or parser.get_method()
        url = self._word
        # llhttp is lenient with blanks, versions and the absence of one; this is the line as it must be
        if head.startswith(b"%b %b HTTP/1.1\r\n" % (method, url)):
            version = 11
        elif head.startswith(b"%b %b HTTP/1.0\r\n" % (method, url)):
            version = 10
        else:
            refuse_request(head, self._limits)
        limits = self._limits
        if end > limits.request_line or len(headers) > limits.header_count:
            incomplete(head, limits, len(headers))
        request = make_request(method, url, version, headers)
        framing = request.framing
        if framing and version == 10 and framing == CHUNKED:
            raise Rejected("", 400, "te_http10", "Transfer-Encoding in HTTP/1.0")
        self._begin_body(framing)
        return request


class ResponseReader(MessageReader):
    """Reads the responses of an upstream's connection, each for a request that was sent on it."""

    __slots__ = ()

    def on_status(self, reason: bytes) -> None:
        """Called by llhttp with the reason phrase."""
        self._word = reason

    def head(self, method: bytes, upgrading: bool) -> Response | None:
        """
        The next response's head, or C{None} where more bytes are needed.

        @param method: of the request that it answers
        @param upgrading: whether that asked for another protocol
        @raise Rejected: it is no response to that
        """
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n") + 4
        limits = self._limits
        if end == 3:
            if len(buffer) > limits.headers + limits.request_line:
                raise Rejected("", 502, "too_large", f"the response's head is longer than {limits.headers} bytes")
            if not buffer.startswith(b"HTTP/1."[: len(buffer)]) or b"\n" in buffer.replace(b"\r\n", b""):
                refuse_response(buffer)
            return None
        if end > limits.headers + limits.request_line:
            raise Rejected("", 502, "too_large", f"the response's head is longer than {limits.headers} bytes")
        if end == len(buffer):
            head, self._buffer = buffer, b""
        else:
            head, self._buffer = buffer[:end], buffer[end:]
        headers: Headers = []
        self._headers = headers
        self._word = b""
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpResponseParser(self)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            self._parser = None
        except httptools.HttpParserError:
            refuse_response(head)
        status = parser.get_status_code()
        if head.startswith(b"HTTP/1.1 "):
            version = 11
        elif head.startswith(b"HTTP/1.0 "):
            version = 10
        else:
            refuse_response(head)
        if len(headers) > limits.header_count:
            raise Rejected("", 502, "too_large", f"the response has more than {limits.header_count} fields")
        response = make_response(status, self._word, version, headers, method, upgrading)
        framing = response.framing
        self._begin_body(framing)
        if method == b"HEAD" or method == b"CONNECT":
            # llhttp does not know the method: it waits for a body
            self._parser = None
        return response

    def eof(self) -> bool:
        """
        The connection ended.

        @return: whether the current message ended with it, as some do
        """
        if self._left == UNTIL_CLOSE:
            self.done = True
            self._left = 0
        return self.done


def encode_request(request: Request) -> bytes:
    """A request's head as HTTP/1.1."""
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (
        request.method,
        request.target,
        b"".join([b"%b: %b\r\n" % field for field in request.headers]),
    )


def encode_response(response: Response, extra: bytes = b"") -> bytes:
    """
    A response's head as HTTP/1.1.

    @param extra: field lines to add, each ended by CRLF
    """
    return b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (
        response.status,
        response.reason,
        b"".join([b"%b: %b\r\n" % field for field in response.headers]),
        extra,
    )
