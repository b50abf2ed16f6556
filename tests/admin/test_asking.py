# -*- test-case-name: tests.admin.test_asking -*-
"""
L{lproxy.admin.asking}: an admin server, asked. By https it is in L{tests.integration.test_admin_tls}.
"""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from twisted.trial.unittest import SynchronousTestCase

from lproxy.admin.asking import ask, opened


class Echo(BaseHTTPRequestHandler):
    """Says what it was asked for."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *args: object) -> None:
        """Nothing."""


class AskTests(SynchronousTestCase):
    """Of a server on this machine."""

    def setUp(self) -> None:
        self.server = HTTPServer(("127.0.0.1", 0), Echo)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.address = f"127.0.0.1:{self.server.server_address[1]}"

    def test_ask(self) -> None:
        """By address, or by URL; all at once, or to be read."""
        for admin in (self.address, f"http://{self.address}/"):
            self.assertEqual(b"/a?q=b", ask(admin, "a?q=b", 5.0))
        with opened(self.address, "c", 5.0) as answer:
            self.assertEqual(b"/", answer.read(1))

    def test_never_by_a_proxy(self) -> None:
        """Whatever the environment says: what is asked is a proxy itself."""
        self.patch(os, "environ", {**os.environ, "http_proxy": "http://127.0.0.1:1"})
        self.assertEqual(b"/x", ask(self.address, "x", 5.0))
