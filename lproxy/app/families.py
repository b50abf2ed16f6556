# -*- test-case-name: tests.app.test_families -*-
"""
C{python -m lproxy.app.families}: the reference of all metrics, from the code that counts them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from lproxy.app.plugins import Found, find, tried
from lproxy.app.service import Proxy
from lproxy.config import Config
from lproxy.configfile import refresh
from lproxy.metrics.family import Family
from lproxy.metrics.workers import of_workers

#: in the docs, what stands below this line is generated
BEGIN = ".. begin of the generated reference: python -m lproxy.app.families --write FILE"
#: whose families the reference has, whatever else is installed
OURS = frozenset(("http", "kafka", "tcp"))
#: a heading, and what the names of its families begin with; the first that fits has it
CHAPTERS = (
    ("Connections", ("tcp_",)),
    ("Listeners and detection", ("detect_", "accept_", "proxy_protocol_")),
    ("TLS and identity", ("tls_", "identity_", "policy_")),
    ("Acquisition", ("acquire_", "lock_", "service_", "failfast_", "in_flight")),
    ("Endpoints", ("endpoint_",)),
    ("Routes of services with a profile", ("route_", "retry_budget", "profile_")),
    ("HTTP", ("request_", "response_", "proxy_overhead", "http_", "h2_", "grpc_")),
    ("Kafka", ("kafka_",)),
    ("The access log and traces", ("access_log_", "trace_")),
    ("The process", ("",)),
)


def families(found: list[Found], config: Config | None = None) -> list[Family]:
    """Every family that a proxy with these plugins has; the standard ones of prometheus_client are not among them."""
    reactor: Any = Clock()
    proxy = Proxy(config or Config(), found, reactor)
    with proxy.rehearsed():
        every = [*proxy.metrics.families(), *of_workers(())]
        return [family._replace(samples=()) for family in every]


def reference(every: list[Family]) -> str:
    """C{every} family as reStructuredText, a table for each of L{CHAPTERS}."""
    return "\n".join(_lines(every))


def _lines(every: list[Family]) -> Iterator[str]:
    left = sorted(every, key=lambda family: family.name)
    for title, beginnings in CHAPTERS:
        chapter = [family for family in left if family.name.startswith(beginnings)]
        left = [family for family in left if family not in chapter]
        if chapter:
            yield from (title, "-" * len(title), "")
            yield from (".. list-table::", "   :widths: 35 10 55", "   :header-rows: 1", "")
            yield from ("   * - name", "     - kind", "     - what it says")
            for family in chapter:
                yield from (f"   * - ``{family.name}``", f"     - {family.kind}", f"     - {family.help}")
            yield ""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lproxy.app.families", description="The reference of all metrics.")
    parser.add_argument("--write", metavar="FILE", type=Path, help="update the generated part of FILE in place")
    options = parser.parse_args(arguments)
    text = reference(families([one for one in tried(find()) if one.name in OURS]))
    page: Path | None = options.write
    if page is None:
        print(text)
    else:
        page.write_text(refresh(page.read_text("utf-8"), text, BEGIN), "utf-8")


if __name__ == "__main__":
    main()
