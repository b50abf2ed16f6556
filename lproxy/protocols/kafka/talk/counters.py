# -*- test-case-name: tests.protocols.kafka.talk.test_counters -*-
"""
What is counted per frame: plain integers, resolved once per connection and kind of request.
"""

from __future__ import annotations

from lproxy.metrics.counters import SECONDS, Histogram

#: bytes of a request; from a heartbeat to the largest that a broker takes by default
SIZES = tuple(float(1 << bits) for bits in (6, 7, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 27))


class ApiCounter:
    """
    One API of one listener, all versions together.

    @ivar incomplete: requests whose response never came
    @ivar sizes: bytes of requests
    @ivar latency: seconds from a request's last byte to the first one of its response
    """

    __slots__ = ("incomplete", "latency", "request_bytes", "response_bytes", "sizes")

    def __init__(self) -> None:
        self.request_bytes = 0
        self.response_bytes = 0
        self.incomplete = 0
        self.sizes = Histogram(SIZES)
        self.latency = Histogram(SECONDS)


class VersionCounter:
    """One API in one version, to one node."""

    __slots__ = ("api", "requests", "responses")

    def __init__(self, api: ApiCounter) -> None:
        self.api = api
        self.requests = 0
        self.responses = 0


class ClientCounter:
    """What clients with one client id have asked for."""

    __slots__ = ("bytes", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.bytes = 0
