# -*- test-case-name: tests.discover.test_about -*-
"""
What is known of a service's endpoints.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Service
from lproxy.discover.about import metadata, of_member
from lproxy.target import UNKNOWN, Metadata, Secure


class MetadataTests(SynchronousTestCase):
    """One endpoint."""

    def test_plain(self) -> None:
        """Where nothing is said, nothing is known, and nothing secured."""
        self.assertIs(UNKNOWN, metadata(Service("a:80"), "10.0.0.1"))

    def test_version(self) -> None:
        """Which version of HTTP it speaks, where that is said."""
        self.assertEqual(Metadata(protocol="http2"), metadata(Service("a:80", protocol="http2"), "10.0.0.1"))
        secured = metadata(Service("a:443", tls=True, protocol="http1"), "10.0.0.1")
        self.assertEqual(Metadata(Secure("a"), "http1"), secured)

    def test_server(self) -> None:
        """A server is the name that clients ask for, unless it is said; else what the endpoint is called."""
        for service, host, name in (
            (Service("API.test.:443", tls=True), "10.0.0.1", "api.test"),
            (Service("API.test.:443", tls=True, server_name="b.test"), "10.0.0.1", "b.test"),
            (Service("api", tls=True), "b-1.test", "b-1.test"),
            (Service("api", tls=True), "10.0.0.1", "10.0.0.1"),
        ):
            self.assertEqual(Metadata(Secure(name)), metadata(service, host))
        own = Service("a:443", tls=True, ca="ca", certificate="c", key="k")
        self.assertEqual(Metadata(Secure("a", False, "ca", "c", "k")), metadata(own, "b"))

    def test_proxy_protocol(self) -> None:
        """A service that is told of clients has endpoints that are."""
        self.assertEqual(Metadata(proxy_protocol="v2"), metadata(Service("a:80", proxy_protocol="v2"), "b"))

    def test_member(self) -> None:
        """Who a service has told of is who it says, unless one name is for all; the rest is as the service's."""
        service = Service("kafka.test:9092", tls=True, ca="ca", proxy_protocol="v1")
        self.assertEqual(Metadata(Secure("b-1.test", ca="ca"), proxy_protocol="v1"), of_member(service, "b-1.test"))
        one = Service("kafka.test:9092", tls=True, server_name="any.test")
        self.assertEqual(Metadata(Secure("any.test")), of_member(one, "b-1.test"))

    def test_identity(self) -> None:
        """A service with an identity is that, whatever it is called."""
        self.assertEqual(
            Metadata(Secure("web.mesh", identity=True)), metadata(Service("a:80", identity="web.mesh"), "b")
        )
