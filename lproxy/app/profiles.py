# -*- test-case-name: tests.app.test_profiles -*-
"""
What is said about how services' requests are treated, as protocols ask for it: by the configuration's own tables, which
take precedence.
"""

from __future__ import annotations

from collections.abc import Callable

from lproxy.config import Service
from lproxy.profile import Profile
from lproxy.protocols.runtime import Profiles
from lproxy.target import Target


class LiveProfiles(Profiles):
    """Those of one configuration."""

    def __init__(self, find: Callable[[Target], Service | None]) -> None:
        """
        @param find: which service of the configuration's a target is
        """
        self._find = find
        self._watchers: dict[object, Callable[[], None]] = {}

    def of(self, target: Target) -> Profile | None:
        """What is said of C{target}."""
        service = self._find(target)
        return service.profile if service is not None else None

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Have C{changed} called when what is said changes; returns how to stop that."""
        key = object()
        self._watchers[key] = changed

        def stop() -> None:
            self._watchers.pop(key, None)

        return stop
