# -*- test-case-name: tests.test_tap -*-
"""
C{twistd lproxy} and C{twist lproxy}: options to a configuration to an application service.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.python import usage

from lproxy.app import early
from lproxy.app.assembly import CannotStart
from lproxy.app.clock import monotonic
from lproxy.app.log import log, set_level
from lproxy.app.plugins import Found, configures, find, tried
from lproxy.app.rehearse import look, rehearse
from lproxy.app.reload import Outcome, Source
from lproxy.app.service import Proxy
from lproxy.app.signals import Signals
from lproxy.build import version
from lproxy.config import Config
from lproxy.configfile import Loaded, load, load_file, load_stream
from lproxy.transport.notify import Notify

#: what messages call the configuration that is run without a file
DEFAULTS = "defaults"

ERRORS, WARNINGS = 2, 1
CANNOT_START = 1


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


def read(path: str | None, found: list[Found] | None = None, here: bool = False) -> Loaded:
    """
    The configuration in the file at C{path}, or the embedded defaults; one with an error cannot be started.

    @param path: C{-} is standard input
    @param found: the plugins; those of L{plugins} otherwise
    @param here: whether to look at this machine, too, as far as it can be looked at without opening anything
    """
    found = plugins() if found is None else found
    return rehearsed(parsed(path, found), path, found, here)


def parsed(path: str | None, found: list[Found]) -> Loaded:
    """As L{read}, by what stands in the file alone."""
    configure = configures(found)
    if path is None:
        return load("", DEFAULTS, configure)
    return load_stream(sys.stdin.buffer, "stdin", configure) if path == "-" else load_file(path, configure)


def rehearsed(loaded: Loaded, path: str | None, found: list[Found], here: bool) -> Loaded:
    """As L{read}, of what is L{parsed}."""
    if loaded.config is None:
        return loaded
    file = {None: DEFAULTS, "-": "stdin"}.get(path, path or "")
    more = [*rehearse(loaded.config, found, file), *(look(loaded.config, file) if here else ())]
    failed = any(problem.severity == "error" for problem in more)
    return Loaded(None if failed else loaded.config, (*loaded.problems, *more))


def plugins() -> list[Found]:
    """Every protocol; on standard error, what is broken."""
    found = tried(find())
    for one in found:
        if one.error:
            print(f"lproxy: plugin {one.name} is broken: {one.error} ({one.file})", file=sys.stderr)
    return found


def _port(text: str) -> int:
    """A TCP port; usage.Options tells what a ValueError says."""
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise ValueError("want a port, 0 to 65535")
    return int(text)


class Options(usage.Options):
    """The options of C{twistd lproxy}."""

    synopsis = "[options]"
    longdesc = "A service proxy. Without --config, built-in defaults run; docs/configuration.rst has every setting."
    optParameters = [
        ["config", "c", None, "the TOML file to run; built-in defaults otherwise"],
        [
            "profile-port",
            None,
            None,
            "listen on this port of 127.0.0.1 for commands to profile the proxy (docs/profiling.rst)",
            _port,
        ],
    ]
    optFlags = [["check", None, "check the configuration, say what is wrong with it, and exit: 0, 1 (warnings) or 2"]]

    config: Config
    found: list[Found]

    def source(self) -> Source | None:
        """Where to read the configuration anew; standard input cannot be."""
        path = self["config"]
        if path in (None, "-"):
            return None
        # a daemon goes elsewhere
        place = os.path.abspath(path)
        again = partial(rehearsed, path=place, found=self.found, here=True)
        return Source(path, place, partial(parsed, place, self.found), again)

    def opt_version(self) -> None:
        """Show the version of lproxy, and of Twisted, and exit."""
        print(f"lproxy {version()}")
        super().opt_version()  # type: ignore[no-untyped-call]

    def postOptions(self) -> None:
        """Read the file now, before anything is started. What is wrong with it goes to standard error."""
        self.found = plugins()
        loaded = read(self["config"], self.found, here=self["check"])
        status = report(loaded)
        if self["check"]:
            if not status:
                print(f"{self['config'] or DEFAULTS}: no problem found")
            sys.exit(status)
        if loaded.config is None:
            # not a UsageError, which would print the usage: the options are right
            print(f"lproxy: {self['config'] or DEFAULTS}: not started", file=sys.stderr)
            sys.exit(status)
        self.config = loaded.config
        if level := os.environ.get("LPROXY_LOG"):
            try:
                set_level(level)
            except ValueError as e:
                print(f"lproxy: LPROXY_LOG: {e}", file=sys.stderr)
                sys.exit(CANNOT_START)


#: allocations between collections of the youngest generation: what requests leave is freed by reference counting
GC_THRESHOLD = 20_000


class _Service(Proxy):
    """
    The proxy as the only service of a process: what keeps it from starting is one line, not a traceback, and whoever
    started the process is told how it goes.
    """

    def __init__(self, config: Config, plugins: list[Found], reactor: Any, source: Source | None = None) -> None:
        super().__init__(config, plugins, reactor, source)
        self._notify = Notify(os.environ, reactor)

    def privilegedStartService(self) -> None:
        with _one_line():
            super().privilegedStartService()

    def startService(self) -> None:
        # before anybody waits for the reactor; what exists afterwards stays: the collector need not traverse it again
        gc.collect()
        with _one_line():
            super().startService()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 50)
        self._notify.ready()

    def reload(self) -> Deferred[Outcome]:
        self._notify.reloading()
        return super().reload().addCallback(self._reloaded)

    def _reloaded(self, outcome: Outcome) -> Outcome:
        self._notify.ready()
        return outcome

    def stopService(self) -> Deferred[None]:
        self._notify.stopping()
        return super().stopService().addBoth(self._ended)

    def _ended(self, result: Any) -> Any:
        self._notify.over()
        return result


class _Profiled(MultiService):
    """The profile port and the proxy, in this order: if the port cannot be bound, nothing is started."""

    def startService(self) -> None:
        with _one_line():
            super().startService()  # type: ignore[no-untyped-call]


@contextmanager
def _one_line() -> Iterator[None]:
    """
    Let L{CannotStart} end the process with a line on standard error instead of a traceback.

    It is not turned into SystemExit: only on an exception does twistd remove its pidfile, and tell the waiting parent
    of a daemon.
    """
    try:
        yield
    except CannotStart:
        sys.excepthook = _cannot_start
        raise


def _cannot_start(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    if not isinstance(error, CannotStart):
        sys.__excepthook__(kind, error, traceback)
        return
    if sys.stderr is not sys.__stderr__:
        # redirected to the log by now, and a daemon has nothing else
        log.critical("{error}", error=str(error))
    print(f"lproxy: {error}", file=sys.__stderr__)


def makeService(options: Options) -> IService:
    """Called by twistd and twist."""
    from twisted.internet import reactor

    # before twistd changes the root directory, and long before it sheds privileges
    early.load()
    monotonic(reactor)
    proxy: Any = _Service(options.config, options.found, reactor, options.source())
    signals = Signals(proxy, reactor)
    signals.hold()
    reactor.callWhenRunning(signals.install)
    if options["profile-port"] is None:
        return proxy  # type: ignore[no-any-return]
    # not imported otherwise
    from lproxy.app.profile import ProfilePort

    both: Any = _Profiled()
    ProfilePort(options["profile-port"], proxy.shutdown, reactor).setServiceParent(both)
    proxy.setServiceParent(both)
    return both  # type: ignore[no-any-return]
