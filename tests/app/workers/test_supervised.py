# -*- test-case-name: tests.app.workers.test_supervised -*-
"""
L{lproxy.app.workers.supervised}: a proxy as its supervisor sees it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.reload import Outcome
from lproxy.app.workers.supervised import Supervised


class FakeProxy:
    """Reloads with what comes of it said before."""

    outcome = Outcome("applied", "f is live")

    def end(self) -> None: ...

    shutdown = give = reopen = set_log_level = exposed = refused = end

    def reload_now(self) -> Deferred[Outcome]:
        return succeed(self.outcome)

    def hung_seconds(self) -> float:
        return 10.0

    def ending_seconds(self) -> float:
        return 25.0


class FakeWorker:
    """Remembers."""

    text = b"before"

    def __init__(self) -> None:
        self.said: list[tuple[float, float]] = []

    def serving(self, hung: float, ending: float) -> None:
        self.said.append((hung, ending))


class SupervisedTests(SynchronousTestCase):
    """Texts."""

    def test_reload(self) -> None:
        """A text that is live is read from now on, and its times are told; one that is not leaves the one before."""
        proxy: Any = FakeProxy()
        worker: Any = FakeWorker()
        supervised = Supervised(proxy, worker)
        self.assertEqual("applied", self.successResultOf(supervised.reload_text(b"after")).word)
        self.assertEqual((b"after", [(10.0, 25.0)]), (worker.text, worker.said))
        proxy.outcome = Outcome("invalid", "f is refused")
        self.assertEqual("f is refused", self.successResultOf(supervised.reload_text(b"bad")).text)
        self.assertEqual((b"after", 1), (worker.text, len(worker.said)))
