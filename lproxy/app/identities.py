# -*- test-case-name: tests.app.test_identities -*-
"""
Certificates, keys and anchors at work: read when a configuration starts, and looked at every second from then on.

To look costs a few C{stat()} calls for each file, and is done a few files at a time. Nothing is watched by inotify: of
network file systems it sees nothing, and of Kubernetes' volumes the wrong half.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from lproxy.app.log import log
from lproxy.app.slices import in_slices
from lproxy.errors import Failed, Warned
from lproxy.identity.pem import MaterialError
from lproxy.identity.refusal import date, title
from lproxy.identity.rotation import WORDS, Change, stage
from lproxy.identity.store import Store
from lproxy.metrics.certificates import Certificates

#: seconds between two looks
INTERVAL = 1.0


def wall_clock() -> datetime:
    """The time of day, which certificates go by."""
    return datetime.now(UTC)


class Identities:
    """
    Those of one configuration.

    @ivar store: what listeners, connectors and the admin server ask for contexts
    @ivar _insist: whether another look follows the present one, which tells of all that is wrong
    """

    def __init__(
        self,
        store: Store,
        clock: IReactorTime,
        metrics: Certificates,
        say: Callable[[str], None],
        warn: Warned,
        now: Callable[[], datetime] = wall_clock,
    ) -> None:
        """
        @param say: writes a log line
        @param warn: a rate-limited log of warnings, by kind
        """
        self.store = store
        self._clock = clock
        self._metrics = metrics
        self._say = say
        self._warn = warn
        self._now = now
        self._timer: IDelayedCall | None = None
        self._looking: Deferred[Any] | None = None
        self._insist = False
        #: how far each certificate in use has been told to be in its life, by name and fingerprint
        self._stages: dict[tuple[str, str], int] = {}
        self._told: set[str] = set()

    def load(self) -> Generator[None, None, list[MaterialError]]:
        """
        Read everything, step by step; what is wrong with what is not good. Whoever asks decides whether that is bad
        enough.
        """
        changes = yield from self.store.look(insist=True)
        return [change.error for change in changes if change.error is not None]

    def start(self) -> None:
        """Say what is in use, and look for changes from now on."""
        self._show()
        self._timer = self._clock.callLater(INTERVAL, self._look)

    def stop(self) -> None:
        """End; harmless where it has not begun."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()

    def reload(self) -> None:
        """As SIGHUP: look now, and tell of all that is wrong."""
        if self._timer is not None:
            self._timer.cancel()
            self._look(insist=True)
        elif self._looking is not None:
            self._insist = True

    def _look(self, insist: bool = False) -> None:
        self._timer = None
        self._insist = False
        looking = self._looking = in_slices(self.store.look(insist), self._clock)
        looking.addCallbacks(self._over, self._failed)

    def _over(self, changes: list[Change]) -> None:
        self._looking = None
        self._changed(changes)
        if self._insist:
            self._look(insist=True)
        else:
            self._timer = self._clock.callLater(INTERVAL, self._look)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            log.failure("unexpected error while certificates are looked at", failure)
            self._over([])

    def _changed(self, changes: list[Change]) -> None:
        for change in changes:
            error = change.error
            if error is not None:
                self._metrics.refuse(change.name, error.reason)
                # of a file in a folder, both may say the same; of another mistake, nothing was said yet
                self._warn(
                    f"certificate-{error.file}-{error.reason}",
                    f"{error}; what was in use before still is",
                    Failed("identity", change.name, str(error), None),
                )
        self._show()
        for change in changes:
            if change.error is None:
                self._say(f"{change.name}: {self._describe(change.name)}")

    def _describe(self, name: str) -> str:
        """What is in use now, under C{name}."""
        for known, one in self.store.materials():
            if known == name:
                return f"{title(one.leaf)} is in use, until {date(one.not_after)}"
        return "new anchors of trust are in use"

    def _show(self) -> None:
        """What is in use, in metrics; and in the log what somebody should do about it."""
        now = self._now()
        before, self._stages = self._stages, {}
        names = []
        for name, one in self.store.materials():
            names.append(name)
            self._metrics.use(name, one.fingerprint, one.not_after.timestamp())
            at = self._stages[name, one.fingerprint] = stage(one, now)
            if at > before.get((name, one.fingerprint), 0):
                why = f"{title(one.leaf)} {WORDS[at]}: it is valid until {date(one.not_after)}"
                self._warn(f"expires-{at}-{name}", f"{name}: {why}", Failed("identity", name, why, None))
        self._metrics.keep(names)
        odd = set(self.store.warnings())
        for text in sorted(odd - self._told):
            self._warn(f"odd-{text}", text, Failed("identity", "", text, None))
        self._told = odd
