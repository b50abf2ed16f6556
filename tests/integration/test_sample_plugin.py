# -*- test-case-name: tests.integration.test_sample_plugin -*-
"""
A plugin of another distribution, on the path of a real proxy: the example of docs/plugins.rst, which is the same code.
"""

from __future__ import annotations

import http.client
import http.server
import os
import re
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.testing import DetectorContract, PluginContract
from tests.floors_source import ROOT
from tests.integration.ports import free_ports

SAMPLE = ROOT / "tests" / "sample_plugin"
GUIDE = ROOT / "docs" / "plugins.rst"

# as of an author's own environment, in which the plugin is installed
sys.path.insert(0, str(SAMPLE))
try:
    from lproxy_memo.detect import detect
    from lproxy_memo.plugin import Memo
finally:
    sys.path.remove(str(SAMPLE))


class MemoDetectorTests(DetectorContract, SynchronousTestCase):
    """The detector keeps what detectors promise."""

    detector = staticmethod(detect)
    matches = (b"MEMO/1 kitchen\r\n", b"MEMO/1 ")
    others = (b"MEMO/2 kitchen\r\n", b"memo/1 kitchen\r\n", b"MEMO / HTTP/1.1\r\n")


class MemoTests(PluginContract, SynchronousTestCase):
    """The plugin keeps what plugins promise, forwarding everything."""

    plugin = Memo()
    conversation = b"MEMO/1 kitchen\r\nbuy milk\r\n"
    answer = b"OK\r\n"


class MemoBoardsTests(MemoTests):
    """With boards to look at it keeps them as well."""

    table = {"boards": ["kitchen", "office"]}

    def test_refused_board(self) -> None:
        """Another board is refused, in the protocol's own words, and no upstream is troubled."""
        for opening in (b"MEMO/1 cellar\r\nbuy wine\r\n", b"MEMO/1 " + b"k" * 200, b"HELO\r\n"):
            proxy = self.start()
            client = proxy.client(opening)
            self.assert_over(proxy, client)
            self.assertEqual(b"NO SUCH BOARD\r\n", client.heard)
            self.assertEqual([], proxy.connector.upstreams)

    def test_silent(self) -> None:
        """A client that never ends its line is not waited for longer than for its protocol."""
        proxy = self.start()
        client = proxy.client(b"MEMO/1 kit")
        proxy.settle(proxy.runtime.timeouts.detect)
        self.assert_over(proxy, client)

    def test_bad_settings(self) -> None:
        """A setting that makes no sense is named, with what would be right."""
        for boards in ("kitchen", [1]):
            error = self.assertRaises(ValueError, self.plugin.configure, {"boards": boards})
            self.assertTrue(str(error).startswith("boards: "))
            self.assertIn('boards = ["kitchen"', str(error))


class GuideTests(SynchronousTestCase):
    """docs/plugins.rst and the sample plugin are the same."""

    def blocks(self, language: str) -> list[str]:
        """The code blocks in C{language}."""
        pattern = rf"\.\. code-block:: {language}\n\n((?: {{4}}.*\n|\n)+)"
        return [textwrap.dedent(block).strip() for block in re.findall(pattern, GUIDE.read_text())]

    def test_files(self) -> None:
        """Every file of the plugin stands in the guide as it is, first line and docstring aside."""
        shown = [*self.blocks("python"), *self.blocks("cfg"), *self.blocks("toml")]
        for path in sorted(SAMPLE.rglob("*")):
            if path.suffix in (".py", ".cfg", ".toml") and path.name != "__init__.py" and "build" not in path.parts:
                self.assertIn(body(path), [body_of(block) for block in shown], path.name)

    def test_contracts(self) -> None:
        """The tests that it shows are these."""
        here = Path(__file__.removesuffix("c")).read_text()
        shown = next(block for block in self.blocks("python") if "PluginContract" in block)
        for line in shown.splitlines():
            if line.strip() and "import" not in line:
                self.assertIn(line, here)

    def test_promises(self) -> None:
        """Every numbered promise of the interface is explained."""
        promises = re.findall(r"(?m)^ +(\d+)\. ", (ROOT / "lproxy" / "interfaces.py").read_text())
        self.assertEqual(promises, re.findall(r"(?m)^(\d+)\. ", GUIDE.read_text()))


def body(path: Path) -> str:
    return body_of(path.read_text())


def body_of(text: str) -> str:
    """C{text} without comments of the first lines and the docstring of a module."""
    text = re.sub(r"\A(#.*\n)+", "", text)
    return re.sub(r'\A\s*""".*?"""\n', "", text, flags=re.S).strip()


class Memos(threading.Thread):
    """A memo server, one connection after the other."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.heard: list[bytes] = []

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    self.heard.append(line)
                    if not line.startswith(b"MEMO/1"):
                        connection.sendall(b"OK\r\n")


class Hello(http.server.BaseHTTPRequestHandler):
    """An HTTP server."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"hello {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


CONFIG = """
[admin]
address = "127.0.0.1:{admin}"

[memo]
boards = ["kitchen"]

[[listen]]
name = "both"
address = "127.0.0.1:{both}"
target = "authority"
detect = ["memo", "http"]

[[listen]]
name = "memos"
address = "127.0.0.1:{memos}"
target = "service:memos"
detect = ["http", "memo"]

[[listen]]
name = "office"
address = "127.0.0.1:{office}"
target = "service:memos"
protocol = "memo"

[listen.memo]
boards = ["office"]

[services.memos]
endpoints = ["127.0.0.1:{upstream}"]

[services."hello.test:80"]
endpoints = ["127.0.0.1:{hello}"]
"""


class RealProxyTests(SynchronousTestCase):
    """C{twist lproxy} with the sample plugin on its path."""

    def setUp(self) -> None:
        self.upstream = Memos()
        self.upstream.start()
        self.addCleanup(self.upstream.server.close)
        hello = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
        threading.Thread(target=hello.serve_forever, daemon=True).start()
        self.addCleanup(hello.server_close)
        self.addCleanup(hello.shutdown)
        self.env = {**os.environ, "PYTHONPATH": f"{SAMPLE}{os.pathsep}{ROOT}"}
        self.env.pop("LPROXY_DENY_WARNINGS", None)
        first = free_ports(4)
        self.admin, self.both, self.memos, self.office = range(first, first + 4)
        self.config = Path(tempfile.mkdtemp(prefix="lproxy-memo-")) / "lproxy.toml"
        self.config.write_text(
            CONFIG.format(
                admin=self.admin,
                both=self.both,
                memos=self.memos,
                office=self.office,
                upstream=self.upstream.port,
                hello=hello.server_address[1],
            )
        )
        self.addCleanup(self.config.parent.rmdir)
        self.addCleanup(self.config.unlink)

    def start(self) -> None:
        """Start the proxy and wait until it is ready."""
        log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by a cleanup
        self.addCleanup(log.close)
        command = [sys.executable, "-m", "twisted", "lproxy", "--config", str(self.config)]
        proxy = subprocess.Popen(command, cwd=self.config.parent, env=self.env, stdout=log, stderr=log)
        self.addCleanup(self.stop, proxy, log)
        deadline = time.monotonic() + 20
        while True:
            try:
                if self.ask("/ready")[0] == 200:
                    return
            except OSError:
                pass
            if proxy.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                self.fail(f"the proxy does not start: {log.read()}")
            time.sleep(0.05)

    def stop(self, proxy: subprocess.Popen[bytes], log: Any) -> None:
        """It ends well, and nothing unexpected happened to it."""
        proxy.terminate()
        try:
            status = proxy.wait(15)
        except subprocess.TimeoutExpired:
            proxy.kill()
            status = proxy.wait()
        log.seek(0)
        said = log.read()
        self.assertEqual(0, status, said)
        self.assertNotIn("Traceback", said)

    def ask(self, path: str) -> tuple[int, str]:
        """Status and text of a page of the admin server."""
        admin = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=5)
        try:
            admin.request("GET", path)
            answer = admin.getresponse()
            return answer.status, answer.read().decode()
        finally:
            admin.close()

    def memo(self, port: int, *pieces: bytes) -> bytes:
        """Everything that a memo client hears, which sends C{pieces} one after the other."""
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            for piece in pieces:
                client.sendall(piece)
                time.sleep(0.01)
            client.shutdown(socket.SHUT_WR)
            heard = b""
            while data := client.recv(4096):
                heard += data
            return heard

    def http(self, port: int) -> str:
        """What an HTTP client hears."""
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            client.request("GET", "/there", headers={"Host": "hello.test"})
            return client.getresponse().read().decode()
        finally:
            client.close()

    def test_traffic(self) -> None:
        """
        Memo is told from HTTP on one listener, in whatever pieces it comes, and forwarded; the settings of a listener
        beat those of the file; metrics know the protocol by its name.
        """
        self.start()
        self.assertEqual(b"OK\r\nOK\r\n", self.memo(self.memos, b"MEMO/1 kitchen\r\nmilk\r\nbread\r\n"))
        self.assertEqual(b"OK\r\n", self.memo(self.memos, *(bytes([c]) for c in b"MEMO/1 kitchen\r\nsalt\r\n")))
        self.assertEqual(b"OK\r\n", self.memo(self.office, b"MEMO/1 office\r\nstamps\r\n"))
        heard = [b"MEMO/1 kitchen\r\n", b"milk\r\n", b"bread\r\n", b"MEMO/1 kitchen\r\n", b"salt\r\n"]
        self.assertEqual([*heard, b"MEMO/1 office\r\n", b"stamps\r\n"], self.upstream.heard)
        for port, board in ((self.memos, b"office"), (self.office, b"kitchen")):
            self.assertEqual(b"NO SUCH BOARD\r\n", self.memo(port, b"MEMO/1 " + board + b"\r\n"))
        self.assertEqual("hello /there", self.http(self.both))
        metrics = self.ask("/metrics")[1]
        self.assertIn('detect_total{listener="memos",result="memo"} 3', metrics)
        self.assertIn('detect_total{listener="both",result="http"} 1', metrics)
        for peer in ("src", "dst"):
            self.assertRegex(metrics, rf'(?m)^tcp_open_total{{.*peer="{peer}".*protocol="memo".*}} \d')

    def test_listed(self) -> None:
        """C{lproxy plugins} knows it, and C{/plugins} does."""
        self.start()
        self.assertIn('"memo"', self.ask("/plugins")[1])
        done = self.lproxy("plugins")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertRegex(done.stdout, rf"(?m)^memo +0\.1 +{re.escape(str(SAMPLE))}.*memo_plugin\.py$")

    def test_checked(self) -> None:
        """C{lproxy check} asks the plugin for its opinion of its tables."""
        done = self.lproxy("check", str(self.config))
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        text = self.config.read_text()
        self.config.write_text(text.replace('boards = ["office"]', 'board = ["office"]'))
        done = self.lproxy("check", str(self.config))
        self.assertEqual(2, done.returncode)
        self.assertIn("there is only boards", done.stderr)

    def lproxy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the C{lproxy} command."""
        command = [sys.executable, "-m", "lproxy.cli", *arguments]
        return subprocess.run(command, cwd=self.config.parent, env=self.env, capture_output=True, text=True, timeout=30)
