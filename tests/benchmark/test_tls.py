"""
L{benchmark.tls}: which load goes where, and what mutual TLS is compared with.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmark import load, tls
from benchmark.load import Load
from benchmark.peer import Ports, Proxy
from benchmark.peers import PEERS
from benchmark.scenarios import Measured
from benchmark.settings import TINY, Settings


class GenerateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def instead(self, name: str) -> None:
        def call(*arguments: Any, **more: Any) -> Load:
            self.asked.append((*arguments, more))
            return Load(1, 1.0)

        self.patch(load, name, call)

    def test_requests(self) -> None:
        """wrk, over TLS or not."""
        self.instead("http")
        for secure in (True, False):
            tls.requests(secure)(4430, 2.0, Settings(load_core=3), None)
        self.assertEqual([True, False], [one[-1]["tls"] for one in self.asked])
        self.assertEqual((4430, 2.0, 3), self.asked[0][:3])

    def test_handshakes(self) -> None:
        """Full or resumed."""
        self.instead("handshakes")
        for resume in (True, False):
            tls.handshakes(resume)(4430, 2.0, Settings(load_core=3), Path("raw"))
        self.assertEqual([(4430, 2.0, 3, resume, Path("raw"), {}) for resume in (True, False)], self.asked)

    def test_idle(self) -> None:
        """Fewer than without TLS, and no more than asked for."""
        found: list[tuple[Any, ...]] = []
        self.patch(tls, "idle", lambda *arguments: found.append(arguments[2:]))
        for settings in (Settings(), TINY):
            tls.run_idle(Proxy(PEERS["nginx"], Ports(1, 2, 3), None), settings)
        self.assertEqual([(tls.IDLE, "https", "--tls"), (TINY.idle, "https", "--tls")], found)


class MutualTests(SynchronousTestCase):
    def test_ratio(self) -> None:
        """Both ways are measured on the same proxy, one after the other; what others did in either counts."""

        def run(cost: float, *more: Any) -> Callable[[Proxy, Settings], Measured]:
            return lambda proxy, settings: Measured({"cpu_us_per_request": cost, "errors": 0.0}, *more)

        self.patch(tls, "plain_hops", run(20.0, ["odd"], 0.3, 0.0))
        self.patch(tls, "mutual_hops", run(25.0, ["too"], 0.1, 0.2))
        found = tls.run_mutual(Proxy(PEERS["nginx"], Ports(1, 2, 3), None), Settings())
        values = {"cpu_us_per_request": 25.0, "cpu_us_plaintext": 20.0, "of_plaintext": 1.25, "errors": 0.0}
        self.assertEqual(values, found.values)
        self.assertEqual((["odd", "too"], 0.3, 0.2), (found.notes, found.foreign_proxy, found.foreign_load))
