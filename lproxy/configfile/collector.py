# -*- test-case-name: tests.configfile.test_collector -*-
"""
Read large files without the collector of cycles.

A tree of a hundred thousand values has none, and the collector goes through it again and again while it grows.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
