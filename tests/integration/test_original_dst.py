# -*- test-case-name: tests.integration.test_original_dst -*-
"""
L{lproxy.transport.original_dst} against the kernel: iptables redirects, in a network namespace of its own.
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

#: listens at the first argument, connects to each of the others in turn, prints where each was going
PROGRAM = """
import json, socket, sys
from lproxy.transport.original_dst import original_dst

listen, *others = [tuple(json.loads(argument)) for argument in sys.argv[1:]]
family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
if listen[0] == "::":
    server = socket.create_server(listen, family=family, dualstack_ipv6=True)
else:
    server = socket.create_server(listen, family=family)
for other in others:
    with socket.create_connection(other, timeout=5), server.accept()[0] as accepted:
        print(json.dumps(original_dst(accepted)))
"""

#: addresses that exist nowhere, all of whose port 80 is redirected to ours
FOREIGN4, FOREIGN6 = "10.99.99.9", "fd00:9::9"
PORT = 5000


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)


class OriginalDstTests(SynchronousTestCase):
    """Connections that iptables redirects to us."""

    def setUp(self) -> None:
        require("ip", "iptables", "ip6tables", root=True)
        self.namespace = f"lproxy-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        made = run("ip", "netns", "add", self.namespace)
        if made.returncode:
            missing(f"no network namespace: {made.stderr.strip()}")
        self.addCleanup(run, "ip", "netns", "del", self.namespace)
        for line in (
            "ip link set lo up",
            f"ip route add local {FOREIGN4}/32 dev lo",
            f"ip -6 route add local {FOREIGN6}/128 dev lo",
            f"iptables -t nat -A OUTPUT -p tcp --dport 80 -j REDIRECT --to-ports {PORT}",
            f"ip6tables -t nat -A OUTPUT -p tcp --dport 80 -j REDIRECT --to-ports {PORT}",
        ):
            done = self.inside(*line.split())
            if done.returncode:
                missing(f"{line}: {done.stderr.strip()}")

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run C{command} in the namespace."""
        return run("ip", "netns", "exec", self.namespace, *command)

    def original(self, listen: str, *others: tuple[str, int]) -> list[object]:
        """What a server at C{listen} is told about connections to C{others}."""
        addresses = [json.dumps(address) for address in ((listen, PORT), *others)]
        done = self.inside(sys.executable, "-c", PROGRAM, *addresses)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_ipv4(self) -> None:
        """An IPv4 socket tells where a redirected connection was going, and that a direct one was not redirected."""
        told = self.original("127.0.0.1", (FOREIGN4, 80), ("127.0.0.1", PORT), ("127.0.0.1", 80))
        self.assertEqual([[FOREIGN4, 80], None, ["127.0.0.1", 80]], told)

    def test_ipv6(self) -> None:
        """So does an IPv6 socket."""
        told = self.original("::1", (FOREIGN6, 80), ("::1", PORT), ("::1", 80))
        self.assertEqual([[FOREIGN6, 80], None, ["::1", 80]], told)

    def test_dual_stack(self) -> None:
        """So does a socket of both families, in plain IPv4 where the connection is IPv4."""
        told = self.original("::", (FOREIGN4, 80), (FOREIGN6, 80), ("127.0.0.1", PORT), ("::1", PORT))
        self.assertEqual([[FOREIGN4, 80], [FOREIGN6, 80], None, None], told)
