# -*- test-case-name: tests.app.test_profiling -*-
"""
The port that commands the sampler: beside a proxy, and in a process of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web import server

from lproxy.app.profiling import ProfilePort
from lproxy.app.service import CannotStart
from tests.floors_source import ROOT


class PortTests(TestCase):
    """The port itself."""

    def test_taken(self) -> None:
        """A port that somebody has ends the start, and is named."""

        class Reactor:
            def listenTCP(self, port: int, factory: server.Site, interface: str) -> None:
                raise CannotListenError(interface, port, OSError(98, "Address already in use"))

        port = ProfilePort(4192, lambda: None, Reactor())
        error = self.assertRaises(CannotStart, port.startService)
        self.assertEqual("--profile-port: cannot listen on 127.0.0.1:4192: Address already in use", str(error))


CONFIG = """\
admin.address = ""
[[listen]]
name = "in"
address = "127.0.0.1:0"
target = "127.0.0.1:9"
"""


class ProcessTests(SynchronousTestCase):
    """The whole of it."""

    def test_whole(self) -> None:
        """Started, told to sample, told to quit: the answer has the stacks, and the process ends with status 0."""
        config = Path(self.mktemp())
        config.write_text(CONFIG)
        command = [sys.executable, "-m", "twisted", "--log-format=text", "lproxy", "--config", str(config.absolute())]
        process = subprocess.Popen(
            [*command, "--profile-port", "0"],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        said = []
        url = ""
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"profile port on (http://127\.0\.0\.1:\d+/)", line):
                url = found[1]
            if "Starting reactor" in line:
                break
        self.assertTrue(url, said)
        self.assertEqual("sampling\n", self.post(f"{url}start"))
        until = time.monotonic() + 20
        # its own answers are work, too
        while json.loads(self.post(f"{url}stats", None))["samples"] < 3 and time.monotonic() < until:
            pass
        stacks = self.post(f"{url}quit")
        self.assertRegex(stacks, r"(?m)^runpy:_run_module_as_main;.*ReactorBase\.mainLoop.* \d+$")
        self.assertEqual(0, process.wait(20))

    def post(self, url: str, body: bytes | None = b"") -> str:
        """What is answered; without a body it is a GET."""
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=20) as answer:
            text: str = answer.read().decode()
        return text
