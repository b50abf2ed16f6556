# -*- test-case-name: tests.testing.test_garbage -*-
"""
What is left to the garbage collector: objects in a cycle, which counting references does not free.

If each connection leaves such, the collector stops the process for milliseconds every few thousand connections.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def uncounted(package: str = "lproxy") -> Iterator[list[str]]:
    """
    Yields a list that, after the block, has the type of each object which it left to the collector, by full name.

    @param package: whose types count; what tests themselves leave mostly does not
    """
    found: list[str] = []
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    flags = gc.get_debug()
    try:
        yield found
        kept = len(gc.garbage)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += sorted(name for one in gc.garbage[kept:] if (name := _name(one)).startswith(f"{package}."))
        del gc.garbage[kept:]
    finally:
        gc.set_debug(flags)
        if enabled:
            gc.enable()
    gc.collect()


@contextmanager
def only_new() -> Iterator[None]:
    """In the block, the collector traverses only objects that were made there, which is fast."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _name(one: Any) -> str:
    kind = type(one)
    return f"{kind.__module__}.{kind.__qualname__}"
