# -*- test-case-name: tests.stack.test_compose -*-
"""
Put layers on top of each other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, TypeVar

from lproxy.stack.interfaces import Layer

T = TypeVar("T")


def stack(*layers: Layer) -> Callable[[Any], Any]:
    """
    Layers, outermost first, waiting for their bottom: C{stack(a, b)(bottom)} is C{a(b(bottom))}.
    """
    return lambda bottom: reduce(lambda inner, layer: layer(inner), reversed(layers), bottom)


def find(acquire: Any, kind: type[T]) -> T:
    """
    The layer of a built stack that is a C{kind}, for those who show its state.

    @raise LookupError: there is none
    """
    while not isinstance(acquire, kind):
        acquire = getattr(acquire, "inner", None)
        if acquire is None:
            raise LookupError(f"no {kind.__name__} in this stack")
    return acquire
