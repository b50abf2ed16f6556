# -*- test-case-name: tests.integration.test_admin_tls -*-
"""
The admin server over TLS, secrets that stay secret, and the one file that they are written to where that is wanted.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from lproxy.testing.certificates import CLIENT, authority
from tests.integration.test_twistd import LPROXY, PATIENCE, ProcessTestCase, Program, Proxy, eventually, request

CONFIG = """
[admin]
address = "127.0.0.1:0"
certificate = "{certificate}"
key = "{key}"
reload = true
{more}
[[listen]]
name = "web"
address = "127.0.0.1:0"
certificates = ["{certificate}"]
[services."web.local:443"]
endpoints = ["127.0.0.1:{web}"]
"""


class AdminTlsCase(ProcessTestCase):
    """A proxy whose admin server has a certificate."""

    def setUp(self) -> None:
        super().setUp()
        self.shop = authority()
        leaf = self.shop.issue("localhost", "127.0.0.1", "web.local")
        self.trust, self.certificate, self.key = leaf.write(self.home)

    def text(self, more: str = "", tables: str = "") -> str:
        values = {"certificate": self.certificate, "key": self.key, "web": self.web}
        return CONFIG.format(more=more, **values) + tables

    def proxy(self, text: str) -> Proxy:
        """One that runs."""
        proxy = Proxy(self, self.home, text, wait=False)
        said = eventually(lambda: re.search(r"admin server on https://\S+:(\d+)/", proxy.out), "an admin server")
        proxy.admin = int(said[1])
        eventually(lambda: "web: outbound" in proxy.out, "listeners")
        proxy.ports = {"web": int(re.findall(r"web: outbound on \S+:(\d+),", proxy.out)[0])}
        return proxy

    def context(self, shown: tuple[str, str] | None = None) -> ssl.SSLContext:
        """A client's, that shows certificate and key."""
        context = ssl.create_default_context(cafile=self.trust)
        if shown is not None:
            context.load_cert_chain(*shown)
        return context

    def ask(self, proxy: Proxy, path: str, context: ssl.SSLContext, method: str = "GET") -> str:
        """A page."""
        asked = urllib.request.Request(f"https://127.0.0.1:{proxy.admin}{path}", method=method)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(asked, timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
        return text

    def serial(self, proxy: Proxy) -> str:
        """Of the certificate that it shows."""
        with (
            socket.create_connection(("127.0.0.1", proxy.admin), PATIENCE) as sock,
            self.context().wrap_socket(sock, server_hostname="localhost") as secured,
        ):
            return str((secured.getpeercert() or {})["serialNumber"])


class ServeTests(AdminTlsCase):
    """Who is served."""

    def test_pages(self) -> None:
        """All pages are there over TLS; who speaks plain HTTP is told so, who speaks nonsense is closed."""
        proxy = self.proxy(self.text())
        context = self.context()
        self.assertEqual("ready", self.ask(proxy, "/ready", context).strip())
        self.assertIn("tcp_open_total", self.ask(proxy, "/metrics", context))
        said = request(proxy.admin, "/ready", "127.0.0.1")
        self.assertEqual((400, "this port speaks https only"), (said[0], said[1].strip()))
        for data in (b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(300), b"\x16\x03\x01\xff\xff" + bytes(300)):
            with socket.create_connection(("127.0.0.1", proxy.admin), PATIENCE) as sock:
                sock.sendall(data)
        self.assertEqual("live", self.ask(proxy, "/live", context).strip())
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.status())
        self.no_traceback(proxy.out, proxy.err)

    def test_client_certificates(self) -> None:
        """Where a client_ca is set, only those with a certificate of it are served."""
        proxy = self.proxy(self.text(f'client_ca = "{self.trust}"'))
        _, certificate, key = self.shop.issue("ops.shop.test", usage=CLIENT).write(self.home, "ops")
        self.assertIn("ready", self.ask(proxy, "/ready", self.context((certificate, key))))
        _, certificate, key = authority("somebody else").issue("ops.shop.test").write(self.home / "other", "ops")
        for shown in (None, (certificate, key)):
            with self.assertRaises((ssl.SSLError, urllib.error.URLError, ConnectionError)):
                self.ask(proxy, "/ready", self.context(shown))
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.status())
        self.no_traceback(proxy.out, proxy.err)

    def test_replaced(self) -> None:
        """A new certificate is shown soon after it is there, also after a reload; a bad one never is."""
        proxy = self.proxy(self.text())
        before = self.serial(proxy)
        self.shop.issue("localhost", "127.0.0.1", "web.local").write(self.home)
        eventually(lambda: self.serial(proxy) != before, "the new certificate")
        (self.home / "lproxy.toml").write_text(self.text() + "[limits]\nin_flight = 77\n")
        self.assertIn("is live", self.ask(proxy, "/reload", self.context(), "POST"))
        before = self.serial(proxy)
        Path(self.certificate).write_text("-----BEGIN CERTIFICATE-----\nnone\n")
        eventually(lambda: "what was in use before still is" in proxy.out, "a refusal")
        self.assertEqual(before, self.serial(proxy))
        self.shop.issue("localhost", "127.0.0.1", "web.local").write(self.home)
        eventually(lambda: self.serial(proxy) != before, "the new certificate")


class SecretTests(AdminTlsCase):
    """What nobody hears."""

    def test_nowhere(self) -> None:
        """A key's text is on no page, in no log line, and in no error, whatever goes wrong with it."""
        secret = Path(self.key).read_text().splitlines()[1]
        proxy = self.proxy(self.text())
        context = self.context()
        pages = ("/", "/config", "/metrics", "/services", "/connections", "/plugins")
        said = [self.ask(proxy, page, context) for page in pages]
        self.assertIn(self.key, said[1])
        good = Path(self.key).read_bytes()
        for bad in (good[:-40], good.replace(b"PRIVATE KEY", b"CERTIFICATE"), good + good):
            Path(self.key).write_bytes(bad)
            proxy.signal(signal.SIGHUP)
            eventually(lambda: "what was in use before still is" in proxy.out, "a refusal")
            checked = Program(self, self.home, *LPROXY, "check", str(self.home / "lproxy.toml"))
            self.assertEqual(2, checked.status())
            said += [checked.out, checked.err]
        proxy.kill()
        for text in (*said, proxy.out, proxy.err):
            self.assertNotIn(secret, text)

    def test_readable(self) -> None:
        """A key that everybody on the machine can read is a warning, of the check and of the start."""
        Path(self.key).chmod(0o644)
        proxy = self.proxy(self.text())
        eventually(lambda: re.search(rf"warn\] {self.key}: .*read", proxy.out), "a warning")
        checked = Program(self, self.home, *LPROXY, "check", str(self.home / "lproxy.toml"))
        self.assertEqual(1, checked.status())
        self.assertIn(self.key, checked.out + checked.err)

    def test_key_log(self) -> None:
        """Secrets are written where that is set, and each start and each reload says so; without it, nowhere."""
        log = self.home / "keys"
        proxy = self.proxy(self.text(tables=f'[key_log]\npath = "{log}"\n'))
        line = f"the secrets of all TLS connections are written to {log}"
        self.assertEqual(1, proxy.out.count(line))
        self.ask(proxy, "/ready", self.context())
        first = eventually(log.read_text, "secrets")
        self.assertRegex(first, r"(?m)^SERVER_HANDSHAKE_TRAFFIC_SECRET [0-9a-f]{64} [0-9a-f]+$")
        self.assertEqual(0o600, log.stat().st_mode & 0o777)
        with (
            socket.create_connection(("127.0.0.1", proxy.ports["web"]), PATIENCE) as sock,
            self.context().wrap_socket(sock, server_hostname="web.local") as secured,
        ):
            secured.sendall(b"GET /there HTTP/1.1\r\nHost: web.local\r\n\r\n")
            self.assertIn(b"200", secured.recv(1000))
        eventually(lambda: len(log.read_text()) > len(first), "a client's secrets")
        text = self.text(tables=f'[key_log]\npath = "{log}"\n')
        (self.home / "lproxy.toml").write_text(text + "[limits]\nin_flight = 77\n")
        proxy.signal(signal.SIGHUP)
        eventually(lambda: proxy.out.count(line) == 2, "the line once more")
        (self.home / "lproxy.toml").write_text(self.text())
        proxy.signal(signal.SIGHUP)
        eventually(lambda: proxy.out.count(" is live") == 2, "a reload")
        size = log.stat().st_size
        self.ask(proxy, "/ready", self.context())
        self.assertEqual((size, 2), (log.stat().st_size, proxy.out.count(line)))


class AgainstTests(AdminTlsCase):
    """C{lproxy check --against}."""

    def test_https(self) -> None:
        """A running proxy is asked over TLS where its address says so, and verified by whom OpenSSL trusts."""
        proxy = self.proxy(self.text())
        path = self.home / "other.toml"
        path.write_text(self.text(tables="[limits]\nin_flight = 77\n"))
        address = f"https://127.0.0.1:{proxy.admin}"
        checked = Program(self, self.home, *LPROXY, "check", "--against", address, str(path), SSL_CERT_FILE=self.trust)
        self.assertEqual(0, checked.status(), checked.err)
        self.assertIn("in_flight", checked.out)
        checked = Program(self, self.home, *LPROXY, "check", "--against", address, str(path), SSL_CERT_FILE="/dev/null")
        self.assertEqual(2, checked.status())
        self.assertIn("cannot be asked for its configuration", checked.err)
        probed = Program(self, self.home, *LPROXY, "probe", address, SSL_CERT_FILE=self.trust)
        self.assertEqual((0, "ready"), (probed.status(), probed.out.strip()))

    def test_certificate(self) -> None:
        """Where it asks for a certificate, one is shown that is given; without one nobody answers."""
        proxy = self.proxy(self.text(f'client_ca = "{self.trust}"'))
        _, certificate, key = self.shop.issue("ops.shop.test", usage=CLIENT).write(self.home, "ops")
        command = ("probe", f"https://127.0.0.1:{proxy.admin}", "--ca", self.trust)
        probed = Program(self, self.home, *LPROXY, *command, "--certificate", certificate, "--key", key)
        self.assertEqual((0, "ready"), (probed.status(), probed.out.strip()))
        probed = Program(self, self.home, *LPROXY, *command)
        self.assertEqual(1, probed.status())
        self.assertIn("does not answer", probed.err)
