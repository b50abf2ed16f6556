# -*- test-case-name: tests.app.workers.test_launch -*-
"""
L{lproxy.app.workers.launch}: everything is bound, and then it becomes another program; that is in
L{tests.integration.test_workers}.
"""

from __future__ import annotations

import io
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.assembly import CannotStart
from lproxy.app.workers.launch import Launcher, Starter
from lproxy.config import Admin, Config, Listen
from lproxy.supervise.handover import CannotTakeOver
from lproxy.supervise.spec import Spec

ANY = "127.0.0.1:0"


class Waiting:
    """The real reactor, which does not run."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []

    def callWhenRunning(self, f: Any) -> None:
        self.waiting.append(f)

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


class LauncherTests(SynchronousTestCase):
    """Two workers'."""

    def setUp(self) -> None:
        self.became: list[Spec] = []
        self.reactor = Waiting()

    def launcher(self, *listeners: str, admin: str = ANY, takeover: Any = None, parent: Any = None) -> Launcher:
        config = Config(
            admin=Admin(address=admin),
            listen=tuple(Listen(name=f"l{n}", address=address) for n, address in enumerate(listeners)),
        )
        spec = Spec([], [], {}, 2, None, "", "f")
        launcher = Launcher(config, spec, Starter(parent), self.reactor, takeover, self.became.append)
        self.addCleanup(launcher.stopService)
        return launcher

    def test_bound(self) -> None:
        """Listeners have a socket for each worker, the admin server one for all, and so has a UNIX socket."""
        path = Path(tempfile.mkdtemp()) / "socket"
        launcher = self.launcher(ANY, f"unix:{path}")
        launcher.privilegedStartService()
        launcher.startService()
        self.assertEqual([], self.became)
        self.reactor.waiting[0]()
        (spec,) = self.became
        self.assertEqual(
            [("l0 127.0.0.1:0", False, 2), (f"unix:{path}", True, 1), ("admin 127.0.0.1:0", True, 1)],
            [(place["place"], place["shared"], len(place["fds"])) for place in spec.places],
        )
        self.assertEqual((-1, -1), (spec.status, spec.claim))

    def test_taken(self) -> None:
        """An address in use is said as by a proxy that is on its own, and nothing stays bound."""
        with socket.create_server(("127.0.0.1", 0)) as holder, socket.create_server(("127.0.0.1", 0)) as free:
            taken, other = (f"127.0.0.1:{one.getsockname()[1]}" for one in (holder, free))
            free.close()
            error = self.assertRaises(CannotStart, self.launcher(other, taken).privilegedStartService)
            self.assertEqual(f"l1: cannot listen on {taken}: Address already in use", str(error))
            socket.create_server(("127.0.0.1", int(other.rpartition(":")[2]))).close()

    def test_twist(self) -> None:
        """Where nobody calls privilegedStartService, startService binds."""
        launcher = self.launcher(ANY, admin="")
        launcher.startService()
        self.reactor.waiting[0]()
        self.assertEqual(1, len(self.became[0].places))

    def test_daemon(self) -> None:
        """Whoever waits for a daemon is told by the supervisor: twistd has nothing to say any more."""
        parent = {"statusPipe": 7}
        launcher = self.launcher(ANY, parent=parent)
        launcher.startService()
        self.reactor.waiting[0]()
        self.assertEqual((7, None), (self.became[0].status, parent["statusPipe"]))

    def test_changed(self) -> None:
        """What is to be read anew before there is a supervisor is its affair."""
        for changed in (False, True):
            launcher = self.launcher(ANY)
            launcher.startService()
            if changed:
                launcher.hung_up()
            self.reactor.waiting.pop()()
        self.assertEqual([False, True], [spec.changed for spec in self.became])

    def test_ended(self) -> None:
        """Who is told to end before does not begin."""
        launcher = self.launcher(ANY)
        stopped: list[bool] = []
        self.patch(self.reactor, "stop", lambda: stopped.append(True))
        launcher.startService()
        launcher.end()
        self.reactor.waiting[0]()
        self.assertEqual(([True], []), (stopped, self.became))

    def test_cannot(self) -> None:
        """Where Python cannot be started anew, whoever waits is told, the pidfile goes, and the status is 1."""

        def fails(spec: Spec) -> None:
            raise PermissionError(13, "Permission denied")

        read, write = os.pipe()
        launcher = self.launcher(ANY, parent={"statusPipe": write})
        launcher._become = fails
        left: list[int] = []
        launcher._leave = left.append
        launcher._spec.pidfile = self.mktemp()
        Path(launcher._spec.pidfile).write_text("1")
        err = io.StringIO()
        self.patch(sys, "__stderr__", err)
        launcher.startService()
        self.reactor.waiting[0]()
        os.close(write)
        self.assertTrue(os.read(read, 1000).startswith(b"1 cannot start the supervisor: "))
        os.close(read)
        self.assertIn("Permission denied", err.getvalue())
        self.assertEqual(([1], False), (left, Path(launcher._spec.pidfile).exists()))

    def test_chroot(self) -> None:
        """In another root directory there is no Python to start workers by: that is said before anything is bound."""
        launcher = self.launcher(ANY, parent={"chroot": "/var/empty"})
        error = self.assertRaises(CannotStart, launcher.privilegedStartService)
        self.assertIn("--chroot", str(error))

    def test_nobody_to_take_over_from(self) -> None:
        """Where there is nobody whose place can be taken, nothing is started."""

        def nobody() -> str:
            raise CannotTakeOver("127.0.0.1:1 cannot be asked")

        error = self.assertRaises(CannotStart, self.launcher(ANY, takeover=nobody).privilegedStartService)
        self.assertEqual("127.0.0.1:1 cannot be asked", str(error))
