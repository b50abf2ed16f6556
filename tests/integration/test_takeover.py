# -*- test-case-name: tests.integration.test_takeover -*-
"""
One lproxy takes the place of another, as real processes, under clients that count.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path

from tests.integration.counting import Counting
from tests.integration.test_twistd import LPROXY, TWISTD, Program, Proxy, eventually, request
from tests.integration.test_workers import WORKERS, WorkersTestCase, children, gone


class TakeoverTests(WorkersTestCase):
    """A gap that is not there."""

    def take(self, proxy: Proxy, config: str | None = None, status: int | None = None) -> Program:
        """Another one, which takes the place of that at C{proxy}'s admin server."""
        path = self.home / "lproxy.toml"
        if config is not None:
            path.write_text(config)
        admin = f"127.0.0.1:{proxy.admin}"
        program = Program(self, self.home, *LPROXY, "run", str(path), "--takeover", admin)
        self.addCleanup(self.end_program, program)
        return program

    def end_program(self, program: Program) -> None:
        if program.process.poll() is None:
            program.signal(signal.SIGTERM)
            program.signal(signal.SIGTERM)
            program.status()

    def test_again_and_again(self) -> None:
        """
        One process by another, by two workers, by two others, and by one: nobody is refused, no request is lost, and
        each one that was taken the place of ends well.
        """
        proxy = Proxy(self, self.home, self.config(), (*TWISTD, "-n", "--pidfile="))
        one, several = self.config(), WORKERS + self.config()
        programs: list[Program] = [proxy]
        with Counting(proxy.ports["web"], 4) as client:
            for config in (one, several, several, one):
                time.sleep(0.2)
                programs.append(self.take(proxy, config))
                eventually(lambda: re.search("we have taken over", programs[-1].out), "a takeover")
                self.assertEqual(0, programs[-2].status())
            time.sleep(0.2)
        self.assertEqual((0, 0, 0), (client.refused, client.lost, client.wrong))
        self.assertGreater(client.answered, 100)
        self.assertEqual("ready\n", proxy.get("/ready")[1])
        for program in programs:
            self.no_traceback(program.out, program.err)

    def test_finishes(self) -> None:
        """What was under way is finished by the old one, while the new one serves others, by its own file."""
        proxy = Proxy(self, self.home, self.config(), (*TWISTD, "-n", "--pidfile="))
        slow: list[tuple[int, str]] = []
        thread = threading.Thread(target=lambda: slow.append(request(proxy.ports["web"], "/slow/3", "web.local")))
        thread.start()
        time.sleep(0.2)
        program = self.take(proxy, self.config(f'[services."new.local:80"]\nendpoints = ["127.0.0.1:{self.web}"]\n'))
        eventually(lambda: "we have taken over" in program.out, "a takeover")
        self.assertEqual((200, "new.local /x"), request(proxy.ports["web"], "/x", "new.local"))
        self.assertIsNone(proxy.process.poll())
        thread.join()
        self.assertEqual([(200, "web.local /slow/3")], slow)
        self.assertEqual(0, proxy.status())

    def test_fails(self) -> None:
        """A new one that cannot start leaves the old one in charge, says why, and its status tells."""
        proxy = self.start()
        for config, says in (
            ("nonsense", "not started"),
            (self.config('[access_log]\npath = "/nowhere/log"\n'), "access_log.path"),
            (WORKERS + self.config('[access_log]\npath = "/nowhere/log"\n'), "access_log.path"),
        ):
            program = self.take(proxy, config)
            self.assertNotEqual(0, program.status())
            self.assertIn(says, program.err)
            self.carries(proxy)
            self.assertEqual("ready\n", proxy.get("/ready")[1])

    def test_nobody(self) -> None:
        """Where nobody is whose place could be taken, that is said."""
        (self.home / "lproxy.toml").write_text(self.config())
        program = Program(self, self.home, *LPROXY, "run", str(self.home / "lproxy.toml"), "--takeover", "127.0.0.1:1")
        self.assertEqual(1, program.status())
        self.assertIn("lproxy: 127.0.0.1:1 cannot be asked where it hands over", program.err)

    def test_signal(self) -> None:
        """SIGUSR2 has a daemon followed by another: the pidfile names that one, and the same file has its log."""
        for name, workers in (("one", ""), ("several", WORKERS)):
            home = self.home / name
            home.mkdir()
            self._signal(home, workers + self.config())

    def _signal(self, home: Path, config: str) -> None:
        log, pidfile = home / "twistd.log", home / "twistd.pid"
        proxy = Proxy(self, home, config, TWISTD, log=log.read_text, wait=False)
        self.assertEqual(0, proxy.status(), proxy.err)
        proxy.up()
        pid = int(pidfile.read_text())

        def another() -> int:
            found = int(pidfile.read_text() or 0) if pidfile.exists() else 0
            return found if found != pid else 0

        with Counting(proxy.ports["web"], 2) as client:
            for _ in range(2):
                os.kill(pid, signal.SIGUSR2)
                before, pid = pid, eventually(another, "another")
                eventually(lambda before=before: gone(before), "the end of the old one")
        self.assertEqual((0, 0, 0), (client.refused, client.lost, client.wrong))
        self.carries(proxy)
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: gone(pid), "its end")
        self.assertFalse(pidfile.exists())
        self.no_traceback(log.read_text())

    def test_processes(self) -> None:
        """After some of them there are as many processes and descriptors as before the first."""
        proxy = self.start()
        pid = proxy.process.pid
        counts = []
        for number in range(3):
            workers = sorted(children(pid))
            counts.append((len(workers), *(len(os.listdir(f"/proc/{one}/fd")) for one in (pid, *workers))))
            os.kill(pid, signal.SIGUSR2)
            before, pid = pid, int(eventually(lambda n=number: self.successor(proxy, n + 1), "another"))
            eventually(lambda before=before: gone(before) or before == proxy.process.pid, "the end of the old one")
            self.addCleanup(self.end_pid, pid)
        # the first was started by somebody else, with descriptors of his
        self.assertEqual(counts[1], counts[2])

    def successor(self, proxy: Proxy, number: int) -> str | None:
        found = re.findall(r"process (\d+) serves in our place", proxy.out)
        return found[number - 1] if len(found) >= number and proxy.out.count("have taken over") >= number else None

    def end_pid(self, pid: int) -> None:
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGTERM)
            eventually(lambda: gone(pid), "its end")
