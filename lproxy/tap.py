# -*- test-case-name: tests.test_tap -*-
"""
C{twistd lproxy} and C{twist lproxy}: options to a configuration to an application service.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from lproxy.app.plugins import configures, find
from lproxy.app.service import CannotStart, Proxy
from lproxy.config import Config
from lproxy.configfile import Loaded, load, load_file

ERRORS, WARNINGS = 2, 1


def report(loaded: Loaded) -> int:
    """
    Print what is wrong with a configuration to standard error.

    @return: the exit status: 0, 1 for warnings, 2 for errors
    """
    for problem in loaded.problems:
        print(problem, file=sys.stderr)
    if loaded.config is None:
        return ERRORS
    return WARNINGS if loaded.problems else 0


def read(path: str | None) -> Loaded:
    """The configuration in the file at C{path}, or the embedded defaults."""
    plugins = configures(find())
    return load("", "defaults", plugins) if path is None else load_file(path, plugins)


class Options(usage.Options):
    """What stands behind C{lproxy} on the command line."""

    synopsis = "[options]"
    longdesc = "A service proxy. Without --config, built-in defaults run; docs/configuration.rst has every setting."
    optParameters = [["config", "c", None, "the TOML file to run; built-in defaults otherwise"]]
    optFlags = [["check", None, "check the configuration, say what is wrong with it, and exit: 0, 1 (warnings) or 2"]]

    config: Config

    def postOptions(self) -> None:
        """
        Read the file now, before anything is started.

        @raise UsageError: it has errors; they are on standard error already
        """
        loaded = read(self["config"])
        status = report(loaded)
        if self["check"]:
            if not status:
                print(f"{self['config'] or 'defaults'}: no problem found")
            sys.exit(status)
        if loaded.config is None:
            raise usage.UsageError(f"{self['config']}: not started")
        self.config = loaded.config


class _Signals:
    """
    The first SIGTERM or SIGINT drains, by way of the reactor; a second one ends what is left at once. SIGHUP reopens
    the access log.
    """

    def __init__(self, proxy: Proxy, reactor: Any) -> None:
        self._proxy = proxy
        self._reactor = reactor
        self._seen = False

    def install(self) -> None:
        """Take the place of the reactor's own handlers, where it has any."""
        if signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, None):
            return  # embedded in something that handles signals itself, or not at all
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, lambda number, frame: self._reactor.callFromThread(self._proxy.reopen))

    def _end(self, number: int, frame: Any) -> None:
        if self._seen:
            self._reactor.callFromThread(self._proxy.hurry)
        else:
            self._seen = True
            self._reactor.callFromThread(self._stop)

    def _stop(self) -> None:
        if self._reactor.running:
            self._reactor.stop()


#: objects allocated before the collector looks at the youngest: what requests leave is freed by counting, not by it
GC_THRESHOLD = 20_000


class _Service(Proxy):
    """The proxy under twistd, with the process for itself: problems with the machine end it with a line."""

    def _open(self) -> None:
        try:
            super()._open()
        except CannotStart as e:
            print(f"lproxy: {e}", file=sys.stderr)
            raise SystemExit(1) from None

    def startService(self) -> None:
        super().startService()
        # what is there now stays: the collector need not look at it again
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 50)


def makeService(options: Options) -> IService:
    """Called by twistd and twist."""
    from twisted.internet import reactor

    proxy: Any = _Service(options.config, find(), reactor)
    signals = _Signals(proxy, reactor)
    reactor.callWhenRunning(signals.install)
    level = os.environ.get("LPROXY_LOG")
    if level:
        try:
            proxy.set_log_level(level)
        except ValueError as e:
            raise usage.UsageError(f"LPROXY_LOG: {e}") from e
    return proxy  # type: ignore[no-any-return]
