# -*- test-case-name: tests.app.test_running -*-
"""
L{lproxy.app.running}: who is told when it serves and ends; L{tests.test_tap} has how it fails to start.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from lproxy.app import running as module
from lproxy.app.assembly import CannotStart
from lproxy.app.process import alone
from lproxy.app.running import Running
from lproxy.app.workers.portion import Portion
from lproxy.config import Timeouts
from lproxy.supervise.handover import CannotTakeOver
from tests.app.running import RunningCase, reactor


class FakeNotify:
    """Remembers what systemd is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def ready(self) -> None:
        self.told.append("ready")

    def reloading(self) -> None:
        self.told.append("reloading")

    def stopping(self) -> None:
        self.told.append("stopping")

    def taken(self, pid: int) -> None:
        self.told.append(pid)

    def over(self) -> None:
        self.told.append("over")


class FakeTakeover:
    """One that goes as it is told."""

    error: CannotTakeOver | None = None
    ours = True
    #: who is still about to take our place
    asking = 0

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.given: Any = None

    def take(self, admin: str) -> None:
        if self.error is not None:
            raise self.error
        self.told.append(admin)

    def open(self, given: Any) -> None:
        self.given = given

    def serving(self, done: Any) -> None:
        done(self.ours)

    def close(self) -> None:
        self.told.append("close")

    def over(self) -> int:
        self.told.append("over")
        return self.asking

    def owned(self) -> list[tuple[str, str, str]]:
        return []

    def upgrade(self) -> None:
        self.told.append("upgrade")


class FakeWorker:
    """Remembers what the supervisor is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.text = b""
        self.well = True
        self.portion = Portion(0, 2)
        self.ledgers = [os.memfd_create("ledger")]
        self.answers_at = f"lproxy-test-{os.getpid()}-running"

    def attach(self, proxy: Any) -> None:
        self.told.append("attach")

    def serving(self, hung: float, ending: float) -> None:
        self.told.append((hung, ending))

    def stopping(self, within: float) -> None:
        self.told.append(within)

    def over(self) -> None:
        self.told.append("over")


class RunningTests(RunningCase):
    """One that runs."""

    def setUp(self) -> None:
        super().setUp()
        self.notify: Any = FakeNotify()
        self.takeover: Any = FakeTakeover()

    def running(self, process: Any = None, admin: str | None = None) -> Running:
        config = self.config(outbound=Timeouts(stop_delay=0.01, drain=2.0), inbound=Timeouts(worker=7.0))
        takeover = self.takeover if process is None else None
        return Running(
            config, self.found(), self.reactor, None, process or alone(reactor), self.notify, takeover, admin
        )

    def test_life(self) -> Deferred[None]:
        """systemd is told when the reactor runs and it serves, of a reload, and of the end."""

        async def go() -> None:
            proxy = self.running()
            proxy.privilegedStartService()
            proxy.startService()
            await self.turn()
            proxy.reload()
            await self.stop(proxy)
            self.assertEqual(["ready", "reloading", "ready", "stopping", "over"], self.notify.told)
            self.assertEqual(["close", "over"], self.takeover.told)

        return Deferred.fromCoroutine(go())

    def test_worker(self) -> Deferred[None]:
        """A worker tells its supervisor instead: that it serves, how long to be patient, and how long the end takes."""

        async def go() -> None:
            worker: Any = FakeWorker()
            proxy = self.running(replace(alone(reactor), worker=worker, portion=Portion(0, 2)))
            proxy.startService()
            await self.turn()
            await self.stop(proxy)
            os.close(worker.ledgers[0])
            self.assertEqual(["attach", (10.0, 2.01), 2.01, "over"], worker.told)
            self.assertEqual(["stopping", "over"], self.notify.told)

        return Deferred.fromCoroutine(go())

    def test_taken(self) -> Deferred[None]:
        """Once another has its place it accepts nobody, says who that is, and ends without a delay."""

        async def go() -> None:
            proxy = self.running()
            proxy.startService()
            await self.turn()
            proxy.upgrade()
            self.takeover.given(4711)
            await self.until(lambda: self.reactor.stopped)
            self.assertEqual(1, self.reactor.stopped)
            self.assertEqual({}, proxy.addresses())
            await self.stop(proxy)
            self.assertEqual(["ready", 4711, "over"], self.notify.told)
            proxy.upgrade()
            self.assertEqual(["upgrade", "close", "over"], self.takeover.told)

        return Deferred.fromCoroutine(go())

    def test_taken_at_the_end(self) -> Deferred[None]:
        """Who is still about to take its place when it ends is told to systemd as the one that goes on."""

        async def go() -> None:
            self.takeover.asking = 4711
            proxy = self.running()
            proxy.startService()
            await self.turn()
            await self.stop(proxy)
            self.assertEqual(["ready", "stopping", 4711, "over"], self.notify.told)

        return Deferred.fromCoroutine(go())

    def test_takes(self) -> Deferred[None]:
        """
        It has another's sockets before it binds its own; where those are not its alone in the end, it ends, and its
        status says so.
        """
        at_exit: list[Any] = []
        self.patch(module.atexit, "register", lambda *what: at_exit.append(what))

        async def go() -> None:
            self.takeover.ours = False
            proxy = self.running(admin="127.0.0.1:4191")
            proxy.privilegedStartService()
            self.assertEqual(["127.0.0.1:4191"], self.takeover.told)
            proxy.startService()
            await self.until(lambda: self.reactor.stopped)
            self.assertEqual(1, self.reactor.stopped)
            self.assertNotIn("ready", self.notify.told)
            self.assertEqual([(os._exit, 1)], at_exit)
            await self.stop(proxy)

        return Deferred.fromCoroutine(go())

    def test_cannot_take(self) -> None:
        """Where there is nothing to be had it does not start, and says why."""
        self.takeover.error = CannotTakeOver("nobody hands over")
        error = self.assertRaises(CannotStart, self.running(admin="x").privilegedStartService)
        self.assertEqual("nobody hands over", str(error))
