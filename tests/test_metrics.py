# -*- test-case-name: tests.test_metrics -*-
"""
L{lproxy.metrics}: what a scrape shows, and what it can never become.
"""

from __future__ import annotations

import gc
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy import config, metrics
from lproxy.build import build
from lproxy.counters import LATENCY_MS, SECONDS
from lproxy.metrics import DST_CAP, OTHER, SLICE, STATE, TRANSPORT_CAP, Metrics
from tests.test_counters import Connection

#: of every transport family, outbound; inbound ones have src_addr as well
TRANSPORT = {"direction", "peer", "dst_addr", "tls", "no_tls_reason", "protocol"}
ROUTE = {"direction", "authority", "tls"}
ACQUIRED = {"direction", "outcome"}
#: metrics.md: each family's type and labels, without le
FAMILIES: dict[str, tuple[str, set[str]]] = {
    "tcp_open_total": ("counter", TRANSPORT),
    "tcp_open_connections": ("gauge", TRANSPORT),
    "tcp_read_bytes_total": ("counter", TRANSPORT),
    "tcp_write_bytes_total": ("counter", TRANSPORT),
    "tcp_close_total": ("counter", TRANSPORT | {"errno"}),
    "tcp_connection_duration_seconds": ("histogram", TRANSPORT),
    "detect_total": ("counter", {"listener", "result"}),
    "detect_duration_seconds": ("histogram", {"listener"}),
    "accept_refused_total": ("counter", {"listener", "reason"}),
    "acquire_total": ("counter", ACQUIRED),
    "acquire_duration_seconds": ("histogram", ACQUIRED),
    "request_total": ("counter", ROUTE),
    "response_total": ("counter", ROUTE | {"classification", "status_code"}),
    "response_latency_ms": ("histogram", ROUTE),
    "proxy_overhead_seconds": ("histogram", ROUTE),
    "http_errors_total": ("counter", {"reason"}),
    "http_rejected_total": ("counter", {"reason"}),
    "reactor_lag_seconds": ("histogram", set()),
    "plugin_errors_total": ("counter", {"plugin"}),
    "proxy_build_info": ("gauge", {"version", "python", "twisted", "build"}),
}

HOSTILE = '"\\\n\r\t},x="1" é中\u2028\x85\x00\udc80\\"'


class MetricsMixin:
    """A L{Metrics} with a clock of its own, and ways to fill and to read it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.metrics = self.make()

    def make(self, **settings: Any) -> Metrics:
        return Metrics(config.Metrics(**settings), self.clock)

    def text(self) -> str:
        """A scrape."""
        return b"".join(self.metrics.text()).decode()

    def samples(self) -> list[Any]:
        """All samples of a scrape."""
        return [s for family in text_string_to_metric_families(self.text()) for s in family.samples]

    def values(self, name: str, **labels: str) -> list[float]:
        """Of the samples called C{name} that have at least C{labels}."""
        return [s.value for s in self.samples() if s.name == name and labels.items() <= s.labels.items()]

    def connect(self, src: str = "10.0.3.9", dst: str = "10.0.3.7:8080", direction: str = "inbound") -> Any:
        """The counter of connections, as sessions get it."""
        return self.metrics.transport(direction, "src" if direction == "inbound" else "dst", src, dst, "http")

    def visit(self, **where: str) -> None:
        """A connection, opened, used and closed, which nobody remembers."""
        counter, connection = self.connect(**where), Connection(3, 4)
        counter.open(connection, self.clock.seconds())
        counter.close(connection, self.clock.seconds())

    def fill(self) -> list[Any]:
        """Something in every family; what is returned is held."""
        m = self.metrics
        connection = Connection(100, 200, "ECONNRESET")
        for direction in ("inbound", "outbound"):
            counter = self.connect(direction=direction)
            counter.open(connection, 0.0)
            counter.close(connection, 2.0)
        detect, acquire = m.detect("in"), m.acquire("inbound")
        http, faults = m.http("inbound", "a:80"), m.http_faults("inbound")
        detect.done("http", 0.5)
        detect.refused["limit"] = 1
        acquire.ready = 7
        acquire.done("waited", 0.25)
        http.requests = 3
        http.responses = {200: 2, 503: 1}
        http.latency.observe(10.0)
        http.overhead.observe(0.0001)
        faults.error("timeout")
        faults.reject("slow")
        m.plugin_error("memo")
        m.lag.observe(0.01)
        return [detect, acquire, http, faults]


class ExpositionTests(MetricsMixin, SynchronousTestCase):
    """Names, labels and syntax."""

    def test_families(self) -> None:
        """Every family has exactly its type and labels, and a sentence of help."""
        self.fill()
        m = self.metrics
        m.watch(lambda: [(name, (), 1.0) for name in STATE])
        expected = {**FAMILIES, **{name: (kind, set()) for name, (kind, _) in STATE.items()}}
        seen: dict[str, tuple[str, set[str]]] = {}
        for name, kind, help, samples in m.exposed():
            self.assertTrue(help.endswith(".") and len(help.split()) > 2, name)
            keys = set()
            for suffix, labels, _ in samples:
                keys |= {part.partition("=")[0] for part in labels.split(",") if part} - {"le", "src_addr"}
                self.assertIn(suffix, ("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
            seen[name] = (kind, keys)
        self.assertEqual(expected, seen)

    def test_headers(self) -> None:
        """HELP and TYPE stand once before each family, also before one without samples."""
        text = self.text()
        for name, (kind, _) in {**FAMILIES, **STATE}.items():
            self.assertEqual(1, text.count(f"# TYPE {name} {kind}\n"), name)
            self.assertEqual(1, text.count(f"# HELP {name} "), name)
        for standard in ("process_resident_memory_bytes", "process_open_fds", "python_gc_collections_total"):
            self.assertIn(f"# HELP {standard} ", text)

    def test_parses(self) -> None:
        """Prometheus' own parser reads all of it."""
        self.fill()
        names = {s.name for s in self.samples()}
        for name, (kind, _) in FAMILIES.items():
            self.assertIn(name + ("_bucket" if kind == "histogram" else ""), names)

    def test_transport_labels(self) -> None:
        """
        Without TLS all connections say so, and why, and have no identities; src_addr is for inbound ones alone.
        """
        self.fill()
        for sample in self.samples():
            if not sample.name.startswith("tcp_"):
                continue
            labels = dict(sample.labels)
            extra = {"le"} if sample.name.endswith("_bucket") else {"errno"} if "close" in sample.name else set()
            inbound = labels["direction"] == "inbound"
            self.assertEqual(TRANSPORT | extra | ({"src_addr"} if inbound else set()), set(labels), sample.name)
            self.assertEqual(("false", "disabled"), (labels["tls"], labels["no_tls_reason"]))
            self.assertEqual("src" if inbound else "dst", labels["peer"])
            self.assertEqual("10.0.3.7:8080", labels["dst_addr"])
            self.assertEqual("10.0.3.9" if inbound else None, labels.get("src_addr"))

    def test_series_of_the_seed(self) -> None:
        """A whole line, as its ancestor wrote it, but for TLS."""
        self.visit()
        self.assertIn(
            'tcp_open_total{direction="inbound",peer="src",src_addr="10.0.3.9",dst_addr="10.0.3.7:8080",tls="false",'
            'no_tls_reason="disabled",protocol="http"} 1\n',
            self.text(),
        )

    def test_src_addr_off(self) -> None:
        """The configuration can leave the client's address out."""
        self.metrics = self.make(src_addr=False)
        for n in range(10):
            self.visit(src=f"10.0.0.{n}")
        self.assertNotIn("src_addr", self.text())
        self.assertEqual([10], self.values("tcp_open_total"))

    def test_values(self) -> None:
        """What was counted is what is shown."""
        held = self.fill()
        inbound = {"direction": "inbound"}
        for name, labels, expected in (
            ("tcp_open_total", inbound, [1]),
            ("tcp_open_connections", inbound, [0]),
            ("tcp_read_bytes_total", inbound, [100]),
            ("tcp_write_bytes_total", inbound, [200]),
            ("tcp_close_total", {**inbound, "errno": "ECONNRESET"}, [1]),
            ("tcp_connection_duration_seconds_sum", inbound, [2]),
            ("detect_total", {"listener": "in", "result": "http"}, [1]),
            ("accept_refused_total", {"listener": "in", "reason": "limit"}, [1]),
            ("acquire_total", {**inbound, "outcome": "ready"}, [7]),
            ("acquire_total", {**inbound, "outcome": "waited"}, [1]),
            ("acquire_duration_seconds_count", {"outcome": "ready"}, [7]),
            ("acquire_duration_seconds_sum", {"outcome": "waited"}, [0.25]),
            ("request_total", {"authority": "a:80", "tls": "false"}, [3]),
            ("response_total", {"classification": "success", "status_code": "200"}, [2]),
            ("response_total", {"classification": "failure", "status_code": "503"}, [1]),
            ("response_latency_ms_sum", {}, [10]),
            ("proxy_overhead_seconds_sum", {}, [0.0001]),
            ("http_errors_total", {"reason": "timeout"}, [1]),
            ("http_rejected_total", {"reason": "slow"}, [1]),
            ("plugin_errors_total", {"plugin": "memo"}, [1]),
            ("reactor_lag_seconds_count", {}, [1]),
            ("proxy_build_info", {"build": build()}, [1]),
        ):
            self.assertEqual(expected, self.values(name, **labels), name)
        del held

    def test_faults_of_both_directions(self) -> None:
        """A reason has one series, whichever side it happened on."""
        for direction in ("inbound", "outbound", "outbound"):
            self.metrics.http_faults(direction).error("timeout")
        self.assertEqual([3], self.values("http_errors_total", reason="timeout"))

    def test_live(self) -> None:
        """A connection that is open counts as such, with the bytes that it has moved."""
        connection = Connection(5, 6)
        self.connect().open(connection, 0.0)
        self.assertEqual([1], self.values("tcp_open_connections"))
        connection.bytes_in = 50
        self.assertEqual([50], self.values("tcp_read_bytes_total"))
        self.assertEqual([6], self.values("tcp_write_bytes_total"))

    def test_histogram(self) -> None:
        """Buckets are cumulative, a value equal to a bound is under it, and +Inf is the count."""
        http = self.metrics.http("outbound", "a")
        for value in (1.0, 1.5, 50_000.0, 50_001.0):
            http.latency.observe(value)
        buckets = {s.labels["le"]: s.value for s in self.samples() if s.name == "response_latency_ms_bucket"}
        self.assertEqual([float(le) for le in list(buckets)[:-1]], list(LATENCY_MS))
        self.assertEqual("+Inf", list(buckets)[-1])
        self.assertEqual((1, 2, 2, 3, 4), tuple(buckets[le] for le in ("1", "2", "40000", "50000", "+Inf")))
        self.assertEqual(list(buckets.values()), sorted(buckets.values()))
        self.assertEqual([4], self.values("response_latency_ms_count"))

    def test_fractional_bounds(self) -> None:
        """Bounds are written as numbers that Prometheus compares as text: always the same."""
        self.metrics.detect("a")
        found = [s.labels["le"] for s in self.samples() if s.name == "detect_duration_seconds_bucket"]
        self.assertEqual([f"{bound:g}" for bound in SECONDS] + ["+Inf"], found)

    def test_histogram_between_slices(self) -> None:
        """What is counted while a histogram is half written is not in its other half."""
        histogram = self.metrics.lag
        histogram.observe(0.001)
        written = metrics._histogram("", histogram)
        first = next(written)
        for value in (0.001, 99.0):
            histogram.observe(value)
        rest = {suffix: value for suffix, _, value in written}
        self.assertEqual((1, 1, 1), (first[2], rest["_bucket"], rest["_count"]))
        self.assertEqual(0.001, rest["_sum"])

    def test_odd_numbers(self) -> None:
        """Whole numbers have no point; no number breaks a scrape."""
        values = [3.0, 2**60, 0.5, 1e300, float("inf"), float("nan"), -1]
        self.metrics.watch(lambda: [("failfast_total", (("target", str(n)),), v) for n, v in enumerate(values)])
        read = self.values("failfast_total")
        self.assertEqual([*values[:5], values[6]], read[:5] + read[6:])
        self.assertNotEqual(read[5], read[5])
        self.assertIn('{target="0"} 3\n', self.text())

    def test_hostile_values(self) -> None:
        """Whatever stands in a label's value, it stays one value on one line."""
        m = self.metrics
        self.visit(src=HOSTILE, dst=HOSTILE)
        m.http("outbound", HOSTILE).requests += 1
        m.detect(HOSTILE).done(HOSTILE, 0.0)
        m.acquire(HOSTILE).done(HOSTILE, 0.0)
        m.http_faults("inbound").error(HOSTILE)
        m.plugin_error(HOSTILE)
        m.watch(lambda: [("failfast_total", (("target", HOSTILE),), 1.0)])
        text = self.text()
        for line in text.split("\n"):
            self.assertTrue(not line or line[0] == "#" or line[0].isalpha() and line.rpartition(" ")[2], line)
        # a surrogate is no character and has no encoding
        expected = HOSTILE.replace("\udc80", "?")
        for name, label in (
            ("tcp_open_total", "src_addr"),
            ("tcp_open_total", "dst_addr"),
            ("request_total", "authority"),
            ("detect_total", "listener"),
            ("detect_total", "result"),
            ("acquire_duration_seconds_count", "outcome"),
            ("http_errors_total", "reason"),
            ("plugin_errors_total", "plugin"),
            ("failfast_total", "target"),
        ):
            self.assertIn(expected, [s.labels[label] for s in self.samples() if s.name == name], name)

    def test_slices(self) -> None:
        """No piece has more samples than a slice, and the pieces together are all there is."""
        held = [self.metrics.http("inbound", f"h{n}") for n in range(200)]
        for n in range(100):
            self.visit(src=f"10.0.0.{n}")
        pieces = list(self.metrics.text())
        self.assertGreater(len(pieces), 10)
        for piece in pieces[:-1]:
            samples = [line for line in piece.split(b"\n") if line and not line.startswith(b"#")]
            self.assertLessEqual(len(samples), SLICE)
        self.assertEqual(200, b"".join(pieces).count(b"\nrequest_total{"))
        del held

    def test_counting_between_slices(self) -> None:
        """Series may come and go while a scrape is being written."""
        for n in range(100):
            self.visit(src=f"10.0.0.{n}")
        scrape = self.metrics.text()
        pieces = [next(scrape)]
        for n in range(100):
            self.visit(src=f"10.1.0.{n}")
            self.metrics.http("inbound", f"h{n}").responses[200] = 1
        # another scrape, which removes what is idle
        self.clock.advance(1_000)
        self.text()
        pieces += scrape
        list(text_string_to_metric_families(b"".join(pieces).decode()))

    def test_registry(self) -> None:
        """The standard families are registered where the caller wants them, and nowhere else."""
        registry = CollectorRegistry()
        Metrics(config.Metrics(), self.clock, registry)
        self.assertIn("python_gc_collections", {family.name for family in registry.collect()})
        # a second one in the process is in nobody's way
        Metrics(config.Metrics(), self.clock, CollectorRegistry())


class BoundTests(MetricsMixin, SynchronousTestCase):
    """No label is without a bound, and no memory."""

    def test_ten_thousand_hosts(self) -> None:
        """
        10,000 hosts x 100 addresses leave bounded series, label values and scrapes, and no count is lost.
        """
        m = self.metrics
        for host in range(10_000):
            m.http("outbound", f"host{host}.example:80").requests += 1
            for step in range(2):
                address = f"10.9.{host % 100}.{(host // 100 + step) % 100}"
                self.visit(src=address, dst=f"10.1.{host // 256}.{host % 256}:80")
                self.visit(src=address, dst=f"10.1.{host // 256}.{host % 256}:80", direction="outbound")
        samples = self.samples()
        opened = [s for s in samples if s.name == "tcp_open_total"]
        routes = [s for s in samples if s.name == "request_total"]
        for direction in ("inbound", "outbound"):
            counted = sum(s.value for s in opened if s.labels["direction"] == direction)
            self.assertEqual(20_000, counted)
        self.assertEqual(10_000, sum(s.value for s in routes))
        # a fixed set of labels, and other, on each side
        self.assertLessEqual(len(opened), TRANSPORT_CAP + 2 * (DST_CAP + 1))
        self.assertEqual(200 + 1, len(routes))
        sources = {s.labels["src_addr"] for s in opened if "src_addr" in s.labels}
        self.assertLessEqual(len(sources), 1_000 + 1)
        self.assertIn(OTHER, sources)
        destinations = {s.labels["dst_addr"] for s in opened}
        self.assertEqual(DST_CAP + 1, len(destinations))
        self.assertIn(OTHER, destinations)
        self.assertLess(len(self.text()), 20_000_000)

    def test_many_protocols(self) -> None:
        """Destinations, protocols, directions and sides do not multiply without end, and no connection is lost."""
        for protocol in ("http", "tcp", "kafka", "memo"):
            for n in range(1_500):
                for direction in ("inbound", "outbound"):
                    for peer in ("src", "dst"):
                        counter = self.metrics.transport(
                            direction, peer, f"10.0.{n // 256}.{n % 256}", f"10.1.{n // 256}.{n % 256}:80", protocol
                        )
                        counter.opened += 1
        opened = [s for s in self.samples() if s.name == "tcp_open_total"]
        self.assertEqual(4 * 1_500 * 4, sum(s.value for s in opened))
        # one series of others for each protocol, direction and side
        self.assertLessEqual(len(opened), 2 * TRANSPORT_CAP + 4 * 4)

    def test_bounded_for_good(self) -> None:
        """New hosts and addresses after that make no new series."""
        for n in range(5_000):
            self.visit(src=f"10.0.{n // 256}.{n % 256}", dst=f"10.1.{n // 256}.{n % 256}:80")
            self.metrics.http("inbound", f"h{n}").requests += 1
        before = len(self.text().splitlines())
        for n in range(5_000):
            self.visit(src=f"10.2.{n // 256}.{n % 256}", dst=f"10.3.{n // 256}.{n % 256}:80")
            self.metrics.http("inbound", f"g{n}").requests += 1
        self.assertEqual(before, len(self.text().splitlines()))

    def test_caps_are_settings(self) -> None:
        """Those of the configuration are kept to."""
        self.metrics = self.make(src_addr_cap=2, target_cap=3)
        for n in range(10):
            self.visit(src=f"10.0.0.{n}")
            self.metrics.http("inbound", f"h{n}").requests += 1
        self.assertEqual([1, 1, 8], self.values("tcp_open_total"))
        self.assertEqual([8], self.values("tcp_open_total", src_addr=OTHER))
        self.assertEqual([1, 1, 1, 7], self.values("request_total"))
        cap = self.metrics.cap_target()
        self.assertEqual(["0", "1", "2", OTHER, "0"], [cap(str(n)) for n in (0, 1, 2, 3, 0)])

    def test_long_values(self) -> None:
        """A client that names a host of 8 KiB does not get to keep it."""
        self.metrics.http("inbound", "h" * 8_000).requests += 1
        (labels,) = (s.labels for s in self.samples() if s.name == "request_total")
        self.assertEqual("h" * 261, labels["authority"])

    def test_places_are_freed(self) -> None:
        """Once a series is gone, its values make room for others."""
        self.metrics = self.make(src_addr_cap=1, target_cap=1)
        for src in ("10.0.0.1", "10.0.0.2"):
            self.visit(src=src)
            self.metrics.http("inbound", src).requests += 1
        self.clock.advance(600)
        self.text()
        self.clock.advance(600)
        self.text()
        self.visit(src="10.0.0.3")
        self.metrics.http("inbound", "10.0.0.3").requests += 1
        self.assertEqual([1], self.values("tcp_open_total", src_addr="10.0.0.3"))
        self.assertEqual([1], self.values("request_total", authority="10.0.0.3"))
        self.assertEqual([], self.values("tcp_open_total", src_addr=OTHER))

    def test_freed_destinations(self) -> None:
        """So do destinations."""
        for n in range(DST_CAP + 1):
            self.visit(dst=f"10.0.{n // 256}.{n % 256}:80", direction="outbound")
        self.assertEqual([1], self.values("tcp_open_total", dst_addr=OTHER))
        self.clock.advance(600)
        self.text()
        self.visit(dst="10.9.9.9:80", direction="outbound")
        self.assertEqual([1], self.values("tcp_open_total", dst_addr="10.9.9.9:80"))

    def test_cost_with_many_open(self) -> None:
        """What a new connection costs does not depend on how many are open: nobody adds up their bytes for it."""
        counter = self.connect()
        asked: list[int] = []

        class Asked(Connection):
            @property
            def bytes_in(self) -> int:
                asked.append(1)
                return 0

            @bytes_in.setter
            def bytes_in(self, value: int) -> None:
                pass

        for _ in range(10):
            counter.open(Asked(), 0.0)
        self.assertIs(counter, self.connect())
        self.assertEqual([], asked)


class IdleTests(MetricsMixin, SynchronousTestCase):
    """A series disappears only when nothing live holds it and it has been idle for 10 minutes."""

    def opened(self) -> list[float]:
        return self.values("tcp_open_total")

    def test_removal(self) -> None:
        """It stays for 10 minutes after it last moved, whether or not anybody scrapes, then it is gone."""
        self.visit()
        self.clock.advance(599)
        self.assertEqual([1], self.opened())
        self.visit()
        self.clock.advance(599)
        self.assertEqual([2], self.opened())
        self.clock.advance(600)
        self.assertEqual([], self.opened())

    def test_setting(self) -> None:
        """10 minutes are a setting."""
        self.metrics = self.make(idle=5.0)
        self.visit()
        self.opened()
        self.clock.advance(5)
        self.assertEqual([], self.opened())

    def test_moved_unseen(self) -> None:
        """What moved since the last scrape is shown, however long ago that was."""
        held = self.connect()
        self.opened()
        connection = Connection()
        held.open(connection, 0.0)
        held.close(connection, 0.0)
        del held
        self.clock.advance(10_000)
        self.assertEqual([1], self.opened())
        self.clock.advance(600)
        self.assertEqual([], self.opened())

    def test_live_is_held(self) -> None:
        """A connection that is open and silent for hours keeps its series, and all that was counted in it."""
        self.visit()
        counter, connection = self.connect(), Connection(1, 2)
        counter.open(connection, 0.0)
        # as a Stream does
        connection.counter = counter  # type: ignore[attr-defined]
        del counter
        for _ in range(100):
            self.clock.advance(600)
            self.assertEqual([2], self.opened())
        connection.bytes_in = 7
        self.assertEqual([3 + 7], self.values("tcp_read_bytes_total"))

    def test_held_comes_back(self) -> None:
        """A holder that was idle for long and moves again moves the series that is shown, with all that was before."""
        held = self.metrics.http("inbound", "a")
        held.requests = 5
        for _ in range(5):
            self.clock.advance(600)
            self.text()
        held.requests += 1
        self.assertEqual([6], self.values("request_total"))
        self.assertIs(held, self.metrics.http("inbound", "a"))

    def test_count_then_drop(self) -> None:
        """What a holder counted last, after it was idle for long and just before it let go, is not lost."""
        held = self.metrics.http("inbound", "a")
        for _ in range(3):
            self.clock.advance(600)
            self.text()
        held.requests += 1
        del held
        self.assertEqual([1], self.values("request_total"))
        self.clock.advance(599)
        self.assertEqual([1], self.values("request_total"))
        self.clock.advance(1)
        self.assertEqual([], self.values("request_total"))

    def test_dropped(self) -> None:
        """When the last holder lets go of an idle series, the next scrape is without it."""
        held = self.metrics.http("inbound", "a")
        self.clock.advance(10_000)
        self.assertEqual([0], self.values("request_total"))
        del held
        self.assertEqual([], self.values("request_total"))

    def test_comes_back_anew(self) -> None:
        """A series that was gone begins again at nothing: a restart, as Prometheus sees it."""
        self.visit()
        self.opened()
        self.clock.advance(600)
        self.assertEqual([], self.opened())
        self.visit()
        self.assertEqual([1], self.opened())

    def test_for_good(self) -> None:
        """Listeners and directions keep their series, and a fault that happened once is never forgotten."""
        self.metrics.detect("in").done("http", 0.0)
        self.metrics.acquire("inbound").done("failed", 0.0)
        self.metrics.http_faults("inbound").reject("slow")
        for _ in range(3):
            self.clock.advance(100_000)
            self.text()
        self.assertEqual([1], self.values("detect_total"))
        self.assertEqual([1], self.values("acquire_total", outcome="failed"))
        self.assertEqual([1], self.values("http_rejected_total"))

    def test_memory(self) -> None:
        """Hosts and addresses that came and went leave nothing."""
        before = {id(o) for o in gc.get_objects() if type(o) is metrics.Kept}
        for n in range(1_000):
            self.visit(src=f"10.77.{n // 256}.{n % 256}")
            self.metrics.http("inbound", f"gone{n}").requests += 1
        self.text()
        self.clock.advance(600)
        self.text()
        gc.collect()
        left = [o for o in gc.get_objects() if type(o) is metrics.Kept and id(o) not in before]
        self.assertEqual([], [kept for kept in left if "10.77." in kept.text or "gone" in kept.text])


class StateTests(MetricsMixin, SynchronousTestCase):
    """Families that somebody else has the values of."""

    def test_watch(self) -> None:
        """Sources are asked at each scrape, and together make the family."""
        value = [1.0]
        self.metrics.watch(lambda: [("in_flight", (), value[0])])
        self.metrics.watch(lambda: [("failfast_state", (("target", "a"),), 1.0)])
        self.metrics.watch(lambda: [("failfast_state", (("target", "b"),), 0.0)])
        self.assertEqual([1], self.values("in_flight"))
        value[0] = 0.0
        self.assertEqual([0], self.values("in_flight"))
        self.assertEqual([1, 0], self.values("failfast_state"))
