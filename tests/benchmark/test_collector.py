"""
L{benchmark.collector}: what is sent to it, and what it asks for.
"""

import gzip
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Event, Thread

from twisted.trial.unittest import SynchronousTestCase

from benchmark.collector import collecting, scraping
from benchmark.process import ProcessFailed, free_ports
from tests.components import require


def post(port: int, body: bytes | Iterator[bytes], **headers: str) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/traces", body, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(answer.status)


class CollectorTests(SynchronousTestCase):
    def test_traces(self) -> None:
        """What counts is spans that have none above them, in whatever posts they came."""
        require(packages=("opentelemetry.proto",))
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        request = ExportTraceServiceRequest()
        spans = request.resource_spans.add().scope_spans.add().spans
        spans.add(span_id=b"a" * 8)
        spans.add(span_id=b"b" * 8, parent_span_id=b"a" * 8)
        body = request.SerializeToString()
        with collecting() as collector:
            self.assertEqual(200, post(collector.port, body))
            self.assertEqual(200, post(collector.port, gzip.compress(body), **{"Content-Encoding": "gzip"}))
            # in chunks, as Envoy sends it
            self.assertEqual(200, post(collector.port, iter([body[:5], body[5:]])))
        self.assertEqual(3, collector.traces())


class ScrapingTests(SynchronousTestCase):
    def test_sizes(self) -> None:
        """It asks at once and again, until the block ends."""
        asked: list[str] = []
        twice = Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                if len(asked) == 2:
                    twice.set()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"up 1\n")

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            with scraping(server.server_address[1], "/m", 0.01) as sizes:
                self.assertTrue(twice.wait(30))
            server.shutdown()
            thread.join()
        self.assertEqual({"/m"}, set(asked))
        self.assertEqual({5}, set(sizes))

    def test_nobody(self) -> None:
        """Where nobody answers nothing was measured."""
        (port,) = free_ports(1)

        def scrape() -> None:
            with scraping(port, "/metrics"):
                pass

        self.assertRaises(ProcessFailed, scrape)
