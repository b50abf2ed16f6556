# -*- test-case-name: tests.configfile.test_pauses -*-
"""
Read a large file in a thread, and leave most of the time to the others.

Of Python's threads one runs at a time, and where they share a core, the kernel lets whoever runs go on for some
milliseconds: too long for who serves requests. A thread that sleeps is in nobody's way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: seconds at a time that a thread works, and that it leaves to others then
BURST: Final = 0.0005
PAUSE: Final = 0.002

NEVER: Final = float("inf")


class _Thread(threading.local):
    """
    @ivar due: when this thread is to pause
    """

    due = NEVER


_thread: Final = _Thread()


def pause() -> None:
    """Sleep, now and then, where this thread is to: whoever has many things to do calls it between two of them."""
    if time.perf_counter() >= _thread.due:
        time.sleep(PAUSE)
        _thread.due = time.perf_counter() + BURST


@contextmanager
def pausing() -> Iterator[None]:
    """Within, this thread does."""
    _thread.due = time.perf_counter() + BURST
    try:
        yield
    finally:
        _thread.due = NEVER
