# -*- test-case-name: tests.terminal.test_screen -*-
"""
L{lproxy.terminal.screen}: pictures on a terminal, and elsewhere.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import signal
import struct
import termios

from twisted.trial.unittest import SynchronousTestCase

from lproxy.terminal import screen as module
from lproxy.terminal.screen import HOME, LINE, SCREEN, Screen, look
from lproxy.terminal.top import WHOLE, Size, coloured, plain


class LookTests(SynchronousTestCase):
    """What a terminal can do, and is wanted to."""

    def test_look(self) -> None:
        """A pipe gets text alone, a dumb terminal too; NO_COLOR takes colours and nothing else."""
        pipe, terminal = io.StringIO(), io.StringIO()
        terminal.isatty = lambda: True  # type: ignore[method-assign]
        self.assertEqual((False, plain), look(pipe, {"TERM": "xterm"}))
        self.assertEqual((True, coloured), look(terminal, {"TERM": "xterm", "NO_COLOR": ""}))
        self.assertEqual((True, plain), look(terminal, {"NO_COLOR": "1"}))
        self.assertEqual((False, plain), look(terminal, {"TERM": "dumb"}))


class ScreenTests(SynchronousTestCase):
    """A terminal of the kernel's."""

    def setUp(self) -> None:
        self.ours, theirs = pty.openpty()
        self.out = os.fdopen(theirs, "w")
        self.addCleanup(os.close, self.ours)
        self.addCleanup(self.out.close)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def seen(self) -> str:
        return os.read(self.ours, 65536).decode()

    def test_terminal(self) -> None:
        """A picture takes the place of the one before it, without a flicker; of another size, on an empty screen."""
        with Screen(self.out, {}, once=False) as screen:
            self.assertEqual(Size(80, 24), screen.size(), "which does not know its size")
            self.resize(100, 30)
            self.assertEqual(Size(100, 30), screen.size())
            screen.show(["a", "b"])
            self.assertEqual(f"{HOME}{SCREEN}a{LINE}\r\nb{LINE}{SCREEN}", self.seen())
            screen.show(["c"])
            self.assertEqual(f"{HOME}c{LINE}{SCREEN}", self.seen())
            self.resize(90, 30)
            screen.show(["c"])
            self.assertIn(f"{HOME}{SCREEN}c", self.seen())
        self.assertEqual("\r\n", self.seen())

    def test_resized(self) -> None:
        """Whoever waits is told at once that there is more or less room."""
        with Screen(self.out, {}, once=False) as screen:
            self.assertFalse(screen.wait(0.001))
            # to this thread, as a program without others has it
            signal.raise_signal(signal.SIGWINCH)
            self.assertTrue(screen.wait(60.0))
        self.assertNotIn(signal.SIGWINCH, signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    def test_elsewhere(self) -> None:
        """A pipe gets lines, of everything, and whoever asked for one picture gets no more on a terminal either."""
        slept: list[float] = []
        self.patch(module.time, "sleep", slept.append)
        for out, once in ((io.StringIO(), False), (self.out, True)):
            with Screen(out, {}, once) as screen:
                self.assertEqual(WHOLE, screen.size())
                screen.show(["a", "b"])
                self.assertFalse(screen.wait(5.0))
            said = out.getvalue() if isinstance(out, io.StringIO) else self.seen().replace("\r", "")
            self.assertEqual("a\nb\n", said)
        self.assertEqual([5.0, 5.0], slept)
