# -*- test-case-name: tests.identity.test_server_names -*-
"""
Several certificates on one listener: which one a client is shown, by the name that it asks for (SNI).

The whole name counts before a wildcard, which stands for the leftmost label and no part of one. Where two certificates
have the same name, the first is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Generic, TypeVar

from lproxy.identity.names import DNS_NAME

T = TypeVar("T")

#: at least two labels behind the star, so that nobody is shown for a whole top-level domain
WILDCARD: Final = re.compile(r"\*(\.[^.*]+\.[^*]+)")


class ServerNames(Generic[T]):
    """
    Whatever is shown, by name.

    @ivar default: the first of all: for whoever asks for no name, or for one that nobody has
    """

    def __init__(self, shown: Sequence[tuple[Iterable[str], T]]) -> None:
        """
        @param shown: names and what is shown for them; a name that no client can ask for, such as C{w*.shop.test}, is
            passed over
        """
        self.default: T | None = shown[0][1] if shown else None
        self._exact: dict[str, T] = {}
        self._wild: dict[str, T] = {}
        for names, one in shown:
            for name in names:
                name = name.lower()
                wild = WILDCARD.fullmatch(name)
                if wild is not None and DNS_NAME.fullmatch(name[2:]):
                    self._wild.setdefault(wild[1], one)
                elif DNS_NAME.fullmatch(name):
                    self._exact.setdefault(name, one)

    def __repr__(self) -> str:
        return f"ServerNames({', '.join([*self._exact, *('*' + tail for tail in self._wild)])})"

    def find(self, name: str) -> T | None:
        """What is shown to whoever asks for C{name}; C{None} where nobody has that name."""
        name = name.lower().removesuffix(".")
        one = self._exact.get(name)
        if one is None and self._wild and DNS_NAME.fullmatch(name):
            _, dot, tail = name.partition(".")
            one = self._wild.get(dot + tail)
        return one
