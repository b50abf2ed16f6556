# -*- test-case-name: tests.integration.test_twistd -*-
"""
C{twistd lproxy} and C{twist lproxy} as real processes: what starts, what does not, and what they leave behind.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.components import missing, require
from tests.floors_source import ROOT

#: scripts of Twisted, wherever they are installed
TWISTD = (sys.executable, "-c", "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()")
TWIST = (sys.executable, "-m", "twisted")
LPROXY = (sys.executable, "-m", "lproxy")

#: seconds for whatever should be a matter of an instant, on a busy machine
PATIENCE = 45.0

CONFIG = """
[admin]
address = "127.0.0.1:0"
[[listen]]
name = "web"
address = "127.0.0.1:0"
[[listen]]
name = "echo"
address = "127.0.0.1:0"
target = "127.0.0.1:{echo}"
[services."web.local:80"]
endpoints = ["127.0.0.1:{web}"]
"""


def eventually(found: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Look until C{found} is true, and return it."""
    end = time.monotonic() + seconds
    while not (result := found()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)
    return result


class Program:
    """
    A process in a directory of its own, and what it writes.

    @ivar home: its working directory
    """

    def __init__(self, test: SynchronousTestCase, home: Path, *command: str, **env: str) -> None:
        self.home = home
        clean = {k: v for k, v in os.environ.items() if k not in ("LPROXY_LOG", "LPROXY_DENY_WARNINGS", "PYTHONPATH")}
        paths = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **env}
        fd, name = tempfile.mkstemp(".out", dir=home)
        self._out, self._err = Path(name), Path(name).with_suffix(".err")
        with os.fdopen(fd, "wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command, cwd=home, env=clean | paths, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
        test.addCleanup(self.kill)

    @property
    def out(self) -> str:
        """What is on its standard output so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """What is on its standard error so far."""
        return self._err.read_text()

    def kill(self) -> None:
        """End it, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def status(self, seconds: float = PATIENCE) -> int:
        """Its exit status, once it has ended."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:g} s\n{self.out}\n{self.err}") from None


class Proxy(Program):
    """
    A proxy that is ready, or will be after L{up}.

    @ivar log: reads its log
    @ivar admin: the port of its admin server
    @ivar ports: of its listeners, by name
    """

    def __init__(
        self,
        test: SynchronousTestCase,
        home: Path,
        config: str,
        command: tuple[str, ...] = (*TWISTD, "-n"),
        options: tuple[str, ...] = (),
        log: Callable[[], str] | None = None,
        wait: bool = True,
        **env: str,
    ) -> None:
        path = home / "lproxy.toml"
        path.write_text(config)
        super().__init__(test, home, *command, "lproxy", "--config", str(path), *options, **env)
        self.log = log or (lambda: self.out)
        self._names = re.findall(r'^name = "(.*)"$', config, re.MULTILINE)
        if wait:
            self.up()

    def up(self) -> None:
        """Wait until it is ready."""
        want = len(self._names) + 1
        eventually(lambda: len(self._ports()) >= want or self._ended(), "the ports of a proxy in its log")
        self.ports = self._ports()
        self.admin = self.ports.pop("admin")
        eventually(lambda: self.get("/ready")[0] == 200, "a proxy that is ready")

    def _ended(self) -> bool:
        if self.process.poll():
            raise AssertionError(f"ended with {self.process.returncode}\n{self.out}\n{self.err}")
        return False

    def _ports(self) -> dict[str, int]:
        text = self.log()
        if text.startswith(("{", "\x1e")):
            text = "\n".join(str(line.get("name", "")) + ": on " + str(line["address"]) for line in events(text))
            return {name or "admin": int(port) for name, port in re.findall(r"^(.*): on \S+:(\d+)$", text, re.M)}
        ports = {name: int(port) for name, port in re.findall(r"info\] (\w+): \w+ on \S+:(\d+), ", text)}
        if admin := re.search(r"admin server on http://\S+:(\d+)/", text):
            ports["admin"] = int(admin[1])
        return ports

    def get(self, path: str, method: str = "GET", body: str | None = None) -> tuple[int, str]:
        """Ask its admin server."""
        return request(self.admin, path, "127.0.0.1", method, body)

    def json(self, path: str) -> Any:
        """What its admin server tells."""
        status, text = self.get(path)
        if status != 200:
            raise AssertionError(f"{path}: {status} {text}")
        return json.loads(text)

    def metric(self, line: str) -> float:
        """The value of a sample, 0 where there is none."""
        found = re.search(rf"^{re.escape(line)} (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else 0.0


def events(text: str) -> list[dict[str, Any]]:
    """The lines of a log in JSON that have an address; a last one may still be being written."""
    lines = [json.loads(line.lstrip("\x1e")) for line in text.split("\n")[:-1]]
    return [line for line in lines if "address" in line]


def request(
    port: int, path: str, host: str, method: str = "GET", body: str | None = None, address: str = "127.0.0.1"
) -> tuple[int, str]:
    """Status and body of one answer; (0, why) where there is none."""
    client = http.client.HTTPConnection(address, port, timeout=PATIENCE)
    try:
        client.request(method, path, body, {"Host": host})
        answer = client.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as e:
        return 0, repr(e)
    finally:
        client.close()


class Hello(BaseHTTPRequestHandler):
    """Says what it was asked, after as many seconds as the path tells: C{/slow/0.5}."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if slow := re.match(r"/slow/([0-9.]+)", self.path):
            time.sleep(float(slow[1]))
        body = f"{self.headers['Host']} {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


class _Web(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # proxies hang up as they like


@contextlib.contextmanager
def upstreams() -> Iterator[tuple[int, int]]:
    """Ports of a web server and of a TCP echo, in threads."""
    with _Web(("127.0.0.1", 0), Hello) as web, socket.create_server(("127.0.0.1", 0)) as echo:

        def one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                while data := connection.recv(65536):
                    connection.sendall(data)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=one, args=(echo.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield web.server_address[1], echo.getsockname()[1]
        finally:
            web.shutdown()
            echo.shutdown(socket.SHUT_RDWR)


class ProcessTestCase(SynchronousTestCase):
    """Tests with a directory, upstreams, and processes that end with the test."""

    def setUp(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="lproxy-process-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        servers = contextlib.ExitStack()
        self.addCleanup(servers.close)
        self.web, self.echo = servers.enter_context(upstreams())

    def config(self, more: str = "") -> str:
        """An admin server, HTTP and an echo on ports that the kernel chooses."""
        return CONFIG.format(web=self.web, echo=self.echo) + more

    def carries(self, proxy: Proxy) -> None:
        """An HTTP request and some bytes go there and back."""
        self.assertEqual((200, "web.local /there"), request(proxy.ports["web"], "/there", "web.local"))
        with socket.create_connection(("127.0.0.1", proxy.ports["echo"]), PATIENCE) as client:
            client.sendall(b"\x00 and back")
            self.assertEqual(b"\x00 and back", client.recv(100))

    def no_traceback(self, *texts: str) -> None:
        """Nothing unexpected happened."""
        for text in texts:
            self.assertNotIn("Traceback", text)
            self.assertNotIn("Unhandled", text)


class StartTests(ProcessTestCase):
    """What starts, and carries traffic."""

    def test_reactors(self) -> None:
        """Under every reactor that twistd offers here a request and raw bytes are carried, and SIGTERM ends it well."""
        proxies = []
        for reactor in ("poll", "select", "asyncio", "epoll"):
            home = self.home / reactor
            home.mkdir()
            proxies.append(Proxy(self, home, self.config(), (*TWISTD, "-n", f"--reactor={reactor}"), wait=False))
        for proxy in proxies:
            proxy.up()
            self.assertIn(f"reactor class: twisted.internet.{proxy.home.name}", proxy.out.lower())
            self.carries(proxy)
            proxy.signal(signal.SIGTERM)
        for proxy in proxies:
            self.assertEqual(0, proxy.status())
            self.no_traceback(proxy.out, proxy.err)

    def test_twist(self) -> None:
        """Under twist a request and raw bytes are carried, the log is for people, and SIGTERM ends it with status 0."""
        proxy = Proxy(self, self.home, self.config(), (*TWIST, "--log-format=text"))
        self.carries(proxy)
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.status())
        self.assertRegex(proxy.out, r"(?m)^\S+ \[lproxy#info\] web: outbound on 127.0.0.1:\d+, target authority$")
        self.no_traceback(proxy.out, proxy.err)

    def test_json_log(self) -> None:
        """With twist --log-format=json each line of the log is one JSON object."""
        proxy = Proxy(self, self.home, self.config(), (*TWIST, "--log-format=json"))
        request(proxy.ports["web"], "/", "nobody.invalid")
        self.carries(proxy)
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.status())
        # RFC 7464: the record separator before each is Twisted's, and white space to str.splitlines
        lines = [json.loads(line.lstrip("\x1e")) for line in proxy.out.rstrip("\n").split("\n")]
        self.assertGreater(len(lines), 4)
        for line in lines:
            self.assertIsInstance(line, dict)
            self.assertIn("log_time", line)
        self.assertTrue(any("nobody.invalid" in line.get("text", "") for line in lines))
        self.assertEqual("", proxy.err)

    def test_json_lines(self) -> None:
        """
        With lproxy run --json each line of the log is one JSON object with a readable message, and with
        LPROXY_LOG=debug the way of a connection is among them.
        """
        path = self.home / "lproxy.toml"
        path.write_text(self.config())
        program = Program(self, self.home, *LPROXY, "run", "--json", str(path), LPROXY_LOG="debug")
        listening = r"web: outbound on 127.0.0.1:(\d+), "
        eventually(lambda: re.search(listening, program.out), "a proxy that runs")
        port = int(re.search(listening, program.out)[1])  # type: ignore[index]
        self.assertEqual((200, "web.local /x"), request(port, "/x", "web.local"))
        eventually(lambda: "http over" in program.out, "the end of a connection")
        program.signal(signal.SIGTERM)
        self.assertEqual(0, program.status())
        lines = [json.loads(line) for line in program.out.splitlines()]
        for line in lines:
            self.assertLessEqual({"time", "level", "logger", "message"}, set(line))
            self.assertTrue(line["message"], line)
        way = [line["message"] for line in lines if line["level"] == "debug"]
        self.assertEqual(4, len(way), way)
        parts = ("accepted", "speaks http", "path /x, protocol HTTP/1.1, status 200", "http over")
        for part, line in zip(parts, way, strict=True):
            self.assertRegex(line, rf"^listener web: 127.0.0.1:\d+: .*{part}")
        self.assertEqual("", program.err)

    def test_human_log(self) -> None:
        """By default the log is for people: who listens where, for what, and with whom something went wrong."""
        proxy = Proxy(self, self.home, self.config())
        request(proxy.ports["web"], "/", "nobody.invalid")
        eventually(lambda: "nobody.invalid" in proxy.out, "a log line about the failed request")
        self.assertRegex(proxy.out, r"(?m)^\S+ \[lproxy#info\] admin server on http://127.0.0.1:\d+/$")
        self.assertRegex(proxy.out, r"(?m)^\S+ \[lproxy#warn\] listener web: client 127.0.0.1: .*nobody.invalid")
        self.no_traceback(proxy.out)

    def test_log_level(self) -> None:
        """LPROXY_LOG=debug is taken, and LPROXY_LOG=error silences what is less."""
        proxy = Proxy(self, self.home, self.config(), LPROXY_LOG="debug")
        self.carries(proxy)
        path = self.home / "lproxy.toml"
        path.write_text(self.config())
        quiet = Program(self, self.home, *TWISTD, "-n", "--pidfile=", "lproxy", "-c", str(path), LPROXY_LOG="error")
        eventually(lambda: "Site starting on" in quiet.out, "a quiet proxy")
        time.sleep(0.2)
        quiet.signal(signal.SIGTERM)
        self.assertEqual(0, quiet.status())
        self.assertNotIn("lproxy#", quiet.out)

    def test_wrong_log_level(self) -> None:
        """A level that there is not is named on standard error, with those there are, and nothing starts."""
        commands = ((*TWISTD, "-n", "--pidfile="), TWIST)
        for program in [Program(self, self.home, *command, "lproxy", LPROXY_LOG="loud") for command in commands]:
            self.assertEqual(1, program.status())
            (line,) = program.err.splitlines()
            self.assertIn("LPROXY_LOG: 'loud' is no log level; there are debug, info, warn, error, critical", line)
            self.assertEqual("", program.out)

    def test_signals_while_starting(self) -> None:
        """While it is still starting SIGHUP does not end it, and Ctrl-C does without a traceback."""
        # who runs the tests may ignore it, as nohup does, and so would the program from its first instruction on
        self.addCleanup(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, signal.SIG_DFL))
        for command in ((*TWISTD, "-n", "--pidfile=", "lproxy"), (*TWIST, "lproxy"), (*LPROXY, "run")):
            path = self.home / "lproxy.toml"
            path.write_text(self.config())
            file = [str(path)] if command[-1] == "run" else ["-c", str(path)]
            program = Program(self, self.home, *command, *file)
            eventually(lambda program=program: minds(program.process.pid, signal.SIGHUP), "SIGHUP is minded")
            program.signal(signal.SIGHUP)
            time.sleep(0.02)
            self.assertIsNone(program.process.poll())
            program.signal(signal.SIGINT)
            # by the signal, or by itself where it had begun to open things
            self.assertIn(program.status(), (-signal.SIGINT, 0))
            self.no_traceback(program.out, program.err)

    def test_first_process(self) -> None:
        """As the first of a container it ends by SIGTERM while it starts, which the kernel would not have it do."""
        require("unshare", root=True)
        if subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True).returncode:
            missing("no namespaces of processes")
        path = self.home / "lproxy.toml"
        path.write_text(self.config())
        alone = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
        program = Program(self, self.home, *alone, *LPROXY, "run", str(path))
        children = Path(f"/proc/{program.process.pid}/task/{program.process.pid}/children")
        pid = int(eventually(children.read_text, "it is there"))
        eventually(lambda: minds(pid, signal.SIGTERM), "SIGTERM is minded")
        os.kill(pid, signal.SIGTERM)
        self.assertIn(program.status(), (128 + signal.SIGTERM, 0))
        self.no_traceback(program.out, program.err)

    def test_defaults(self) -> None:
        """
        With no file the embedded defaults run: 4140 out, 4143 in, 4191 for people. Where one of these is taken, a line
        on standard error says so, the exit status is 1 and nothing is left half started.
        """
        inside = namespace(self)
        program = Program(self, self.home, *inside, sys.executable, "-c", DEFAULTS)
        self.assertEqual(0, program.status(30), program.err)
        told = json.loads(program.out)
        self.assertEqual([200, 200, 404, 404], told["up"], "admin, /live, outbound to a name of nobody's, and inbound")
        self.assertEqual(0, told["status"])
        self.assertEqual(["inbound: cannot listen on 127.0.0.1:4143: Address already in use"], told["taken"])
        self.no_traceback(program.err)


#: runs in a network namespace of its own, so that the default ports are free
DEFAULTS = f"""
import http.client, json, os, socket, subprocess, sys, time

TWISTD, TWIST = {TWISTD!r}, {TWIST!r}

def ask(port, path="/", host="127.0.0.1"):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    client.request("GET", path, headers=dict(Host=host))
    return client.getresponse().status

proxy = subprocess.Popen([*TWISTD, "-n", "lproxy"], stdout=2)
try:
    for _ in range(500):
        try:
            ask(4191)
            break
        except OSError:
            time.sleep(0.02)
    nobody = "nobody.invalid"
    out = dict(up=[ask(4191, "/ready"), ask(4191, "/live"), ask(4140, "/", nobody), ask(4143, "/", nobody)])
    proxy.terminate()
    out["status"] = proxy.wait(10)
finally:
    proxy.kill()
taken = set()
with socket.create_server(("127.0.0.1", 4143)):
    for command in ([*TWISTD, "-n", "lproxy"], [*TWIST, "lproxy"]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=10)
        assert done.returncode == 1, (command, done)
        (line,) = done.stderr.splitlines()
        taken.add(line.removeprefix("lproxy: "))
        assert "Traceback" not in done.stdout, done.stdout
        for port in (4140, 4191):
            socket.create_server(("127.0.0.1", port)).close()
        assert not os.path.exists("twistd.pid")
out["taken"] = sorted(taken)
print(json.dumps(out))
"""


def namespace(test: SynchronousTestCase) -> tuple[str, ...]:
    """What to put before a command that shall have the loopback interface for itself."""
    require("unshare", "ip", root=True)
    inside = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
    if subprocess.run([*inside, "true"], capture_output=True).returncode:
        missing("no network namespace")
    return inside


class RefusalTests(ProcessTestCase):
    """What does not start says why, in a line, and leaves nothing behind."""

    def taken(self) -> tuple[Path, int]:
        """A configuration whose last address is taken, and the port of its first."""
        holder = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(holder.close)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        path = self.home / "taken.toml"
        path.write_text(f"""
            admin.address = ""
            listen = [
                {{ name = "first", address = "127.0.0.1:{port}" }},
                {{ name = "second", address = "127.0.0.1:{holder.getsockname()[1]}" }},
            ]
            access_log.path = "access.log"
        """)
        return path, port

    def test_taken(self) -> None:
        """An address in use: one line that names the listener, status 1, no traceback, what was bound is free again."""
        path, port = self.taken()
        for command in ((*TWISTD, "-n"), TWIST):
            program = Program(self, self.home, *command, "lproxy", "-c", str(path))
            self.assertEqual(1, program.status())
            self.assertRegex(
                program.err, r"\Alproxy: second: cannot listen on 127.0.0.1:\d+: Address already in use\n\Z"
            )
            self.no_traceback(program.out)
            socket.create_server(("127.0.0.1", port)).close()
            self.assertFalse((self.home / "twistd.pid").exists())
            self.assertFalse((self.home / "access.log").exists())

    def test_taken_daemon(self) -> None:
        """The command that should have started a daemon says why there is none; no pidfile stays."""
        path, _ = self.taken()
        program = Program(self, self.home, *TWISTD, "--pidfile=p.pid", "--logfile=p.log", "lproxy", "-c", str(path))
        self.assertEqual(1, program.status())
        self.assertIn("CannotStart: second: cannot listen on 127.0.0.1:", program.err)
        log = eventually(lambda: "Address already" in (text := (self.home / "p.log").read_text()) and text, "the log")
        self.assertRegex(log, r"\[lproxy#critical\] second: cannot listen on 127.0.0.1:\d+: Address already in use")
        self.no_traceback(program.err, log)
        eventually(lambda: not (self.home / "p.pid").exists(), "no pidfile")

    def test_access_log(self) -> None:
        """An access log that cannot be written is a line, too."""
        path = self.home / "lproxy.toml"
        path.write_text(self.config('[access_log]\npath = "no/such/place/access.log"\n'))
        program = Program(self, self.home, *TWISTD, "-n", "lproxy", "-c", str(path))
        self.assertEqual(1, program.status())
        self.assertEqual(
            "lproxy: access_log.path: cannot write to no/such/place/access.log: No such file or directory\n",
            program.err,
        )

    def test_bad_file(self) -> None:
        """A file with errors never starts: each is a line on standard error, the status is 2, no port is opened."""
        path = self.home / "bad.toml"
        path.write_text(self.config("[limits]\nin_flght = 3\n"))
        commands = (TWISTD, TWIST)
        for program in [Program(self, self.home, *command, "lproxy", "--config", str(path)) for command in commands]:
            self.assertEqual(2, program.status())
            self.assertIn('limits.in_flght: unknown key; did you mean "in_flight"?\n', program.err)
            self.assertTrue(program.err.endswith(f"lproxy: {path}: not started\n"))
            self.assertEqual("", program.out, "neither a log nor pages of options")
            self.assertEqual([], [p.name for p in self.home.iterdir() if p.suffix in (".pid", ".log")])

    def test_unreadable(self) -> None:
        """A file that cannot be read is named, with the reason."""
        program = Program(self, self.home, *TWISTD, "-n", "lproxy", "--config", "nowhere.toml")
        self.assertEqual(2, program.status())
        self.assertIn("nowhere.toml: cannot be read: No such file or directory\n", program.err)

    def test_check(self) -> None:
        """C{--check} and C{lproxy check} exit 0, 1 for warnings and 2 for errors, and start nothing."""
        files = {
            0: self.config(),
            1: self.config('[services."idle.local:80"]\nendpoints = []\n'),
            2: self.config("[limits]\nin_flight = -1\n"),
        }
        started: list[tuple[int, Path, Program]] = []
        for want, text in files.items():
            path = self.home / f"{want}.toml"
            path.write_text(text)
            commands = [(*TWISTD, "lproxy", "--check", "-c"), (*LPROXY, "check")]
            if want == 1:
                commands.append((*TWIST, "lproxy", "--check", "-c"))
            started += [(want, path, Program(self, self.home, *command, str(path))) for command in commands]
        for want, path, program in started:
            # each takes a second of a core, and all are started at once
            self.assertEqual(want, program.status(60), program.err)
            if want:
                self.assertIn(f"{path}:", program.err)
            else:
                self.assertEqual(("", f"{path}: no problem found\n"), (program.err, program.out))
        self.assertEqual([], list(self.home.glob("*.pid")))


class DaemonTests(ProcessTestCase):
    """twistd's own services around the proxy."""

    def test_daemon(self) -> None:
        """
        Without -n it goes to the background once it listens, with its pid in the pidfile and its log in the logfile.
        SIGTERM ends it and removes the pidfile. Owner and nobody else can read pidfile and access log, as the umask of
        a daemon says.
        """
        proxy = Proxy(
            self,
            self.home,
            self.config('[access_log]\npath = "access.log"\n'),
            (*TWISTD, "--pidfile=lproxy.pid", "--logfile=lproxy.log"),
            log=lambda: (self.home / "lproxy.log").read_text() if (self.home / "lproxy.log").exists() else "",
        )
        self.assertEqual(0, proxy.status(), proxy.err)
        pidfile = self.home / "lproxy.pid"
        pid = int(pidfile.read_text())
        self.addCleanup(self.end, pid)
        self.carries(proxy)
        access = self.home / "access.log"
        eventually(lambda: "/there" in access.read_text(), "a line in the access log")
        for path in (pidfile, access):
            self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not pidfile.exists(), "the pidfile is removed")
        eventually(lambda: not alive(pid), "the daemon has ended")
        self.no_traceback(proxy.log(), proxy.err)
        self.assertIn("Server Shut Down", proxy.log())

    def end(self, pid: int) -> None:
        """Leave no daemon behind."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def test_privileges(self) -> None:
        """
        With --uid and --gid the port below 1024 is bound first, then root is given up, access log included: nobody can
        open it again.
        """
        inside = namespace(self)
        nobody = pwd.getpwnam("nobody")
        self.home.chmod(0o755)
        logs = self.home / "logs"
        logs.mkdir()
        os.chown(logs, nobody.pw_uid, nobody.pw_gid)
        config = self.home / "lproxy.toml"
        config.write_text(
            'admin.address = "127.0.0.1:191"\naccess_log.path = "logs/access.log"\n'
            'listen = [{ name = "web", address = "127.0.0.1:80" }]\n'
        )
        program = Program(self, self.home, *inside, sys.executable, "-c", PRIVILEGES, str(config))
        self.assertEqual(0, program.status(30), program.err)
        told = json.loads(program.out)
        self.assertEqual(
            {"uid": nobody.pw_uid, "gid": nobody.pw_gid, "groups": [], "status": 404, "exit": 0},
            {key: told[key] for key in ("uid", "gid", "groups", "status", "exit")},
        )
        self.assertEqual((1, 1), (told["before"], told["after"]), "a line in each file")
        access = (logs / "access.log").stat()
        self.assertEqual((nobody.pw_uid, 0o644), (access.st_uid, stat.S_IMODE(access.st_mode)))
        self.no_traceback(program.err)

    def test_chroot(self) -> None:
        """
        With --chroot an empty folder is all that it sees, once it has read its configuration: it carries what it is
        given, its pages and commands are there, the access log is inside and is opened again on SIGHUP.
        """
        require(root=True)
        jail = self.home / "jail"
        jail.mkdir()
        more = '[access_log]\npath = "/access.log"\n'
        config = self.config(more).replace("[admin]\n", "[admin]\nlog_level = true\n")
        proxy = Proxy(self, self.home, config, (*TWISTD, "-n", "--pidfile=", f"--chroot={jail}"))
        self.carries(proxy)
        self.assertEqual(404, request(proxy.ports["web"], "/", "nobody.invalid")[0])
        # no resolver answers, and its error is told
        self.assertEqual(503, request(proxy.ports["web"], "/", "xn--nobody-3ya.example")[0])
        for page in ("/", "/ready", "/live", "/config", "/services", "/connections", "/plugins", "/metrics"):
            self.assertEqual(200, proxy.get(page)[0], page)
        form = {"Host": "127.0.0.1", "Content-Type": "application/x-www-form-urlencoded"}
        client = http.client.HTTPConnection("127.0.0.1", proxy.admin, timeout=PATIENCE)
        client.request("POST", "/log-level", "level=debug", form)
        self.assertEqual(200, client.getresponse().status)
        client.close()
        access = jail / "access.log"
        eventually(lambda: access.exists() and "nobody.invalid" in access.read_text(), "a line in the access log")
        access.rename(jail / "access.log.1")
        proxy.signal(signal.SIGHUP)
        eventually(access.exists, "another access log")
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.status())
        self.no_traceback(proxy.out, proxy.err)


PRIVILEGES = f"""
import http.client, json, os, re, signal, subprocess, sys, time

def ask(port, path, host):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    client.request("GET", path, headers=dict(Host=host))
    return client.getresponse().status

os.umask(0o022)
command = [*{TWISTD!r}, "-n", "--pidfile=", "--uid=nobody", "--gid=" + str({pwd.getpwnam("nobody").pw_gid}), "lproxy"]
proxy = subprocess.Popen([*command, "-c", sys.argv[1]], stdout=2)
try:
    for _ in range(500):
        try:
            ask(191, "/ready", "127.0.0.1")
            break
        except OSError:
            time.sleep(0.02)
    status = open(f"/proc/{{proxy.pid}}/status").read()
    out = dict(status=ask(80, "/", "nobody.invalid"))
    for key, name in (("uid", "Uid"), ("gid", "Gid")):
        (out[key],) = set(map(int, re.search(rf"^{{name}}:(.*)$", status, re.M)[1].split()))
    groups = set(map(int, re.search(r"^Groups:(.*)$", status, re.M)[1].split()))
    out["groups"] = sorted(groups - {{out["gid"]}})
    os.rename("logs/access.log", "logs/access.log.1")
    proxy.send_signal(signal.SIGHUP)
    for _ in range(500):
        if os.path.exists("logs/access.log"):
            break
        time.sleep(0.02)
    ask(80, "/", "nobody.invalid")
    proxy.terminate()
    out["exit"] = proxy.wait(10)
    out["before"] = len(open("logs/access.log.1").readlines())
    out["after"] = len(open("logs/access.log").readlines())
    print(json.dumps(out))
finally:
    proxy.kill()
"""


def minds(pid: int, number: int) -> bool:
    """Whether a process ignores a signal, or has a handler for it."""
    masks = re.findall(r"^Sig(?:Ign|Cgt):\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


def alive(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
