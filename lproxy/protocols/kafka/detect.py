# -*- test-case-name: tests.protocols.kafka.test_detect -*-
"""
Placeholder, until the detector is here.
"""

from __future__ import annotations

from collections.abc import Collection

from lproxy.interfaces import Detector, Match, NeedMore, NoMatch, Verdict


def detect(prefix: bytes) -> Verdict:
    """Judge C{prefix}."""
    if not prefix:
        return NeedMore()
    return Match() if prefix[0] == 0 else NoMatch()


def detector(extra: Collection[int] = ()) -> Detector:
    """With further keys."""
    return detect
