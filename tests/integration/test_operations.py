# -*- test-case-name: tests.integration.test_operations -*-
"""
A running proxy in the hands of those who operate it: how it ends, what it tells of itself, what plugins cannot break.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

from tests.floors_source import ROOT
from tests.integration.test_twistd import (
    LPROXY,
    PATIENCE,
    TWIST,
    ProcessTestCase,
    Program,
    Proxy,
    eventually,
    request,
)

#: long enough for what is wrong to show, short enough to wait for
MOMENT = 0.3


class Asking(threading.Thread):
    """A request under way, and what becomes of it."""

    def __init__(self, port: int, path: str, host: str) -> None:
        super().__init__(daemon=True)
        self._arguments = (port, path, host)
        self.answer: tuple[int, str] = (0, "not yet")
        self.start()

    def run(self) -> None:
        self.answer = request(*self._arguments)

    def wait(self) -> tuple[int, str]:
        """Status and body."""
        self.join(PATIENCE)
        return self.answer


def closed(sock: socket.socket, seconds: float = PATIENCE) -> bool:
    """Whether the other side ends the connection in time, well or badly, without another byte."""
    sock.settimeout(seconds)
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def refused(port: int) -> bool:
    """Whether nobody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False


class OperationsTestCase(ProcessTestCase):
    """Tests with raw connections, whose end is the test's."""

    def connect(self, port: int) -> socket.socket:
        """A connection to a listener."""
        sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.addCleanup(sock.close)
        return sock

    def echoes(self, sock: socket.socket, data: bytes = b"\x00 still there?") -> None:
        """It is relayed there and back."""
        sock.settimeout(PATIENCE)
        sock.sendall(data)
        self.assertEqual(data, sock.recv(100))

    def idle(self, port: int) -> http.client.HTTPConnection:
        """A keep-alive connection that has had an answer."""
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.addCleanup(client.close)
        client.request("GET", "/first", headers={"Host": "web.local"})
        self.assertEqual(200, client.getresponse().read() and 200)
        return client


class ShutdownTests(OperationsTestCase):
    """How it ends."""

    def test_drain(self) -> None:
        """
        SIGTERM: first /ready answers 503 draining, and nobody is accepted. What is under way goes on: a slow request
        is answered, an idle keep-alive connection is closed within seconds, one that just connected may still ask, raw
        bytes flow for as long as they like. Then the status is 0. The admin server answers until the end.
        """
        proxy = Proxy(self, self.home, self.config())
        raw = self.connect(proxy.ports["echo"])
        self.echoes(raw)
        idle = self.idle(proxy.ports["web"])
        silent = self.connect(proxy.ports["web"])
        slow = Asking(proxy.ports["web"], "/slow/1.0", "web.local")
        eventually(lambda: any(row["state"] == "calling" for row in proxy.json("/connections")), "a request under way")
        proxy.signal(signal.SIGTERM)
        self.assertEqual(
            (503, "draining\n"), eventually(lambda: (a := proxy.get("/ready"))[0] == 503 and a, "draining")
        )
        for port in proxy.ports.values():
            self.assertTrue(refused(port))
        silent.sendall(b"GET /late HTTP/1.1\r\nHost: web.local\r\n\r\n")
        answer = http.client.HTTPResponse(silent)
        answer.begin()
        self.assertEqual((200, "close"), (answer.status, answer.getheader("Connection")))
        silent.close()
        self.assertEqual((200, "web.local /slow/1.0"), slow.wait())
        self.assertTrue(closed(idle.sock, 5.0), "the idle connection ends")
        self.echoes(raw)
        self.assertEqual((503, 200, 200), tuple(proxy.get(path)[0] for path in ("/ready", "/live", "/metrics")))
        eventually(
            lambda: [row["listener"] for row in proxy.json("/connections")] == ["echo"], "bytes are all that is left"
        )
        self.assertIsNone(proxy.process.poll())
        raw.close()
        self.assertEqual(0, proxy.status(5.0))
        self.no_traceback(proxy.out, proxy.err)

    def test_forced(self) -> None:
        """At timeouts.drain what is left is reset, and the status is 0."""
        proxy = Proxy(self, self.home, self.config('[timeouts]\ndrain = "1s"\n'))
        raw = self.connect(proxy.ports["echo"])
        self.echoes(raw)
        slow = Asking(proxy.ports["web"], "/slow/30", "web.local")
        eventually(lambda: any(row["state"] == "calling" for row in proxy.json("/connections")), "a request under way")
        began = time.monotonic()
        proxy.signal(signal.SIGTERM)
        self.assertTrue(closed(raw))
        self.assertGreater(time.monotonic() - began, 0.9)
        self.assertEqual(0, proxy.status(3.0))
        self.assertEqual(0, slow.wait()[0])
        self.assertRegex(proxy.out, r"draining 2 connections, 1 s at most")
        self.assertRegex(proxy.out, r"2 connections are cut off")
        self.no_traceback(proxy.out, proxy.err)

    def test_signals(self) -> None:
        """SIGINT is as good as SIGTERM, under twist as under twistd; a second signal, of either kind, ends at once."""
        pairs = ((signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT), (signal.SIGINT, signal.SIGTERM))
        proxies = []
        for n, command in enumerate((None, (*TWIST, "--log-format=text"), None)):
            home = self.home / str(n)
            home.mkdir()
            proxies.append(Proxy(self, home, self.config(), *([command] if command else []), wait=False))
        for proxy in proxies:
            proxy.up()
        raws = [self.connect(proxy.ports["echo"]) for proxy in proxies]
        for raw, proxy, (first, _) in zip(raws, proxies, pairs, strict=True):
            self.echoes(raw)
            proxy.signal(first)
        for raw, proxy in zip(raws, proxies, strict=True):
            eventually(lambda proxy=proxy: proxy.get("/ready")[0] == 503, "draining")
            self.echoes(raw)
        time.sleep(1.2)  # longer than what is given to those who have not spoken
        for raw, proxy, (_, second) in zip(raws, proxies, pairs, strict=True):
            self.echoes(raw)
            proxy.signal(second)
        for raw, proxy in zip(raws, proxies, strict=True):
            self.assertEqual(0, proxy.status(3.0))
            self.assertTrue(closed(raw))
            self.no_traceback(proxy.out, proxy.err)

    def test_nothing_to_wait_for(self) -> None:
        """Without a connection a signal ends it at once, with status 0."""
        proxy = Proxy(self, self.home, self.config())
        began = time.monotonic()
        proxy.signal(signal.SIGINT)
        self.assertEqual(0, proxy.status())
        self.assertLess(time.monotonic() - began, 3.0, "far from timeouts.drain")

    def test_post_shutdown(self) -> None:
        """
        POST /shutdown, where it is enabled, drains like a first signal, however often it is asked; a signal after it
        ends at once.
        """
        enabled = self.config().replace("[admin]", "[admin]\nshutdown = true")
        proxy = Proxy(self, self.home, enabled)
        raw = self.connect(proxy.ports["echo"])
        self.echoes(raw)
        self.assertEqual(405, proxy.get("/shutdown")[0])
        for _ in range(3):
            self.assertEqual(202, proxy.get("/shutdown", "POST")[0])
        self.assertEqual(
            (503, "draining\n"), eventually(lambda: (a := proxy.get("/ready"))[0] == 503 and a, "draining")
        )
        time.sleep(MOMENT)
        self.echoes(raw)
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.status(3.0))
        self.no_traceback(proxy.out, proxy.err)

    def test_under_load(self) -> None:
        """While eight clients ask as fast as they can, SIGTERM loses none of the requests that were accepted."""
        proxy = Proxy(self, self.home, self.config())
        lost: list[str] = []
        counts = [0] * 8

        def ask(n: int) -> None:
            while True:
                client = http.client.HTTPConnection("127.0.0.1", proxy.ports["web"], timeout=PATIENCE)
                try:
                    client.connect()
                except OSError:
                    return  # not accepted
                try:
                    for _ in range(5):
                        client.request("GET", f"/{n}", headers={"Host": "web.local"})
                        answer = client.getresponse()
                        if answer.status != 200 or answer.read() != f"web.local /{n}".encode():
                            lost.append(f"status {answer.status}")
                        counts[n] += 1
                        if answer.getheader("Connection") == "close":
                            break
                except (OSError, http.client.HTTPException) as e:
                    lost.append(repr(e))
                finally:
                    client.close()

        clients = [threading.Thread(target=ask, args=(n,), daemon=True) for n in range(len(counts))]
        for client in clients:
            client.start()
        eventually(lambda: all(n > 10 for n in counts), "clients at work")
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.status())
        for client in clients:
            client.join(PATIENCE)
        self.assertEqual([], lost)
        self.no_traceback(proxy.out, proxy.err)

    def test_barrage(self) -> None:
        """However many signals come, to the very last moment, the status is 0."""
        proxy = Proxy(self, self.home, self.config())
        raw = self.connect(proxy.ports["echo"])
        self.echoes(raw)
        while proxy.process.poll() is None:
            proxy.signal(signal.SIGTERM)
            time.sleep(0.001)
        self.assertEqual(0, proxy.status())
        self.no_traceback(proxy.out, proxy.err)


class AccessLogTests(OperationsTestCase):
    """Log rotation."""

    def test_reopen(self) -> None:
        """After the file is renamed and SIGHUP, what was written stays there, and new lines come into a new file."""
        proxy = Proxy(self, self.home, self.config('[access_log]\npath = "access.log"\n'))
        log, old = self.home / "access.log", self.home / "access.log.1"
        for n in range(3):
            request(proxy.ports["web"], f"/{n}", "web.local")
        log.rename(old)
        proxy.signal(signal.SIGHUP)
        eventually(log.exists, "a new file")
        raw = self.connect(proxy.ports["echo"])
        self.echoes(raw)
        raw.close()
        request(proxy.ports["web"], "/new", "web.local")
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.status())
        self.assertEqual(["/0", "/1", "/2"], [json.loads(line)["path"] for line in old.read_text().splitlines()])
        new = [json.loads(line) for line in log.read_text().splitlines()]
        self.assertEqual(["/new", None], sorted((row.get("path") for row in new), key=str))
        self.assertEqual({"request": 200, "connection": None}, {row["kind"]: row.get("status") for row in new})
        self.no_traceback(proxy.out, proxy.err)

    def test_disk_full(self) -> None:
        """A full disk, as /dev/full is, costs lines of any format, which are counted and told once, and no request."""
        table = '[access_log]\npath = "/dev/full"\nformat = "combined"\n'
        proxy = Proxy(self, self.home, self.config(table))
        for n in range(3):
            self.assertEqual(200, request(proxy.ports["web"], f"/{n}", "web.local")[0])
            eventually(lambda: f"access_log_lost_lines_total {n + 1}\n" in proxy.get("/metrics")[1], "a lost line")  # noqa: B023
        self.assertIn("access_log_lines_total 0\n", proxy.get("/metrics")[1])
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.status())
        self.assertEqual(1, proxy.out.count("access log /dev/full: lines are lost: "), proxy.out)
        self.no_traceback(proxy.out, proxy.err)

    def test_formats(self) -> None:
        """Requests and byte streams in a format of one's own, each with the time that it took where."""
        table = """[access_log]
path = "access.log"
format = '{method} {path} {protocol} {status} {bytes_out} {upstream} {tries} {acquire_seconds} {seconds} "{user_agent}"'
connections = '{protocol} {target} {bytes_in} {bytes_out} {acquire_seconds} {upstream_seconds} {seconds} {errno}'
"""
        proxy = Proxy(self, self.home, self.config(table))
        request(proxy.ports["web"], "/a%22b", "web.local")
        raw = self.connect(proxy.ports["echo"])
        self.echoes(raw, b"12345")
        raw.close()
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.status())
        first, second = sorted((self.home / "access.log").read_text().splitlines())
        number = r"\d+\.\d{6}"
        self.assertRegex(first, rf'^GET /a%22b HTTP/1\.1 200 \d+ 127\.0\.0\.1:\d+ 1 {number} {number} "-"$')
        self.assertRegex(second, rf"^tcp \S+ 5 5 {number} {number} {number} -$")

    def test_cannot_reopen(self) -> None:
        """Where the new file cannot be opened, that is logged, and the old one is written on."""
        logs = self.home / "logs"
        logs.mkdir()
        proxy = Proxy(self, self.home, self.config('[access_log]\npath = "logs/access.log"\n'))
        request(proxy.ports["web"], "/before", "web.local")
        away = self.home / "away"
        logs.rename(away)
        proxy.signal(signal.SIGHUP)
        eventually(lambda: "access log" in proxy.out, "a line about it")
        self.assertEqual(200, request(proxy.ports["web"], "/after", "web.local")[0])
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.status())
        paths = [json.loads(line)["path"] for line in (away / "access.log").read_text().splitlines()]
        self.assertEqual(["/before", "/after"], paths)
        self.no_traceback(proxy.out, proxy.err)


class Blackhole:
    """Listens with a full queue: whoever connects waits, until it is opened."""

    def __init__(self) -> None:
        self.server = socket.socket()
        self.server.bind(("127.0.0.1", 0))
        self.server.listen(0)
        self.address = "{}:{}".format(*self.server.getsockname())
        self._held: list[socket.socket] = []
        # the kernel keeps one more than it was told, or two
        while True:
            client = socket.socket()
            client.settimeout(MOMENT)
            self._held.append(client)
            try:
                client.connect(self.server.getsockname())
            except TimeoutError:
                return

    def open(self) -> None:
        """Accept, and answer nothing."""

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    self._held.append(self.server.accept()[0])

        threading.Thread(target=serve, daemon=True).start()

    def close(self) -> None:
        """Be gone."""
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        for sock in (self.server, *self._held):
            sock.close()


class TruthTests(OperationsTestCase):
    """What the admin server says is so."""

    def service(self, proxy: Proxy, target: str) -> dict[str, Any]:
        """The row of /services for C{target}; empty where there is none."""
        return next((row for row in proxy.json("/services") if row["target"] == target), {})

    def test_unanswered(self) -> None:
        """
        Requests that an upstream accepts and does not answer are in flight, with target, upstream and what they asked;
        nobody is said to wait for the service.
        """
        proxy = Proxy(self, self.home, self.config())
        requests = [Asking(proxy.ports["web"], f"/slow/1.5?{n}", "web.local") for n in range(3)]
        raw = self.connect(proxy.ports["echo"])
        self.echoes(raw, b"\x00" * 50)

        def seen() -> Any:
            rows = proxy.json("/connections")
            return sum(row["state"] == "calling" for row in rows) == 3 and rows

        rows = eventually(seen, "three requests under way")
        web = f"127.0.0.1:{self.web}"
        calls = [row for row in rows if row["listener"] == "web"]
        self.assertEqual([f"GET /slow/1.5?{n}" for n in range(3)], sorted(row["request"] for row in calls))
        for row in calls:
            self.assertEqual(("http", "web.local:80", web), (row["protocol"], row["target"], row["upstream"]))
        (relay,) = (row for row in rows if row["listener"] == "echo")
        echo = f"127.0.0.1:{self.echo}"
        self.assertEqual((echo, echo, "relaying"), (relay["target"], relay["upstream"], relay["state"]))
        self.assertEqual(f"127.0.0.1:{raw.getsockname()[1]}", relay["client"])
        self.assertEqual((50, 50), (relay["bytes_in"], relay["bytes_out"]))

        row = self.service(proxy, "web.local:80")
        self.assertEqual(
            ("outbound", "http", "ready", 3), tuple(row[k] for k in ("direction", "protocol", "state", "in_flight"))
        )
        self.assertEqual((0, "free"), (row["waiters"], row["lock"]))
        self.assertEqual([(web, 3)], [(e["address"], e["in_flight"]) for e in row["endpoints"]])
        self.assertNotIn("last_error", row)
        # a connection is in flight as long as it lasts
        self.assertEqual(4, proxy.metric("in_flight"))
        for asked in requests:
            self.assertEqual(200, asked.wait()[0])
        self.assertEqual(0, self.service(proxy, "web.local:80")["in_flight"])

    def test_blackhole(self) -> None:
        """
        While an upstream cannot be connected to, /services tells how many wait in line, who is at it for how long, and
        what went wrong last. After timeouts.failfast all are failed, state and metric say failfast, further ones are
        failed at once; it recovers by itself once the upstream is there, without a request.
        """
        hole = Blackhole()
        self.addCleanup(hole.close)
        config = (
            self.config()
            + f"""
[services."hole.local:80"]
endpoints = ["{hole.address}"]
[timeouts]
acquire = "10s"
connect = "1200ms"
failfast = "2s"
backoff_max = "300ms"
service_idle = "60s"
[limits]
acquiring = 1
"""
        )
        proxy = Proxy(self, self.home, config)
        first = Asking(proxy.ports["web"], "/first", "hole.local")
        self.assertEqual(504, first.wait()[0], "one connect has its own time")
        asked = [Asking(proxy.ports["web"], f"/{n}", "hole.local") for n in range(3)]

        def waiting() -> Any:
            row = self.service(proxy, "hole.local:80")
            return row.get("waiters") == 2 and row

        row = eventually(waiting, "two who wait in line")
        self.assertEqual("waiting", row["state"])
        self.assertEqual(1, row["lock"]["holders"])
        self.assertIn(f"connect: {hole.address} did not answer within 1.2 s", row["last_error"])
        again = eventually(waiting, "still two")
        self.assertGreater(again["lock"]["held_seconds"], 0)
        self.assertLess(again["lock"]["held_seconds"], 1.0)
        acquiring = [row for row in proxy.json("/connections") if row["state"] == "acquiring"]
        self.assertEqual({"hole.local:80"}, {row["target"] for row in acquiring})
        self.assertEqual(3, len(acquiring))
        self.assertEqual(2, proxy.metric("lock_waiters"))

        eventually(lambda: self.service(proxy, "hole.local:80")["state"] == "failfast", "failfast")
        self.assertEqual([503] * 3, [one.wait()[0] for one in asked])
        self.assertEqual(1, proxy.metric('failfast_state{target="hole.local:80"}'))
        self.assertEqual(1, proxy.metric('failfast_total{target="hole.local:80"}'))
        status, why = request(proxy.ports["web"], "/", "hole.local")
        self.assertEqual(503, status)
        self.assertIn("failfast: hole.local:80 not ready for 2 s", why)
        self.assertIn(f"connect: {hole.address} did not answer", why)

        hole.open()
        eventually(lambda: self.service(proxy, "hole.local:80")["state"] == "ready", "recovery without a request")
        self.assertEqual(0, proxy.metric('failfast_state{target="hole.local:80"}'))
        self.no_traceback(proxy.out, proxy.err)

    def test_config(self) -> None:
        """/config shows what is in effect, defaults included, and /plugins what there is; /shutdown is off."""
        proxy = Proxy(self, self.home, self.config('[timeouts]\nacquire = "1500ms"\n'))
        self.assertEqual(403, proxy.get("/shutdown", "POST")[0])
        told = proxy.json("/config")
        self.assertEqual("web", told["listen"][0]["name"])
        self.assertEqual("127.0.0.1:0", told["admin"]["address"])
        text = json.dumps(told)
        self.assertIn("1500ms", text.replace("1.5s", "1500ms"))
        self.assertIn(f"127.0.0.1:{self.web}", text)
        self.assertEqual(["http", "kafka", "tcp"], [row["name"] for row in proxy.json("/plugins")])
        self.assertEqual({"name", "version", "file", "sessions", "leases"}, set(proxy.json("/plugins")[0]))


class LoopTests(OperationsTestCase):
    """It never talks to itself."""

    def test_own_addresses(self) -> None:
        """
        Whatever name or address of this machine leads to a listener or the admin server, IPv4 or IPv6, wildcards
        included: 508.
        """
        config = """
[admin]
address = "127.0.0.1:0"
[[listen]]
name = "four"
address = "127.0.0.1:0"
[[listen]]
name = "any"
address = "0.0.0.0:0"
[[listen]]
name = "six"
address = "[::1]:0"
[[listen]]
name = "all"
address = "[::]:0"
"""
        proxy = Proxy(self, self.home, config)
        four, any4, six, all6, admin = (*(proxy.ports[name] for name in ("four", "any", "six", "all")), proxy.admin)
        hosts = [
            f"127.0.0.1:{four}",
            f"localhost:{four}",
            f"LOCALHOST.:{four}",
            f"0.0.0.0:{four}",
            f"[::ffff:127.0.0.1]:{four}",
            f"127.0.0.1:{admin}",
            f"localhost:{admin}",
            f"0.0.0.0:{admin}",
            f"[::ffff:7f00:1]:{admin}",
            f"127.0.0.1:{any4}",
            f"127.3.2.1:{any4}",
            f"0.0.0.0:{any4}",
            f"localhost:{any4}",
            f"{outward_address()}:{any4}",
            f"[::1]:{six}",
            f"[0:0:0:0:0:0:0:1]:{six}",
            f"[::]:{six}",
            f"[::1]:{all6}",
            f"[::]:{all6}",
            f"localhost:{all6}",
            f"127.0.0.1:{all6}",
        ]
        got = {host: request(four, "/metrics", host) for host in hosts}
        wrong = {host: answer for host, answer in got.items() if answer[0] != 508}
        self.assertEqual({}, wrong)
        self.assertIn("is this proxy itself: refused to loop", got[hosts[0]][1])
        for host in (f"127.0.0.1:{admin}", f"localhost:{admin}", f"[::1]:{six}"):
            with self.connect(four) as sock:
                sock.sendall(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                self.assertRegex(sock.recv(1000), rb"\AHTTP/1.1 508 ")
        self.assertEqual(0, proxy.metric("in_flight"))
        self.no_traceback(proxy.out, proxy.err)


def outward_address() -> str:
    """An address of this machine that others might use."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


#: what each third-party plugin of the tests begins with
PLUGIN = """
from zope.interface import implementer
from lproxy.api import IProtocolPlugin, NoMatch

class Plugin:
    version = "1.0"
    def __init__(self, name):
        self.name = name
    def detector(self, prefix):
        return NoMatch()
    def configure(self, table):
        return None
    def factory(self, runtime, config):
        return Factory(runtime)

class Factory:
    detector = None
    def __init__(self, runtime):
        self.runtime = runtime
    def session(self, accepted):
        return Session(self.runtime, accepted)
    def start(self):
        pass
    drain = stop = start

class Session:
    def __init__(self, runtime, accepted):
        self.runtime, self.accepted = runtime, accepted
    def start(self):
        self.accepted.stream.attach(self, self.accepted.prefix, self.accepted.eof)
        self.accepted.stream.resume()
    def drain(self):
        pass
    def abort(self):
        self.accepted.stream.abort()
    def describe(self):
        return {"protocol": "boom"}
    def data_received(self, data):
        raise RuntimeError("session of a plugin: " + data.decode())
    def eof_received(self):
        self.accepted.stream.close()
    def connection_lost(self):
        self.runtime.sessions.remove(self)
"""

BROKEN = {
    "imports": "import no_such_module\n",
    "exits": "import sys\nsys.exit('I am a script')\n",
    "syntax": "def f(:\n",
    "lacks": "@implementer(IProtocolPlugin)\nclass Lacks:\n    name = 'lacks'\n    version = '1'\nlacks = Lacks()\n",
    "misnamed": "misnamed = implementer(IProtocolPlugin)(Plugin)('Mis Named')\n",
    "shadow": "shadow = implementer(IProtocolPlugin)(Plugin)('http')\n",
    "configures": (
        "@implementer(IProtocolPlugin)\nclass Configures(Plugin):\n"
        "    def configure(self, table):\n        raise RuntimeError('no idea')\n"
        "configures = Configures('configures')\n"
    ),
    "detects": (
        "@implementer(IProtocolPlugin)\nclass Detects(Plugin):\n"
        "    def detector(self, prefix):\n        return prefix[0] == 1 and NoMatch()\n"
        "detects = Detects('detects')\n"
    ),
    "class_only": "@implementer(IProtocolPlugin)\nclass Forgotten(Plugin):\n    pass\n",
}
USABLE = {
    "boom": "boom = implementer(IProtocolPlugin)(Plugin)('boom')\n",
    "unmade": (
        "@implementer(IProtocolPlugin)\nclass Unmade(Plugin):\n"
        "    def factory(self, runtime, config):\n        raise OSError('no factory today')\n"
        "unmade = Unmade('unmade')\n"
    ),
    "later": (
        "@implementer(IProtocolPlugin)\nclass Later(Plugin):\n"
        "    def detector(self, prefix):\n"
        "        if b'there' in prefix:\n            raise LookupError('detector of later')\n        return NoMatch()\n"
        "later = Later('later')\n"
    ),
}


class PluginTests(OperationsTestCase):
    """What third parties ship harms nobody but those who use it."""

    def install(self, *names: str) -> str:
        """Put plugins into a distribution of their own; the path to find it on."""
        place = self.home / "site" / "lproxy" / "plugins"
        place.mkdir(parents=True)
        for name in names:
            (place / f"{name}_plugin.py").write_text(PLUGIN + {**BROKEN, **USABLE}[name])
        return f"{ROOT}:{place.parent.parent}"

    def test_list(self) -> None:
        """
        C{lproxy plugins} has name, version and file of each, and of each broken one what is wrong; then the status is
        1. Nothing that is broken hides the others.
        """
        path = self.install(*BROKEN, *USABLE)
        program = Program(self, self.home, *LPROXY, "plugins", PYTHONPATH=path)
        self.assertEqual(1, program.status())
        self.assertEqual("", program.err)
        place = self.home / "site" / "lproxy" / "plugins"
        lines = program.out.splitlines()
        for name in USABLE:
            (line,) = (line for line in lines if line.split()[0] == name)
            self.assertEqual([name, "1.0", str(place / f"{name}_plugin.py")], line.split())
        for name in ("http", "tcp"):
            self.assertRegex(program.out, rf"(?m)^{name} +\d\S* +\S+/lproxy_{name}.py$")
        for name, wrong in {
            "imports": "ModuleNotFoundError: No module named 'no_such_module'",
            "exits": "SystemExit: I am a script",
            "syntax": "SyntaxError: invalid syntax",
            "lacks": "AttributeError: 'Lacks' object has no attribute 'detector'",
            "misnamed": "ValueError: name is 'Mis Named'",
            "shadow": "another plugin has this name already",
            "configures": "configure({}) raised RuntimeError: no idea",
            "detects": "detector(b'') raised IndexError: index out of range",
            "class_only": "has the class Forgotten but no instance of it",
        }.items():
            at = next(n for n, line in enumerate(lines) if line.endswith(f"{name}_plugin.py"))
            self.assertTrue(lines[at + 1].startswith("    broken: "), lines[at : at + 2])
            self.assertIn(wrong, lines[at + 1])

    def test_start(self) -> None:
        """
        A proxy starts and serves in spite of broken plugins that it does not use; it says which there are. A session's
        exception ends that connection, is logged once with the plugin's name and counted, and so is a detector's,
        which the connection survives.
        """
        path = self.install(*BROKEN, *USABLE)
        config = (
            self.config().replace('name = "web"', 'name = "web"\ndetect = ["later", "http"]')
            + """
[[listen]]
name = "boom"
address = "127.0.0.1:0"
target = "127.0.0.1:9"
protocol = "boom"
"""
        )
        proxy = Proxy(self, self.home, config.replace("[services", "\n[services"), PYTHONPATH=path)
        self.assertIn("plugin exits_plugin is broken: SystemExit: I am a script", proxy.err)
        self.assertRegex(proxy.out, r"lproxy#warn\] plugin configures is broken: configure\({}\) raised")
        boom = self.connect(proxy.ports["boom"])
        other = self.connect(proxy.ports["boom"])
        boom.sendall(b"first")
        self.assertTrue(closed(boom))
        self.assertFalse(closed(other, MOMENT))
        self.assertEqual(1, proxy.metric('plugin_errors_total{plugin="boom"}'))
        self.assertEqual(1, proxy.out.count("RuntimeError: session of a plugin: first"))
        self.assertEqual(1, proxy.out.count("unexpected error in protocol boom"))
        self.carries(proxy)
        self.assertEqual(1, proxy.metric('plugin_errors_total{plugin="later"}'))
        self.assertIn("LookupError: detector of later", proxy.out)
        rows = {row["name"]: row for row in proxy.json("/plugins")}
        self.assertEqual("session of a plugin: first", rows["boom"]["last_error"])
        self.assertEqual("detector of later", rows["later"]["last_error"])
        self.assertIn("no idea", rows["configures"]["error"])
        self.assertNotIn("last_error", rows["http"])
        proxy.signal(signal.SIGTERM)
        # signals do not queue: one that comes before the other is taken is none
        eventually(lambda: "draining 1 connections" in proxy.out, "that it drains")
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.status())

    def test_use(self) -> None:
        """A listener that uses a broken plugin does not start, and the last words name plugin and error."""
        path = self.install(*BROKEN, *USABLE)
        programs = []
        for name, status, words in (
            ("configures", 2, "configure({}) raised RuntimeError: no idea"),
            ("exits", 2, "SystemExit: I am a script"),
            ("unmade", 2, "web: protocol unmade cannot be set up: OSError: no factory today\n"),
        ):
            file = Path(self.home / f"{name}.toml")
            file.write_text(self.config().replace('name = "web"', f'name = "web"\nprotocol = "{name}"'))
            command = (*TWIST, "lproxy", "--config", str(file))
            programs.append((name, status, words, Program(self, self.home, *command, PYTHONPATH=path)))
        for name, status, words, program in programs:
            self.assertEqual(status, program.status(), program.err)
            self.assertIn(words, program.err)
            self.assertIn(name, program.err.splitlines()[-1])
            self.no_traceback(program.out, program.err)
