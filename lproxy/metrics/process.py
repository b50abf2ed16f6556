# -*- test-case-name: tests.metrics.test_process -*-
"""
The families of the process: which lproxy it is, how busy it is, and what went wrong in plugins.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator

import lproxy
import twisted
from lproxy.build import build
from lproxy.metrics.counters import Histogram
from lproxy.metrics.family import Family, Labels

#: seconds by which a timer is late
LAG_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class Process:
    """
    One for all.

    @ivar lag: how late the reactor's timers fire, in seconds
    @ivar plugin_errors: exceptions by plugin
    """

    def __init__(self) -> None:
        self.lag = Histogram(LAG_SECONDS)
        self.plugin_errors: dict[str, int] = {}

    def plugin(self, name: str) -> None:
        """Show C{name} with no exceptions yet: whoever asks what was added sees the first, too."""
        self.plugin_errors.setdefault(name, 0)

    def plugin_error(self, plugin: str) -> None:
        """Count an exception in the code of C{plugin}."""
        self.plugin_errors[plugin] = self.plugin_errors.get(plugin, 0) + 1

    def families(self) -> Iterator[Family]:
        """As of now. C{process_*} and C{python_gc_*} come from the library that defines them."""
        versions = {"version": lproxy.__version__, "python": platform.python_version(), "twisted": twisted.__version__}
        labels = (*versions.items(), ("build", build()))
        yield Family("proxy_build_info", "gauge", "Version and build; the value is always 1.", [(labels, 1)])
        yield Family(
            "reactor_lag_seconds",
            "histogram",
            "How late a timer of 100 ms fires: the delay that a busy process adds to every connection.",
            [((), self.lag)],
        )
        yield Family(
            "plugin_errors_total",
            "counter",
            "Exceptions in the code of a protocol's plugin; each is in the log.",
            self._errors(),
        )

    def _errors(self) -> Iterator[tuple[Labels, int]]:
        # a generator, so that it is as of when it is shown
        yield from [((("plugin", plugin),), n) for plugin, n in self.plugin_errors.items()]
