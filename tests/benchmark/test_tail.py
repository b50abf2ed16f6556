"""
L{benchmark.tail}: what its proxies are told, and what is made of two measurements.
"""

from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from benchmark import tail
from benchmark.load import Load
from benchmark.peer import Proxy
from benchmark.peers import PEERS
from benchmark.process import ProcessFailed
from benchmark.settings import Settings
from lproxy import tap

ENDS = list(range(9001, 9011))


class ConfigureTests(SynchronousTestCase):
    """One service of ten endpoints."""

    def test_lproxy(self) -> None:
        """lproxy has nothing to complain of."""
        folder = Path(self.mktemp())
        folder.mkdir()
        tail.configure(Proxy(PEERS["lproxy"], None, None), folder, 8000, ENDS)  # type: ignore[arg-type]
        config = tap.read(str(folder / "lproxy.toml")).config
        assert config is not None
        self.assertEqual(tuple(f"127.0.0.1:{end}" for end in ENDS), config.services["ten"].endpoints)
        self.assertIn("127.0.0.1:8000", [one.address for one in config.listen])

    def test_envoy(self) -> None:
        """Envoy chooses by the least requests, and puts outliers aside."""
        folder = Path(self.mktemp())
        folder.mkdir()
        ends = ", ".join(tail.ENVOY_ENDPOINT.format(host="127.0.0.1", port=end) for end in ENDS)
        whole = yaml.safe_load(tail.ENVOY_CONFIG.format(host="127.0.0.1", port=8000, endpoints=ends))
        (cluster,) = whole["static_resources"]["clusters"]
        self.assertEqual(("LEAST_REQUEST", {}), (cluster["lb_policy"], cluster["outlier_detection"]))
        self.assertEqual(10, len(cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]))


class RunTests(SynchronousTestCase):
    """The two measurements."""

    def test_ratio(self) -> None:
        """p99 with a slow one, after a second, to p99 before; and what part of the requests it had."""
        told: list[tuple[int, str]] = []
        offered: list[float] = []
        p99 = iter((9.0, 2.0, 600.0, 3.0))

        class Process:
            pid = 1

            def __enter__(self) -> Any:
                return self

            def __exit__(self, *what: object) -> None:
                pass

        @contextmanager
        def ten(settings: Settings, directory: Path) -> Any:
            yield ENDS

        def offer(port: int, seconds: float, settings: Settings, raw: Path | None = None) -> Load:
            offered.append(seconds)
            return Load(1000, seconds, {"p99_ms": next(p99), "requests_per_s": 400.0, "errors": 0.0})

        self.patch(tail, "ten", ten)
        self.patch(tail, "configure", lambda *what: ["proxy"])
        self.patch(tail, "running", lambda *what: Process())
        self.patch(tail, "offer", offer)
        self.patch(tail, "tell", lambda port, path: told.append((port, path)) or b"5")
        self.patch(tail, "resident_kib", lambda pid: 2048)
        found = tail.run_tail(Proxy(PEERS["lproxy"], None, None), Settings(seconds=4.0))  # type: ignore[arg-type]
        self.assertEqual(
            (2.0, 1.5, 0.5), tuple(found.values[key] for key in ("p99_good_ms", "of_good", "slow_percent"))
        )
        self.assertEqual([1.0, 4.0, 1.0, 4.0], offered)
        self.assertEqual([(9001, "/slow/500"), (9001, "/asked"), (9001, "/asked")], told)

    def test_failed(self) -> None:
        """Where requests fail nothing was measured."""
        self.patch(tail.load, "http_rate", lambda *what: Load(0, 1.0, problem="no requests"))
        self.assertRaises(ProcessFailed, tail.offer, 80, 1.0, Settings())
