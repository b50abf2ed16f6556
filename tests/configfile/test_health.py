# -*- test-case-name: tests.configfile.test_health -*-
"""
Tests for L{lproxy.configfile.health}.
"""

from __future__ import annotations

from lproxy.balancing import HealthCheck
from lproxy.configfile.render import render
from tests.configfile.case import FileTestCase

FILE = """
[[listen]]
name = "out"
address = "127.0.0.1:4140"

[services."web:80"]
endpoints = ["a:1"]
health = {}
"""


class HealthTests(FileTestCase):
    """C{health} of a service."""

    def test_read(self) -> None:
        """Each kind; a path alone; what is not said is as by default; and what is rendered is read as the same."""
        for text, check in {
            '"/healthz"': HealthCheck("http", "/healthz"),
            "{}": HealthCheck(),
            '{ path = "/up?deep=1", host = "web.local", expect = ["2xx", 404] }': HealthCheck(
                "http", "/up?deep=1", "web.local", "", ((200, 299), (404, 404))
            ),
            '{ interval = "1s", timeout = "500ms" }': HealthCheck(interval=1.0, timeout=0.5),
            '{ kind = "grpc", unhealthy = 5, healthy = 1 }': HealthCheck("grpc", healthy=1, unhealthy=5),
            '{ service = "books.Books" }': HealthCheck("grpc", service="books.Books"),
            '{ kind = "tcp" }': HealthCheck("tcp"),
        }.items():
            config = self.good(FILE.format(text))
            self.assertEqual(check, config.services["web:80"].health)
            written = render(config)["services"]["web:80"]["health"]
            self.assertEqual(check.kind, written["kind"])

    def test_none(self) -> None:
        """Who says nothing has none, and nothing is rendered."""
        config = self.good(FILE.replace("health = {}\n", ""))
        self.assertIsNone(config.services["web:80"].health)
        self.assertNotIn("health", render(config)["services"]["web:80"])

    def test_versions(self) -> None:
        """gRPC is not asked in HTTP/1, which is worth a warning."""
        text = FILE.replace("health", 'protocol = "http1"\nhealth').format('{ kind = "grpc" }')
        self.says(text, "asks by gRPC, which there is not in HTTP/1")

    def test_bad(self) -> None:
        """What is wrong, with its key path."""
        for text, says in {
            "true": 'services."web:80".health: must be a table, not a boolean',
            '"healthz"': 'health.path: "healthz" is no path; write "/healthz"',
            '"/a b"': 'health.path: "/a b" is no path of a request',
            '{ paht = "/" }': 'health.paht: unknown key; did you mean "path"?',
            '{ kind = "https" }': 'health.kind: must be "http", "grpc" or "tcp", not "https"',
            '{ kind = "tcp", path = "/" }': 'has a path, which is nothing of kind = "tcp"',
            '{ kind = "http", service = "a" }': 'has a service, which is nothing of kind = "http"',
            '{ interval = "1s" }': "has a timeout that is longer than its interval",
            "{ interval = 1 }": "health.interval: 1 has no unit",
            "{ healthy = 0 }": "health.healthy: 0 is not more than zero",
            '{ expect = "6xx" }': "health.expect",
            "{ expect = [] }": "health.expect: is empty",
            '{ host = "a b" }': "health.host",
        }.items():
            self.says(FILE.format(text), says)
