# -*- test-case-name: tests.metrics.test_process -*-
"""
L{lproxy.metrics.process}: the families of the process.
"""

from __future__ import annotations

import platform

import lproxy
import twisted
from lproxy.build import build
from tests.metrics.case import MetricsCase


class ProcessTests(MetricsCase):
    """One series for all, or one for each plugin."""

    def test_build(self) -> None:
        """Which lproxy it is, on what."""
        versions = {"version": lproxy.__version__, "python": platform.python_version(), "twisted": twisted.__version__}
        self.assertEqual([1], self.values("proxy_build_info", build=build(), **versions))

    def test_lag(self) -> None:
        """The reactor's lag."""
        self.metrics.lag.observe(0.01)
        self.assertEqual([1], self.values("reactor_lag_seconds_count"))
        self.assertEqual([0.01], self.values("reactor_lag_seconds_sum"))

    def test_plugin_errors(self) -> None:
        """By plugin."""
        for name in ("memo", "http", "memo"):
            self.metrics.plugin_error(name)
        self.assertEqual([2], self.values("plugin_errors_total", plugin="memo"))
        self.assertEqual([1], self.values("plugin_errors_total", plugin="http"))

    def test_first_plugin_error(self) -> None:
        """A plugin that has raised nothing yet is shown: whoever asks for the increase sees its first exception."""
        counters = self.metrics.plugin("quiet")
        self.assertEqual([0], self.values("plugin_errors_total", plugin="quiet"))
        self.metrics.plugin_error("quiet")
        self.metrics.remove(counters)
        self.metrics.plugin("quiet")
        self.assertEqual([1], self.values("plugin_errors_total", plugin="quiet"), "as another configuration has it")

    def test_standard(self) -> None:
        """Those of the library that defines them, for this L{Metrics} alone."""
        other = self.make()
        text = self.text()
        for standard in ("process_resident_memory_bytes", "process_open_fds", "python_gc_collections_total"):
            self.assertEqual(1, text.count(f"# HELP {standard} "))
        self.assertIn(b"process_open_fds", b"".join(other.text()))
