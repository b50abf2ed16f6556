# -*- test-case-name: tests.integration.test_workers -*-
"""
Two workers and their supervisor as real processes, under clients that count.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

from tests.integration.counting import Counting
from tests.integration.test_twistd import TWIST, TWISTD, ProcessTestCase, Proxy, eventually, request

WORKERS = "workers = 2\n"


def children(pid: int) -> set[int]:
    """The processes that C{pid} has started."""
    return {int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def gone(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return False
    return True


class WorkersTestCase(ProcessTestCase):
    """Processes, of which none is left whatever became of the test: those of a takeover are nobody's children."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.sweep)

    def sweep(self) -> None:
        """End whoever was started with a file of this test's own folder."""
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self.home).encode() in (place / "cmdline").read_bytes():
                    os.kill(int(place.name), signal.SIGKILL)

    def start(self, more: str = "", command: tuple[str, ...] = (*TWISTD, "-n", "--pidfile=")) -> Proxy:
        proxy = Proxy(self, self.home, WORKERS + self.config(more), command)
        self.addCleanup(self.end_all, proxy)
        eventually(lambda: proxy.out.count(" serves") == 2, "two workers")
        return proxy

    def end_all(self, proxy: Proxy) -> None:
        """Whatever is left of it."""
        with contextlib.suppress(OSError):
            for pid in children(proxy.process.pid):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def workers(self, proxy: Proxy) -> set[int]:
        """Both of them."""
        return {int(pid) for pid in eventually(lambda: self._two(proxy), "two workers")}

    def _two(self, proxy: Proxy) -> set[int] | None:
        found = children(proxy.process.pid)
        return found if len(found) == 2 else None


class StartTests(WorkersTestCase):
    """How they are started and ended."""

    def test_everywhere(self) -> None:
        """twistd and twist start two workers behind one address; SIGTERM ends all of them, status 0."""
        for number, command in enumerate(((*TWISTD, "-n", "--pidfile="), TWIST)):
            home = self.home / str(number)
            home.mkdir()
            proxy = Proxy(self, home, WORKERS + self.config(), command)
            workers = self.workers(proxy)
            self.carries(proxy)
            status = Path(f"/proc/{proxy.process.pid}/status").read_text()
            self.assertLess(int(status.partition("VmRSS:")[2].split()[0]), 25_000)
            proxy.signal(signal.SIGTERM)
            self.assertEqual(0, proxy.status())
            self.assertEqual([True, True], [gone(pid) for pid in workers])
            self.no_traceback(proxy.out, proxy.err)

    def test_ctrl_c(self) -> None:
        """Ctrl-C, which every process of the terminal's gets, drains as SIGTERM does."""
        proxy = self.start()
        slow: list[tuple[int, str]] = []
        thread = threading.Thread(target=lambda: slow.append(request(proxy.ports["web"], "/slow/0.5", "web.local")))
        thread.start()
        time.sleep(0.2)
        for pid in (proxy.process.pid, *self.workers(proxy)):
            if os.getpgid(pid) == os.getpgid(proxy.process.pid):
                os.kill(pid, signal.SIGINT)
        thread.join()
        self.assertEqual([(200, "web.local /slow/0.5")], slow)
        self.assertEqual(0, proxy.status())

    def test_taken(self) -> None:
        """An address that somebody has keeps all of it from starting, though it is another lproxy with workers."""
        proxy = self.start()
        text = WORKERS + self.config().replace('"127.0.0.1:0"', f'"127.0.0.1:{proxy.ports["web"]}"', 1)
        home = self.home / "second"
        home.mkdir()
        second = Proxy(self, home, text, wait=False)
        self.assertEqual(1, second.status())
        self.assertRegex(second.err, r"lproxy: \w+: cannot listen on 127.0.0.1:\d+: Address already in use")

    def test_rates(self) -> None:
        """Of what there may be each has its part: wherever clients connect, there is no more than the whole."""
        rates = 'rates = [{ requests = 20, per = "1h" }]'
        text = self.config().replace('name = "web"\n', f'name = "web"\n{rates}\n')
        self.assertIn(rates, text)
        proxy = Proxy(self, self.home, WORKERS + text)
        self.addCleanup(self.end_all, proxy)
        self.workers(proxy)
        statuses = [request(proxy.ports["web"], "/", "web.local")[0] for _ in range(60)]
        self.assertTrue(10 <= statuses.count(200) <= 20, statuses)
        self.assertEqual({200, 429}, set(statuses))

    def test_daemon(self) -> None:
        """As a daemon: one file has everybody's log, SIGUSR1 begins it anew, and the pidfile goes at the end."""
        path = self.home / "lproxy.toml"
        path.write_text(WORKERS + self.config())
        log, pidfile = self.home / "twistd.log", self.home / "twistd.pid"
        program = Proxy(self, self.home, path.read_text(), TWISTD, log=log.read_text, wait=False)
        self.assertEqual(0, program.status(), program.err)
        program.up()
        pid = int(pidfile.read_text())
        self.addCleanup(self.end_daemon, pid)
        self.assertEqual(2, len(children(pid)))
        self.carries(program)
        os.kill(pid, signal.SIGUSR1)
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: gone(pid), "its end")
        self.assertFalse(pidfile.exists())
        self.assertEqual(3, log.read_text().count("serves") + 1)
        self.no_traceback(log.read_text())

    def end_daemon(self, pid: int) -> None:
        if not gone(pid):
            for one in (*children(pid), pid):
                os.kill(one, signal.SIGKILL)


class AdminTests(WorkersTestCase):
    """One admin server for all."""

    def test_sum(self) -> None:
        """
        It shows the sum of both, which does not fall when one is killed; one that hangs is named within a second, and
        replaced; a reload and a log level are both's.
        """
        proxy = self.start('[timeouts]\nworker = "3s"\n')
        path = self.home / "lproxy.toml"
        for number in range(40):
            self.assertEqual(200, request(proxy.ports["web"], f"/{number}", "web.local")[0])
        total = 'request_total{direction="outbound",listener="web",authority="web.local",tls="false"}'
        self.assertEqual(40, proxy.metric(total))
        victim, other = sorted(self.workers(proxy))
        os.kill(victim, signal.SIGKILL)
        self.assertEqual(40, proxy.metric(total))
        eventually(lambda: proxy.get("/ready")[0] == 200 and proxy.out.count(" serves") == 3, "its successor")
        self.assertEqual(40, proxy.metric(total))
        self.assertEqual(1, sum(row["restarts"]["died"] for row in proxy.json("/workers")))
        os.kill(other, signal.SIGSTOP)
        eventually(lambda: proxy.get("/ready") != (200, "ready\n"), "a proxy that knows")
        self.assertRegex(proxy.get("/ready")[1], r"^worker \d is (silent|hung)\n$")
        eventually(lambda: proxy.out.count(" serves") == 4, "another in its place")
        self.assertIn("hangs, for", proxy.out)
        eventually(lambda: proxy.get("/ready")[0] == 200, "both")
        self.assertGreaterEqual(proxy.metric(total), 40)
        with socket.create_connection(("127.0.0.1", proxy.ports["echo"])) as client:
            client.sendall(b"x")
            client.recv(1)
            self.assertEqual(1, len(proxy.json("/connections")))
            self.assertIn("worker", proxy.json("/connections")[0])
        self.assertIn("takeover", proxy.json("/config")["live"])
        self.assertTrue(path.exists())


class LossTests(WorkersTestCase):
    """What is lost, and what is not."""

    def test_killed(self) -> None:
        """
        A worker is killed again and again: nobody is refused, requests are lost only where one was under way in it,
        and in the end as many processes and descriptors are there as before.
        """
        proxy = self.start()
        before = self.workers(proxy)
        descriptors = len(os.listdir(f"/proc/{proxy.process.pid}/fd"))
        client = Counting(proxy.ports["web"], 4)
        with client:
            for number in range(4):
                time.sleep(0.4)
                victim = sorted(self.workers(proxy))[number % 2]
                os.kill(victim, signal.SIGKILL)
                eventually(lambda victim=victim: gone(victim), "its end")
                eventually(lambda n=number: proxy.out.count(" serves") >= 3 + n, "its successor")
        self.assertEqual(0, client.refused)
        self.assertGreater(client.answered, 100)
        self.assertLessEqual(client.lost, 4 * 4)
        self.assertEqual(0, client.wrong)
        after = self.workers(proxy)
        self.assertEqual(set(), before & after)
        self.assertEqual(descriptors, len(os.listdir(f"/proc/{proxy.process.pid}/fd")))

    def test_supervisor_killed(self) -> None:
        """A supervisor that is killed leaves nobody behind, and what is under way is finished."""
        proxy = self.start()
        workers = self.workers(proxy)
        answers: list[tuple[int, str]] = []
        thread = threading.Thread(target=lambda: answers.append(request(proxy.ports["web"], "/slow/2", "web.local")))
        thread.start()
        time.sleep(1.0)
        proxy.kill()
        for pid in workers:
            eventually(lambda pid=pid: gone(pid), "its end")
        thread.join()
        self.assertEqual([(200, "web.local /slow/2")], answers)

    def test_reload(self) -> None:
        """SIGHUP has all of them serve by the new file; a bad one changes nothing, for whoever starts later, too."""
        proxy = self.start()
        path = self.home / "lproxy.toml"
        good = path.read_text()
        path.write_text(good.replace("web.local:80", "other.local:80"))
        proxy.signal(signal.SIGHUP)
        eventually(lambda: len(re.findall("reload: .* is live$", proxy.out, re.M)) == 2, "a reload")
        for _ in range(10):
            self.assertEqual((200, "other.local /x"), request(proxy.ports["web"], "/x", "other.local"))
        path.write_text("nonsense")
        proxy.signal(signal.SIGHUP)
        eventually(lambda: "is refused, and what was live stays so" in proxy.out, "a refusal")
        os.kill(min(self.workers(proxy)), signal.SIGKILL)
        eventually(lambda: proxy.out.count(" serves") == 3, "a successor")
        for _ in range(10):
            self.assertEqual((200, "other.local /x"), request(proxy.ports["web"], "/x", "other.local"))

    def test_unix(self) -> None:
        """A UNIX socket cannot be bound twice: workers share it, and its file goes with the last of them."""
        path = self.home / "socket"
        more = f'[[listen]]\nname = "local"\naddress = "unix:{path}"\ntarget = "service:web.local:80"\n'
        text = WORKERS + self.config(more)
        proxy = Proxy(self, self.home, text, wait=False)
        eventually(lambda: proxy.out.count(" serves") == 2, "two workers")
        for _ in range(8):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(5)
                client.connect(str(path))
                client.sendall(b"GET /u HTTP/1.1\r\nHost: web.local\r\nConnection: close\r\n\r\n")
                self.assertTrue(client.recv(1000).startswith(b"HTTP/1.1 200"))
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.status())
        self.assertFalse(path.exists())
