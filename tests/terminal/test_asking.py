# -*- test-case-name: tests.terminal.test_asking -*-
"""
L{lproxy.terminal.asking}: the admin server, asked. By https it is in L{tests.integration.test_admin_tls}.
"""

from __future__ import annotations

import argparse
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from twisted.trial.unittest import SynchronousTestCase

from lproxy.terminal.asking import ask, opened, secure


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
        parser = argparse.ArgumentParser()
        secure(parser)
        self.arguments = parser.parse_args([])

    def test_ask(self) -> None:
        """By address, or by URL; all at once, or to be read."""
        address = f"127.0.0.1:{self.server.server_address[1]}"
        for admin in (address, f"http://{address}/"):
            self.assertEqual(b"/a?q=b", ask(admin, "a?q=b", 5.0, self.arguments))
        with opened(address, "c", 5.0, self.arguments) as answer:
            self.assertEqual(b"/", answer.read(1))

    def test_never_by_a_proxy(self) -> None:
        """Whatever the environment says: what is asked is a proxy itself."""
        self.patch(__import__("os"), "environ", {**__import__("os").environ, "http_proxy": "http://127.0.0.1:1"})
        address = f"127.0.0.1:{self.server.server_address[1]}"
        self.assertEqual(b"/x", ask(address, "x", 5.0, self.arguments))
