# -*- test-case-name: tests.protocols.http.test_digits -*-
"""
Random hexadecimal digits, for ids. The system is asked for thousands at a time.
"""

from __future__ import annotations

import re
from binascii import hexlify
from os import urandom
from typing import Final

#: bytes of randomness at a time
POOL: Final = 4096
_VARIANT: Final = (b"8", b"9", b"a", b"b")
_TRACE_ID: Final = re.compile(rb".{32}")


class Digits:
    """Lower case hexadecimal digits, none given twice."""

    __slots__ = ("_at", "_pool")

    def __init__(self) -> None:
        self._pool = b""
        self._at = 0

    def take(self, n: int) -> bytes:
        """C{n} of them."""
        at = self._at
        if at + n > len(self._pool):
            self._pool = hexlify(urandom(POOL))
            at = 0
        self._at = at + n
        return self._pool[at : at + n]

    def trace_ids(self) -> list[bytes]:
        """Some of 32, to be used one by one: less than a tenth of the work of taking each by itself."""
        return _TRACE_ID.findall(hexlify(urandom(POOL)))

    def uuid(self) -> bytes:
        """A random UUID (RFC 9562, version 4)."""
        d = self.take(32)
        variant = _VARIANT[int(d[16:17], 16) & 3]
        return b"%b-%b-4%b-%b%b-%b" % (d[:8], d[8:12], d[13:16], variant, d[17:20], d[20:])
