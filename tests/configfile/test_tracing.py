# -*- test-case-name: tests.configfile.test_tracing -*-
"""
L{lproxy.configfile.tracing}: C{[tracing]}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Tracing
from lproxy.configfile import tracing
from lproxy.configfile.problem import Report
from lproxy.configfile.tracing import check_tracing, is_installed


class TracingTests(SynchronousTestCase):
    """What is wrong is known before the first span."""

    def setUp(self) -> None:
        self.patch(tracing, "is_installed", lambda package: True)

    def says(self, **settings: Any) -> list[str]:
        report = Report("f")
        check_tracing(Tracing(**settings), report)
        return [str(problem) for problem in report.problems]

    def test_good(self) -> None:
        """Off, or a collector by http or https, with a path or without."""
        self.assertEqual([], self.says())
        for url in ("http://127.0.0.1:4318", "https://otel.test/custom/v1/traces", "http://[::1]:4318/"):
            self.assertEqual([], self.says(endpoint=url, sample=1.0))

    def test_endpoint(self) -> None:
        """Whatever is no collector's URL."""
        right = 'write "http://127.0.0.1:4318", with the collector\'s address'
        for url, wrong in (
            ("127.0.0.1:4318", "is no URL of http or https"),
            ("grpc://a:4317", "is no URL of http or https"),
            ("http://", "names no host"),
            ("http://a:0", "names no host"),
            ("http://a:x", "is no URL: Port could not be cast to integer value as 'x'"),
            ("http://a/?x=1", "has a query or fragment"),
        ):
            self.assertEqual([f'f: tracing.endpoint: "{url}" {wrong}; {right}'], self.says(endpoint=url))

    def test_service(self) -> None:
        """A service has a name."""
        self.assertEqual(
            ["f: tracing.service: is empty; write the name that spans are found by"], self.says(service="")
        )

    def test_extra(self) -> None:
        """What it needs and is not installed is an error with the command that installs it."""
        self.patch(tracing, "is_installed", lambda package: False)
        self.assertEqual([], self.says())
        (wrong,) = self.says(endpoint="http://a:4318")
        self.assertEqual(
            "f: tracing.endpoint: tracing needs OpenTelemetry, of which opentelemetry.sdk.resources is not installed; "
            "pip install 'lproxy[otel]', or leave it out",
            wrong,
        )


class InstalledTests(SynchronousTestCase):
    """Without importing it."""

    def test_installed(self) -> None:
        """A package that is there, one that is not, and one whose parent is not."""
        found = [is_installed(name) for name in ("twisted.web", "twisted.nothing", "nothing.at.all")]
        self.assertEqual([True, False, False], found)
