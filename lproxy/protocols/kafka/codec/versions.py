# -*- test-case-name: tests.protocols.kafka.codec.test_versions -*-
"""
Narrow what a broker says it can do: the response to ApiVersions, with fewer APIs and lower newest versions.

Whoever is told so keeps to it: a client asks in the newest version that both sides know, and for nothing that the
broker does not list. Oldest versions are left alone: librdkafka takes a broker whose Produce does not begin at 0 for
one without compression (KAFKA-18659).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from struct import Struct
from typing import Final

from lproxy.protocols.kafka.codec.apis import API_VERSIONS, APIS
from lproxy.protocols.kafka.codec.header import Malformed
from lproxy.protocols.kafka.codec.wire import INT16, Truncated, array, encode_count, int16, skip_tags

#: the newest version of ApiVersions' response that is read here
NEWEST: Final = 4
UNSUPPORTED_VERSION: Final = 35

_ENTRY = Struct(">hhh")
_UNSUPPORTED = Struct(">hihhh")


def narrow(
    body: bytes,
    asked: int,
    limits: Mapping[int, int],
    hidden: Collection[int],
    allowed: Collection[int] | None = (),
) -> bytes:
    """
    A response to ApiVersions, so that nothing beyond C{limits} is asked for; itself, where it lists nothing beyond.

    Whoever asks in a version that is newer than L{NEWEST} is told so, as a broker would.

    @param body: the response without size and header
    @param asked: the version of the request. The response is in version 0 nevertheless where the broker did not know it
    @param limits: the newest version, by API key
    @param hidden: API keys that are not listed
    @param allowed: and those that are although lproxy does not know them; C{None}: all
    @raise Malformed: it is no such response
    """
    if int16(body, 0) == UNSUPPORTED_VERSION:
        asked = 0
    elif asked > NEWEST:
        return unsupported()
    flexible = APIS[API_VERSIONS].is_flexible(asked)
    count, at = array(body, 2, flexible, _ENTRY.size)
    first = at
    entries = []
    for _ in range(count):
        begin = at
        at += _ENTRY.size
        if at > len(body):
            raise Truncated(at)
        key, oldest, newest = _ENTRY.unpack_from(body, begin)
        if flexible:
            at = skip_tags(body, at)
        if key in hidden or not (key in APIS or allowed is None or key in allowed):
            continue
        entry = body[begin:at]
        limit = limits.get(key, newest)
        if limit < newest:
            if limit < oldest:
                continue
            entry = entry[:4] + INT16.pack(limit) + entry[6:]
        entries.append(entry)
    _check_tail(body, at, asked)
    head = body[:first] if len(entries) == count else body[:2] + encode_count(len(entries), flexible)
    narrowed = b"".join((head, *entries, body[at:]))
    return body if narrowed == body else narrowed


def _check_tail(body: bytes, at: int, version: int) -> None:
    """After the list stand the throttle time, from version 1 on, and tagged fields."""
    if version >= 1:
        at += 4
    if APIS[API_VERSIONS].is_flexible(version):
        at = skip_tags(body, at)
    if at != len(body):
        raise Malformed("a response to ApiVersions does not end where it should")


def unsupported(newest: int = NEWEST) -> bytes:
    """
    The body by which a broker says that it does not know ApiVersions in this version (KIP-511).

    @param newest: the version up to which it does; 0 is the one that everybody reads
    """
    return _UNSUPPORTED.pack(UNSUPPORTED_VERSION, 1, API_VERSIONS, 0, newest)
