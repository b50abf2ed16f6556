"""
L{benchmark.observed}: what each proxy is told, as it takes it.
"""

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from benchmark import observed, peers
from benchmark.peer import IDS, LOG_JSON, LOG_TEXT, OBSERVED, SCRAPED, TRACE_ALL, TRACE_SOME, Ports, Setting
from benchmark.peers import PEERS
from benchmark.upstreams import Upstreams
from lproxy import tap
from tests.components import require


class ObservedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(peers, "nginx_stream_module", lambda: "")
        self.patch(peers, "envoy_binary", lambda: "/bin/envoy")

    def written(self, proxy: str, how: str, file: str) -> Path:
        """The file of C{proxy}'s configuration."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        ports, command = Ports(11001, 11002, 11003, 11004), PEERS[proxy].command
        assert command is not None
        command(Setting(folder, ports, Upstreams(12001, 12002, 12003), 500, observe=how, collector=4318))
        return folder / file

    def test_lproxy(self) -> None:
        """lproxy has nothing to complain of, and does what is asked for, and nothing else."""
        for how in ("", *OBSERVED):
            path = self.written("lproxy", how, "lproxy.toml")
            self.assertEqual(0, tap.report(tap.read(str(path))), path.read_text())
            told = tomllib.loads(path.read_text())
            log, tracing = told.get("access_log", {}), told.get("tracing", {})
            self.assertEqual({LOG_JSON: "json", LOG_TEXT: "envoy"}.get(how), log.get("format"))
            self.assertEqual({TRACE_SOME: 0.01, TRACE_ALL: 1.0}.get(how), tracing.get("sample"))
            self.assertEqual("generate" if how == IDS else None, told["listen"][0].get("request_id"))

    def test_nginx(self) -> None:
        """nginx writes a line only where that is what is measured."""
        for how in ("", LOG_JSON, LOG_TEXT, IDS):
            text = self.written("nginx", how, "nginx.conf").read_text()
            self.assertEqual(how not in (LOG_JSON, LOG_TEXT), "access_log off;" in text)
            self.assertEqual(how == IDS, "$request_id;" in text)

    def test_nginx_takes_it(self) -> None:
        """It has nothing to complain of."""
        require("nginx")
        for how in (LOG_JSON, LOG_TEXT, IDS):
            path = self.written("nginx", how, "nginx.conf")
            http = path.read_text().partition("\nstream {")[0]
            path.write_text(http)
            done = subprocess.run(
                ["nginx", "-e", "stderr", "-t", "-c", path.absolute()], capture_output=True, text=True, timeout=60
            )
            self.assertEqual(0, done.returncode, done.stderr)

    def test_haproxy(self) -> None:
        """HAProxy has nothing to complain of."""
        require("haproxy")
        for how in ("", LOG_TEXT, IDS, SCRAPED):
            path = self.written("haproxy", how, "haproxy.cfg")
            done = subprocess.run(["haproxy", "-c", "-f", path], capture_output=True, text=True, timeout=60)
            self.assertEqual(0, done.returncode, done.stderr)

    def test_envoy(self) -> None:
        """Envoy's file is YAML, which says what is asked for, and nothing else."""
        for how in ("", LOG_JSON, LOG_TEXT, TRACE_SOME, TRACE_ALL, SCRAPED):
            told: Any = yaml.safe_load(self.written("envoy", how, "envoy.yaml").read_text())
            resources = told["static_resources"]
            manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
            self.assertEqual(how == SCRAPED, "admin" in told)
            self.assertEqual(how in (LOG_JSON, LOG_TEXT), "access_log" in manager)
            sampled = manager.get("tracing", {}).get("random_sampling", {}).get("value")
            self.assertEqual({TRACE_SOME: 1.0, TRACE_ALL: 100.0}.get(how), sampled)
            self.assertIn("collector", [one["name"] for one in resources["clusters"]])

    def test_cannot(self) -> None:
        """What a proxy does not have it says, with a reason."""
        for name, cannot in (
            ("nginx", observed.NGINX_CANNOT),
            ("haproxy", observed.HAPROXY_CANNOT),
            ("envoy", observed.ENVOY_CANNOT),
        ):
            self.assertEqual(OBSERVED - set(cannot), OBSERVED & PEERS[name].listeners)
            self.assertLessEqual(cannot.items(), PEERS[name].cannot.items())
