# -*- test-case-name: tests.integration.test_demo -*-
"""
C{lproxy demo}: the first minute with lproxy.
"""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.demo import echo_command
from tests.components import require
from tests.floors_source import ROOT
from tests.integration.test_twistd import LPROXY, ProcessTestCase, Program, eventually, request

#: where the embedded defaults are, which the demo prefers
PREFERRED = (4140, 4143, 4144, 4191)


class EchoTests(SynchronousTestCase):
    """The command that says hello to the echo."""

    def test_with_nc(self) -> None:
        """It is nc, where that is installed."""
        self.assertEqual("printf 'hello\\n' | nc -q1 127.0.0.1 4144", echo_command("127.0.0.1:4144", "/bin/nc"))

    def test_without_nc(self) -> None:
        """Where it is not, Python does, as it stands there."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            command = echo_command(f"127.0.0.1:{server.getsockname()[1]}", None)
            said = subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, text=True)
            client, _ = server.accept()
            with client:
                client.sendall(client.recv(100))
        self.assertEqual(("hello\n", None), said.communicate(timeout=10))


class DemoTests(ProcessTestCase):
    """What it prints is so."""

    def demo(self, *options: str) -> Program:
        """A demo that has said what it has to say."""
        program = Program(self, self.home, *LPROXY, "demo", *options, PYTHONUNBUFFERED="")
        eventually(lambda: "Ctrl-C ends it." in program.out or program.process.poll() is not None, "a demo that runs")
        return program

    def admin(self, program: Program) -> int:
        """The port of its admin server."""
        found = re.search(r"http://127\.0\.0\.1:(\d+)/metrics", program.out)
        assert found is not None, program.out
        return int(found[1])

    def test_once(self) -> None:
        """With --once it prints what its little traffic met, by whom it was answered, and ends with status 0."""
        program = self.demo("--once")
        self.assertEqual(0, program.status())
        for n in range(4):
            self.assertRegex(program.out, rf"GET http://web.local/{n} +200 hello from endpoint [12]: GET /{n}\n")
        self.assertRegex(program.out, r"GET http://nobody.invalid/ +404 resolve: nobody.invalid:80 does not exist")
        self.assertRegex(program.out, r"TCP to the echo +'bytes of no protocol' came back\n")
        columns = [re.match(r"  (?:GET \S+|TCP to the echo) +", line) for line in program.out.splitlines()]
        self.assertEqual(1, len({column.end() for column in columns if column}), "the outcomes are one below the other")
        self.assertTrue(self.admin(program))
        self.assertNotIn("Ctrl-C", program.out)
        self.no_traceback(program.out, program.err)

    def test_identity(self) -> None:
        """
        With --identity two proxies talk by mutual TLS, and both names are in the metrics of each; who is not let in is
        told why. What it prints to be tried works as it stands.
        """
        require("curl")
        program = self.demo("--identity")
        self.assertRegex(program.out, r"by way of both +200 hello from the application: GET /\n")
        self.assertRegex(program.out, r"without the first +403 policy: listener app is only for clients that prove")
        self.assertRegex(program.out, r"whom app is not +502 tls: 127.0.0.1:\d+ TLS handshake failed")
        self.assertRegex(program.out, r"TCP to the echo +'bytes of no protocol' came back\n")
        web, app = "web.demo.mesh", "app.demo.mesh"
        for name, remote, local in (("web", app, web), ("app", web, app)):
            for protocol in ("http", "tcp"):
                self.assertRegex(
                    program.out,
                    rf'  {name}: tcp_open_total{{.*tls="true",remote_identity="{remote}",local_identity="{local}",'
                    rf'protocol="{protocol}"}} 1\n',
                )
        commands = re.findall(r"^  ((?:curl|python3|lproxy) .*)$", program.out, re.MULTILINE)
        said = []
        for command in commands:
            command = command.replace("lproxy ", f"{' '.join(LPROXY)} ", 1) if command[:7] == "lproxy " else command
            said.append(subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=20, cwd=ROOT))
        self.assertEqual([0] * 5, [one.returncode for one in said], said)
        through, echo, stranger, shown, denied = (one.stdout for one in said)
        self.assertEqual("hello from the application: GET /anything\n", through)
        self.assertEqual("hello\n", echo)
        self.assertRegex(stranger, r"\AHTTP/(1.1|2) 403(?s:.*)policy: listener app is not for stranger.demo.mesh")
        self.assertIn("stranger.demo.mesh", shown)
        self.assertIn('reason="identity_not_allowed"} 1', denied)
        program.signal(signal.SIGINT)
        self.assertEqual(0, program.status(10.0))
        self.no_traceback(program.out, program.err)

    def test_grpc(self) -> None:
        """With --grpc calls of all kinds go through, and are counted by what came of them."""
        require(packages=["grpc"])
        program = self.demo("--grpc", "--once")
        self.assertEqual(0, program.status(), program.out)
        for what, outcome in (
            ("Hello: one to one", "hello, world"),
            ("Count: one to many", "1, 2, 3, 4, 5"),
            ("Join: many to one", "a b c"),
            ("Echo: many to many", "ping, pong"),
            ("Wait, for 0.2 s", "DEADLINE_EXCEEDED: .*"),
            ("Nothing: no such method", "UNIMPLEMENTED: .*"),
        ):
            self.assertRegex(program.out, rf"  {what} +{outcome}\n")
        self.assertRegex(program.out, r'response_total{.*classification="success",.*grpc_status="0"} 4\n')
        self.assertRegex(program.out, r'response_total{.*classification="failure",.*grpc_status="12"} 1\n')
        self.no_traceback(program.out, program.err)

    def test_taken(self) -> None:
        """Where the default ports are taken it uses others."""
        with contextlib.ExitStack() as taken:
            for port in PREFERRED:
                with contextlib.suppress(OSError):  # somebody else's, which is as good
                    taken.enter_context(socket.create_server(("127.0.0.1", port)))
            program = self.demo("--once")
        self.assertEqual(0, program.status(), program.out)
        self.assertNotIn(self.admin(program), PREFERRED)
        for port in PREFERRED:
            self.assertNotRegex(program.out, rf":{port}\b")

    def test_running(self) -> None:
        """
        Without --once it runs on: the commands that it prints work as they stand, and the pages that it names are
        there. Ctrl-C ends it with status 0, promptly even while somebody is connected.
        """
        require("curl")
        program = self.demo()
        commands = re.findall(r"^  ((?:curl|printf|python3) .*)$", program.out, re.MULTILINE)
        said = [
            subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=10) for command in commands
        ]
        self.assertEqual([0] * 4, [one.returncode for one in said], said)
        direct, forward, nobody, echo = (one.stdout for one in said)
        self.assertRegex(direct, r"\Ahello from endpoint [12]: GET /anything\n\Z")
        self.assertRegex(forward, r"\Ahello from endpoint [12]: GET /as-a-forward-proxy\n\Z")
        self.assertRegex(nobody, r"\AHTTP/1.1 404 (?s:.*)nobody.invalid:80 does not exist")
        self.assertEqual("hello\n", echo)
        for page in re.findall(r"http://127\.0\.0\.1:\d+(/(?:services|connections|metrics)?) +\w", program.out):
            status, text = request(self.admin(program), page, "127.0.0.1")
            self.assertEqual(200, status)
            if page == "/services":
                self.assertIn("web.local:80", text, "it still shows what it did")
        port = re.search(r"127\.0\.0\.1\W+(\d+)", commands[-1]).group(1)  # type: ignore[union-attr]
        host = "127.0.0.1"
        with socket.create_connection((host, int(port)), 5) as raw:
            raw.sendall(b"\x01")
            self.assertEqual(b"\x01", raw.recv(1))
            self.assertIsNone(program.process.poll())
            program.signal(signal.SIGINT)
            self.assertEqual(0, program.status(4.0))
        self.no_traceback(program.out, program.err)
