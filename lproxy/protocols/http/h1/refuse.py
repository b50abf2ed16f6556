# -*- test-case-name: tests.protocols.http.h1.test_refuse -*-
"""
Why a head is refused: the status, the word it is counted under, and what to tell its sender.

Off the data path: asked where llhttp or the reader has said no already, and for heads that are not whole yet.
"""

from __future__ import annotations

import re
from typing import NoReturn

from lproxy.config import Limits
from lproxy.protocols.http.message import FIELD_VALUE, TOKEN, Rejected

BARE_LF = re.compile(rb"(?<!\r)\n")
STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?")
REQUEST_LINE = re.compile(rb"([^ \t\r\n]+) ([^ \t\r\n]+) HTTP/([0-9])\.([0-9])")
#: a length that int() may see; twice the digits of any real one
DIGITS = 18
URI = re.compile(rb"[\x21-\x7e]+")


def incomplete(head: bytes, limits: Limits, count: int = 0) -> None:
    """
    Judge what there is of a head that is not whole, or may be too large.

    @raise Rejected: it will never do
    """
    eol = head.find(b"\r\n")
    line = head[:eol] if eol >= 0 else head
    if len(line) > limits.request_line:
        raise Rejected("", 414, "too_large", f"the request line is longer than {limits.request_line} bytes")
    if BARE_LF.search(head):
        raise _bad("bare_lf", "a line ends with a bare LF")
    if eol >= 0:
        _request_line(line)
    elif b"\0" in line or not (line[:1].isalpha() or TOKEN.match(line) or line in (b"", b"\r")):
        raise _bad("req_line", f"not a request line: {line[:80]!r}")
    if len(head) - len(line) > limits.headers + 4:
        raise Rejected("", 431, "too_large", f"the header block is longer than {limits.headers} bytes")
    if count > limits.header_count:
        raise Rejected("", 431, "too_large", f"{count} header fields, more than {limits.header_count}")


def refuse_request(head: bytes, limits: Limits) -> NoReturn:
    """
    Find what is wrong with a request's head.

    @raise Rejected: always
    """
    incomplete(head, limits)
    _fields(head)
    _framing(head)
    raise _bad("req_line", "not an HTTP/1 request")


def refuse_response(head: bytes) -> NoReturn:
    """
    Say what is wrong with a response's head.

    @raise Rejected: always
    """
    line = head.partition(b"\n")[0].removesuffix(b"\r")
    if STATUS_LINE.fullmatch(line):
        if BARE_LF.search(head):
            raise Rejected("", 502, "bare_lf", f"a line ends with a bare LF, behind {line[:80]!r}")
        if head.endswith(b"\r\n\r\n"):
            _fields(head)
            _framing(head)
    raise Rejected("", 502, "malformed", f"not an HTTP/1 response: {line[:80]!r}")


def _bad(reason: str, detail: str) -> Rejected:
    return Rejected("", 400, reason, detail)


def _request_line(line: bytes) -> None:
    match = REQUEST_LINE.fullmatch(line)
    if match is None or not TOKEN.fullmatch(match[1]):
        if re.search(rb"[\x80-\xff]", line) and re.fullmatch(rb"[^ \t]+ [^ \t]+ HTTP/[0-9]\.[0-9]", line):
            raise _bad("hdr_value", "8-bit characters in the request line")
        raise _bad("bare_cr" if b"\r" in line else "req_line", f"not a request line: {line[:80]!r}")
    if not URI.fullmatch(match[2]):
        raise _bad("hdr_value", f"characters that no URI has: {match[2][:80]!r}")
    if match[3] != b"1":
        raise Rejected("", 505, "req_line", f"HTTP/{match[3].decode()}.{match[4].decode()} is not spoken here")
    if match[4] not in (b"0", b"1"):
        raise _bad("req_line", f"there is no HTTP/1.{match[4].decode()}")


def _fields(head: bytes) -> None:
    for line in head.split(b"\r\n")[1:-2]:
        name, colon, value = line.partition(b":")
        if line[:1] in (b" ", b"\t"):
            raise _bad("obs_fold", "a folded header line")
        if not colon or not TOKEN.fullmatch(name):
            raise _bad("hdr_name", f"not a header field: {line[:80]!r}")
        if b"\r" in value:
            raise _bad("bare_cr", f"a bare CR in {name[:40]!r}")
        if not FIELD_VALUE.fullmatch(value):
            raise _bad("hdr_value", f"a control character in {name[:40]!r}")


def _framing(head: bytes) -> None:
    """What is wrong with the fields that say where the message ends."""
    lengths: list[bytes] = []
    encodings: list[bytes] = []
    for line in head.split(b"\r\n")[1:-2]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            lengths.append(value.strip(b" \t"))
        elif name.lower() == b"transfer-encoding":
            encodings.append(value.strip(b" \t").lower())
    if lengths and encodings:
        raise _bad("cl_te", "Content-Length and Transfer-Encoding")
    if len(lengths) > 1 or any(b"," in length for length in lengths):
        raise _bad("cl_dup", "more than one Content-Length")
    if lengths and (not lengths[0].isdigit() or len(lengths[0]) > DIGITS):
        raise _bad("cl_bad", f"Content-Length {lengths[0][:40]!r}")
    if encodings:
        if b" HTTP/1.0\r\n" in head:
            raise _bad("te_http10", "Transfer-Encoding in HTTP/1.0")
        if encodings != [b"chunked"]:
            raise Rejected("", 501, "te_unknown", f"Transfer-Encoding {encodings[0][:40]!r} is not understood")
