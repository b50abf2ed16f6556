# -*- test-case-name: tests.metrics.test_endpoints -*-
"""
The families of endpoints: which one fails, why, and how slow it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lproxy.config import Metrics as Config
from lproxy.metrics.caps import OTHER, Cap
from lproxy.metrics.counters import EndpointCounter
from lproxy.metrics.family import Family, Labels
from lproxy.metrics.series import Series

#: series; further ones have the endpoint C{other}
ENDPOINT_CAP = 1_000


class EndpointSeries:
    """
    The counters of endpoints, by service.

    @param seconds: a monotonic clock
    """

    def __init__(self, config: Config, seconds: Callable[[], float]) -> None:
        caps = {"service": Cap(config.target_cap), "endpoint": Cap(ENDPOINT_CAP)}
        self._series = Series(EndpointCounter, seconds, config.idle, caps)

    def counter(self, service: str, endpoint: str) -> EndpointCounter:
        """Where what C{endpoint} does for C{service} is counted. It stays as long as it has something live."""
        return self._series.get(self.labels(service, endpoint))

    def labels(self, service: str, endpoint: str) -> Labels:
        """Under what that is shown."""
        series = self._series
        labels = series.capped((("service", service), ("endpoint", endpoint)))
        if labels not in series and len(series) >= ENDPOINT_CAP:
            labels = (labels[0], ("endpoint", OTHER))
        return labels

    def sweep(self) -> None:
        """Forget those that are long gone; before each scrape."""
        self._series.sweep()

    def families(self) -> Iterator[Family]:
        """As of now."""
        series = self._series.items()
        live = [(labels, c) for labels, c in series if c.live]
        yield Family(
            "endpoint_up",
            "gauge",
            "Whether an endpoint gets requests: 0 while it is passed over because it failed.",
            ((labels, 0 if c.down else 1) for labels, c in live),
        )
        yield Family(
            "endpoint_in_flight",
            "gauge",
            "Requests and byte streams at an endpoint now.",
            ((labels, sum([member.load for member in list(c.live)])) for labels, c in live),
        )
        yield Family(
            "endpoint_connect_total",
            "counter",
            "Connections to an endpoint by outcome: ok, or the reason why there was none.",
            (
                ((*labels, ("outcome", outcome)), n)
                for labels, c in series
                for outcome, n in (("ok", c.connected), *list(c.not_connected.items()))
            ),
        )
        yield Family(
            "endpoint_request_total",
            "counter",
            "Requests sent to an endpoint, each try by itself. Failures are answers of 500 and above, or none.",
            (
                ((*labels, ("classification", word)), n)
                for labels, c in series
                if c.succeeded or c.failed
                for word, n in (("success", c.succeeded), ("failure", c.failed))
            ),
        )
        yield Family(
            "endpoint_latency_ms",
            "histogram",
            "Milliseconds from sending a request to an endpoint to the end of its response.",
            ((labels, c.latency) for labels, c in series if c.succeeded or c.failed),
        )
        yield Family(
            "endpoint_ejected_total",
            "counter",
            "How many times an endpoint went down and was passed over, by reason: as in http_errors_total, or "
            "server_errors where it answered nothing else.",
            (((*labels, ("reason", reason)), n) for labels, c in series for reason, n in list(c.ejected.items())),
        )
        yield Family(
            "endpoint_health_checks_total",
            "counter",
            "Health checks of an endpoint by outcome: ok, or the reason why it was found not to serve.",
            (((*labels, ("outcome", outcome)), n) for labels, c in series for outcome, n in list(c.checks.items())),
        )
