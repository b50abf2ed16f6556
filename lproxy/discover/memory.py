# -*- test-case-name: tests.discover.test_memory -*-
"""
Endpoints that somebody pushes: a control plane's client, or a test.

Only the latest answer of each target is held, whether requests come or not.
"""

from __future__ import annotations

from collections.abc import Iterable

from lproxy.stack.interfaces import Watcher
from lproxy.target import Endpoint, Target


class Entry:
    """The latest answer about a target, and its watchers."""

    __slots__ = ("endpoints", "error", "watches")

    def __init__(self) -> None:
        #: C{None} where there has never been an answer
        self.endpoints: tuple[Endpoint, ...] | None = None
        self.error: Exception | None = None
        self.watches: dict[MemoryWatch, None] = {}


class Memory:
    """A L{Discover<lproxy.stack.interfaces.Discover>} of what was pushed into it."""

    def __init__(self) -> None:
        self._entries: dict[Target, Entry] = {}

    def __repr__(self) -> str:
        return f"<Memory {len(self._entries)} targets>"

    def set(self, target: Target, endpoints: Iterable[Endpoint]) -> None:
        """C{endpoints}, and no others, serve C{target} from now on: every watcher is told."""
        entry = self._entry(target)
        entry.endpoints = tuple(dict.fromkeys(endpoints))
        entry.error = None
        for watch in tuple(entry.watches):
            watch.tell()

    def fail(self, target: Target, error: Exception) -> None:
        """C{target} could not be resolved. An earlier answer stays; where there was none, watchers are told."""
        entry = self._entries.get(target)
        if entry is None or entry.endpoints is not None:
            return
        entry.error = error
        for watch in tuple(entry.watches):
            watch.tell()

    def forget(self, target: Target) -> None:
        """Forget the answer for C{target}. Watchers keep what they were told last."""
        entry = self._entries.get(target)
        if entry is not None:
            entry.endpoints = entry.error = None
            self.unwatched(target, entry)

    def watch(self, target: Target, watcher: Watcher) -> MemoryWatch:
        """Tell C{watcher} the latest within this call, where there is any, and all that comes."""
        entry = self._entry(target)
        watch = MemoryWatch(self, target, entry, watcher)
        entry.watches[watch] = None
        watch.tell()
        return watch

    def unwatched(self, target: Target, entry: Entry) -> None:
        """Forget C{entry} unless it holds an answer or somebody watches it."""
        if not entry.watches and entry.endpoints is None and self._entries.get(target) is entry:
            del self._entries[target]

    def _entry(self, target: Target) -> Entry:
        entry = self._entries.get(target)
        if entry is None:
            entry = self._entries[target] = Entry()
        return entry


class MemoryWatch:
    """A L{Watch<lproxy.stack.interfaces.Watch>}."""

    __slots__ = ("_entry", "_memory", "_target", "_watcher")

    def __init__(self, memory: Memory, target: Target, entry: Entry, watcher: Watcher) -> None:
        self._memory = memory
        self._target = target
        self._entry = entry
        self._watcher = watcher

    def tell(self) -> None:
        """Tell the watcher what is known, if anything, unless closed."""
        if self not in self._entry.watches:
            return
        if self._entry.endpoints is not None:
            self._watcher.endpoints(self._entry.endpoints)
        elif self._entry.error is not None:
            # a new one each time: a traceback grows with every raise
            self._watcher.unresolved(self._entry.error.with_traceback(None))

    def close(self) -> None:
        """Tell the watcher nothing more."""
        if self in self._entry.watches:
            del self._entry.watches[self]
            self._memory.unwatched(self._target, self._entry)

    def refresh(self) -> None:
        """There is nobody to query; the watcher is told the latest failure again."""
        if self._entry.endpoints is None:
            self.tell()
