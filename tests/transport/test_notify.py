# -*- test-case-name: tests.transport.test_notify -*-
"""
L{lproxy.transport.notify}: what systemd is told.
"""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.transport.notify import Notify


class NotifyTests(SynchronousTestCase):
    """A socket such as systemd's."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.clock = Clock()
        self.path = str(Path(folder.name) / "notify")
        self.sock = self.listen(self.path)

    def listen(self, path: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.bind(path)
        sock.setblocking(False)
        return sock

    def told(self) -> list[str]:
        """What has come."""
        states = []
        while True:
            try:
                states.append(self.sock.recv(1000).decode())
            except BlockingIOError:
                return states

    def notify(self, **environ: str) -> Notify:
        return Notify({"NOTIFY_SOCKET": self.path, **environ}, self.clock)

    def test_life(self) -> None:
        """Ready, reloading and ready again, stopping."""
        notify = self.notify()
        notify.ready()
        notify.reloading()
        notify.ready()
        notify.stopping()
        notify.over()
        ready, reloading, again, stopping = self.told()
        self.assertEqual(("READY=1", "READY=1", "STOPPING=1"), (ready, again, stopping))
        self.assertRegex(reloading, r"^RELOADING=1\nMONOTONIC_USEC=\d+$")
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_watchdog(self) -> None:
        """Twice as often as is wanted, from when it is ready until it is over, draining included."""
        notify = self.notify(WATCHDOG_USEC="10000000", WATCHDOG_PID=str(os.getpid()))
        self.clock.advance(60)
        self.assertEqual([], self.told())
        notify.ready()
        notify.ready()
        notify.stopping()
        self.told()
        self.clock.pump([5.0] * 3)
        self.assertEqual(["WATCHDOG=1"] * 3, self.told())
        notify.over()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_no_watchdog(self) -> None:
        """None is kept up that nobody, or another process, was asked for."""
        for environ in (
            {},
            {"WATCHDOG_USEC": "0"},
            {"WATCHDOG_USEC": "x"},
            {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"},
        ):
            self.assertIsNone(self.notify(**environ).every)

    def test_abstract(self) -> None:
        """A socket without a file is written with an @."""
        name = f"lproxy-test-{os.getpid()}"
        self.sock = self.listen(f"\0{name}")
        Notify({"NOTIFY_SOCKET": f"@{name}"}, self.clock).ready()
        self.assertEqual(["READY=1"], self.told())

    def test_nobody(self) -> None:
        """Where nobody asked, or has gone, nothing happens."""
        Notify({}, self.clock).ready()
        Notify({"NOTIFY_SOCKET": self.path + "-gone"}, self.clock).ready()
        self.assertEqual([], self.told())
