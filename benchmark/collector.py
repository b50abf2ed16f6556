# -*- test-case-name: tests.benchmark.test_collector -*-
"""
Who looks on while a proxy is measured: a collector of traces, and somebody who scrapes metrics.

Both are threads of ours, on the load's core.
"""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from zlib import MAX_WBITS, decompress

from benchmark.process import HOST, ProcessFailed


class Collector:
    """
    Takes OTLP over HTTP.

    @ivar port: where
    @ivar bodies: all that was sent to it
    """

    def __init__(self) -> None:
        self.port = 0
        self.bodies: list[bytes] = []

    def traces(self) -> int:
        """How many of the spans that were sent have none above them: one of each trace that a proxy begins."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        return sum(
            not span.parent_span_id
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        )


@contextmanager
def collecting() -> Iterator[Collector]:
    """One that runs until the end of the block."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = self.headers["Content-Length"]
            body = self.rfile.read(int(length)) if length is not None else b"".join(self._chunks())
            gzipped = self.headers["Content-Encoding"] == "gzip"
            found.bodies.append(decompress(body, 16 + MAX_WBITS) if gzipped else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _chunks(self) -> Iterator[bytes]:
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        found.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def scraping(port: int, path: str, interval: float = 1.0) -> Iterator[list[int]]:
    """Metrics are asked for until the end of the block, at once and then each C{interval}; the sizes of the answers."""
    sizes: list[int] = []
    over = Event()

    def scrape() -> None:
        while True:
            try:
                with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=5) as page:
                    sizes.append(len(page.read()))
            except (OSError, HTTPException):
                # who asks for the sizes finds too few
                return
            if over.wait(interval):
                return

    thread = Thread(target=scrape, daemon=True)
    thread.start()
    try:
        yield sizes
    finally:
        over.set()
        thread.join()
    if not sizes:
        raise ProcessFailed(f"nobody answers at {port}{path}")
