# -*- test-case-name: tests.discover.test_current -*-
"""
Discovery that goes on while the services that it goes by are exchanged: whoever watches is told what has changed, and
no more.

A watch of what is found as before stays as it is. Where a target is found otherwise, its watcher is told the new answer
when there is one, and keeps what it knows until then: where the answer is that there is none, it keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from lproxy.discover.static import Static
from lproxy.stack.interfaces import NOTHING, Watch, Watcher
from lproxy.target import Endpoint, Metadata, Target


class Current:
    """A L{Discover<lproxy.stack.interfaces.Discover>} by the services of the moment."""

    def __init__(self, inner: Static) -> None:
        self._inner = inner
        self._watches: dict[CurrentWatch, None] = {}

    def __repr__(self) -> str:
        return f"<Current {self._inner!r}, {len(self._watches)} watches>"

    def watch(self, target: Target, watcher: Watcher) -> CurrentWatch:
        """Tell C{watcher}, by whatever there is."""
        watch = CurrentWatch(self, target, watcher, self._inner)
        self._watches[watch] = None
        watch.follow(self._inner)
        return watch

    def exchange(self, inner: Static) -> Iterator[None]:
        """Find by C{inner} from now on: new watches at once, those that there are as this is gone through."""
        self._inner = inner
        return self._exchange(inner, list(self._watches))

    def _exchange(self, inner: Static, watches: list[CurrentWatch]) -> Iterator[None]:
        for watch in watches:
            if watch in self._watches:
                if watch.by.means(watch.target) != inner.means(watch.target):
                    watch.follow(inner)
                watch.by = inner
                yield

    def ended(self, watch: CurrentWatch) -> None:
        """It is closed."""
        self._watches.pop(watch, None)


class CurrentWatch:
    """
    A L{Watch}, and the L{Watcher} of whatever finds C{target} at the moment.

    @ivar target: of what
    @ivar by: who finds it
    @ivar _watcher: whom to tell; C{None} once it is closed, so that neither keeps the other
    @ivar _stale: whether its watcher knows what somebody else has found
    """

    def __init__(self, owner: Current, target: Target, watcher: Watcher, by: Static) -> None:
        self._owner = owner
        self._watcher: Watcher | None = watcher
        self._watch: Watch | None = None
        self._stale = False
        self.target = target
        self.by = by

    def follow(self, discover: Static) -> None:
        """Go by C{discover} from now on."""
        before = self._watch
        self._stale = before is not None
        self._watch = discover.watch(self.target, self)
        # not sooner: what both know, such as a name's addresses, is known all the time
        if before is not None:
            before.close()
        if self._watcher is None:
            self._let_go()  # within that call

    def endpoints(self, endpoints: Iterable[Endpoint], about: Mapping[Endpoint, Metadata] = NOTHING) -> None:
        """These serve it now."""
        self._stale = False
        if self._watcher is not None:
            self._watcher.endpoints(endpoints, about)

    def unresolved(self, error: Exception) -> None:
        """Nobody does, as far as is known."""
        if self._stale:
            self.endpoints(())
        if self._watcher is not None:
            self._watcher.unresolved(error)

    def close(self) -> None:
        """Its watcher is told nothing more."""
        self._watcher = None
        self._owner.ended(self)
        self._let_go()

    def refresh(self) -> None:
        """Somebody waits."""
        if self._watch is not None:
            self._watch.refresh()

    def _let_go(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
