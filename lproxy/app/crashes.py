# -*- test-case-name: tests.app.test_crashes -*-
"""
What plugins got wrong: named, counted, and written to the log as often as anybody reads it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from lproxy.app.log import log
from lproxy.app.recent import Recent
from lproxy.app.warn import Warn
from lproxy.errors import Failed, explain


class Crashes:
    """
    Exceptions of plugins' code.

    @ivar last: the latest of each plugin, in words
    @ivar counts: how many there were of each
    """

    def __init__(self, warn: Warn, recent: Recent, count: Callable[[str], None]) -> None:
        """
        @param recent: stands before C{warn}
        @param count: counts one more of the plugin that it is given
        """
        self._warn = warn
        self._recent = recent
        self._count = count
        self.last: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    def crashed(self, plugin: str, failure: Failure, where: str = "") -> None:
        """
        A session or factory of C{plugin} raised: the log has a traceback, one for each place in the code.

        @param where: the listener and the client that it cost, where that is known
        """
        self._count(plugin)
        self.counts[plugin] += 1
        why = self.last[plugin] = explain(failure.value or RuntimeError())
        self._recent.remember(f"crash-{plugin}", f"unexpected error in protocol {plugin}: {why}", _parts(plugin, why))
        function, file, line = failure.frames[-1][:3] if failure.frames else ("", "", 0)
        more = self._warn.due(f"crash-{plugin}-{failure.type}-{file}-{function}-{line}")
        if more is not None:
            log.failure(
                "unexpected error in protocol {protocol}{where}{more}",
                failure,
                protocol=plugin,
                where=f" ({where})" if where else "",
                more=more,
            )

    def not_shown(self, plugin: str, failure: Failure) -> None:
        """Metrics of C{plugin} could not be read, which is counted already."""
        self.counts[plugin] += 1
        why = self.last[plugin] = explain(failure.value or RuntimeError())
        self._recent.warn(
            f"metrics-{plugin}", f"plugin {plugin}: some of its metrics are not shown: {why}", _parts(plugin, why)
        )

    def describe(self, plugin: str) -> dict[str, Any]:
        """What C{/plugins} shows of C{plugin}, if anything went wrong."""
        return {"errors": self.counts[plugin], "last_error": self.last[plugin]} if plugin in self.last else {}


def _parts(plugin: str, why: str) -> Failed:
    return Failed("plugin", plugin, why, None)
