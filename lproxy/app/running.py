# -*- test-case-name: tests.app.test_running, tests.test_tap -*-
"""
The proxy as the only service of a process: whoever started the process, or looks after it, is told how it goes.
"""

from __future__ import annotations

import atexit
import gc
import os
import time
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred

from lproxy.admin.server import admin_site
from lproxy.admin.site import Site
from lproxy.app.assembly import CannotStart
from lproxy.app.draining import Draining, Left
from lproxy.app.log import log
from lproxy.app.oneline import one_line
from lproxy.app.plugins import Found
from lproxy.app.process import Process
from lproxy.app.reload import Outcome, Source
from lproxy.app.service import Proxy
from lproxy.app.takeover import Takeover
from lproxy.app.workers.aggregate import Together
from lproxy.app.workers.supervised import Supervised
from lproxy.config import Config
from lproxy.metrics.reload import APPLIED, INVALID
from lproxy.supervise.handover import CannotTakeOver
from lproxy.transport.notify import Notify

#: allocations between collections of the youngest generation: what requests leave is freed by reference counting
GC_THRESHOLD = 20_000
#: the exit status of one that was to take another's place, and did not
NOT_GIVEN = 1


class Running(Proxy):
    """One that is on its own, or a worker."""

    def __init__(
        self,
        config: Config,
        plugins: list[Found],
        reactor: Any,
        source: Source | None,
        process: Process,
        notify: Notify,
        takeover: Takeover | None = None,
        admin: str | None = None,
    ) -> None:
        """
        @param takeover: how another process may have its place; C{None}: that is not its own affair
        @param admin: the admin server of the lproxy whose place it takes; C{None}: nobody's
        """
        super().__init__(config, plugins, reactor, source, process)
        self._notify = notify
        self._takeover = takeover
        self._from = admin
        worker = process.worker
        self._supervised = Supervised(self, worker) if worker is not None else None
        self._together = Together(self, worker, reactor) if worker is not None else None
        if worker is not None:
            self.metrics.reloads.inherit(worker.well)
        self._draining = Draining(self._left, reactor)

    def _site(self, host: str) -> Site:
        together, config = self._together, self.config.admin
        if together is None:
            return admin_site(self, self.metrics, config, host, self._reactor, time.time, before=self._look)
        together.start()
        return admin_site(together, together, config, host, self._reactor, time.time, before=self._look)

    def _look(self, page: str) -> Deferred[None]:
        """What others have to say, for a page of the admin server."""
        looked = self._draining.look(page, self.admin_address())
        together = self._together
        return looked if together is None else looked.addCallback(lambda _: together.ask_all(page))

    def draining(self) -> list[dict[str, Any]]:
        return self._draining.rows

    def _left(self) -> Left:
        return Left(self.clients(), self._stacks.in_flight.count)

    def give(self) -> None:
        admin, within = self.admin_address(), self.ending_seconds()
        super().give()
        if admin is not None:
            self._draining.begin(admin, within)

    def privilegedStartService(self) -> None:
        with one_line():
            super().privilegedStartService()

    def _prepare(self) -> None:
        if self._takeover is not None and self._from is not None:
            try:
                self._takeover.take(self._from)
            except CannotTakeOver as e:
                raise CannotStart(str(e)) from e
        super()._prepare()

    def startService(self) -> None:
        # before anybody waits for the reactor; what exists afterwards stays: the collector need not traverse it again
        gc.collect()
        with one_line():
            super().startService()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 50)
        self._reactor.callWhenRunning(self._turns)

    def _turns(self) -> None:
        """The reactor does."""
        if self._supervised is not None:
            assert self._process.worker is not None
            self._process.worker.attach(self._supervised)
            self._supervised.serving()
        elif self._takeover is not None:
            for one in self._takeover.owned():
                self.exposed(*one)
            self._takeover.open(self._taken)
            self._takeover.serving(self._serves)
        else:
            self._notify.ready()

    def _serves(self, ours: bool) -> None:
        if ours:
            self._notify.ready()
        else:
            log.critical("what was to be taken over was not given: nothing is started")
            # the reactor knows no other status than 0
            atexit.register(os._exit, NOT_GIVEN)
            self.shutdown()

    def _taken(self, pid: int) -> None:
        self._notify.taken(pid)
        self.give()

    def upgrade(self) -> None:
        """As SIGUSR2: have another process take our place."""
        if self._takeover is not None and not self._ending:
            self._takeover.upgrade()

    def reload(self) -> Deferred[Outcome]:
        worker = self._process.worker
        if worker is not None:
            # all of them, one after the other: the supervisor's affair
            return worker.ask({"do": "reload"}).addCallback(self._all_reloaded)
        self._notify.reloading()
        return super().reload().addCallback(self._reloaded)

    def _reloaded(self, outcome: Outcome) -> Outcome:
        self._notify.ready()
        return outcome

    def _all_reloaded(self, answer: dict[str, Any]) -> Outcome:
        return Outcome(APPLIED if answer["well"] else INVALID, answer["text"])

    def stopService(self) -> Deferred[None]:
        if not self._given:
            # else we are not whom that is asked of any more
            self._notify.stopping()
        if self._takeover is not None:
            self._takeover.close()
        if self._process.worker is not None:
            self._process.worker.stopping(self.ending_seconds())
        return super().stopService().addBoth(self._ended)

    async def _stop(self) -> None:
        await super()._stop()
        await self._draining.stop()
        if self._together is not None:
            await self._together.stop()

    def _ended(self, result: Any) -> Any:
        if self._takeover is not None and (pid := self._takeover.over()):
            self._notify.taken(pid)
        self._notify.over()
        if self._process.worker is not None:
            self._process.worker.over()
        return result


class Profiled(MultiService):
    """The profile port and the proxy, in this order: if the port cannot be bound, nothing is started."""

    def startService(self) -> None:
        with one_line():
            super().startService()  # type: ignore[no-untyped-call]
