# -*- test-case-name: tests.app.workers.test_supervised -*-
"""
A proxy as its supervisor sees it: what a worker is told, done.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from lproxy.app.reload import Outcome
from lproxy.app.service import Proxy
from lproxy.app.workers.worker import Worker


class Supervised:
    """A L{lproxy.app.workers.worker.Proxy}."""

    def __init__(self, proxy: Proxy, worker: Worker) -> None:
        self._proxy = proxy
        self._worker = worker
        self.end = proxy.end
        self.shutdown = proxy.shutdown
        self.give = proxy.give
        self.reopen = proxy.reopen
        self.set_log_level = proxy.set_log_level
        self.exposed = proxy.exposed
        self.refused = proxy.refused

    def reload_text(self, text: bytes) -> Deferred[Outcome]:
        """Serve by C{text}: what came of it."""
        before, self._worker.text = self._worker.text, text
        return self._proxy.reload_now().addCallback(self._reloaded, before)

    def _reloaded(self, outcome: Outcome, before: bytes) -> Outcome:
        if outcome.well:
            self.serving()
        else:
            self._worker.text = before
        return outcome

    def serving(self) -> None:
        """Tell the supervisor that we do, and how long it has to be patient with us."""
        self._worker.serving(self._proxy.hung_seconds(), self._proxy.ending_seconds())
