# -*- test-case-name: tests.admin.test_scrape -*-
"""
L{lproxy.admin.scrape}: C{/metrics}, as it is asked for.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from lproxy.admin.scrape import compressed
from tests.admin.case import AdminCase

#: what Prometheus 3 sends
PROMETHEUS = (
    "Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


class ScrapeTests(AdminCase):
    """Format and coding."""

    def test_text(self) -> None:
        """Prometheus' text, for whoever does not ask for another."""
        for fields in ((), ("Accept: */*",), ("Accept: text/html",), ("Accept: text/plain", "Accept-Encoding: br")):
            answer = self.ask("GET /metrics", *fields)
            self.assertEqual("text/plain; version=0.0.4; charset=utf-8", answer.fields["content-type"])
            self.assertEqual("accept, accept-encoding", answer.fields["vary"])
            self.assertNotIn("content-encoding", answer.fields)
            self.assertIn("proxy_build_info", {family.name for family in parse(answer.text)})

    def test_open_metrics(self) -> None:
        """OpenMetrics, for whoever would rather have that, as Prometheus does."""
        answer = self.ask("GET /metrics", PROMETHEUS)
        self.assertEqual("application/openmetrics-text; version=1.0.0; charset=utf-8", answer.fields["content-type"])
        self.assertIn("proxy_build_info", {family.name for family in parse_open(answer.text)})
        old = self.ask("GET /metrics", "Accept: application/openmetrics-text; version=0.0.1")
        self.assertIn("version=0.0.1;", old.fields["content-type"])
        several = self.ask("GET /metrics", "Accept: text/plain;q=0.5", "Accept: application/openmetrics-text")
        self.assertIn("openmetrics", several.fields["content-type"])

    def test_gzip(self) -> None:
        """Compressed, where that is asked for: the same, in less."""
        plain = self.ask("GET /metrics", PROMETHEUS)
        small = self.raw(
            f"GET /metrics HTTP/1.1\r\nHost: localhost\r\n{PROMETHEUS}\r\nAccept-Encoding: gzip\r\n\r\n".encode()
        )
        self.assertEqual(("gzip", True), (small.fields["content-encoding"], small.whole))
        text = gzip.decompress(small.body).decode()
        self.assertEqual({f.name for f in parse_open(plain.text)}, {f.name for f in parse_open(text)})
        self.assertLess(len(small.body), len(plain.body) / 2)

    def test_head(self) -> None:
        """HEAD has the same fields, and no body."""
        answer = self.ask("HEAD /metrics", PROMETHEUS, "Accept-Encoding: gzip")
        self.assertEqual(("gzip", b""), (answer.fields["content-encoding"], answer.body))
        self.assertIn("openmetrics", answer.fields["content-type"])

    def test_some(self) -> None:
        """For people: the samples that have something in their lines, and what they are."""
        self.metrics.detect("out").results["http"] = 7
        for fields in ((), (PROMETHEUS,)):
            text = self.ask("GET /metrics?q=listener=%22out%22", *fields).text
            samples = [line for line in text.splitlines() if not line.startswith("#")]
            self.assertTrue(samples and all('listener="out"' in line for line in samples), text)
            self.assertTrue((parse_open if fields else parse)(text), "it is an exposition")
            self.assertEqual(1, text.count("# HELP detect_total") + text.count("# HELP detect "))
        self.assertEqual("# there is no such sample\n", self.ask("GET /metrics?q=nobody").text)


class CompressedTests(AdminCase):
    """Piece by piece."""

    def test_pieces(self) -> None:
        """Each piece is compressed by itself, when it is wanted: what is long holds up nobody longer than before."""
        made: list[int] = []

        def pieces() -> Iterator[bytes]:
            for n in range(5):
                made.append(n)
                yield b"%d abcdefgh\n" % n * 1_000

        found = compressed(pieces())
        first = next(found)
        self.assertEqual([0], made)
        rest = list(found)
        self.assertTrue(all([first, *rest]), "no piece is empty: it would end a chunked answer")
        self.assertEqual(b"".join(pieces()), gzip.decompress(first + b"".join(rest)))
