# -*- test-case-name: tests.protocols.kafka.talk.test_request -*-
"""
Tests for L{lproxy.protocols.kafka.talk.request}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.header import Malformed
from lproxy.protocols.kafka.talk.counters import ApiCounter, VersionCounter
from lproxy.protocols.kafka.talk.request import VersionedApi, acknowledged, body_of
from tests.protocols.kafka.talk.scripted import Talk, produce


class StartTests(SynchronousTestCase):
    """How a Produce request goes on after its client id."""

    def test_acknowledged(self) -> None:
        """Those starts are met by requests with acks=-1 and 1 alone, and by none that has a transactional id."""
        for version in range(3, 14):
            for acks in (-1, 0, 1):
                for id in (None, b"", b"tx"):
                    start = produce(1, acks, version, id)[18:22]
                    self.assertEqual(bool(acks) and id is None, start in acknowledged(version), (version, acks, id))
        for version in range(3):
            self.assertEqual((), acknowledged(version))


class DenyTests(SynchronousTestCase):
    """What is denied."""

    def test_first(self) -> None:
        """The first reason stays, and every request is looked at."""
        api = VersionedApi(0, 9, VersionCounter(ApiCounter()))
        self.assertEqual(("", acknowledged(9)), (api.denied, api.plain_starts))
        api.deny("denied")
        api.deny("another")
        self.assertEqual(("denied", True, ()), (api.denied, api.inspected, api.plain_starts))


class BodyTests(SynchronousTestCase):
    """Where a response's body begins."""

    def test_body(self) -> None:
        """Behind the tags, if it has any; not known before these have come."""
        talk = Talk()
        plain, tagged = talk.rules.api(12 << 16 | 3), talk.rules.api(12 << 16 | 4)
        frame = b"\0\0\0\x0e\0\0\0\1\1\5\3abcbody"
        self.assertEqual(8, body_of(plain, frame, len(frame)))
        for n in range(8, 14):
            self.assertIsNone(body_of(tagged, frame[:n], len(frame)))
        self.assertEqual(14, body_of(tagged, frame, len(frame)))
        self.assertRaises(Malformed, body_of, tagged, frame[:12], 12)
