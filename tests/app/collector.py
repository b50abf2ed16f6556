# -*- test-case-name: tests.app.test_otel -*-
"""
A collector of traces on 127.0.0.1: takes OTLP over HTTP, as protobuf, and has what it was told.
"""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.components import require


class Collector:
    """
    Listens until it is closed.

    @ivar status: what it answers, and with which C{fields}
    @ivar paths: what it was asked
    @ivar spans: all that it was told, decoded by opentelemetry-proto
    @ivar resources: whose they are: attributes by name
    """

    def __init__(self, test: Any) -> None:
        require(packages=("opentelemetry.proto", "opentelemetry.sdk"))
        self.status = 200
        self.fields: dict[str, str] = {}
        self.paths: list[str] = []
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.paths.append(self.path)
                if collector.status == 200:
                    collector.took(body)
                self.send_response(collector.status)
                for field in collector.fields.items():
                    self.send_header(*field)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        test.addCleanup(self.close)

    @property
    def url(self) -> str:
        """For C{tracing.endpoint}."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def took(self, body: bytes) -> None:
        """One request's body."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        for resource in request.resource_spans:
            self.resources.append({one.key: one.value.string_value for one in resource.resource.attributes})
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def close(self) -> None:
        """Nobody listens any more; harmless to be told twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def attributes(span: Any) -> dict[str, Any]:
    """Those of a decoded span."""
    found = {one.key: one.value for one in span.attributes}
    return {key: getattr(value, value.WhichOneof("value")) for key, value in found.items()}
