# -*- test-case-name: tests.test_verdict -*-
"""
What a detector says of a connection's first bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Match:
    """It is this protocol. Final, whatever bytes follow."""

    #: which form of it, C{HTTP/1}, C{HTTP/2}, ...: told to the protocol's factory, and shown in logs
    variant: str = ""
    #: whether the protocol's own factory can serve it. What it can only recognise is forwarded as TCP, by its name
    spoken: bool = True


@dataclass(frozen=True, slots=True)
class NoMatch:
    """It is not, and no bytes that follow can change that."""


@dataclass(frozen=True, slots=True)
class NeedMore:
    """It cannot be told from these bytes."""

    #: total length of the prefix, in bytes, below which asking again is useless
    at_least: int = 1
    #: whether it hardly is: whose sender falls silent now is not waited for
    doubtful: bool = False


#: what a detector says of a connection
Verdict = Match | NoMatch | NeedMore
#: pure, total and final: judges all that the client has sent so far, perhaps nothing
Detector = Callable[[bytes], Verdict]
