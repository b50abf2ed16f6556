# -*- test-case-name: tests.protocols.http.test_endpoint_services -*-
"""
L{lproxy.protocols.http.endpoint_services}: what speaks to an endpoint.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from lproxy.api import Endpoint, Metadata, Secure
from lproxy.protocols.http.agreed import Agreed
from lproxy.protocols.http.endpoint_services import Bottoms
from lproxy.protocols.http.h2.pool import Http2Pool
from lproxy.protocols.http.pool import Pool
from lproxy.stack.backoff import Backoff
from lproxy.stack.health import EndpointHealth, ServiceHealth
from lproxy.target import Authority
from tests.protocols.http.harness import HttpTestCase

ENDPOINT = Endpoint("10.0.0.1", 80)


class BottomsTests(HttpTestCase):
    """Of one listener, and of all that come after it."""

    def bottoms(self, **more: Any) -> Bottoms:
        return Bottoms(replace(self.proxy.runtime.outward, **more), "http", "lane")

    def made(self, make: Any, metadata: Metadata) -> Any:
        service = ServiceHealth(Authority("web.local", 80), self.proxy.reactor, Backoff(0.1, 5.0, Random(1)))
        return make(ENDPOINT, metadata, EndpointHealth(service, ENDPOINT))

    def test_kinds(self) -> None:
        """Connections for HTTP/1.1; for HTTP/2 streams, or where TLS has yet to say, either."""
        bottoms = self.bottoms()
        secure = Secure("web.local")
        self.assertIsInstance(self.made(bottoms.http1, Metadata()), Pool)
        self.assertIsInstance(self.made(bottoms.http1, Metadata(secure=secure)), Pool)
        self.assertIsInstance(self.made(bottoms.http2, Metadata()), Http2Pool)
        self.assertIsInstance(self.made(bottoms.http2, Metadata(secure=secure)), Agreed)
        self.assertIsInstance(self.made(bottoms.http2, Metadata(secure=secure, protocol="http2")), Http2Pool)

    def test_one_of_all(self) -> None:
        """Pools that were made for one configuration are shown with those of the next: once, and for as long."""
        before = len(self.proxy.metrics)
        first, second = self.bottoms(), self.bottoms()
        self.assertEqual(before, len(self.proxy.metrics), "the scripted listener has its own already")
        for bottoms in (first, second):
            self.made(bottoms.http1, Metadata())
        (shown,) = {
            tuple(family.samples)
            for source in self.proxy.metrics
            for family in source()
            if family.name == "http_upstream_connections" and family.samples
        }
        self.assertEqual([0, 0], [value for _, value in shown])
