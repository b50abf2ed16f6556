# -*- test-case-name: tests.app.test_signals -*-
"""
Signals, before, while and after it starts. Real ones: L{tests.integration.test_twistd}.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app import signals as module
from lproxy.app.signals import Signals, calm, undo


class Reactor:
    """Remembers what it shall do."""

    running = True

    def __init__(self) -> None:
        self.called: list[Any] = []

    def callFromThread(self, f: Any, *args: Any) -> None:
        self.called.append(f)


class Recorder:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def end(self) -> None:
        self.told.append("end")

    def hung_up(self) -> None:
        self.told.append("hung up")

    def reopen(self) -> None:
        self.told.append("reopen")

    def upgrade(self) -> None:
        self.told.append("upgrade")


class SignalTests(SynchronousTestCase):
    """The process's signals."""

    def setUp(self) -> None:
        self.handlers: dict[int, Any] = dict.fromkeys(signal.Signals, signal.default_int_handler)
        self.patch(signal, "getsignal", lambda number: self.handlers[number])
        self.patch(signal, "signal", self.handlers.__setitem__)
        self.at_exit: list[Any] = []
        self.patch(module.atexit, "register", self.at_exit.append)
        self.reactor, self.proxy = Reactor(), Recorder()
        self.signals = Signals(self.proxy, self.reactor)

    def test_end(self) -> None:
        """SIGTERM and SIGINT end the proxy, from the reactor's own turn; it knows what a second one means."""
        self.signals.install()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            self.handlers[number](number, None)
        self.assertEqual([self.proxy.end] * 3, self.reactor.called)

    def test_too_late(self) -> None:
        """One that comes while the process is as good as gone changes nothing, its exit status included."""
        self.signals.install()
        (last,) = self.at_exit
        last()
        self.assertEqual([signal.SIG_IGN] * 2, [self.handlers[number] for number in (signal.SIGTERM, signal.SIGINT)])

    def test_hung_up(self) -> None:
        """SIGHUP reads the configuration anew, and opens the access log again, in the reactor's own turn."""
        self.signals.install()
        self.handlers[signal.SIGHUP](signal.SIGHUP, None)
        self.assertEqual([self.proxy.hung_up], self.reactor.called)

    def test_embedded(self) -> None:
        """A program that keeps signals to itself is left in peace."""
        for before in (signal.SIG_DFL, None):
            self.handlers[signal.SIGTERM] = before
            self.signals.install()
            self.assertIs(before, self.handlers[signal.SIGTERM])
            self.assertIs(signal.default_int_handler, self.handlers[signal.SIGHUP])
            self.assertEqual([], self.at_exit)

    def test_calm(self) -> None:
        """Before anything is opened SIGINT ends the process without a traceback, and SIGHUP does not end it."""
        self.handlers[signal.SIGHUP] = self.handlers[signal.SIGUSR2] = signal.SIG_DFL
        calm()
        numbers = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
        want = [signal.SIG_DFL, module.EARLY, signal.SIG_IGN]
        self.assertEqual(want, [self.handlers[number] for number in numbers])

    def test_hung_up_early(self) -> None:
        """What came before there was a proxy, whose file may have been read already, is done once it runs; once."""
        self.handlers[signal.SIGHUP] = signal.SIG_DFL
        calm()
        self.handlers[signal.SIGHUP](signal.SIGHUP, None)
        self.signals.install()
        self.signals.install()
        self.assertEqual(["hung up"], self.proxy.told)

    def test_reopen(self) -> None:
        """SIGUSR1 begins the access log anew, unless twistd has a log of its own to begin."""
        self.handlers[signal.SIGUSR1] = ours = object()
        self.signals.install()
        self.assertIs(ours, self.handlers[signal.SIGUSR1])
        self.handlers[signal.SIGUSR1] = signal.SIG_DFL
        self.signals.install()
        self.handlers[signal.SIGUSR1](signal.SIGUSR1, None)
        self.assertEqual([self.proxy.reopen], self.reactor.called)

    def test_first(self) -> None:
        """The first process of a container, to which the kernel does nothing by itself, ends all the same."""
        self.patch(os, "getpid", lambda: 1)
        left: list[int] = []
        self.patch(os, "_exit", left.append)
        self.handlers[signal.SIGTERM] = signal.SIG_DFL
        calm()
        for number in (signal.SIGTERM, signal.SIGINT):
            self.handlers[number](number, None)
        self.assertEqual([143, 130], left)
        # what follows takes it for what it stands for
        self.signals.hold()
        self.handlers[signal.SIGTERM](signal.SIGTERM, None)
        self.handlers[signal.SIGTERM] = object()
        self.signals.install()
        self.assertEqual((["end"], 2), (self.proxy.told, len(left)))

    def test_first_twice(self) -> None:
        """There, too, a second one ends a start that hangs; and a demo has Python's own handler."""
        self.patch(os, "getpid", lambda: 1)
        self.patch(os, "kill", lambda pid, number: self.handlers[number](number, None))
        left: list[int] = []
        self.patch(os, "_exit", left.append)
        self.held()
        for _ in range(2):
            self.handlers[signal.SIGINT](signal.SIGINT, None)
        self.assertEqual([130], left)
        undo()
        self.assertIs(signal.default_int_handler, self.handlers[signal.SIGINT])

    def test_undo(self) -> None:
        """A reactor that shall handle SIGINT finds it as Python has it; what others have set stays."""
        calm()
        undo()
        self.assertIs(signal.default_int_handler, self.handlers[signal.SIGINT])
        self.handlers[signal.SIGINT] = ours = object()
        undo()
        self.assertIs(ours, self.handlers[signal.SIGINT])

    def test_not_calm(self) -> None:
        """Who minds them already goes on to do so, and no other thread changes them."""
        self.handlers[signal.SIGINT] = self.handlers[signal.SIGHUP] = ours = object()
        calm()
        self.assertEqual((ours, ours), (self.handlers[signal.SIGINT], self.handlers[signal.SIGHUP]))
        self.handlers[signal.SIGINT] = signal.default_int_handler
        thread = threading.Thread(target=calm)
        thread.start()
        thread.join()
        self.assertIs(signal.default_int_handler, self.handlers[signal.SIGINT])

    def held(self) -> None:
        """It starts, after L{calm}."""
        calm()
        self.handlers[signal.SIGTERM] = signal.SIG_DFL
        self.signals.hold()

    def test_while_starting(self) -> None:
        """One that comes while it starts is remembered: it ends as soon as it runs."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self.handlers[signal.SIGINT] = signal.default_int_handler
            self.held()
            self.handlers[number](number, None)
            self.assertEqual([], self.proxy.told)
            # the reactor's own
            self.handlers[signal.SIGTERM] = object()
            self.signals.install()
            self.assertEqual(["end"], self.proxy.told)
            self.signals, self.proxy.told = Signals(self.proxy, self.reactor), []

    def test_twice_while_starting(self) -> None:
        """A second one ends a start that hangs, as it would have ended any program."""
        killed: list[int] = []
        self.patch(os, "kill", lambda pid, number: killed.append(number))
        self.held()
        for _ in range(2):
            self.handlers[signal.SIGINT](signal.SIGINT, None)
        self.assertEqual(([signal.SIGINT], signal.SIG_DFL), (killed, self.handlers[signal.SIGINT]))

    def test_not_held(self) -> None:
        """Without L{calm}, somebody else has the signals."""
        before = dict(self.handlers)
        self.signals.hold()
        self.assertEqual(before, self.handlers)

    def test_held_and_embedded(self) -> None:
        """A reactor that is to have no handlers gets none from us either."""
        self.held()
        self.signals.install()
        self.assertEqual([signal.SIG_DFL] * 2, [self.handlers[number] for number in (signal.SIGTERM, signal.SIGINT)])
        self.assertEqual([], self.at_exit)
