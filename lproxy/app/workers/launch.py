# -*- test-case-name: tests.app.workers.test_launch, tests.integration.test_workers -*-
"""
From the process that was started to a supervisor and its workers.

What was started has read the configuration, and is as large as a worker: once twistd has done what it is asked to (the
daemon, its files, another user), and with every address bound, it becomes the supervisor's program (exec), which keeps
its process id and is small.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from twisted.application import service

from lproxy.app.assembly import CannotStart
from lproxy.app.log import log
from lproxy.app.oneline import one_line
from lproxy.app.openings import wanted
from lproxy.app.sockets import CannotListen, Wanted, bind_now, key_of
from lproxy.config import Config
from lproxy.configfile.address import any_socket_of
from lproxy.supervise.handover import CannotTakeOver, Claim, claim
from lproxy.supervise.places import Places, Taken, why
from lproxy.supervise.spec import Spec

#: what the supervisor minds: held back until it does, as an exec leaves nobody to
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)


class Launcher(service.Service):
    """Binds, and becomes the supervisor as soon as the reactor runs."""

    def __init__(
        self,
        config: Config,
        spec: Spec,
        starter: Starter,
        reactor: Any,
        takeover: Callable[[], str] | None = None,
        become: Callable[[Spec], None] | None = None,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        """
        @param starter: whoever waits for the daemon
        @param takeover: where to ask for another lproxy's sockets; raises L{CannotTakeOver}
        @param become: does it; never returns but to raise OSError
        @param leave: ends the process with a status
        """
        self.setName("lproxy")
        self._config = config
        self._spec = spec
        self._starter = starter
        self._reactor = reactor
        self._takeover = takeover
        self._become = become or exec_supervisor
        self._leave = leave
        self._places: Places | None = None
        self._claim: Claim | None = None
        self._ending = self._changed = False

    def privilegedStartService(self) -> None:
        """Bind every address, once for each worker; raises L{CannotStart}."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        with one_line():
            self._bind()

    def _bind(self) -> None:
        places = self._places = Places(self._spec.workers)
        try:
            if self._takeover is not None:
                self._claim = claim(self._takeover())
                self._spec.pidfile = self._spec.pidfile or self._claim.greeting.get("pidfile", "")
                for place, sockets in self._claim.given:
                    places.adopt(place["place"], sockets, place["shared"], place["owner"], place["note"])
            if self._starter.moved:
                raise CannotListen("workers: Python cannot be started anew in another root directory (--chroot)")
            for one, shared in addresses(self._config):
                bind(places, one, shared, self._reactor)
        except (CannotListen, CannotTakeOver) as e:
            places.close_all()
            raise CannotStart(str(e)) from e

    def startService(self) -> None:
        """Become the supervisor once the reactor runs: until then whoever started us is told by us."""
        if self._places is None:
            # twist calls no privilegedStartService
            with one_line():
                self._bind()
        super().startService()  # type: ignore[no-untyped-call]
        self._spec.status = self._starter.take()
        self._reactor.callWhenRunning(self._go)

    def _go(self) -> None:
        if self._ending:
            return
        assert self._places is not None
        self._spec.take(self._places)
        if self._claim is not None:
            self._spec.claim = self._claim.channel.fileno()
        self._spec.changed = self._changed
        try:
            self._become(self._spec)
        except OSError as e:
            self._give_up(f"cannot start the supervisor: {sys.executable}: {e.strerror}")

    def _give_up(self, text: str) -> None:
        """
        It cannot be done, as where this user may not read Python's files: nobody would ever serve.

        Not by way of the reactor, which knows no other status than 0.
        """
        log.critical("{text}", text=text)
        if self._spec.status >= 0:
            os.write(self._spec.status, f"1 {text}".encode())
        print(f"lproxy: {text}", file=sys.__stderr__)
        if self._spec.pidfile and self._claim is None:
            os.unlink(self._spec.pidfile)
        self._leave(1)

    def stopService(self) -> Any:
        """Somebody ends us before."""
        if self._places is not None:
            self._places.close_all()
        return super().stopService()  # type: ignore[no-untyped-call]

    def shutdown(self) -> None:
        """As SIGTERM, before there is a supervisor."""
        self._ending = True
        self._reactor.stop()

    end = shutdown

    def hung_up(self) -> None:
        """What was read may be another by now: the supervisor's affair."""
        self._changed = True

    def reopen(self) -> None:
        """There is nothing to be begun anew yet."""

    upgrade = reopen


class Starter:
    """
    Whoever waits until the daemon that twistd makes has started.

    @param options: twistd's, or nobody's
    """

    def __init__(self, options: MutableMapping[str, Any] | None) -> None:
        self._options = options if options is not None else {}

    @property
    def moved(self) -> bool:
        """Whether it changes the root directory."""
        return bool(self._options.get("chroot"))

    def take(self) -> int:
        """A descriptor, to tell it by: twistd does not any more. -1 where nobody waits."""
        fd: int | None = self._options.get("statusPipe")
        if fd is None:
            return -1
        self._options["statusPipe"] = None
        return fd


def addresses(config: Config) -> Iterator[tuple[Wanted, bool]]:
    """Where C{config} wants to listen, and whether all workers accept from one socket."""
    for listen in config.listen:
        yield wanted(listen), False
    if config.admin.address:
        # whoever has time to answers, and nobody waits for one that hangs
        yield Wanted("admin", config.admin.address), True


def bind(places: Places, one: Wanted, shared: bool, reactor: Any) -> None:
    """Listen at C{one}; raises L{CannotListen}."""
    place = any_socket_of(one.address)
    key = key_of(one)
    try:
        if place is not None:
            places.bind(key, str(place.ip), place.port, shared)
        elif places.find(key) is None:
            bound = bind_now(one.name, one.address, reactor)
            places.adopt(key, [bound.sock], shared=True)
            # the endpoint's own way to let go of it would remove a UNIX socket's file
            KEPT.append(bound)
    except (OSError, Taken) as e:
        raise CannotListen(f"{one.name}: cannot listen on {one.address}: {why(e)}") from e


#: what Twisted has opened, and would close were it forgotten
KEPT: list[Any] = []


def exec_supervisor(spec: Spec) -> None:
    """Turn this process into the supervisor; raises OSError."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    fd = spec.write()
    sys.stdout.flush()
    try:
        os.execv(sys.executable, [sys.executable, "-m", "lproxy.supervise", str(fd), spec.name])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
