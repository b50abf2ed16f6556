# -*- test-case-name: tests.app.test_crashes -*-
"""
What plugins got wrong: named, counted, and written to the log as often as anybody reads it.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.failure import Failure

from lproxy.app.log import log
from lproxy.app.warn import Warn
from lproxy.errors import explain


class Crashes:
    """
    Exceptions of plugins' code.

    @ivar last: the latest of each plugin, in words
    """

    def __init__(self, warn: Warn, count: Callable[[str], None]) -> None:
        """
        @param count: counts one more of the plugin that it is given
        """
        self._warn = warn
        self._count = count
        self.last: dict[str, str] = {}

    def crashed(self, plugin: str, failure: Failure) -> None:
        """A session or factory of C{plugin} raised: the log has a traceback, one for each place in the code."""
        self._count(plugin)
        self.last[plugin] = explain(failure.value or RuntimeError())
        function, file, line = failure.frames[-1][:3] if failure.frames else ("", "", 0)
        more = self._warn.due(f"crash-{plugin}-{failure.type}-{file}-{function}-{line}")
        if more is not None:
            log.failure("unexpected error in protocol {protocol}{more}", failure, protocol=plugin, more=more)

    def not_shown(self, plugin: str, failure: Failure) -> None:
        """Metrics of C{plugin} could not be read, which is counted already."""
        why = self.last[plugin] = explain(failure.value or RuntimeError())
        self._warn(f"metrics-{plugin}", f"plugin {plugin}: some of its metrics are not shown: {why}")
