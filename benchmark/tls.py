# -*- test-case-name: tests.benchmark.test_tls -*-
"""
What TLS costs: a request, a handshake, a gigabyte, an idle connection; and between two hops of the same proxy.

All with TLS 1.3, one certificate of ECDSA P-256 and HTTP/1.1 inside; the upstream is plain.
"""

from pathlib import Path

from benchmark import load
from benchmark.load import Load
from benchmark.metrics import metrics
from benchmark.peer import Proxy
from benchmark.scenarios import LATENCY, OF_PROXY, Generate, Measured, Scenario, Shape, idle, loaded, need
from benchmark.settings import Settings
from benchmark.upstreams import BULK

#: fewer than without TLS: each costs the client a handshake
IDLE = 2_000
BULK_CONNECTIONS = 4
HANDSHAKES = metrics("cpu_us_per_handshake", "handshakes_per_s", *LATENCY, *OF_PROXY)


def requests(tls: bool) -> Generate:
    """wrk, as in the scenario http."""
    return lambda port, seconds, to, raw: load.http(port, seconds, to.load_core, raw=raw, tls=tls)


def bulk(port: int, seconds: float, settings: Settings, raw: Path | None) -> Load:
    return load.tls_bulk(port, seconds, settings.load_core, BULK_CONNECTIONS, raw)


def handshakes(resume: bool) -> Generate:
    """Handshakes, full or resumed."""
    return lambda port, seconds, to, raw: load.handshakes(port, seconds, to.load_core, resume, raw)


def run_idle(proxy: Proxy, settings: Settings) -> Measured:
    """Idle connections over TLS."""
    return idle(proxy, settings, min(IDLE, settings.idle), "https", "--tls")


plain_hops = loaded("hops", requests(tls=False), "cpu_us_per_request")
mutual_hops = loaded("mtls", requests(tls=False), "cpu_us_per_request")


def run_mutual(proxy: Proxy, settings: Settings) -> Measured:
    """One proxy as both hops, in plaintext and with mutual TLS between, one after the other."""
    plain, mutual = plain_hops(proxy, settings), mutual_hops(proxy, settings)
    before, after = (found.values["cpu_us_per_request"] for found in (plain, mutual))
    return Measured(
        mutual.values | {"cpu_us_plaintext": before, "of_plaintext": after / before},
        plain.notes + mutual.notes,
        max(plain.foreign_proxy, mutual.foreign_proxy),
        max(plain.foreign_load, mutual.foreign_load),
        mutual.reached,
    )


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "tls-http",
            "What does an HTTPS request cost? As http, over TLS 1.3; the upstream is plain",
            Shape("tls-http", "http", 20, 0.0, 32),
            "https",
            metrics("cpu_us_per_request", "requests_per_s", *LATENCY, *OF_PROXY),
            loaded("https", requests(tls=True), "cpu_us_per_request"),
            need("wrk", "nginx"),
            direct=False,
        ),
        Scenario(
            "tls-handshake",
            "What does a full handshake cost? ECDSA P-256, TLS 1.3, then close; 8 at a time",
            Shape("tls-handshake", "tls", 0, 0.0, 8),
            "https",
            HANDSHAKES,
            loaded("https", handshakes(resume=False), "cpu_us_per_handshake"),
            direct=False,
        ),
        Scenario(
            "tls-resume",
            "What does a resumed handshake cost? As tls-handshake, with a ticket of before",
            Shape("tls-resume", "tls", 0, 0.0, 8),
            "https",
            HANDSHAKES,
            loaded("https", handshakes(resume=True), "cpu_us_per_handshake"),
            direct=False,
        ),
        Scenario(
            "tls-bulk",
            f"What do bytes cost over TLS? Answers of {BULK:,} bytes, {BULK_CONNECTIONS} connections",
            Shape("tls-bulk", "http", BULK, 0.0, BULK_CONNECTIONS),
            "https",
            metrics("cpu_s_per_gb", "gbit_per_s", *OF_PROXY),
            loaded("https", bulk, "cpu_s_per_gb"),
            need("wrk", "nginx"),
            direct=False,
        ),
        Scenario(
            "mtls",
            "What does mutual TLS between two hops of the same proxy cost? As http, and beside it in plaintext",
            Shape("mtls", "http", 20, 0.0, 32),
            "mtls",
            metrics(*("cpu_us_per_request", "requests_per_s", "cpu_us_plaintext", "of_plaintext"), *LATENCY, *OF_PROXY),
            run_mutual,
            need("wrk", "nginx"),
            direct=False,
        ),
        Scenario(
            "tls-idle",
            "What does an idle connection hold over TLS? One request on each, then silence",
            Shape("tls-idle", "http", 20, 0.0, IDLE),
            "https",
            metrics(
                *("idle_kib_per_connection", "rss_start_mib", "rss_full_mib"),
                *("core_percent", "reactor_lag_p99_ms", "errors"),
            ),
            run_idle,
            need("nginx"),
            direct=False,
            timed=False,
        ),
    )
}
