# -*- test-case-name: tests.app.test_reload -*-
"""
Another configuration in the place of the present one: from the file that the process was started with, read anew.

What is wrong with it changes nothing, and is said where a user looks: in the log, in the answer to whoever asked, in
C{config_reload_total}.

Nobody waits for it who is being served: the file is read beside the reactor, and what is made of it in slices, with
pauses that are everybody else's. One reload is done at a time. Whoever asks for one while another is under way may have
changed the file since that was begun: there is another one after it, for all who have asked meanwhile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from lproxy.app.assembly import Assembly, CannotStart
from lproxy.app.log import log
from lproxy.app.slices import in_slices
from lproxy.config import Config
from lproxy.configfile import Loaded, Problem, render
from lproxy.configfile.difference import LASTING
from lproxy.configfile.pauses import pause
from lproxy.configfile.problem import Severity
from lproxy.configfile.profile.read import ROUTES
from lproxy.errors import one_line
from lproxy.metrics.reload import APPLIED, FAILED, INVALID, UNCHANGED, Reloads
from lproxy.stamp import Stamp

#: lines that the log gets of what is wrong or odd: thousands would take their time
LINES = 50


class Source(NamedTuple):
    """
    Where the configuration comes from.

    @ivar file: its name, for people
    @ivar path: where it is
    @ivar read: reads it, and checks what stands there: in any thread
    @ivar tell: what an assembly of a configuration says of itself, as problems of the file
    @ivar seen: what was there before it was read first
    """

    file: str
    path: str
    read: Callable[[], Loaded]
    tell: Callable[[Config, Severity, Iterable[str]], Iterable[Problem]]
    seen: Stamp | None = None


class Read(NamedTuple):
    """
    What was read.

    @ivar same: whether it says what is live
    @ivar digest: a hash of it; empty where it cannot be used
    """

    loaded: Loaded
    same: bool = False
    digest: str = ""


#: calls something beside the reactor
Beside = Callable[[Callable[[], Read]], Deferred[Read]]


class Outcome(NamedTuple):
    """
    What came of a reload.

    @ivar word: one of L{lproxy.metrics.reload.OUTCOMES}
    @ivar text: for whoever asked for it: lines, the first says what happened
    """

    word: str
    text: str

    @property
    def well(self) -> bool:
        """Whether what the file says is live."""
        return self.word in (APPLIED, UNCHANGED)


class Reload:
    """
    Reloads, and what is known of the configuration that is live.

    @ivar _asked: who waits for the next one
    @ivar _under_way: the present one
    @ivar _digested: a configuration and its hash, so that it is made once
    """

    def __init__(
        self,
        source: Source | None,
        config: Callable[[], Config],
        assemble: Callable[[Config], Generator[None, None, Assembly]],
        swap: Callable[[Config, Assembly], None],
        counter: Reloads,
        now: Callable[[], float],
        beside: Beside,
        clock: IReactorTime,
    ) -> None:
        """
        @param source: C{None} where no file was given
        @param config: what is live
        @param assemble: makes something of a configuration; raises L{CannotStart}
        @param swap: has that serve; raises L{CannotStart}, and nothing has changed
        @param now: seconds of the epoch
        @param beside: calls what takes its time
        """
        self._source = source
        self._config = config
        self._assemble = assemble
        self._swap = swap
        self._counter = counter
        self._now = now
        self._beside = beside
        self._clock = clock
        self._asked: list[Deferred[Outcome]] = []
        self._under_way: Deferred[None] | None = None
        self._digested: tuple[Config, str] | None = None

    def live(self) -> None:
        """A configuration begins to serve."""
        self._counter.live_since = self._now()

    def describe(self, config: Config) -> dict[str, Any]:
        """Which configuration is live: the file, a hash of what was understood of it, since when."""
        since = self._counter.live_since
        if self._digested is None or self._digested[0] is not config:
            self._digested = config, digest(config)
        return {
            "file": self._source.file if self._source is not None else None,
            "hash": self._digested[1],
            "since": datetime.fromtimestamp(since, UTC).isoformat(timespec="milliseconds") if since else None,
        }

    def reload(self) -> Deferred[Outcome]:
        """Read the file, and have it serve in the place of what is live, where it is right and another; never fails."""
        asked: Deferred[Outcome] = Deferred()
        self._asked.append(asked)
        if self._under_way is None:
            under_way = self._under_way = Deferred.fromCoroutine(self._all())
            if under_way.called:
                self._under_way = None
        return asked

    def stop(self) -> None:
        """The proxy ends: what is under way ends, too."""
        if self._under_way is not None:
            self._under_way.cancel()

    async def _all(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            try:
                outcome = await self._reload()
            except CancelledError:
                outcome = Outcome(FAILED, "lproxy is not running any more")
            except Exception as e:
                log.failure("reload: unexpected error")
                outcome = Outcome(FAILED, f"unexpected error, and what was live stays so: {type(e).__name__}: {e}")
            self._counter.done(outcome.word)
            tell = log.info if outcome.well else log.error
            first, *more = outcome.text.splitlines()
            for line in (first, *more[:LINES]):
                tell("reload: {text}", text=one_line(line))
            if len(more) > LINES:
                tell("reload: and {n} lines more, which lproxy check has", n=len(more) - LINES)
            for d in asked:
                d.callback(outcome)
        self._under_way = None

    async def _reload(self) -> Outcome:
        source = self._source
        if source is None:
            return Outcome(UNCHANGED, "lproxy was started without a file: there is nothing to read")
        config = self._config()
        loaded, same, known = await self._beside(partial(_read, source, config))
        problems = [str(problem) for problem in loaded.problems]
        refused = f"{source.file} is refused, and what was live stays so"
        if loaded.config is None:
            return Outcome(INVALID, "\n".join([refused, *problems]))
        if loaded.blank and not same:
            # somebody is about to write it; nobody wants the defaults in the place of what serves
            return Outcome(INVALID, f"{source.file} is refused, as it is empty, and what was live stays so")
        try:
            assembly = await in_slices(self._assemble(loaded.config), self._clock)
        except CannotStart as e:
            problems += map(str, source.tell(loaded.config, "error", e.args))
            return Outcome(INVALID, "\n".join([refused, *problems]))
        problems += map(str, source.tell(loaded.config, "warning", assembly.oddities()))
        if same:
            assembly.close()
            return Outcome(UNCHANGED, "\n".join([f"{source.file} says what is live already", *problems]))
        try:
            self._swap(loaded.config, assembly)
        except CannotStart as e:
            return Outcome(FAILED, f"{source.file} cannot be started, and what was live stays so: {e}")
        self._digested = loaded.config, known
        later = [name for name in LASTING if attrgetter(name)(loaded.config) != attrgetter(name)(config)]
        if later:
            problems.append(f"{' and '.join(later)} changed: that takes a restart")
        return Outcome(APPLIED, "\n".join([f"{source.file} is live", *problems]))


def _read(source: Source, live: Config) -> Read:
    loaded = source.read()
    if loaded.config is None:
        return Read(loaded)
    config = with_its_own(loaded.config, live)
    return Read(replace(loaded, config=config), config == live, digest(config))


def with_its_own(config: Config, live: Config) -> Config:
    """C{config}, whose services that are the same as in C{live} are the very same: quick to compare, and there once."""
    services = {}
    for name, one in config.services.items():
        pause()
        known = live.services.get(name)
        services[name] = known if known is not None and known == one else one
    return replace(config, services=MappingProxyType(services))


def digest(config: Config) -> str:
    """A hash of all that C{config} says: the same for two files that mean the same."""
    rendered = render(config)
    found = hashlib.sha256()
    for name, service in sorted(rendered.pop("services").items()):
        pause()
        # of all tables, where routes stand means something
        routes = list(service.get(ROUTES, ()))
        found.update(json.dumps([name, service, routes], sort_keys=True).encode())
    found.update(json.dumps(rendered, sort_keys=True).encode())
    return found.hexdigest()[:16]
