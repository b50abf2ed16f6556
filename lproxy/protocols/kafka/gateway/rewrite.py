# -*- test-case-name: tests.protocols.kafka.gateway.test_rewrite -*-
"""
Put other addresses for those of the brokers into Kafka's answers, and leave every other byte as it is.

Bodies are walked, not decoded: what is not an address, unknown tagged fields included, is copied as it came. Nobody is
asked for an address before all of them are found and the answer has proved well-formed, so that what is forged binds
nothing. All functions take the body of an answer, without size and header, and the version of its request.

Over 300 lines: five answers, and one way to find brokers in them and to put others in their place.

Source: the message schemas of Apache Kafka 4.1 (C{MetadataResponse.json} and so on), KIP-951 for node endpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from lproxy.protocols.kafka.codec.apis import (
    APIS,
    DESCRIBE_CLUSTER,
    FIND_COORDINATOR,
    METADATA,
    PRODUCE,
)
from lproxy.protocols.kafka.codec.header import Malformed
from lproxy.protocols.kafka.codec.wire import (
    INT16,
    INT32,
    Truncated,
    array,
    encode_count,
    encode_string,
    encode_uvarint,
    int32,
    skip_string,
    skip_tags,
    string,
    uvarint,
)

#: a broker's node id, host and port: where clients shall find it, C{None}: nowhere. What it raises passes through
Translate = Callable[[int, str, int], tuple[str, int] | None]

#: the newest version of each that is walked here. Not from the table of APIs: what that learns, this cannot do yet
NEWEST = {PRODUCE: 13, METADATA: 13, FIND_COORDINATOR: 6, DESCRIBE_CLUSTER: 2}
#: the first version of Produce whose answer may name nodes
PRODUCE_NODES = 10
#: and the first that names topics by an id, of so many bytes
PRODUCE_IDS, TOPIC_ID = 13, 16

#: no cluster has more; Kafka's own limits end at some hundreds
MOST_BROKERS = 10_000
#: DescribeCluster tells of brokers, not of controllers
BROKERS = b"\x01"

#: what a partition has before its errors: index, error code, base offset, append time, start offset
_FIXED = 30
#: no record errors, no error message, no tags: nearly every partition ends so
_WELL = b"\x01\x00\x00"
_PARTITION = _FIXED + len(_WELL)
_NO_TAGS = b"\x00"

#: the node id and the error of a coordinator that there is not now (COORDINATOR_NOT_AVAILABLE)
NOBODY = INT32.pack(-1)
NOT_AVAILABLE = INT16.pack(15)


class Found(NamedTuple):
    """A broker: where its node id begins, host and port, and after its port; and what they are."""

    begin: int
    start: int
    end: int
    node: int
    host: str
    port: int


class List(NamedTuple):
    """A list of brokers: where it begins, where its first element does, and where each ends."""

    begin: int
    first: int
    ends: list[int]


#: what stands in the place of the bytes between two positions
Edit = tuple[int, int, bytes]


class Unsupported(Malformed):
    """An answer that may hold addresses of which nothing is known here."""


def metadata(body: bytes, version: int, size: int, translate: Translate) -> tuple[int, bytes] | None:
    """
    Rewrite the list of brokers, which stands before the topics: those may be many and are not looked at.

    @param body: what has come of it, from its first byte on
    @param size: how long it will be
    @return: how many bytes are read, and what goes in their place; C{None} where the list is not complete yet
    @raise Malformed: it cannot become a list of brokers, whatever comes
    """
    flexible = _flexible(METADATA, version)
    found: list[Found | None] = []
    begin = 4 if version >= 3 else 0
    try:
        # node, host, port, rack, tags
        least = 11 if flexible else 12 if version >= 1 else 10
        brokers, at = array(body, begin, flexible, least)
        listed = List(begin, at, [])
        for _ in range(_bounded(brokers)):
            at = _broker(body, at, flexible, found)
            if version >= 1:
                at = skip_string(body, at, flexible)
            if flexible:
                at = skip_tags(body, at)
            listed.ends.append(at)
    except Truncated as e:
        if e.end > size:
            raise
        return None
    return at, _replace_listed(body[:at], listed, found, flexible, translate)


def find_coordinator(body: bytes, version: int, translate: Translate) -> bytes:
    """Rewrite the coordinators, or the one there was before version 4. One that is nowhere is not available now."""
    flexible = _flexible(FIND_COORDINATOR, version)
    found: list[Found | None] = []
    if version >= 4:
        # key, node, host, port, error, message, tags
        coordinators, at = array(body, 4, True, 14)
        for _ in range(coordinators):
            at = _broker(body, skip_string(body, at, True), True, found) + 2
            at = skip_tags(body, skip_string(body, at, True))
    else:
        # throttle time and error; the error alone
        at = skip_string(body, 6, flexible) if version >= 1 else 2
        at = _broker(body, at, flexible, found)
    if flexible:
        at = skip_tags(body, at)
    check_end(body, at)
    edits: list[Edit] = []
    for one in found:
        told = translate(one.node, one.host, one.port) if one is not None else None
        if one is not None and told is not None:
            edits.append((one.start, one.end, encode_address(told, flexible)))
        elif one is not None and version >= 4:
            edits.append((one.begin, one.end + 2, NOBODY + encode_address(("", -1), True) + NOT_AVAILABLE))
        elif one is not None:
            error = 4 if version >= 1 else 0
            edits.append((error, error + 2, NOT_AVAILABLE))
            edits.append((one.begin, one.end, NOBODY + encode_address(("", -1), flexible)))
    return edited(body, edits)


def describe_cluster(body: bytes, version: int, translate: Translate) -> bytes:
    """Rewrite the cluster's brokers. Controllers have addresses of another kind, for which there is no place."""
    _flexible(DESCRIBE_CLUSTER, version)
    found: list[Found | None] = []
    # throttle time and error, then the error's message
    at = skip_string(body, 6, True)
    if version >= 1:
        if body[at : at + 1] != BROKERS:
            raise Unsupported("it is about controllers, or the like")
        at += 1
    # the cluster's id, and who controls it
    at = skip_string(body, at, True) + 4
    fenced = 1 if version >= 2 else 0
    # node, host, port, rack, fenced, tags
    begin = at
    brokers, at = array(body, at, True, 11 + fenced)
    listed = List(begin, at, [])
    for _ in range(_bounded(brokers)):
        at = skip_string(body, _broker(body, at, True, found), True) + fenced
        at = skip_tags(body, at)
        listed.ends.append(at)
    # authorized operations
    at = skip_tags(body, at + 4)
    check_end(body, at)
    return _replace_listed(body, listed, found, True, translate)


def produce(body: bytes, version: int, translate: Translate) -> bytes:
    """
    Rewrite the endpoints of new leaders; a body without them is returned itself.

    One comes for every batch of records, so this is written for the one that says that all went well.
    """
    if version < PRODUCE_NODES:
        return body
    _flexible(PRODUCE, version)
    # topic, partitions, tags
    topics, at = array(body, 0, True, 3)
    for _ in range(topics):
        at = at + TOPIC_ID if version >= PRODUCE_IDS else skip_string(body, at, True)
        partitions, at = array(body, at, True, _PARTITION)
        for _ in range(partitions):
            if body[at + _FIXED : at + _PARTITION] == _WELL:
                at += _PARTITION
            else:
                at = _after_partition(body, at)
        at = at + 1 if body[at : at + 1] == _NO_TAGS else skip_tags(body, at)
    # the throttle time
    at += 4
    return body if body[at:] == _NO_TAGS else _endpoints(body, at, translate)


def _after_partition(body: bytes, at: int) -> int:
    """Where the partition at C{at} ends, about which there is more to say."""
    # index, message, tags
    errors, at = array(body, at + _FIXED, True, 6)
    for _ in range(errors):
        at = skip_tags(body, skip_string(body, at + 4, True))
    # its tag 0 is the new leader: an id, no address
    return skip_tags(body, skip_string(body, at, True))


def _endpoints(body: bytes, at: int, translate: Translate) -> bytes:
    """Rewrite tag 0 of the tags at C{at}, with which the answer ends. A client takes the last, if there are several."""
    fields = []
    left, at = uvarint(body, at)
    for _ in range(left):
        tag, sized = uvarint(body, at)
        size, start = uvarint(body, sized)
        at = start + size
        if tag == 0:
            fields.append((sized, start, at))
    check_end(body, at)
    pieces: list[bytes] = []
    copied = 0
    for sized, start, end in fields:
        field = body[start:end]
        nodes = _nodes(field, translate)
        if nodes is not field:
            pieces += body[copied:sized], encode_uvarint(len(nodes)), nodes
            copied = end
    if not pieces:
        return body
    pieces.append(body[copied:])
    return b"".join(pieces)


def _nodes(field: bytes, translate: Translate) -> bytes:
    """Rewrite the content of a tagged field that is an array of nodes."""
    found: list[Found | None] = []
    # node, host, port, rack, tags
    nodes, at = array(field, 0, True, 11)
    listed = List(0, at, [])
    for _ in range(_bounded(nodes)):
        at = skip_tags(field, skip_string(field, _broker(field, at, True, found), True))
        listed.ends.append(at)
    check_end(field, at)
    return _replace_listed(field, listed, found, True, translate)


def _broker(body: bytes, at: int, flexible: bool, found: list[Found | None]) -> int:
    """Where the port of the broker at C{at} ends. Everywhere its node id stands first, then host and port."""
    node = int32(body, at)
    host, end = string(body, at + 4, flexible)
    port = int32(body, end)
    # without a host it is nobody: there is no coordinator now. A host without a node id is not left to clients either
    found.append(Found(at, at + 4, end + 4, node, host, port) if host else None)
    return end + 4


def _replace_listed(
    body: bytes, listed: List, found: list[Found | None], flexible: bool, translate: Translate
) -> bytes:
    """C{body} with the addresses that clients shall see, and without those brokers that they shall not."""
    edits: list[Edit] = []
    begin, left = listed.first, 0
    for one, end in zip(found, listed.ends, strict=True):
        told = translate(one.node, one.host, one.port) if one is not None else None
        if one is not None and told is None:
            edits.append((begin, end, b""))
            left += 1
        elif one is not None and told is not None and told != (one.host, one.port):
            edits.append((one.start, one.end, encode_address(told, flexible)))
        begin = end
    if left:
        edits.insert(0, (listed.begin, listed.first, encode_count(len(found) - left, flexible)))
    return edited(body, edits)


def encode_address(told: tuple[str, int], flexible: bool) -> bytes:
    """Host and port."""
    return encode_string(told[0], flexible) + INT32.pack(told[1])


def edited(body: bytes, edits: list[Edit]) -> bytes:
    """C{body} with C{edits}, which follow each other; itself where they change nothing."""
    pieces: list[bytes] = []
    copied = 0
    for start, end, instead in edits:
        if body[start:end] != instead:
            pieces += body[copied:start], instead
            copied = end
    if not pieces:
        return body
    pieces.append(body[copied:])
    return b"".join(pieces)


def _flexible(key: int, version: int) -> bool:
    """Whether this version is flexible, if it is one of those that are known."""
    if not 0 <= version <= NEWEST[key]:
        raise Unsupported(f"{APIS[key].name} v{version} is not known here")
    return APIS[key].is_flexible(version)


def _bounded(count: int) -> int:
    if count > MOST_BROKERS:
        raise Malformed(f"{count} brokers")
    return count


def check_end(body: bytes, at: int) -> None:
    """Raise L{Malformed} unless C{body} ends at C{at}."""
    if at > len(body):
        raise Truncated(at)
    if at < len(body):
        raise Malformed(f"{len(body) - at} bytes after its end")
