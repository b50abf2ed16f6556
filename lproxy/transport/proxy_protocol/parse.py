# -*- test-case-name: tests.transport.proxy_protocol.test_parse -*-
"""
Read a header of either version. What is not the beginning of one is no header, as soon as that can be told.
"""

from __future__ import annotations

from typing import Final

from lproxy.transport.proxy_protocol import v1, v2
from lproxy.transport.proxy_protocol.header import Header, Missing
from lproxy.verdict import NeedMore

#: bytes in which there is a whole header, if there is one
LONGEST: Final = max(v1.LONGEST, v2.LONGEST)


def parse(prefix: bytes) -> Header | NeedMore:
    """
    The header that C{prefix}, all that was read so far, begins with. Every byte of one that needs more is the header's.

    @raise Missing: it begins with none
    @raise Malformed: with one that may not be taken
    """
    if prefix.startswith(v2.SIGNATURE):
        return v2.parse(prefix)
    if prefix.startswith(v1.SIGNATURE):
        return v1.parse(prefix)
    if v2.SIGNATURE.startswith(prefix) or v1.SIGNATURE.startswith(prefix):
        return NeedMore(v1.SHORTEST if prefix else 1)
    raise Missing(f"it begins with 0x{prefix[:4].hex()}")
