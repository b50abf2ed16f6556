# -*- test-case-name: tests.metrics.test_registry -*-
"""
L{lproxy.metrics.registry}: a whole scrape.
"""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from lproxy.metrics.acquisition import STATE
from lproxy.metrics.exposition import SLICE
from lproxy.target import Endpoint
from lproxy.testing import ScriptedService
from tests.metrics.case import HOSTILE, Connection, MetricsCase
from tests.metrics.test_transport import TRANSPORT

ACQUIRED = {"direction", "outcome"}
ENDPOINT = {"service", "endpoint"}
#: each of lproxy's own families, its type and labels, without le
FAMILIES: dict[str, tuple[str, set[str]]] = {
    "access_log_lines_total": ("counter", set()),
    "access_log_lost_lines_total": ("counter", set()),
    "trace_spans_total": ("counter", {"outcome"}),
    "config_reload_total": ("counter", {"outcome"}),
    "config_last_reload_success": ("gauge", set()),
    "config_live_since_timestamp_seconds": ("gauge", set()),
    "profile_reload_total": ("counter", {"outcome"}),
    "profile_files": ("gauge", {"state"}),
    "profile_last_success_timestamp_seconds": ("gauge", set()),
    "identity_cert_expiration_timestamp_seconds": ("gauge", {"certificate"}),
    "identity_cert_refresh_total": ("counter", {"certificate"}),
    "identity_cert_refresh_refused_total": ("counter", {"certificate", "reason"}),
    "tcp_open_total": ("counter", TRANSPORT),
    "tcp_open_connections": ("gauge", TRANSPORT),
    "tcp_read_bytes_total": ("counter", TRANSPORT),
    "tcp_write_bytes_total": ("counter", TRANSPORT),
    "tcp_close_total": ("counter", TRANSPORT | {"errno"}),
    "tcp_connection_duration_seconds": ("histogram", TRANSPORT),
    "detect_total": ("counter", {"listener", "result"}),
    "detect_duration_seconds": ("histogram", {"listener"}),
    "accept_refused_total": ("counter", {"listener", "reason"}),
    "policy_denied_total": ("counter", {"listener", "reason"}),
    "proxy_protocol_total": ("counter", {"listener", "result"}),
    "tls_handshake_total": ("counter", {"direction", "peer", "outcome", "reason"}),
    "tls_handshake_duration_seconds": ("histogram", {"direction", "peer"}),
    "acquire_total": ("counter", ACQUIRED),
    "acquire_duration_seconds": ("histogram", ACQUIRED),
    "acquire_retries_total": ("counter", ACQUIRED),
    "endpoint_up": ("gauge", ENDPOINT),
    "endpoint_in_flight": ("gauge", ENDPOINT),
    "endpoint_connect_total": ("counter", ENDPOINT | {"outcome"}),
    "endpoint_request_total": ("counter", ENDPOINT | {"classification"}),
    "endpoint_latency_ms": ("histogram", ENDPOINT),
    "endpoint_ejected_total": ("counter", ENDPOINT | {"reason"}),
    "endpoint_health_checks_total": ("counter", ENDPOINT | {"outcome"}),
    "reactor_lag_seconds": ("histogram", set()),
    "plugin_errors_total": ("counter", {"plugin"}),
    "proxy_build_info": ("gauge", {"version", "python", "twisted", "build"}),
}


class ScrapeTests(MetricsCase):
    """All families together."""

    def fill(self) -> None:
        """Something in every family."""
        m = self.metrics
        for direction in ("inbound", "outbound"):
            self.visit(direction=direction)
        m.detect("in").done("http", 0.5)
        m.detect("in").refused["limit"] = 1
        m.detect("in").headers["v2"] = 1
        m.detect("in").denied["plain"] = 1
        m.handshakes("inbound", "src").succeeded(0.01, False)
        m.acquire("inbound").done("waited", 0.25)
        m.acquire("inbound").retried("acquired")
        endpoint = m.endpoints.counter("web", "10.0.0.1:80")
        endpoint.live[ScriptedService(Endpoint("10.0.0.1", 80))] = None
        endpoint.succeeded = 1
        endpoint.eject("connect")
        endpoint.checked("ok")
        m.certificates.use("identity", "mark", 1.0)
        m.certificates.refuse("identity", "expired")
        m.plugin_error("memo")
        m.lag.observe(0.01)

    def test_families(self) -> None:
        """Every family has exactly its type and labels, and a sentence of help."""
        self.fill()
        self.metrics.watch(lambda: [(name, (), 1.0) for name in STATE])
        expected = {**FAMILIES, **{name: (kind, set()) for name, (kind, _) in STATE.items()}}
        seen: dict[str, tuple[str, set[str]]] = {}
        for name, kind, help, samples in self.metrics.families():
            self.assertTrue(help.endswith(".") and len(help.split()) > 2, name)
            keys = {key for labels, _ in samples for key, _ in labels} - {"src_addr"}
            seen[name] = (kind, keys)
        self.assertEqual(expected, seen)

    def test_headers(self) -> None:
        """HELP and TYPE stand once before each family, also before one without samples."""
        text = self.text()
        for name, (kind, _) in {**FAMILIES, **STATE}.items():
            self.assertEqual(1, text.count(f"# TYPE {name} {kind}\n"), name)
            self.assertEqual(1, text.count(f"# HELP {name} "), name)

    def test_parses(self) -> None:
        """Prometheus' own parser reads all of it."""
        self.fill()
        names = {s.name for s in self.samples()}
        for name, (kind, _) in FAMILIES.items():
            self.assertIn(name + ("_bucket" if kind == "histogram" else ""), names)

    def test_hostile_values(self) -> None:
        """Whatever stands in a label's value, it stays one value on one line."""
        m = self.metrics
        self.visit(src=HOSTILE, dst=HOSTILE)
        m.detect(HOSTILE).done(HOSTILE, 0.0)
        m.acquire(HOSTILE).done(HOSTILE, 0.0)
        m.plugin_error(HOSTILE)
        m.watch(lambda: [("failfast_total", (("target", HOSTILE),), 1.0)])
        for line in self.text().split("\n"):
            self.assertTrue(not line or line[0] == "#" or line[0].isalpha() and line.rpartition(" ")[2], line)
        expected = HOSTILE.replace("\udc80", "?")
        for name, label in (
            ("tcp_open_total", "src_addr"),
            ("tcp_open_total", "dst_addr"),
            ("detect_total", "listener"),
            ("detect_total", "result"),
            ("acquire_duration_seconds_count", "outcome"),
            ("plugin_errors_total", "plugin"),
            ("failfast_total", "target"),
        ):
            self.assertIn(expected, [s.labels[label] for s in self.samples(name)], name)

    def test_cap_target(self) -> None:
        """As wide as the configuration says."""
        cap = self.make(target_cap=3).cap_target()
        self.assertEqual(["0", "1", "2", "other", "0"], [cap(str(n)) for n in (0, 1, 2, 3, 0)])

    def test_slices(self) -> None:
        """A long scrape comes in pieces, none much longer than a slice."""
        for n in range(200):
            self.visit(src=f"10.0.0.{n}")
        pieces = list(self.metrics.text())
        self.assertGreater(len(pieces), 4)
        for piece in pieces:
            self.assertLess(piece.count(b"\n"), SLICE + 100)
        self.assertEqual(200, b"".join(pieces).count(b"\ntcp_open_total{"))

    def test_counting_between_slices(self) -> None:
        """Series may come and go while a scrape is being written."""
        for n in range(100):
            self.visit(src=f"10.0.0.{n}")
        scrape = self.metrics.text()
        pieces: list[Any] = [next(scrape)]
        connection = Connection()
        self.connect(src="10.0.0.1").open(connection, 0.0)
        for n in range(100):
            self.visit(src=f"10.1.0.{n}")
        # another scrape, which removes what is idle
        self.clock.advance(1_000)
        self.text()
        pieces += scrape
        list(text_string_to_metric_families(b"".join(pieces).decode()))
