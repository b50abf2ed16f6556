# -*- test-case-name: tests.terminal.test_top -*-
"""
L{lproxy.terminal.top}: the page's JSON as lines for a terminal.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.terminal.top import NAME, clean, coloured, fit, lines

QUIET: dict[str, Any] = {"rate": 0.0, "success": None, "quantiles": [None, None, None]}


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


class TopTests(SynchronousTestCase):
    """One picture."""

    def test_service(self) -> None:
        """A line for each, with what it does; what there is none of is a dash."""
        found = list(lines(shown(service("web:80", protocol="http"))))
        self.assertEqual("lproxy 1.0, ready; lproxy.toml", found[0])
        self.assertEqual("connections 5; figures are of the last 10 s, a second", found[1])
        cells = ["web:80", "http", "ready", "12.3", "50.00", "1.0", "20.0", "-", "1", "2"]
        self.assertEqual(cells, found[-1].split())
        self.assertEqual(["SERVICE", "STATE", "RATE", "OK", "%", "P50", "P95", "P99", "BUSY", "WAIT"], found[3].split())

    def test_endpoints(self) -> None:
        """Of endpoints those that do not do well, and why."""
        endpoints = [
            {"address": "10.0.0.1:80", "state": "healthy"},
            {"address": "10.0.0.2:80", "state": "backoff", "in_flight": 0, "last_error": "refused"},
        ]
        found = list(lines(shown(service("web:80", "degraded", endpoints=endpoints))))
        self.assertEqual(["10.0.0.2:80", "backoff", *"-----", "0"], found[-2].split())
        self.assertEqual("    refused", found[-1])
        self.assertNotIn("10.0.0.1", "".join(found))

    def test_room(self) -> None:
        """No more than there is room for, services whole; how many others there are is said."""
        sick = service("s0:80", "down", endpoints=[{"address": "a", "state": "backoff", "last_error": "x"}])
        services = [sick, *(service(f"s{n}:80") for n in range(1, 9))]
        for room, names in ((2, 0), (3, 1), (5, 3)):
            found = list(lines(shown(*services, more=100), room=room))[4:]
            self.assertEqual(names, sum("12.3" in line for line in found))
            self.assertEqual(f"and {109 - names} more", found[-1])

    def test_failures(self) -> None:
        """What went wrong lately, how often; and why it is not ready."""
        failures = [{"times": n, "text": f"broke {n}"} for n in range(1, 9)]
        found = list(lines(shown(failures=failures, not_ready="draining", seconds=0.0)))
        self.assertEqual(["     1 x broke 1", "     5 x broke 5"], [found[-5], found[-1]])
        self.assertIn("not ready: draining", found[0])
        self.assertIn("all time", found[1])

    def test_colours(self) -> None:
        """They take no room."""
        picture = shown(service("web:80", "down"), service("x" * 99))
        painted = [re.sub("\x1b\\[[0-9]*m", "", line) for line in lines(picture, coloured)]
        self.assertEqual(list(lines(picture)), painted)
        self.assertIn("\x1b[31mdown", "".join(lines(picture, coloured)))

    def test_hostile(self) -> None:
        """What peers have named cannot tell the terminal anything."""
        self.assertEqual("a?[2Jb", clean("a\x1b[2Jb"))
        found = "".join(lines(shown(service("\x1b]0;x\x07:80", "\x1b[31m"), failures=[{"times": 1, "text": "\r\x1b"}])))
        self.assertNotIn("\x1b", found)
        self.assertNotIn("\r", found)

    def test_fit(self) -> None:
        """A name has the width of its column."""
        self.assertEqual({NAME}, {len(fit("x" * n, NAME)) for n in (0, NAME, NAME + 1, 500)})
        self.assertEqual("abc~", fit("abcdef", 4))
