# -*- test-case-name: tests.metrics.test_registry -*-
"""
All metrics of a proxy: who counts gets a counter here, and a scrape reads them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lproxy.config import Metrics as Config
from lproxy.metrics import exposition, openmetrics, sums
from lproxy.metrics.accesslog import AccessLines
from lproxy.metrics.acquisition import STATE, Acquisitions, StateSource, state_families
from lproxy.metrics.caps import Cap
from lproxy.metrics.certificates import Certificates
from lproxy.metrics.detection import Detections
from lproxy.metrics.endpoints import EndpointSeries
from lproxy.metrics.family import Family, Labels
from lproxy.metrics.handshakes import Handshakes
from lproxy.metrics.merge import OWN, merged
from lproxy.metrics.past import Past
from lproxy.metrics.plugin import PluginCounters
from lproxy.metrics.process import Process
from lproxy.metrics.profiles import ProfileFiles
from lproxy.metrics.reload import Reloads
from lproxy.metrics.tracing import SpanCounts
from lproxy.metrics.transport import TransportSeries


class Metrics:
    """
    Hands out counters and renders them.

    @ivar lag: how late the reactor's timers fire, in seconds
    @ivar transport: see L{TransportSeries.counter}
    @ivar acquire: C{acquire(direction)} is where acquisitions are counted
    @ivar detect: C{detect(listener)} is where detections are counted
    @ivar handshakes: C{handshakes(direction, peer)} is where TLS handshakes are counted, with clients (C{src}) and with
        upstreams (C{dst})
    @ivar endpoints: of services
    @ivar reloads: of the configuration
    @ivar access_lines: of the access log
    @ivar spans: of traces
    @ivar certificates: of ours, that are shown to others
    @ivar profiles: files of them
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
        self.reloads = Reloads()
        self.access_lines = AccessLines()
        self.spans = SpanCounts()
        self.certificates = Certificates()
        self.profiles = ProfileFiles()
        self._transport = TransportSeries(config, clock.seconds)
        self._detections = Detections()
        self.endpoints = EndpointSeries(config, clock.seconds)
        self._acquisitions = Acquisitions()
        self._handshakes = Handshakes()
        self._states: list[StateSource] = []
        self._plugins: list[PluginCounters] = []
        self._past = Past()
        self._past_state = Past()
        self._inherited = Past()
        self.lag = self._process.lag
        self.plugin_error = self._process.plugin_error
        self.transport = self._transport.counter
        self.acquire = self._acquisitions.counter
        self.detect = self._detections.counter
        self.handshakes = self._handshakes.counter
        # the standard families, by the library that defines them
        self._standard = CollectorRegistry()
        ProcessCollector(registry=self._standard)
        GCCollector(registry=self._standard)
        standard = {family.name for family in self._standard.collect()}
        ours = {family.name for family in (*self._own(), *self._process.families())}
        # names that are no plugin's to use
        self._taken = standard | {f"{name}_total" for name in standard} | ours | STATE.keys()

    def plugin(self, name: str) -> PluginCounters:
        """What the plugin C{name} counts into, until it is given to L{remove}."""
        self._process.plugin(name)
        counters = PluginCounters(name, self._config, self._seconds, self._transport)
        self._plugins.append(counters)
        return counters

    def remove(self, counters: PluginCounters) -> None:
        """What counted into C{counters} is gone: what it has counted stays, in the sums, and no more is asked of it."""
        self._plugins.remove(counters)
        sources = [(counters.plugin, source) for source in counters.sources]
        self._past.add(merged(sources, self._taken, self.failed))
        # they may refer to whoever counts
        counters.sources.clear()

    def watch(self, source: StateSource) -> Callable[[], None]:
        """Have C{source} asked, at each scrape, for values of the families in L{STATE}. What is returned ends that."""
        self._states.append(source)
        return partial(self._unwatch, source)

    def _unwatch(self, source: StateSource) -> None:
        if source in self._states:
            self._states.remove(source)
            self._past_state.add(state_families([source], partial(self.failed, OWN)))

    def cap_target(self) -> Cap:
        """A cap for targets as labels, to be used for one scrape."""
        return Cap(self._config.target_cap)

    def sweep(self) -> None:
        """Forget series that nothing has changed for long."""
        self._transport.sweep()
        self.endpoints.sweep()
        for plugin in self._plugins:
            plugin.sweep()

    def text(self, open_metrics: bool = False) -> Iterator[bytes]:
        """
        The exposition in pieces, between which the reactor may turn.

        @param open_metrics: in that format, and not in Prometheus' text format
        """
        self.sweep()
        if open_metrics:
            yield from openmetrics.text(self.families())
            # ends as the whole does
            yield generate_openmetrics(self._standard)  # type: ignore[no-untyped-call]
        else:
            yield from exposition.text(self.families())
            yield generate_latest(self._standard)

    def inherit(self, families: Iterable[Family]) -> None:
        """Another process has counted this before us: it is part of the sums from now on."""
        self._inherited.add(families)

    def everything(self) -> Iterator[Family]:
        """The standard ones, too."""
        yield from self.families()
        yield from sums.standard(self._standard)

    def families(self) -> Iterator[Family]:
        """All but the standard ones."""
        inherited = list(self._inherited.families())
        yield from sums.summed([("", self._counted()), ("", inherited)]) if inherited else self._counted()

    def _counted(self) -> Iterator[Family]:
        """C{plugin_errors_total} comes late, to have what goes wrong on the way."""
        process = list(self._process.families())
        yield from self._own()
        yield from state_families([*self._states, self._gone], partial(self.failed, OWN))
        sources = [(plugin.plugin, source) for plugin in self._plugins for source in plugin.sources]
        yield from merged([*sources, (OWN, self._past.families)], self._taken, self.failed)
        yield from process

    def _own(self) -> Iterator[Family]:
        for part in (
            self._transport,
            self._detections,
            self._handshakes,
            self._acquisitions,
            self.endpoints,
            self.reloads,
            self.certificates,
            self.profiles,
            self.access_lines,
            self.spans,
        ):
            yield from part.families()

    def _gone(self) -> Iterator[tuple[str, Labels, Any]]:
        for name, _, _, samples in self._past_state.families():
            yield from ((name, labels, value) for labels, value in samples)

    def failed(self, plugin: str, failure: Failure) -> None:
        """What C{plugin} has to show, here or on another page, cannot be shown: count that, and tell."""
        self.plugin_error(plugin)
        if self._told is not None:
            self._told(plugin, failure)
