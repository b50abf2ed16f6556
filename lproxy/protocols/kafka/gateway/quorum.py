# -*- test-case-name: tests.protocols.kafka.gateway.test_quorum -*-
"""
DescribeQuorum tells of controllers, which are reached by listeners of their own: no business of clients of a gateway.

Source: C{DescribeQuorumResponse.json} of Apache Kafka 4.1. All its versions are flexible.
"""

from __future__ import annotations

from lproxy.protocols.kafka.codec.wire import array, encode_count, skip_string, skip_tags
from lproxy.protocols.kafka.gateway.rewrite import Edit, Translate, Unsupported, check_end, edited

#: the newest version that is walked here, and the first with the listeners
NEWEST, LISTENERS = 2, 2


def describe_quorum(body: bytes, version: int, translate: Translate) -> bytes:
    """
    Leave out the controllers' listeners, for which there is no place here; the nodes stay.

    @param translate: is not asked, as controllers are no brokers
    """
    if version < LISTENERS:
        return body
    if version > NEWEST:
        raise Unsupported(f"DescribeQuorum v{version} is not known here")
    edits: list[Edit] = []
    # error and its message; name, partitions, tags
    topics, at = array(body, skip_string(body, 2, True), True, 3)
    for _ in range(topics):
        # index, error, message, leader, epoch, high watermark, voters, observers, tags
        partitions, at = array(body, skip_string(body, at, True), True, 26)
        for _ in range(partitions):
            at = skip_string(body, at + 6, True) + 16
            at = skip_tags(body, _replicas(body, _replicas(body, at)))
        at = skip_tags(body, at)
    # node, listeners, tags
    nodes, at = array(body, at, True, 6)
    for _ in range(nodes):
        begin = at + 4
        # name, host, port, tags
        listeners, at = array(body, begin, True, 5)
        for _ in range(listeners):
            at = skip_tags(body, skip_string(body, skip_string(body, at, True), True) + 2)
        edits.append((begin, at, encode_count(0, True)))
        at = skip_tags(body, at)
    at = skip_tags(body, at)
    check_end(body, at)
    return edited(body, edits)


def _replicas(body: bytes, at: int) -> int:
    """Where the replicas at C{at} end: each an id, a directory's, an offset, two times, tags."""
    replicas, at = array(body, at, True, 45)
    for _ in range(replicas):
        at = skip_tags(body, at + 44)
    return at
