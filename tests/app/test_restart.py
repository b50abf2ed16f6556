# -*- test-case-name: tests.app.test_restart -*-
"""
L{lproxy.app.restart}: how it is started once more.
"""

from __future__ import annotations

import os

from twisted.logger import jsonFileLogObserver
from twisted.scripts.twistd import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.restart import JSON, TWISTD, again
from lproxy.supervise.log import OWN, TWIST

SETTINGS = ["--config", "/etc/l.toml"]


class AgainTests(SynchronousTestCase):
    """From twistd's options to a command."""

    def again(self, *arguments: str) -> tuple[list[str], str, str, str | None, str]:
        options = ServerOptions()
        options.parseOptions([*arguments])
        return again(options, SETTINGS, "py", ["py", "twistd"])

    def test_foreground(self) -> None:
        """In the foreground it logs to standard output, and so does what is started again."""
        command, log, json, syslog, pidfile = self.again("--nodaemon")
        self.assertEqual(["py", "-c", TWISTD, "--nodaemon", "--pidfile=", "lproxy", *SETTINGS], command)
        self.assertEqual(("", "", None, os.path.abspath("twistd.pid")), (log, json, syslog, pidfile))

    def test_daemon(self) -> None:
        """A daemon's log is a file, twistd's own by default; what is started again is no other daemon."""
        command, log, *_ = self.again()
        self.assertEqual(os.path.abspath("twistd.log"), log)
        self.assertIn("--nodaemon", command)
        self.assertEqual("/var/log/l", self.again("--logfile=/var/log/l")[1])
        self.assertEqual("/var/log/l", self.again("-n", "--logfile=/var/log/l")[1])
        self.assertEqual("", self.again("--logfile=-", "--pidfile=")[1])
        self.assertEqual("", self.again("--pidfile=")[4])

    def test_log(self) -> None:
        """JSON stays JSON, and syslog syslog."""
        command, _, json, *_ = self.again("-n", f"--logger={JSON}")
        self.assertEqual((OWN, True), (json, f"--logger={JSON}" in command))
        command, log, _, syslog, _ = self.again("--syslog", "--prefix=web")
        self.assertEqual(("", "web", ["--syslog", "--prefix=web"]), (log, syslog, command[5:7]))

    def test_reactor(self) -> None:
        """A reactor that was asked for is asked for again."""
        found = again({"nodaemon": True, "reactor": "poll"}, [], "py", [])
        self.assertIn("--reactor=poll", found.command)

    def test_twist(self) -> None:
        """twist is always in the foreground: its own command is the same again."""
        parent = {"reactorName": "default", "fileLogObserverFactory": jsonFileLogObserver}
        found = again(parent, SETTINGS, "py", ["python3", "-m", "twisted", "lproxy"])
        self.assertEqual((["py", "-m", "twisted", "lproxy"], TWIST), (found.command, found.json))
        self.assertEqual(["py", "x"], again(None, [], "py", ["python3", "x"]).command)
