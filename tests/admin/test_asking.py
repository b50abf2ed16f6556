# -*- test-case-name: tests.admin.test_asking -*-
"""
L{lproxy.admin.asking}: an admin server, asked. By https it is in L{tests.integration.test_admin_tls}.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from urllib.error import HTTPError, URLError

from twisted.trial.unittest import SynchronousTestCase

from lproxy.admin.asking import Conversation, ask, opened, why


class Echo(BaseHTTPRequestHandler):
    """Says what it was asked for; C{/port} by which port, C{/last} and ends, C{/no} and that it is not allowed."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        said = str(self.client_address[1]) if self.path == "/port" else self.path
        self.send_response(403 if self.path == "/no" else 200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())
        self.close_connection = self.path == "/last" or self.headers.get("Connection") == "close"

    def log_message(self, *args: object) -> None:
        """Nothing."""


class AskTests(SynchronousTestCase):
    """Of a server on this machine."""

    def setUp(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
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

    def test_conversation(self) -> None:
        """One connection has all questions; where it has ended, or is refused, another one has the next."""
        for admin in (self.address, f"http://{self.address}/"):
            asked = Conversation(admin, 5.0)
            self.addCleanup(asked.close)
            first = asked.ask("port")
            self.assertEqual((first, b"/a?q=b"), (asked.ask("port"), asked.ask("a?q=b")))
            asked.ask("last")
            self.assertNotEqual(first, asked.ask("port"))
            error = self.assertRaises(OSError, asked.ask, "no")
            self.assertEqual("/no", str(error))
            self.assertEqual(b"/a", asked.ask("a"))
        for wrong in ("ftp://x", "http://"):
            self.assertRaises(ValueError, Conversation(wrong, 5.0).ask, "a")
        self.assertRaises(ConnectionRefusedError, Conversation("127.0.0.1:1", 5.0).ask, "a")


class WhyTests(SynchronousTestCase):
    """Of whoever does not answer."""

    def test_words(self) -> None:
        """As people read it: neither numbers nor the names of what asks."""
        refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        self.assertEqual("Connection refused", why(URLError(refused)))
        self.assertEqual("Connection refused", why(refused))
        self.assertEqual("timed out", why(URLError(TimeoutError("timed out"))))
        self.assertEqual("no host given", why(ValueError("no host given")))

    def test_refused(self) -> None:
        """One that refuses says why itself."""
        for body, said in (
            (b"this port speaks https only\n", "this port speaks https only"),
            (b"", "HTTP Error 400: No"),
        ):
            self.assertEqual(said, why(HTTPError("http://x", 400, "No", Message(), BytesIO(body))))

    def test_something_else(self) -> None:
        """Where something else answers, that is said."""
        error = self.assertRaises(json.JSONDecodeError, json.loads, "<html>")
        for one in (error, KeyError("live"), TypeError("no subscript")):
            self.assertEqual("what is there is no admin server of lproxy", why(one))
