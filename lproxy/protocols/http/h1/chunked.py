# -*- test-case-name: tests.protocols.http.h1.test_chunked -*-
"""
The chunked transfer coding (RFC 9112, 7.1), strictly, and bounded in every line.

Ours because httptools can neither stop at a message's end nor bound a chunk's extensions.
"""

from __future__ import annotations

import re

from lproxy.protocols.http.message import FIELD_VALUE, TOKEN, Headers, Rejected, trailer_fields

#: hex digits only: int(x, 16) alone takes signs, blanks, underscores and 0x. Fifteen digits are a petabyte; zeros
#: before them, and blanks before an extension, are the grammar's (RFC 9112, 7.1 and 7.1.1)
SIZE = re.compile(rb"0*([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
#: as servers write it, of which some pad it with blanks
PADDED = re.compile(rb"0*([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")

LAST = b"0\r\n\r\n"


def encode(data: bytes) -> bytes:
    """One chunk of C{data}, which must not be empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def encode_end(trailers: Headers) -> bytes:
    """The last chunk and what follows it."""
    if not trailers:
        return LAST
    return b"0\r\n" + b"".join([b"%b: %b\r\n" % field for field in trailers]) + b"\r\n"


def encode_piece(data: bytes, end: bool, trailers: Headers) -> bytes:
    """C{data}, perhaps nothing, and the end where it is the last."""
    chunk = encode(data) if data else b""
    return chunk + encode_end(trailers) if end else chunk


class ChunkedDecoder:
    """
    One body.

    @ivar done: whether its end was read
    @ivar trailers: fields after the last chunk that may be passed on, once done
    """

    __slots__ = ("_end_due", "_left", "_limit", "_size_line", "_trailer_limit", "_trailing", "done", "trailers")

    def __init__(self, line_limit: int, trailer_limit: int, padded: bool = False) -> None:
        """
        @param padded: whether blanks may follow a size, as in answers
        """
        self._size_line = PADDED if padded else SIZE
        self._limit = line_limit
        self._trailer_limit = trailer_limit
        self._left = 0
        self._end_due = False  # the CRLF behind a chunk's data
        self._trailing = False
        self.done = False
        self.trailers: Headers = []

    def decode(self, buffer: bytes) -> tuple[bytes, bytes]:
        """
        @param buffer: what was left by the call before, and what came since
        @return: the data in it, and what could not be used yet: part of a line, or what follows the body
        @raise Rejected: C{chunk_size}, C{chunk_end}, C{bare_lf}, C{bare_cr}, C{hdr_name}, C{hdr_value}, C{too_large}
        """
        pieces: list[bytes] = []
        at = 0
        end = len(buffer)
        while at < end and not self.done:
            if self._left:
                piece = buffer[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
            elif self._end_due:
                crlf = buffer[at : at + 2]
                if not b"\r\n".startswith(crlf):
                    raise _bad("bare_lf" if crlf[:1] == b"\n" else "chunk_end", "chunk data does not end with CRLF")
                if len(crlf) < 2:
                    break
                at += 2
                self._end_due = False
            elif self._trailing:
                used = self._trailers(buffer, at)
                if not used:
                    break
                at += used
            else:
                used = self._size(buffer, at)
                if not used:
                    break
                at += used
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return data, buffer[at:]

    def _size(self, buffer: bytes, at: int) -> int:
        eol = buffer.find(b"\r\n", at, at + self._limit + 2)
        line = buffer[at:eol] if eol >= 0 else buffer[at : at + self._limit + 2]
        if b"\n" in line:
            raise _bad("bare_lf", "a chunk-size line ends with a bare LF")
        if eol < 0:
            if len(line) > self._limit + 1:
                raise _bad("too_large", f"a chunk-size line is longer than {self._limit} bytes")
            # blanks at its end may be followed by an extension
            line = line.removesuffix(b"\r").rstrip(b" \t")
            if line:
                self._parse(line)
            return 0
        match = self._parse(line)
        size = int(match[1], 16)
        if size:
            self._left = size
            self._end_due = True
        else:
            self._trailing = True
        return len(line) + 2

    def _parse(self, line: bytes) -> re.Match[bytes]:
        match = self._size_line.fullmatch(line)
        if match is None:
            raise _bad("bare_cr" if b"\r" in line else "chunk_size", f"not a chunk size: {line[:40]!r}")
        return match

    def _trailers(self, buffer: bytes, at: int) -> int:
        if buffer.startswith(b"\r\n", at):
            self.done = True
            return 2
        end = buffer.find(b"\r\n\r\n", at, at + self._trailer_limit + 4)
        block = buffer[at:end] if end >= 0 else buffer[at : at + self._trailer_limit + 4]
        if re.search(rb"(?<!\r)\n", block):
            raise _bad("bare_lf", "a trailer line ends with a bare LF")
        if end < 0:
            if len(block) >= self._trailer_limit + 4:
                raise _bad("too_large", f"trailers are longer than {self._trailer_limit} bytes")
            return 0
        self.trailers = trailer_fields([_field(line) for line in block.split(b"\r\n")])
        self.done = True
        return len(block) + 4


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if line[:1] in (b" ", b"\t"):
        raise _bad("obs_fold", "a folded trailer line")
    if not colon or not TOKEN.fullmatch(name):
        raise _bad("hdr_name", f"not a trailer field: {line[:40]!r}")
    if not FIELD_VALUE.fullmatch(value):
        raise _bad("bare_cr" if b"\r" in value else "hdr_value", f"a control character in trailer {name[:40]!r}")
    return name, value.strip(b" \t")


def _bad(reason: str, detail: str) -> Rejected:
    return Rejected("", 400, reason, detail)
