# -*- test-case-name: tests.configfile.test_tracing -*-
"""
C{[tracing]}: a collector that can be asked, and what is needed to ask it.
"""

from __future__ import annotations

import importlib.util
from urllib.parse import urlsplit

from lproxy.config import Tracing
from lproxy.configfile.problem import Report, show

EXAMPLE = 'write "http://127.0.0.1:4318", with the collector\'s address'
#: what C{lproxy[otel]} installs
PACKAGES = (
    "opentelemetry.sdk.resources",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.common.trace_encoder",
    # what the exporter of 1.45 and later sends bytes by
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.proto.trace.v1.trace_pb2",
)


def check_tracing(tracing: Tracing, report: Report) -> None:
    """All that can be known before the first span is sent."""
    if not tracing.service:
        report.error(("tracing", "service"), "is empty", "write the name that spans are found by")
    if not tracing.endpoint:
        return
    path = ("tracing", "endpoint")
    if wrong := wrong_url(tracing.endpoint):
        report.error(path, f"{show(tracing.endpoint)} {wrong}", EXAMPLE)
    if missing := [package for package in PACKAGES if not is_installed(package)]:
        wrong = f"tracing needs OpenTelemetry, of which {missing[0]} is not installed"
        report.error(path, wrong, "pip install 'lproxy[otel]', or leave it out")


def wrong_url(url: str) -> str:
    """What keeps C{url} from being a collector's; empty: nothing."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as e:
        return f"is no URL: {e}"
    if parts.scheme not in ("http", "https"):
        return "is no URL of http or https"
    if not parts.hostname or port == 0:
        return "names no host"
    return "has a query or fragment" if parts.query or parts.fragment else ""


def is_installed(package: str) -> bool:
    """Whether C{package} could be imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False
