# -*- test-case-name: tests.protocols.kafka.test_versions -*-
"""
What a gateway lets clients ask for: answers to ApiVersions, narrowed to what holds no address or is rewritten.

Whoever is told so keeps to it: a client asks in the newest version that both sides know, and for nothing that the
broker does not list. Oldest versions are left alone: librdkafka takes a broker whose Produce does not begin at 0 for
one without compression (KAFKA-18659).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from struct import Struct

from lproxy.protocols.kafka import rewrite
from lproxy.protocols.kafka.apis import API_VERSIONS, APIS, BY_NAME, DESCRIBE_QUORUM, FETCH
from lproxy.protocols.kafka.header import Malformed
from lproxy.protocols.kafka.wire import INT16, Truncated, array, encode_count, int16, skip_tags

#: the newest version of every known API whose answers hold no address of a broker, or only such as are rewritten
GATEWAY: dict[int, int] = {
    **{key: api.newest for key, api in APIS.items()},
    **rewrite.NEWEST,
    # from 16 on with node endpoints, behind as many megabytes of records as were asked for. What is lost is a hint
    # that saves clients a Metadata request (KIP-951)
    FETCH: 15,
    # from 2 on with the listeners of the controllers
    DESCRIBE_QUORUM: 1,
}

#: APIs whose answers hold addresses that are not rewritten, or that no client has any business with
HIDDEN: frozenset[int] = frozenset(
    BY_NAME[name].key
    for name in (
        # between brokers, before KRaft; gone from Kafka 4.0
        "LeaderAndIsr",
        "StopReplica",
        "UpdateMetadata",
        "ControlledShutdown",
        # between controllers: the current leader's endpoint, at its controller listener
        "Vote",
        "BeginQuorumEpoch",
        "EndQuorumEpoch",
        "FetchSnapshot",
        "UpdateRaftVoter",
        # between broker and controller: any other request or answer is in it
        "Envelope",
        # node endpoints, behind records (ShareFetch) or not: nothing here walks them
        "ShareFetch",
        "ShareAcknowledge",
    )
)

#: the newest version of ApiVersions' answer that is read here
NEWEST = 4
UNSUPPORTED_VERSION = 35

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
    An answer to ApiVersions, so that nothing beyond C{limits} is asked for; itself, where it lists nothing beyond.

    Whoever asks in a version that is newer than L{NEWEST} is told so, as a broker would.

    @param body: the answer without size and header
    @param asked: the version of the request. The answer is in version 0 nevertheless where the broker did not know it
    @param limits: the newest version, by API key
    @param hidden: API keys that are not listed
    @param allowed: and those that are although lproxy does not know them; C{None}: all
    @raise Malformed: it is no such answer
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
        raise Malformed("an answer to ApiVersions does not end where it should")


def unsupported(newest: int = NEWEST) -> bytes:
    """
    The body by which a broker says that it does not know ApiVersions in this version (KIP-511).

    @param newest: the version up to which it does; 0 is the one that everybody reads
    """
    return _UNSUPPORTED.pack(UNSUPPORTED_VERSION, 1, API_VERSIONS, 0, newest)
