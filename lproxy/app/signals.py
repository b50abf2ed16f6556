# -*- test-case-name: tests.app.test_signals -*-
"""
The process's signals, from the moment that somebody asks for lproxy until the process is gone.

Before anything is opened SIGINT and SIGTERM end it as they end any program: at once, without a traceback. While it
starts they are remembered: it ends, by the way that leaves nothing behind, as soon as it has started. Then they drain.
SIGHUP never ends it: the configuration is read anew, once it has started where it comes before. Nor does SIGUSR2:
another process takes its place; nor, once it runs, SIGUSR1, by which twistd begins the file of its log anew.

This module imports nothing heavy: it is at work before the rest is imported.

The first process of a container gets no signal that it has no handler for (pid_namespaces(7)): there, what the kernel
does elsewhere is done by us.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from typing import Any, Protocol

ENDING = (signal.SIGTERM, signal.SIGINT)


class Proxy(Protocol):
    """What signals are for."""

    def end(self) -> None:
        """Drain; told again, end at once."""

    def hung_up(self) -> None:
        """Read the configuration anew, and open the access log again."""

    def reopen(self) -> None:
        """Open the access log again."""

    def upgrade(self) -> None:
        """Have another process take our place."""


class Early:
    """
    SIGHUP before there is a proxy: the file may have been read already, and be another by now.

    @ivar hung_up: whether it came
    """

    def __init__(self) -> None:
        self.hung_up = False

    def __call__(self, number: int, frame: object) -> None:
        self.hung_up = True


#: of this process
EARLY = Early()


def _left(number: int, frame: object) -> None:
    """What the kernel does to any process but the first."""
    os._exit(128 + number)


def ends(handler: object) -> bool:
    """Whether C{handler} is none: a signal ends the process, and nothing is left behind as nothing is there yet."""
    return handler in (signal.SIG_DFL, _left)


def default() -> Any:
    """What is to be the handler of a signal that ends the process."""
    return _left if os.getpid() == 1 else signal.SIG_DFL


def calm() -> None:
    """
    Have SIGINT end this process as SIGTERM does, and SIGHUP and SIGUSR2 not.

    Where anybody else minds them already, in whatever embeds us, they are left alone.
    """
    if threading.current_thread() is threading.main_thread():
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, default())
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, default())
        # SIGUSR1 is twistd's as long as it may want it
        if signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL:
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, EARLY)


def undo() -> None:
    """Undo L{calm}: a reactor that is run now handles SIGINT itself, where it is Python's."""
    if ends(signal.getsignal(signal.SIGINT)):
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Signals:
    """
    The first SIGTERM or SIGINT drains, by way of the reactor; a second one ends what is left at once. SIGHUP reads
    the configuration anew, and reopens the access log; SIGUSR1 does the latter alone, where twistd has not taken it for
    a log of its own; SIGUSR2 has another process take our place.
    """

    def __init__(self, proxy: Proxy, reactor: Any) -> None:
        self._proxy = proxy
        self._reactor = reactor
        self._early = False
        self._holding = False

    def hold(self) -> None:
        """From now on sockets and files are opened: remember who wants us to end. After L{calm} alone."""
        if ends(signal.getsignal(signal.SIGINT)):
            self._holding = True
            for number in ENDING:
                signal.signal(number, self._remember)

    def _remember(self, number: int, frame: object) -> None:
        if self._early:  # whatever it waits for, somebody does not want to
            signal.signal(number, default())
            os.kill(os.getpid(), number)
        self._early = True

    def install(self) -> None:
        """The reactor runs: replace its own handlers, where it has any."""
        now = signal.getsignal(signal.SIGTERM)
        if self._holding and now == self._remember:
            # the reactor was told to have none
            for number in ENDING:
                signal.signal(number, default())
            now = default()
        if now is None or ends(now):
            return  # embedded in something that handles signals itself, or not at all
        for number in ENDING:
            signal.signal(number, lambda number, frame: self._reactor.callFromThread(self._proxy.end))
        atexit.register(_ended)
        signal.signal(signal.SIGHUP, lambda number, frame: self._reactor.callFromThread(self._proxy.hung_up))
        signal.signal(signal.SIGUSR2, lambda number, frame: self._reactor.callFromThread(self._proxy.upgrade))
        if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
            signal.signal(signal.SIGUSR1, lambda number, frame: self._reactor.callFromThread(self._proxy.reopen))
        if self._early:
            self._proxy.end()
        elif EARLY.hung_up:
            EARLY.hung_up = False
            self._proxy.hung_up()


def _ended() -> None:
    """A signal during Python's own shutdown, which resets our handlers first, must not change the exit status."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
