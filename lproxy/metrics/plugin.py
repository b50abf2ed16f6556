# -*- test-case-name: tests.metrics.test_plugin -*-
"""
What a protocol's plugin counts into.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from lproxy.config import Metrics as Config
from lproxy.metrics.caps import Cap
from lproxy.metrics.family import Family
from lproxy.metrics.merge import Source
from lproxy.metrics.series import Counted, Series
from lproxy.metrics.transport import TransportSeries

C = TypeVar("C", bound=Counted)


class PluginCounters:
    """
    The L{Counters<lproxy.protocols.runtime.Counters>} of one plugin.

    @ivar plugin: its name
    @ivar transport: see L{TransportSeries.counter}
    @ivar sources: what it shows
    """

    def __init__(self, plugin: str, config: Config, seconds: Callable[[], float], transport: TransportSeries) -> None:
        self.plugin = plugin
        self.transport = transport.counter
        self.sources: list[Source] = []
        self._config = config
        self._seconds = seconds
        self._series: list[Series[Any]] = []

    def cap(self) -> Cap:
        """As many values of a label as the configuration allows (C{metrics.target_cap})."""
        return Cap(self._config.target_cap)

    def series(self, make: Callable[[], C], *capped: str) -> Series[C]:
        """Counters by label set; each label in C{capped} has a L{cap}. Idle ones go as all others do."""
        series = Series(make, self._seconds, self._config.idle, {label: self.cap() for label in capped})
        self._series.append(series)
        return series

    def families(self, source: Callable[[], Iterable[Family]]) -> None:
        """Have C{source} asked, at each scrape, for the plugin's own families."""
        self.sources.append(source)

    def sweep(self) -> None:
        """Forget idle series; before each scrape."""
        for series in self._series:
            series.sweep()
