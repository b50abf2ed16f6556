# -*- test-case-name: tests.protocols.tcp.test_detect -*-
"""
TCP is what everything is: always last, always a match.
"""

from __future__ import annotations

from lproxy.verdict import Match, Verdict


def detect(prefix: bytes) -> Verdict:
    """Whatever C{prefix} is."""
    return Match()
