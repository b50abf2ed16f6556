# -*- test-case-name: tests.metrics.test_registry -*-
"""
All metrics of a proxy: who counts gets a counter here, and a scrape reads them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.config import Metrics as Config
from lproxy.metrics import exposition
from lproxy.metrics.acquisition import STATE, Acquisitions, StateSource, state_families
from lproxy.metrics.caps import Cap
from lproxy.metrics.detection import Detections
from lproxy.metrics.family import Family
from lproxy.metrics.merge import merged
from lproxy.metrics.plugin import PluginCounters
from lproxy.metrics.process import Process
from lproxy.metrics.transport import TransportSeries

#: named where what cannot be read is no plugin's
OWN = "lproxy"


class Metrics:
    """
    Hands out counters and renders them.

    @ivar lag: how late the reactor's timers fire, in seconds
    @ivar transport: see L{TransportSeries.counter}
    @ivar acquire: C{acquire(direction)} is where acquisitions are counted
    @ivar detect: C{detect(listener)} is where detections are counted
    @ivar plugin_error: C{plugin_error(name)} counts an exception in a plugin's code
    """

    def __init__(
        self, config: Config, clock: IReactorTime, failed: Callable[[str, Failure], None] | None = None
    ) -> None:
        """
        @param failed: told the name of a plugin when something of it cannot be shown, and why
        """
        self._config = config
        self._seconds = clock.seconds
        self._told = failed
        self._process = Process()
        self._transport = TransportSeries(config, clock.seconds)
        self._detections = Detections()
        self._acquisitions = Acquisitions()
        self._states: list[StateSource] = []
        self._plugins: list[PluginCounters] = []
        self.lag = self._process.lag
        self.plugin_error = self._process.plugin_error
        self.transport = self._transport.counter
        self.acquire = self._acquisitions.counter
        self.detect = self._detections.counter
        # the standard families, by the library that defines them
        self._standard = CollectorRegistry()
        ProcessCollector(registry=self._standard)
        GCCollector(registry=self._standard)
        names = {family.name for family in self._standard.collect()}
        self._standard_names = names | {f"{name}_total" for name in names}

    def plugin(self, name: str) -> PluginCounters:
        """What the plugin C{name} counts into, until it is given to L{remove}."""
        counters = PluginCounters(name, self._config, self._seconds, self._transport)
        self._plugins.append(counters)
        return counters

    def remove(self, counters: PluginCounters) -> None:
        """Show no more of C{counters}: what counted into them is gone."""
        self._plugins.remove(counters)

    def watch(self, source: StateSource) -> Callable[[], None]:
        """Have C{source} asked, at each scrape, for values of the families in L{STATE}. What is returned ends that."""
        self._states.append(source)
        return partial(self._unwatch, source)

    def _unwatch(self, source: StateSource) -> None:
        if source in self._states:
            self._states.remove(source)

    def cap_target(self) -> Cap:
        """A cap for targets as labels, to be used for one scrape."""
        return Cap(self._config.target_cap)

    def text(self) -> Iterator[bytes]:
        """The exposition in pieces, between which the reactor may turn."""
        self._transport.sweep()
        for plugin in self._plugins:
            plugin.sweep()
        yield from exposition.text(self.families())
        yield generate_latest(self._standard)

    def families(self) -> Iterator[Family]:
        """All but the standard ones. C{plugin_errors_total} comes late, to have what goes wrong on the way."""
        own = [f for room in (self._transport, self._detections, self._acquisitions) for f in room.families()]
        process = list(self._process.families())
        taken = {family.name for family in (*own, *process)} | self._standard_names
        yield from own
        yield from state_families(self._states, partial(self.failed, OWN))
        sources = [(plugin.plugin, source) for plugin in self._plugins for source in plugin.sources]
        yield from merged(sources, taken | STATE.keys(), self.failed)
        yield from process

    def failed(self, plugin: str, failure: Failure) -> None:
        """What C{plugin} has to show, here or on another page, cannot be shown: count that, and tell."""
        self.plugin_error(plugin)
        if self._told is not None:
            self._told(plugin, failure)
