# -*- test-case-name: tests.integration.test_sidecar -*-
"""
lproxy as a sidecar: an application's connections are redirected by iptables, in a network namespace of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid

from twisted.trial.unittest import SynchronousTestCase

from tests.components import missing, require
from tests.floors_source import ROOT

#: runs in the namespace, as root: upstreams on foreign addresses, the proxy, and as another user the application
PROGRAM = '''
import http.client, http.server, json, os, socket, subprocess, sys, tempfile, threading, time, urllib.request

FOREIGN = json.loads(sys.argv[1])

def serve(family, address, speak_first):
    server = socket.create_server((address, 25 if speak_first else 7), family=family)
    def run():
        while True:
            connection, _ = server.accept()
            if speak_first:
                connection.sendall(b"220 hello\\r\\n")
            while data := connection.recv(65536):
                connection.sendall(data)
            connection.close()
    threading.Thread(target=run, daemon=True).start()

class Hello(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = f"{self.server.server_address[0]} {self.headers['Host']} {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

class Server6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6

for address in FOREIGN:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    serve(family, address, False)
    serve(family, address, True)
    kind = Server6 if ":" in address else http.server.ThreadingHTTPServer
    threading.Thread(target=kind((address, 80), Hello).serve_forever, daemon=True).start()

config = tempfile.NamedTemporaryFile("w", suffix=".toml")
config.write("""
[[listen]]
name = "outbound"
address = "[::]:4140"
target = "authority"
[services."named.local:80"]
endpoints = ["10.99.99.9:80"]
[timeouts]
detect = "5s"
""")
config.flush()
proxy = subprocess.Popen([sys.executable, "-m", "twisted", "lproxy", "--config", config.name], stdout=sys.stderr)
try:
    for _ in range(100):
        try:
            urllib.request.urlopen("http://127.0.0.1:4191/ready", timeout=1)
            break
        except OSError:
            time.sleep(0.1)
    told = os.pipe()
    application = os.fork()
    if not application:
        os.setgid(65534)
        os.setuid(65534)
        out = {}
        for address in FOREIGN:
            client = http.client.HTTPConnection(address, 80, timeout=5)
            client.request("GET", "/original", headers={"Host": address if ":" not in address else f"[{address}]"})
            out[f"http {address}"] = client.getresponse().read().decode()
            client.request("GET", "/named", headers={"Host": "named.local"})
            out[f"named {address}"] = client.getresponse().read().decode()
            with socket.create_connection((address, 7), 5) as echo:
                echo.sendall(b"\\x00binary")
                out[f"echo {address}"] = echo.recv(100).decode()
            with socket.create_connection((address, 25), 5) as mail:
                began = time.monotonic()
                out[f"greeting {address}"] = mail.recv(100).decode()
                out[f"waited {address}"] = time.monotonic() - began
        os.write(told[1], json.dumps(out).encode())
        os._exit(0)
    os.waitpid(application, 0)
    out = json.loads(os.read(told[0], 65536))
    metrics = urllib.request.urlopen("http://127.0.0.1:4191/metrics", timeout=5).read().decode()
    out["metrics"] = [line for line in metrics.splitlines() if line.startswith(("tcp_open_total", "detect_total"))]
    print(json.dumps(out))
finally:
    proxy.terminate()
    proxy.wait(10)
'''

FOREIGN4, FOREIGN6 = "10.99.99.9", "fd00:9::9"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


class SidecarTests(SynchronousTestCase):
    """Everything that user nobody sends goes through the proxy, whatever its address."""

    def test_redirected(self) -> None:
        """
        Over IPv4 and IPv6, HTTP goes by its Host where that is a service and to the original destination where it is
        an address; bytes go to the original destination; a server that speaks first is not waited out.
        """
        require("ip", "iptables", "ip6tables", root=True)
        namespace = f"lproxy-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        made = run("ip", "netns", "add", namespace)
        if made.returncode:
            missing(f"no network namespace: {made.stderr.strip()}")
        self.addCleanup(run, "ip", "netns", "del", namespace)
        inside = ("ip", "netns", "exec", namespace)
        for line in (
            "ip link set lo up",
            f"ip addr add {FOREIGN4}/32 dev lo",
            f"ip addr add {FOREIGN6}/128 dev lo nodad",
            "iptables -t nat -A OUTPUT -p tcp -m owner --uid-owner 65534 -j REDIRECT --to-ports 4140",
            "ip6tables -t nat -A OUTPUT -p tcp -m owner --uid-owner 65534 -j REDIRECT --to-ports 4140",
        ):
            done = run(*inside, *line.split())
            if done.returncode:
                missing(f"{line}: {done.stderr.strip()}")
        done = run(*inside, sys.executable, "-c", PROGRAM, json.dumps([FOREIGN4, FOREIGN6]))
        self.assertEqual(0, done.returncode, done.stderr[-3000:])
        self.assertNotIn("Traceback", done.stderr)
        told = json.loads(done.stdout.splitlines()[-1])
        for address in (FOREIGN4, FOREIGN6):
            shown = f"[{address}]" if ":" in address else address
            self.assertEqual(f"{address} {shown} /original", told[f"http {address}"])
            self.assertEqual(f"{FOREIGN4} named.local /named", told[f"named {address}"])
            self.assertEqual("\x00binary", told[f"echo {address}"])
            self.assertEqual("220 hello\r\n", told[f"greeting {address}"])
            # far from timeouts.detect, which it would be if the proxy waited for the client
            self.assertLess(told[f"waited {address}"], 2.5)
            accepted = [line for line in told["metrics"] if 'peer="src"' in line and f'dst_addr="{shown}:25"' in line]
            self.assertEqual(1, len(accepted), "the accepter that metrics name is the one that was meant")
        self.assertIn('detect_total{listener="outbound",result="server_first"} 2', told["metrics"])
