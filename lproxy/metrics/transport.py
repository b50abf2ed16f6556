# -*- test-case-name: tests.metrics.test_transport -*-
"""
The families of connections: accepted ones (peer C{src}) and those to upstreams (peer C{dst}).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from lproxy.config import Metrics as Config
from lproxy.metrics.caps import OTHER, Cap
from lproxy.metrics.counters import TransportCounter
from lproxy.metrics.family import Family, Labels
from lproxy.metrics.series import Series
from lproxy.transport.stream import DISABLED, Secured

#: distinct dst_addr values
DST_CAP = 1_000
#: from so many series on, new ones have src_addr C{other}; from twice as many, dst_addr and the peer's identity as well
TRANSPORT_CAP = 2_000
#: distinct identities of peers; our own are few
IDENTITY_CAP = 1_000
#: connections of the same addresses are looked up by them, without making labels: so many before it begins anew
REMEMBERED = 8_192

#: of connections with the same labels
Key = tuple[str, ...]


class TransportSeries:
    """
    The counters of connections.

    @param seconds: a monotonic clock
    """

    def __init__(self, config: Config, seconds: Callable[[], float]) -> None:
        self._with_src = config.src_addr
        caps = {"src_addr": Cap(config.src_addr_cap), "dst_addr": Cap(DST_CAP)}
        caps |= {name: Cap(IDENTITY_CAP) for name in ("remote_identity", "local_identity")}
        self._series = Series(TransportCounter, seconds, config.idle, caps)
        self._known: dict[Key, TransportCounter] = {}

    def __len__(self) -> int:
        return len(self._series)

    def counter(
        self,
        direction: str,
        peer: str,
        src_addr: str,
        dst_addr: str,
        protocol: str,
        tls: Secured | None = None,
        no_tls_reason: str = DISABLED,
    ) -> TransportCounter:
        """
        Where connections with these labels are counted.

        @param tls: what they are secured by
        @param no_tls_reason: why they are not, where they are not
        """
        key: Key
        if tls is None:
            key = (direction, peer, src_addr, dst_addr, protocol, no_tls_reason)
        else:
            key = (direction, peer, src_addr, dst_addr, protocol, tls.remote_identity, tls.local_identity)
        counter = self._known.get(key)
        if counter is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            counter = self._known[key] = self._find(key)
        return counter

    def _find(self, key: Key) -> TransportCounter:
        series = self._series
        direction, peer, src_addr, dst_addr, protocol, *security = key
        src = src_addr if direction == "inbound" and self._with_src else ""
        labels = series.capped(_labels(direction, peer, src, dst_addr, protocol, security))
        if src and labels not in series and len(series) >= TRANSPORT_CAP:
            src = OTHER
            labels = series.capped(_labels(direction, peer, src, dst_addr, protocol, security))
        if labels not in series and len(series) >= 2 * TRANSPORT_CAP:
            others = [OTHER, OTHER] if len(security) == 2 else security
            labels = _labels(direction, peer, src, OTHER, protocol, others)
        return series.get(labels)

    def sweep(self) -> None:
        """Forget what was idle for too long; before each scrape."""
        if self._series.sweep():
            self._known.clear()

    def families(self) -> Iterator[Family]:
        """As of now."""
        series = self._series.items()

        def each(value: Callable[[TransportCounter], float]) -> Iterator[tuple[Labels, float]]:
            return ((labels, value(c)) for labels, c in series)

        yield Family(
            "tcp_open_total",
            "counter",
            "Connections opened: those accepted have peer=src, those to upstreams peer=dst.",
            each(lambda c: c.opened),
        )
        yield Family("tcp_open_connections", "gauge", "Connections open now.", each(lambda c: len(c.live)))
        yield Family(
            "tcp_read_bytes_total",
            "counter",
            "Bytes read from the peer, open connections included.",
            each(lambda c: c.totals()[0]),
        )
        yield Family(
            "tcp_write_bytes_total",
            "counter",
            "Bytes written to the peer, open connections included.",
            each(lambda c: c.totals()[1]),
        )
        closed = (((*labels, ("errno", e)), n) for labels, c in series for e, n in list(c.closed.items()))
        yield Family("tcp_close_total", "counter", "Connections closed; errno is empty for a clean close.", closed)
        yield Family(
            "tcp_connection_duration_seconds",
            "histogram",
            "How long connections were open.",
            ((labels, c.duration) for labels, c in series),
        )


def _labels(direction: str, peer: str, src_addr: str, dst_addr: str, protocol: str, security: Sequence[str]) -> Labels:
    """
    In the order in which linkerd has them.

    @param security: the identities of the peer and of our own; or why there is no TLS
    """
    source: Labels = (("src_addr", src_addr),) if src_addr else ()
    return (
        ("direction", direction),
        ("peer", peer),
        *source,
        ("dst_addr", dst_addr),
        *_security(*security),
        ("protocol", protocol),
    )


def _security(first: str, local: str | None = None) -> Labels:
    if local is None:
        return (("tls", "false"), ("no_tls_reason", first))
    return (("tls", "true"), ("remote_identity", first), ("local_identity", local))
