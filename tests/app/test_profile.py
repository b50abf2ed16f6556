# -*- test-case-name: tests.app.test_profile -*-
"""
Sampling the proxy from inside, and the port that commands it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web import server

from lproxy.app import profile
from lproxy.app.profile import OTHERS, ProfilePort, Sampler, profile_site
from lproxy.app.service import CannotStart
from tests.app.test_admin import AdminCase
from tests.floors_source import ROOT


def inner(sampler: Sampler) -> None:
    """Called by L{outer}."""
    sampler._tick(signal.SIGPROF, sys._getframe())


def outer(sampler: Sampler) -> None:
    """Calls L{inner}."""
    inner(sampler)


class SamplerTests(SynchronousTestCase):
    """What is counted, with a CPU that uses the time it is told to."""

    def setUp(self) -> None:
        self.done: list[Any] = []
        self.patch(signal, "signal", lambda number, handler: self.done.append(handler))
        self.patch(signal, "siginterrupt", lambda *args: None)
        self.patch(signal, "setitimer", lambda *args: self.done.append(args))
        self.used = 0
        self.sampler = Sampler(lambda: self.used)

    def tick(self, microseconds: int, call: Any = outer) -> None:
        """A tick inside C{call}, after so much CPU time."""
        self.used += microseconds * 1000
        call(self.sampler)

    def lines(self) -> dict[str, int]:
        """The folded stacks, from the first function of this file on."""
        folded = (line.rpartition(" ") for line in self.sampler.folded().splitlines())
        return {stack.partition(".tick;")[2]: int(us) for stack, _, us in folded}

    def test_folded(self) -> None:
        """A stack is a line, outermost call first, with the CPU time of all its ticks: late ones weigh more."""
        self.sampler.start()
        self.tick(5_000)
        self.tick(20_000)
        self.tick(1_000, inner)
        here = __name__
        self.assertEqual({f"{here}:outer;{here}:inner": 25_000, f"{here}:inner": 1_000}, self.lines())

    def test_stats(self) -> None:
        """A function's own time, and with what it calls, where it counts once however often it stands there."""
        self.sampler.start()
        self.tick(5_000)
        self.tick(1_000, inner)
        stats = self.sampler.stats()
        self.assertEqual((True, 2, 6_000, 2), tuple(stats[key] for key in ("running", "samples", "cpu_us", "stacks")))
        self.assertEqual([{"name": f"{__name__}:inner", "self_us": 6_000, "total_us": 6_000}], stats["functions"])
        json.dumps(stats)

    def test_start_stop(self) -> None:
        """The kernel's timer runs between start and stop only; a last tick that is on its way then does no harm."""
        self.assertEqual([], self.done)
        self.sampler.start()
        self.assertEqual([self.sampler._tick, (signal.ITIMER_PROF, 1 / profile.RATE, 1 / profile.RATE)], self.done)
        self.done.clear()
        self.sampler.stop()
        self.sampler.stop()
        self.assertEqual([(signal.ITIMER_PROF, 0), signal.SIG_IGN], self.done)
        self.tick(5_000)
        self.assertEqual({}, self.lines())

    def test_anew(self) -> None:
        """What is found stays when it stops, and is forgotten when it starts again."""
        self.sampler.start()
        self.tick(5_000)
        self.sampler.stop()
        self.assertEqual([5_000], list(self.lines().values()))
        self.used += 10**9
        self.sampler.start()
        self.assertEqual({}, self.lines())
        self.tick(1_000)
        self.assertEqual([1_000], list(self.lines().values()), "the time in between is not counted")

    def test_bounded(self) -> None:
        """However many stacks there are, so many are kept and the others' time is not lost; nor is a deep stack kept
        whole."""
        self.patch(profile, "STACKS", 1)
        self.patch(profile, "DEPTH", 2)
        self.sampler.start()
        self.tick(5_000)
        self.tick(1_000, inner)
        self.tick(2_000)
        here = __name__
        self.assertEqual(f"{OTHERS} 1000\n{here}:outer;{here}:inner 7000", self.sampler.folded())

    def test_while_reading(self) -> None:
        """A tick may come while the stacks are read."""
        self.sampler.start()
        self.tick(5_000)
        found = self.sampler._found

        class Interrupted(dict[int, tuple[object, str]]):
            def __getitem__(_, key: int) -> tuple[object, str]:
                found[tuple(range(len(found) + 5))] = 1
                return dict.__getitem__(_, key)

        self.sampler._names = Interrupted(self.sampler._names)
        self.assertEqual([5_000], list(self.lines().values()))


class RealTimerTests(SynchronousTestCase):
    """The kernel's timer."""

    def test_busy(self) -> None:
        """Work is seen under its name and about as long as it took; sleep is not seen."""
        before = signal.getsignal(signal.SIGPROF)
        self.addCleanup(signal.signal, signal.SIGPROF, before)
        sampler = Sampler()
        self.addCleanup(sampler.stop)

        def work() -> None:
            until = time.process_time() + 0.3
            while time.process_time() < until:
                sum(range(100))

        sampler.start()
        time.sleep(0.2)
        work()
        sampler.stop()
        mine = [one for one in sampler.stats()["functions"] if one["name"].endswith("test_busy.<locals>.work")]
        self.assertEqual(1, len(mine))
        self.assertTrue(150_000 < mine[0]["total_us"] < 450_000, mine)


class SiteTests(AdminCase):
    """The commands."""

    def setUp(self) -> None:
        self.sampler = Sampler(lambda: 0)
        self.acts: list[str] = []
        self.patch(self.sampler, "start", lambda: self.acts.append("start"))
        self.patch(self.sampler, "stop", lambda: self.acts.append("stop"))
        self.patch(self.sampler, "folded", lambda: "a;b 5")
        super().setUp()

    def make(self, settings: Any, host: str) -> Any:
        """In place of the admin server's."""
        site = profile_site(self.sampler, lambda: self.acts.append("shutdown"))
        site.reactor = self.clock
        return site

    def test_commands(self) -> None:
        """Start, stop with the stacks, stacks, stats, a page that says so."""
        self.assertEqual((200, "sampling\n"), self.said("POST /start"))
        self.assertEqual((200, "a;b 5\n"), self.said("GET /stacks"))
        self.assertEqual((200, "a;b 5\n"), self.said("POST /stop"))
        self.assertEqual(["start", "stop"], self.acts)
        self.assertEqual(0, json.loads(self.said("GET /stats")[1])["samples"])
        status, text = self.said("GET /")
        self.assertEqual((200, 5), (status, len(re.findall(r"^(GET|POST) /\w+", text, re.MULTILINE))))

    def said(self, request: str) -> tuple[int, str]:
        answer = self.ask(request)
        return answer.status, answer.text

    def test_protected(self) -> None:
        """As on the admin server: by POST only, not from another machine, a web page or under a name made up."""
        for name in ("start", "stop", "quit"):
            for status, answer in (
                (405, self.ask(f"GET /{name}")),
                (403, self.ask(f"POST /{name}", peer="192.0.2.1")),
                (403, self.ask(f"POST /{name}", "Origin: http://evil.example")),
                (403, self.ask(f"POST /{name}", host="evil.example")),
            ):
                self.assertEqual(status, answer.status)
        self.assertEqual([], self.acts)


class FakeRequest:
    """What is written."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def write(self, data: bytes) -> None:
        self.calls.append(data)

    def unregisterProducer(self) -> None:
        self.calls.append("unregister")

    def finish(self) -> None:
        self.calls.append("finish")


class LastWordsTests(SynchronousTestCase):
    """The answer that ends the proxy."""

    def test_whole(self) -> None:
        """Nothing ends before the last piece has gone."""
        request, content = FakeRequest(), bytes(range(256)) * 600
        words = profile._LastWords(request, content, lambda: request.calls.append("shutdown"))
        for n in (1, 2, 3):
            words.resumeProducing()
            self.assertEqual(n, len(request.calls))
        self.assertEqual(content, b"".join(request.calls))
        words.resumeProducing()
        self.assertEqual(["unregister", "finish", "shutdown"], request.calls[3:])

    def test_gone(self) -> None:
        """A client that does not wait for the answer has told the proxy to end all the same."""
        request = FakeRequest()
        profile._LastWords(request, b"x", lambda: request.calls.append("shutdown")).stopProducing()
        self.assertEqual(["shutdown"], request.calls)


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
