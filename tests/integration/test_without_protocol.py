# -*- test-case-name: tests.integration.test_without_protocol -*-
"""
One protocol, one folder: what is left when one is deleted is a whole proxy.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.floors_source import ROOT

#: imports all that is left, runs a proxy with an upstream, and says what it answers to a client and on the admin server
PROGRAM = """
import importlib, json, pathlib, socket, sys, threading, urllib.request
root = pathlib.Path(sys.argv[1])
for path in sorted(root.glob("lproxy/**/*.py")):
    parts = path.relative_to(root).with_suffix("").parts
    if parts[-1] not in ("__main__", "__init__"):
        importlib.import_module(".".join(parts))
import lproxy
assert lproxy.__file__.startswith(str(root)), lproxy.__file__
from twisted.internet import reactor
from lproxy.app.plugins import find
from lproxy.app.service import Proxy
from lproxy.config import Admin, Config, Listen
upstream = socket.create_server(("127.0.0.1", 0))
told = {}

def echo():
    connection = upstream.accept()[0]
    connection.sendall(connection.recv(100).upper())
    connection.close()

def free():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]

def look():
    try:
        threading.Thread(target=echo, daemon=True).start()
        with socket.create_connection(("127.0.0.1", listen), 10) as client:
            client.sendall(b"\\x00hello")
            told["answer"] = client.recv(100).decode()
        for page in ("metrics", "plugins"):
            with urllib.request.urlopen(f"http://127.0.0.1:{admin}/{page}", timeout=10) as answer:
                told[page] = answer.read().decode()
    finally:
        reactor.callFromThread(reactor.stop)

listen, admin = free(), free()
target = "127.0.0.1:%d" % upstream.getsockname()[1]
config = Config(
    admin=Admin(address=f"127.0.0.1:{admin}"),
    listen=(Listen(name="in", address=f"127.0.0.1:{listen}", direction="inbound", target=target),),
)
proxy = Proxy(config, find(), reactor)
proxy.privilegedStartService()
proxy.startService()
reactor.addSystemEventTrigger("before", "shutdown", proxy.stopService)
reactor.callInThread(look)
reactor.run()
print(json.dumps(told))
"""


class DeletedTests(TestCase):
    """Of HTTP and Kafka, the one without the other."""

    timeout = 60

    async def deleted(self, name: str, *prefixes: str) -> None:
        """Without C{name}, TCP goes through, and no metric family begins with C{prefixes}."""
        home = Path(self.mktemp()).absolute()
        ignored = shutil.ignore_patterns("__pycache__", name, f"lproxy_{name}.py", "*.so")
        shutil.copytree(ROOT / "lproxy", home / "lproxy", ignore=ignored)
        self.assertFalse((home / "lproxy" / "protocols" / name).exists())
        done = await deferToThread(
            subprocess.run,
            [sys.executable, "-c", PROGRAM, str(home)],
            cwd=home,
            capture_output=True,
            text=True,
            timeout=50,
        )
        self.assertEqual(0, done.returncode, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual("\x00HELLO", told["answer"])
        self.assertEqual(
            {"http", "kafka", "tcp"} - {name},
            {row["name"] for row in json.loads(told["plugins"]) if "error" not in row},
        )
        self.assertIn('tcp_open_total{direction="inbound",peer="src"', told["metrics"])
        families = re.findall("^# TYPE ([^ ]+)", told["metrics"], re.MULTILINE)
        self.assertEqual([], [family for family in families if family.startswith(prefixes)])

    async def test_http(self) -> None:
        """HTTP, with its metric families."""
        await self.deleted("http", "request_total", "response_", "http_", "proxy_overhead")

    async def test_kafka(self) -> None:
        """Kafka, with its."""
        await self.deleted("kafka", "kafka_")
