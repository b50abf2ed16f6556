# -*- test-case-name: tests.protocols.kafka.codec.test_topics -*-
"""
Bytes of records by topic, read off Produce requests and Fetch responses while they pass.

A body is walked as its bytes come: what a step needs is gathered, records are skipped, nothing else is kept. From
version 13 on topics have ids; their names are learnt from Metadata responses, on any connection of the listener.

Source: ProduceRequest.json, FetchResponse.json and MetadataResponse.json of Apache Kafka.
"""

from __future__ import annotations

from collections.abc import Generator
from struct import Struct

from lproxy.protocols.kafka.codec.apis import APIS, FETCH, METADATA, OTHER, PRODUCE
from lproxy.protocols.kafka.codec.header import Malformed
from lproxy.protocols.kafka.codec.tally import Tally

#: asks for so many bytes, or with a negative number has that many skipped; is sent what it asked for
Walk = Generator[int, bytes, None]

#: what is said of a topic whose id nobody has told
UNKNOWN = "unknown"
#: ids that are remembered
IDS = 10_000
#: bytes of a topic's id
ID = 16
#: the longest name that a topic can have
NAME = 249
#: the longest that is gathered at once
LONGEST = 1 << 15
#: the first versions with ids: of Produce and Fetch, and of Metadata
WITH_ID, METADATA_ID = 13, 10

_INT16, _INT32 = Struct(">h"), Struct(">i")


class Topics:
    """
    One listener's topics.

    @ivar produced: bytes of records, by name
    @ivar fetched: as well
    """

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._names: dict[bytes, str] = {}
        self.produced: dict[str, int] = {}
        self.fetched: dict[str, int] = {}

    def request(self, key: int, version: int) -> Walker | None:
        """A walker for the body of such a request, if there is anything to learn from it."""
        return Walker(self._produce(version)) if key == PRODUCE and version <= APIS[key].newest else None

    def answer(self, key: int, version: int, tally: Tally | None = None, counted: bool = True) -> Walker | None:
        """
        And for a response.

        @param tally: told of its errors and throttle time
        @param counted: whether bytes of topics are
        """
        if key == FETCH and version <= APIS[key].newest:
            return Walker(self._fetch(version, tally, counted))
        if key == PRODUCE and tally is not None and version <= APIS[key].newest:
            return Walker(_produced(version, tally))
        if key == METADATA and METADATA_ID <= version <= APIS[key].newest:
            return Walker(self._metadata(version))
        return None

    def _add(self, counts: dict[str, int], topic: str, size: int) -> None:
        topic = topic[:NAME]
        if topic not in counts and len(counts) >= self._cap:
            topic = OTHER
        counts[topic] = counts.get(topic, 0) + size

    def _topic(self, version: int, flexible: bool) -> Generator[int, bytes, str]:
        if version >= WITH_ID:
            return self._names.get((yield ID), UNKNOWN)
        return (yield from _string(flexible)) or UNKNOWN

    def _produce(self, version: int) -> Walk:
        flexible = APIS[PRODUCE].is_flexible(version)
        if version >= 3:
            yield from _string(flexible)  # transactional id
        yield -6  # acks, timeout
        for _ in range((yield from _length(flexible, 4))):
            topic = yield from self._topic(version, flexible)
            for _ in range((yield from _length(flexible, 4))):
                yield -4  # index
                size = yield from _length(flexible, 4)
                self._add(self.produced, topic, max(size, 0))
                yield -max(size, 0)
                yield from _tags(flexible)
            yield from _tags(flexible)

    def _fetch(self, version: int, tally: Tally | None, counted: bool) -> Walk:
        flexible = APIS[FETCH].is_flexible(version)
        if tally is not None and version >= 1:
            tally.throttle(_INT32.unpack((yield 4))[0])
        else:
            yield -4 * (version >= 1)
        if tally is not None and version >= 7:
            tally.error(_INT16.unpack((yield 2))[0])
            yield -4  # session id
        else:
            yield -6 * (version >= 7)  # error code and session id
        for _ in range((yield from _length(flexible, 4))):
            topic = yield from self._topic(version, flexible)
            for _ in range((yield from _length(flexible, 4))):
                if tally is not None:
                    yield -4  # index
                    tally.error(_INT16.unpack((yield 2))[0])
                else:
                    yield -6  # index, error code
                # high watermark; last stable offset; log start offset
                yield -(8 + 8 * (version >= 4) + 8 * (version >= 5))
                if version >= 4:
                    for _ in range((yield from _length(flexible, 4))):
                        yield -16  # an aborted transaction
                        yield from _tags(flexible)
                yield -(4 * (version >= 11))  # preferred read replica
                size = yield from _length(flexible, 4)
                if counted:
                    self._add(self.fetched, topic, max(size, 0))
                yield -max(size, 0)
                yield from _tags(flexible)
            yield from _tags(flexible)

    def _metadata(self, version: int) -> Walk:
        yield -4  # throttle time
        for _ in range((yield from _length(True, 4))):
            yield -4
            yield from _string(True)
            yield -4
            yield from _string(True)  # rack
            yield from _tags(True)
        yield from _string(True)  # cluster id
        yield -4  # controller id
        for _ in range((yield from _length(True, 4))):
            yield -2  # error code
            name = yield from _string(True)
            topic = yield ID
            if name and len(self._names) < IDS:
                self._names[topic] = name
            yield -1  # is internal
            for _ in range((yield from _length(True, 4))):
                yield -14  # error code, index, leader, its epoch
                for _ in range(3):  # replicas, those in sync, those offline
                    yield -4 * max((yield from _length(True, 4)), 0)
                yield from _tags(True)
            yield -4  # authorized operations
            yield from _tags(True)


def _produced(version: int, tally: Tally) -> Walk:
    flexible = APIS[PRODUCE].is_flexible(version)
    for _ in range((yield from _length(flexible, 4))):
        if version >= WITH_ID:
            yield -ID
        else:
            yield from _string(flexible)
        for _ in range((yield from _length(flexible, 4))):
            yield -4  # index
            tally.error(_INT16.unpack((yield 2))[0])
            # base offset; append time; log start offset
            yield -(8 + 8 * (version >= 2) + 8 * (version >= 5))
            if version >= 8:
                for _ in range((yield from _length(flexible, 4))):
                    yield -4  # index of a record
                    yield from _string(flexible)
                    yield from _tags(flexible)
                yield from _string(flexible)
            yield from _tags(flexible)
        yield from _tags(flexible)
    if version >= 1:
        tally.throttle(_INT32.unpack((yield 4))[0])


class Walker:
    """
    Takes a walk through a body as its bytes come.

    @ivar done: it learns nothing more, be it that the body is no such thing
    """

    __slots__ = ("_gathered", "_needs", "_skips", "_walk", "done")

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._gathered = b""
        self._needs = self._skips = 0
        self.done = False
        self._step(None)

    def feed(self, data: bytes) -> None:
        """The next bytes of the body."""
        at, end = 0, len(data)
        while not self.done:
            if self._skips:
                if self._skips > end - at:
                    self._skips -= end - at
                    return
                at += self._skips
                self._step(b"")
            elif len(self._gathered) + end - at < self._needs:
                self._gathered += data[at:]
                return
            else:
                took = self._needs - len(self._gathered)
                gathered, self._gathered = self._gathered + data[at : at + took], b""
                at += took
                self._step(gathered)

    def _step(self, data: bytes | None) -> None:
        try:
            wants = next(self._walk) if data is None else self._walk.send(data)
            if wants > LONGEST:
                raise Malformed("topics")
        except (StopIteration, Malformed):
            self.done = True
            return
        self._needs, self._skips = max(wants, 0), max(-wants, 0)


def _uvarint() -> Generator[int, bytes, int]:
    value = shift = 0
    while True:
        byte = (yield 1)[0]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7
        if shift > 28:
            raise Malformed("varint")


def _length(flexible: bool, size: int) -> Generator[int, bytes, int]:
    """A length of C{size} bytes, or one more than it is where that is compact; null is -1."""
    if flexible:
        return (yield from _uvarint()) - 1
    raw = yield size
    length: int = (_INT16 if size == 2 else _INT32).unpack(raw)[0]
    return length


def _string(flexible: bool) -> Generator[int, bytes, str]:
    """A string, null being empty."""
    length = yield from _length(flexible, 2)
    return (yield length).decode(errors="replace") if length > 0 else ""


def _tags(flexible: bool) -> Generator[int, bytes, None]:
    if flexible:
        for _ in range((yield from _uvarint())):
            yield from _uvarint()
            yield -(yield from _uvarint())
