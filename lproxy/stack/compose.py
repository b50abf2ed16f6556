# -*- test-case-name: tests.stack.test_compose -*-
"""
Put layers on top of each other.
"""

from __future__ import annotations

from functools import partial, reduce
from typing import Any, TypeVar, overload

from lproxy.stack.interfaces import Layer

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
G = TypeVar("G")
H = TypeVar("H")
I = TypeVar("I")  # noqa: E741 - the ninth of nine
J = TypeVar("J")
K = TypeVar("K")


# what a layer takes is what the one below it gives; as many as there are in a stack, and as few as a test wants


@overload
def stack(a: Layer[B, A], b: Layer[C, B], /) -> Layer[C, A]: ...
@overload
def stack(a: Layer[B, A], b: Layer[C, B], c: Layer[D, C], /) -> Layer[D, A]: ...
@overload
def stack(a: Layer[B, A], b: Layer[C, B], c: Layer[D, C], d: Layer[E, D], /) -> Layer[E, A]: ...
@overload
def stack(a: Layer[B, A], b: Layer[C, B], c: Layer[D, C], d: Layer[E, D], e: Layer[F, E], /) -> Layer[F, A]: ...
@overload
def stack(
    a: Layer[B, A], b: Layer[C, B], c: Layer[D, C], d: Layer[E, D], e: Layer[F, E], f: Layer[G, F], /
) -> Layer[G, A]: ...
@overload
def stack(
    a: Layer[B, A], b: Layer[C, B], c: Layer[D, C], d: Layer[E, D], e: Layer[F, E], f: Layer[G, F], g: Layer[H, G], /
) -> Layer[H, A]: ...
@overload
def stack(
    a: Layer[B, A],
    b: Layer[C, B],
    c: Layer[D, C],
    d: Layer[E, D],
    e: Layer[F, E],
    f: Layer[G, F],
    g: Layer[H, G],
    h: Layer[I, H],
    /,
) -> Layer[I, A]: ...
@overload
def stack(
    a: Layer[B, A],
    b: Layer[C, B],
    c: Layer[D, C],
    d: Layer[E, D],
    e: Layer[F, E],
    f: Layer[G, F],
    g: Layer[H, G],
    h: Layer[I, H],
    i: Layer[J, I],
    /,
) -> Layer[J, A]: ...
@overload
def stack(
    a: Layer[B, A],
    b: Layer[C, B],
    c: Layer[D, C],
    d: Layer[E, D],
    e: Layer[F, E],
    f: Layer[G, F],
    g: Layer[H, G],
    h: Layer[I, H],
    i: Layer[J, I],
    j: Layer[K, J],
    /,
) -> Layer[K, A]: ...


def stack(*layers: Layer[Any, Any]) -> Layer[Any, Any]:
    """
    Layers, outermost first, waiting for their bottom: C{stack(a, b)(bottom)} is C{a(b(bottom))}.
    """
    return partial(_on, layers)


def _on(layers: tuple[Layer[Any, Any], ...], bottom: Any) -> Any:
    return reduce(_wrap, reversed(layers), bottom)


def _wrap(inner: Any, layer: Layer[Any, Any]) -> Any:
    return layer(inner)
