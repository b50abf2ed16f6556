# -*- test-case-name: tests.protocols.http.h1.test_lenient -*-
"""
Answers of a service that is C{lenient}, put right before they are looked at.

What RFC 9112 lets a recipient pass over, and others do: a bare LF as a line's end (2.2), folded fields (5.2), equal
Content-Lengths (6.3), Content-Length beside chunked (6.1), chunked in HTTP/1.0 (6.1). Nothing of it goes on to a
client: what comes out is a head as it should have been, which is then judged like any other.
"""

from __future__ import annotations

import re

#: where a head ends
END = re.compile(rb"\r?\n\r?\n")
#: a line's end that the next line continues
FOLD = re.compile(rb"[ \t]*\r\n[ \t]+")
BARE = re.compile(rb"(?<!\r)\n")


def end_of_head(buffer: bytes, at: int) -> int:
    """The offset behind the head that begins at C{at}; -1 where it is not whole."""
    match = END.search(buffer, at)
    return match.end() if match is not None else -1


def put_right(head: bytes) -> tuple[bytes, bool]:
    """
    C{head}, which is whole, as it should be.

    @return: that, and whether its connection cannot be trusted with another, as others may have seen another end of it
    """
    text = FOLD.sub(b" ", BARE.sub(b"\r\n", head))
    line, *fields = text.removesuffix(b"\r\n\r\n").split(b"\r\n")
    lengths = [field for field in fields if _named(field, b"content-length")]
    chunked = [field for field in fields if _named(field, b"transfer-encoding")]
    last = False
    if chunked and (lengths or line.startswith(b"HTTP/1.0 ")):
        last = True
        fields = [field for field in fields if field not in lengths]
        line = line.replace(b"HTTP/1.0 ", b"HTTP/1.1 ", 1)
    elif lengths:
        values = {value.strip(b" \t") for field in lengths for value in field.partition(b":")[2].split(b",")}
        if len(values) == 1:
            at = fields.index(lengths[0])
            fields = [field for field in fields if field not in lengths]
            fields.insert(at, b"Content-Length: " + values.pop())
    return b"\r\n".join([line, *fields, b"", b""]), last


def _named(field: bytes, lower: bytes) -> bool:
    return field.partition(b":")[0].rstrip(b" \t").lower() == lower
