# -*- test-case-name: tests.app.workers.test_portion -*-
"""
One worker's part of what the proxy as a whole may have.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lproxy.config import Config


@dataclass(frozen=True, slots=True)
class Portion:
    """
    @ivar index: which worker, from 0
    @ivar workers: of how many
    """

    index: int = 0
    workers: int = 1

    def of(self, whole: int) -> int:
        """This one's part, at least one: all of them together are C{whole}, where that is as many as there are."""
        return max(1, whole // self.workers + (self.index < whole % self.workers))

    def config(self, config: Config) -> Config:
        """C{config} with this one's limits: of those that are of the whole proxy, and no connection's or target's."""
        if self.workers == 1:
            return config
        limits = config.limits
        return replace(
            config,
            limits=replace(
                limits,
                in_flight=self.of(limits.in_flight),
                connections=self.of(limits.connections),
                handshakes=self.of(limits.handshakes),
            ),
        )


#: the only process
ALONE = Portion()
