# -*- test-case-name: tests.protocols.kafka.test_detect -*-
"""
Does a connection open with a Kafka request?

A client speaks first, and nothing in a request is magic: a size, a small key, a small version, a number, what the
client calls itself. Each alone is weak, together they are not, and most others are told by their first byte. Nothing is
waited for that is not needed: a request's body may be large, and its header is all that is looked at, but for the few
bytes behind it that tell Kafka's oldest forms from what resembles them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from struct import Struct

from lproxy.protocols.kafka.codec.apis import API_VERSIONS, APIS, METADATA, PRODUCE, SASL_HANDSHAKE, Api
from lproxy.protocols.kafka.codec.header import Malformed, find_acks
from lproxy.verdict import Detector, Match, NeedMore, NoMatch, Verdict

#: bytes of the shortest request, without and with a client id
SHORTEST, WITH_CLIENT = 8, 10
#: requests without records are never that large
LARGE = 1 << 20
#: ControlledShutdown v0 has a broker's id for a body, and no client id
SHUTDOWN = 64
#: versions beyond those that are known: clients are ahead of proxies
SLACK = 4
#: bytes of a client id; PostgreSQL's startup has letters where its length is
CLIENT_ID = 1_024
#: bytes of a transactional id: with the longest header before it, what follows it is still among the first 2 KiB
TRANSACTIONAL_ID = 900
#: topics of a Metadata request
TOPICS = 100_000
#: bytes of a SASL mechanism's name
MECHANISM = 63

#: all replicas, none, the leader
ACKS = (b"\xff\xff", b"\0\0", b"\0\1")

_CONTROL = re.compile(rb"[\0-\x1f\x7f]")
_WORD = Struct(">H")
_LENGTH = Struct(">h")
_NUMBER = Struct(">i")

NO = NoMatch()


def detector(extra: Collection[int] = ()) -> Detector:
    """A detector that takes further API keys for Kafka's: those of vendors, of any version."""
    apis: Mapping[int, Api] = APIS
    if extra:
        apis = APIS | {key: Api(key, f"key {key}", (1 << 15) - 1, None) for key in extra if key not in APIS}

    def detect(prefix: bytes) -> Verdict:
        """Judge C{prefix}, everything the client has sent so far, perhaps nothing."""
        return _judge(prefix, apis)

    return detect


def detect(prefix: bytes) -> Verdict:
    """Judge C{prefix}, everything the client has sent so far, perhaps nothing."""
    return _judge(prefix, APIS)


def _judge(prefix: bytes, apis: Mapping[int, Api]) -> Verdict:
    have = len(prefix)
    # what fills a size's first byte has 16 MiB. TLS, HTTP and nearly all others have a letter or a type there
    if not have:
        return NeedMore()
    if prefix[0]:
        return NO
    if have < 4:
        return NeedMore(4)
    (size,) = _NUMBER.unpack_from(prefix)
    if size < SHORTEST:
        return NO
    if have == 4:
        return NeedMore(5)
    if have == 5:
        # half a key
        return NeedMore(6) if any(key >> 8 == prefix[4] for key in apis) else NO
    (key,) = _WORD.unpack_from(prefix, 4)
    api = apis.get(key)
    if api is None or (size > LARGE and key != PRODUCE):
        return NO
    if have < 8:
        most = api.newest + SLACK
        return NO if have == 7 and prefix[6] > most >> 8 else NeedMore(have + 1)
    (version,) = _WORD.unpack_from(prefix, 6)
    if version > min(api.newest + SLACK, (1 << 15) - 1):
        return NO
    if have == 8:
        return NeedMore(9)
    if prefix[8] & 0x80:
        return NO
    variant = Match(f"{api.name} v{version}")
    if key == 7 and version == 0:
        if size >= SHUTDOWN:
            return NO
        return variant if have >= 12 else NeedMore(12)
    return _client(prefix, size, api, version, variant)


def _client(prefix: bytes, size: int, api: Api, version: int, variant: Match) -> Verdict:
    """The client id, and what follows it."""
    have = len(prefix)
    if size < WITH_CLIENT:
        return NO
    if have < 14:
        return NeedMore(14)
    (length,) = _LENGTH.unpack_from(prefix, 12)
    if not -1 <= length <= CLIENT_ID or WITH_CLIENT + length > size:
        return NO
    end = 14 + max(length, 0)
    name = prefix[14:end]
    if _CONTROL.search(name) or not _is_utf8(name, whole=have >= end):
        return NO
    if have < end:
        return NeedMore(have + 1)
    stop = size + 4
    if api.is_flexible(version):
        # a first request has no tags
        if end >= stop or prefix[end : end + 1] not in (b"", b"\0"):
            return NO
        if have == end:
            return NeedMore(end + 1)
        end += 1
    return _body(prefix, end, stop, api.key, version, length, variant)


def _is_utf8(name: bytes, whole: bool) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError as e:
        # what ends in the middle of a character may yet be completed
        return not whole and e.end == len(name) and e.reason == "unexpected end of data"
    return True


def _body(prefix: bytes, at: int, stop: int, key: int, version: int, client: int, variant: Match) -> Verdict:
    """The beginning of the body, where a header alone is not enough."""
    left = stop - at
    if key == API_VERSIONS:
        return variant if (left == 0 if version < 3 else left >= 3) else NO
    if key == SASL_HANDSHAKE:
        return _mechanism(prefix, at, left, variant)
    if key == METADATA and version == 0:
        return _topics(prefix, at, left, variant)
    if key == PRODUCE:
        return _produce(prefix, at, stop, version, client, variant)
    return variant


def _mechanism(prefix: bytes, at: int, left: int, variant: Match) -> Verdict:
    if not 2 < left <= 2 + MECHANISM:
        return NO
    if len(prefix) < at + 2:
        return NeedMore(at + 2)
    return variant if _WORD.unpack_from(prefix, at)[0] == left - 2 else NO


def _topics(prefix: bytes, at: int, left: int, variant: Match) -> Verdict:
    if left < 4:
        return NO
    if len(prefix) < at + 4:
        return NeedMore(at + 4)
    (count,) = _NUMBER.unpack_from(prefix, at)
    return variant if 0 <= count <= TOPICS and count * 2 <= left - 4 else NO


def _produce(prefix: bytes, at: int, stop: int, version: int, client: int, variant: Match) -> Verdict:
    """Acks and timeout; in the oldest versions, whose zeros are ZooKeeper's and DNS's too, a topic and a client id."""
    if version < 3 and client < 1:
        return NO
    have = len(prefix)
    try:
        acks = find_acks(prefix, at, stop, version)
    except Malformed:
        return NO
    if acks is None:
        return NeedMore(have + 1)
    if acks > at + 2 + TRANSACTIONAL_ID or (3 <= version < 9 and _LENGTH.unpack_from(prefix, at)[0] < -1):
        return NO
    if have < acks + 2:
        return NeedMore(acks + 2)
    at = acks + 2
    if prefix[acks:at] not in ACKS or at + 4 > stop:
        return NO
    if have < at + 4:
        return NeedMore(at + 4)
    if prefix[at] & 0x80:
        return NO
    at += 4
    if version >= 3:
        # an empty client id may pass, but not in a request that ends here
        return variant if client != 0 or at < stop else NO
    if at + 4 > stop:
        return NO
    if have < at + 4:
        return NeedMore(at + 4)
    return variant if _NUMBER.unpack_from(prefix, at)[0] >= 1 else NO
