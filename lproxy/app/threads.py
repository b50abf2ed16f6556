# -*- test-case-name: tests.app.test_threads -*-
"""
Work that takes its time, done beside the reactor: in a thread that lets it have its turn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from lproxy.configfile.pauses import pausing

T = TypeVar("T")

#: seconds that the reactor waits for its turn when it wakes up: with Python's 5 ms, requests queue up. The work is not
#: slower for it
TURN: Final = 0.00005


def beside(reactor: Any) -> Callable[[Callable[[], T]], Deferred[T]]:
    """Something that calls what it is given in a thread of C{reactor}'s."""

    def call(work: Callable[[], T]) -> Deferred[T]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), _politely, work)

    return call


def _politely(work: Callable[[], T]) -> T:
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(TURN, before))
    try:
        with pausing():
            return work()
    finally:
        sys.setswitchinterval(before)
