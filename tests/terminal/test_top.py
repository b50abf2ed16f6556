# -*- test-case-name: tests.terminal.test_top -*-
"""
L{lproxy.terminal.top}: the page's JSON as lines for a terminal.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.terminal.text import width
from lproxy.terminal.top import COLUMNS, PARTS, Size, coloured, lines

QUIET: dict[str, Any] = {"rate": 0.0, "success": None, "quantiles": [None, None, None]}
HEAD = ["STATE", "RATE", "OK", "%", "P50", "P95", "P99", "BUSY", "WAIT"]


def service(target: str, state: str = "ready", **more: Any) -> list[Any]:
    """A row of the page's."""
    row = {"target": target, "state": state, "in_flight": 1, "waiters": 2, "endpoints": [], **more}
    return [row, {"rate": 12.34, "success": 0.5, "quantiles": [1.0, 20.0, None]}, {}]


def shown(*services: list[Any], **more: Any) -> dict[str, Any]:
    """What there is to show."""
    return {
        "version": "1.0",
        "not_ready": None,
        "seconds": 10.0,
        "live": {"file": "lproxy.toml"},
        "figures": {"connections": "5"},
        "services": list(services),
        "more": 0,
        "failures": [],
        **more,
    }


def sick(target: str, endpoints: int) -> list[Any]:
    """One whose every endpoint is down."""
    down = [{"address": f"a{n}", "state": "backoff", "in_flight": 0, "last_error": "no"} for n in range(endpoints)]
    return service(target, "down", endpoints=down)


class TopTests(SynchronousTestCase):
    """One picture."""

    def test_service(self) -> None:
        """A line for each, with what it does; what there is none of is a dash."""
        found = lines(shown(service("web:80", protocol="http")))
        self.assertEqual("lproxy 1.0, ready; lproxy.toml", found[0])
        self.assertEqual("of the last 10 s, a second: connections 5", found[1])
        cells = ["web:80", "http", "ready", "12.3", "50.00", "1.0", "20.0", "-", "1", "2"]
        self.assertEqual(cells, found[-1].split())
        self.assertEqual(["SERVICE", *HEAD], found[3].split())

    def test_endpoints(self) -> None:
        """Of endpoints those that do not do well, and why; of many, some, and how many more there are."""
        endpoints = [
            {"address": "10.0.0.1:80", "state": "healthy"},
            {"address": "10.0.0.2:80", "state": "backoff", "in_flight": 0, "last_error": "refused"},
        ]
        found = lines(shown(service("web:80", "degraded", endpoints=endpoints)))
        self.assertEqual(["10.0.0.2:80", "backoff", *"-----", "0"], found[-2].split())
        self.assertEqual("    refused", found[-1])
        self.assertNotIn("10.0.0.1", "".join(found))
        found = lines(shown(sick("web:80", 20)))
        self.assertEqual((3, "  and 17 more endpoints like this"), (sum("backoff" in one for one in found), found[-1]))

    def test_rest(self) -> None:
        """Routes, listeners, Kafka's APIs; of workers and certificates those that somebody should look at."""
        more = {
            "profiled": [[{"dst": "web:80", "rt_route": "GET /", "listener": "in"}, QUIET, 0.0]],
            "routes": [[{"authority": "web", "listener": "in"}, {**QUIET, "rate": 3.0, "success": 1.0}]],
            "listeners": [{"name": "in", "address": ["::", 80], "connections": 3, "speaks": "http 3"}, {"name": "db"}],
            "kafka": [["Fetch", 2.5], ["Metadata", 0.0]],
            "workers": [{"worker": 0, "state": "serving"}, {"worker": 1, "pid": 7, "state": "hung"}],
            "draining": [{"pid": 9, "connections": 3, "in_flight": 2}],
            "certificates": [[{"name": "a.mesh"}, 3_600.0], [{"name": "b.mesh"}, 9e9]],
        }
        text = "\n".join(lines(shown(**more)))
        self.assertRegex(text, r"\nROUTE +LISTENER +RATE")
        self.assertRegex(text, r"web:80 GET / +in +0\.0 +- +- +- +-\n")
        self.assertRegex(text, r"\nweb +in +3\.0 +100\.00 +- +- +-")
        for words in (
            "listeners: in 3 http 3, db closed",
            "kafka: Fetch 2.5\n",
            "worker 1 (process 7) is hung",
            "process 9, whose place this one has taken, drains: 3 connections, 2 requests and streams in flight",
            "certificate a.mesh: its time is over in 1 h 0 min",
        ):
            self.assertIn(words, text)
        for words in ("Metadata", "b.mesh", "worker 0"):
            self.assertNotIn(words, text)

    def test_room(self) -> None:
        """
        No more lines than there is room for, and none that is wider; services whole, but for one that alone is too
        much; how many others there are is said.
        """
        healthy = [service(f"s{n}.shop.example.com:80", protocol="http") for n in range(100)]
        failures = [{"times": 1, "text": "why " * 99}] * 9
        routes = [[{"authority": f"r{n}"}, QUIET] for n in range(50)]
        for first in (healthy[0], sick("sick:80", 20), sick("日本" * 40, 2)):
            picture = shown(first, *healthy, more=4_900, failures=failures, routes=routes)
            for columns in (16, 40, 60, 80, 100, 250):
                for rows in (8, 10, 12, 15, 24, 60, 300):
                    found = lines(picture, size=Size(columns, rows))
                    self.assertLessEqual(len(found), rows, (columns, rows, found))
                    self.assertLessEqual(max(map(width, found)), columns, (columns, rows, found))
                    (hidden,) = (
                        int(n) for n in re.findall(r"^and (\d+) more$", "\n".join(found), re.M) if int(n) > 999
                    )
                    services = sum(one.startswith(("s", "日")) for one in found)
                    self.assertEqual(5_001 - services, hidden, (columns, rows, found))
                    self.assertGreater(services, 0)
        text = "\n".join(lines(picture))
        self.assertIn("s99.shop", text)
        self.assertIn("r49", text)

    def test_columns(self) -> None:
        """A narrow terminal has names, states and the column that matters most; a wide one has all of them."""
        heads = {columns: lines(shown(service("web:80")), size=Size(columns, 24))[3] for columns in (16, 40, 80, 120)}
        self.assertNotIn("RATE", heads[16])
        self.assertEqual(["SERVICE", "STATE", "RATE"], heads[40].split()[:3])
        self.assertEqual(set(COLUMNS) - set(heads[80].split()), {"OK %"})
        self.assertEqual(["SERVICE", *HEAD], heads[120].split())

    def test_failures(self) -> None:
        """What went wrong lately, how often; and why it is not ready, or is not of now."""
        failures = [{"times": n, "text": f"broke {n}"} for n in range(1, 9)]
        found = lines(shown(failures=failures, not_ready="draining", seconds=0.0), trouble="nobody answers")
        self.assertEqual(["     1 x broke 1", "     5 x broke 5"], [found[-5], found[-1]])
        self.assertEqual("nobody answers", found[0])
        self.assertIn("not ready: draining", found[1])
        self.assertIn("all time", found[2])

    def test_colours(self) -> None:
        """They take no room."""
        picture = shown(service("web:80", "down"), service("x" * 99), service("日" * 40))
        for size in (Size(60, 24), Size(120, 0)):
            painted = [re.sub("\x1b\\[[0-9]*m", "", line) for line in lines(picture, coloured, size)]
            self.assertEqual(lines(picture, size=size), painted)
        self.assertRegex("".join(lines(picture, coloured)), "\x1b\\[31mdown *\x1b\\[0m")

    def test_hostile(self) -> None:
        """What peers have named cannot tell the terminal anything, wherever it stands."""
        bad = "\x1b]0;x\x07\r\x9b2J\u202e"
        picture = shown(
            service(bad, bad, endpoints=[{"address": bad, "state": bad, "last_error": bad}]),
            failures=[{"times": 1, "text": bad}],
            not_ready=bad,
            live={"file": bad},
            version=bad,
            figures={bad: bad},
            routes=[[{"authority": bad, "listener": bad}, QUIET]],
            profiled=[[{"dst": bad, "rt_route": bad, "listener": bad}, QUIET, 0.0]],
            listeners=[{"name": bad, "address": [bad, 1], "connections": 1, "speaks": bad}],
            kafka=[[bad, 1.0]],
            draining=[{"pid": bad}],
            workers=[{"worker": bad, "pid": bad, "state": bad}],
            certificates=[[{"name": bad}, 0.0]],
        )
        for size in (Size(120, 0), Size(50, 24)):
            for line in lines(picture, size=size, trouble=bad):
                self.assertTrue(line.isprintable(), line)

    def test_parts(self) -> None:
        """What a picture cannot be made without is what every lproxy's JSON has."""
        self.assertEqual(PARTS, shown().keys())
