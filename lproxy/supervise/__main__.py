# -*- test-case-name: tests.supervise.test_main -*-
"""
C{python -m lproxy.supervise DESCRIPTOR}: the supervisor's process, which C{lproxy.app.workers.launch} turns itself
into.

Processes, signals and the log: all that L{lproxy.supervise.supervisor} has to be given.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from lproxy.supervise import pidfile, systemd
from lproxy.supervise.channel import Channel, connected, pair
from lproxy.supervise.handover import Claim, Door, failed
from lproxy.supervise.how import how
from lproxy.supervise.log import Log
from lproxy.supervise.loop import Loop
from lproxy.supervise.places import Places
from lproxy.supervise.spec import WORKER, Spec, read
from lproxy.supervise.supervisor import Supervisor

#: of the environment, what is the supervisor's business alone
OURS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


class Program:
    """This process, as a L{lproxy.supervise.world.World}."""

    def __init__(self, spec: Spec, places: Places, loop: Loop, log: Log) -> None:
        self._spec = spec
        self._loop = loop
        self._log = log
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._channels: dict[int, Channel] = {}
        self._claim: Claim | None = None
        if spec.claim >= 0:
            self._claim = Claim(connected(spec.claim), {}, [])
        self._successor: subprocess.Popen[bytes] | None = None
        self._status = 0
        self.seconds = loop.seconds
        self.watch: Callable[[Any, Callable[[], None]], None] = loop.watch
        self.unwatch: Callable[[Any], None] = loop.unwatch
        self.say = log.say
        self.supervisor = Supervisor(spec, places, self)
        self.door = Door(self.supervisor, self)
        self.door.early = self._claim is not None

    def run(self) -> int:
        """Until all is over; the exit status."""
        supervisor = self.supervisor
        self._loop.signals(
            {
                signal.SIGTERM: supervisor.end,
                signal.SIGINT: supervisor.end,
                signal.SIGHUP: supervisor.hung_up,
                signal.SIGUSR1: supervisor.rotate,
                signal.SIGUSR2: supervisor.upgrade,
                signal.SIGCHLD: self._reap,
            }
        )
        try:
            self.door.open()
            supervisor.door = self.door.name
        except OSError as e:
            self.say("warn", f"nobody can take our place: {e.strerror}")
        self.say("info", f"{self._spec.workers} workers")
        supervisor.start()
        self._loop.run(self._tick)
        return self._status

    def _tick(self, now: float) -> None:
        self.supervisor.look(now)
        self.door.look(now)
        if self._log.full():
            self._log.rotate()
            self.supervisor.rotate()

    def _reap(self) -> None:
        for pid, child in list(self._children.items()):
            status = child.poll()
            if status is not None:
                del self._children[pid]
                self._channels.pop(pid, None)
                self.supervisor.ended(pid, how(status))
        successor = self._successor
        if successor is not None and (status := successor.poll()) is not None:
            self._successor = None
            if self.supervisor.in_charge:
                self.say("error", failed(successor.pid, status))

    # World

    def start(self, index: int) -> int:
        """Start a worker: out of our process group, so that Ctrl-C is ours alone to hand on."""
        channel, theirs = pair()
        environ = {key: value for key, value in self._spec.environ.items() if key not in OURS}
        with theirs:
            child = subprocess.Popen(
                self._spec.command,
                env={**environ, WORKER: str(theirs.fileno())},
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                process_group=0,
            )
        self._children[child.pid] = child
        self._channels[child.pid] = channel
        return child.pid

    def channel(self, pid: int) -> Channel:
        """The channel to C{pid}."""
        return self._channels[pid]

    def kill(self, pid: int, number: int) -> None:
        """Send a signal."""
        child = self._children.get(pid)
        if child is not None:
            child.send_signal(number)

    def usage(self) -> tuple[float, int, int]:
        """Of this process."""
        with open("/proc/self/statm", "rb") as file:
            pages = int(file.read().split()[1])
        return time.process_time(), pages * resource.getpagesize(), len(os.listdir("/proc/self/fd"))

    def ready(self) -> None:
        """Whoever waits for that is told."""
        if self._claim is not None:
            self._claim.ready(self, os.getpid(), self._spec.pidfile, self._ours)
        else:
            self._serves()

    def _ours(self, well: bool) -> None:
        if well:
            self.door.early = False
            self.say("info", "we have taken over")
            self._serves()
        else:
            self.supervisor.fail("what was to be taken over was not given: nothing is started")

    def _serves(self) -> None:
        if self._spec.pidfile and self._claim is not None:
            try:
                pidfile.write(self._spec.pidfile)
            except OSError as e:
                self.say("warn", f"{self._spec.pidfile} cannot be written: {e.strerror}")
        self._tell_starter(b"0")
        self.tell(systemd.READY)

    def _tell_starter(self, text: bytes) -> None:
        fd, self._spec.status = self._spec.status, -1
        if fd >= 0:
            try:
                os.write(fd, text)
            except OSError:
                pass  # it does not wait any more
            os.close(fd)

    def tell(self, state: str) -> None:
        """Tell systemd."""
        error = systemd.tell(self._spec.notify, state)
        if error is not None:
            self.say("debug", f"cannot notify {self._spec.notify}: {error}")

    def set_level(self, level: str) -> None:
        """Of our own lines."""
        self._log.level = level

    def reopen(self) -> int:
        """Begin the log's file anew."""
        if not self._log.path:
            return -1
        try:
            self._log.open()
        except OSError as e:
            self.say("warn", f"the log cannot be opened anew: {e}")
            return -1
        return 1

    def successor(self, door: str) -> None:
        """Start another lproxy."""
        if self._successor is not None:
            self.say("error", f"process {self._successor.pid} is about to take our place already")
            return
        # it signs for itself
        environ = {key: value for key, value in self._spec.environ.items() if key != "WATCHDOG_PID"}
        try:
            self._successor = subprocess.Popen(
                [*self._spec.successor, "--takeover", door], env=environ, stdin=subprocess.DEVNULL
            )
        except OSError as e:
            self.say("error", f"no other lproxy can be started: {e}")

    def recall(self) -> None:
        """End it."""
        if self._successor is not None:
            self._successor.terminate()

    def asked(self) -> int:
        """Who has been at the door, unless we have called it, and back."""
        pid = self.door.asking
        return pid if self._successor is None or pid != self._successor.pid else 0

    def stop(self, status: int) -> None:
        """All is over."""
        self._status = status
        if pid := self.asked():
            self.tell(systemd.main_pid(pid))
        self.door.close()
        if status:
            self._tell_starter(b"1 no worker has started; the log says why")
        if self._spec.pidfile:
            pidfile.remove(self._spec.pidfile)
        self._loop.stop()


def main(arguments: list[str]) -> int:
    """Entry point; the exit status."""
    spec, places = read(int(arguments[0]))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        pass  # it may be enough
    log = Log(spec.log, spec.json, spec.syslog, spec.level)
    try:
        log.open()
    except OSError as e:
        sys.stderr.write(f"lproxy: cannot write to {spec.log}: {e.strerror}\n")
        return 1
    return Program(spec, places, Loop(), log).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
