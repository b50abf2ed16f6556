# -*- test-case-name: tests.integration.test_redirect -*-
"""
C{lproxy iptables} and the sidecar's configuration of C{contrib/}, in network namespaces: an application, with lproxy
beside it, and the rest of the world.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.sidecar.pod import init
from lproxy.sidecar.redirect import Ports
from lproxy.sidecar.settings import Settings
from tests.components import missing, require
from tests.floors_source import ROOT

#: echoes what it reads, preceded by whom it read it from, on each address of its namespace
SERVER = """
import socket, socketserver, sys, threading
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.client_address[0].encode() + b" " + self.request.recv(100))
class Server(socketserver.ThreadingTCPServer):
    address_family, allow_reuse_address, daemon_threads = socket.AF_INET6, True, True
servers = [Server(("::", int(port)), Echo) for port in sys.argv[1:]]
for server in servers:
    threading.Thread(target=server.serve_forever, daemon=True).start()
print("serving", flush=True)
sys.stdin.read()
"""

#: asks each address that it is told, as the user that it is told: what came back, or why nothing did
CLIENT = """
import encodings.idna, json, os, socket, sys  # the first now, while its file may be read
os.setuid(int(sys.argv[1]))
out = {}
for where in sys.argv[2:]:
    host, _, port = where.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(b"hello\\r\\n\\r\\n")
            out[where] = connection.recv(200).decode().strip()
    except OSError as e:
        out[where] = str(e)
print(json.dumps(out))
"""

#: twistd sheds its privileges once it has its sockets, so that what the proxy sends is its user's
PROXY = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"

#: asks until lproxy serves
READY = """
import time, urllib.request
for _ in range(500):
    try:
        print(urllib.request.urlopen("http://127.0.0.1:4191/ready", timeout=1).read().decode())
        break
    except OSError:
        time.sleep(0.1)
"""
METRICS = (
    'import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:4191/metrics", timeout=5).read().decode())'
)

#: of the application's side and of the world's, by family; the world is the way to everywhere
ADDRESSES = (("10.98.0.1/24", "fd00:98::1/64"), ("10.98.0.2/24", "fd00:98::2/64"))
APPLICATION, APPLICATION6, WORLD, WORLD6 = "10.98.0.1", "fd00:98::1", "10.98.0.2", "fd00:98::2"
#: the application's user, and the proxy's, which twistd has to find in the list of users
USER, UID = "65533", "65534"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


class RedirectTests(SynchronousTestCase):
    """The rules, as the kernel keeps them."""

    def setUp(self) -> None:
        require("ip", "iptables", "ip6tables", root=True)
        names = [f"lproxy-{os.getpid()}-{uuid.uuid4().hex[:6]}" for _ in ADDRESSES]
        for name in names:
            made = run("ip", "netns", "add", name)
            if made.returncode:
                missing(f"no network namespace: {made.stderr.strip()}")
            self.addCleanup(run, "ip", "netns", "del", name)
        self.inside, self.outside = (("ip", "netns", "exec", name) for name in names)
        self.must(*self.inside, *f"ip link add lpx0 type veth peer name lpx1 netns {names[1]}".split())
        for within, device, addresses in zip((self.inside, self.outside), ("lpx0", "lpx1"), ADDRESSES, strict=True):
            for address in addresses:
                nodad = ("nodad",) if ":" in address else ()
                self.must(*within, "ip", "addr", "add", address, "dev", device, *nodad)
            self.must(*within, "ip", "link", "set", "lo", "up")
            self.must(*within, "ip", "link", "set", device, "up")

    def must(self, *command: str) -> str:
        """Run what is the machine's to permit."""
        done = run(*command)
        if done.returncode:
            missing(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def python(self, within: tuple[str, ...], program: str, *arguments: str) -> str:
        """Run a program in a namespace."""
        done = run(*within, sys.executable, "-c", program, *arguments)
        self.assertEqual(0, done.returncode, done.stderr[-2000:])
        return done.stdout

    def start(self, within: tuple[str, ...], *command: str) -> subprocess.Popen[str]:
        """Run something until the end of the test."""
        process = subprocess.Popen(
            [*within, sys.executable, *command], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(self.end, process)
        return process

    def end(self, process: subprocess.Popen[str]) -> None:
        process.terminate()
        process.communicate(timeout=10)

    def serve(self, within: tuple[str, ...], *ports: str) -> None:
        """Echo on C{ports}."""
        server = self.start(within, "-c", SERVER, *ports)
        assert server.stdout is not None
        self.assertEqual("serving\n", server.stdout.readline())

    def iptables(self, *arguments: str) -> str:
        """What C{lproxy iptables} says that it changed beside the application."""
        done = run(*self.inside, sys.executable, "-m", "lproxy", "iptables", *arguments)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def ask(self, within: tuple[str, ...], user: str, *where: str) -> dict[str, str]:
        """What is answered to a user."""
        told: dict[str, str] = json.loads(self.python(within, CLIENT, user, *where))
        return told

    def accepted(self) -> dict[str, int]:
        """How many connections each listener has had."""
        found: dict[str, int] = {}
        for line in self.python(self.inside, METRICS).splitlines():
            for direction in ("inbound", "outbound"):
                if line.startswith("tcp_open_total{") and f'direction="{direction}"' in line and 'peer="src"' in line:
                    found[direction] = found.get(direction, 0) + int(float(line.split()[-1]))
        return found

    def test_both_ways(self) -> None:
        """
        What the application sends and receives passes the proxy, over IPv4 and IPv6; loopback, ports and networks to
        skip and the admin server do not; a second time changes nothing; undone, nothing passes it any more.
        """
        self.serve(self.outside, "7", "25")
        self.serve(self.inside, "8080", "9090")
        config = str(ROOT / "contrib" / "container" / "sidecar.toml")
        self.start(
            self.inside, "-c", PROXY, "-n", "--pidfile=", "--uid", UID, "--gid", UID, "lproxy", "--config", config
        )
        self.assertIn("ready", self.python(self.inside, READY))
        # a link that has just come up takes a second until it carries IPv6
        for _ in range(20):
            if self.ask(self.inside, USER, f"{WORLD6}:7")[f"{WORLD6}:7"].endswith("hello"):
                break
        self.assertEqual({}, self.accepted())

        # what the init container in Kubernetes is told
        settings = Settings(uid=int(UID), skip_outbound_ports=(Ports(25, 25),), skip_inbound_ports=(Ports(9090, 9090),))
        command, apply, *options = init(settings)["args"]
        self.assertEqual(("iptables", "apply"), (command, apply))
        planned = self.iptables("apply", *options, "--dry-run")
        self.assertNotIn("LPROXY", self.must(*self.inside, "iptables-save", "-t", "nat"))
        self.assertEqual(planned, self.iptables("apply", *options))
        self.assertEqual("", self.iptables("apply", *options))

        def asked() -> dict[str, Any]:
            """Everybody asks everybody, and says whom it was that he met."""
            sent = self.ask(self.inside, USER, f"{WORLD}:7", f"{WORLD6}:7", f"{WORLD}:25")
            own = self.ask(self.inside, USER, "127.0.0.1:8080", "::1:8080", f"{APPLICATION}:8080")
            got = self.ask(self.outside, USER, f"{APPLICATION}:8080", f"{APPLICATION6}:8080", f"{APPLICATION}:9090")
            return {**sent, **{f"own {where}": said for where, said in own.items()}, **got}

        told = asked()
        self.assertEqual(f"::ffff:{APPLICATION} hello", told[f"{WORLD}:7"])
        self.assertEqual(f"{APPLICATION6} hello", told[f"{WORLD6}:7"])
        # what is received is the proxy's, who is beside the application
        self.assertEqual(f"::ffff:{APPLICATION} hello", told[f"{APPLICATION}:8080"])
        self.assertEqual(f"{APPLICATION6} hello", told[f"{APPLICATION6}:8080"])
        self.assertEqual(f"::ffff:{WORLD} hello", told[f"{APPLICATION}:9090"])
        self.assertEqual([], [said for said in told.values() if not said.endswith(" hello")])
        self.assertEqual({"outbound": 2, "inbound": 2}, self.accepted())

        # the admin server and the outbound listener, from outside: the one is there, the other leads nowhere
        self.assertIn("400 Bad Request", self.ask(self.outside, USER, f"{APPLICATION}:4191")[f"{APPLICATION}:4191"])
        self.assertNotIn("hello", self.ask(self.outside, USER, f"{APPLICATION}:4140")[f"{APPLICATION}:4140"])

        before = self.accepted()
        self.assertIn("-X LPROXY_INBOUND", self.iptables("undo"))
        self.assertEqual("", self.iptables("undo"))
        self.assertNotIn("LPROXY", self.must(*self.inside, "ip6tables-save", "-t", "nat"))
        self.assertEqual([], [said for said in asked().values() if not said.endswith(" hello")])
        self.assertEqual(before, self.accepted())
