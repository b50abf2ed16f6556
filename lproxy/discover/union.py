# -*- test-case-name: tests.discover.test_union -*-
"""
Several answers as one: a service whose endpoints are addresses and names, each name resolved by itself.

What is known serves; a name that cannot be resolved costs its own endpoints and nobody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lproxy.stack.interfaces import NOTHING, Discover, Watch, Watcher
from lproxy.target import Endpoint, Metadata, Target


class Union:
    """A L{Watch} of C{fixed} endpoints and those of all C{targets}."""

    def __init__(
        self,
        watcher: Watcher,
        fixed: Mapping[Endpoint, Metadata],
        targets: Mapping[Target, Metadata],
        discover: Discover,
    ) -> None:
        """
        @param fixed: with what is known of each
        @param targets: with what is known of all who are found for it
        """
        self._watcher: Watcher | None = watcher
        self._fixed = fixed
        self._telling = False
        self._parts = [Part(self, metadata) for metadata in targets.values()]
        for part, target in zip(self._parts, targets, strict=True):
            part.watch = discover.watch(target, part)
        self._telling = True
        self.changed()

    def __repr__(self) -> str:
        return f"<Union of {tuple(self._fixed)} and {len(self._parts)} names>"

    def changed(self) -> None:
        """A part knows more, or other endpoints than before."""
        if self._watcher is None or not self._telling:
            return
        if self._fixed or any(part.found is not None for part in self._parts):
            found = dict(self._fixed)
            for part in self._parts:
                for endpoint in part.found or ():
                    # of two names for one address, the first
                    found.setdefault(endpoint, part.metadata)
            self._watcher.endpoints(found, found)
            return
        errors = [part.error for part in self._parts if part.error is not None]
        if len(errors) == len(self._parts):
            # a new traceback each time: it grows with every raise
            self._watcher.unresolved(errors[0].with_traceback(None))

    def close(self) -> None:
        """Tell the watcher nothing more."""
        self._watcher = None
        for part in self._parts:
            if part.watch is not None:
                part.watch.close()

    def refresh(self) -> None:
        """Somebody waits: try again what has failed."""
        for part in self._parts:
            if part.watch is not None and part.found is None:
                part.watch.refresh()


class Part:
    """
    A L{Watcher} of one name.

    @ivar metadata: what is known of them all
    @ivar found: its endpoints, C{None} where there was no answer yet
    @ivar error: why there is none
    """

    def __init__(self, union: Union, metadata: Metadata) -> None:
        self._union = union
        self.metadata = metadata
        self.watch: Watch | None = None
        self.found: tuple[Endpoint, ...] | None = None
        self.error: Exception | None = None

    def endpoints(self, endpoints: Iterable[Endpoint], about: Mapping[Endpoint, Metadata] = NOTHING) -> None:
        """These, and no others; what there is to know of them besides, whoever asked for the union knows."""
        self.found, self.error = tuple(endpoints), None
        self._union.changed()

    def unresolved(self, error: Exception) -> None:
        """None, or none any more."""
        self.found, self.error = None, error
        self._union.changed()
