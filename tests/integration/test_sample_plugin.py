# -*- test-case-name: tests.integration.test_sample_plugin -*-
"""
A plugin of another distribution, on the path of a real proxy: the example of docs/plugins.rst, which is the same code.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.testing import DetectorContract, Peer, PluginContract, ScriptedProxy, feed_three_ways
from lproxy.testing.certificates import authority
from tests.floors_source import ROOT
from tests.integration.ports import free_ports

SAMPLE = ROOT / "tests" / "sample_plugin"
GUIDE = ROOT / "docs" / "plugins.rst"

# as of an author's own environment, in which the plugin is installed
sys.path.insert(0, str(SAMPLE))
try:
    from lproxy_memo.detect import detect
    from lproxy_memo.plugin import Memo
    from lproxy_memo.session import MOST
    from lproxy_memo.talk import LONGEST, Lines
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
    conversation = b"MEMO/1 kitchen\r\nADD buy milk\r\n"
    answer = b"OK 1\r\n"
    opening = 5.0


class MemoBoardsTests(MemoTests):
    """With boards to look at it keeps them as well."""

    table = {"boards": ["kitchen", "office"]}

    def test_refused_board(self) -> None:
        """Another board is refused, in the protocol's own words, and no upstream is troubled."""
        for opening in (b"MEMO/1 cellar\r\nADD wine\r\n", b"MEMO/1 " + b"k" * 500 + b"\n", b"HELO\r\n"):
            proxy = self.start()
            client = proxy.client(opening)
            self.assert_over(proxy, client)
            self.assertEqual(b"ERR no such board\r\n", client.heard)
            self.assertEqual([], proxy.connector.upstreams)

    def test_bad_settings(self) -> None:
        """A setting that makes no sense is named, with what would be right."""
        for table, said in (
            ({"boards": "kitchen"}, 'boards: must be an array, not a string; write it in brackets: ["kitchen"]'),
            ({"board": ["kitchen"]}, 'board: unknown key; did you mean "boards"?'),
            ({"opening": "soon"}, "opening: "),
        ):
            error = self.assertRaises(ValueError, self.plugin.configure, table)
            self.assertIn(said, str(error))


class MemoTalkTests(SynchronousTestCase):
    """What it sees of both directions."""

    def setUp(self) -> None:
        self.proxy = ScriptedProxy(Memo(), {"opening": "2s"})

    def talk(self, said: bytes, answer: bytes = b"", seconds: float = 0.0) -> tuple[Peer, Peer]:
        """A client says C{said}, and is answered after so many C{seconds}."""
        client = self.proxy.client(said)
        self.proxy.settle(seconds)
        upstream = self.proxy.connector.upstreams[-1]
        upstream.say(answer)
        self.proxy.settle()
        return client, upstream

    def counted(self) -> dict[str, dict[tuple[str, ...], Any]]:
        """Its samples by family, and by the values of their labels."""
        (source,) = self.proxy.metrics
        return {
            family.name: {tuple(value for _, value in labels): sample for labels, sample in family.samples}
            for family in source()
        }

    def test_counted(self) -> None:
        """Each command is counted by its name and its answer, and timed, however the bytes come."""
        client, upstream = self.talk(b"MEMO/1 kitchen\nadd milk\nADD bread\nLI", b"OK 1\nER", 0.5)
        client.say(b"ST\n")
        self.proxy.settle()
        upstream.say(b"R full\nHUH\n")
        self.proxy.settle()
        counted = self.counted()
        self.assertEqual(
            {("scripted", "ADD", "OK"): 1, ("scripted", "ADD", "ERR"): 1, ("scripted", "LIST", "other"): 1},
            counted["memo_commands_total"],
        )
        self.assertEqual(1.0, counted["memo_command_seconds"]["scripted", "ADD"].total)
        self.assertEqual((b"OK 1\nERR full\nHUH\n", []), (client.heard, self.proxy.crashes))

    def test_unasked(self) -> None:
        """What a server says unasked only passes."""
        client, _ = self.talk(b"MEMO/1 kitchen\n", b"OK news\n")
        self.assertEqual((b"OK news\n", {}), (client.heard, self.counted()["memo_commands_total"]))

    def test_bounded(self) -> None:
        """Commands that nobody answers are not read without end; answered, they all are."""
        client = self.proxy.client(b"MEMO/1 kitchen\n")
        client.say((b"ADD " + b"x" * 200 + b"\n") * 5 * MOST)
        self.proxy.settle()
        row = self.proxy.sessions[0].describe()
        self.assertTrue(MOST <= row["waiting"] < 2 * MOST, row)
        upstream = self.proxy.connector.upstreams[0]
        for _ in range(5):
            upstream.say(b"OK\n" * MOST)
            self.proxy.settle()
        row = self.proxy.sessions[0].describe()
        self.assertEqual((5 * MOST, 0), (row["commands"], row["waiting"]))

    def test_capped(self) -> None:
        """A client that makes commands up does not make as many series."""
        many = 2 * self.proxy.cap().most
        said = b"".join(b"C%d\n" % n for n in range(many))
        self.talk(b"MEMO/1 kitchen\n" + said, b"OK\n" * many)
        counted = self.counted()["memo_commands_total"]
        self.assertEqual(many // 2 + 1, len(counted))
        self.assertEqual(many // 2, counted["scripted", "other", "OK"])

    def test_shown(self) -> None:
        """Its row on /connections is its own."""
        self.talk(b"MEMO/1 kitchen\nADD milk\nLIST\n", b"OK\n", 0.25)
        row = self.proxy.sessions[0].describe()
        self.assertEqual(("kitchen", 2, 1, 0.25), tuple(row[k] for k in ("board", "commands", "waiting", "seconds")))

    def test_silent(self) -> None:
        """A client that never ends its first line is not waited for longer than its setting says."""
        client = self.proxy.client(b"MEMO/1 kit")
        self.proxy.settle(1.9)
        self.assertEqual("", client.ended)
        self.proxy.settle(0.1)
        self.assertEqual(("reset", []), (client.ended, self.proxy.left()))

    def test_drain(self) -> None:
        """A drain waits for the answers to what was asked, and for nothing else."""
        client, upstream = self.talk(b"MEMO/1 kitchen\nADD milk\nLIST\n", b"OK\n")
        self.proxy.sessions[0].drain()
        self.proxy.settle()
        self.assertEqual("", client.ended)
        upstream.say(b"OK milk\n")
        self.proxy.settle()
        self.assertEqual((b"OK\nOK milk\n", "closed", []), (client.heard, client.ended, self.proxy.left()))
        client, _ = self.talk(b"MEMO/1 kitchen\n")
        self.proxy.sessions[0].drain()
        self.assertEqual(("closed", []), (client.ended, self.proxy.left()))

    def test_not_available(self) -> None:
        """Where there is no upstream the client is told in its own protocol, and the log says why."""
        self.proxy.connector.mode = "refuse"
        client = self.proxy.client(b"MEMO/1 kitchen\n")
        self.proxy.settle()
        self.assertEqual((b"ERR not available\r\n", "closed"), (client.heard, client.ended))
        self.assertIn("refused", self.proxy.warnings[0])
        (row,) = self.proxy.records
        self.assertEqual(("UF", "kitchen"), (row["flags"], row["board"]))
        self.assertEqual([], self.proxy.left())

    def test_nowhere(self) -> None:
        """So it is where nobody knows whom to connect to."""
        self.proxy = ScriptedProxy(Memo(), target="authority")
        client = self.proxy.client(b"MEMO/1 kitchen\n")
        self.proxy.settle()
        self.assertEqual((b"ERR nowhere to go\r\n", "closed", []), (client.heard, client.ended, self.proxy.left()))

    def test_codec(self) -> None:
        """Lines are lines, in whatever pieces they come; of long ones the beginning is enough."""
        self.assertEqual(["a", "", "b"], feed_three_ways(lambda: Lines().feed, b"a\r\n\nb\nrest", b"more\n"))
        self.assertEqual(["k" * LONGEST], list(Lines().feed(b"k" * 10_000 + b"\n")))


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
        shown = [block for block in self.blocks("python") if "class MemoTests" in block or "def test_" in block]
        self.assertEqual(2, len(shown))
        lines = {line.strip() for line in here.splitlines()}
        for line in "\n".join(shown).splitlines():
            if line.strip() and "import" not in line:
                self.assertIn(line.strip(), lines)

    def test_promises(self) -> None:
        """Every numbered promise of lproxy.api is explained."""
        promises = re.findall(r"(?m)^ +(\d+)\. ", (ROOT / "lproxy" / "api.py").read_text())
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
                        connection.sendall(b"OK %d\r\n" % len(self.heard))


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

[[listen]]
name = "secure"
address = "127.0.0.1:{secure}"
target = "service:memos"
detect = ["http", "memo"]
tls = "terminate"
certificates = ["{certificate}"]

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
        first = free_ports(5)
        self.admin, self.both, self.memos, self.office, self.secure = range(first, first + 5)
        self.config = Path(tempfile.mkdtemp(prefix="lproxy-memo-")) / "lproxy.toml"
        self.trust, certificate, _ = authority().issue("memo.test").write(self.mktemp())
        self.config.write_text(
            CONFIG.format(
                admin=self.admin,
                both=self.both,
                memos=self.memos,
                office=self.office,
                secure=self.secure,
                certificate=os.path.abspath(certificate),
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

    def test_tls(self) -> None:
        """
        Over TLS the very same plugin has the very same session: detected within, shown, counted as secured; who goes
        without a word of TLS is gone, and plain clients never come so far.
        """
        self.start()
        context = ssl.create_default_context(cafile=self.trust)
        plain = socket.create_connection(("127.0.0.1", self.secure), 10)
        with context.wrap_socket(plain, server_hostname="memo.test") as client:
            for byte in b"MEMO/1 kitchen\r\nADD milk\r\n":
                client.sendall(bytes([byte]))
            self.assertEqual(b"OK 2\r\n", client.recv(100))
            (row,) = json.loads(self.ask("/connections")[1])
            self.assertEqual(("memo", "kitchen", 1), (row["protocol"], row["board"], row["commands"]))
            # no close_notify
            client.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                client.recv(1)
        self.assertEqual(b"", self.memo(self.secure, b"MEMO/1 kitchen\r\nLIST\r\n"))
        self.assertEqual([b"MEMO/1 kitchen\r\n", b"ADD milk\r\n"], self.upstream.heard)
        metrics = self.ask("/metrics")[1]
        self.assertRegex(metrics, r'(?m)^tcp_open_total{.*peer="src".*tls="true".*protocol="memo".*} 1$')
        self.assertRegex(metrics, r'(?m)^tcp_close_total{.*peer="src".*tls="true".*protocol="memo".*errno="E\w+".*} 1$')

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
        kitchen, office = b"MEMO/1 kitchen\r\n", b"MEMO/1 office\r\n"
        self.assertEqual(b"OK 2\r\nOK 3\r\n", self.memo(self.memos, kitchen + b"ADD milk\r\nADD bread\r\n"))
        self.assertEqual(b"OK 5\r\n", self.memo(self.memos, *(bytes([c]) for c in kitchen + b"LIST\r\n")))
        self.assertEqual(b"OK 7\r\n", self.memo(self.office, office + b"ADD stamps\r\n"))
        heard = [kitchen, b"ADD milk\r\n", b"ADD bread\r\n", kitchen, b"LIST\r\n", office, b"ADD stamps\r\n"]
        self.assertEqual(heard, self.upstream.heard)
        for port, opening in ((self.memos, office), (self.office, kitchen)):
            self.assertEqual(b"ERR no such board\r\n", self.memo(port, opening))
        self.assertEqual("hello /there", self.http(self.both))
        metrics = self.ask("/metrics")[1]
        self.assertIn('detect_total{listener="memos",result="memo"} 3', metrics)
        self.assertIn('detect_total{listener="both",result="http"} 1', metrics)
        for labels, n in (('"memos",command="ADD"', 2), ('"memos",command="LIST"', 1), ('"office",command="ADD"', 1)):
            self.assertIn(f'memo_commands_total{{listener={labels},outcome="OK"}} {n}', metrics)
            self.assertIn(f"memo_command_seconds_count{{listener={labels}}} {n}", metrics)
        for peer in ("src", "dst"):
            self.assertRegex(metrics, rf'(?m)^tcp_open_total{{.*peer="{peer}".*protocol="memo".*}} \d')

    def test_shown(self) -> None:
        """A connection is shown with what the plugin knows of it."""
        self.start()
        with socket.create_connection(("127.0.0.1", self.memos), 10) as client:
            client.sendall(b"MEMO/1 kitchen\r\nADD milk\r\n")
            self.assertEqual(b"OK 2\r\n", client.recv(100))
            rows = json.loads(self.ask("/connections")[1])
            self.assertEqual(
                [("memo", "kitchen", 1)], [(row["protocol"], row["board"], row["commands"]) for row in rows]
            )

    def test_listed(self) -> None:
        """C{lproxy plugins} knows it, and C{/plugins} does."""
        self.start()
        self.assertIn('"memo"', self.ask("/plugins")[1])
        done = self.lproxy("plugins")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertRegex(done.stdout, rf"(?m)^memo +0\.2 +{re.escape(str(SAMPLE))}.*memo_plugin\.py$")

    def test_checked(self) -> None:
        """C{lproxy check} asks the plugin for its opinion of its tables."""
        done = self.lproxy("check", str(self.config))
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        text = self.config.read_text()
        self.config.write_text(text.replace('boards = ["office"]', 'board = ["office"]'))
        done = self.lproxy("check", str(self.config))
        self.assertEqual(2, done.returncode)
        self.assertIn('did you mean "boards"?', done.stderr)

    def lproxy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the C{lproxy} command."""
        command = [sys.executable, "-m", "lproxy", *arguments]
        return subprocess.run(command, cwd=self.config.parent, env=self.env, capture_output=True, text=True, timeout=30)
