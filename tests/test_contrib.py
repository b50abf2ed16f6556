# -*- test-case-name: tests.test_contrib -*-
"""
contrib/: what platforms want of lproxy, held against lproxy itself and against the platforms' own tools.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.families import OURS, families
from lproxy.app.plugins import find
from lproxy.config import Limits, Timeouts
from tests.components import require
from tests.floors_source import ROOT

CONTRIB = ROOT / "contrib"
#: of prometheus_client, beside ours
STANDARD = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
#: a name in a query that is no function and no keyword
NAME = re.compile(r"\b([a-z][a-z0-9]*(?:_[a-z0-9]+)+|in_flight)\b(?=\s*(?:\{|\[|\)|$| ))")
FUNCTIONS = {"histogram_quantile", "label_values"}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


class PrometheusTests(SynchronousTestCase):
    """The board and the rules speak of metrics that there are."""

    def setUp(self) -> None:
        self.kinds = {family.name: family.kind for family in families([one for one in find() if one.name in OURS])}

    def check(self, query: str) -> None:
        """Each name in C{query} is a series of ours."""
        bare = re.sub(r"\{[^}]*\}", "{", re.sub(r'"[^"]*"', "", query))
        names = set(NAME.findall(re.sub(r"\b(by|on|without)\s*\([^)]*\)", "", bare))) - FUNCTIONS
        self.assertTrue(names, query)
        for name in names - STANDARD:
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            self.assertIn(family, self.kinds, query)
            self.assertEqual(family != name, self.kinds[family] == "histogram", query)

    def test_board(self) -> None:
        """Each panel of the Grafana board asks for what exists, and has a place of its own."""
        board: Any = json.loads((CONTRIB / "grafana" / "lproxy.json").read_text())
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
        self.assertEqual(len(set(places)), len(places))
        self.assertEqual(len({panel["id"] for panel in board["panels"]}), len(board["panels"]))
        for panel in board["panels"]:
            for target in panel["targets"]:
                self.check(target["expr"])
                self.assertIn("$instance", target["expr"])

    def test_rules(self) -> None:
        """So does each alert; promtool takes the file."""
        path = CONTRIB / "prometheus" / "lproxy.rules.yml"
        queries = re.findall(r"expr: (?:>-\n)?((?:.|\n)*?)(?=\n        \w+:)", path.read_text())
        self.assertGreater(len(queries), 5)
        for query in queries:
            self.check(query)
        require("promtool")
        done = run("promtool", "check", "rules", path)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)


class SystemdTests(SynchronousTestCase):
    """The unit, as systemd reads it."""

    def setUp(self) -> None:
        require("systemd-analyze")
        self.text = (CONTRIB / "systemd" / "lproxy.service").read_text()

    def unit(self) -> Path:
        """The unit, with a program that is there."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        for name in ("lproxy.service", "lproxy.socket"):
            text = (CONTRIB / "systemd" / name).read_text()
            (folder / name).write_text(text.replace("/opt/lproxy/bin/lproxy", sys.executable))
        return folder / "lproxy.service"

    def test_verify(self) -> None:
        """It and its socket have no mistake."""
        unit = self.unit()
        for path in (unit, unit.with_suffix(".socket")):
            done = run("systemd-analyze", "verify", "--man=no", path)
            complaints = [line for line in done.stderr.splitlines() if str(unit.parent) in line or "lproxy" in line]
            self.assertEqual([], complaints)

    def test_security(self) -> None:
        """It has no more rights than it needs: C{systemd-analyze security} finds an exposure of 2.5 of 10 at most."""
        done = run("systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", self.unit())
        self.assertEqual(0, done.returncode, done.stdout[-400:] + done.stderr)

    def test_times(self) -> None:
        """It is not killed while it drains, and may have the descriptors that its connections need."""
        stop = re.search(r"TimeoutStopSec=(\d+)", self.text)
        files = re.search(r"LimitNOFILE=(\d+)", self.text)
        assert stop is not None and files is not None
        self.assertGreater(int(stop[1]), Timeouts().drain)
        self.assertGreater(int(files[1]), 4 * Limits().connections)
