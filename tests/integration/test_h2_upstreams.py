# -*- test-case-name: tests.integration.test_h2_upstreams -*-
"""
Upstreams that speak HTTP/2 and are not ours: nghttpd and nginx, with curl and nghttp as clients.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from lproxy.config import Config, Service
from tests.components import require
from tests.integration.http_case import HttpCase, threaded
from tests.integration.ports import free_ports

BIG = 5_000_000
NGINX = """
{user} daemon off; pid {home}/pid; error_log {home}/error; worker_processes 1;
events {{ worker_connections 200; }}
http {{
  access_log off; client_max_body_size 100m; client_body_temp_path {home}; http2_max_concurrent_streams 3;
  server {{ listen 127.0.0.1:{port} http2; root {home}/www; location /version {{ return 200 "$server_protocol"; }} }}
}}
"""


class UpstreamCase(HttpCase):
    """C{web.local}, and C{fixed} and C{plain} as well, are a server that speaks HTTP/2 with prior knowledge."""

    def setUp(self) -> None:
        require("curl", self.program())
        self.home = Path(self.mktemp()).absolute()
        (self.home / "www").mkdir(parents=True)
        (self.home / "www" / "big").write_bytes(os.urandom(BIG))
        (self.home / "www" / "small").write_bytes(b"small")
        for path in (self.home, self.home / "www"):
            path.chmod(0o777)
        self.port = free_ports()
        self.server = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.stop)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                break
            time.sleep(0.02)
        super().setUp()

    def stop(self) -> None:
        """End the server."""
        self.server.terminate()
        self.server.wait(10)

    def program(self) -> str:
        """Which server."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """How it is run."""
        raise NotImplementedError

    def config(self) -> Config:
        """As always, in front of that server."""
        config = super().config()
        listen = tuple(replace(one, target="service:web.local:80") for one in config.listen)
        service = Service("web.local:80", (f"127.0.0.1:{self.port}",), protocol="http2")
        return replace(config, listen=listen, services={"web.local:80": service})

    def curl(self, path: str, *options: str) -> bytes:
        """What curl gets of it."""
        command = ["curl", "-sS", "--max-time", "20", *options, f"http://127.0.0.1:{self.ports['web']}/{path}"]
        return subprocess.run(command, capture_output=True, check=True).stdout

    def both(self) -> None:
        """Small and large answers, to clients of both versions."""
        big = (self.home / "www" / "big").read_bytes()
        for version in ("--http1.1", "--http2-prior-knowledge"):
            self.assertEqual(b"small", self.curl("small", version))
            self.assertEqual(big, self.curl("big", version))
            self.assertEqual(b"404", self.curl("none", version, "-o", "/dev/null", "-w", "%{http_code}"))
            head = self.curl("small", version, "-I")
            self.assertIn(b"content-length: 5", head.lower())


class NghttpdTests(UpstreamCase):
    """nghttp2's server."""

    def program(self) -> str:
        return "nghttpd"

    def command(self) -> list[str]:
        folder = str(self.home / "www")
        return ["nghttpd", "--no-tls", "-a", "127.0.0.1", "-d", folder, "--trailer", "x-t: u", str(self.port)]

    @threaded
    def test_curl(self) -> None:
        """curl, in both versions."""
        self.both()

    @threaded
    def test_nghttp(self) -> None:
        """nghttp with its priorities and many streams at once, and the trailers that the server sends."""
        require("nghttp")
        url = f"http://127.0.0.1:{self.ports['web']}/"
        command = ["nghttp", "-nv", *[f"{url}{name}" for name in ("small", "big", "small", "none")], "-m", "5"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(15, done.stdout.count(":status: 200"))
        self.assertEqual(5, done.stdout.count(":status: 404"))
        self.assertGreaterEqual(done.stdout.count("x-t: u"), 15)

    @threaded
    def test_many(self) -> None:
        """h2load: thousands of requests of many clients, none lost."""
        require("h2load")
        url = f"http://127.0.0.1:{self.ports['plain']}/small"
        done = subprocess.run(
            ["h2load", "-n2000", "-c10", "-m50", url], capture_output=True, text=True, timeout=60, check=True
        )
        self.assertIn("2000 succeeded, 0 failed, 0 errored", done.stdout)


class NginxTests(UpstreamCase):
    """nginx, which allows three streams at once."""

    def program(self) -> str:
        return "nginx"

    def command(self) -> list[str]:
        # what a test has made is read as whoever runs it
        user = "user root;" if os.geteuid() == 0 else ""
        (self.home / "conf").write_text(NGINX.format(home=self.home, port=self.port, user=user))
        return ["nginx", "-e", str(self.home / "error"), "-c", str(self.home / "conf")]

    @threaded
    def test_curl(self) -> None:
        """curl, in both versions, is served in HTTP/2."""
        self.both()
        self.assertEqual(b"HTTP/2.0", self.curl("version", "--http1.1"))

    @threaded
    def test_few_streams(self) -> None:
        """Hundreds at once are all served, three on each connection."""
        require("h2load")
        url = f"http://127.0.0.1:{self.ports['plain']}/small"
        done = subprocess.run(
            ["h2load", "-n600", "-c3", "-m60", url], capture_output=True, text=True, timeout=60, check=True
        )
        self.assertIn("600 succeeded, 0 failed, 0 errored", done.stdout)
        (service,) = [row for row in self.services() if row["state"] != "unused"]
        self.assertLessEqual(service["endpoints"][0]["connections"], 100)
