# -*- test-case-name: tests.app.test_rehearse -*-
"""
What is found out before a start, without starting.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.plugins import Found, find
from lproxy.app.rehearse import look, rehearse
from lproxy.config import AccessLog, Admin, Config, Identity, Listen, Service
from lproxy.protocols.tcp.plugin import TcpPlugin

WEB = Listen(name="web", address="127.0.0.1:0")


class MutePlugin(TcpPlugin):
    """A protocol that cannot be detected."""

    name = "mute"
    detector = None

    def factory(self, runtime: Any, config: Any) -> Any:
        made: Any = super().factory(runtime, config)
        made.detector = None
        return made


class BrokenPlugin(TcpPlugin):
    """A protocol that cannot be set up."""

    name = "broken"

    def factory(self, runtime: Any, config: Any) -> Any:
        raise KeyError("no\nsuch\x1bthing")


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


class RehearseTests(SynchronousTestCase):
    """The start, up to the sockets."""

    def says(self, *listeners: Listen, plugins: tuple[Any, ...] = (), admin: str = "") -> list[str]:
        found = [*find(), *(Found("/x/x.py", one.name, plugin=one) for one in plugins)]
        before = open_files()
        config = Config(admin=Admin(address=admin), listen=listeners)
        said = [str(problem) for problem in rehearse(config, found, "f")]
        self.assertEqual(before, open_files(), "nothing stays open")
        return said

    def test_certificates(self) -> None:
        """Each certificate that is not good is an error by itself, at the setting that names its file."""
        identity = Identity("/nowhere/t.pem", "/nowhere/c.pem", "/nowhere/k.pem")
        config = Config(
            admin=Admin(address=""),
            identity=identity,
            listen=(Listen("a", "127.0.0.1:0", tls="terminate", certificates=("/nowhere/a.pem", "/nowhere/b.pem")),),
            services={"web:80": Service("web:80", ("a:1",), tls=True, ca="/nowhere/ca.pem")},
        )
        why = "cannot be read: No such file or directory"
        self.assertEqual(
            {
                f"f: identity.trust: /nowhere/t.pem: {why}",
                f"f: listen[0].certificates[0]: /nowhere/a.pem: {why}",
                f"f: listen[0].certificates[1]: /nowhere/b.pem: {why}",
                f'f: services."web:80".ca: service web:80: /nowhere/ca.pem: {why}',
            },
            {str(problem) for problem in rehearse(config, find(), "f")},
        )

    def test_good(self) -> None:
        """What can be started is: the defaults, no listener at all, an address that is taken at the moment."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.assertEqual([], self.says(Listen(name="web", address=f"127.0.0.1:{port}")))
        self.assertEqual([], self.says())
        self.assertEqual([], self.says(*Config().listen, admin="127.0.0.1:4191"))

    def test_not_detectable(self) -> None:
        """A protocol that cannot be detected, where it would have to be, is the error that the start would end with."""
        detecting = Listen(name="web", address="127.0.0.1:0", detect=("mute",))
        wrong = ["f: web: protocol mute cannot be detected; set protocol = 'mute'"]
        self.assertEqual(wrong, self.says(detecting, plugins=(MutePlugin(),)))
        configured = Listen(name="web", address="127.0.0.1:0", protocol="mute")
        self.assertEqual([], self.says(configured, plugins=(MutePlugin(),)))

    def test_broken(self) -> None:
        """So is one that cannot be set up, on one line."""
        (said,) = self.says(Listen(name="web", address="127.0.0.1:0", protocol="broken"), plugins=(BrokenPlugin(),))
        self.assertTrue(said.startswith("f: web: protocol broken cannot be set up: KeyError: "), said)
        self.assertTrue(said.isprintable())

    def test_unknown_endpoint(self) -> None:
        """An endpoint string of a plugin that is not there is found, at a listener and at the admin server."""
        self.assertEqual(
            ["f: listen[1].address: 'onion:80:key=x' is no endpoint: Unknown endpoint type: 'onion'"],
            self.says(WEB, Listen(name="b", address="onion:80:key=x")),
        )
        self.assertEqual(
            ["f: admin.address: 'onion:80:key=x' is no endpoint: Unknown endpoint type: 'onion'"],
            self.says(WEB, admin="onion:80:key=x"),
        )


class LookTests(SynchronousTestCase):
    """What this machine lacks."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def says(self, *addresses: str, access: str | Path = "") -> list[str]:
        listen = tuple(Listen(name=f"l{n}", address=address) for n, address in enumerate(addresses))
        config = Config(access_log=AccessLog(path=str(access)), listen=listen)
        return [str(problem) for problem in look(config, "f")]

    def test_access_log(self) -> None:
        """The folder of the access log is there, and the log is none; the log is not made."""
        log = self.folder / "access.log"
        for good in ("", "-", log, "access.log"):
            self.assertEqual([], self.says(access=good))
        self.assertFalse(log.exists())
        self.assertEqual(
            [f"f: access_log.path: {self.folder} is a folder; name a file in it"], self.says(access=self.folder)
        )
        lost = self.folder / "no" / "such"
        self.assertEqual(
            [f"f: access_log.path: {lost.parent} is no folder; make it, or name another"], self.says(access=lost)
        )

    def test_unwritable(self) -> None:
        """What this user cannot write is a warning: the proxy may run as another."""
        self.patch(os, "access", lambda path, mode: False)
        self.assertEqual(
            ["f: warning: access_log.path: x.log cannot be written by this user; check as the proxy's user"],
            self.says(access="x.log"),
        )

    def test_unix(self) -> None:
        """A UNIX socket has a folder to be made in."""
        self.assertEqual([], self.says(f"unix:{self.folder}/x:mode=660", f"unix:address={self.folder}/y"))
        self.assertEqual(
            [f"f: listen[1].address: {self.folder}/no is no folder; make it, or name another"],
            self.says("127.0.0.1:0", f"unix:{self.folder}/no/x"),
        )

    def test_foreign(self) -> None:
        """An address is one of this machine's; whether its port is free is another matter."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.assertEqual([], self.says(f"127.0.0.1:{taken.getsockname()[1]}", "tcp:80"))
        self.assertEqual(
            ["f: listen[0].address: 203.0.113.1 is no address of this machine"], self.says("203.0.113.1:80", "[::]:80")
        )
