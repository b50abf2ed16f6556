# -*- test-case-name: tests.benchmark.endurance.test_main -*-
"""
L{benchmark.endurance}'s command: clients that talk while something is done.
"""

import asyncio
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmark import certificates
from benchmark.endurance import __main__ as module
from benchmark.endurance.actions import Amount
from benchmark.endurance.census import Census
from benchmark.endurance.tally import Kill, Tally
from tests.benchmark.endurance.test_proxy import PORTS


class FakeProxy:
    """Is reloaded well, and one of its workers dies meanwhile."""

    def __init__(self) -> None:
        self.workers = 1
        self.kills: list[Kill] = []

    def empty(self) -> None:
        pass

    def look(self) -> Census:
        return Census(1, 2, 3.0)

    def reload(self) -> str:
        self.kills.append(Kill(1.0, frozenset({7})))
        return "x is live"


class RunTests(SynchronousTestCase):
    """Rows of what was done."""

    def setUp(self) -> None:
        self.patch(module, "IDLE", 0.0)

    def run_with(self, client: Any) -> list[Any]:
        run = module.Run(FakeProxy(), {"x": client}, 0, Amount(0.01, 1, 0, 0, 0, 0.0, 0.0), 0.01)  # type: ignore[arg-type]
        return asyncio.run(run.all())

    def test_rows(self) -> None:
        """Each action has what was counted meanwhile, and who was killed."""

        async def client(tally: Tally) -> None:
            tally.begun += 1
            await asyncio.sleep(60)

        self.patch(module.time, "sleep", lambda seconds: None)
        first, second = self.run_with(client)
        self.assertEqual(("nothing", []), (first.action, first.kills))
        self.assertEqual(("1 reloads", 1), (second.action, len(second.kills)))
        self.assertEqual([module.EACH], [tally.begun for tally in second.tallies])
        self.assertEqual(second.before, second.after)

    def test_broken(self) -> None:
        """A client that breaks is no client that has lost something."""

        async def client(tally: Tally) -> None:
            raise KeyError("a mistake")

        self.assertRaises(KeyError, self.run_with, client)

    def test_wrong(self) -> None:
        """What it is told is checked before anything is begun."""
        self.patch(sys, "stderr", io.StringIO())
        for wrong in ("--reloads=x", "--mixed=long", "--worker", "nonsense"):
            self.assertRaises(SystemExit, module.main, [wrong])

    def test_kinds(self) -> None:
        """There are clients of all protocols, in clear and by TLS."""
        with tempfile.TemporaryDirectory() as name:
            kinds = module.clients(dict(PORTS), [certificates.make(Path(name))])
        for word in ("HTTP/1.1", "HTTP/2", "gRPC", "WebSocket", "TCP", "Kafka", "TLS"):
            self.assertTrue(any(word in kind for kind in kinds), word)
