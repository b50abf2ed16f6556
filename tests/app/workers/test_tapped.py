# -*- test-case-name: tests.app.workers.test_tapped -*-
"""
L{lproxy.app.workers.tapped}: who reads one of several workers, and workers that come and go meanwhile.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from lproxy.admin.tapping import Reader
from lproxy.app.workers import tapped
from lproxy.app.workers.portion import Portion
from lproxy.app.workers.sibling import Answers
from lproxy.app.workers.tapped import Tapped
from lproxy.protocols.taps import Taps
from tests.app.running import RunningCase, reactor
from tests.app.workers.test_aggregate import Written


class FakeWorker:
    """The first, with a table of others."""

    portion = Portion(0, 2)

    def __init__(self) -> None:
        self.table: list[dict[str, Any]] = [{"worker": 0, "at": "nobody-asks-oneself"}]
        self.alone = False

    def ask(self, values: dict[str, Any]) -> Deferred[Any]:
        return fail(OSError()) if self.alone else succeed({"workers": self.table})


class TappedTests(RunningCase):
    """One worker, and another that is no more than what it says."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(tapped, "LOOK", 0.01)
        self.worker = FakeWorker()
        self.own, self.others = Taps(), Taps()
        self.tapped = Tapped(self.own, self.worker, reactor)  # type: ignore[arg-type]
        self.request = Written()

    def listen(self) -> Any:
        name = f"lproxy-test-{os.getpid()}-{secrets.token_hex(4)}"
        self.worker.table.append({"worker": 1, "at": name})
        return reactor.listenUNIX(f"\0{name}", Answers({}, self.others, reactor))

    def test_comes_later(self) -> Deferred[None]:
        """A worker that starts while somebody reads is heard as well; one that is not there yet is asked again."""

        async def go() -> None:
            self.worker.table.append({"worker": 1, "at": f"lproxy-test-nobody-{os.getpid()}"})
            reader = Reader(self.request, {}, reactor)
            self.tapped.add(reader)
            port = self.listen()
            await self.until(lambda: self.others.on)
            self.others({"n": 1})
            await self.until(lambda: self.request.rows)
            self.assertEqual([{"worker": 1, "n": 1}], self.request.rows)
            self.tapped.stop()
            await self.until(lambda: not self.others.on)
            await port.stopListening()

        return Deferred.fromCoroutine(go())

    def test_no_supervisor(self) -> None:
        """Who cannot ask for the others tells of itself; to leave twice does no harm."""
        self.worker.alone = True
        reader = Reader(self.request, {}, reactor)
        self.tapped.add(reader)
        self.own({"n": 1})
        self.assertEqual([{"worker": 0, "n": 1}], self.request.rows)
        for _ in range(2):
            self.tapped.remove(reader)
        self.assertFalse(self.own.on)
