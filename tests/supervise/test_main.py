# -*- test-case-name: tests.supervise.test_main -*-
"""
C{python -m lproxy.supervise}: a real supervisor over toy workers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.supervise.channel import pair
from lproxy.supervise.places import Places
from lproxy.supervise.spec import Spec
from tests.floors_source import ROOT

#: answers each connection with its process id; nothing but the supervisor's own library
WORKER = """
import os, selectors, socket, time
from lproxy.supervise.channel import Gone, connected
channel = connected(int(os.environ["LPROXY_WORKER"]))
channel.send({"do": "bind", "place": "web", "host": "127.0.0.1", "port": 0, "ask": 1})
channel.wait(5)
(message,) = channel.receive()
web = socket.socket(fileno=message.fds[0])
web.listen(100)
channel.send({"do": "serving", "hung": 0.6, "ending": 5.0})
selector = selectors.DefaultSelector()
for one in (web, channel):
    selector.register(one, selectors.EVENT_READ)
while True:
    for key, _ in selector.select(0.1):
        if key.fileobj is web:
            client, _ = web.accept()
            client.sendall(b"%d" % os.getpid())
            if client.recv(100) == b"hang":
                client.close()
                time.sleep(60)
            client.close()
        else:
            try:
                if any(message.values["do"] in ("shutdown", "given") for message in channel.receive()):
                    raise SystemExit
            except Gone:
                raise SystemExit
    channel.send({"do": "beat"})
"""


class ProgramTests(SynchronousTestCase):
    """Real processes, signals and sockets."""

    def setUp(self) -> None:
        self.places = Places(2)
        self.addCleanup(self.places.close_all)
        self.port = self.places.bind("web", "127.0.0.1", 0).sockets[0].getsockname()[1]
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log = Path(folder.name) / "log"
        self.pidfile = Path(folder.name) / "pid"

    def start(self, **more: Any) -> subprocess.Popen[bytes]:
        """A supervisor that inherits the sockets."""
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", WORKER]
        spec = Spec(
            **{  # type: ignore[arg-type]
                "command": command,
                "successor": command,
                "environ": environ,
                "workers": 2,
                "file": None,
                "text": "",
                "name": "x",
                "log": str(self.log),
                "pidfile": str(self.pidfile),
                **more,
            }
        )
        spec.take(self.places)
        fd = spec.write()
        program = subprocess.Popen(
            [sys.executable, "-m", "lproxy.supervise", str(fd)], pass_fds=(fd, *spec.fds()), env=environ, cwd=ROOT
        )
        os.close(fd)
        self.places.close_all()
        self.pidfile.write_text(str(program.pid))
        self.addCleanup(self.kill, program)
        return program

    def kill(self, program: subprocess.Popen[bytes]) -> None:
        if program.poll() is None:
            program.kill()
        program.wait()

    def until(self, found: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + 15
        while not (result := found()):
            if time.monotonic() > end:
                self.fail(f"{what}\n{self.log.read_text()}")
            time.sleep(0.02)
        return result

    def serving(self) -> set[int]:
        """The processes that answer."""
        return {self.say(b"x") for _ in range(20)}

    def say(self, text: bytes, to: int | None = None) -> int:
        """Whom it was said to, or who would have been told had it been he."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as client:
            pid = int(client.recv(100))
            client.sendall(text if to in (None, pid) else b"x")
            return pid

    def gone(self, pid: int) -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 0)
            return False
        return True

    def test_life(self) -> None:
        """
        Both serve; one that is killed and one that hangs have successors, which serve whoever waits there, and whoever
        started the daemon is told; SIGTERM ends all of it well, and the pidfile is gone.
        """
        read, write = os.pipe()
        program = self.start(status=write)
        os.close(write)
        self.assertEqual(b"0", os.read(read, 100))
        os.close(read)
        before = self.serving()
        self.assertEqual(2, len(before))
        one, other = before
        os.kill(one, signal.SIGKILL)
        # all of these are answered, also those that wait in its queue
        after = self.serving()
        self.assertTrue(after - {one, other})
        self.until(lambda: self.say(b"hang", other) == other, "one that hangs")
        self.until(lambda: self.gone(other), "its end")
        self.until(lambda: len(self.serving() - before) == 2, "two others")
        text = self.log.read_text()
        self.assertIn(f"worker {0 if f'worker 0 (pid {one})' in text else 1} (pid {one}) was killed by SIGKILL", text)
        self.assertRegex(text, rf"worker \d \(pid {other}\) hangs, for \d\.\d s, and is replaced")
        program.send_signal(signal.SIGTERM)
        self.assertEqual(0, program.wait(15))
        self.assertFalse(self.pidfile.exists())

    def test_no_pidfile(self) -> None:
        """Who takes over serves though its process id cannot be written, as on a full disk: there is nobody else."""
        channel, theirs = pair()
        self.addCleanup(channel.close)
        with theirs:
            program = self.start(claim=theirs.fileno(), pidfile=str(self.log.parent))
        self.assertTrue(channel.wait(15))
        self.assertEqual("ready", next(channel.receive()).values["do"])
        channel.send({"do": "yours"})
        self.until(lambda: "cannot be written: Is a directory" in self.log.read_text(), "a warning")
        self.assertEqual(2, len(self.serving()))
        program.send_signal(signal.SIGTERM)
        self.assertEqual(0, program.wait(15))

    def test_killed(self) -> None:
        """A supervisor that is killed leaves nobody behind."""
        program = self.start()
        self.until(lambda: "worker 1" in (self.log.read_text() if self.log.exists() else ""), "workers")
        workers = self.serving()
        program.kill()
        for pid in workers:
            self.until(lambda pid=pid: self.gone(pid), "its end")  # type: ignore[misc]

    def test_cannot_start(self) -> None:
        """Workers that end at once are not started for ever: whoever waits is told, and the status is 1."""
        read, write = os.pipe()
        program = self.start(command=[sys.executable, "-c", "raise SystemExit(3)"], status=write)
        os.close(write)
        self.assertTrue(os.read(read, 100).startswith(b"1 "))
        os.close(read)
        self.assertEqual(1, program.wait(15))
        self.assertIn("ended with status 3 before it served: nothing is started", self.log.read_text())

    def test_successor_fails(self) -> None:
        """One that ends before it takes the place is told of, with how it did."""
        program = self.start(successor=[sys.executable, "-c", "raise SystemExit(3)"])
        self.until(lambda: self.log.exists() and self.log.read_text().count("serves") == 2, "workers")
        program.send_signal(signal.SIGUSR2)
        line = "which was to take our place, ended with status 3: we serve on"
        self.until(lambda: line in self.log.read_text(), "its end")
        self.assertEqual(2, len(self.serving()))

    def test_small(self) -> None:
        """It stays a small process: nothing of what serves clients is in it."""
        program = self.start()
        self.until(lambda: self.log.exists() and self.log.read_text().count("serves") == 2, "workers")
        status = Path(f"/proc/{program.pid}/status").read_text()
        resident = int(status.partition("VmRSS:")[2].split()[0])
        self.assertLess(resident, 25_000)

    def test_no_log(self) -> None:
        """A log that cannot be written keeps it from starting."""
        program = self.start(log="/nowhere/log")
        self.assertEqual(1, program.wait(15))
