# -*- test-case-name: tests.configfile.test_collector -*-
"""
Make large trees of values without the collector of cycles.

One of a hundred thousand values has no cycle, and the collector goes through it again and again while it grows.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def uncollected() -> Iterator[None]:
    """Within, nothing is collected but what nobody refers to any more."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def at_once(steps: Generator[None, None, T]) -> T:
    """What comes of C{steps}, which may be done in slices, too, where nobody waits for the time between them."""
    with uncollected():
        while True:
            try:
                next(steps)
            except StopIteration as over:
                result: T = over.value
                return result
