# -*- test-case-name: tests.identity.test_files -*-
"""
The certificates of one listener: files, and folders in which they come and go.

One that is bad keeps its old self, and the others are replaced nevertheless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from lproxy.identity import material
from lproxy.identity.contexts import Context
from lproxy.identity.in_use import too_old
from lproxy.identity.material import Material
from lproxy.identity.rotation import Change, Source
from lproxy.identity.server_names import ServerNames

#: given the time, too
Build = Callable[[Material, datetime], Context]


class Files:
    """
    What a listener shows, by name.

    @ivar names: contexts, by the names of their certificates
    """

    def __init__(self, paths: Sequence[str], build: Build) -> None:
        """
        @param build: what is shown for a certificate; raises L{MaterialError} where OpenSSL does not take it
        """
        self._build = build
        self._listings = [_listing(path) for path in paths]
        self._sources: dict[str, Source[Material]] = {}
        self._shown: list[Context] | None = None
        self.names: ServerNames[Context] = ServerNames([])

    def __repr__(self) -> str:
        return f"<Files {', '.join(self._sources)}>"

    @property
    def materials(self) -> list[tuple[str, Material]]:
        """Path and certificate of each that is shown, in their order."""
        return [(path, source.value) for path, source in self._sources.items() if source.value is not None]

    def look(self, now: datetime, insist: bool = False) -> Iterator[Change | None]:
        """What has changed, and is shown from now on; C{None} for each file that has not."""
        before = self.materials
        for listing in self._listings:
            change = listing.look(now, insist)
            if change is not None and change.error is not None:
                yield change
        paths = dict.fromkeys(path for listing in self._listings for path in listing.value or ())
        self._sources = {path: self._sources.get(path) or self._source(path) for path in paths}
        for source in self._sources.values():
            yield source.look(now, insist)
        if self.materials != before or self._shown is None or any(too_old(one, now) for one in self._shown):
            shown: list[Context] = []
            named: list[tuple[tuple[str, ...], Context]] = []
            for _, one in self.materials:
                shown.append(self._build(one, now))
                named.append((one.names, shown[-1]))
                yield None
            self._shown, self.names = shown, ServerNames(named)

    def _source(self, path: str) -> Source[Material]:
        return Source(path, lambda: (path, material.beside(path)), partial(_load, self._build, path), fingerprint)


def _load(build: Build, path: str, now: datetime) -> Material:
    made = material.server(path, now)
    build(made, now)
    return made


def fingerprint(one: Material) -> str:
    """What tells certificates apart."""
    return one.fingerprint


def _listing(path: str) -> Source[tuple[str, ...]]:
    """The files that a path is, or has. What was a folder is one also while it is gone."""
    folder = Path(path).is_dir()

    def load(now: datetime) -> tuple[str, ...]:
        return tuple(material.servers(path)) if folder else (path,)

    return Source(path, lambda: (path,), load, "\n".join)
