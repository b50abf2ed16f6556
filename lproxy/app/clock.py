# -*- test-case-name: tests.app.test_clock -*-
"""
The time that durations are measured with.

Twisted's reactors read the time of day, which jumps when somebody sets it. Forwards, and every idle connection is
closed at once; backwards, and no timer fires for hours.
"""

from __future__ import annotations

import time
from typing import Any


def monotonic(reactor: Any) -> None:
    """
    Have C{reactor} measure time with a clock that nobody can set.

    Before anything is timed: where something is already, by the other clock, it is left as it is.
    """
    if not reactor.running and not reactor.getDelayedCalls():
        reactor.seconds = time.monotonic
