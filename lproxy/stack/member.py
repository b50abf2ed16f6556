# -*- test-case-name: tests.stack.test_member -*-
"""
An endpoint as one of a service's: what serves there, how it does, and what part of the requests it is to have.
"""

from __future__ import annotations

from functools import partial
from typing import Generic

from lproxy.stack.active import Checks
from lproxy.stack.health import EndpointHealth, ServiceHealth
from lproxy.stack.interfaces import EndpointService, L
from lproxy.stack.rendezvous import seed
from lproxy.stack.report import Report
from lproxy.target import Endpoint, Metadata


class Member(Generic[L]):
    """
    Of a service.

    @ivar metadata: what its connections keep to, and its weight and zone
    @ivar seed: what it draws by, for keys
    @ivar acquiring: leases that are waited for
    """

    def __init__(
        self, endpoint: Endpoint, metadata: Metadata, service: EndpointService[L], health: EndpointHealth
    ) -> None:
        self.endpoint = endpoint
        self.metadata = metadata
        self.service = service
        self.health = health
        self.seed: int = seed(endpoint)
        self.acquiring: int = 0
        self._checks: Checks | None = None
        health.counter.live[self] = None

    @property
    def load(self) -> int:
        """Leases that are out."""
        return self.service.load - self.acquiring

    def part(self, now: float) -> float:
        """What it is to have of the requests, in parts of one endpoint's."""
        return self.metadata.weight * self.health.part(now)

    def watch(self, shared: ServiceHealth) -> None:
        """Have it asked whether it serves, where the service wants that."""
        check = shared.settings.check
        if check is not None:
            ask = partial(self.service.check, check)
            self._checks = Checks(ask, self.endpoint, check, shared.clock, shared.backoff.random, self.health.checked)

    def report(self, report: Report) -> None:
        """How it does, and where it is."""
        self.health.report(report)
        if self.metadata.weight != 1:
            report.show(weight=self.metadata.weight)
        if self.metadata.zone:
            report.show(zone=self.metadata.zone)

    def close(self) -> None:
        """It is in use no more, but by leases that are out."""
        if self._checks is not None:
            self._checks.stop()
        self.health.gone()
        self.health.counter.live.pop(self, None)
        self.service.close()
