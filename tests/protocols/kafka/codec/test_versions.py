# -*- test-case-name: tests.protocols.kafka.codec.test_versions -*-
"""
Tests for L{lproxy.protocols.kafka.codec.versions}: kafka-python encodes the answers and reads what becomes of them.
"""

from __future__ import annotations

from random import Random
from typing import Any

from kafka.protocol.metadata import ApiVersionsResponse
from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.apis import API_VERSIONS, APIS, FETCH, METADATA, PRODUCE
from lproxy.protocols.kafka.codec.header import Malformed
from lproxy.protocols.kafka.codec.versions import NEWEST, narrow, unsupported
from lproxy.protocols.kafka.gateway.limits import HIDDEN, NEWEST_VERSIONS

#: key, oldest and newest version
Range = tuple[int, int, int]

VERSIONS = range(NEWEST + 1)
VENDOR = 10_000
#: what Kafka 4.1 lists, more or less
LISTED: list[Range] = [(key, 4 if key == FETCH else 0, api.newest) for key, api in APIS.items()]


def answer(version: int, ranges: list[Range], error: int = 0) -> bytes:
    """An answer to ApiVersions, with features."""
    entry = ApiVersionsResponse.ApiVersion
    keys = [entry(version=version, api_key=key, min_version=low, max_version=high) for key, low, high in ranges]
    features: dict[str, Any] = {}
    if version >= 3:
        supported = ApiVersionsResponse.SupportedFeatureKey
        final = ApiVersionsResponse.FinalizedFeatureKey
        features = {
            "supported_features": [supported(version=version, name="kraft.version", min_version=0, max_version=1)],
            "finalized_features_epoch": 2**40,
            "finalized_features": [
                final(version=version, name="transaction.version", max_version_level=2, min_version_level=2)
            ],
        }
    throttle = {"throttle_time_ms": 7} if version >= 1 else {}
    message = ApiVersionsResponse(version=version, error_code=error, api_keys=keys, **throttle, **features)
    return bytes(message.encode(version=version))


def listed(body: bytes, version: int) -> list[Range]:
    """What C{body} lists."""
    message = ApiVersionsResponse.decode(body, version=version)
    return [(one.api_key, one.min_version, one.max_version) for one in message.api_keys]


class NarrowTests(SynchronousTestCase):
    """What clients are told that they may ask for."""

    def test_lowered(self) -> None:
        """A newest version above the limit is lowered to it; the oldest, all else and the length stay."""
        before = [(PRODUCE, 0, 13), (FETCH, 4, 18), (METADATA, 0, 12), (99, 0, 3)]
        after = [(PRODUCE, 0, 13), (FETCH, 4, 15), (METADATA, 0, 12), (99, 0, 3)]
        for version in VERSIONS:
            changed = narrow(answer(version, before), version, {PRODUCE: 13, FETCH: 15, METADATA: 13}, (), None)
            self.assertEqual(answer(version, after), changed)

    def test_removed(self) -> None:
        """What is hidden, unknown, or only there in versions beyond the limit is not listed; the rest follows."""
        before = [(PRODUCE, 0, 13), (VENDOR, 0, 1), (FETCH, 4, 18), (10_001, 0, 0), (METADATA, 3, 12)]
        after = [(PRODUCE, 0, 13), (10_001, 0, 0)]
        for version in VERSIONS:
            changed = narrow(answer(version, before), version, {METADATA: 2}, {FETCH}, {10_001})
            self.assertEqual(answer(version, after), changed)
            self.assertEqual([], listed(narrow(answer(version, before), version, {}, {PRODUCE, FETCH, 3}), version))

    def test_many(self) -> None:
        """With more than 126 entries the count takes two bytes, with fewer one."""
        before = [(key, 0, 1) for key in range(VENDOR, VENDOR + 200)]
        for left in (126, 127, 200):
            allowed = range(VENDOR, VENDOR + left)
            for version in VERSIONS:
                changed = narrow(answer(version, before), version, {}, (), allowed)
                self.assertEqual(answer(version, before[:left]), changed)

    def test_nothing_to_do(self) -> None:
        """The very body goes on where it lists nothing beyond."""
        for version in VERSIONS:
            body = answer(version, LISTED)
            self.assertIs(body, narrow(body, version, {FETCH: 18}, {VENDOR}))
            self.assertIs(body, narrow(body, version, {}, (), None))

    def test_gateway(self) -> None:
        """A gateway lists what holds no addresses, or has them rewritten."""
        for version in VERSIONS:
            body = narrow(answer(version, [*LISTED, (VENDOR, 0, 1)]), version, NEWEST_VERSIONS, HIDDEN)
            after = listed(body, version)
            self.assertEqual(sorted(APIS.keys() - HIDDEN), [key for key, _, _ in after])
            self.assertEqual([(key, 4 if key == FETCH else 0, NEWEST_VERSIONS[key]) for key, _, _ in after], after)

    def test_tags(self) -> None:
        """Unknown tagged fields stay, an entry's with it and the answer's own."""
        tags = b"\x01\x05\x03abc"
        kept, gone = b"\0\x01\0\4\0%c" + tags, b"\0\x03\0\0\0\x0d" + tags
        end = b"\0\0\0\7" + tags
        body = b"\0\0\x03" + kept % 18 + gone + end
        self.assertEqual(b"\0\0\x02" + kept % 15 + end, narrow(body, 3, NEWEST_VERSIONS, {METADATA}))
        # and a count that is longer than it needs to be
        body = b"\0\0\x83\x00" + kept % 18 + gone + end
        self.assertEqual(b"\0\0\x83\x00" + kept % 15 + gone + end, narrow(body, 3, NEWEST_VERSIONS, ()))

    def test_other_error(self) -> None:
        """An answer with another error is in the version that was asked for."""
        for version in VERSIONS:
            body = b"\0\x2a" + (b"\x01" if version >= 3 else b"\0\0\0\0")
            body += b"\0\0\0\0" if version >= 1 else b""
            body += b"\0" if version >= 3 else b""
            self.assertIs(body, narrow(body, version, NEWEST_VERSIONS, HIDDEN))


class UnsupportedTests(SynchronousTestCase):
    """Where the two sides have no version of ApiVersions in common."""

    def test_broker_says_so(self) -> None:
        """A broker that does not know the version answers in version 0, with or without its own (KIP-511)."""
        for asked in (0, 1, 3, 4, 5, 99):
            old = b"\0\x23\0\0\0\0"
            self.assertIs(old, narrow(old, asked, NEWEST_VERSIONS, HIDDEN))
            own = b"\0\x23\0\0\0\1\0\x12\0\0\0\2"
            self.assertIs(own, narrow(own, asked, NEWEST_VERSIONS, HIDDEN))
            newer = b"\0\x23\0\0\0\1\0\x12\0\0\0\6"
            self.assertEqual(unsupported(), narrow(newer, asked, NEWEST_VERSIONS, HIDDEN))

    def test_we_say_so(self) -> None:
        """A client that is ahead of us is told which versions are known, as a broker would say it."""
        expected = answer(0, [(API_VERSIONS, 0, 4)], 35)
        self.assertEqual(expected, unsupported())
        self.assertEqual(expected, narrow(answer(4, LISTED), 5, NEWEST_VERSIONS, HIDDEN))
        self.assertEqual(answer(0, [(API_VERSIONS, 0, 0)], 35), unsupported(0))
        self.assertEqual(APIS[API_VERSIONS].newest, NEWEST)

    def test_mixed(self) -> None:
        """What librdkafka's mock cluster answers to version 3 is neither version 0 nor 3."""
        body = bytes.fromhex("0023 01 0012 0000 0002 00000000")
        for asked in VERSIONS:
            self.assertRaises(Malformed, narrow, body, asked, NEWEST_VERSIONS, HIDDEN)


class MalformedTests(SynchronousTestCase):
    """Whatever comes, only L{Malformed} is raised."""

    def test_truncated(self) -> None:
        """No answer may end early, nor go on."""
        for version in VERSIONS:
            body = answer(version, LISTED)
            for n in range(len(body)):
                self.assertRaises(Malformed, narrow, body[:n], version, NEWEST_VERSIONS, HIDDEN)
            self.assertRaises(Malformed, narrow, body + b"\0", version, NEWEST_VERSIONS, HIDDEN)

    def test_counts(self) -> None:
        """Counts that are negative, null, or have no room."""
        for version, count in ((0, "ffffffff"), (0, "7fffffff"), (2, "80000000"), (3, "00"), (4, "ffffffff0f")):
            body = b"\0\0" + bytes.fromhex(count) + answer(version, LISTED)
            self.assertRaises(Malformed, narrow, body, version, NEWEST_VERSIONS, HIDDEN)

    def test_random(self) -> None:
        """Some thousand mutations, by a seeded random."""
        random = Random(12)
        for version in VERSIONS:
            for _ in range(400):
                body = bytearray(answer(version, LISTED[:4]))
                for _ in range(random.choice((1, 2, 5))):
                    at = random.randrange(len(body))
                    body[at : at + random.randrange(3)] = random.randbytes(random.randrange(3))
                try:
                    narrow(bytes(body), random.choice((version, 3)), NEWEST_VERSIONS, HIDDEN)
                except Malformed:
                    pass
