# -*- test-case-name: tests.protocols.http.test_standing -*-
"""
How an endpoint does, by the answers that it gives: what pools find out about it, whatever they pool, is counted here,
and the balancer's health of it told as much as it needs.
"""

from __future__ import annotations

from typing import Final

from lproxy.api import Health, ProxyError
from lproxy.metrics.counters import EndpointCounter
from lproxy.target import Endpoint

#: answers of 500 and above that speak of the request, and say nothing against who gives them: not implemented, HTTP
#: version not supported
OF_THE_REQUEST: Final = (501, 505)


class ServerErrors(ProxyError):
    """An endpoint answers, and cannot serve. Nobody is told this instead of its answer: it is passed over for it."""

    layer = "upstream"
    reason = "server_errors"
    flag = "UF"
    status = 502
    in_use = True

    def __init__(self, target: Endpoint, answer: int) -> None:
        super().__init__(target)
        self.answer = answer

    def what(self) -> str:
        """What it answered last."""
        return f"answered {self.answer}"


class Standing:
    """
    Of one endpoint of one service. C{began} is always when the request's lease was given, in seconds.

    @ivar counter: where its requests and connections are counted
    @ivar failing: whether its health waits to be told of a good answer
    """

    __slots__ = ("_endpoint", "_health", "counter", "failing")

    def __init__(self, endpoint: Endpoint, health: Health) -> None:
        self._endpoint = endpoint
        self._health = health
        self.counter: EndpointCounter = health.counter
        self.failing = False

    def __repr__(self) -> str:
        return f"<Standing of {self._endpoint} failing={self.failing}>"

    def ended(self, status: int, began: float, now: float) -> None:
        """
        A lease has.

        @param status: of the answer that it has brought, or zero: there was none, or its failure was told
        """
        if status:
            took = now - began
            self.counter.latency.observe(took * 1000.0)
            if status < 500:
                # to fail is not to be quick
                self._health.took(took, now)
        if status >= 500 or self.failing:
            self.judge(status, began)
        elif status:
            self.counter.succeeded += 1

    def failed(self, error: ProxyError, began: float) -> bool:
        """
        A connection was lost under an exchange, and not for having been idle: have the endpoint passed over.

        @return: whether others serve the same
        """
        self.counter.failed += 1
        self.failing = True
        return self._health.failed(error, began)

    def bad(self, error: ProxyError, began: float) -> None:
        """An exchange came to nothing, and it was the upstream's fault."""
        self.counter.failed += 1
        self.failing = True
        self._health.answered_badly(error, began)

    def outrun(self, began: float, now: float) -> None:
        """A request is given up, as another endpoint has answered it first: it would have taken longer still."""
        self._health.took(now - began, now)

    def judge(self, status: int, began: float) -> None:
        """There was an answer of 500 and above, or the endpoint is C{failing} and there may have been none."""
        if not status:
            self._health.not_answered(began)
        elif status < 500:
            self.counter.succeeded += 1
            self.failing = not self._health.answered_well(began)
        elif status in OF_THE_REQUEST:
            self.counter.failed += 1
            self._health.not_answered(began)
        else:
            self.bad(ServerErrors(self._endpoint, status), began)
