# -*- test-case-name: tests.app.test_profiles -*-
"""
What is said about how services' requests are treated, as protocols ask for it: by the configuration's own tables, which
have precedence, and by files, which are looked at every second.

To look costs a C{stat()} for each file. What has changed is read in slices: nobody who is served waits for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from lproxy.app.slices import in_slices
from lproxy.balancing import place
from lproxy.config import Config, Service
from lproxy.configfile import Problem
from lproxy.configfile.collector import at_once
from lproxy.configfile.problem import first_of
from lproxy.discover.memory import Memory
from lproxy.discover.static import Static
from lproxy.errors import Failed, Warned
from lproxy.metrics.profiles import APPLIED, REFUSED, REMOVED, ProfileFiles
from lproxy.profile import Profile
from lproxy.profiles.described import OfService
from lproxy.profiles.library import Change, Library
from lproxy.profiles.read import Within
from lproxy.protocols.runtime import Profiles, fixed_target
from lproxy.target import Authority, OriginalDst, ServiceName, Target, split_host_port

#: seconds between two looks; and to the next one where something is about to change
INTERVAL = 1.0
SOON = 0.25
#: lines that the log gets of one look's changes: thousands would take their time
LINES = 50


class Shelf:
    """
    What outlasts a configuration: the latest library, whose files need not be read again.
    """

    def __init__(self) -> None:
        self.library: Library | None = None


class LiveProfiles(Profiles):
    """Those of one configuration."""

    def __init__(
        self,
        config: Config,
        static: Static,
        shelf: Shelf,
        clock: IReactorTime,
        metrics: ProfileFiles,
        say: Callable[[str], None],
        warn: Warned,
        failed: Callable[[Failure], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        """
        @param static: knows which service of the configuration's a target is
        @param say: writes a log line
        @param warn: a rate-limited log of warnings, by kind
        @param failed: told of what should never be
        @param now: seconds of the epoch
        """
        self._static = static
        self._shelf = shelf
        self._clock = clock
        self._metrics = metrics
        self._say = say
        self._warn = warn
        self._failed = failed
        self._now = now
        self._watchers: dict[object, Callable[[], None]] = {}
        self._timer: IDelayedCall | None = None
        self._reading: Deferred[Any] | None = None
        self._first: list[Change] = []
        self._library = library(config, shelf.library)
        own = [service.profile for service in config.services.values() if service.profile is not None]
        #: whether anybody may say that something is opaque
        self.any_opaque = bool(config.profiles.files) or any(profile.opaque_ports for profile in own)
        self._services = config.services
        #: once somebody asks
        self._by_endpoint: dict[tuple[str, int], Service] | None = None

    # who asks

    def of(self, target: Target) -> Profile | None:
        """What is said of C{target}."""
        service = self._static.find(target)
        if service is not None and service.profile is not None:
            return service.profile
        if not self._library.files:
            return None
        host, port = _place(target)
        return self._library.book.of(host, port) if host else None

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Have C{changed} called when what is said changes; returns how to stop that."""
        key = object()
        self._watchers[key] = changed
        return partial(self._unwatch, key)

    def _unwatch(self, key: object) -> None:
        self._watchers.pop(key, None)

    def opaque(self, target: Target) -> bool:
        """Whether nobody is to detect what is spoken with C{target}, where a connection goes that nobody has read."""
        ports = {_place(target)[1]}
        if isinstance(target, OriginalDst):
            if self._by_endpoint is None:
                self._by_endpoint = by_endpoint(self._services)
            service = self._by_endpoint.get((target.host, target.port))
            if service is None:
                return False
            target = ServiceName(service.name)
            ports.add(_place(target)[1])
        profile = self.of(target)
        return profile is not None and not profile.opaque_ports.isdisjoint(ports)

    # its life

    def read(self) -> Generator[None, None, None]:
        """Read everything, step by step."""
        self._first = yield from self._library.look(insist=True)

    def start(self) -> None:
        """Say what there is, once it has been read; and look for changes from now on."""
        self._shelf.library = self._library
        first, self._first = self._first, []
        self._changed(first)
        self._timer = self._clock.callLater(INTERVAL, self._look)

    def stop(self) -> None:
        """End; harmless where it has not begun."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()

    def reload(self) -> None:
        """As SIGHUP: look now."""
        if self._timer is not None:
            self._timer.cancel()
            self._look()

    def _look(self) -> None:
        self._timer = None
        reading = self._reading = in_slices(self._library.look(), self._clock)
        reading.addCallbacks(self._over, self._unread).addErrback(self._failed)

    def _unread(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            # what is in use stays so, and the next look may do better
            self._failed(failure)
            self._over([])

    def _over(self, changes: list[Change]) -> None:
        self._reading = None
        self._timer = self._clock.callLater(SOON if self._library.pending else INTERVAL, self._look)
        self._changed(changes)

    def _changed(self, changes: list[Change]) -> None:
        library = self._library
        said = []
        for one in changes:
            if one.gone:
                self._metrics.done(REMOVED, self._now())
                said.append(f"profiles: {one.file} is gone, and what it said with it")
            elif one.errors:
                self._metrics.done(REFUSED, self._now())
                still = "what it said before still holds" if library.uses(one.file) else "it says nothing until then"
                why = first_of(one.errors)
                self._warn(f"profile-{one.file}", f"profiles: {why}; {still}", Failed("profile", one.file, why, None))
            else:
                self._metrics.done(APPLIED, self._now())
                odd = library.warnings(one.file)
                said.append(f"profiles: {one.file} is in use{f'; {first_of(odd)}' if odd else ''}")
        for text in said[:LINES]:
            self._say(text)
        if len(said) > LINES:
            self._say(f"profiles: and {len(said) - LINES} files more, in use or gone")
        for path in library.restless():
            still = "what it said before still holds" if library.uses(path) else "it says nothing until then"
            why = "is written to without a pause, and is not read"
            self._warn(f"restless-{path}", f"profiles: {path} {why}; {still}", Failed("profile", path, why, None))
        self._metrics.used = sum(1 for path in library.files if library.uses(path))
        self._metrics.refused = len(library.refused)
        if changes:
            for changed in list(self._watchers.values()):
                try:
                    changed()
                except Exception:
                    self._failed(Failure())

    # what there is to show

    def describe(self, target: Target) -> dict[str, Any] | None:
        """What is said of C{target}, for its row of C{/services}; C{None}: nothing."""
        profile = self.of(target)
        if profile is None:
            return None
        row: dict[str, Any] = {"source": profile.source or "configuration", "routes": len(profile.routes)}
        if profile.backends:
            row["backends"] = {one.service: one.weight for one in profile.backends}
        return row

    def problems(self) -> list[Problem]:
        """Everything that is wrong, or odd, with the files."""
        return self._library.problems()

    def unknown_opaque(self, config: Config) -> list[Problem]:
        """Profiles with opaque ports that nobody can know of before something is read."""
        targets: list[Target] = [ServiceName(one.name) for one in config.services.values() if one.endpoints]
        targets += [target for one in config.listen if (target := fixed_target(one.target)) is not None]
        known = {profile.source for target in targets if (profile := self.of(target)) is not None}
        every = [one for several in self._library.book.profiles.values() for one in several]
        return [_opaque_line(one) for one in every if one.profile.opaque_ports and one.profile.source not in known]

    def refused(self) -> list[dict[str, Any]]:
        """Rows of C{/services}: files of which what is in them now is not used, and why."""
        return [
            {
                "target": path,
                "state": "refused",
                "in_flight": 0,
                "waiters": 0,
                "endpoints": [],
                "last_error": str(errors[0]),
            }
            for path, errors in self._library.refused.items()
        ]


def by_endpoint(services: Mapping[str, Service]) -> dict[tuple[str, int], Service]:
    """Whose endpoint is where."""
    return {
        (host, port): service
        for service in services.values()
        for host, port in [split_host_port(place(endpoint).address) for endpoint in service.endpoints]
    }


def library(config: Config, before: Library | None = None) -> Library:
    """The files that C{config} names."""
    own = config.profiles
    return Library(own.files, Within(own.namespace, own.cluster_domain), config.services, before)


def _opaque_line(one: OfService) -> Problem:
    wrong = (
        "opaquePorts are not looked at: no listener has this service as its target, and no endpoints are known of it"
    )
    right = "write a [services] table with its endpoints, where connections to them are redirected"
    return Problem("warning", one.file, one.line, f"ServiceProfile {one.host}", wrong, right)


def as_of_now(config: Config, static: Static) -> LiveProfiles:
    """What is said now, for whoever has a look and is told of no changes."""
    found = LiveProfiles(config, static, Shelf(), Clock(), ProfileFiles(), _nobody, _nobody, Failure.raiseException)
    at_once(found.read())
    found.start()
    found.stop()
    return found


def _nobody(*said: object) -> None:
    """Nobody reads the log."""


def problems(config: Config) -> list[Problem]:
    """Everything that is wrong, or odd, with the files that C{config} names."""
    live = as_of_now(config, Static(config.services, Memory()))
    return [*live.problems(), *live.unknown_opaque(config)]


def _place(target: Target) -> tuple[str, int]:
    """The host and port that C{target} is known by; no host where it is none that profiles know."""
    if isinstance(target, ServiceName):
        try:
            host, port = split_host_port(target.name, 0)
        except ValueError:
            return target.name.lower(), 0
        return host.lower().removesuffix("."), port
    if isinstance(target, Authority):
        return target.host.lower(), target.port
    return "", target.port if isinstance(target, OriginalDst) else 0
