# -*- test-case-name: tests.app.test_takeover, tests.integration.test_takeover -*-
"""
A process that is on its own takes the place of another lproxy, and gives its own to the next.

L{lproxy.supervise.handover} is how; here is what it means to a proxy, its pidfile, and systemd.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from lproxy.admin.asking import ask, why
from lproxy.app.binder import Direct
from lproxy.app.log import log
from lproxy.app.restart import Again
from lproxy.supervise import pidfile
from lproxy.supervise.handover import CannotTakeOver, Claim, Door, claim, failed

#: seconds for the admin server's answer, and between two looks at a successor
ANSWER, LOOK = 10.0, 1.0


def door_of(admin: str) -> str:
    """
    Where the lproxy hands over whose admin server is at C{admin}: C{IP:port}, a URL, or what this would return.

    @raise CannotTakeOver: it cannot be asked, or does not hand over
    """
    if admin.startswith("@"):
        return admin
    # it takes a moment, and is needed here alone
    from http.client import HTTPException

    try:
        door = json.loads(ask(admin, "config", ANSWER))["live"]["takeover"]
    except (OSError, ValueError, HTTPException, KeyError, TypeError) as e:
        raise CannotTakeOver(f"{admin} cannot be asked where it hands over: {why(e)}") from e
    if not isinstance(door, str) or not door:
        raise CannotTakeOver(f"the lproxy at {admin} hands over nothing")
    return door


class Pidfile:
    """
    The file that twistd writes and, at the end, removes, where it is to.

    @param options: twistd's, or nobody's
    """

    def __init__(self, options: MutableMapping[str, Any] | None) -> None:
        self._options: MutableMapping[str, Any] = options if options is not None else {}

    @property
    def path(self) -> str:
        """Where it is; empty: there is none."""
        path = self._options.get("pidfile")
        return os.path.abspath(path) if path else ""

    def give(self) -> None:
        """It is another process's: not ours to remove."""
        self._options["pidfile"] = ""

    def take(self, path: str) -> None:
        """It is ours; raises OSError."""
        pidfile.write(path)
        self._options["pidfile"] = path

    def leave(self) -> None:
        """We end: twistd removes it then, whosever it is by now."""
        if self.path and not pidfile.ours(self.path):
            self.give()


class Takeover:
    """
    Both sides of it, of one process.

    @ivar door: where the next asks
    """

    def __init__(
        self, binder: Direct, pidfile: Pidfile, start: Again, environ: Mapping[str, str], reactor: Any
    ) -> None:
        """
        @param start: how another one is started
        """
        self._binder = binder
        self._pidfile = pidfile
        self._start = start
        self._environ = environ
        self._reactor = reactor
        self._claim: Claim | None = None
        self._successor: subprocess.Popen[bytes] | None = None
        self._given: Callable[[int], None] = lambda pid: None
        self._looking = False
        self._watched = Watched(reactor)
        self.door = Door(self, self._watched)

    # ours is the next

    def take(self, admin: str) -> None:
        """Have the sockets of the lproxy whose admin server is at C{admin}; raises L{CannotTakeOver}."""
        self._claim = claim(door_of(admin))
        self.door.early = True
        self._binder.take(self._claim.given)

    def owned(self) -> list[tuple[str, str, str]]:
        """Ports that protocols have opened there, in whose names, with what there is to know of them."""
        return self._binder.owned()

    def serving(self, done: Callable[[bool], None]) -> None:
        """
        We do.

        @param done: told whether we do so alone; if not, we are one too many
        """
        if self._claim is None:
            done(True)
        else:
            path = self._pidfile.path or self._claim.greeting.get("pidfile", "")
            self._claim.ready(self._watched, os.getpid(), path, lambda ours: self._ours(ours, path, done))

    def _ours(self, ours: bool, path: str, done: Callable[[bool], None]) -> None:
        assert self._claim is not None
        if ours:
            self.door.early = False
            log.info("we have taken over from process {pid}", pid=self._claim.greeting.get("pid", "?"))
            if path:
                try:
                    self._pidfile.take(path)
                except OSError as e:
                    log.warn("{path} cannot be written: {error}", path=path, error=e.strerror)
        self._binder.drop()
        done(ours)

    # ours is given to the next

    def open(self, given: Callable[[int], None]) -> None:
        """
        Whoever wants to take our place may.

        @param given: told the process that serves from now on
        """
        self._given = given
        try:
            self.door.open()
        except OSError as e:
            log.warn("nobody can take our place: {error}", error=e.strerror)

    def close(self) -> None:
        """
        Nobody may any more: we end, or are replaced. Whom we started to replace us ends, too, if we still serve;
        whom somebody else did goes on, and what it was given is its own from now on.
        """
        self.door.shut()
        if self._binder.given:
            return
        if self._successor is not None:
            self.door.close()
            self._successor.terminate()
        elif self.door.asking:
            self._binder.given = True

    def over(self) -> int:
        """We have ended. The process that is still about to take our place; 0 where none is."""
        self._pidfile.leave()
        asking = self.door.asking
        self.door.close()
        return asking

    def greeting(self) -> dict[str, Any]:
        """What the next has to know besides the sockets."""
        self._look_later()
        return {"pidfile": self._pidfile.path, "pid": os.getpid()}

    def given(self) -> Iterable[tuple[dict[str, Any], list[int]]]:
        """All sockets."""
        return self._binder.describe()

    def taken(self, pid: int, pidfile: str) -> None:
        """C{pid} serves."""
        self._binder.given = True
        if pidfile == self._pidfile.path:
            self._pidfile.give()
        self._given(pid)

    def say(self, level: str, text: str) -> None:
        """Write a log line."""
        {"info": log.info, "warn": log.warn}.get(level, log.error)("{text}", text=text)

    def upgrade(self) -> None:
        """As SIGUSR2: start another lproxy, of whatever version is there by now, to take our place."""
        if self._successor is not None:
            log.error("process {pid} is about to take our place already", pid=self._successor.pid)
            return
        environ = {key: value for key, value in self._environ.items() if key != "WATCHDOG_PID"}
        out = None
        try:
            if self._start.log:
                out = os.open(self._start.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
                append(self._start.log)
            self._successor = subprocess.Popen(
                [*self._start.command, "--takeover", self.door.name],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        except OSError as e:
            log.error("no other lproxy can be started: {error}", error=e)
            return
        finally:
            if out is not None:
                os.close(out)
        self._look_later()

    def _look_later(self) -> None:
        if not self._looking:
            self._looking = True
            self._reactor.callLater(LOOK, self._look)

    def _look(self) -> None:
        """A process that has ended is gone only when somebody asks how, and one that hangs is to be given up."""
        self._looking = False
        self.door.look(time.monotonic())
        successor = self._successor
        if successor is not None and (status := successor.poll()) is not None:
            self._successor = None
            if not self._binder.given and self.door.fileno() >= 0:
                log.error("{text}", text=failed(successor.pid, status))
        if self._successor is not None or self.door.asking:
            self._look_later()


def append(path: str) -> None:
    """Whatever this process has open of the file at C{path} is written at its end: another process writes it, too."""
    there = os.stat(path)
    for name in os.listdir("/proc/self/fd"):
        try:
            fd = int(name)
            if os.path.samestat(os.fstat(fd), there):
                fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
        except OSError:
            pass  # closed by now


class Watched:
    """A reactor as a L{lproxy.supervise.handover.Watch}."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._readers: dict[int, _Reader] = {}

    def watch(self, watched: Any, readable: Callable[[], None]) -> None:
        """Call C{readable} whenever there is something to read."""
        reader = self._readers[id(watched)] = _Reader(watched.fileno, readable)
        self._reactor.addReader(reader)

    def unwatch(self, watched: Any) -> None:
        """Look at it no more."""
        reader = self._readers.pop(id(watched), None)
        if reader is not None:
            self._reactor.removeReader(reader)


@implementer(IReadDescriptor)
class _Reader:
    """The reactor's view of a descriptor."""

    def __init__(self, fileno: Callable[[], int], readable: Callable[[], None]) -> None:
        self.fileno = fileno
        self.doRead = readable

    def logPrefix(self) -> str:
        """Who is at work, for log lines written meanwhile."""
        return "lproxy"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor goes down."""
