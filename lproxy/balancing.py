# -*- test-case-name: tests.test_balancing -*-
"""
How a service's requests are spread over its endpoints, and when one of these is left out.

Frozen values, wherever they were read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from lproxy.setting import setting

#: how an endpoint is asked whether it serves
Asked = Literal["http", "grpc", "tcp"]


@dataclass(frozen=True, slots=True)
class Place:
    """
    An endpoint of a service, where there is more to say of it than its address.

    @ivar address: IP:port or name:port; all addresses of a name are endpoints
    @ivar weight: its part of the requests, beside the other endpoints' weights
    @ivar zone: where it is, such as an availability zone of a cloud; empty: nobody knows
    """

    address: str
    weight: int = 1
    zone: str = ""


def place(endpoint: str | Place) -> Place:
    """An endpoint as a service has it, whatever else is said of it."""
    return Place(endpoint) if isinstance(endpoint, str) else endpoint


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """
    Asking endpoints, beside all requests, whether they serve.

    @ivar kind: C{http}: a GET; C{grpc}: grpc.health.v1, Check; C{tcp}: a connection, secured as all are
    @ivar path: of the GET
    @ivar host: its Host, or :authority; empty: the service's name, or the endpoint's address
    @ivar service: which one is asked for, of gRPC; empty: the whole server
    @ivar expect: statuses of good answers, ranges, the last included
    @ivar interval: seconds between two questions
    @ivar timeout: seconds for one, connecting included
    @ivar healthy: good answers in a row after which an endpoint that is down is in use again
    @ivar unhealthy: bad ones in a row after which one in use is down. The very first answer decides alone
    """

    kind: Asked = "http"
    path: str = "/"
    host: str = ""
    service: str = ""
    expect: tuple[tuple[int, int], ...] = ((200, 399),)
    interval: float = 5.0
    timeout: float = 2.0
    healthy: int = 2
    unhealthy: int = 3

    def expects(self, status: int) -> bool:
        """Whether an answer of C{status} is a good one."""
        return any(first <= status <= last for first, last in self.expect)


@dataclass(frozen=True, slots=True)
class Balancing:
    """
    C{[balancing]}: how requests are spread over a service's endpoints, and which of these are left out.

    @ivar max_failures: of C{[limits]}, or the service's own: bad answers in a row that put an endpoint down; 0: no
        number of them does
    @ivar check: how endpoints are asked whether they serve, beside the requests; C{None}: they are not
    """

    failure_ratio: float | None = setting(
        0.5,
        "the part of answers of 500 and above, of all within failure_window, which puts an endpoint aside as "
        "limits.max_failures does, unless the others do hardly better; none turns it off",
        "part",
    )
    failure_window: float = setting(10.0, "how long answers are counted for that, from a bad one on", "duration")
    failure_requests: int = setting(20, "answers of which fewer say nothing about that part")
    max_ejected: float = setting(
        0.5,
        "the part of a service's endpoints that may be put aside for their answers; one always may, the last never",
        "part",
    )
    slow_start: float | None = setting(
        5.0,
        "how long an endpoint that is new, or back, takes to get its whole part of the requests, where there are "
        "others; none: it has that at once",
        "duration",
    )
    zone: str = setting(
        "",
        "the zone that this proxy is in: endpoints there are preferred, as long as enough of them serve; empty: none "
        "are",
    )
    max_failures: int = 0
    check: HealthCheck | None = None


#: of a service of which nobody says anything: nothing puts an endpoint down but that it cannot be reached
DEFAULT: Final = Balancing(failure_ratio=None, slow_start=None)
