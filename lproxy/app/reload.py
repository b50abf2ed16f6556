# -*- test-case-name: tests.app.test_reload -*-
"""
Another configuration in the place of the present one: from the file that the process was started with, read anew.

What is wrong with it changes nothing, and is said where a user looks: in the log, in the answer to whoever asked, in
C{config_reload_total}.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from lproxy.app.assembly import CannotStart
from lproxy.app.log import log
from lproxy.config import Config
from lproxy.configfile import Loaded, render
from lproxy.errors import one_line
from lproxy.metrics.reload import APPLIED, FAILED, INVALID, UNCHANGED, Reloads

#: sections that are only read when the process starts
LASTING = ("admin", "metrics")


class Source(NamedTuple):
    """
    Where the configuration comes from.

    @ivar file: its name, for people
    @ivar read: reads and checks it
    """

    file: str
    read: Callable[[], Loaded]


class Outcome(NamedTuple):
    """
    What came of a reload.

    @ivar word: one of L{lproxy.metrics.reload.OUTCOMES}
    @ivar text: for whoever asked for it: lines, the first says what happened
    """

    word: str
    text: str


class Reload:
    """
    Reloads, and what is known of the configuration that is live.
    """

    def __init__(
        self, source: Source | None, swap: Callable[[Config], None], counter: Reloads, now: Callable[[], float]
    ) -> None:
        """
        @param source: C{None} where no file was given
        @param swap: has a configuration serve; raises L{CannotStart}, and nothing has changed
        @param now: seconds of the epoch
        """
        self._source = source
        self._swap = swap
        self._counter = counter
        self._now = now

    def live(self) -> None:
        """A configuration begins to serve."""
        self._counter.live_since = self._now()

    def describe(self, config: Config) -> dict[str, Any]:
        """Which configuration is live: the file, a hash of what was understood of it, since when."""
        since = self._counter.live_since
        return {
            "file": self._source.file if self._source is not None else None,
            "hash": digest(config),
            "since": datetime.fromtimestamp(since, UTC).isoformat(timespec="milliseconds") if since else None,
        }

    def reload(self, config: Config) -> Outcome:
        """Read the file, and have it serve in the place of C{config}, where it is right and another."""
        outcome = self._reload(config)
        self._counter.done(outcome.word)
        tell = log.info if outcome.word in (APPLIED, UNCHANGED) else log.error
        for line in outcome.text.splitlines():
            tell("reload: {text}", text=one_line(line))
        return outcome

    def _reload(self, config: Config) -> Outcome:
        source = self._source
        if source is None:
            return Outcome(UNCHANGED, "lproxy was started without a file: there is nothing to read")
        loaded = source.read()
        problems = [str(problem) for problem in loaded.problems]
        if loaded.config is None:
            return Outcome(INVALID, "\n".join([f"{source.file} is refused, and what was live stays so", *problems]))
        if loaded.config == config:
            return Outcome(UNCHANGED, "\n".join([f"{source.file} says what is live already", *problems]))
        try:
            self._swap(loaded.config)
        except CannotStart as e:
            return Outcome(FAILED, f"{source.file} cannot be started, and what was live stays so: {e}")
        later = [name for name in LASTING if getattr(loaded.config, name) != getattr(config, name)]
        if later:
            problems.append(f"{' and '.join(f'[{name}]' for name in later)} changed: that takes a restart")
        return Outcome(APPLIED, "\n".join([f"{source.file} is live", *problems]))


def digest(config: Config) -> str:
    """A hash of all that C{config} says: the same for two files that mean the same."""
    return hashlib.sha256(json.dumps(render(config), sort_keys=True).encode()).hexdigest()[:16]
