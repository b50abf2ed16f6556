# -*- test-case-name: tests.supervise.test_systemd -*-
"""
L{lproxy.supervise.systemd}; L{tests.transport.test_notify} has the states one after the other.
"""

from __future__ import annotations

import os
import secrets
import socket

from twisted.trial.unittest import SynchronousTestCase

from lproxy.supervise.systemd import main_pid, reloading, tell


class TellTests(SynchronousTestCase):
    """A socket such as systemd's."""

    def test_abstract(self) -> None:
        """An abstract socket is told, too."""
        name = f"lproxy-test-{os.getpid()}-{secrets.token_hex(4)}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(f"\0{name}")
            sock.settimeout(5)
            self.assertIsNone(tell(f"@{name}", main_pid(7)))
            self.assertEqual(b"MAINPID=7", sock.recv(100))
            tell(f"@{name}", reloading())
            self.assertRegex(sock.recv(100), rb"^RELOADING=1\nMONOTONIC_USEC=\d+$")

    def test_nobody(self) -> None:
        """Nobody who asked is told nothing; what went wrong is returned."""
        self.assertIsNone(tell("", "READY=1"))
        self.assertIsInstance(tell("/nowhere/notify", "READY=1"), FileNotFoundError)
