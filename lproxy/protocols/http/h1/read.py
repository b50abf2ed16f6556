# -*- test-case-name: tests.protocols.http.h1.test_read -*-
"""
HTTP/1 as it is read (RFC 9112): one message at a time.

llhttp, by httptools, reads the heads: strictly, in C. It is shown exactly one head at a time, found by its empty line,
because that bounds what is read before it is judged, lets pipelined messages wait unread, and gives the exact
offset at which a body, a tunnel or the next message begins. What llhttp lets pass and RFC 9112 does not is
checked in L{lproxy.protocols.http.h1.head}; why it refuses something is found out by
L{lproxy.protocols.http.h1.refuse}.

Over 300 lines: both directions of one reader.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

import httptools

from lproxy.config import Limits
from lproxy.protocols.http.h1.chunked import ChunkedDecoder
from lproxy.protocols.http.h1.head import make_request, make_response
from lproxy.protocols.http.h1.lenient import end_of_head, put_right
from lproxy.protocols.http.h1.refuse import incomplete, refuse_request, refuse_response
from lproxy.protocols.http.message import (
    CHUNKED,
    FIELD_VALUE,
    NO_TRAILERS,
    TOKEN,
    UNTIL_CLOSE,
    Headers,
    Rejected,
    Request,
    Response,
)

#: bodies up to this many bytes are shown to llhttp, which costs less than a new parser for the next head
PARSED_BODY: Final = 4096
#: blanks behind a transfer coding are no part of it (RFC 9110, 5.5); llhttp does not take all of them for such
CODING = re.compile(rb"(\r\ntransfer-encoding:[ \t]*[^ \t\r\n]+)[ \t]+(?=\r\n)", re.IGNORECASE)
#: a name and its colon, and blanks between them
SPACED = re.compile(rb"(\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]+:")
#: most answers say one of these
REASONS = frozenset(status.phrase.encode("ascii") for status in HTTPStatus) | {b""}


class MessageReader:
    """
    What requests and responses have in common: a buffer, and bodies.

    Give it bytes with L{feed}; take a head, then its body until C{done}, then the next head.

    What was taken stays in the buffer, behind an offset, until more is fed: a burst of pipelined messages is not
    moved for each of them.

    @ivar buffered: bytes that were fed and not taken
    @ivar done: whether the current message was read to its end
    @ivar trailers: what followed the body, once done
    @ivar version: of the current message, 10 or 11
    @ivar keep_alive: whether its connection can be used for another, as far as its sender is concerned
    """

    __slots__ = (
        "_at",
        "_buffer",
        "_chunks",
        "_headers",
        "_left",
        "_limits",
        "_parser",
        "_word",
        "buffered",
        "done",
        "keep_alive",
        "trailers",
        "version",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = b""
        self._at = 0
        self._left = 0
        self._chunks: ChunkedDecoder | None = None
        self._headers: Headers = []
        self._word = b""
        self._parser: Any = None
        self.buffered = 0
        self.done = True
        self.trailers = NO_TRAILERS
        self.version = 11
        self.keep_alive = True

    def feed(self, data: bytes) -> None:
        """C{data} came from the connection."""
        if self.buffered:
            self._buffer = self._buffer[self._at :] + data
        else:
            self._buffer = data
        self._at = 0
        self.buffered += len(data)

    def take_rest(self) -> bytes:
        """Everything that was not taken: it is another protocol's now."""
        rest = self._buffer[self._at :]
        self._buffer = b""
        self._at = self.buffered = 0
        return rest

    def close(self) -> None:
        """The connection is gone: no more heads. The parser calls us back, and would be a cycle for the collector."""
        self._parser = None

    def body(self) -> bytes:
        """
        The piece of the body that is at hand, perhaps none.

        @raise Rejected: the chunked coding is broken
        """
        left = self._left
        if left > 0:
            buffered = self.buffered
            if left == buffered:
                # by far the most bodies come with their head, and alone
                data = self._buffer[self._at :]
                self._buffer = b""
                self._at = self.buffered = self._left = 0
                self.done = True
            else:
                data = self._take(left if left < buffered else buffered)
                left -= len(data)
                self._left = left
                self.done = not left
            if self._parser is not None:
                self._parser.feed_data(data)
            return data
        if left == UNTIL_CLOSE:
            return self._take(self.buffered)
        chunks = self._chunks
        if chunks is not None and not self.done:
            data, rest = chunks.decode(self._take(self.buffered))
            self._buffer = rest
            self._at = 0
            self.buffered = len(rest)
            if chunks.done:
                self.done = True
                self.trailers = chunks.trailers
            return data
        return b""

    def _take(self, size: int) -> bytes:
        """The next C{size} bytes, which are there."""
        buffer, at = self._buffer, self._at
        self.buffered -= size
        if not self.buffered:
            self._buffer = b""
            self._at = 0
            return buffer[at:] if at else buffer
        end = at + size
        self._at = end
        return buffer[at:end]

    def _begin_body(self, framing: int, padded: bool) -> None:
        self._left = framing
        self.done = not framing
        if framing < 0 or framing > PARSED_BODY:
            # llhttp would take what comes next for this message's body
            self._parser = None
        if framing == CHUNKED:
            self._chunks = ChunkedDecoder(self._limits.chunk_line, self._limits.trailers, padded)
        elif self._chunks is not None:
            self._chunks = None
            self.trailers = NO_TRAILERS

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
        if not self.buffered:
            return None
        while self._buffer.startswith(b"\r\n", self._at):
            # empty lines that some clients send behind a body: RFC 9112, 2.2
            self._take(2)
            if not self.buffered:
                return None
        buffer, at = self._buffer, self._at
        size = buffer.find(b"\r\n\r\n", at) + 4 - at
        if size < 4:
            incomplete(buffer[at:], self._limits)
            return None
        if size == self.buffered and not at:
            head = buffer
            self._buffer = b""
            self.buffered = 0
        else:
            head = self._take(size)
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
            tidied = CODING.sub(rb"\1", head)
            if tidied == head:
                refuse_request(head, self._limits)
            headers.clear()
            parser = self._parser = httptools.HttpRequestParser(self)
            try:
                parser.feed_data(tidied)
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
        if size > limits.request_line or len(headers) > limits.header_count:
            incomplete(head, limits, len(headers))
        # an idle connection keeps no fields
        self._headers = NO_TRAILERS
        request, self.keep_alive = make_request(method, url, version, headers)
        framing = request.framing
        if framing == CHUNKED and version == 10:
            raise Rejected("", 400, "te_http10", "Transfer-Encoding in HTTP/1.0")
        self.version = version
        if framing or self._chunks is not None:
            self._begin_body(framing, False)
        return request


class ResponseReader(MessageReader):
    """Reads the responses of an upstream's connection, each for a request that was sent on it."""

    __slots__ = ()

    def on_status(self, reason: bytes) -> None:
        """Called by llhttp with the reason phrase."""
        self._word = reason

    def head(self, method: bytes, upgrading: bool, lenient: bool = False) -> Response | None:
        """
        The next response's head, or C{None} where more bytes are needed.

        @param method: of the request that it answers
        @param upgrading: whether that asked for another protocol
        @param lenient: whether what can be put right is
        @raise Rejected: it is no response to that
        """
        if not self.buffered:
            return None
        buffer, at = self._buffer, self._at
        size = (end_of_head(buffer, at) if lenient else buffer.find(b"\r\n\r\n", at) + 4) - at
        limits = self._limits
        if size < 4:
            seen = buffer[at:]
            if len(seen) > limits.headers + limits.request_line:
                raise Rejected("", 502, "too_large", f"the response's head is longer than {limits.headers} bytes")
            if not seen.startswith(b"HTTP/1."[: len(seen)]) or (b"\n" in seen.replace(b"\r\n", b"") and not lenient):
                refuse_response(seen)
            return None
        if size > limits.headers + limits.request_line:
            raise Rejected("", 502, "too_large", f"the response's head is longer than {limits.headers} bytes")
        # what is left of the buffer belongs to what follows
        self._at = at = at + size
        self.buffered -= size
        head = buffer[at - size : at]
        if not self.buffered:
            self._buffer = b""
            self._at = 0
        last = False
        if lenient:
            head, last = put_right(head)
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
            # blanks between a name and its colon are a proxy's to remove (RFC 9112, 5.1)
            tidied = SPACED.sub(rb"\1:", head)
            if tidied == head:
                refuse_response(head)
            headers.clear()
            parser = self._parser = httptools.HttpResponseParser(self)
            try:
                parser.feed_data(tidied)
            except httptools.HttpParserUpgrade:
                self._parser = None
            except httptools.HttpParserError:
                refuse_response(tidied)
        status = parser.get_status_code()
        if head.startswith(b"HTTP/1.1 "):
            version = 11
        elif head.startswith(b"HTTP/1.0 "):
            version = 10
        else:
            refuse_response(head)
        if len(headers) > limits.header_count:
            raise Rejected("", 502, "too_large", f"the response has more than {limits.header_count} fields")
        self._headers = NO_TRAILERS
        if status < 100:
            raise Rejected("", 502, "malformed", f"status {status} is none")
        if self._word not in REASONS and not FIELD_VALUE.fullmatch(self._word):
            raise Rejected("", 502, "malformed", f"control characters in the reason phrase: {self._word[:40]!r}")
        response, self.keep_alive = make_response(status, self._word, version, headers, method, upgrading)
        if last:
            self.keep_alive = False
        self.version = version
        framing = response.framing
        if 0 < framing <= PARSED_BODY and self._chunks is None:
            self._left = framing
            self.done = False
        elif framing or self._chunks is not None:
            self._begin_body(framing, True)
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
