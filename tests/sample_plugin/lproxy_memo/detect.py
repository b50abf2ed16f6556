# -*- test-case-name: tests.integration.test_sample_plugin -*-
"""
Does a connection open with a memo client's first line?
"""

from lproxy.api import Match, NeedMore, NoMatch, Verdict

#: the client speaks first; no HTTP method or other text protocol begins like this
OPENING = b"MEMO/1 "


def detect(prefix: bytes) -> Verdict:
    """Judge C{prefix}, everything the client has sent so far, perhaps nothing."""
    if prefix.startswith(OPENING):
        return Match("1")
    if OPENING.startswith(prefix):
        return NeedMore(len(prefix) + 1)
    return NoMatch()
