# -*- test-case-name: tests.app.test_endpoints -*-
"""
How endpoints do, counted and logged: a line when one goes down, with its cause, and a line when it is back.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from lproxy.app.log import log
from lproxy.app.warn import Warn
from lproxy.errors import ProxyError, explain, one_line
from lproxy.metrics.counters import EndpointCounter
from lproxy.metrics.endpoints import EndpointSeries
from lproxy.target import Endpoint, Target


class Endpoints:
    """
    An L{EndpointObserver<lproxy.stack.health.EndpointObserver>}.

    One endpoint's lines are limited in their rate, and so are those of all, as clients may choose where they go:
    endpoints beyond the caps of the metrics share one limit. Whatever was said to be down is said to be back.
    """

    def __init__(self, series: EndpointSeries, clock: IReactorTime) -> None:
        self._series = series
        self._due: Callable[[str], str | None] = Warn(clock, log).due

    def counter(self, target: Target, endpoint: Endpoint, /) -> EndpointCounter:
        """Where it is counted."""
        return self._series.counter(str(target), str(endpoint))

    def down(self, target: Target, endpoint: Endpoint, error: ProxyError, /) -> bool:
        """Say so, unless there was a line on it just now."""
        more = self._due(" ".join([value for _, value in self._series.labels(str(target), str(endpoint))]))
        if more is None:
            return False
        log.warn(
            "{text}",
            text=one_line(f"service {target}: endpoint {endpoint} is down: {explain(error)}") + more,
            kind="endpoint-down",
        )
        return True

    def up(self, target: Target, endpoint: Endpoint, seconds: float, /) -> None:
        """Say so."""
        log.info("{text}", text=one_line(f"service {target}: endpoint {endpoint} is back after {seconds:.1f} s"))
