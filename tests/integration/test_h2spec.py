# -*- test-case-name: tests.integration.test_h2spec -*-
"""
The whole proxy under h2spec, a suite of a hundred and fifty cases for servers of HTTP/2.

Whether the upstream speaks HTTP/1 or HTTP/2, and whoever reads and writes the frames, all of it passes. The listener is
one with a configured protocol: where it is detected, what opens as HTTP/2 never does is forwarded as bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from lproxy.config import Config, Listen, Service
from lproxy.testing.certificates import authority
from tests.components import missing, require
from tests.integration.http_case import HttpCase, eventually, threaded
from tests.integration.ports import free_ports

#: seconds for one case; few take any
CASE = 3


def h2spec() -> str:
    """The program, which C{go install} puts beside those of other packages."""
    path = shutil.which("h2spec")
    if path is None and (go := shutil.which("go")) is not None:
        root = subprocess.run([go, "env", "GOPATH"], capture_output=True, text=True, check=True).stdout.strip()
        path = shutil.which("h2spec", path=str(Path(root) / "bin"))
    if path is None:
        path = shutil.which("h2spec", path=os.path.expanduser("~/go/bin"))
    return path or missing("h2spec is not installed")


class Greets(BaseHTTPRequestHandler):
    """An application whose answers have a few bytes to be flow-controlled."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding"):
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"hello\n")

    do_GET = do_HEAD = do_POST = do_OPTIONS = _answer

    def log_message(self, *args: Any) -> None:
        """Nowhere."""


class Application(ThreadingHTTPServer):
    """Clients that leave in the middle are not its concern."""

    daemon_threads = True

    def handle_error(self, *args: Any) -> None:
        """They do."""


class H2specTests(HttpCase):
    """Every case, of each listener in front of each application."""

    def setUp(self) -> None:
        self.application = Application(("127.0.0.1", 0), Greets)
        Thread(target=self.application.serve_forever, daemon=True).start()
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        Path(self.folder, "index.html").write_text("hello\n")
        self.port = free_ports()
        super().setUp()

    def config(self) -> Config:
        """A listener for each engine and each version upstream, plain and with a certificate."""
        leaf = authority("h2spec").issue("localhost")
        certificate = Path(self.folder, "leaf.pem")
        certificate.write_bytes(leaf.chain_pem + leaf.key_pem)
        one = Listen(name="lane", address="127.0.0.1:0", target="service:one", protocol="http")
        secured = replace(one, tls="terminate", certificates=(str(certificate),))
        application = f"127.0.0.1:{self.application.server_address[1]}"
        return replace(
            super().config(),
            listen=(
                one,
                replace(one, name="reference", http2_engine="reference"),
                replace(one, name="both", target="service:two"),
                replace(secured, name="secured"),
                replace(secured, name="secured-both", target="service:two"),
            ),
            services={
                "one": Service("one", (application,), protocol="http1"),
                "two": Service("two", (f"127.0.0.1:{self.port}",), protocol="http2"),
            },
        )

    async def tearDown(self) -> None:
        self.application.shutdown()
        self.application.server_close()
        await super().tearDown()

    def nghttpd(self) -> None:
        """The application that speaks HTTP/2, until the end of the test."""
        require("nghttpd")
        process = subprocess.Popen(["nghttpd", "--no-tls", "-d", self.folder, "-a", "127.0.0.1", str(self.port)])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        eventually(partial(connects, self.port), "nghttpd")

    def passes(self, port: str, *options: str) -> None:
        """All of it, strict cases included."""
        command = [h2spec(), "-S", "-h", "127.0.0.1", "-p", str(self.ports[port]), "-o", str(CASE), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        _, _, failures = done.stdout.partition("Failures:")
        total = re.search(r"(\d+) tests, (\d+) passed, 0 skipped, 0 failed", done.stdout)
        self.assertIsNotNone(total, failures or done.stdout[-2000:] + done.stderr)
        assert total is not None
        self.assertEqual((total[1], True), (total[2], int(total[1]) > 140))

    @threaded
    def test_lane(self) -> None:
        """Our own engine."""
        self.passes("lane")

    @threaded
    def test_reference(self) -> None:
        """The library."""
        self.passes("reference")

    @threaded
    def test_both(self) -> None:
        """HTTP/2 on both sides."""
        self.nghttpd()
        self.passes("both")

    @threaded
    def test_secured(self) -> None:
        """Over TLS."""
        self.passes("secured", "-t", "-k")

    @threaded
    def test_secured_both(self) -> None:
        """Over TLS, and HTTP/2 on both sides."""
        self.nghttpd()
        self.passes("secured-both", "-t", "-k")


def connects(port: int) -> bool:
    """Whether somebody accepts there."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
