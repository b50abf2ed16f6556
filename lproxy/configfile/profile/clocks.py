# -*- test-case-name: tests.configfile.profile.test_clocks -*-
"""
Timeouts of routes that never run out, as another one is shorter.
"""

from __future__ import annotations

from math import inf
from typing import get_args

from lproxy.config import Config, Direction
from lproxy.configfile.problem import Report
from lproxy.configfile.profile.read import ROUTES
from lproxy.configfile.units import write_duration


def check_clocks(config: Config, report: Report) -> None:
    """Warn of every timeout of a route's tries that is longer than all of them together may take."""
    general = max(_or_inf(config.timeouts(direction).stream) for direction in get_args(Direction))
    for name, service in config.services.items():
        for route in service.profile.routes if service.profile is not None else ():
            own = route.timeouts
            whole = general if own.stream is None else own.stream
            path = ("services", name, ROUTES, route.name, "timeouts")
            for key, seconds in (("per_try", own.per_try), ("response_headers", own.response_headers)):
                if seconds is not None and seconds > whole:
                    wrong = (
                        f"{write_duration(seconds)} is more than stream ({write_duration(whole)}), which ends it before"
                    )
                    report.warning((*path, key), wrong, "lower the one or raise the other")


def _or_inf(seconds: float | None) -> float:
    return inf if seconds is None else seconds
