# -*- test-case-name: tests.identity.test_made, tests.identity.test_store -*-
"""
Contexts of what files have at the moment, and what that is: a pair of whom we show and whom we believe.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from lproxy.identity.contexts import Context, KeyLog
from lproxy.identity.in_use import InUse
from lproxy.identity.material import Material, Trust
from lproxy.identity.rotation import Source

T = TypeVar("T")


class Pair(NamedTuple):
    """
    What is shown, and whom we believe; C{None}: nothing, and whoever the system does.

    @ivar system: what tells apart whom that is
    """

    material: Material | None
    trust: Trust | None
    system: object = None

    @property
    def mark(self) -> str:
        """What tells pairs apart."""
        return f"{self.material and self.material.fingerprint} {self.trust and self.trust.fingerprint} {self.system}"


class Mesh(NamedTuple):
    """
    Who we are to other proxies, and whom of them we believe.

    @ivar names: what they may ask for
    """

    material: Material
    trust: Trust
    names: frozenset[str]

    @property
    def mark(self) -> str:
        """What tells them apart."""
        return f"{self.material.fingerprint} {self.trust.fingerprint}"


class Made(Generic[T]):
    """Contexts of what a source has at the moment, each made once."""

    def __init__(self, source: Source[T], in_use: InUse, now: Callable[[], datetime], keylog: KeyLog | None) -> None:
        self.source = source
        self._in_use = in_use
        self._now = now
        self._keylog = keylog
        self._of: T | None = None
        self._contexts: dict[Hashable, Context] = {}

    def get(self, key: Hashable, build: Callable[[T], Context]) -> Context:
        """
        The context that C{key} stands for, what the source has apart.

        @raise MaterialError: there was never anything good in the files
        """
        value = self.settled()
        if value is None:
            assert self.source.error is not None, f"{self.source.name} was not read yet"
            raise self.source.error
        made = self._contexts.get(key)
        if made is None:
            build_it = partial(build, value)
            made = self._contexts[key] = self._in_use.get(self._made_of(value), key, build_it, self._now())
        return made

    def settled(self) -> T | None:
        """What the source has: whatever was made of that for others is had here, too, also when they end."""
        value = self.source.value
        if value is not None and value is not self._of:
            self._of = value
            self._contexts = self._in_use.all_of(self._made_of(value))
        return value

    def _made_of(self, value: T) -> Hashable:
        return self.source.mark(value), self._keylog
