# -*- test-case-name: tests.test_tap -*-
"""
C{twistd lproxy} and C{twist lproxy}: options to a configuration to an application service.

Over 300 lines: all the ways in which one process becomes a proxy, a supervisor or a worker.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from lproxy.app import early
from lproxy.app.binder import Direct
from lproxy.app.clock import monotonic
from lproxy.app.log import set_level
from lproxy.app.plugins import Found, configures, find, tried
from lproxy.app.process import Process, of
from lproxy.app.profiles import problems
from lproxy.app.rehearse import beside, look, looked_at, rehearse, said
from lproxy.app.reload import Source
from lproxy.app.restart import Again, again
from lproxy.app.running import Profiled, Running
from lproxy.app.signals import Signals
from lproxy.app.takeover import Pidfile, Takeover, door_of
from lproxy.app.workers.cores import workers
from lproxy.app.workers.launch import Launcher, Starter
from lproxy.app.workers.worker import NoSupervisor, Worker
from lproxy.build import version
from lproxy.config import Config
from lproxy.configfile import Loaded, load, load_file, load_stream
from lproxy.configfile.load import MAX_FILE, contents
from lproxy.stamp import NEVER, Stamp, stamp
from lproxy.supervise.channel import connected
from lproxy.supervise.reread import reread
from lproxy.supervise.spec import WORKER, Spec
from lproxy.transport.notify import Notify

#: what messages call the configuration that is run without a file
DEFAULTS = "defaults"
STDIN = "stdin"

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


def read(path: str | None, found: list[Found] | None = None, here: bool = False, profiles: bool = False) -> Loaded:
    """
    The configuration in the file at C{path}, or the embedded defaults; one with an error cannot be started.

    @param path: C{-} is standard input
    @param found: the plugins; those of L{plugins} otherwise
    @param here: whether to look at this machine, too, as far as it can be looked at without opening anything
    @param profiles: whether to look at the files of profiles that it names, too; wrong ones keep nobody from starting
    """
    found = plugins() if found is None else found
    loaded = rehearsed(parsed(path, found), path, found, here)
    return with_profiles(loaded) if profiles else loaded


def with_profiles(loaded: Loaded) -> Loaded:
    """C{loaded}, and what is wrong with the files of profiles that it names."""
    if loaded.config is None:
        return loaded
    return beside(loaded, problems(loaded.config))


def text_of(path: str) -> bytes:
    """As L{contents}; C{-} is standard input."""
    return sys.stdin.buffer.read(MAX_FILE + 1) if path == "-" else contents(path)


def parsed(path: str | None, found: list[Found], text: Callable[[str], bytes] = text_of) -> Loaded:
    """As L{read}, by what stands in the file alone, which C{text} reads."""
    if path is None or path == "-":
        return parsed_text(b"" if path is None else text(path), STDIN if path else DEFAULTS, found)
    return load_file(path, configures(found), text)


def parsed_text(text: bytes, name: str, found: list[Found]) -> Loaded:
    """As L{parsed}, of what has been read; C{name} is what messages call it."""
    configure = configures(found)
    return load("", name, configure) if name == DEFAULTS else load_stream(io.BytesIO(text), name, configure)


def rehearsed(loaded: Loaded, path: str | None, found: list[Found], here: bool) -> Loaded:
    """As L{read}, of what is L{parsed}."""
    if loaded.config is None:
        return loaded
    file = {None: DEFAULTS, "-": STDIN}.get(path, path or "")
    return beside(loaded, [*rehearse(loaded.config, found, file), *(look(loaded.config, file) if here else ())])


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
    optParameters += [
        [
            "takeover",
            None,
            None,
            "take the place of the lproxy whose admin server is here, IP:port, without a gap: its sockets are ours "
            "once we serve, and it drains",
        ]
    ]
    optFlags = [["check", None, "check the configuration, say what is wrong with it, and exit: 0, 1 (warnings) or 2"]]

    config: Config
    found: list[Found]
    #: the supervisor, where this is one of its workers
    worker: Worker | None = None
    #: the file, as it was before it was read
    seen: Stamp | None = None
    #: what stood in it
    text = b""

    def source(self) -> Source | None:
        """Where to read the configuration anew; standard input cannot be."""
        path = self["config"]
        worker = self.worker
        if worker is not None:
            path = worker.file
        if path in (None, "-"):
            return None
        # a daemon goes elsewhere
        place = os.path.abspath(path)
        text = partial(reread, most=MAX_FILE + 1)

        def read() -> Loaded:
            # of several workers, the supervisor has read it for all
            own = parsed_text(worker.text, place, self.found) if worker is not None else None
            return looked_at(own or parsed(place, self.found, text), place)

        return Source(path, place, read, partial(said, file=place), self.seen)

    def _still(self, file: str, text: bytes) -> bool:
        """Whether that is what stands in C{file}."""
        try:
            return reread(file, MAX_FILE + 1) == text
        except OSError:
            return False

    def _text_of(self, path: str) -> bytes:
        """As L{text_of}, of what is read but once: workers begin with the very same."""
        self.text = text_of(path)
        return self.text

    def again(self) -> Again:
        """How this is started once more."""
        own = []
        if self["config"] is not None:
            own += ["--config", self["config"] if self["config"] == "-" else os.path.abspath(self["config"])]
        if self["profile-port"] is not None:
            own += ["--profile-port", str(self["profile-port"])]
        return again(self.parent, own, sys.executable, sys.orig_argv)

    def opt_version(self) -> None:
        """Show the version of lproxy, and of Twisted, and exit."""
        print(f"lproxy {version()}")
        super().opt_version()  # type: ignore[no-untyped-call]

    def postOptions(self) -> None:
        """Read the file now, before anything is started. What is wrong with it goes to standard error."""
        self.found = plugins()
        # before it is read: who watches it is to notice what changes meanwhile
        self.seen = stamp(self["config"] or "")
        if (fd := os.environ.pop(WORKER, "")) and not self["check"]:
            from twisted.internet import reactor

            try:
                self.worker = Worker(connected(int(fd)), reactor)
            except NoSupervisor as e:
                print(f"lproxy: {e}", file=sys.stderr)
                sys.exit(CANNOT_START)
            name = self.worker.name
            if self.worker.file is not None and not self._still(self.worker.file, self.worker.text):
                # changed while no worker was there to watch it
                self.seen = NEVER
            loaded = rehearsed(parsed_text(self.worker.text, name, self.found), name, self.found, False)
            # the supervisor has told what is odd
            status = report(loaded) if loaded.config is None else 0
        else:
            path = self["config"]
            loaded = rehearsed(parsed(path, self.found, self._text_of), path, self.found, self["check"])
            status = report(with_profiles(loaded) if self["check"] else loaded)
        if self["check"]:
            if not status:
                print(f"{self['config'] or DEFAULTS}: no problem found")
            sys.exit(status)
        if loaded.config is None:
            # not a UsageError, which would print the usage: the options are right
            print(f"lproxy: {self['config'] or DEFAULTS}: not started", file=sys.stderr)
            sys.exit(status)
        self.config = loaded.config
        if level := (self.worker.level if self.worker is not None else "") or os.environ.get("LPROXY_LOG"):
            try:
                set_level(level)
            except ValueError as e:
                print(f"lproxy: LPROXY_LOG: {e}", file=sys.stderr)
                sys.exit(CANNOT_START)


def makeService(options: Options) -> IService:
    """Called by twistd and twist."""
    from twisted.internet import reactor

    # before twistd changes the root directory, and long before it sheds privileges
    early.load()
    monotonic(reactor)
    several = workers(options.config)
    if options.worker is None and several > 1:
        launcher: Any = _launcher(options, several, reactor)
        _mind(launcher, reactor)
        return launcher  # type: ignore[no-any-return]
    proxy: Any = _proxy(options, reactor)
    _mind(proxy, reactor)
    if options["profile-port"] is None:
        return proxy  # type: ignore[no-any-return]
    # not imported otherwise
    from lproxy.app.profiling import ProfilePort

    # each worker has one of its own
    port = options["profile-port"] + (options.worker.portion.index if options.worker is not None else 0)
    both: Any = Profiled()
    ProfilePort(port, proxy.shutdown, reactor).setServiceParent(both)
    proxy.setServiceParent(both)
    return both  # type: ignore[no-any-return]


def _mind(service: Any, reactor: Any) -> None:
    """Have C{service} mind the process's signals."""
    signals = Signals(service, reactor)
    signals.hold()
    reactor.callWhenRunning(signals.install)


def _proxy(options: Options, reactor: Any) -> Running:
    """What serves: the only process that does, or one of several."""
    found, source = options.found, options.source()
    worker = options.worker
    if worker is not None:
        return Running(options.config, found, reactor, source, of(worker), Notify({}, reactor))
    binder = Direct(reactor)
    takeover = Takeover(binder, Pidfile(options.parent), options.again(), os.environ, reactor)
    process = Process(binder, door=lambda: takeover.door.name)
    notify = Notify(os.environ, reactor)
    return Running(options.config, found, reactor, source, process, notify, takeover, options["takeover"])


def _launcher(options: Options, several: int, reactor: Any) -> Launcher:
    """What becomes a supervisor."""
    start, path = options.again(), options["config"]
    file = os.path.abspath(path) if path not in (None, "-") else None
    spec = Spec(
        command=start.command,
        successor=start.command,
        environ=dict(os.environ),
        workers=several,
        file=file,
        text=options.text.decode("latin-1"),
        name=file or {None: DEFAULTS}.get(path, STDIN),
        json=start.json,
        log=start.log,
        syslog=start.syslog,
        level=os.environ.get("LPROXY_LOG", "").lower(),
        pidfile=start.pidfile,
        notify=os.environ.get("NOTIFY_SOCKET", ""),
        every=Notify(os.environ, reactor).every,
    )
    admin = options["takeover"]
    takeover = partial(door_of, admin) if admin is not None else None
    return Launcher(options.config, spec, Starter(options.parent), reactor, takeover)
